/*
 * source/result_store.h - keeps results that could not be delivered in a folder (--result-dir). The
 * next worker to start sends them before it takes jobs.
 *
 * A result is one file, {"id": ..., "is_stream": ..., "result": {...}}, written under a temporary
 * name, flushed to the disk and renamed, so that a crash leaves a complete file or none. Workers
 * may share the folder: a file is claimed by renaming it before it is sent. Any thread may call
 * these functions; a struct stored_result belongs to one.
 */
#ifndef SOURCE_RESULT_STORE_H
#define SOURCE_RESULT_STORE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "job/result.h"

/*
 * Checks at the start that results can be kept in the folder, and that nobody else can put any into
 * it: they would be posted under the API key. ERR_CONFIG naming --result-dir.
 */
int result_store_check(const char *dir, struct err *err);

/* Stores a result. Blocks on the disk. ERR_RETRY naming the file, ERR_INPUT (id), ERR_MEMORY. */
int result_store_save(const char *dir, slice id, const struct result *result, struct err *err);

/* A stored result; its slices point into text and arena. */
struct stored_result {
    char path[4096]; /* of the claimed file */
    struct buf text;
    struct arena arena;
    slice id;
    slice body;
    bool is_stream;
};

void stored_result_init(struct stored_result *stored, size_t max_bytes);
void stored_result_free(struct stored_result *stored);

/*
 * Claims and reads one stored result, in the order of their names. 1, 0 if none is left, ERR_RETRY
 * if the folder cannot be read. What is not a regular file of this user's, cannot be read or is not
 * a stored result is renamed to *.bad, logged and skipped. Claims younger than LIMIT_CLAIM_S belong
 * to other workers. Blocks on the disk.
 */
int result_store_claim(const char *dir, struct stored_result *stored, struct err *err);

/* The end of a claim: delivered (the file is removed), refused (kept as *.refused), or to retry. */
enum stored_outcome { STORED_DELIVERED, STORED_REFUSED, STORED_LATER };
void result_store_finish(const struct stored_result *stored, enum stored_outcome outcome);

#endif
