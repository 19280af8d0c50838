/*
 * files/below.h - files by a path that comes from outside, below a folder that they may not leave.
 *
 * No part of such a path may be empty, "." or "..", and no part is followed where it is a symbolic
 * link, so that neither a name nor what others put into the folder meanwhile leads out of it. All
 * functions block on the file system.
 */
#ifndef FILES_BELOW_H
#define FILES_BELOW_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Opens the folder in which the path ends, which begins in `root`, and sets *name to the path's
 * last part. Folders that are missing are made with the mode `make`, but for the umask; 0 makes
 * none. *made is increased by the number of those that were made; NULL: not counted. The descriptor
 * is the caller's to close; ERR_INPUT.
 */
int below_open_folder(int root, const char *path, mode_t make, uint64_t *made, const char **name,
                      struct err *err);

/* Opens a regular file for reading. A descriptor to close, or ERR_INPUT. */
int below_open_file(int root, const char *path, struct err *err);

#endif
