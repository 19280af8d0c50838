/* HTTP servers as handlers, as a part. */
#include "app/parts.h"

#include "child/report.h"
#include "process/process.h"
#include "upstream/handler.h"

const struct rp_servers_part rp_servers_part = {
    .choose_concurrency = upstream_choose_concurrency,
    .choose = upstream_handler_init,
    .pass = upstream_pass_new,
    .unfit_reason = child_unfit_reason,
    .begin_starter = process_begin_starter,
    .end = process_finish,
};
