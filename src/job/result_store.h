/*
 * job/result_store.h - results that could not be delivered, kept in a folder (--result-dir) and
 * sent first at the next start.
 *
 * A result is one file, {"id": ..., "is_stream": ..., "result": {...}}, written under another name,
 * flushed to the disk and renamed, so that a crash leaves a whole file or none. Several workers may
 * share the folder: a file is claimed by renaming it before it is sent.
 */
#ifndef JOB_RESULT_STORE_H
#define JOB_RESULT_STORE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "job/result.h"

/* Keeps a result. Blocks on the disk. ERR_RETRY naming the file, ERR_MEMORY. */
int result_store_save(const char *dir, slice id, const struct result *result, struct err *err);

/* A result that was kept; slices point into text and the arena. */
struct stored_result {
    char path[4096]; /* under the name it was claimed by */
    struct buf text;
    struct arena arena;
    slice id;
    slice body;
    bool is_stream;
};

void stored_result_init(struct stored_result *stored, size_t max_bytes);
void stored_result_free(struct stored_result *stored);

/*
 * Claims and reads one kept result, the oldest name first. 1 where there is one, 0 where there is
 * none, ERR_RETRY where the folder cannot be read. A file that cannot be read or is no result is
 * renamed to *.bad, logged, and passed over.
 */
int result_store_claim(const char *dir, struct stored_result *stored, struct err *err);

/* What became of it: delivered (removed), refused for good (kept as *.refused), or to try later. */
enum stored_outcome { STORED_DELIVERED, STORED_REFUSED, STORED_LATER };
void result_store_settle(const struct stored_result *stored, enum stored_outcome outcome);

#endif
