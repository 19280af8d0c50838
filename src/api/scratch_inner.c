/*
 * Folders in a folder, one a job. Making one and removing it costs a millisecond and more on a
 * disk, more than a small job. So one that is empty after its job serves the next: under another
 * name if the job has used it, so that its path leads nowhere.
 *
 * Reading an empty folder still costs more than a system call's time. Whether anything has changed
 * in it is told by its status: the time of change (st_ctim) moves with every entry that comes or
 * goes, and with a new name. Clocks of file systems are coarse, though: a second change within one
 * of their ticks leaves the time as it is. So the status is trusted once it has been the same for
 * LIMIT_SCRATCH_SETTLE_MS and the folder was empty after that.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/scratch_private.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/remove_tree.h"
#include "base/text.h"

#define JOB_START "job-"

/* --- what is in it ---------------------------------------------------------------------------- */

static bool is_special(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Opens the folder for a walk through its entries; NULL where it cannot be read. */
static DIR *open_entries(const struct scratch *scratch)
{
    int fd = openat(scratch->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmod(scratch->fd, S_IRWXU) == 0)
        fd = openat(scratch->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL && fd >= 0)
        close(fd);
    return entries;
}

static bool is_empty(const struct scratch *scratch)
{
    DIR *entries = open_entries(scratch);
    bool empty = entries != NULL;
    for (const struct dirent *entry; empty && (entry = readdir(entries)) != NULL;)
        empty = is_special(entry->d_name);
    if (entries != NULL)
        closedir(entries);
    return empty;
}

static bool remove_entry(const struct scratch *scratch, const char *name)
{
    struct err err;
    if (unlinkat(scratch->fd, name, 0) == 0 || remove_tree(scratch->fd, name, &err) == 0)
        return true;
    log_write(LOG_WARN, NULL, "In a scratch folder: %s", err.text);
    return false;
}

/*
 * Removes what is in it, and counts that; with keep_jobs all but the folders of jobs. False if
 * something is left.
 */
static bool clean(const struct scratch *scratch, bool keep_jobs, size_t *removed)
{
    DIR *entries = open_entries(scratch);
    bool empty = entries != NULL;
    *removed = 0;
    for (const struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        const char *name = entry->d_name;
        if (is_special(name) || (keep_jobs && strncmp(name, JOB_START, sizeof JOB_START - 1) == 0))
            continue;
        empty &= remove_entry(scratch, name);
        ++*removed;
    }
    if (entries != NULL)
        closedir(entries);
    return empty;
}

void scratch_clean(struct scratch *scratch)
{
    size_t removed;
    clean(scratch, true, &removed);
}

/* --- what its status tells -------------------------------------------------------------------- */

/* False if the name is no longer the folder's: a program may do anything in its folder. */
static bool look(const struct scratch *scratch, struct stat *now)
{
    return fstatat(scratch->parent, scratch->name, now, AT_SYMLINK_NOFOLLOW) == 0 &&
           now->st_ino == scratch->seen.st_ino && now->st_dev == scratch->seen.st_dev;
}

static bool is_unchanged(const struct scratch *scratch, const struct stat *now)
{
    const struct timespec *a = &now->st_ctim, *b = &scratch->seen.st_ctim;
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Its entries have been read after it looked like `now`, and there were none. */
static void note_empty(struct scratch *scratch, const struct stat *now)
{
    int64_t now_ms = clock_now_ms();
    if (!is_unchanged(scratch, now)) {
        scratch->seen = *now;
        scratch->seen_ms = now_ms;
    }
    scratch->is_settled = now_ms - scratch->seen_ms >= LIMIT_SCRATCH_SETTLE_MS;
}

/* --- its life --------------------------------------------------------------------------------- */

/* The next name; none comes twice. */
static bool set_job_name(struct scratch *scratch)
{
    static atomic_uint last;
    struct text path = TEXT_OVER(scratch->path);
    snprintf(scratch->name, sizeof scratch->name, JOB_START "%u", atomic_fetch_add(&last, 1));
    return text_add(&path, "%s/%s", scratch->outer->path, scratch->name);
}

void scratch_drop(struct scratch *scratch)
{
    if (scratch->fd >= 0)
        close(scratch->fd);
    if (scratch->parent >= 0)
        close(scratch->parent);
    free(scratch);
}

static int make_job_folder(struct scratch *scratch, struct err *err)
{
    const struct scratch *outer = scratch->outer;
    bool fits;
    do {
        fits = set_job_name(scratch);
    } while (fits && mkdirat(outer->fd, scratch->name, S_IRWXU) != 0 && errno == EEXIST);
    if (!fits)
        return scratch_no_folder(outer->path, ENAMETOOLONG, err);
    scratch->parent = fcntl(outer->fd, F_DUPFD_CLOEXEC, 3);
    scratch->fd = openat(outer->fd, scratch->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (scratch->parent < 0 || scratch->fd < 0 || fstat(scratch->fd, &scratch->seen) != 0)
        return scratch_no_folder(outer->path, errno, err);
    scratch->seen_ms = clock_now_ms();
    return 0;
}

/* Makes it ready for another job. False if it cannot be: then it is to be removed. */
static bool ready_spare(struct scratch *scratch, char before[SCRATCH_FOLDER_BYTES])
{
    struct stat now;
    memcpy(before, scratch->name, SCRATCH_FOLDER_BYTES);
    if (scratch->is_used) {
        if (!set_job_name(scratch) ||
            renameat(scratch->parent, before, scratch->parent, scratch->name) != 0)
            return false;
        memcpy(before, scratch->name, SCRATCH_FOLDER_BYTES);
        scratch->is_used = false;
    }
    if (!look(scratch, &now))
        return false;
    if (scratch->is_settled && is_unchanged(scratch, &now))
        return true;
    if (!is_empty(scratch))
        return false;
    note_empty(scratch, &now);
    return true;
}

/* A folder of an earlier job that can be used, or NULL. */
static struct scratch *take_spare(struct scratch *outer)
{
    char before[SCRATCH_FOLDER_BYTES];
    struct err err;
    pthread_mutex_lock(&scratch_lock);
    struct scratch *scratch = outer->spare;
    if (scratch != NULL)
        outer->spare = scratch->next;
    pthread_mutex_unlock(&scratch_lock);
    if (scratch == NULL || ready_spare(scratch, before))
        return scratch;
    remove_tree(scratch->parent, before, &err);
    scratch_drop(scratch);
    return NULL;
}

/* Removes what its job has left in it. False if something is left, or it is no longer there. */
static bool empty_after_job(struct scratch *scratch)
{
    struct stat now;
    size_t removed;
    if (!look(scratch, &now)) {
        unlinkat(scratch->parent, scratch->name, 0); /* a link in its place, say */
        return false;
    }
    bool unchanged = is_unchanged(scratch, &now);
    if (unchanged && scratch->is_settled)
        return true;
    if (!clean(scratch, false, &removed))
        return false;
    scratch->is_used |= removed > 0 || !unchanged;
    if (scratch->is_used)
        scratch->is_settled = false;
    else
        note_empty(scratch, &now);
    return true;
}

bool scratch_make_spare(struct scratch *scratch)
{
    if (!empty_after_job(scratch))
        return false;
    pthread_mutex_lock(&scratch_lock);
    scratch->next = scratch->outer->spare;
    scratch->outer->spare = scratch;
    pthread_mutex_unlock(&scratch_lock);
    return true;
}

int scratch_new_in(struct scratch *outer, struct scratch **out, struct err *err)
{
    struct scratch *scratch = take_spare(outer);
    int rc = 0;
    if (scratch == NULL) {
        scratch = malloc(sizeof *scratch);
        if (scratch == NULL)
            return err_set(err, ERR_MEMORY, "out of memory for a scratch folder");
        *scratch = (struct scratch){ .parent = -1, .fd = -1, .outer = outer };
        rc = make_job_folder(scratch, err);
    }
    if (rc != 0) {
        scratch_drop(scratch);
        return rc;
    }
    scratch_add_live(scratch);
    *out = scratch;
    return 0;
}
