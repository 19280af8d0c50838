/*
 * job/debugger.h - what --rp_debugger adds to a result: how long sections of the handler took, and
 * on which system (source: the SDK's rp_debugger; python_version has no counterpart here). A struct
 * debugger belongs to the handler's thread. Nothing here blocks.
 */
#ifndef JOB_DEBUGGER_H
#define JOB_DEBUGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define CHECKPOINTS_MAX 64       /* of one job; further ones are ignored */
#define CHECKPOINT_NAME_BYTES 64 /* longer names are cut */

struct checkpoint {
    char name[CHECKPOINT_NAME_BYTES];
    int64_t start_ns, stop_ns;           /* monotonic; 0: not reached */
    int64_t start_unix_ns, stop_unix_ns; /* the same by the system's clock */
};

/* The checkpoints of one job. */
struct debugger {
    struct checkpoint *checkpoints; /* CHECKPOINTS_MAX of them; NULL: the debugger is off */
    size_t count;
};

/* Start the checkpoint of that name, anew if it exists; stop it, if it exists. */
void debugger_start(struct debugger *debugger, const char *name);
void debugger_stop(struct debugger *debugger, const char *name);

/* Appends a JSON object with all checkpoints that were stopped. Errors as buf_add. */
int debugger_put(const struct debugger *debugger, int64_t ready_delay_ms, struct buf *out,
                 struct err *err);

#endif
