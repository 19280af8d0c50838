/* --audit and --confine, as a part. */
#include "app/parts.h"

#include "audit/audit.h"
#include "audit/confine.h"

const struct rp_audit_part rp_audit_part = {
    .print = audit_print,
    .confine_check = confine_check,
    .confine = confine,
    .confine_tell = confine_tell,
};
