#include "files/unzip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "files/below.h"
#include "files/inflate.h"
#include "files/zip.h"

#define PIECE_BYTES 16384u
#define DIRECTORY_ENTRY_BYTES 4096u /* of the directory for each file that is allowed, at most */
_Static_assert(ZIP_NAME_BYTES <= PIECE_BYTES, "a name that is unpacked fits the piece, too");

/* Where an entry lies, for walking them in the order of the file. */
struct spot {
    uint64_t offset, bytes; /* in the archive: where its head is, and how much it takes at least */
    size_t record;          /* in the directory */
};

struct unzip {
    struct inflate inflate; /* first: a pointer to it is one to the whole */
    const struct unzip_limits *limits;
    struct unzip_done *done;
    int archive, folder;
    uint64_t archive_bytes;
    char *directory;
    size_t directory_bytes;
    struct spot *spots;
    size_t count;
    uint64_t last_end; /* of the entry before */
    uint64_t implied;  /* folders that were made as an entry lies in them */

    /* Of the entry that is being unpacked. */
    struct zip_entry entry;
    uint64_t at, left; /* its bytes in the archive: the next, and how many */
    uint64_t written;
    uint32_t crc;
    int fd;
    char piece[PIECE_BYTES];
    struct zip_crc crc_table;
};

/* --- reading the archive ---------------------------------------------------------------------- */

static int read_at(const struct unzip *self, uint64_t offset, char *to, size_t size,
                   struct err *err)
{
    ssize_t count = io_read_at(self->archive, offset, to, size);
    if (count < 0)
        return err_system(err, ERR_INPUT, errno, "reading the archive");
    if ((size_t)count < size)
        return err_set(err, ERR_INPUT, "the archive is cut off");
    return 0;
}

static int find_end(const struct unzip *self, struct zip_end *end, struct err *err)
{
    size_t size = self->archive_bytes < ZIP_TAIL_BYTES ? (size_t)self->archive_bytes
                                                       : ZIP_TAIL_BYTES;
    char *tail = malloc(size + 1);
    if (tail == NULL)
        return err_set(err, ERR_MEMORY, "no memory to read the archive's end");
    int rc = read_at(self, self->archive_bytes - size, tail, size, err);
    if (rc == 0)
        rc = zip_find_end((slice){ tail, size }, self->archive_bytes, end, err);
    free(tail);
    return rc;
}

static int read_directory(struct unzip *self, struct err *err)
{
    struct zip_end end = { 0 };
    int rc = find_end(self, &end, err);
    if (rc != 0)
        return rc;
    unsigned long long max_files = self->limits->max_files;
    if (end.entries > max_files)
        return err_set(err, ERR_LIMIT, "the archive has %llu entries, more than the limit of %llu",
                       (unsigned long long)end.entries, max_files);
    if (end.directory_bytes > max_files * DIRECTORY_ENTRY_BYTES)
        return err_set(err, ERR_LIMIT,
                       "the archive's directory has %llu bytes, more than %u for each of the %llu "
                       "files that are allowed",
                       (unsigned long long)end.directory_bytes, DIRECTORY_ENTRY_BYTES, max_files);
    self->directory_bytes = (size_t)end.directory_bytes;
    self->directory = malloc(self->directory_bytes + 1);
    self->spots = calloc((size_t)end.entries + 1, sizeof *self->spots);
    if (self->directory == NULL || self->spots == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the archive's directory");
    self->count = (size_t)end.entries;
    self->archive_bytes = end.directory_offset; /* entries lie before it */
    return read_at(self, end.directory_offset, self->directory, self->directory_bytes, err);
}

/* --- limits ----------------------------------------------------------------------------------- */

static int compare_spots(const void *a, const void *b)
{
    const struct spot *first = a, *second = b;
    return (first->offset > second->offset) - (first->offset < second->offset);
}

static int check_sizes(const struct unzip *self, uint64_t total, struct err *err)
{
    const struct unzip_limits *limits = self->limits;
    if (total > limits->max_bytes)
        return err_set(err, ERR_LIMIT, "it would take more than the limit of %llu bytes, unpacked",
                       (unsigned long long)limits->max_bytes);
    if (total > UNZIP_FREE_BYTES && total / limits->max_ratio > self->archive_bytes)
        return err_set(err, ERR_LIMIT,
                       "its files are more than %llu times as large as the archive, as in an "
                       "archive made to fill the disk",
                       (unsigned long long)limits->max_ratio);
    return 0;
}

static uint64_t least_bytes(const struct zip_entry *entry)
{
    uint64_t head = ZIP_HEAD_BYTES + entry->name.len;
    return entry->packed < UINT64_MAX - head ? head + entry->packed : UINT64_MAX;
}

/* Before anything is written: all entries can be read, and their sizes are within the limits. */
static int look_through(struct unzip *self, struct err *err)
{
    slice rest = { self->directory, self->directory_bytes };
    uint64_t total = 0;
    size_t count = 0, record = 0;
    int rc;
    while ((rc = zip_next(&rest, &self->entry, err)) > 0 && count < self->count) {
        bool fits = self->entry.bytes <= self->limits->max_bytes - total;
        total = fits ? total + self->entry.bytes : UINT64_MAX;
        rc = check_sizes(self, total, err);
        if (rc != 0)
            return rc;
        self->spots[count++] = (struct spot){ self->entry.offset, least_bytes(&self->entry),
                                              record };
        record = self->directory_bytes - rest.len;
    }
    if (rc > 0 || (rc == 0 && count < self->count))
        rc = err_set(err, ERR_INPUT, "the archive is damaged: its number of entries");
    qsort(self->spots, count, sizeof *self->spots, compare_spots);
    for (size_t i = 1; rc == 0 && i < count; i++)
        if (self->spots[i].offset - self->spots[i - 1].offset < self->spots[i - 1].bytes)
            rc = err_set(err, ERR_INPUT, "entries of the archive overlap");
    return rc;
}

/* --- one file --------------------------------------------------------------------------------- */

static bool is_stopped(const struct unzip *self)
{
    return self->limits->stop != NULL && flag_is_raised(self->limits->stop);
}

static int read_packed(struct inflate *inflate, slice *more, struct err *err)
{
    struct unzip *self = (void *)inflate;
    size_t size = self->left < PIECE_BYTES ? (size_t)self->left : PIECE_BYTES;
    int rc = is_stopped(self) ? err_set(err, ERR_CANCELLED, "stopped")
                              : read_at(self, self->at, self->piece, size, err);
    self->at += size;
    self->left -= size;
    *more = (slice){ self->piece, rc == 0 ? size : 0 };
    return rc;
}

static int write_bytes(struct inflate *inflate, slice bytes, struct err *err)
{
    struct unzip *self = (void *)inflate;
    if (is_stopped(self))
        return err_set(err, ERR_CANCELLED, "stopped");
    if (bytes.len > self->entry.bytes - self->written)
        return err_set(err, ERR_INPUT, "a file is larger than the directory says");
    if (io_write_all(self->fd, bytes) != 0)
        return err_system(err, ERR_INPUT, errno, "writing a file");
    self->written += bytes.len;
    self->crc = zip_crc_add(&self->crc_table, self->crc, bytes);
    return 0;
}

static int copy_stored(struct unzip *self, struct err *err)
{
    slice piece = { 0 };
    int rc = 0;
    while (rc == 0 && self->left > 0) {
        rc = read_packed(&self->inflate, &piece, err);
        if (rc == 0)
            rc = write_bytes(&self->inflate, piece, err);
    }
    return rc;
}

static int unpack(struct unzip *self, struct err *err)
{
    const struct zip_entry *entry = &self->entry;
    int rc;
    self->written = self->crc = 0;
    if (entry->method == ZIP_STORED)
        rc = copy_stored(self, err);
    else if (entry->method == ZIP_DEFLATED)
        rc = inflate_run(&self->inflate, err);
    else
        rc = err_set(err, ERR_INPUT, "compression method %u is not supported; deflate is",
                     entry->method);
    if (rc == 0 && (self->written != entry->bytes || self->crc != entry->crc))
        rc = err_set(err, ERR_INPUT, "its size or checksum differs from the directory's");
    return rc;
}

static int make_file(struct unzip *self, const char *path, struct err *err)
{
    const char *name;
    int folder = below_open_folder(self->folder, path, S_IRWXU, &self->implied, &name, err);
    if (folder < 0)
        return folder;
    self->fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                      S_IRUSR | S_IWUSR);
    int errnum = errno;
    close(folder);
    if (self->fd < 0)
        return errnum == EEXIST ? err_set(err, ERR_INPUT, "two entries have this name")
                                : err_system(err, ERR_INPUT, errnum, "creating the file");
    int rc = unpack(self, err);
    if (close(self->fd) != 0 && rc == 0)
        rc = err_system(err, ERR_INPUT, errno, "writing the file");
    return rc;
}

static int make_folder(struct unzip *self, const char *path, struct err *err)
{
    const char *name;
    int parent = below_open_folder(self->folder, path, S_IRWXU, &self->implied, &name, err);
    if (parent < 0)
        return parent;
    int rc = mkdirat(parent, name, S_IRWXU);
    int errnum = errno;
    struct stat info;
    if (rc != 0 && errnum == EEXIST)
        rc = fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode) ? 0
                                                                                             : -1;
    close(parent);
    return rc == 0 ? 0 : err_system(err, ERR_INPUT, errnum, "creating the folder");
}

/* --- all of them ------------------------------------------------------------------------------ */

/* Checks the head of the entry, and where its bytes lie. */
static int go_to(struct unzip *self, struct err *err)
{
    const struct zip_entry *entry = &self->entry;
    char head[ZIP_HEAD_BYTES], *name = self->piece; /* zip_safe_name has passed it: it fits */
    uint64_t skip = 0;
    if (entry->offset < self->last_end)
        return err_set(err, ERR_INPUT, "it overlaps another entry");
    int rc = read_at(self, entry->offset, head, sizeof head, err);
    if (rc == 0)
        rc = zip_check_head(head, entry, &skip, err);
    if (rc == 0)
        rc = read_at(self, entry->offset + sizeof head, name, entry->name.len, err);
    if (rc != 0)
        return rc;
    if (memcmp(name, entry->name.ptr, entry->name.len) != 0)
        return err_set(err, ERR_INPUT, "its header has another name");
    self->at = entry->offset + skip;
    self->left = entry->packed;
    if (self->at > self->archive_bytes || self->left > self->archive_bytes - self->at)
        return err_set(err, ERR_INPUT, "its bytes do not lie before the directory");
    self->last_end = self->at + self->left;
    return 0;
}

static int unpack_entry(struct unzip *self, const char *path, struct err *err)
{
    if (self->entry.is_special)
        return err_set(err, ERR_INPUT, "it is a link or a device, which are not unpacked");
    int rc = go_to(self, err);
    if (rc != 0)
        return rc;
    return self->entry.is_folder ? make_folder(self, path, err) : make_file(self, path, err);
}

/* Between two entries: one makes as many folders as its name has parts, at the most. */
static int check_progress(const struct unzip *self, struct err *err)
{
    if (is_stopped(self))
        return err_set(err, ERR_CANCELLED, "stopped");
    if (self->implied > self->limits->max_files)
        return err_set(err, ERR_LIMIT, "its names need more folders than the limit of %llu",
                       (unsigned long long)self->limits->max_files);
    return 0;
}

static int unpack_all(struct unzip *self, struct err *err)
{
    char path[ZIP_NAME_BYTES];
    for (size_t i = 0; i < self->count; i++) {
        size_t record = self->spots[i].record;
        slice rest = { self->directory + record, self->directory_bytes - record };
        int rc = zip_next(&rest, &self->entry, err);
        rc = rc < 0 ? rc : zip_safe_name(self->entry.name, path, err);
        if (rc != 0)
            return rc;
        rc = unpack_entry(self, path, err);
        if (rc != 0)
            return err_wrap(err, "%.200s", path);
        self->done->files += !self->entry.is_folder;
        self->done->bytes += self->entry.bytes;
        rc = check_progress(self, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int unzip_into(int archive, int folder, const struct unzip_limits *limits, struct unzip_done *done,
               struct err *err)
{
    struct stat info;
    struct unzip *self = calloc(1, sizeof *self);
    *done = (struct unzip_done){ 0 };
    if (self == NULL)
        return err_set(err, ERR_MEMORY, "no memory to unpack an archive");
    self->inflate.read = read_packed;
    self->inflate.write = write_bytes;
    self->limits = limits;
    self->done = done;
    self->archive = archive;
    self->folder = folder;
    zip_crc_init(&self->crc_table);
    int rc = fstat(archive, &info) != 0 || !S_ISREG(info.st_mode)
                 ? err_set(err, ERR_INPUT, "the archive is not a regular file")
                 : 0;
    self->archive_bytes = rc == 0 ? (uint64_t)info.st_size : 0;
    if (rc == 0)
        rc = read_directory(self, err);
    if (rc == 0)
        rc = look_through(self, err);
    if (rc == 0)
        rc = unpack_all(self, err);
    free(self->directory);
    free(self->spots);
    free(self);
    return rc;
}
