#include "job/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "base/tree.h"

#define NAME_BYTES 96
#define NAME_START "rp-scratch-"
#define NAME_FORMAT NAME_START "%08x-%d-%llu-%08x"

struct scratch {
    struct scratch *next; /* in the list of those to be removed at exit */
    int parent;           /* the folder it is in */
    int fd;               /* the folder itself, which holds its lock */
    char name[NAME_BYTES];
    char path[PATH_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct scratch *live; /* guarded by lock */
static pid_t owner;          /* the process that made them; a fork of it must not remove them */
static pthread_once_t first = PTHREAD_ONCE_INIT;
static atomic_flag swept = ATOMIC_FLAG_INIT; /* leftovers have been looked for */

/* --- who made a folder --------------------------------------------------------------------- */

/* The host's name as a number (FNV-1a): containers of one pod have the same, others another. */
static uint32_t host_number(void)
{
    char name[256] = "";
    uint32_t number = 2166136261u;
    gethostname(name, sizeof name - 1);
    for (const char *c = name; *c != '\0'; c++)
        number = (number ^ (unsigned char)*c) * 16777619u;
    return number;
}

/* When a process was started, in ticks since boot (proc(5), stat, field 22); 0 where unknown. */
static unsigned long long start_of(int pid)
{
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *at = strrchr(text, ')'); /* the second field is a name that may hold anything */
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}

static bool is_alive(int pid, unsigned long long start)
{
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return false;
    return start_of(pid) == start;
}

/* A number and the hyphen behind it, at *at. */
static bool read_part(const char **at, int base, unsigned long long *value)
{
    char *end;
    *value = strtoull(*at, &end, base);
    bool good = end != *at && *end == '-';
    *at = end + good;
    return good;
}

static bool is_leftover(const char *name)
{
    unsigned long long host, pid, start;
    const char *at = name + sizeof NAME_START - 1;
    if (strncmp(name, NAME_START, sizeof NAME_START - 1) != 0 || !read_part(&at, 16, &host) ||
        !read_part(&at, 10, &pid) || !read_part(&at, 10, &start))
        return false;
    return host == host_number() && pid > 0 && pid <= INT_MAX && !is_alive((int)pid, start);
}

/* Ours by its owner, and not locked by a worker that we cannot see. */
static bool may_remove(int parent, const char *name)
{
    struct stat info;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ours = fstat(fd, &info) == 0 && info.st_uid == geteuid() &&
                (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK);
    close(fd);
    return ours;
}

static void remove_leftovers(int parent)
{
    int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        struct err err;
        if (!is_leftover(entry->d_name) || !may_remove(parent, entry->d_name))
            continue;
        if (tree_remove(parent, entry->d_name, &err) == 0)
            log_write(LOG_INFO, NULL, "Removed what an earlier worker left: %s", entry->d_name);
        else
            log_write(LOG_WARN, NULL, "What an earlier worker left stays: %s", err.text);
    }
    closedir(entries);
}

/* --- at exit ------------------------------------------------------------------------------- */

static void remove_and_close(struct scratch *scratch)
{
    struct err err;
    if (tree_remove(scratch->parent, scratch->name, &err) != 0)
        log_write(LOG_WARN, NULL, "The scratch folder stays: %s", err.text);
    close(scratch->fd);
    close(scratch->parent);
}

/* True where the caller has taken it off the list, and so is the one who removes it. */
static bool take_off(struct scratch *scratch)
{
    pthread_mutex_lock(&lock);
    struct scratch **at = &live;
    while (*at != NULL && *at != scratch)
        at = &(*at)->next;
    bool found = *at != NULL;
    if (found)
        *at = scratch->next;
    pthread_mutex_unlock(&lock);
    return found;
}

static void remove_all(void)
{
    struct scratch *each;
    if (getpid() != owner)
        return;
    pthread_mutex_lock(&lock);
    each = live;
    live = NULL;
    pthread_mutex_unlock(&lock);
    for (; each != NULL; each = each->next)
        remove_and_close(each);
}

static void register_exit(void)
{
    owner = getpid();
    atexit(remove_all);
}

/* --- a folder ------------------------------------------------------------------------------ */

/* Where folders are made, and the variable that says so. */
static const char *place(void)
{
    static const char *const names[] = { "RP_SCRATCH_DIR", "TMPDIR" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = getenv(names[i]);
        if (path != NULL && path[0] != '\0')
            return path;
    }
    return "/tmp";
}

static int no_folder(const char *path, int errnum, struct err *err)
{
    return err_system(
        err, ERR_CONFIG, errnum,
        "no scratch folder can be made in %s (set RP_SCRATCH_DIR to a folder that can "
        "be written)",
        path);
}

/* Opens the folder that scratch folders are made in; one that RP_SCRATCH_DIR names is made. */
static int open_place(struct scratch *scratch, struct err *err)
{
    const char *path = place();
    const char *chosen = getenv("RP_SCRATCH_DIR");
    if (chosen == path)
        mkdir(path, S_IRWXU);
    if (realpath(path, scratch->path) == NULL)
        return no_folder(path, errno, err);
    scratch->parent = open(scratch->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return scratch->parent < 0 ? no_folder(path, errno, err) : 0;
}

static int make_folder(struct scratch *scratch, struct err *err)
{
    int pid = (int)getpid();
    size_t room = sizeof scratch->path, len = strlen(scratch->path);
    for (int tries = 0;; tries++) {
        snprintf(scratch->name, sizeof scratch->name, NAME_FORMAT, host_number(), pid,
                 start_of(pid), random_u32());
        if (mkdirat(scratch->parent, scratch->name, S_IRWXU) == 0)
            break;
        if (errno != EEXIST || tries == 100)
            return no_folder(scratch->path, errno, err);
    }
    scratch->fd = openat(scratch->parent, scratch->name,
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (scratch->fd < 0)
        return no_folder(scratch->path, errno, err);
    flock(scratch->fd, LOCK_EX | LOCK_NB); /* not every file system can; then the name must do */
    if ((size_t)snprintf(scratch->path + len, room - len, "%s%s", len == 1 ? "" : "/",
                         scratch->name) < room - len)
        return 0;
    close(scratch->fd);
    unlinkat(scratch->parent, scratch->name, AT_REMOVEDIR);
    scratch->path[len] = '\0';
    return no_folder(scratch->path, ENAMETOOLONG, err);
}

static void add_live(struct scratch *scratch)
{
    pthread_mutex_lock(&lock);
    scratch->next = live;
    live = scratch;
    pthread_mutex_unlock(&lock);
}

int scratch_new(struct scratch **out, struct err *err)
{
    struct scratch *scratch = malloc(sizeof *scratch);
    if (scratch == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a scratch folder");
    *scratch = (struct scratch){ .parent = -1, .fd = -1 };
    pthread_once(&first, register_exit);
    int rc = open_place(scratch, err);
    if (rc == 0 && !atomic_flag_test_and_set(&swept))
        remove_leftovers(scratch->parent);
    if (rc == 0)
        rc = make_folder(scratch, err);
    if (rc != 0) {
        if (scratch->parent >= 0)
            close(scratch->parent);
        free(scratch);
        return rc;
    }
    add_live(scratch);
    *out = scratch;
    return 0;
}

const char *scratch_path(const struct scratch *scratch)
{
    return scratch->path;
}

int scratch_fd(const struct scratch *scratch)
{
    return scratch->fd;
}

void scratch_remove(struct scratch *scratch)
{
    if (!take_off(scratch))
        return; /* the process is exiting, and is at it */
    remove_and_close(scratch);
    free(scratch);
}
