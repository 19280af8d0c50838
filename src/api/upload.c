#include "api/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/scratch.h"
#include "api/upload_private.h"
#include "base/limits.h"

static int open_file(struct upload *upload, const char *path, struct err *err)
{
    struct stat info;
    upload->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (upload->fd < 0 || fstat(upload->fd, &info) != 0)
        return err_system(err, ERR_INPUT, errno, "%s", path);
    upload->size = (uint64_t)info.st_size;
    return S_ISREG(info.st_mode) ? 0 : err_set(err, ERR_INPUT, "%s is not a regular file", path);
}

/* --- the upload ------------------------------------------------------------------------------ */

static int give_url(const struct upload *upload, rp_str *url, struct err *err)
{
    *url = buf_slice(&upload->url);
    url->ptr = transfer_copy(upload->transfer.job, *url, err);
    return url->ptr != NULL ? 0 : err->code;
}

static int put_link(struct upload *upload, rp_str *url, struct err *err)
{
    uint32_t expires_s = upload->options->expires_s;
    if (expires_s == 0 || expires_s > LIMIT_LINK_S)
        expires_s = LIMIT_LINK_S;
    buf_clear(&upload->url);
    int rc = s3_put_link(&upload->s3, (int64_t)time(NULL), expires_s, &upload->url, err);
    if (rc != 0)
        return rc;
    return give_url(upload, url, err);
}

static int put_whole(struct upload *upload, struct err *err)
{
    const struct upload_window window = upload_window_of(upload, 0, upload->size);
    const struct upload_request request = { .method = "PUT",
                                            .content_type = slice_from(upload->content_type),
                                            .window = &window };
    struct http_response answer;
    return upload_exchange(upload, &request, &answer, err);
}

static int upload_all(struct upload *upload, rp_str *url, struct err *err)
{
    buf_init(&upload->url, URL_MAX_BYTES, "URL");
    buf_init(&upload->authorization, 4096, "Authorization");
    buf_init(&upload->reply, LIMIT_REPLY_BYTES, "response of the storage");
    int rc;
    if (upload->is_local)
        rc = upload_local_save(upload, &upload->url, err);
    else
        rc = upload->size > LIMIT_PART_BYTES ? upload_in_parts(upload, err)
                                             : put_whole(upload, err);
    if (rc == 0)
        rc = upload->is_local ? give_url(upload, url, err) : put_link(upload, url, err);
    buf_free(&upload->url);
    buf_free(&upload->authorization);
    buf_free(&upload->reply);
    return rc;
}

/* Uploads the content of upload->fd or upload->bytes; path is NULL for bytes. */
static int run(struct upload *upload, rp_job *job, const char *path, rp_str *url, struct err *err)
{
    uint32_t timeout_s = upload->options->timeout_s;
    upload->transfer.job = job;
    int rc = upload_setting_choose(upload, path, err);
    if (rc != 0)
        return rc;
    if (upload->is_local)
        return upload_all(upload, url, err);
    rc = transfer_begin(&upload->transfer, job, timeout_s != 0 ? timeout_s : LIMIT_UPLOAD_S, err);
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

int upload_scratch_file(rp_job *job, slice path, rp_str *url, struct err *err)
{
    char name[SCRATCH_NAME_BYTES];
    const rp_upload_options options = { .name = name };
    struct upload upload = { .options = &options };
    if (job->scratch == NULL)
        return err_set(err, ERR_INPUT,
                       "the job has no scratch folder (set RP_SCRATCH_DIR to a "
                       "writable folder)");
    upload.fd = scratch_open_file(job->scratch, path, name, &upload.size, err);
    if (upload.fd < 0)
        return upload.fd;
    int rc = run(&upload, job, NULL, url, err);
    close(upload.fd);
    return rc;
}

int upload_bytes(rp_job *job, slice bytes, const char *name, const char *type, rp_str *url,
                 struct err *err)
{
    const rp_upload_options options = { .name = name, .content_type = type };
    struct upload upload = { .options = &options, .fd = -1, .bytes = bytes, .size = bytes.len };
    return run(&upload, job, NULL, url, err);
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
