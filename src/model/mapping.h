/*
 * model/mapping.h - a file in memory, read page by page when it is first used, and shared with
 * other processes that map it.
 *
 * A mapped file that somebody cuts cannot be read any more: the access ends in SIGBUS. The first
 * mapping installs a handler that ends the process with status 1 and a line that names the file,
 * instead of a crash without a word, or a wrong answer. Accesses outside of mappings keep their
 * default action. A process maps at most MAPPINGS_MAX files.
 */
#ifndef MODEL_MAPPING_H
#define MODEL_MAPPING_H

#include "base/err.h"
#include "base/slice.h"

#define MAPPINGS_MAX 8

/*
 * Maps the whole file, read-only, until the process ends. *bytes is set to it, page-aligned; an
 * empty file gives an empty slice. Blocks on the file system. ERR_INPUT naming the path and the
 * system's reason; ERR_LIMIT. Not thread-safe. The path is copied.
 */
int mapping_open(const char *path, slice *bytes, struct err *err);

#endif
