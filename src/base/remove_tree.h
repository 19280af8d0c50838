/*
 * base/remove_tree.h - removing a folder and everything in it.
 */
#ifndef BASE_REMOVE_TREE_H
#define BASE_REMOVE_TREE_H

#include "base/err.h"

/*
 * Removes the folder `name` (a single path segment) in the folder `parent` (a descriptor) and
 * everything in it, at any depth, with a bounded number of descriptors and bounded stack. Symbolic
 * links are removed and never followed, even if one takes a folder's place meanwhile. Folders that
 * their owner may not read or write are made accessible first. Continues past what cannot be
 * removed. Blocks on the file system. ERR_INPUT with the first reason if something is left.
 */
int remove_tree(int parent, const char *name, struct err *err);

#endif
