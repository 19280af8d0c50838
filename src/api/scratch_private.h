/*
 * api/scratch_private.h - folders from the inside: scratch.c has those of the process and of jobs
 * in C, scratch_inner.c has folders in a folder, scratch_live.c what happens at exit.
 */
#ifndef API_SCRATCH_PRIVATE_H
#define API_SCRATCH_PRIVATE_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "api/scratch.h"

#define SCRATCH_FOLDER_BYTES 96 /* of a folder's own name */

struct scratch {
    struct scratch *next;  /* in the list of folders to remove at exit, or of spare ones */
    int parent;            /* the folder it is in */
    int fd;                /* the folder itself, which holds its lock */
    struct scratch *outer; /* the one that it is in; NULL for one of scratch_new */
    struct scratch *spare; /* folders in it, of jobs that are over; guarded by scratch_lock */
    bool given_up;         /* it serves no other job */

    /* Of a folder in a folder: what scratch_inner.c knows of it. */
    bool is_used;     /* a job has changed it since it got its name */
    bool is_settled;  /* it is empty, and will be as long as its status is `seen` */
    struct stat seen; /* its status at the latest look, before its entries were read */
    int64_t seen_ms;  /* when it first had the status that it has; monotonic */

    char name[SCRATCH_FOLDER_BYTES];
    char path[PATH_MAX];
};

/* --- scratch_live.c --- */

extern pthread_mutex_t scratch_lock;

/* Before the first folder: what is live is removed when the process exits. */
void scratch_remove_at_exit(void);

/* From now on it is removed at exit. */
void scratch_add_live(struct scratch *scratch);

/* True if the caller has taken it off the list, and therefore has to remove it. */
bool scratch_take_off(struct scratch *scratch);

/* After scratch_take_off and the removal: the process may exit. */
void scratch_end_removal(void);

/* Removes the folder with its content, and closes it. Failures are logged. Blocks. */
void scratch_remove_and_close(struct scratch *scratch);

/* The error of a folder that cannot be made in `path`. */
int scratch_no_folder(const char *path, int errnum, struct err *err);

/* --- scratch_inner.c --- */

/* Keeps it for another job, if it can be emptied. One that was moved away is not emptied there. */
bool scratch_make_spare(struct scratch *scratch);

/* Closes and frees it, and leaves the folder. */
void scratch_drop(struct scratch *scratch);

#endif
