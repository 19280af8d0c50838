/*
 * api/large.h - outputs that are too large to be posted (--upload-above): the worker uploads them
 * and posts a link, {"url": "...", "content_type": "...", "bytes": N}.
 */
#ifndef API_LARGE_H
#define API_LARGE_H

#include "base/buf.h"
#include "base/err.h"
#include "job/rp_job.h"

/* True if --upload-above is set and an output of that many bytes is above it. */
bool large_is(const struct rp_job *job, size_t bytes);

/*
 * Uploads bytes of that Content-Type, and appends the object with the link to them to `out`: 1.
 * Where that fails they are to be posted after all, as post_bytes of JSON: 0, with a warning in the
 * log, and large_is is false from then on; RP_FAILED, with the job failed, where that is too much
 * for the platform, or the job was stopped. Blocks.
 */
int large_replace(struct rp_job *job, slice bytes, slice type, size_t post_bytes, struct buf *out);

/*
 * For struct handler (job/handler.h): replaces the job's output. An error in it stays, and so does
 * what is not JSON: it fails the job.
 */
void large_finish(struct rp_job *job);

#endif
