/*
 * process/file_watch.h - says when a file has changed: was written, replaced by another (as many
 * editors do it), made executable, or deleted and made again. Symbolic links are followed.
 *
 * The folders are watched by inotify(7), since a file that is replaced is another file; a look now
 * and then finds what inotify does not report: changes on file systems of other machines, and
 * folders that were replaced themselves.
 */
#ifndef PROCESS_FILE_WATCH_H
#define PROCESS_FILE_WATCH_H

#include <stddef.h>

#include "base/err.h"

/*
 * Starts a thread that calls changed(path, owner), with the path as it was given, each time after
 * one of the files has changed, all of them are there, and none has changed for LIMIT_SETTLE_MS: a
 * compiler writes a file in several steps. Lives as long as the process. The paths are copied;
 * those that are not regular files now are left out. ERR_MEMORY, also where the system's limit of
 * inotify instances is reached.
 */
int file_watch_start(char *const *paths, size_t count,
                     void (*changed)(const char *path, void *owner), void *owner, struct err *err);

#endif
