#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own_call.h"

#define READ_BYTES 4096 /* least room for one read; the buffer grows by more as the file does */

int io_write_all(int fd, slice bytes)
{
    while (bytes.len > 0) {
        ssize_t count = write(fd, bytes.ptr, bytes.len);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -1;
        bytes = slice_skip(bytes, (size_t)count);
    }
    return 0;
}

int io_read_fd(int fd, const char *path, struct buf *out, struct err *err)
{
    for (;;) {
        size_t room = out->max - out->len;
        int rc = buf_reserve(out, room > READ_BYTES ? READ_BYTES : room + (room == 0), err);
        if (rc != 0)
            return rc;
        ssize_t count = read(fd, out->ptr + out->len, out->cap - out->len);
        if (count == 0)
            return 0;
        if (count > 0)
            out->len += (size_t)count;
        else if (errno != EINTR)
            return err_system(err, ERR_INPUT, errno, "cannot read %s", path);
    }
}

int io_read_file(const char *path, int flags, struct buf *out, struct err *err)
{
    int fd = own_open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return err_system(err, ERR_INPUT, errno, "cannot open %s", path);
    int rc = io_read_fd(fd, path, out, err);
    close(fd);
    return rc;
}

ssize_t io_read_at(int fd, uint64_t offset, void *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -1;
        if (count == 0)
            break;
        done += (size_t)count;
    }
    return (ssize_t)done;
}

void io_make_folders(char *path, mode_t mode)
{
    for (char *at = path; *at != '\0' && (at = strchr(at + 1, '/')) != NULL; *at = '/') {
        *at = '\0';
        mkdir(path, mode);
    }
    mkdir(path, mode);
}
