/*
 * files/tar.h - heads of tar archives: POSIX's ustar and pax (IEEE Std 1003.1, pax), and GNU tar's
 * long names, which is what GNU tar and Python's tarfile write. Pure; allocates nothing.
 *
 * An archive is a row of heads of TAR_BLOCK_BYTES, each followed by its data, filled up to whole
 * blocks. Heads of extensions (a pax record, a long name) hold for the next one.
 */
#ifndef FILES_TAR_H
#define FILES_TAR_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define TAR_BLOCK_BYTES 512u
#define TAR_PATH_BYTES 4096u /* NUL included; an entry with a longer one is passed over */
#define TAR_EXTENSION_BYTES (64u << 10) /* the data of an extension */

enum tar_kind {
    TAR_FILE,      /* a regular file */
    TAR_EXTENSION, /* its data goes to tar_extend */
    TAR_OTHER,     /* a folder, a link, ...: to be passed over with its data */
    TAR_END,       /* a block of zeros: the end */
};

struct tar_entry {
    enum tar_kind kind;
    char type; /* the head's own letter */
    uint64_t bytes;
    int64_t mtime_s; /* rounded down */
    unsigned mode;
    char path[TAR_PATH_BYTES]; /* "": too long */
};

/* What extensions say of the next entry. All zero at the start of an archive. */
struct tar_more {
    bool has_path, has_mtime, has_bytes;
    struct tar_entry values;
};

/*
 * Reads a head. What extensions have said replaces what it says, and is forgotten unless it is an
 * extension itself. ERR_INPUT for a wrong checksum or number.
 */
int tar_read(const char head[TAR_BLOCK_BYTES], struct tar_more *more, struct tar_entry *entry,
             struct err *err);

/* Takes the data of an extension, entry->bytes of it. ERR_INPUT where it is malformed. */
int tar_extend(struct tar_more *more, const struct tar_entry *entry, slice data, struct err *err);

/* How many bytes fill up the last block of that much data. */
static inline unsigned tar_padding(uint64_t bytes)
{
    return (unsigned)(-bytes % TAR_BLOCK_BYTES);
}

/*
 * Appends the head of a regular file, preceded by a long name where the path needs it: whole
 * blocks. A time before 1970 or after 2242 becomes the nearest that fits. Errors as buf_add.
 */
int tar_put(struct buf *out, slice path, uint64_t bytes, int64_t mtime_s, unsigned mode,
            struct err *err);

#endif
