/* A file in a scratch folder, by a path that comes from a program. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/scratch.h"
#include "base/text.h"
#include "base/utf8.h"

#define SHOWN_BYTES 200 /* of a path in an error */

/* The path in the folder: an absolute one has to begin with the folder's own. */
static int make_relative(const struct scratch *scratch, slice path, slice *relative,
                         struct err *err)
{
    slice folder = slice_from(scratch_path(scratch));
    *relative = path;
    if (path.len == 0 || path.ptr[0] != '/')
        return 0;
    *relative = path.len > folder.len ? slice_skip(path, folder.len) : (slice){ 0 };
    if (relative->len > 0 && memcmp(path.ptr, folder.ptr, folder.len) == 0 &&
        relative->ptr[0] == '/')
        return 0;
    return err_set(err, ERR_INPUT, "it is not in the job's folder, %.*s", SLICE_ARG(folder));
}

/* Cuts the first segment off a path. False at the end. */
static bool next_segment(slice *path, slice *segment)
{
    if (path->len == 0)
        return false;
    const char *slash = memchr(path->ptr, '/', path->len);
    segment->ptr = path->ptr;
    segment->len = slash != NULL ? (size_t)(slash - path->ptr) : path->len;
    *path = slice_skip(*path, segment->len + (slash != NULL));
    return true;
}

/* Its segments with a slash between them, without empty ones and ".". */
static int normalize(slice path, struct text *name, struct err *err)
{
    slice segment;
    if (path.len > 0 && memchr(path.ptr, '\0', path.len) != NULL)
        return err_set(err, ERR_INPUT, "there is a NUL byte in it");
    while (next_segment(&path, &segment)) {
        if (slice_is(segment, ".."))
            return err_set(err, ERR_INPUT, "\"..\" is not allowed in it");
        if (segment.len > 0 && !slice_is(segment, "."))
            text_add(name, "%s%.*s", name->len > 0 ? "/" : "", SLICE_ARG(segment));
    }
    if (name->is_cut)
        return err_set(err, ERR_INPUT, "it is longer than %d bytes", SCRATCH_NAME_BYTES - 1);
    return name->len > 0 ? 0 : err_set(err, ERR_INPUT, "it names no file");
}

/* Folder after folder, so that no link is followed. The descriptor, or -1. */
static int open_segments(int folder, slice path)
{
    slice segment;
    char name[NAME_MAX + 1];
    int fd = folder;
    while (fd >= 0 && next_segment(&path, &segment)) {
        bool is_last = path.len == 0;
        struct text text = TEXT_OVER(name);
        text_add(&text, "%.*s", SLICE_ARG(segment));
        int next = text.is_cut ? -1
                               : openat(fd, name,
                                        is_last ? O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC
                                                : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int errnum = text.is_cut ? ENAMETOOLONG : errno;
        if (fd != folder)
            close(fd);
        errno = errnum;
        fd = next;
    }
    return fd;
}

static int open_regular(int folder, slice path, uint64_t *bytes, struct err *err)
{
    struct stat info;
    int fd = open_segments(folder, path);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return err_set(err, ERR_INPUT, "a part of it is a link, which is not followed, or a file");
    if (fd < 0)
        return err_set(err, ERR_INPUT, "%s", strerror(errno));
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
        *bytes = (uint64_t)info.st_size;
        return fd;
    }
    close(fd);
    return err_set(err, ERR_INPUT, "it is not a regular file");
}

int scratch_open_file(const struct scratch *scratch, slice path, char name[SCRATCH_NAME_BYTES],
                      uint64_t *bytes, struct err *err)
{
    struct text text = text_over(name, SCRATCH_NAME_BYTES);
    slice relative;
    int rc = make_relative(scratch, path, &relative, err);
    if (rc == 0)
        rc = normalize(relative, &text, err);
    if (rc == 0)
        rc = open_regular(scratch_fd(scratch), text_slice(&text), bytes, err);
    if (rc < 0)
        err_wrap(err, "%.*s", SLICE_ARG(utf8_head(path, SHOWN_BYTES)));
    return rc;
}
