#include "job/result_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "codec/json.h"

#define KEPT ".result"   /* waits to be sent */
#define CLAIMED ".claim" /* somebody is sending it */
#define REFUSED ".refused"
#define BAD ".bad"

/* --- keeping ------------------------------------------------------------------------------- */

static int write_all(int fd, slice bytes)
{
    while (bytes.len > 0) {
        ssize_t count = write(fd, bytes.ptr, bytes.len);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -1;
        bytes = slice_skip(bytes, (size_t)count);
    }
    return 0;
}

static int put_head(struct buf *head, slice id, const struct result *result, struct err *err)
{
    int rc = buf_add_text(head, "{\"id\": ", err);
    if (rc == 0)
        rc = json_put_string(head, id, err);
    return rc == 0 ? buf_add_text(head,
                                  result->is_stream ? ", \"is_stream\": true, \"result\": "
                                                    : ", \"is_stream\": false, \"result\": ",
                                  err)
                   : rc;
}

static int write_file(const char *path, slice head, const struct result *result, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_system(err, ERR_RETRY, errno, "cannot make %s", path);
    int rc = write_all(fd, head);
    for (size_t i = 0; rc == 0 && i < result->count; i++)
        rc = write_all(fd, result->parts[i]);
    if (rc == 0)
        rc = write_all(fd, SLICE_LITERAL("}\n"));
    if (rc == 0)
        rc = fsync(fd);
    int errnum = errno;
    close(fd);
    return rc == 0 ? 0 : err_system(err, ERR_RETRY, errnum, "cannot write %s", path);
}

/* The name itself must be on the disk too. */
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
    char name[RANDOM_UUID_BYTES], part[4096], path[4096];
    struct buf head;
    random_uuid(name);
    snprintf(part, sizeof part, "%s/%s.part", dir, name);
    snprintf(path, sizeof path, "%s/%s" KEPT, dir, name);
    buf_init(&head, 65536, "result file");
    int rc = put_head(&head, id, result, err);
    if (rc == 0)
        rc = write_file(part, buf_slice(&head), result, err);
    if (rc == 0 && rename(part, path) != 0)
        rc = err_system(err, ERR_RETRY, errno, "cannot rename %s", part);
    if (rc == 0)
        flush_folder(dir);
    else
        unlink(part);
    buf_free(&head);
    return rc;
}

/* --- sending at the next start ---------------------------------------------------------------- */

void stored_result_init(struct stored_result *stored, size_t max_bytes)
{
    stored->path[0] = '\0';
    buf_init(&stored->text, max_bytes, "kept result");
    arena_init(&stored->arena, 65536);
}

void stored_result_free(struct stored_result *stored)
{
    buf_free(&stored->text);
    arena_free(&stored->arena);
}

/* Renames the file to another ending. False where somebody else was first. */
static bool change_ending(const char *path, const char *ending, char *renamed, size_t size)
{
    size_t stem = strlen(path) - strlen(strrchr(path, '.'));
    snprintf(renamed, size, "%.*s%s", (int)stem, path, ending);
    return rename(path, renamed) == 0;
}

static int read_whole(const char *path, struct buf *text, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_system(err, ERR_RETRY, errno, "cannot open");
    int rc = 0;
    for (ssize_t count = 1; rc == 0 && count != 0;) {
        rc = buf_reserve(text, 65536, err);
        count = rc == 0 ? read(fd, text->ptr + text->len, text->cap - text->len) : 0;
        if (count < 0 && errno != EINTR)
            rc = err_system(err, ERR_RETRY, errno, "cannot read");
        if (count > 0)
            text->len += (size_t)count;
    }
    close(fd);
    return rc;
}

static int parse(struct stored_result *stored, struct err *err)
{
    slice text = buf_slice(&stored->text), id, flag;
    int rc = json_check(text, NULL, err);
    if (rc != 0)
        return rc;
    if (!json_member(text, "id", &id) || !json_member(text, "result", &stored->body) ||
        !json_member(text, "is_stream", &flag))
        return err_set(err, ERR_INPUT, "it is no kept result");
    stored->is_stream = slice_is(flag, "true");
    return json_string(id, &stored->arena, &stored->id, err);
}

/* Takes the file for this worker and reads it. False where it is not to be had. */
static bool claim_file(const char *path, struct stored_result *stored)
{
    char bad[sizeof stored->path];
    struct err err = { 0 };
    if (!change_ending(path, CLAIMED, stored->path, sizeof stored->path))
        return false;
    stored->text.len = 0;
    arena_reset(&stored->arena);
    if (read_whole(stored->path, &stored->text, &err) == 0 && parse(stored, &err) == 0)
        return true;
    log_write(LOG_ERROR, NULL, "Kept result %s is set aside as *" BAD ": %s", path, err.text);
    change_ending(stored->path, BAD, bad, sizeof bad);
    return false;
}

static int is_candidate(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && (strcmp(dot, KEPT) == 0 || strcmp(dot, CLAIMED) == 0);
}

/* A claim is fresh while its worker may still be sending it; renaming has set the file's ctime. */
static bool is_fresh_claim(const char *path)
{
    struct stat status;
    if (strcmp(strrchr(path, '.'), CLAIMED) != 0)
        return false;
    return stat(path, &status) == 0 && time(NULL) - status.st_ctime < LIMIT_CLAIM_S;
}

int result_store_claim(const char *dir, struct stored_result *stored, struct err *err)
{
    struct dirent **entries;
    char path[sizeof stored->path];
    int count = scandir(dir, &entries, is_candidate, alphasort);
    bool found = false;
    if (count < 0)
        return err_system(err, ERR_RETRY, errno, "cannot read %s", dir);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (!found && !is_fresh_claim(path))
            found = claim_file(path, stored);
        free(entries[i]);
    }
    free(entries);
    return found;
}

void result_store_settle(const struct stored_result *stored, enum stored_outcome outcome)
{
    if (outcome == STORED_DELIVERED) {
        unlink(stored->path);
        return;
    }
    char renamed[sizeof stored->path];
    change_ending(stored->path, outcome == STORED_REFUSED ? REFUSED : KEPT, renamed,
                  sizeof renamed);
}
