/*
 * files/model_cache.h - models in the cache of Hugging Face's libraries, where the platform puts
 * the models that it caches on its machines.
 *
 * Layout (source: the platform's page on cached models, huggingface_hub's cache): the folder hub
 * has models--ORG--NAME/snapshots/HASH/FILE, and models--ORG--NAME/refs/REVISION holds a HASH. The
 * hub is looked for in HF_HUB_CACHE, HF_HOME/hub and /runpod-volume/huggingface-cache/hub, those
 * that are set, in this order; the first that has the model counts. Names of models are matched
 * without regard to case, since the platform may have lower-cased them.
 *
 * Names are checked and what they lead to must lie in the hub, links included. Blocks on the file
 * system; reads the environment.
 */
#ifndef FILES_MODEL_CACHE_H
#define FILES_MODEL_CACHE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

#define MODEL_CACHE_HUBS 3
#define MODEL_CACHE_WORD "{model:" /* begins what model_cache_expand replaces */

/* The hubs in the order in which they are looked into. False for one that is not set. */
bool model_cache_hub(int which, char path[PATH_MAX]);

/*
 * Finds ORG/NAME, ORG/NAME@REVISION, ORG/NAME/FILE or ORG/NAME@REVISION/FILE; a model without an
 * organization is NAME or NAME@REVISION. A REVISION is a branch, a tag or a HASH; without one it is
 * main, or the first snapshot where the cache does not say which is main. FILE may lie in folders.
 *
 * 0 with the absolute path of the snapshot's folder, or of the file, in path[0..size). ERR_CONFIG
 * for a name that is none of these forms, or whose path does not fit; ERR_INPUT where it is not
 * there, with a list of what is.
 */
int model_cache_find(slice name, char *path, size_t size, struct err *err);

/*
 * Replaces each "{model:...}" (MODEL_CACHE_WORD) in the word by the path of that model. 0 with the
 * result in out[0..size), NUL-terminated; errors as model_cache_find, and ERR_CONFIG where a brace
 * is not closed or the result does not fit.
 */
int model_cache_expand(slice word, char *out, size_t size, struct err *err);

#endif
