/*
 * job/scratch.h - a job's folder for files, and its end.
 *
 * A folder is named rp-scratch-HOST-PID-START-RANDOM, so that a later worker can tell the leftovers
 * of one that was killed: same host, and no process of that number that was started at that time.
 * It is also locked (flock) as long as its worker lives, for workers that share a file system but
 * not their process numbers. The first folder of a process removes such leftovers; when the process
 * exits, its own folders are removed too. All functions may be called from any thread.
 */
#ifndef JOB_SCRATCH_H
#define JOB_SCRATCH_H

#include "base/err.h"

struct scratch;

/*
 * Makes a folder, with access for its owner alone, in RP_SCRATCH_DIR, or TMPDIR, or /tmp. Blocks
 * on the file system. ERR_CONFIG naming RP_SCRATCH_DIR where none can be made there, ERR_MEMORY.
 */
int scratch_new(struct scratch **scratch, struct err *err);

/* Its absolute path, without a slash at the end; valid until scratch_remove. */
const char *scratch_path(const struct scratch *scratch);

/* A descriptor of the folder, valid as long. */
int scratch_fd(const struct scratch *scratch);

/* Removes the folder with all that is in it and frees everything. What cannot go is logged. */
void scratch_remove(struct scratch *scratch);

#endif
