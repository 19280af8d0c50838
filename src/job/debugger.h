/*
 * job/debugger.h - what --rp_debugger adds to a result: how long the parts of a handler took, and
 * on what system (source: the SDK's rp_debugger; python_version has no counterpart here).
 */
#ifndef JOB_DEBUGGER_H
#define JOB_DEBUGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define CHECKPOINTS_MAX 64       /* of one job; more are left out */
#define CHECKPOINT_NAME_BYTES 64 /* longer names are cut */

struct checkpoint {
    char name[CHECKPOINT_NAME_BYTES];
    int64_t start_ns, stop_ns;           /* monotonic; 0: not yet */
    int64_t start_unix_ns, stop_unix_ns; /* for people */
};

/* One job's. Belongs to the thread of the handler. */
struct debugger {
    struct checkpoint *checkpoints; /* CHECKPOINTS_MAX of them; NULL: nothing is noted */
    size_t count;
};

/* Starts the checkpoint of that name, again where it is there already; stops it. */
void debugger_start(struct debugger *debugger, const char *name);
void debugger_stop(struct debugger *debugger, const char *name);

/* Appends the debugger's output as JSON: all checkpoints that were stopped. Errors as buf_add. */
int debugger_put(const struct debugger *debugger, int64_t ready_delay_ms, struct buf *out,
                 struct err *err);

#endif
