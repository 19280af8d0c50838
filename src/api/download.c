#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/download.h"
#include "api/judge.h"
#include "api/scratch.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/version.h"
#include "codec/byte_class.h"
#include "codec/filename.h"
#include "codec/url.h"

#define PIECE_BYTES 16384
#define DISPOSITION_BYTES 2048 /* a longer field is ignored */
#define SAME_NAMES_MAX 100000  /* files of the same name in a job's folder */
#define NAME_ROOM (FILENAME_BYTES + 16)

/* --- what may be fetched -------------------------------------------------------------------- */

struct download {
    struct transfer *transfer;
    pthread_mutex_t *memory; /* held to take the job's memory; NULL: this is its only thread */
    const rp_download_options *options;
    uint64_t max_bytes;
    struct judge judge;
    struct buf url;
    struct url parsed;  /* points into url */
    char temporary[32]; /* name of the file until it is complete */
    int fd;
    uint64_t bytes;
    char disposition[DISPOSITION_BYTES];
    char type[HTTP_CONTENT_TYPE_BYTES];
};

static int read_limits(struct download *download, struct err *err)
{
    static const char variable[] = "RUNPOD_MAX_DOWNLOAD_BYTES";
    const char *text = secure_getenv(variable);
    download->max_bytes = LIMIT_DOWNLOAD_BYTES;
    if (download->options->max_bytes != 0)
        download->max_bytes = download->options->max_bytes;
    else if (text != NULL && text[0] != '\0' &&
             !byte_class_decimal(slice_from(text), INT64_MAX, &download->max_bytes))
        return err_set(err, ERR_CONFIG, "%s is \"%.32s\"; it must be a number of bytes", variable,
                       text);
    return 0;
}

/* URLs written by people may have spaces and non-ASCII letters, which must be percent-encoded. */
static int put_url(struct buf *out, slice text, struct err *err)
{
    for (size_t i = 0; i < text.len; i++) {
        slice c = { text.ptr + i, 1 };
        bool as_it_is = byte_class_in(*c.ptr, BYTE_CLASS_VISIBLE) || (unsigned char)*c.ptr < 0x20;
        if (as_it_is)
            buf_add_slice(out, c, NULL);
        else
            url_encode(out, c, NULL);
    }
    return buf_error(out, err);
}

static int read_url(struct download *download, slice text, struct err *err)
{
    int rc = put_url(&download->url, json_trim(text), err);
    if (rc == 0)
        rc = url_parse(buf_slice(&download->url), &download->parsed, err);
    if (rc == 0 && download->parsed.user.len > 0)
        rc = err_set(err, ERR_INPUT, "a URL with a user or password is not allowed");
    return rc;
}

/* --- one try -------------------------------------------------------------------------------- */

static int too_large(const struct download *download, struct err *err)
{
    return err_set(err, ERR_LIMIT, "it is larger than the limit of %llu bytes",
                   (unsigned long long)download->max_bytes);
}

static int read_file(struct download *download, struct err *err)
{
    char piece[PIECE_BYTES];
    for (;;) {
        ptrdiff_t count = http_read(download->transfer->client, piece, sizeof piece, err);
        if (count <= 0)
            return (int)count;
        if ((uint64_t)count > download->max_bytes - download->bytes)
            return too_large(download, err);
        if (io_write_all(download->fd, (slice){ piece, (size_t)count }) != 0)
            return err_system(err, ERR_INPUT, errno, "writing the file");
        download->bytes += (uint64_t)count;
    }
}

static int check_head(const struct download *download, const struct http_response *answer,
                      struct err *err)
{
    if (answer->status != 200 && answer->status != 203)
        return transfer_status_error(answer->status, err);
    if (answer->encoded)
        return err_set(err, ERR_PEER,
                       "the response is compressed, although identity was requested");
    if (answer->has_length && answer->length > download->max_bytes)
        return too_large(download, err);
    return 0;
}

/* 0 once the file is written completely. */
static int try_once(struct download *download, struct http_response *answer, struct err *err)
{
    const struct http1_field fields[] = {
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Accept"), SLICE_LITERAL("*/*") },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
    };
    const struct http1_field authorization = { SLICE_LITERAL("Authorization"),
                                               slice_from(download->options->authorization) };
    struct http_capture captures[] = {
        { "Content-Disposition", download->disposition, sizeof download->disposition },
    };
    struct http_request request = {
        .method = "GET",
        .url = buf_slice(&download->url),
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0],
        .origin_fields = &authorization,
        .origin_field_count = download->options->authorization != NULL,
        .captures = captures,
        .capture_count = 1,
        .follow_any_host = true,
        .filter = judge_filter(&download->judge),
    };
    transfer_request(download->transfer, &request);
    int rc = http_open(download->transfer->client, &request, answer, err);
    if (rc != 0)
        return rc;
    rc = check_head(download, answer, err);
    if (rc == 0)
        rc = read_file(download, err);
    http_end(download->transfer->client);
    memcpy(download->type, answer->content_type, sizeof download->type);
    return rc;
}

static int start_over(struct download *download, struct err *err)
{
    download->bytes = 0;
    if (lseek(download->fd, 0, SEEK_SET) == 0 && ftruncate(download->fd, 0) == 0)
        return 0;
    return err_system(err, ERR_INPUT, errno, "writing the file");
}

static int fetch(struct download *download, struct err *err)
{
    for (;;) {
        struct http_response answer = { 0 };
        int rc = start_over(download, err);
        if (rc == 0)
            rc = try_once(download, &answer, err);
        if (rc == 0)
            return 0;
        if (!transfer_retry(download->transfer, &answer, LIMIT_DOWNLOAD_TRIES, err))
            return err->code;
    }
}

/* --- the file ------------------------------------------------------------------------------- */

static int folder_of(const struct download *download)
{
    return scratch_fd(download->transfer->job->scratch);
}

static int open_temporary(struct download *download, struct err *err)
{
    snprintf(download->temporary, sizeof download->temporary, ".download-%08x%08x", random_u32(),
             random_u32());
    download->fd = openat(folder_of(download), download->temporary,
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    return download->fd >= 0 ? 0 : err_system(err, ERR_INPUT, errno, "making a file");
}

static void choose_name(const struct download *download, char name[FILENAME_BYTES])
{
    char raw[FILENAME_RAW_BYTES];
    size_t len;
    const char *given = download->options->name;
    if (given != NULL && filename_make_safe(slice_from(given), name))
        return;
    if (filename_in_disposition(slice_from(download->disposition), raw, &len) &&
        filename_make_safe((slice){ raw, len }, name))
        return;
    if (filename_in_target(download->parsed.target, raw, &len) &&
        filename_make_safe((slice){ raw, len }, name))
        return;
    snprintf(name, FILENAME_BYTES, "download");
}

/* Reserves the name, or the first free one of name-1.png, name-2.png ..., by making that file. */
static int take_name(const struct download *download, char name[NAME_ROOM], struct err *err)
{
    char stem[FILENAME_BYTES];
    memcpy(stem, name, sizeof stem);
    const char *dot = strrchr(stem, '.');
    int stem_len = (int)(dot != NULL ? (size_t)(dot - stem) : strlen(stem));
    for (int number = 0; number < SAME_NAMES_MAX; number++) {
        if (number > 0)
            snprintf(name, NAME_ROOM, "%.*s-%d%s", stem_len, stem, number, stem + stem_len);
        int fd = openat(folder_of(download), name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                        S_IRUSR | S_IWUSR);
        if (fd >= 0) {
            close(fd);
            return 0;
        }
        if (errno != EEXIST)
            break;
    }
    return err_system(err, ERR_INPUT, errno, "making a file");
}

/* Fills in the file, whose texts become the job's memory. */
static int describe_file(const struct download *download, const char *name, rp_file *file,
                         struct err *err)
{
    char path[PATH_MAX + NAME_ROOM];
    struct rp_job *job = download->transfer->job;
    int len = snprintf(path, sizeof path, "%s/%s", scratch_path(job->scratch), name);
    if (download->memory != NULL)
        pthread_mutex_lock(download->memory);
    file->type = transfer_copy(job, slice_from(download->type), err);
    file->path = transfer_copy(job, (slice){ path, (size_t)len }, err);
    if (download->memory != NULL)
        pthread_mutex_unlock(download->memory);
    if (file->type == NULL || file->path == NULL)
        return err->code;
    file->bytes = download->bytes;
    file->name = file->path + len - strlen(name);
    return 0;
}

static int publish(const struct download *download, rp_file *file, struct err *err)
{
    char name[NAME_ROOM];
    choose_name(download, name);
    int rc = take_name(download, name, err);
    if (rc != 0)
        return rc;
    if (renameat(folder_of(download), download->temporary, folder_of(download), name) != 0)
        return err_system(err, ERR_INPUT, errno, "naming the file");
    return describe_file(download, name, file, err);
}

static int fetch_into_file(struct download *download, rp_file *file, struct err *err)
{
    int rc = open_temporary(download, err);
    if (rc != 0)
        return rc;
    rc = fetch(download, err);
    if (close(download->fd) != 0 && rc == 0)
        rc = err_system(err, ERR_INPUT, errno,
                        "writing the file"); /* a network volume may report errors only now */
    if (rc == 0)
        rc = publish(download, file, err);
    if (rc != 0)
        unlinkat(folder_of(download), download->temporary, 0);
    return rc;
}

/* Names the URL without its query, which may hold a signature. */
static void describe(const struct download *download, slice text, char *what, size_t size)
{
    slice shown = download->url.len > 0 ? buf_slice(&download->url) : text;
    shown.len = byte_class_until(shown, "?#");
    if (shown.len > 0 && memchr(shown.ptr, '@', shown.len) != NULL)
        shown.len = byte_class_until(shown, ":");
    snprintf(what, size, "Download of %.*s", shown.len < 500 ? (int)shown.len : 500, shown.ptr);
}

static const rp_download_options defaults;

uint32_t download_timeout_s(const rp_download_options *options)
{
    return options != NULL && options->timeout_s != 0 ? options->timeout_s : LIMIT_DOWNLOAD_S;
}

int download_run(struct transfer *transfer, pthread_mutex_t *memory, rp_str url,
                 const rp_download_options *options, rp_file *file, char what[DOWNLOAD_WHAT_BYTES],
                 struct err *err)
{
    struct download download = {
        .transfer = transfer,
        .memory = memory,
        .options = options != NULL ? options : &defaults,
    };
    judge_init(&download.judge, transfer->job->config, download.options->allow_private);
    buf_init(&download.url, URL_MAX_BYTES, "URL");
    int rc = read_limits(&download, err);
    if (rc == 0)
        rc = read_url(&download, url, err);
    if (rc == 0)
        rc = fetch_into_file(&download, file, err);
    describe(&download, url, what, DOWNLOAD_WHAT_BYTES);
    buf_free(&download.url);
    return rc;
}

int rp_download(rp_job *job, rp_str url, const rp_download_options *options, rp_file *file)
{
    struct transfer transfer;
    struct err err = { 0 };
    char what[DOWNLOAD_WHAT_BYTES] = "Download";
    int rc = scratch_ensure(job, &err);
    if (rc == 0)
        rc = transfer_begin(&transfer, job, download_timeout_s(options), &err);
    if (rc == 0) {
        rc = download_run(&transfer, NULL, url, options, file, what, &err);
        transfer_end(&transfer);
    }
    return rc == 0 ? RP_OK
                   : transfer_fail(job, options != NULL ? options->reason : NULL, what, &err);
}
