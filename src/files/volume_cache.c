/* The cache as a whole: where it lies, and in which order it is restored and saved. */
#include "files/volume_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "files/below.h"
#include "files/volume_cache_private.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define DEPTH_MAX 64 /* folders in one another, the first the cache's; deeper ones are left out */

/* --- where it lies ---------------------------------------------------------------------------- */

int volume_cache_check_name(slice name, struct err *err)
{
    bool safe = name.len > 0 && name.len <= NAME_MAX && !slice_is(name, ".") &&
                !slice_is(name, "..");
    for (size_t i = 0; i < name.len; i++)
        safe = safe && name.ptr[i] != '/' && name.ptr[i] != '\\' &&
               (unsigned char)name.ptr[i] >= 0x20;
    return safe ? 0
                : err_set(err, ERR_CONFIG,
                          "the name of the cache must be a single path component, not \"%.*s\"",
                          name.len < 100 ? (int)name.len : 100, name.ptr);
}

static int add_folder(struct volume_cache *cache, slice folder, struct err *err)
{
    char path[PATH_MAX];
    size_t at = cache->folder_count;
    if (folder.len == 0 || folder.len >= sizeof path)
        return err_set(err, ERR_INPUT, "the name of a folder is empty or too long");
    snprintf(path, sizeof path, "%.*s", SLICE_ARG(folder));
    io_make_folders(path, VOLUME_FOLDER_MODE);
    cache->folders[at] = realpath(path, NULL);
    cache->folder_fds[at] = cache->folders[at] == NULL ? -1
                                                       : open(cache->folders[at], FOLDER_FLAGS);
    if (cache->folder_fds[at] < 0) {
        int errnum = errno;
        free(cache->folders[at]);
        return err_system(err, ERR_INPUT, errnum, "the folder %s", path);
    }
    cache->folder_count++;
    return 0;
}

int volume_cache_open(struct volume_cache **out, const struct volume_cache_setting *setting,
                      struct err *err)
{
    struct stat info;
    struct volume_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the cache");
    cache->setting = setting;
    int len = snprintf(cache->root, sizeof cache->root, "%s/.cache/%.*s", setting->volume,
                       SLICE_ARG(setting->name));
    int rc = 0;
    if (len >= PATH_MAX || stat(setting->volume, &info) != 0 || !S_ISDIR(info.st_mode))
        rc = err_set(err, ERR_INPUT, "no volume is mounted at %.200s", setting->volume);
    for (size_t i = 0; i < setting->folder_count && rc == 0; i++)
        rc = add_folder(cache, setting->folders[i], err);
    if (rc != 0) {
        volume_cache_close(cache);
        return rc;
    }
    *out = cache;
    return 0;
}

void volume_cache_close(struct volume_cache *cache)
{
    for (size_t i = 0; i < cache->folder_count; i++) {
        close(cache->folder_fds[i]);
        free(cache->folders[i]);
    }
    free(cache);
}

/* --- restoring -------------------------------------------------------------------------------- */

/* Copies an open file to the path below `root`, unless it is there. */
static int copy_below(const struct volume_cache *cache, int from, int root, const char *path,
                      bool restores, struct err *err)
{
    struct stat info;
    struct volume_output output;
    const char *name;
    uint64_t bytes;
    int folder = below_open_folder(root, path, VOLUME_FOLDER_MODE, NULL, &name, err);
    if (folder < 0)
        return folder;
    if (fstat(from, &info) == 0 &&
        volume_is_current(folder, name, (uint64_t)info.st_size, volume_mtime_s(&info), restores)) {
        close(folder);
        return 0;
    }
    int rc = volume_output_open(&output, folder, name, err);
    if (rc != 0)
        return rc;
    rc = volume_output_close(&output, volume_copy_bytes(cache, from, &output, &bytes, err), err);
    return rc == 0 ? 1 : rc;
}

static int restore_file(const struct volume_cache *cache, int big, struct volume_file *file,
                        struct err *err)
{
    const char *below;
    int folder = volume_folder_of(cache, file->path.ptr, &below);
    if (folder < 0)
        return 0; /* of somebody else's folders */
    int from = below_open_file(big, file->path.ptr + 1, err);
    if (from < 0)
        return from;
    int rc = copy_below(cache, from, folder, below, true, err);
    close(from);
    return rc;
}

static int restore_big(const struct volume_cache *cache, int root, struct volume_list *files,
                       struct volume_cache_done *done, struct err *err)
{
    if (files->count == 0)
        return 0;
    int big = openat(root, VOLUME_BIG, FOLDER_FLAGS | O_NOFOLLOW);
    if (big < 0)
        return err_system(err, ERR_INPUT, errno, "its folder " VOLUME_BIG);
    int rc = volume_copy_all(cache, big, files, restore_file, done, err);
    close(big);
    return rc;
}

static int restore_from(const struct volume_cache *cache, int root, struct volume_cache_done *done,
                        struct err *err)
{
    struct volume_list small, big;
    volume_list_init(&small);
    volume_list_init(&big);
    int rc = volume_manifest_read(root, &small, &big, err);
    bool any = rc > 0;
    rc = rc > 0 ? 0 : rc;
    if (any && small.count > 0)
        rc = volume_small_restore(cache, root, done, err);
    if (any && rc == 0)
        rc = restore_big(cache, root, &big, done, err);
    volume_list_free(&small);
    volume_list_free(&big);
    return rc;
}

int volume_cache_restore(struct volume_cache *cache, struct volume_cache_done *done,
                         struct err *err)
{
    *done = (struct volume_cache_done){ 0 };
    int root = open(cache->root, FOLDER_FLAGS);
    if (root < 0 && errno == ENOENT)
        return 0;
    if (root < 0)
        return err_system(err, ERR_INPUT, errno, "%.200s", cache->root);
    int rc = restore_from(cache, root, done, err);
    close(root);
    return rc;
}

/* --- saving ----------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

/* What the SDK leaves out: locks, unfinished copies, and what a hub's library writes anew. */
static bool is_left_out(const char *path)
{
    return ends_with(path, ".lock") || ends_with(path, VOLUME_TMP) ||
           strstr(path, "/refs/") != NULL || strstr(path, "/.no_exist/") != NULL;
}

struct walk {
    struct volume_list *small, *big;
    struct text path; /* of the folder */
    int depth;
};

/* NOLINTBEGIN(misc-no-recursion): at most DEPTH_MAX deep */
static int walk_folder(struct walk *walk, int parent, const char *name, struct err *err);

static int add_file(struct walk *walk, const struct stat *info, struct err *err)
{
    struct volume_list *list = info->st_size < VOLUME_SMALL_BYTES ? walk->small : walk->big;
    return is_left_out(walk->path.at)
               ? 0
               : volume_list_add(list, text_slice(&walk->path), (uint64_t)info->st_size,
                                 volume_mtime_s(info), err);
}

static int walk_entry(struct walk *walk, int folder, const char *name, struct err *err)
{
    struct stat info;
    size_t len = walk->path.len;
    int rc = 0;
    if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    bool fits = text_add(&walk->path, "/%s", name);
    if (fits && S_ISDIR(info.st_mode) && walk->depth < DEPTH_MAX)
        rc = walk_folder(walk, folder, name, err);
    else if (fits && S_ISREG(info.st_mode))
        rc = add_file(walk, &info, err);
    text_truncate(&walk->path, len);
    return rc;
}

static int walk_folder(struct walk *walk, int parent, const char *name, struct err *err)
{
    int rc = 0, fd = openat(parent, name, FOLDER_FLAGS | O_NOFOLLOW);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL) {
        if (fd >= 0)
            close(fd);
        return 0; /* left out, as by the SDK */
    }
    walk->depth++;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(entries)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = walk_entry(walk, dirfd(entries), entry->d_name, err);
    walk->depth--;
    closedir(entries);
    return rc;
}

/* NOLINTEND(misc-no-recursion) */

static int list_files(const struct volume_cache *cache, struct volume_list *small,
                      struct volume_list *big, struct err *err)
{
    char path[PATH_MAX];
    struct walk walk = { .small = small, .big = big, .path = TEXT_OVER(path) };
    int rc = 0;
    for (size_t i = 0; i < cache->folder_count && rc == 0; i++) {
        text_truncate(&walk.path, 0);
        text_add(&walk.path, "%s", cache->folders[i]);
        rc = walk_folder(&walk, cache->folder_fds[i], ".", err);
    }
    volume_list_sort(small);
    volume_list_sort(big);
    return rc;
}

/* True where the archive has to be written anew: a file is new, newer, of another size, or gone. */
static bool differ(const struct volume_list *now, const struct volume_list *before)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct volume_file *old = volume_list_find(before, now->files[i].path);
        if (old == NULL || old->bytes != now->files[i].bytes ||
            now->files[i].mtime_s > old->mtime_s + VOLUME_TOLERANCE_S)
            return true;
    }
    return now->count != before->count;
}

static int save_small(const struct volume_cache *cache, int root, struct volume_list *small,
                      struct volume_cache_done *done, struct err *err)
{
    struct volume_list before, ignored;
    struct err none;
    volume_list_init(&before);
    volume_list_init(&ignored);
    int known = volume_manifest_read(root, &before, &ignored, &none);
    volume_list_sort(&before);
    int rc = 0;
    if (small->count == 0)
        unlinkat(root, VOLUME_SMALL, 0);
    else if (known <= 0 || differ(small, &before) ||
             faccessat(root, VOLUME_SMALL, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        rc = volume_small_save(cache, root, small, done, err);
    volume_list_free(&before);
    volume_list_free(&ignored);
    return rc;
}

static int save_file(const struct volume_cache *cache, int big, struct volume_file *file,
                     struct err *err)
{
    const char *below = "";
    int folder = volume_folder_of(cache, file->path.ptr, &below);
    int from = below_open_file(folder, below, err);
    if (from < 0)
        return from;
    int rc = copy_below(cache, from, big, file->path.ptr + 1, false, err);
    close(from);
    file->is_copied = rc >= 0;
    return rc;
}

static int save_big(const struct volume_cache *cache, int root, struct volume_list *files,
                    struct volume_cache_done *done, struct err *err)
{
    if (files->count == 0)
        return 0;
    mkdirat(root, VOLUME_BIG, VOLUME_FOLDER_MODE);
    int big = openat(root, VOLUME_BIG, FOLDER_FLAGS | O_NOFOLLOW);
    if (big < 0)
        return err_system(err, ERR_INPUT, errno, "its folder " VOLUME_BIG);
    int rc = volume_copy_all(cache, big, files, save_file, done, err);
    close(big);
    return rc;
}

static int save_to(const struct volume_cache *cache, int root, struct volume_cache_done *done,
                   struct err *err)
{
    struct volume_list small, big;
    volume_list_init(&small);
    volume_list_init(&big);
    int rc = list_files(cache, &small, &big, err);
    if (rc == 0)
        rc = save_small(cache, root, &small, done, err);
    if (rc == 0)
        rc = save_big(cache, root, &big, done, err);
    if (rc == 0)
        rc = volume_manifest_write(root, &small, &big, err);
    volume_list_free(&small);
    volume_list_free(&big);
    return rc;
}

int volume_cache_save(struct volume_cache *cache, struct volume_cache_done *done, struct err *err)
{
    *done = (struct volume_cache_done){ 0 };
    io_make_folders(cache->root, VOLUME_FOLDER_MODE);
    int root = open(cache->root, FOLDER_FLAGS);
    if (root < 0)
        return err_system(err, ERR_INPUT, errno, "%.200s", cache->root);
    int rc = save_to(cache, root, done, err);
    close(root);
    return rc;
}
