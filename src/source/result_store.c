#include "source/result_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "json/json.h"

#define STORED ".result" /* to be sent */
#define CLAIMED ".claim" /* a worker is sending it: NAME.NUMBER.claim */
#define REFUSED ".refused"
#define BAD ".bad"

/* --- the folder ----------------------------------------------------------------------------- */

#define NAME_ROOM 64 /* of a stored result's name with its ending, which follow the folder's */

static int refuse(struct err *err, const char *dir, const char *why)
{
    return err_set(err, ERR_CONFIG, "--result-dir, RP_RESULT_DIR: %.200s %s", dir, why);
}

static bool is_our_group(gid_t group)
{
    int most = getgroups(0, NULL);
    gid_t *groups = most > 0 ? malloc((size_t)most * sizeof *groups) : NULL;
    int count = groups != NULL ? getgroups(most, groups) : 0;
    bool ours = group == getegid();
    for (int i = 0; i < count; i++)
        ours |= groups[i] == group;
    free(groups);
    return ours;
}

/*
 * A group of our own may write to a folder with the set-group-ID or the sticky bit, as Kubernetes
 * makes volumes with an fsGroup: results are files of our own, so that the others of the group can
 * remove them, but not forge one.
 */
static bool others_may_write(const struct stat *status)
{
    bool is_meant = (status->st_mode & (S_ISGID | S_ISVTX)) != 0 && is_our_group(status->st_gid);
    return (status->st_mode & S_IWOTH) != 0 || ((status->st_mode & S_IWGRP) != 0 && !is_meant);
}

int result_store_check(const char *dir, struct err *err)
{
    struct stat status;
    if (strlen(dir) + NAME_ROOM > sizeof((struct stored_result *)NULL)->path)
        return refuse(err, dir, "is too long");
    if (stat(dir, &status) != 0)
        return err_system(err, ERR_CONFIG, errno, "--result-dir, RP_RESULT_DIR: %s", dir);
    if (!S_ISDIR(status.st_mode))
        return refuse(err, dir, "is not a folder");
    if (status.st_uid != geteuid() && status.st_uid != 0)
        return refuse(err, dir, "belongs to another user, who could put results into it");
    if (others_may_write(&status))
        return refuse(err, dir,
                      "is writable by others, who could put results into it: chmod go-w, or g+s "
                      "for one of the worker's own groups");
    if (access(dir, R_OK | W_OK | X_OK) != 0)
        return err_system(err, ERR_CONFIG, errno, "--result-dir, RP_RESULT_DIR: cannot write to %s",
                          dir);
    return 0;
}

/* --- storing -------------------------------------------------------------------------------- */

static int put_head(struct buf *head, slice id, const struct result *result, struct err *err)
{
    return json_add(head, err, "{\"id\": %S, \"is_stream\": %B, \"result\": ", &id,
                    result->is_stream);
}

static int write_file(const char *path, slice head, const struct result *result, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_system(err, ERR_RETRY, errno, "cannot make %s", path);
    int rc = io_write_all(fd, head);
    for (size_t i = 0; rc == 0 && i < result->count; i++)
        rc = io_write_all(fd, result->pieces[i]);
    if (rc == 0)
        rc = io_write_all(fd, SLICE_LITERAL("}\n"));
    if (rc == 0)
        rc = fsync(fd);
    int errnum = errno;
    close(fd);
    return rc == 0 ? 0 : err_system(err, ERR_RETRY, errnum, "cannot write %s", path);
}

/* The renamed directory entry must reach the disk too. */
static void flush_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int result_store_save(const char *dir, slice id, const struct result *result, struct err *err)
{
    char name[RANDOM_UUID_BYTES], temporary[4096], path[4096];
    struct buf head;
    random_uuid(name);
    snprintf(temporary, sizeof temporary, "%s/%s.part", dir, name);
    snprintf(path, sizeof path, "%s/%s" STORED, dir, name);
    buf_init(&head, 65536, "result file");
    int rc = put_head(&head, id, result, err);
    if (rc == 0)
        rc = write_file(temporary, buf_slice(&head), result, err);
    if (rc == 0 && rename(temporary, path) != 0)
        rc = err_system(err, ERR_RETRY, errno, "cannot rename %s", temporary);
    if (rc == 0)
        flush_folder(dir);
    else
        unlink(temporary);
    buf_free(&head);
    return rc;
}

/* --- sending at the next start ---------------------------------------------------------------- */

void stored_result_init(struct stored_result *stored, size_t max_bytes)
{
    stored->path[0] = '\0';
    buf_init(&stored->text, max_bytes, "stored result");
    arena_init(&stored->arena, 65536);
}

void stored_result_free(struct stored_result *stored)
{
    buf_free(&stored->text);
    arena_free(&stored->arena);
}

#define NUMBER_CHARS 8
#define NUMBER_DIGITS "0123456789abcdef"

/* The length of the path without its ending and a claim's number. */
static int stem_chars(const char *path)
{
    const char *end = strrchr(path, '.');
    size_t chars = (size_t)(end - path);
    if (strcmp(end, CLAIMED) == 0 && chars > 1 + NUMBER_CHARS && end[-1 - NUMBER_CHARS] == '.' &&
        strspn(end - NUMBER_CHARS, NUMBER_DIGITS) == NUMBER_CHARS)
        chars -= 1 + NUMBER_CHARS;
    return (int)chars;
}

/* Renames the file to another ending. False if another worker was first. */
static bool change_ending(const char *path, const char *ending, char *renamed, size_t size)
{
    snprintf(renamed, size, "%.*s%s", stem_chars(path), path, ending);
    return rename(path, renamed) == 0;
}

/*
 * Renames it to a name that it has not had: where two workers take an old claim over, only one
 * finds it, and the new one is young (ctime).
 */
static bool rename_to_claim(const char *path, char *renamed, size_t size)
{
    snprintf(renamed, size, "%.*s.%08x" CLAIMED, stem_chars(path), path, (unsigned)random_u32());
    return rename(path, renamed) == 0;
}

static int parse(struct stored_result *stored, struct err *err)
{
    slice text = buf_slice(&stored->text), id, flag;
    int rc = json_check(text, NULL, err);
    if (rc != 0)
        return rc;
    if (!json_member(text, "id", &id) || !json_member(text, "result", &stored->body) ||
        !json_member(text, "is_stream", &flag))
        return err_set(err, ERR_INPUT, "it is not a stored result");
    stored->is_stream = slice_is(flag, "true");
    return json_string(id, &stored->arena, &stored->id, err);
}

/* Reads a regular file of our own, and waits for nobody: opening a FIFO would. */
static int read_own_file(const char *path, struct buf *text, struct err *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_system(err, ERR_INPUT, errno, "cannot open it");
    int rc = 0;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        rc = err_set(err, ERR_INPUT, "it is not a regular file");
    else if (status.st_uid != geteuid())
        rc = err_set(err, ERR_INPUT, "it belongs to another user");
    if (rc == 0)
        rc = io_read_fd(fd, path, text, err);
    close(fd);
    return rc;
}

/* Claims and reads the file. False if another worker has it or it is unusable. */
static bool claim_file(const char *path, struct stored_result *stored)
{
    char bad[sizeof stored->path];
    struct err err = { 0 };
    if (!rename_to_claim(path, stored->path, sizeof stored->path))
        return false;
    buf_clear(&stored->text);
    arena_reset(&stored->arena);
    if (read_own_file(stored->path, &stored->text, &err) == 0 && parse(stored, &err) == 0)
        return true;
    log_write(LOG_ERROR, NULL, "The stored result %s is unusable and renamed to *" BAD ": %s", path,
              err.text);
    change_ending(stored->path, BAD, bad, sizeof bad);
    return false;
}

static bool is_candidate(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && (strcmp(dot, STORED) == 0 || strcmp(dot, CLAIMED) == 0);
}

/* Its worker may still be sending it. Renaming has set the file's ctime. */
static bool is_fresh_claim(const char *path)
{
    struct stat status;
    if (strcmp(strrchr(path, '.'), CLAIMED) != 0)
        return false;
    return lstat(path, &status) == 0 && time(NULL) - status.st_ctime < LIMIT_CLAIM_S;
}

/*
 * The first file by name, after the one called `name`, that may be claimed: its name takes that
 * one's place. False where there is none, or the folder cannot be read (errno, else 0).
 */
static bool next_candidate(const char *dir, char name[static NAME_MAX + 1])
{
    char path[PATH_MAX], next[NAME_MAX + 1] = "";
    struct dirent *entry;
    DIR *folder = opendir(dir);
    while (folder != NULL && (errno = 0, entry = readdir(folder)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (is_candidate(entry) && strcmp(entry->d_name, name) > 0 &&
            (next[0] == '\0' || strcmp(entry->d_name, next) < 0) && !is_fresh_claim(path))
            snprintf(next, sizeof next, "%s", entry->d_name);
    }
    int errnum = errno;
    if (folder != NULL)
        closedir(folder);
    errno = errnum;
    snprintf(name, NAME_MAX + 1, "%s", next);
    return errnum == 0 && next[0] != '\0';
}

int result_store_claim(const char *dir, struct stored_result *stored, struct err *err)
{
    char path[sizeof stored->path], name[NAME_MAX + 1] = "";
    while (next_candidate(dir, name)) {
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (claim_file(path, stored))
            return 1;
        errno = 0;
    }
    return errno == 0 ? 0 : err_system(err, ERR_RETRY, errno, "cannot read %s", dir);
}

void result_store_finish(const struct stored_result *stored, enum stored_outcome outcome)
{
    if (outcome == STORED_DELIVERED) {
        unlink(stored->path);
        return;
    }
    char renamed[sizeof stored->path];
    change_ending(stored->path, outcome == STORED_REFUSED ? REFUSED : STORED, renamed,
                  sizeof renamed);
}
