/*
 * files/volume_cache_private.h - what the files of volume_cache share.
 */
#ifndef FILES_VOLUME_CACHE_PRIVATE_H
#define FILES_VOLUME_CACHE_PRIVATE_H

#include <limits.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "files/volume_cache.h"

#define VOLUME_SMALL_BYTES (256u * 1024u) /* files under this are in small.tar; the SDK's value */
#define VOLUME_TOLERANCE_S 2.0            /* between times; the SDK's value, for coarse volumes */
#define VOLUME_VERSION 1
#define VOLUME_MANIFEST "manifest.json"
#define VOLUME_SMALL "small.tar"
#define VOLUME_BIG "big"
#define VOLUME_TMP ".rpvc.tmp" /* the end of the name of a file that is being written; the SDK's */
#define VOLUME_LIST_BYTES (256u << 20) /* of names and entries, or of the manifest, at the most */

struct volume_cache {
    const struct volume_cache_setting *setting;
    char root[PATH_MAX];                     /* VOLUME/.cache/NAME */
    char *folders[VOLUME_CACHE_FOLDERS_MAX]; /* absolute, without links */
    int folder_fds[VOLUME_CACHE_FOLDERS_MAX];
    size_t folder_count;
};

/* A file by its absolute path; the path is memory of the list's arena and NUL-terminated. */
struct volume_file {
    slice path;
    uint64_t bytes;
    double mtime_s;
    bool is_copied; /* what volume_copy_all has found: the other side has this file now */
};

/* A growing list; its memory is freed by volume_list_free. */
struct volume_list {
    struct volume_file *files;
    size_t count, capacity;
    struct arena arena; /* of the paths */
};

void volume_list_init(struct volume_list *list);
void volume_list_free(struct volume_list *list);

/* Adds a file and copies its path. ERR_LIMIT, ERR_MEMORY. */
int volume_list_add(struct volume_list *list, slice path, uint64_t bytes, double mtime_s,
                    struct err *err);

/* Orders the list by path. */
void volume_list_sort(struct volume_list *list);

/* The file of that path in an ordered list, or NULL. */
const struct volume_file *volume_list_find(const struct volume_list *list, slice path);

double volume_mtime_s(const struct stat *info);

/*
 * Finds the folder of the cache in which an absolute path lies, and its rest in *below, which is
 * part of path. -1 for one that lies in none of them.
 */
int volume_folder_of(const struct volume_cache *cache, const char *path, const char **below);

/*
 * True where a folder has that file already: of the same size, and not older. Where it restores, a
 * newer file of another size stays, too.
 */
bool volume_is_current(int folder, const char *name, uint64_t bytes, double mtime_s, bool restores);

/*
 * Reads the manifest into two lists, which have been initialized. 1; 0 where there is none;
 * ERR_INPUT where it is not one of version 1, ERR_LIMIT, ERR_MEMORY.
 */
int volume_manifest_read(int root, struct volume_list *small, struct volume_list *big,
                         struct err *err);

/* Writes it, of `big` the files that are copied. ERR_INPUT, ERR_MEMORY, ERR_LIMIT. */
int volume_manifest_write(int root, const struct volume_list *small, const struct volume_list *big,
                          struct err *err);

/* Where a file is written to until it is complete. */
struct volume_output {
    int folder, fd;
    const char *name; /* the caller's */
    char temporary[NAME_MAX + 1];
};

/* Makes a file with another name in a folder, whose descriptor it takes. ERR_RETRY. */
int volume_output_open(struct volume_output *output, int folder, const char *name, struct err *err);

/* Closes it: where rc is 0 it gets its name, else it is removed. rc, ERR_RETRY or ERR_INPUT. */
int volume_output_close(struct volume_output *output, int rc, struct err *err);

/* Sets a finished file's mode and time. */
void volume_output_stamp(const struct volume_output *output, mode_t mode, struct timespec mtime);

/* What one direction of copying does with one file: 1 copied, 0 current already, or an error. */
typedef int volume_copy(const struct volume_cache *cache, int big, struct volume_file *file,
                        struct err *err);

/*
 * Copies all files of the list side by side, and counts them in *done. `big` is the descriptor of
 * the volume's folder. ERR_CANCELLED.
 */
int volume_copy_all(const struct volume_cache *cache, int big, struct volume_list *list,
                    volume_copy *copy, struct volume_cache_done *done, struct err *err);

/* Copies a file's bytes, mode and time. The descriptor `from` stays open. ERR_RETRY, ERR_MEMORY. */
int volume_copy_bytes(const struct volume_cache *cache, int from, struct volume_output *to,
                      uint64_t *bytes, struct err *err);

void volume_count_failure(struct volume_cache_done *done, const struct err *err);

/* small.tar: unpacks it into the folders; packs the files of a list, and drops those that are gone
 * from it. */
int volume_small_restore(const struct volume_cache *cache, int root, struct volume_cache_done *done,
                         struct err *err);
int volume_small_save(const struct volume_cache *cache, int root, struct volume_list *small,
                      struct volume_cache_done *done, struct err *err);

#endif
