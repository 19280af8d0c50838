#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gpu/loader.h"
#include "gpu/loader_lib.h"

#ifdef __aarch64__
#define LIB_TRIPLET "/usr/lib/aarch64-linux-gnu"
#else
#define LIB_TRIPLET "/usr/lib/x86_64-linux-gnu"
#endif

/* Where NVIDIA's container runtime, the distributions and WSL put a driver's libraries. */
static const char *const folders[] = {
    "/usr/lib64",
    LIB_TRIPLET,
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/usr/lib/wsl/lib",
    "/usr/lib",
    "/lib64",
    "/lib",
};

/* glibc's, and what it was split into before 2.34. */
static const char *const libc_family[] = {
    "libc",  "libm",    "libdl",           "libpthread",
    "librt", "libutil", "ld-linux-x86-64", "ld-linux-aarch64",
};

bool loader_is_libc(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash == NULL ? name : slash + 1;
    const char *end = strstr(base, ".so");
    if (end == NULL)
        return false;
    for (size_t i = 0; i < sizeof libc_family / sizeof *libc_family; i++)
        if (strncmp(base, libc_family[i], (size_t)(end - base)) == 0 &&
            libc_family[i][end - base] == '\0')
            return true;
    return false;
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Digits and dots alone: a driver's version. */
static bool is_version(const char *text)
{
    return *text >= '0' && *text <= '9' && strspn(text, "0123456789.") == strlen(text);
}

/* Negative, 0 or positive: as numbers between dots. */
static long compare_versions(const char *a, const char *b)
{
    while (*a != '\0' || *b != '\0') {
        char *a_end, *b_end;
        long left = strtol(a, &a_end, 10), right = strtol(b, &b_end, 10);
        if (left != right)
            return left < right ? -1 : 1;
        a = *a_end == '.' ? a_end + 1 : a_end;
        b = *b_end == '.' ? b_end + 1 : b_end;
        if (a == a_end && b == b_end && *a != *b)
            return *a < *b ? -1 : 1;
    }
    return 0;
}

/* The file of the highest version in a folder, for a NAME that is "libX.so.N". */
static bool find_versioned(const char *folder, const char *name, char *path, size_t size)
{
    const char *so = strstr(name, ".so.");
    char best[256] = "";
    if (so == NULL)
        return false;
    size_t stem = (size_t)(so - name) + strlen(".so.");
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return false;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const char *version = entry->d_name + stem;
        if (strncmp(entry->d_name, name, stem) != 0 || !is_version(version) ||
            strchr(version, '.') == NULL || strlen(entry->d_name) >= sizeof best)
            continue;
        if (best[0] == '\0' || compare_versions(version, best + stem) > 0)
            memcpy(best, entry->d_name, strlen(entry->d_name) + 1);
    }
    closedir(dir);
    return best[0] != '\0' && snprintf(path, size, "%s/%s", folder, best) < (int)size &&
           is_file(path);
}

static bool find_in(const char *folder, const char *name, char *path, size_t size)
{
    int len = snprintf(path, size, "%s/%s", folder, name);
    if (len > 0 && (size_t)len < size && is_file(path))
        return true;
    return find_versioned(folder, name, path, size);
}

/* The folders of a list with colons between them; an empty one would be the current folder. */
static bool find_in_list(const char *list, const char *name, char *path, size_t size)
{
    char folder[LOADER_PATH_BYTES];
    while (list != NULL && *list != '\0') {
        size_t len = strcspn(list, ":");
        if (len > 0 && len < sizeof folder) {
            memcpy(folder, list, len);
            folder[len] = '\0';
            if (find_in(folder, name, path, size))
                return true;
        }
        list += len + (list[len] == ':');
    }
    return false;
}

static int find_explicit(const char *name, const char *where, char *path, size_t size,
                         struct err *err)
{
    struct stat info;
    if (stat(where, &info) != 0)
        return err_system(err, ERR_CONFIG, errno, "%s", where);
    if (S_ISDIR(info.st_mode)) {
        if (find_in(where, name, path, size))
            return 0;
        return err_set(err, ERR_CONFIG, "no %s in the folder %s", name, where);
    }
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_CONFIG, "%s is neither a file nor a folder", where);
    if (snprintf(path, size, "%s", where) >= (int)size)
        return err_set(err, ERR_CONFIG, "the path %s is too long", where);
    return 0;
}

int loader_find(const char *name, const char *explicit_path, char *path, size_t size,
                struct err *err)
{
    char looked[ERR_TEXT_BYTES] = "";
    if (explicit_path != NULL && *explicit_path != '\0')
        return find_explicit(name, explicit_path, path, size, err);
    const char *list = getenv("LD_LIBRARY_PATH");
    if (find_in_list(list, name, path, size))
        return 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (find_in(folders[i], name, path, size))
            return 0;
        size_t len = strlen(looked);
        snprintf(looked + len, sizeof looked - len, "%s%s", i == 0 ? "" : ", ", folders[i]);
    }
    return err_set(err, ERR_CONFIG, "no %s in %s%s%s", name, looked,
                   list != NULL && *list != '\0' ? ", nor in LD_LIBRARY_PATH: " : "",
                   list != NULL ? list : "");
}

static bool find_beside(const char *sibling, const char *name, char *path, size_t size)
{
    char folder[LOADER_PATH_BYTES];
    const char *slash = strrchr(sibling, '/');
    size_t len = slash == NULL ? 1 : (size_t)(slash - sibling);
    if (len >= sizeof folder)
        return false;
    memcpy(folder, slash == NULL ? "." : sibling, len);
    folder[len] = '\0';
    return find_in(folder, name, path, size);
}

int loader_resolve(const char *name, const struct loader_lib *asking, struct loader_lib **lib,
                   char *path, size_t size, struct err *err)
{
    *lib = NULL;
    for (struct loader_lib *other = loader_libs; other != NULL; other = other->next)
        if (strcmp(other->name, name) == 0) {
            *lib = other;
            return 0;
        }
    if (asking != NULL && find_beside(asking->path, name, path, size))
        return 0;
    for (struct loader_lib *other = loader_libs; other != NULL; other = other->next)
        if (find_beside(other->path, name, path, size))
            return 0;
    return loader_find(name, NULL, path, size, err);
}
