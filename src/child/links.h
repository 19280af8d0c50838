/*
 * child/links.h - files that a program's output names, {"upload": "PATH"}, become links to them:
 * each such object, wherever it stands in the JSON, is replaced by a string with a presigned URL.
 * The files lie in the job's folder (child/folder.h).
 */
#ifndef CHILD_LINKS_H
#define CHILD_LINKS_H

#include "child/life.h"

/*
 * Finds the first such object in checked JSON, from *at on: one with no other member, and a string.
 * *object is the object, *path the string with its quotes, *at behind it. Pure.
 */
bool links_find(slice json, size_t *at, slice *object, slice *path);

/*
 * Uploads the files and appends the JSON with the links to `out`. Blocks. 1; 0 where there are
 * none, or the program has no folders (a linked handler): `out` stays as it is; RP_FAILED: a file
 * could not be uploaded, and the job has failed.
 */
int links_put(struct child *child, slice json, struct buf *out);

/* The same for one file: `path` is a JSON string. 1 or RP_FAILED. */
int links_put_one(struct child *child, slice path, struct buf *out);

#endif
