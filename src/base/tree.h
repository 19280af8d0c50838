/*
 * base/tree.h - a folder removed with all that is in it.
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

#include "base/err.h"

/*
 * Removes the folder `name` (a single segment) in the folder `parent` (a descriptor) and all that
 * is in it, of any depth, with a bounded number of descriptors and stack. Symbolic links are
 * removed, never followed, not even where somebody puts one in a folder's place meanwhile. Folders
 * that their owner may not read or change are made accessible first. Goes on past what cannot be
 * removed. Blocks on the file system. ERR_INPUT with the first reason where something is left.
 */
int tree_remove(int parent, const char *name, struct err *err);

#endif
