#include "child/folder.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "api/scratch.h"
#include "json/json.h"

#define VARIABLE "RP_SCRATCH="

static void note_failure(const struct err *err)
{
    static atomic_flag noted = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&noted))
        log_write(LOG_INFO, NULL, "Programs get no RP_SCRATCH: %s", err->text);
}

/* The path has to fit into a JSON line. */
static int check_path(const struct scratch *folder, struct err *err)
{
    struct buf text;
    buf_init(&text, LIMIT_MIB, "a folder's path");
    int rc = json_put_string(&text, slice_from(scratch_path(folder)), err);
    buf_free(&text);
    return rc;
}

static int set_variable(struct child *child, const struct scratch *folder, struct err *err)
{
    const char *path = scratch_path(folder);
    size_t bytes = sizeof VARIABLE + strlen(path);
    free(child->folder_variable);
    child->folder_variable = malloc(bytes);
    if (child->folder_variable == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a variable");
    memcpy(child->folder_variable, VARIABLE, sizeof VARIABLE - 1);
    memcpy(child->folder_variable + sizeof VARIABLE - 1, path, strlen(path) + 1);
    return 0;
}

void folder_make(struct child *child)
{
    struct err err;
    if (!child->setting->scratch)
        return;
    int rc = scratch_new(&child->folder, &err);
    if (rc == 0 && (rc = check_path(child->folder, &err)) == 0)
        rc = set_variable(child, child->folder, &err);
    if (rc == 0)
        return;
    note_failure(&err);
    folder_remove(child);
}

void folder_remove(struct child *child)
{
    if (child->folder != NULL)
        scratch_remove(child->folder);
    child->folder = NULL;
}

const char *folder_add(struct scratch *folder, rp_job *job)
{
    struct err err;
    if (folder == NULL)
        return NULL;
    job->end_scratch = scratch_remove;
    if (scratch_new_in(folder, &job->scratch, &err) == 0)
        return scratch_path(job->scratch);
    note_failure(&err);
    return NULL;
}

void folder_make_once(struct child *child, rp_job *job)
{
    struct err err;
    free(child->folder_variable);
    child->folder_variable = NULL;
    if (folder_add(child->folder, job) != NULL && set_variable(child, job->scratch, &err) != 0)
        note_failure(&err);
}
