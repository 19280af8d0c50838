/*
 * files/volume_cache.h - folders that are kept on a network volume between workers, in the layout
 * of the SDK's VolumeCache (source: runpod 1.12.0, rp_volume_cache.py), so that both can share one.
 *
 * VOLUME/.cache/NAME/ holds manifest.json (version 1: path, size and time of each file), small.tar
 * (all files under 256 KiB, by their absolute paths) and big/ (the others, under their absolute
 * paths). Links, *.lock, *.rpvc.tmp and whatever lies under a folder refs or .no_exist are left
 * out. A file counts as current where its size is the same and it is not more than 2 s older. What
 * is newer in the folders is not overwritten by what is on the volume.
 *
 * Each file, the archive and, last of all, the manifest are written under another name and renamed:
 * a reader never sees half of one. Paths from the volume are followed only into the folders that
 * were given, and through no link there. Anything unexpected on the volume is an error that leaves
 * the worker cold, and does no harm.
 */
#ifndef FILES_VOLUME_CACHE_H
#define FILES_VOLUME_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define VOLUME_CACHE_FOLDERS_MAX 32
#define VOLUME_FOLDER_MODE 0777 /* but for the umask: other workers write there, too */

struct volume_cache;

struct volume_cache_setting {
    const char *volume; /* where it is mounted */
    slice name;         /* of this cache on it; see volume_cache_check_name */
    slice folders[VOLUME_CACHE_FOLDERS_MAX];
    size_t folder_count;
    bool (*is_ending)(void); /* asked now and then, from any thread: true ends the work */
};

struct volume_cache_done {
    size_t files; /* that were copied */
    uint64_t bytes;
    size_t failed;    /* that could not be copied */
    bool is_cut;      /* one of them by an accident: the disk is full, memory or a read failed */
    struct err first; /* why the first of them could not */
};

/* ERR_CONFIG unless the name is one part of a path, which the SDK demands as well. */
int volume_cache_check_name(slice name, struct err *err);

/*
 * Prepares a cache; makes the folders that are missing. The setting is not copied and must outlive
 * it. ERR_INPUT where the volume or a folder is not there, ERR_MEMORY.
 */
int volume_cache_open(struct volume_cache **cache, const struct volume_cache_setting *setting,
                      struct err *err);
void volume_cache_close(struct volume_cache *cache);

/*
 * Copies what is missing or newer from the volume into the folders, and the other way round.
 * Blocks. 0 with *done set, also where the volume has no cache of that name yet; ERR_INPUT where
 * the cache cannot be used, ERR_RETRY where reading it failed, ERR_CANCELLED where is_ending ended
 * it, ERR_MEMORY. One file that cannot be copied is counted, and the others go on.
 */
int volume_cache_restore(struct volume_cache *cache, struct volume_cache_done *done,
                         struct err *err);
int volume_cache_save(struct volume_cache *cache, struct volume_cache_done *done, struct err *err);

#endif
