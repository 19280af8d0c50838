/*
 * api/scratch.h - a job's folder for files, and its removal.
 *
 * A folder is named rp-scratch-HOST-PID-START-RANDOM, so that a later worker recognizes those of a
 * worker that was killed: the same host, and no process of that pid and start time. It is locked
 * (flock) for the life of its worker, for workers that share a file system but not their pids. The
 * first folder of a process removes such leftovers; when the process exits, its own folders are
 * removed. Functions may be called from any thread.
 */
#ifndef API_SCRATCH_H
#define API_SCRATCH_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "worker.h"

struct scratch;

/*
 * Makes a folder that only its owner can access in RP_SCRATCH_DIR, TMPDIR or /tmp, the first that
 * is set. Blocks on the file system. ERR_CONFIG naming RP_SCRATCH_DIR, ERR_MEMORY.
 */
int scratch_new(struct scratch **scratch, struct err *err);

/*
 * Makes a folder for one job in another one, which must outlive it; or takes an empty one of an
 * earlier job, under another name where that job has used it. Not locked: the outer one is. Errors
 * as scratch_new.
 */
int scratch_new_in(struct scratch *outer, struct scratch **scratch, struct err *err);

/* Removes what is in it, but for folders of scratch_new_in. Failures are logged. Blocks. */
void scratch_clean(struct scratch *scratch);

/* Its absolute path, without a slash at its end; valid until scratch_remove. */
const char *scratch_path(const struct scratch *scratch);

/* A descriptor of the folder, valid until scratch_remove. */
int scratch_fd(const struct scratch *scratch);

/*
 * Opens a regular file in the folder for reading: `path` is relative to it, or absolute and in it,
 * and comes from a program. No link is followed and ".." is refused, so none leads out. Sets *bytes
 * to its size and `name` to its path in the folder. A descriptor, or ERR_INPUT with the path.
 */
#define SCRATCH_NAME_BYTES 1024
int scratch_open_file(const struct scratch *scratch, slice path, char name[SCRATCH_NAME_BYTES],
                      uint64_t *bytes, struct err *err);

/*
 * Makes job->scratch if the job has none yet; it is removed with the job. Called on the handler's
 * thread. Blocks; errors as scratch_new.
 */
int scratch_ensure(struct rp_job *job, struct err *err);

/* A program may go on writing into it: it is not kept for another job. Before scratch_remove. */
void scratch_give_up(struct scratch *scratch);

/*
 * Removes the folder with its content, or keeps it, empty, for the next scratch_new_in. scratch is
 * not to be used any more. Failures are logged. Blocks.
 */
void scratch_remove(struct scratch *scratch);

#endif
