/*
 * child/folder.h - folders for files: one for each job, in one of the slot, which programs that
 * outlive their jobs may use themselves. Where none can be made (a read-only image without
 * RP_SCRATCH_DIR) programs go without, and the log says so once.
 *
 * RP_SCRATCH in the environment of a program for one job is that job's folder, for others the
 * outer one: they find the job's in its member "scratch". A job's folder is job->scratch, and
 * removed with the job. All functions belong to the slot's thread, and block on the file system.
 */
#ifndef CHILD_FOLDER_H
#define CHILD_FOLDER_H

#include "child/life.h"
#include "job/rp_job.h"

/*
 * Makes child->folder, which those of its jobs are in, where the setting asks for it; folder_remove
 * removes it, once its last job is over.
 */
void folder_make(struct child *child);
void folder_remove(struct child *child);

/* Makes the job's folder in the program's: returns its path, or NULL where there is none. */
const char *folder_add(struct scratch *folder, rp_job *job);

/* The same for a program that is started for the job: it is that one's RP_SCRATCH. */
void folder_make_once(struct child *child, rp_job *job);

#endif
