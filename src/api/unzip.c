/* worker.h: a ZIP archive unpacked into the job's scratch folder. */
#include "files/unzip.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/scratch.h"
#include "api/transfer.h"
#include "base/limits.h"
#include "base/remove_tree.h"
#include "codec/filename.h"

#define NAME_ROOM (FILENAME_BYTES + 16)
#define SAME_NAMES_MAX 100000 /* as of downloads */

/* The archive's name without its ending, or the first free one of name-1, name-2, ... */
static int make_folder(int scratch, const char *path, char name[NAME_ROOM], struct err *err)
{
    char stem[FILENAME_BYTES];
    slice file = slice_from(path), end = SLICE_LITERAL(".zip");
    if (slice_ends_nocase(file, end))
        file.len -= end.len;
    if (!filename_make_safe(file, stem))
        snprintf(stem, sizeof stem, "archive");
    for (int number = 0; number < SAME_NAMES_MAX; number++) {
        snprintf(name, NAME_ROOM, number > 0 ? "%s-%d" : "%s", stem, number);
        if (mkdirat(scratch, name, S_IRWXU) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    return err_system(err, ERR_INPUT, errno, "making a folder");
}

static struct unzip_limits read_limits(const rp_job *job, const rp_unzip_options *options)
{
    struct unzip_limits limits = { .max_bytes = LIMIT_DOWNLOAD_BYTES,
                                   .max_files = LIMIT_UNZIP_FILES,
                                   .max_ratio = LIMIT_UNZIP_RATIO,
                                   .stop = &job->task->stop };
    if (options != NULL && options->max_bytes != 0)
        limits.max_bytes = options->max_bytes;
    if (options != NULL && options->max_files != 0)
        limits.max_files = options->max_files;
    if (options != NULL && options->max_ratio != 0)
        limits.max_ratio = options->max_ratio;
    return limits;
}

static int unpack(const rp_job *job, int archive, const char *name, const rp_unzip_options *options,
                  struct err *err)
{
    const struct unzip_limits limits = read_limits(job, options);
    struct unzip_done done;
    struct err ignored;
    int scratch = scratch_fd(job->scratch);
    int folder = openat(scratch, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return err_system(err, ERR_INPUT, errno, "opening a folder");
    int rc = unzip_into(archive, folder, &limits, &done, err);
    close(folder);
    if (rc != 0)
        remove_tree(scratch, name, &ignored);
    return rc;
}

static int unpack_file(rp_job *job, const char *path, const rp_unzip_options *options,
                       const char **folder, struct err *err)
{
    char name[NAME_ROOM], whole[PATH_MAX + NAME_ROOM];
    int archive = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (archive < 0)
        return err_system(err, ERR_INPUT, errno, "opening it");
    int rc = scratch_ensure(job, err);
    if (rc == 0)
        rc = make_folder(scratch_fd(job->scratch), path, name, err);
    if (rc == 0)
        rc = unpack(job, archive, name, options, err);
    close(archive);
    if (rc != 0)
        return rc;
    int len = snprintf(whole, sizeof whole, "%s/%s", scratch_path(job->scratch), name);
    *folder = transfer_copy(job, (slice){ whole, (size_t)len }, err);
    return *folder != NULL ? 0 : err->code;
}

int rp_unzip(rp_job *job, const char *path, const rp_unzip_options *options, const char **folder)
{
    struct err err = { 0 };
    char what[512];
    int rc = unpack_file(job, path, options, folder, &err);
    snprintf(what, sizeof what, "Unpacking of %.400s", path);
    return rc == 0 ? RP_OK
                   : transfer_fail(job, options != NULL ? options->reason : NULL, what, &err);
}
