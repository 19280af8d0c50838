/* What a local run without a storage does instead of an upload: the content goes into a folder. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/upload_private.h"
#include "base/io.h"

#define FOLDER "local_upload/" /* the SDK's name */
#define PIECE_BYTES 16384

/* Makes the folders that lead to the file. */
static int make_folders(char *path, struct err *err)
{
    for (char *slash = path; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        int rc = mkdir(path, 0777) == 0 || errno == EEXIST
                     ? 0
                     : err_system(err, ERR_INPUT, errno, "creating the folder %s", path);
        *slash = '/';
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int copy(const struct upload *upload, int fd, struct err *err)
{
    char piece[PIECE_BYTES];
    for (uint64_t at = 0; at < upload->size;) {
        uint64_t left = upload->size - at;
        size_t size = left < sizeof piece ? (size_t)left : sizeof piece;
        int rc = upload_read_at(upload, at, piece, size, err);
        if (rc != 0)
            return rc;
        if (io_write_all(fd, (slice){ piece, size }) != 0)
            return err_system(err, ERR_INPUT, errno, "writing to " FOLDER);
        at += size;
    }
    return 0;
}

int upload_local_save(const struct upload *upload, struct buf *path, struct err *err)
{
    const struct log_tag tag = job_tag(upload->transfer.job->task);
    buf_add_text(path, FOLDER, NULL);
    buf_add_text(path, upload->key, NULL);
    buf_add(path, "", 1, NULL);
    int rc = buf_error(path, err);
    if (rc == 0)
        rc = make_folders(path->ptr, err);
    if (rc != 0)
        return rc;
    int fd = open(path->ptr, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_system(err, ERR_INPUT, errno, "%s", path->ptr);
    rc = copy(upload, fd, err);
    if (close(fd) != 0 && rc == 0)
        rc = err_system(err, ERR_INPUT, errno, "%s", path->ptr);
    buf_truncate(path, path->len - 1);
    if (rc == 0)
        log_write(LOG_INFO, &tag,
                  "No storage is set (BUCKET_ENDPOINT_URL), so this local run has saved an upload "
                  "in %.*s.",
                  SLICE_ARG(buf_slice(path)));
    return rc;
}
