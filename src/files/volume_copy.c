/* Copying between a volume and the folders: files that appear complete, and many side by side. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/flag.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/thread.h"
#include "files/volume_cache_private.h"

#define PIECE_BYTES (256u * 1024u)

/* --- one file --------------------------------------------------------------------------------- */

int volume_output_open(struct volume_output *output, int folder, const char *name, struct err *err)
{
    *output = (struct volume_output){ .folder = folder, .name = name };
    int room = (int)(NAME_MAX - sizeof VOLUME_TMP - 20);
    snprintf(output->temporary, sizeof output->temporary, "%.*s.%08x%08x" VOLUME_TMP, room, name,
             random_u32(), random_u32());
    output->fd = openat(folder, output->temporary,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (output->fd >= 0)
        return 0;
    int errnum = errno;
    close(folder);
    return err_system(err, ERR_RETRY, errnum, "%.200s cannot be written", name);
}

int volume_output_close(struct volume_output *output, int rc, struct err *err)
{
    if (close(output->fd) != 0 && rc == 0) /* a network volume may report errors only now */
        rc = err_system(err, ERR_RETRY, errno, "%.200s cannot be written", output->name);
    if (rc == 0 && renameat(output->folder, output->temporary, output->folder, output->name) != 0)
        rc = err_system(err, ERR_INPUT, errno, "%.200s cannot be named", output->name);
    if (rc != 0)
        unlinkat(output->folder, output->temporary, 0);
    close(output->folder);
    return rc;
}

void volume_output_stamp(const struct volume_output *output, mode_t mode, struct timespec mtime)
{
    const struct timespec times[2] = { mtime, mtime };
    fchmod(output->fd, (mode & 0777) | S_IRUSR | S_IWUSR);
    futimens(output->fd, times);
}

static int copy_pieces(const struct volume_cache *cache, int from, int to, char *piece,
                       uint64_t *bytes, struct err *err)
{
    for (*bytes = 0;;) {
        ssize_t count = read(from, piece, PIECE_BYTES);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return err_system(err, ERR_RETRY, errno, "reading a file");
        if (count == 0)
            return 0;
        if (io_write_all(to, (slice){ piece, (size_t)count }) != 0)
            return err_system(err, ERR_RETRY, errno, "writing a file");
        *bytes += (uint64_t)count;
        if (cache->setting->is_ending())
            return err_set(err, ERR_CANCELLED, "the worker is shutting down");
    }
}

int volume_copy_bytes(const struct volume_cache *cache, int from, struct volume_output *to,
                      uint64_t *bytes, struct err *err)
{
    struct stat info;
    char *piece = malloc(PIECE_BYTES);
    if (piece == NULL)
        return err_set(err, ERR_MEMORY, "no memory to copy a file");
    int rc = fstat(from, &info) == 0 ? copy_pieces(cache, from, to->fd, piece, bytes, err)
                                     : err_system(err, ERR_INPUT, errno, "reading a file");
    free(piece);
    if (rc == 0)
        volume_output_stamp(to, info.st_mode, info.st_mtim);
    return rc;
}

/* --- many ------------------------------------------------------------------------------------- */

struct copying {
    const struct volume_cache *cache;
    int big;
    struct volume_list *list;
    volume_copy *copy;
    atomic_size_t next;   /* file to be taken */
    pthread_mutex_t lock; /* of the following */
    pthread_cond_t ended;
    size_t running; /* threads */
    struct volume_cache_done *done;
    bool is_cancelled;
};

void volume_count_failure(struct volume_cache_done *done, const struct err *err)
{
    done->is_cut |= err->code == ERR_RETRY || err->code == ERR_MEMORY;
    if (done->failed++ == 0)
        done->first = *err;
}

static void count_file(struct copying *copying, const struct volume_file *file, int rc,
                       const struct err *err)
{
    pthread_mutex_lock(&copying->lock);
    if (rc > 0) {
        copying->done->files++;
        copying->done->bytes += file->bytes;
    } else if (rc == ERR_CANCELLED) {
        copying->is_cancelled = true;
    } else if (rc < 0) {
        volume_count_failure(copying->done, err);
    }
    pthread_mutex_unlock(&copying->lock);
}

static void copy_files(struct copying *copying)
{
    for (size_t at; (at = atomic_fetch_add(&copying->next, 1)) < copying->list->count;) {
        struct err err = { 0 };
        struct volume_file *file = &copying->list->files[at];
        int rc = copying->cache->setting->is_ending()
                     ? ERR_CANCELLED
                     : copying->copy(copying->cache, copying->big, file, &err);
        count_file(copying, file, rc, &err);
        if (rc == ERR_CANCELLED)
            return;
    }
}

static void *copy_main(void *argument)
{
    struct copying *copying = argument;
    copy_files(copying);
    pthread_mutex_lock(&copying->lock);
    copying->running--;
    pthread_cond_signal(&copying->ended);
    pthread_mutex_unlock(&copying->lock);
    return NULL;
}

/* The calling thread copies, too. */
int volume_copy_all(const struct volume_cache *cache, int big, struct volume_list *list,
                    volume_copy *copy, struct volume_cache_done *done, struct err *err)
{
    struct copying copying = {
        .cache = cache, .big = big, .list = list, .copy = copy, .done = done
    };
    struct err none;
    size_t others = list->count < LIMIT_CACHE_COPIES ? list->count : LIMIT_CACHE_COPIES;
    pthread_mutex_init(&copying.lock, NULL);
    flag_cond_init(&copying.ended);
    for (; others > 1; others--) {
        pthread_mutex_lock(&copying.lock);
        copying.running++;
        pthread_mutex_unlock(&copying.lock);
        if (thread_start(copy_main, &copying, LIMIT_STACK_WATCH_BYTES, &none) == 0)
            continue;
        pthread_mutex_lock(&copying.lock);
        copying.running--;
        pthread_mutex_unlock(&copying.lock);
    }
    copy_files(&copying);
    pthread_mutex_lock(&copying.lock);
    while (copying.running > 0)
        pthread_cond_wait(&copying.ended, &copying.lock);
    bool is_cancelled = copying.is_cancelled;
    pthread_mutex_unlock(&copying.lock);
    return is_cancelled ? err_set(err, ERR_CANCELLED, "the worker is shutting down") : 0;
}
