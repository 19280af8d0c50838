#include "api/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

#include "api/scratch_private.h"
#include "base/log.h"
#include "base/random.h"
#include "base/remove_tree.h"
#include "base/text.h"
#include "config/environment.h"
#include "job/rp_job.h"

#define NAME_START "rp-scratch-"
#define NAME_FORMAT NAME_START "%08x-%d-%llu-%08x"

static atomic_flag swept = ATOMIC_FLAG_INIT; /* leftovers were searched for */

/* --- leftovers ------------------------------------------------------------------------------ */

/* A hash of the host name (FNV-1a): it is the same in all containers of a pod. */
static uint32_t host_number(void)
{
    char name[256] = "";
    uint32_t number = 2166136261u;
    gethostname(name, sizeof name - 1);
    for (const char *c = name; *c != '\0'; c++)
        number = (number ^ (unsigned char)*c) * 16777619u;
    return number;
}

/* The start time of a process, in ticks since boot (proc(5), stat, field 22); 0 if unknown. */
static unsigned long long start_of(int pid)
{
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *at = strrchr(text, ')'); /* the second field, a name, may hold anything */
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}

static bool is_alive(int pid, unsigned long long start)
{
    if (start_of(pid) != start)
        return false;
    return start != 0 || kill(pid, 0) == 0 || errno != ESRCH; /* kill: --confine may refuse it */
}

/* Reads a number and the hyphen after it. */
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

/* It must be the user's own, and not locked by a worker in another pid namespace. */
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
        if (remove_tree(parent, entry->d_name, &err) == 0)
            log_write(LOG_INFO, NULL, "Removed the scratch folder of an earlier worker: %s",
                      entry->d_name);
        else
            log_write(LOG_WARN, NULL,
                      "The scratch folder of an earlier worker could not be removed: %s", err.text);
    }
    closedir(entries);
}

/* --- a folder ------------------------------------------------------------------------------ */

/* Opens the folder to make one in; it is made if RP_SCRATCH_DIR names it. */
static int open_place(struct scratch *scratch, struct err *err)
{
    bool is_chosen;
    const char *path = environment_scratch_folder(&is_chosen);
    if (is_chosen)
        mkdir(path, S_IRWXU);
    if (realpath(path, scratch->path) == NULL)
        return scratch_no_folder(path, errno, err);
    scratch->parent = open(scratch->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return scratch->parent < 0 ? scratch_no_folder(path, errno, err) : 0;
}

static int make_folder(struct scratch *scratch, struct err *err)
{
    int pid = (int)getpid();
    struct text path = { scratch->path, sizeof scratch->path, strlen(scratch->path), false };
    for (int tries = 0;; tries++) {
        snprintf(scratch->name, sizeof scratch->name, NAME_FORMAT, host_number(), pid,
                 start_of(pid), random_u32());
        if (mkdirat(scratch->parent, scratch->name, S_IRWXU) == 0)
            break;
        if (errno != EEXIST || tries == 100)
            return scratch_no_folder(scratch->path, errno, err);
    }
    scratch->fd = openat(scratch->parent, scratch->name,
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (scratch->fd < 0)
        return scratch_no_folder(scratch->path, errno, err);
    flock(scratch->fd, LOCK_EX | LOCK_NB); /* some file systems cannot; then the name has to do */
    size_t len = path.len;
    if (text_add(&path, "%s%s", len == 1 ? "" : "/", scratch->name))
        return 0;
    close(scratch->fd);
    unlinkat(scratch->parent, scratch->name, AT_REMOVEDIR);
    text_truncate(&path, len);
    return scratch_no_folder(scratch->path, ENAMETOOLONG, err);
}

int scratch_new(struct scratch **out, struct err *err)
{
    struct scratch *scratch = malloc(sizeof *scratch);
    if (scratch == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for a scratch folder");
    *scratch = (struct scratch){ .parent = -1, .fd = -1 };
    scratch_remove_at_exit();
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
    scratch_add_live(scratch);
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

void scratch_give_up(struct scratch *scratch)
{
    scratch->given_up = true;
}

/* Of a folder that is off the list. */
static void remove_for_good(struct scratch *scratch)
{
    for (struct scratch *each = scratch->spare, *next; each != NULL; each = next) {
        next = each->next;
        scratch_drop(each);
    }
    scratch_remove_and_close(scratch);
    free(scratch);
}

void scratch_remove(struct scratch *scratch)
{
    if (!scratch_take_off(scratch))
        return; /* the process is exiting and removes it */
    if (scratch->outer == NULL || scratch->given_up || !scratch_make_spare(scratch))
        remove_for_good(scratch);
    scratch_end_removal();
}

/* --- worker.h ------------------------------------------------------------------------------ */

int scratch_ensure(struct rp_job *job, struct err *err)
{
    if (job->scratch != NULL)
        return 0;
    job->end_scratch = scratch_remove;
    return scratch_new(&job->scratch, err);
}

const char *rp_scratch(rp_job *job)
{
    struct err err;
    if (scratch_ensure(job, &err) == 0)
        return scratch_path(job->scratch);
    rp_job_fail(job, err.text);
    return NULL;
}
