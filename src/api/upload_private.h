/*
 * api/upload_private.h - what the parts of an upload share: upload.c is the whole of it,
 * upload_setting.c decides what goes where, upload_request.c makes one signed request,
 * upload_multipart.c sends a large file in parts, upload_local.c is what a local run does instead.
 * All of it runs on the handler's thread, within one call of upload.h or worker.h.
 */
#ifndef API_UPLOAD_PRIVATE_H
#define API_UPLOAD_PRIVATE_H

#include "api/judge.h"
#include "api/s3.h"
#include "api/transfer.h"

#define UPLOAD_KEY_BYTES 1025 /* of an object's key, which S3 limits to 1024, and NUL */
#define UPLOAD_ETAG_BYTES 256

struct upload {
    struct transfer transfer;
    const rp_upload_options *options;
    struct s3 s3;
    struct judge judge; /* of the addresses of a job's own storage */
    bool is_job_s3;     /* the storage is that of the job's s3Config */
    bool is_local;      /* no storage: a local run writes into a folder */
    char key[UPLOAD_KEY_BYTES];
    char bucket[8]; /* the default bucket: "MM-YY" */
    char region[S3_REGION_BYTES];
    const char *content_type;

    /* The content: an open file, or bytes in memory. */
    int fd; /* -1 for bytes */
    rp_str bytes;
    uint64_t size; /* of the content, in bytes */

    /* Of the request under way and its response. */
    struct buf url, authorization, reply;
    char etag[UPLOAD_ETAG_BYTES];
    char length[24]; /* the response's Content-Length, also of a HEAD */
};

/* A section of the content, as the body of a request. Links the upload. */
struct upload_window {
    struct http_body_source source; /* first, so that a source pointer is a window pointer */
    const struct upload *upload;
    uint64_t start; /* offset in the content, in bytes */
};

/*
 * Decides where the content goes, and under which name; `path` is the file's, or NULL. Where to is
 * what the handler's options say, and the variables where those are silent; without any, what the
 * job's s3Config says, all of it, so that no secret of the worker's goes to a host that a job
 * names; else the variables. ERR_CONFIG (nowhere to go to, or a setting that cannot be used),
 * ERR_INPUT, ERR_MEMORY.
 */
int upload_setting_choose(struct upload *upload, const char *path, struct err *err);

/* Instead of a request: writes the content to local_upload/KEY, and the log says so. ERR_INPUT. */
int upload_local_save(const struct upload *upload, struct buf *path, struct err *err);

/* Reads a piece of the content. ERR_INPUT where the file cannot be read or is shorter. */
int upload_read_at(const struct upload *upload, uint64_t offset, void *bytes, size_t size,
                   struct err *err);

struct upload_window upload_window_of(const struct upload *upload, uint64_t start, uint64_t size);

/* A request about the object. Its body is the window, or `body` where window is NULL. */
struct upload_request {
    const char *method;
    const struct sigv4_pair *query;
    size_t query_count;
    slice content_type; /* empty for none */
    const struct upload_window *window;
    slice body;
};

/*
 * Signs and sends the request, with up to LIMIT_UPLOAD_TRIES tries after transient failures, and
 * leaves the response's body in upload->reply. Blocks. 0 for a 2xx status; else the error of the
 * last try: those of http_exchange and s3_sign, ERR_PEER for a refusal, ERR_INPUT where the file
 * cannot be read. `answer` is that of the last try.
 */
int upload_exchange(struct upload *upload, const struct upload_request *request,
                    struct http_response *answer, struct err *err);

/*
 * Sets the error for a response that refuses the request, with the S3 error code and message where
 * the body has them. Returns ERR_RETRY where it is worth another try, else ERR_PEER.
 */
int upload_refused(const struct upload *upload, int status, struct err *err);

/* How large the parts of so many bytes are: LIMIT_PARTS of them at the most. */
uint64_t upload_part_bytes(uint64_t size);

/*
 * Uploads the content in parts of LIMIT_PART_BYTES or more (S3 API Reference, "Multipart upload"),
 * and removes the parts from the storage where that fails. Blocks. Errors as upload_exchange.
 */
int upload_in_parts(struct upload *upload, struct err *err);

#endif
