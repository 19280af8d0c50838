/* worker.h: a file of the job becomes an object in S3-compatible storage. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/version.h"
#include "codec/chars.h"
#include "codec/xml.h"
#include "job/s3.h"
#include "job/transfer.h"

#define KEY_BYTES 1025
#define ETAG_BYTES 256
#define DEFAULT_REGION "us-east-1"

struct upload {
    struct transfer transfer;
    const rp_upload_options *options;
    struct s3 s3;
    char key[KEY_BYTES];
    char bucket[8];
    char region[S3_REGION_BYTES];
    const char *content_type;

    /* What is uploaded: a file, or bytes where there is none. */
    int fd; /* -1 for bytes */
    rp_str bytes;
    uint64_t size;

    /* Of the request being made. */
    struct buf url, authorization, reply;
    char etag[ETAG_BYTES];
    char length[24]; /* what an answer's Content-Length says, of HEAD too */
};

/* A piece of what is uploaded. */
struct window {
    struct http_body_source source; /* first */
    const struct upload *upload;
    uint64_t start;
};

/* --- reading what is uploaded ----------------------------------------------------------------- */

static int read_file(int fd, uint64_t offset, char *bytes, size_t size, struct err *err)
{
    while (size > 0) {
        ssize_t count = pread(fd, bytes, size, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return err_system(err, ERR_INPUT, errno, "reading the file");
        if (count == 0)
            return err_set(err, ERR_INPUT, "the file became shorter while it was sent");
        bytes += count;
        offset += (uint64_t)count;
        size -= (size_t)count;
    }
    return 0;
}

static int read_window(const struct http_body_source *self, uint64_t offset, void *bytes,
                       size_t size, struct err *err)
{
    const struct window *window = (const struct window *)(const void *)self;
    const struct upload *upload = window->upload;
    if (upload->fd >= 0)
        return read_file(upload->fd, window->start + offset, bytes, size, err);
    memcpy(bytes, upload->bytes.ptr + window->start + offset, size);
    return 0;
}

static int hash_window(const struct window *window, char hex[DIGEST_HEX_BYTES], struct err *err)
{
    struct digest digest;
    uint8_t hash[DIGEST_BYTES];
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
    digest_hex(hash, hex);
    return 0;
}

/* --- one request ------------------------------------------------------------------------------ */

/* A request about the object; either of window and body may be its body. */
struct call {
    const char *method;
    const struct sigv4_pair *query;
    size_t query_count;
    slice content_type;
    const struct window *window;
    slice body;
};

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

/* What the storage has to say about a refusal; its other words may hold what was signed. */
static int refused(struct upload *upload, int status, struct err *err)
{
    struct buf code, message;
    int rc = transfer_refused(status, err);
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

static int send_once(struct upload *upload, const struct call *call,
                     const struct s3_request *signed_request, struct http_answer *answer,
                     struct err *err)
{
    const struct http1_field fields[] = {
        { SLICE_LITERAL("Authorization"), buf_slice(&upload->authorization) },
        { SLICE_LITERAL("X-Amz-Date"), slice_from(signed_request->time) },
        { SLICE_LITERAL("X-Amz-Content-Sha256"), slice_from(signed_request->payload) },
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
        { SLICE_LITERAL("Content-Type"), call->content_type },
    };
    struct http_wanted wanted[] = {
        { "ETag", upload->etag, sizeof upload->etag },
        { "Content-Length", upload->length, sizeof upload->length },
    };
    /* A POST or PUT says how long its body is even where that is empty. */
    const bool bare = strcmp(call->method, "HEAD") == 0 || strcmp(call->method, "DELETE") == 0;
    struct http_request request = {
        .method = call->method,
        .url = buf_slice(&upload->url),
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0] - (call->content_type.len == 0),
        .body = call->window == NULL && !bare ? &call->body : NULL,
        .body_count = call->window == NULL && !bare,
        .source = call->window != NULL ? &call->window->source : NULL,
        .wanted = wanted,
        .wanted_count = sizeof wanted / sizeof wanted[0],
    };
    transfer_request(&upload->transfer, &request);
    return http_exchange(upload->transfer.client, &request, answer, &upload->reply, err);
}

static int try_once(struct upload *upload, const struct call *call,
                    const char payload[DIGEST_HEX_BYTES], struct http_answer *answer,
                    struct err *err)
{
    struct s3_request request = { .method = call->method,
                                  .query = call->query,
                                  .query_count = call->query_count,
                                  .content_type = call->content_type,
                                  .url = &upload->url,
                                  .authorization = &upload->authorization };
    memcpy(request.payload, payload, sizeof request.payload);
    int rc = s3_sign(&upload->s3, &request, now_s(), err);
    if (rc == 0)
        rc = send_once(upload, call, &request, answer, err);
    if (rc == 0 && (answer->status < 200 || answer->status > 299))
        rc = refused(upload, answer->status, err);
    return rc;
}

/* Makes the request, again where the trouble is passing. */
static int make(struct upload *upload, const struct call *call, struct http_answer *answer,
                struct err *err)
{
    char payload[DIGEST_HEX_BYTES];
    int rc = 0;
    if (call->window != NULL) {
        rc = hash_window(call->window, payload, err);
    } else {
        uint8_t hash[DIGEST_BYTES];
        digest_of(call->body, hash);
        digest_hex(hash, payload);
    }
    if (rc != 0)
        return rc;
    backoff_reset(&upload->transfer.backoff);
    for (;;) {
        *answer = (struct http_answer){ 0 };
        if (try_once(upload, call, payload, answer, err) == 0)
            return 0;
        if (!transfer_again(&upload->transfer, answer, LIMIT_UPLOAD_TRIES, err))
            return err->code;
    }
}

/* --- in one piece ----------------------------------------------------------------------------- */

static struct window window_of(const struct upload *upload, uint64_t start, uint64_t size)
{
    return (struct window){ .source = { .bytes = size, .read_at = read_window },
                            .upload = upload,
                            .start = start };
}

static int put_whole(struct upload *upload, struct err *err)
{
    const struct window window = window_of(upload, 0, upload->size);
    const struct call call = { .method = "PUT",
                               .content_type = slice_from(upload->content_type),
                               .window = &window };
    struct http_answer answer;
    return make(upload, &call, &answer, err);
}

/* --- in parts (S3 API Reference, "Multipart upload") ------------------------------------------ */

static int begin_parts(struct upload *upload, struct buf *id, struct err *err)
{
    const struct sigv4_pair query = { SLICE_LITERAL("uploads"), SLICE_LITERAL("") };
    const struct call call = { .method = "POST",
                               .query = &query,
                               .query_count = 1,
                               .content_type = slice_from(upload->content_type),
                               .body = SLICE_LITERAL("") };
    struct http_answer answer;
    int rc = make(upload, &call, &answer, err);
    if (rc == 0 && !xml_text(buf_slice(&upload->reply), "UploadId", id))
        rc = err_set(err, ERR_PEER, "the storage began an upload in parts without an UploadId");
    return rc;
}

static int put_part(struct upload *upload, slice id, unsigned number, const struct window *window,
                    struct buf *list, struct err *err)
{
    char text[16];
    struct http_answer answer;
    snprintf(text, sizeof text, "%u", number);
    const struct sigv4_pair query[] = { { SLICE_LITERAL("partNumber"), slice_from(text) },
                                        { SLICE_LITERAL("uploadId"), id } };
    const struct call call = {
        .method = "PUT", .query = query, .query_count = 2, .window = window
    };
    int rc = make(upload, &call, &answer, err);
    if (rc == 0 && upload->etag[0] == '\0')
        rc = err_set(err, ERR_PEER, "the storage took a part without an ETag");
    const slice pieces[] = { SLICE_LITERAL("<Part><PartNumber>"), slice_from(text),
                             SLICE_LITERAL("</PartNumber><ETag>") };
    for (size_t i = 0; rc == 0 && i < sizeof pieces / sizeof pieces[0]; i++)
        rc = buf_add_slice(list, pieces[i], err);
    if (rc == 0)
        rc = xml_put_text(list, slice_from(upload->etag), err);
    return rc == 0 ? buf_add_text(list, "</ETag></Part>", err) : rc;
}

static int put_parts(struct upload *upload, slice id, struct buf *list, struct err *err)
{
    uint64_t part = LIMIT_PART_BYTES;
    unsigned number = 1;
    while (upload->size / part >= LIMIT_PARTS)
        part *= 2;
    int rc = buf_add_text(list, "<CompleteMultipartUpload>", err);
    for (uint64_t at = 0; rc == 0 && at < upload->size; at += part, number++) {
        uint64_t left = upload->size - at;
        const struct window window = window_of(upload, at, left < part ? left : part);
        rc = put_part(upload, id, number, &window, list, err);
        if (rc != 0)
            err_wrap(err, "part %u", number);
    }
    return rc == 0 ? buf_add_text(list, "</CompleteMultipartUpload>", err) : rc;
}

/* True where the object is there in full: its upload was completed, but the answer got lost. */
static bool is_stored(struct upload *upload)
{
    const struct call call = { .method = "HEAD" };
    struct http_answer answer;
    struct err err = { 0 };
    uint64_t bytes;
    return make(upload, &call, &answer, &err) == 0 &&
           chars_decimal(slice_from(upload->length), UINT64_MAX, &bytes) && bytes == upload->size;
}

/* The answer's status is 200 before it is known how it went: an error is in its body then. */
static int complete(struct upload *upload, slice id, slice list, struct err *err)
{
    const struct sigv4_pair query = { SLICE_LITERAL("uploadId"), id };
    const struct call call = { .method = "POST",
                               .query = &query,
                               .query_count = 1,
                               .content_type = SLICE_LITERAL("application/xml"),
                               .body = list };
    struct http_answer answer;
    unsigned errors = 0;
    for (;;) {
        int rc = make(upload, &call, &answer, err);
        if (rc != 0 && answer.status == 404 && is_stored(upload))
            return 0;
        slice reply = buf_slice(&upload->reply);
        if (rc != 0 || memmem(reply.ptr, reply.len, "<Error>", 7) == NULL)
            return rc;
        refused(upload, answer.status, err);
        err->code = ERR_RETRY;
        upload->transfer.backoff.failures = errors++;
        if (!transfer_again(&upload->transfer, &answer, LIMIT_UPLOAD_TRIES, err))
            return err->code;
    }
}

/* Takes back what was stored of an upload that failed, even if the job has been stopped. */
static void abort_parts(struct upload *upload, slice id)
{
    const struct sigv4_pair query = { SLICE_LITERAL("uploadId"), id };
    const struct call call = { .method = "DELETE", .query = &query, .query_count = 1 };
    const struct log_tag tag = job_tag(upload->transfer.job->job);
    struct http_answer answer;
    struct err err = { 0 };
    upload->transfer.deaf = true;
    upload->transfer.until = clock_deadline(LIMIT_ABORT_S * 1000);
    int rc = make(upload, &call, &answer, &err);
    if (rc != 0)
        log_write(LOG_WARN, &tag, "Parts of a failed upload stay in the storage: %s", err.text);
}

static int upload_in_parts(struct upload *upload, struct err *err)
{
    struct buf id, list;
    buf_init(&id, 1024, "upload's id");
    buf_init(&list, 4u * LIMIT_MIB, "list of parts");
    int rc = begin_parts(upload, &id, err);
    bool begun = rc == 0;
    if (rc == 0)
        rc = put_parts(upload, buf_slice(&id), &list, err);
    if (rc == 0)
        rc = complete(upload, buf_slice(&id), buf_slice(&list), err);
    if (rc != 0 && begun)
        abort_parts(upload, buf_slice(&id));
    buf_free(&id);
    buf_free(&list);
    return rc;
}

/* --- what and where to ------------------------------------------------------------------------ */

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        { ".png", "image/png" },
        { ".jpg", "image/jpeg" },
        { ".jpeg", "image/jpeg" },
        { ".webp", "image/webp" },
        { ".gif", "image/gif" },
        { ".svg", "image/svg+xml" },
        { ".mp4", "video/mp4" },
        { ".webm", "video/webm" },
        { ".mov", "video/quicktime" },
        { ".wav", "audio/wav" },
        { ".mp3", "audio/mpeg" },
        { ".flac", "audio/flac" },
        { ".ogg", "audio/ogg" },
        { ".json", "application/json" },
        { ".txt", "text/plain; charset=utf-8" },
        { ".csv", "text/csv" },
        { ".pdf", "application/pdf" },
        { ".zip", "application/zip" },
        { ".gz", "application/gzip" },
        { ".glb", "model/gltf-binary" },
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof types[0]; i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* The option, or the variable that stands for it. Empty where neither is set. */
static slice setting(const char *option, const char *variable)
{
    const char *value = option != NULL ? option : getenv(variable);
    return slice_from(value != NULL ? value : "");
}

static int read_settings(struct upload *upload, struct err *err)
{
    const rp_upload_options *options = upload->options;
    struct s3 *s3 = &upload->s3;
    slice endpoint = setting(options->endpoint, "BUCKET_ENDPOINT_URL");
    s3->access_key = setting(options->access_key_id, "BUCKET_ACCESS_KEY_ID");
    s3->secret_key = setting(options->secret_access_key, "BUCKET_SECRET_ACCESS_KEY");
    const char *missing = endpoint.len == 0         ? "BUCKET_ENDPOINT_URL"
                          : s3->access_key.len == 0 ? "BUCKET_ACCESS_KEY_ID"
                          : s3->secret_key.len == 0 ? "BUCKET_SECRET_ACCESS_KEY"
                                                    : NULL;
    if (missing != NULL)
        return err_set(err, ERR_CONFIG, "%s is not set, so there is no storage to upload to",
                       missing);
    if (url_parse(endpoint, &s3->endpoint, err) != 0)
        return err_wrap(err, "BUCKET_ENDPOINT_URL");
    if (s3->endpoint.user.len > 0)
        return err_set(err, ERR_CONFIG, "BUCKET_ENDPOINT_URL may not hold a user or password");
    return 0;
}

static void choose_bucket(struct upload *upload)
{
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    snprintf(upload->bucket, sizeof upload->bucket, "%02u-%02u", (unsigned)utc.tm_mon % 12 + 1,
             (unsigned)utc.tm_year % 100);
    upload->s3.bucket = slice_from(upload->options->bucket != NULL ? upload->options->bucket
                                                                   : upload->bucket);
    upload->s3.virtual_host = upload->options->virtual_host;
}

static void choose_region(struct upload *upload)
{
    static const char *const variables[] = { "AWS_REGION", "AWS_DEFAULT_REGION" };
    upload->s3.region = slice_from(upload->options->region);
    if (upload->s3.region.len == 0 && s3_region_of(upload->s3.endpoint.host, upload->region))
        upload->s3.region = slice_from(upload->region);
    for (size_t i = 0; i < 2 && upload->s3.region.len == 0; i++)
        upload->s3.region = slice_from(getenv(variables[i]));
    if (upload->s3.region.len == 0)
        upload->s3.region = SLICE_LITERAL(DEFAULT_REGION);
}

static int choose_key(struct upload *upload, const char *path, struct err *err)
{
    const rp_upload_options *options = upload->options;
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    const char *name = options->name != NULL ? options->name : slash != NULL ? slash + 1 : path;
    slice prefix = options->prefix != NULL ? slice_from(options->prefix)
                                           : upload->transfer.job->job->id;
    if (name == NULL || name[0] == '\0')
        return err_set(err, ERR_INPUT, "it has no name");
    int len = snprintf(upload->key, sizeof upload->key, "%.*s%s%s", SLICE_ARG(prefix),
                       prefix.len > 0 ? "/" : "", name);
    if (len < 0 || (size_t)len >= sizeof upload->key)
        return err_set(err, ERR_INPUT, "its name is longer than %d bytes", KEY_BYTES - 1);
    upload->s3.key = slice_from(upload->key);
    upload->content_type = options->content_type != NULL ? options->content_type : type_of(name);
    return s3_check(&upload->s3, err);
}

static int open_file(struct upload *upload, const char *path, struct err *err)
{
    struct stat info;
    upload->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (upload->fd < 0 || fstat(upload->fd, &info) != 0)
        return err_system(err, ERR_INPUT, errno, "%s", path);
    upload->size = (uint64_t)info.st_size;
    return S_ISREG(info.st_mode) ? 0 : err_set(err, ERR_INPUT, "%s is no file", path);
}

static int put_link(struct upload *upload, rp_str *url, struct err *err)
{
    uint32_t expires_s = upload->options->expires_s;
    if (expires_s == 0 || expires_s > LIMIT_LINK_S)
        expires_s = LIMIT_LINK_S;
    upload->url.len = 0;
    int rc = s3_put_link(&upload->s3, now_s(), expires_s, &upload->url, err);
    if (rc != 0)
        return rc;
    *url = buf_slice(&upload->url);
    url->ptr = transfer_copy(upload->transfer.job, *url, err);
    return url->ptr != NULL ? 0 : err->code;
}

static int upload_all(struct upload *upload, rp_str *url, struct err *err)
{
    buf_init(&upload->url, URL_MAX_BYTES, "URL");
    buf_init(&upload->authorization, 4096, "Authorization");
    buf_init(&upload->reply, LIMIT_REPLY_BYTES, "answer of the storage");
    int rc = upload->size > LIMIT_PART_BYTES ? upload_in_parts(upload, err)
                                             : put_whole(upload, err);
    if (rc == 0)
        rc = put_link(upload, url, err);
    buf_free(&upload->url);
    buf_free(&upload->authorization);
    buf_free(&upload->reply);
    return rc;
}

/* Uploads what upload->fd or upload->bytes holds; path may be NULL. */
static int run(struct upload *upload, rp_job *job, const char *path, rp_str *url, struct err *err)
{
    uint32_t timeout_s = upload->options->timeout_s;
    upload->transfer.job = job;
    int rc = read_settings(upload, err);
    choose_bucket(upload);
    if (rc == 0) {
        choose_region(upload);
        rc = choose_key(upload, path, err);
    }
    if (rc == 0)
        rc = transfer_begin(&upload->transfer, job, timeout_s != 0 ? timeout_s : LIMIT_UPLOAD_S,
                            err);
    if (rc != 0)
        return rc;
    rc = upload_all(upload, url, err);
    transfer_end(&upload->transfer);
    return rc;
}

static const rp_upload_options defaults;

int rp_upload(rp_job *job, const char *path, const rp_upload_options *options, rp_str *url)
{
    struct upload upload = { .options = options != NULL ? options : &defaults, .fd = -1 };
    struct err err = { 0 };
    int rc = open_file(&upload, path, &err);
    if (rc == 0)
        rc = run(&upload, job, path, url, &err);
    if (upload.fd >= 0)
        close(upload.fd);
    return rc == 0 ? RP_OK : transfer_fail(job, upload.options->reason, "Upload", &err);
}

int rp_upload_bytes(rp_job *job, rp_str bytes, const rp_upload_options *options, rp_str *url)
{
    struct upload upload = { .options = options != NULL ? options : &defaults,
                             .fd = -1,
                             .bytes = bytes,
                             .size = bytes.len };
    struct err err = { 0 };
    int rc = run(&upload, job, NULL, url, &err);
    return rc == 0 ? RP_OK : transfer_fail(job, upload.options->reason, "Upload", &err);
}
