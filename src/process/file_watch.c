#include "process/file_watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"

#define EVENTS (IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB)

/* By which a file is known to be the same, with the same content. */
struct trait {
    bool exists;
    dev_t device;
    ino_t inode;
    off_t size;
    mode_t mode;
    struct timespec modified;
};

struct watched {
    char *path;
    struct trait trait; /* at the last look */
};

struct file_watch {
    struct watched *files;
    size_t count;
    int fd; /* of inotify */
    void (*changed)(const char *path, void *owner);
    void *owner;
};

static struct trait look_at(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return (struct trait){ 0 };
    return (
        struct trait){ true, info.st_dev, info.st_ino, info.st_size, info.st_mode, info.st_mtim };
}

static bool is_same(const struct trait *a, const struct trait *b)
{
    return a->exists == b->exists && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->mode == b->mode && a->modified.tv_sec == b->modified.tv_sec &&
           a->modified.tv_nsec == b->modified.tv_nsec;
}

/* The first that has changed since the last look; NULL: none has. */
static const char *find_changed(struct file_watch *watch)
{
    const char *path = NULL;
    for (size_t i = 0; i < watch->count; i++) {
        struct trait now = look_at(watch->files[i].path);
        if (path == NULL && !is_same(&now, &watch->files[i].trait))
            path = watch->files[i].path;
        watch->files[i].trait = now;
    }
    return path;
}

static bool all_exist(const struct file_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        if (!watch->files[i].trait.exists)
            return false;
    return true;
}

/* --- folders ---------------------------------------------------------------------------------- */

static void watch_folder(const struct file_watch *watch, const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (len >= sizeof folder)
        return;
    memcpy(folder, slash == NULL ? "." : path, slash == NULL ? 2 : len);
    if (slash != NULL)
        folder[len] = '\0';
    inotify_add_watch(watch->fd, folder, EVENTS);
}

/* Again and again, since a folder may be replaced; for one that is watched this changes nothing. */
static void watch_folders(const struct file_watch *watch)
{
    char target[PATH_MAX];
    for (size_t i = 0; i < watch->count; i++) {
        watch_folder(watch, watch->files[i].path);
        if (realpath(watch->files[i].path, target) != NULL)
            watch_folder(watch, target);
    }
}

static void wait_for_event(const struct file_watch *watch, deadline_ms deadline)
{
    char events[4096] __attribute__((aligned(8)));
    struct pollfd entry = { .fd = watch->fd, .events = POLLIN };
    deadline = clock_earlier(deadline, clock_deadline(LIMIT_LOOK_MS));
    if (poll(&entry, 1, clock_left_ms(deadline)) > 0)
        while (read(watch->fd, events, sizeof events) > 0)
            continue;
}

static void *watch_main(void *argument)
{
    struct file_watch *watch = argument;
    deadline_ms settled = DEADLINE_NEVER;
    const char *path = NULL;
    for (;;) {
        watch_folders(watch);
        const char *changed = find_changed(watch);
        if (changed != NULL) {
            path = changed;
            settled = clock_deadline(LIMIT_SETTLE_MS);
        }
        if (path != NULL && clock_left_ms(settled) == 0 && all_exist(watch)) {
            watch->changed(path, watch->owner);
            path = NULL;
            settled = DEADLINE_NEVER;
        }
        wait_for_event(watch, path != NULL && all_exist(watch) ? settled : DEADLINE_NEVER);
    }
    return NULL;
}

/* --- the start -------------------------------------------------------------------------------- */

static int add_files(struct file_watch *watch, char *const *paths, size_t count, struct err *err)
{
    watch->files = calloc(count + 1, sizeof *watch->files);
    if (watch->files == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the names of files");
    for (size_t i = 0; i < count; i++) {
        struct watched file = { .trait = look_at(paths[i]) };
        if (!file.trait.exists)
            continue;
        file.path = strdup(paths[i]);
        if (file.path == NULL)
            return err_set(err, ERR_MEMORY, "no memory for the name of a file");
        watch->files[watch->count++] = file;
    }
    return 0;
}

static void free_watch(struct file_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++)
        free(watch->files[i].path);
    free(watch->files);
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch);
}

int file_watch_start(char *const *paths, size_t count,
                     void (*changed)(const char *path, void *owner), void *owner, struct err *err)
{
    struct file_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return err_set(err, ERR_MEMORY, "no memory to watch files");
    watch->changed = changed;
    watch->owner = owner;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int rc = watch->fd < 0 ? err_system(err, ERR_MEMORY, errno, "cannot create an inotify instance")
                           : add_files(watch, paths, count, err);
    if (rc == 0)
        rc = thread_start(watch_main, watch, LIMIT_STACK_WATCH_BYTES, err);
    if (rc != 0)
        free_watch(watch);
    return rc;
}
