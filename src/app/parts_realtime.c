/* Requests straight to the worker, and metrics, as a part. */
#include "app/parts.h"

#include "source/realtime.h"

const struct rp_realtime_part rp_realtime_part = {
    .realtime = source_realtime_new,
    .serve = source_serve_new,
    .serve_metrics = metrics_serve,
};
