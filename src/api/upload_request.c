/* One signed request of an upload, with retries. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "api/upload_private.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/version.h"
#include "codec/xml.h"

/* --- the content ---------------------------------------------------------------------------- */

static int read_file(int fd, uint64_t offset, void *bytes, size_t size, struct err *err)
{
    ssize_t count = io_read_at(fd, offset, bytes, size);
    if (count < 0)
        return err_system(err, ERR_INPUT, errno, "reading the file");
    if ((size_t)count < size)
        return err_set(err, ERR_INPUT, "the file became shorter during the upload");
    return 0;
}

int upload_read_at(const struct upload *upload, uint64_t offset, void *bytes, size_t size,
                   struct err *err)
{
    if (upload->fd >= 0)
        return read_file(upload->fd, offset, bytes, size, err);
    memcpy(bytes, upload->bytes.ptr + offset, size);
    return 0;
}

static int read_window(const struct http_body_source *self, uint64_t offset, void *bytes,
                       size_t size, struct err *err)
{
    const struct upload_window *window = (const struct upload_window *)(const void *)self;
    return upload_read_at(window->upload, window->start + offset, bytes, size, err);
}

struct upload_window upload_window_of(const struct upload *upload, uint64_t start, uint64_t size)
{
    return (struct upload_window){ .source = { .bytes = size, .read_at = read_window },
                                   .upload = upload,
                                   .start = start };
}

static int hash_window(const struct upload_window *window, uint8_t hash[DIGEST_BYTES],
                       struct err *err)
{
    struct digest digest;
    char piece[16384];
    digest_begin(&digest);
    for (uint64_t at = 0; at < window->source.bytes;) {
        uint64_t left = window->source.bytes - at;
        size_t size = left < sizeof piece ? (size_t)left : sizeof piece;
        int rc = read_window(&window->source, at, piece, size, err);
        if (rc != 0)
            return rc;
        digest_add(&digest, piece, size);
        at += size;
    }
    digest_get(&digest, hash);
    return 0;
}

static int hash_body(const struct upload_request *request, char hex[DIGEST_HEX_BYTES],
                     struct err *err)
{
    uint8_t hash[DIGEST_BYTES];
    int rc = 0;
    if (request->window != NULL)
        rc = hash_window(request->window, hash, err);
    else
        digest_of(request->body, hash);
    if (rc == 0)
        digest_hex(hash, hex);
    return rc;
}

/* --- one try -------------------------------------------------------------------------------- */

/* Only code and message are quoted: the rest of the body may hold what was signed. */
int upload_refused(const struct upload *upload, int status, struct err *err)
{
    struct buf code, message;
    int rc = transfer_status_error(status, err);
    buf_init(&code, 100, "code");
    buf_init(&message, 200, "message");
    if (xml_text(buf_slice(&upload->reply), "Code", &code)) {
        xml_text(buf_slice(&upload->reply), "Message", &message);
        if (slice_is(buf_slice(&code), "RequestTimeout") ||
            slice_is(buf_slice(&code), "SlowDown") || slice_is(buf_slice(&code), "InternalError"))
            rc = ERR_RETRY;
        err_set(err, rc, "the storage answered %d %.*s: %.*s", status, SLICE_ARG(buf_slice(&code)),
                SLICE_ARG(buf_slice(&message)));
    }
    buf_free(&code);
    buf_free(&message);
    return rc;
}

static int send_once(struct upload *upload, const struct upload_request *request,
                     const struct s3_request *signed_request, struct http_response *answer,
                     struct err *err)
{
    const struct http1_field fields[] = {
        { SLICE_LITERAL("Authorization"), buf_slice(&upload->authorization) },
        { SLICE_LITERAL("X-Amz-Date"), slice_from(signed_request->time) },
        { SLICE_LITERAL("X-Amz-Content-Sha256"), slice_from(signed_request->payload) },
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
        { SLICE_LITERAL("Content-Type"), request->content_type },
    };
    struct http_capture captures[] = {
        { "ETag", upload->etag, sizeof upload->etag },
        { "Content-Length", upload->length, sizeof upload->length },
    };
    /* A POST or PUT states the length of its body even where that is 0. */
    const char *method = request->method;
    const bool bodiless = strcmp(method, "HEAD") == 0 || strcmp(method, "DELETE") == 0;
    struct http_request message = {
        .method = method,
        .url = buf_slice(&upload->url),
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0] - (request->content_type.len == 0),
        .body = request->window == NULL && !bodiless ? &request->body : NULL,
        .body_count = request->window == NULL && !bodiless,
        .source = request->window != NULL ? &request->window->source : NULL,
        .captures = captures,
        .capture_count = sizeof captures / sizeof captures[0],
        .filter = upload->is_job_s3 ? judge_filter(&upload->judge) : NULL,
    };
    transfer_request(&upload->transfer, &message);
    return http_exchange(upload->transfer.client, &message, answer, &upload->reply, err);
}

static int try_once(struct upload *upload, const struct upload_request *request,
                    const char payload[DIGEST_HEX_BYTES], struct http_response *answer,
                    struct err *err)
{
    struct s3_request signed_request = { .method = request->method,
                                         .query = request->query,
                                         .query_count = request->query_count,
                                         .content_type = request->content_type,
                                         .url = &upload->url,
                                         .authorization = &upload->authorization };
    memcpy(signed_request.payload, payload, sizeof signed_request.payload);
    int rc = s3_sign(&upload->s3, &signed_request, (int64_t)time(NULL), err);
    if (rc == 0)
        rc = send_once(upload, request, &signed_request, answer, err);
    if (rc == 0 && (answer->status < 200 || answer->status > 299))
        rc = upload_refused(upload, answer->status, err);
    return rc;
}

int upload_exchange(struct upload *upload, const struct upload_request *request,
                    struct http_response *answer, struct err *err)
{
    char payload[DIGEST_HEX_BYTES];
    *answer = (struct http_response){ 0 };
    int rc = hash_body(request, payload, err);
    if (rc != 0)
        return rc;
    backoff_reset(&upload->transfer.backoff);
    for (;;) {
        *answer = (struct http_response){ 0 };
        if (try_once(upload, request, payload, answer, err) == 0)
            return 0;
        if (!transfer_retry(&upload->transfer, answer, LIMIT_UPLOAD_TRIES, err))
            return err->code;
    }
}
