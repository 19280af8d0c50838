/* worker.h: a URL of the input becomes a file of the job. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/version.h"
#include "codec/chars.h"
#include "codec/filename.h"
#include "codec/ip.h"
#include "codec/url.h"
#include "job/scratch.h"
#include "job/transfer.h"

#define PIECE_BYTES 16384
#define DISPOSITION_BYTES 2048 /* a longer field is as good as none */
#define SAME_NAMES_MAX 100000  /* files of one name in a job's folder */
#define NAME_ROOM (FILENAME_BYTES + 16)

struct download {
    struct transfer transfer;
    const rp_download_options *options;
    uint64_t max_bytes;
    bool only_public;
    struct buf url;
    struct url parsed; /* points into url */
    char part[32];     /* the file's name until it is whole */
    int fd;
    uint64_t bytes;
    char disposition[DISPOSITION_BYTES];
    char type[HTTP_CONTENT_TYPE_BYTES];
};

/* --- what may be fetched -------------------------------------------------------------------- */

static int judge_public(const struct address_filter *self, const struct address *address,
                        struct err *err)
{
    char text[ADDRESS_TEXT_BYTES];
    (void)self;
    bool v4 = address->any.sa_family == AF_INET;
    const void *bytes = v4 ? (const void *)&address->v4.sin_addr
                           : (const void *)&address->v6.sin6_addr;
    if (ip_is_public(bytes, v4 ? IP_V4_BYTES : IP_V6_BYTES))
        return 0;
    address_text(address, text);
    return err_set(err, ERR_INPUT,
                   "%s is no public address (RP_ALLOW_PRIVATE_DOWNLOADS=1 would allow it)", text);
}

static const struct address_filter only_public = { judge_public };

static bool is_on(const char *name)
{
    slice value = slice_from(getenv(name));
    return slice_is(value, "1") || slice_is_nocase(value, "true") || slice_is_nocase(value, "yes");
}

static int read_limits(struct download *download, struct err *err)
{
    static const char variable[] = "RUNPOD_MAX_DOWNLOAD_BYTES";
    const char *text = getenv(variable);
    download->only_public = !download->options->allow_private &&
                            !is_on("RP_ALLOW_PRIVATE_DOWNLOADS") &&
                            !is_on("RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS");
    download->max_bytes = LIMIT_DOWNLOAD_BYTES;
    if (download->options->max_bytes != 0)
        download->max_bytes = download->options->max_bytes;
    else if (text != NULL && text[0] != '\0' &&
             !chars_decimal(slice_from(text), INT64_MAX, &download->max_bytes))
        return err_set(err, ERR_CONFIG, "%s is \"%.32s\"; it must be a number of bytes", variable,
                       text);
    return 0;
}

/* People write URLs with blanks and letters of their own; servers want them percent-encoded. */
static int put_url(struct buf *out, slice text, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < text.len; i++) {
        slice c = { text.ptr + i, 1 };
        bool as_it_is = chars_in(*c.ptr, CHARS_VISIBLE) || (unsigned char)*c.ptr < 0x20;
        rc = as_it_is ? buf_add_slice(out, c, err) : url_encode(out, c, err);
    }
    return rc;
}

static int read_url(struct download *download, slice text, struct err *err)
{
    int rc = put_url(&download->url, json_trim(text), err);
    if (rc == 0)
        rc = url_parse(buf_slice(&download->url), &download->parsed, err);
    if (rc == 0 && download->parsed.user.len > 0)
        rc = err_set(err, ERR_INPUT, "a URL with a user or password in it is not fetched");
    return rc;
}

/* --- one try -------------------------------------------------------------------------------- */

static int write_all(struct download *download, const char *bytes, size_t size, struct err *err)
{
    while (size > 0) {
        ssize_t count = write(download->fd, bytes, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return err_system(err, ERR_INPUT, errno, "writing the file");
        bytes += count;
        size -= (size_t)count;
    }
    return 0;
}

static int too_large(const struct download *download, struct err *err)
{
    return err_set(err, ERR_LIMIT, "it is larger than the limit of %llu bytes",
                   (unsigned long long)download->max_bytes);
}

static int read_file(struct download *download, struct err *err)
{
    char piece[PIECE_BYTES];
    for (;;) {
        ptrdiff_t count = http_read(download->transfer.client, piece, sizeof piece, err);
        if (count <= 0)
            return (int)count;
        if ((uint64_t)count > download->max_bytes - download->bytes)
            return too_large(download, err);
        int rc = write_all(download, piece, (size_t)count, err);
        if (rc != 0)
            return rc;
        download->bytes += (uint64_t)count;
    }
}

static int check_head(const struct download *download, const struct http_answer *answer,
                      struct err *err)
{
    if (answer->status != 200 && answer->status != 203)
        return transfer_refused(answer->status, err);
    if (answer->encoded)
        return err_set(err, ERR_PEER, "the file came compressed, though that was not asked for");
    if (answer->has_length && answer->length > download->max_bytes)
        return too_large(download, err);
    return 0;
}

/* Returns 0 with the whole file written, or an error. */
static int try_once(struct download *download, struct http_answer *answer, struct err *err)
{
    const struct http1_field fields[] = {
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Accept"), SLICE_LITERAL("*/*") },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
    };
    const struct http1_field authorization = { SLICE_LITERAL("Authorization"),
                                               slice_from(download->options->authorization) };
    struct http_wanted wanted[] = {
        { "Content-Disposition", download->disposition, sizeof download->disposition },
    };
    struct http_request request = {
        .method = "GET",
        .url = buf_slice(&download->url),
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0],
        .home_fields = &authorization,
        .home_field_count = download->options->authorization != NULL,
        .wanted = wanted,
        .wanted_count = 1,
        .any_host = true,
        .filter = download->only_public ? &only_public : NULL,
    };
    transfer_request(&download->transfer, &request);
    int rc = http_open(download->transfer.client, &request, answer, err);
    if (rc != 0)
        return rc;
    rc = check_head(download, answer, err);
    if (rc == 0)
        rc = read_file(download, err);
    http_end(download->transfer.client);
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
        struct http_answer answer = { 0 };
        int rc = start_over(download, err);
        if (rc == 0)
            rc = try_once(download, &answer, err);
        if (rc == 0)
            return 0;
        if (!transfer_again(&download->transfer, &answer, LIMIT_DOWNLOAD_TRIES, err))
            return err->code;
    }
}

/* --- the file ------------------------------------------------------------------------------- */

static int folder_of(const struct download *download)
{
    return scratch_fd(download->transfer.job->scratch);
}

static int open_part(struct download *download, struct err *err)
{
    snprintf(download->part, sizeof download->part, ".download-%08x%08x", random_u32(),
             random_u32());
    download->fd = openat(folder_of(download), download->part,
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

/* Takes the name, or the first of name-1.png, name-2.png ... that is free, by making that file. */
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

static int publish(const struct download *download, rp_file *file, struct err *err)
{
    char name[NAME_ROOM];
    char path[PATH_MAX + NAME_ROOM];
    struct rp_job *job = download->transfer.job;
    choose_name(download, name);
    int rc = take_name(download, name, err);
    if (rc != 0)
        return rc;
    if (renameat(folder_of(download), download->part, folder_of(download), name) != 0)
        return err_system(err, ERR_INPUT, errno, "naming the file");
    int len = snprintf(path, sizeof path, "%s/%s", scratch_path(job->scratch), name);
    file->bytes = download->bytes;
    file->type = transfer_copy(job, slice_from(download->type), err);
    file->path = transfer_copy(job, (slice){ path, (size_t)len }, err);
    if (file->type == NULL || file->path == NULL)
        return err->code;
    file->name = file->path + len - strlen(name);
    return 0;
}

static int fetch_into_file(struct download *download, rp_file *file, struct err *err)
{
    int rc = open_part(download, err);
    if (rc != 0)
        return rc;
    rc = fetch(download, err);
    if (close(download->fd) != 0 && rc == 0)
        rc = err_system(err, ERR_INPUT, errno, "writing the file"); /* a full network volume */
    if (rc == 0)
        rc = publish(download, file, err);
    if (rc != 0)
        unlinkat(folder_of(download), download->part, 0);
    return rc;
}

/* The URL without its query, which may hold a signature. */
static void describe(const struct download *download, slice text, char *what, size_t size)
{
    slice shown = download->url.len > 0 ? buf_slice(&download->url) : text;
    shown.len = chars_until(shown, "?#");
    if (shown.len > 0 && memchr(shown.ptr, '@', shown.len) != NULL)
        shown.len = chars_until(shown, ":");
    snprintf(what, size, "Download of %.*s", shown.len < 500 ? (int)shown.len : 500, shown.ptr);
}

int rp_download(rp_job *job, rp_str url, const rp_download_options *options, rp_file *file)
{
    static const rp_download_options defaults;
    struct download download = { .options = options != NULL ? options : &defaults };
    struct err err = { 0 };
    char what[600];
    uint32_t timeout_s = download.options->timeout_s;
    buf_init(&download.url, URL_MAX_BYTES, "URL");
    int rc = read_limits(&download, &err);
    if (rc == 0)
        rc = read_url(&download, url, &err);
    if (rc == 0)
        rc = rp_job_scratch(job, &err);
    if (rc == 0)
        rc = transfer_begin(&download.transfer, job, timeout_s != 0 ? timeout_s : LIMIT_DOWNLOAD_S,
                            &err);
    if (rc == 0) {
        rc = fetch_into_file(&download, file, &err);
        transfer_end(&download.transfer);
    }
    describe(&download, url, what, sizeof what);
    buf_free(&download.url);
    return rc == 0 ? RP_OK : transfer_fail(job, download.options->reason, what, &err);
}
