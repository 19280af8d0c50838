/*
 * base/io.h - whole reads and whole writes: goes on where the system interrupts or cuts one short.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* Writes all of the bytes. Blocks. 0, or -1 with errno set. */
int io_write_all(int fd, slice bytes);

/*
 * Appends the whole file to out, whose maximum limits it. `flags` are added to O_RDONLY and
 * O_CLOEXEC for open(2). Blocks on the file system. ERR_INPUT naming the path, ERR_LIMIT,
 * ERR_MEMORY.
 */
int io_read_file(const char *path, int flags, struct buf *out, struct err *err);

/* The same for a descriptor, from where it stands to its end; `path` names it in errors. */
int io_read_fd(int fd, const char *path, struct buf *out, struct err *err);

/*
 * Reads from an offset of a file. Blocks on the file system. The number of bytes read, less than
 * `size` only where the file ends; -1 with errno set.
 */
ssize_t io_read_at(int fd, uint64_t offset, void *bytes, size_t size);

/*
 * Makes a folder and those above it that are not there, with that mode but for the umask. `path` is
 * changed during the call. Blocks on the file system. Whatever is wrong, opening the folder tells.
 */
void io_make_folders(char *path, mode_t mode);

#endif
