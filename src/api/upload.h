/*
 * api/upload.h - uploads that the worker itself makes for a job: files that a program names, and
 * outputs that are too large (api/large.h). Where they go is as rp_upload of worker.h says.
 *
 * All block, and give up when the job is stopped. Errors: as http_exchange; ERR_CONFIG where there
 * is no storage or a setting cannot be used; ERR_INPUT where a file cannot; ERR_PEER where the
 * storage refuses; ERR_CANCELLED where the job was stopped. No text holds a secret or a link.
 */
#ifndef API_UPLOAD_H
#define API_UPLOAD_H

#include "base/err.h"
#include "base/slice.h"
#include "job/rp_job.h"

/*
 * Uploads a regular file in the job's scratch folder; the path is not trusted (scratch_open_file).
 * *url is valid until the handler returns.
 */
int upload_scratch_file(rp_job *job, slice path, rp_str *url, struct err *err);

/* Uploads bytes under a name; type is their Content-Type, or NULL: by the name's extension. */
int upload_bytes(rp_job *job, slice bytes, const char *name, const char *type, rp_str *url,
                 struct err *err);

#endif
