/* small.tar: all small files of a cache in one archive, which a volume hands over at once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "files/below.h"
#include "files/tar.h"
#include "files/volume_cache_private.h"

/* --- reading ---------------------------------------------------------------------------------- */

/* The archive as it is read from its start, through a buffer. */
struct input {
    bool (*is_ending)(void); /* the setting's */
    int fd;
    size_t at, len; /* of the buffer: what is left to be used */
    char buffer[VOLUME_SMALL_BYTES];
};

static int fill(struct input *input, struct err *err)
{
    ssize_t count;
    if (input->is_ending())
        return err_set(err, ERR_CANCELLED, "the worker is shutting down");
    do {
        count = read(input->fd, input->buffer, sizeof input->buffer);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return err_system(err, ERR_RETRY, errno, "reading " VOLUME_SMALL);
    if (count == 0)
        return err_set(err, ERR_INPUT, VOLUME_SMALL " is cut off");
    input->at = 0;
    input->len = (size_t)count;
    return 0;
}

/* The next bytes, at most `most`, which is not 0. */
static int take(struct input *input, uint64_t most, slice *bytes, struct err *err)
{
    int rc = input->at == input->len ? fill(input, err) : 0;
    if (rc != 0)
        return rc;
    size_t left = input->len - input->at;
    *bytes = (slice){ input->buffer + input->at, most < left ? (size_t)most : left };
    input->at += bytes->len;
    return 0;
}

/* Exactly that many bytes, to memory; NULL: passed over. */
static int take_all(struct input *input, uint64_t count, char *to, struct err *err)
{
    slice bytes;
    for (int rc; count > 0; count -= bytes.len) {
        rc = take(input, count, &bytes, err);
        if (rc != 0)
            return rc;
        if (to != NULL) {
            memcpy(to, bytes.ptr, bytes.len);
            to += bytes.len;
        }
    }
    return 0;
}

/* Takes all of an entry's data, also where it cannot be written, which *failure then says. */
static int write_data(struct input *input, uint64_t count, int to, struct err *failure,
                      struct err *err)
{
    slice bytes;
    failure->code = 0;
    for (int rc; count > 0; count -= bytes.len) {
        rc = take(input, count, &bytes, err);
        if (rc != 0)
            return rc;
        if (failure->code == 0 && io_write_all(to, bytes) != 0)
            err_system(failure, ERR_RETRY, errno, "writing a file");
    }
    return 0;
}

/* --- restoring -------------------------------------------------------------------------------- */

/*
 * The folder where the file of that path goes, and its name there, which is part of the path; -1
 * where it is not to be written.
 */
static int open_place(const struct volume_cache *cache, const struct tar_entry *entry,
                      const char *path, const char **name, struct volume_cache_done *done)
{
    const char *below;
    struct err err;
    int root = volume_folder_of(cache, path, &below);
    if (root < 0)
        return -1;
    int folder = below_open_folder(root, below, VOLUME_FOLDER_MODE, NULL, name, &err);
    if (folder < 0) {
        volume_count_failure(done, &err);
        return -1;
    }
    if (!volume_is_current(folder, *name, entry->bytes, (double)entry->mtime_s, true))
        return folder;
    close(folder);
    return -1;
}

/* Takes all of the entry's data. A file that cannot be written is counted, and does no harm. */
static int restore_entry(const struct volume_cache *cache, struct input *input,
                         const struct tar_entry *entry, struct volume_cache_done *done,
                         struct err *err)
{
    char path[TAR_PATH_BYTES + 1];
    struct volume_output output;
    struct err failure = { 0 };
    const char *name;
    snprintf(path, sizeof path, "/%s", entry->path);
    int folder = open_place(cache, entry, path, &name, done);
    int opened = folder < 0 ? -1 : volume_output_open(&output, folder, name, &failure);
    int rc = opened == 0 ? write_data(input, entry->bytes, output.fd, &failure, err)
                         : take_all(input, entry->bytes, NULL, err);
    if (opened == 0) {
        volume_output_stamp(&output, entry->mode, (struct timespec){ .tv_sec = entry->mtime_s });
        volume_output_close(&output, rc != 0 ? rc : failure.code, &failure);
    }
    if (failure.code != 0) {
        volume_count_failure(done, &failure);
    } else if (opened == 0 && rc == 0) {
        done->files++;
        done->bytes += entry->bytes;
    }
    return rc;
}

static int take_extension(struct input *input, struct tar_more *more, const struct tar_entry *entry,
                          struct err *err)
{
    char *data = malloc((size_t)entry->bytes + 1);
    if (data == NULL)
        return err_set(err, ERR_MEMORY, "no memory to read " VOLUME_SMALL);
    int rc = take_all(input, entry->bytes, data, err);
    if (rc == 0)
        rc = tar_extend(more, entry, (slice){ data, (size_t)entry->bytes }, err);
    free(data);
    return rc;
}

/* 1 after an entry, 0 at the archive's end. */
static int restore_next(const struct volume_cache *cache, struct input *input,
                        struct tar_more *more, struct volume_cache_done *done, struct err *err)
{
    char head[TAR_BLOCK_BYTES];
    struct tar_entry entry;
    int rc = take_all(input, sizeof head, head, err);
    if (rc == 0)
        rc = tar_read(head, more, &entry, err);
    if (rc != 0)
        return rc;
    if (entry.kind == TAR_END)
        return 0;
    if (entry.kind == TAR_EXTENSION)
        rc = take_extension(input, more, &entry, err);
    else if (entry.kind == TAR_FILE)
        rc = restore_entry(cache, input, &entry, done, err);
    else
        rc = take_all(input, entry.bytes, NULL, err);
    if (rc == 0)
        rc = take_all(input, tar_padding(entry.bytes), NULL, err);
    return rc == 0 ? 1 : rc;
}

static int restore_all(const struct volume_cache *cache, struct input *input, struct tar_more *more,
                       struct volume_cache_done *done, struct err *err)
{
    int rc = 1;
    input->at = input->len = 0;
    while (rc > 0)
        rc = cache->setting->is_ending()
                 ? err_set(err, ERR_CANCELLED, "the worker is shutting down")
                 : restore_next(cache, input, more, done, err);
    return rc;
}

int volume_small_restore(const struct volume_cache *cache, int root, struct volume_cache_done *done,
                         struct err *err)
{
    int fd = below_open_file(root, VOLUME_SMALL, err);
    if (fd < 0)
        return fd;
    struct tar_more *more = calloc(1, sizeof *more);
    struct input *input = malloc(sizeof *input);
    int rc;
    if (more == NULL || input == NULL) {
        rc = err_set(err, ERR_MEMORY, "no memory to read " VOLUME_SMALL);
    } else {
        input->fd = fd;
        input->is_ending = cache->setting->is_ending;
        rc = restore_all(cache, input, more, done, err);
    }
    close(fd);
    free(input);
    free(more);
    return rc;
}

/* --- saving ----------------------------------------------------------------------------------- */

/* Where its size is another one than before, the file is being written: it is cut or filled up. */
static int put_data(struct buf *out, int from, uint64_t bytes, struct err *err)
{
    size_t end = out->len + (size_t)bytes + tar_padding(bytes);
    int rc = buf_reserve(out, (size_t)bytes + tar_padding(bytes), err);
    if (rc != 0)
        return rc;
    memset(out->ptr + out->len, 0, end - out->len);
    for (uint64_t got = 0; got < bytes;) {
        ssize_t count = read(from, out->ptr + out->len + got, (size_t)(bytes - got));
        if (count < 0 && errno != EINTR)
            return err_system(err, ERR_INPUT, errno, "reading a file");
        if (count == 0)
            break;
        got += count > 0 ? (uint64_t)count : 0;
    }
    out->len = end;
    return 0;
}

/* 1 with head and data of a file in `out`; 0 where it is gone, or not small any more. */
static int read_file(const struct volume_cache *cache, struct volume_file *file, struct buf *out,
                     struct err *err)
{
    struct stat info;
    struct err none;
    const char *below = "";
    int folder = volume_folder_of(cache, file->path.ptr, &below);
    int from = below_open_file(folder, below, &none);
    buf_clear(out);
    if (from < 0)
        return 0;
    int rc = 0;
    bool is_small = fstat(from, &info) == 0 && info.st_size < VOLUME_SMALL_BYTES;
    if (is_small) {
        file->bytes = (uint64_t)info.st_size;
        file->mtime_s = volume_mtime_s(&info);
        rc = tar_put(out, slice_skip(file->path, 1), file->bytes, (int64_t)info.st_mtim.tv_sec,
                     info.st_mode, err);
    }
    if (is_small && rc == 0)
        rc = put_data(out, from, file->bytes, err);
    close(from);
    return rc != 0 ? rc : is_small;
}

static int pack(const struct volume_cache *cache, int to, struct volume_list *small,
                struct volume_cache_done *done, struct err *err)
{
    static const char end[2 * TAR_BLOCK_BYTES];
    struct buf out;
    size_t kept = 0;
    int rc = 0;
    buf_init(&out, VOLUME_SMALL_BYTES + 64u * 1024u, "a small file");
    for (size_t i = 0; i < small->count && rc >= 0; i++) {
        rc = read_file(cache, &small->files[i], &out, err);
        if (rc > 0 && io_write_all(to, buf_slice(&out)) != 0)
            rc = err_system(err, ERR_INPUT, errno, "writing " VOLUME_SMALL);
        if (rc >= 0 && cache->setting->is_ending())
            rc = err_set(err, ERR_CANCELLED, "the worker is shutting down");
        if (rc <= 0)
            continue;
        done->bytes += small->files[i].bytes;
        small->files[kept++] = small->files[i];
    }
    buf_free(&out);
    small->count = kept;
    if (rc >= 0 && io_write_all(to, (slice){ end, sizeof end }) != 0)
        rc = err_system(err, ERR_INPUT, errno, "writing " VOLUME_SMALL);
    return rc < 0 ? rc : 0;
}

int volume_small_save(const struct volume_cache *cache, int root, struct volume_list *small,
                      struct volume_cache_done *done, struct err *err)
{
    struct volume_output output;
    int rc = volume_output_open(&output, fcntl(root, F_DUPFD_CLOEXEC, 0), VOLUME_SMALL, err);
    if (rc != 0)
        return rc;
    rc = volume_output_close(&output, pack(cache, output.fd, small, done, err), err);
    done->files += rc == 0 ? small->count : 0;
    return rc;
}
