/* The cache on a volume and uploads of large results, as a part. */
#include "app/parts.h"

#include "api/large.h"
#include "app/cache.h"

const struct rp_storage_part rp_storage_part = {
    .check = cache_check,
    .restore = cache_restore,
    .save = cache_save,
    .wait = cache_wait,
    .finish = large_finish,
};
