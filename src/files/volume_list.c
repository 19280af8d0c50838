/* Lists of a cache's files, and whether a file is in a folder already. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "files/volume_cache_private.h"

void volume_list_init(struct volume_list *list)
{
    *list = (struct volume_list){ 0 };
    arena_init(&list->arena, VOLUME_LIST_BYTES);
}

void volume_list_free(struct volume_list *list)
{
    free(list->files);
    arena_free(&list->arena);
}

static bool grow(struct volume_list *list)
{
    size_t capacity = list->capacity == 0 ? 256 : 2 * list->capacity;
    struct volume_file *files = capacity > VOLUME_LIST_BYTES / sizeof *files
                                    ? NULL
                                    : realloc(list->files, capacity * sizeof *files);
    if (files == NULL)
        return false;
    list->files = files;
    list->capacity = capacity;
    return true;
}

int volume_list_add(struct volume_list *list, slice path, uint64_t bytes, double mtime_s,
                    struct err *err)
{
    char *copy = arena_alloc(&list->arena, path.len + 1);
    if (copy == NULL || (list->count == list->capacity && !grow(list)))
        return err_set(err, ERR_MEMORY, "no memory for a list of so many files (%zu)", list->count);
    snprintf(copy, path.len + 1, "%.*s", SLICE_ARG(path));
    list->files[list->count++] = (struct volume_file){ .path = { copy, path.len },
                                                       .bytes = bytes,
                                                       .mtime_s = mtime_s };
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct volume_file *first = a, *second = b;
    return strcmp(first->path.ptr, second->path.ptr);
}

void volume_list_sort(struct volume_list *list)
{
    if (list->count > 0)
        qsort(list->files, list->count, sizeof *list->files, compare);
}

const struct volume_file *volume_list_find(const struct volume_list *list, slice path)
{
    const struct volume_file key = { .path = path };
    return list->count == 0 ? NULL
                            : bsearch(&key, list->files, list->count, sizeof *list->files, compare);
}

double volume_mtime_s(const struct stat *info)
{
    return (double)info->st_mtim.tv_sec + (double)info->st_mtim.tv_nsec / 1e9;
}

int volume_folder_of(const struct volume_cache *cache, const char *path, const char **below)
{
    for (size_t i = 0; i < cache->folder_count; i++) {
        size_t len = strlen(cache->folders[i]);
        if (strncmp(path, cache->folders[i], len) != 0 || path[len] != '/')
            continue;
        *below = path + len + 1;
        return cache->folder_fds[i];
    }
    return -1;
}

bool volume_is_current(int folder, const char *name, uint64_t bytes, double mtime_s, bool restores)
{
    struct stat info;
    if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode))
        return false;
    double newer_s = volume_mtime_s(&info) - mtime_s;
    return ((uint64_t)info.st_size == bytes && newer_s >= -VOLUME_TOLERANCE_S) ||
           (restores && newer_s > VOLUME_TOLERANCE_S);
}
