/* Where libraries are searched for. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "codec/ld_cache.h"
#include "loader/loader.h"
#include "loader/loader_private.h"

#ifdef __aarch64__
#define LIB_TRIPLET "/usr/lib/aarch64-linux-gnu"
#else
#define LIB_TRIPLET "/usr/lib/x86_64-linux-gnu"
#endif

/* Where NVIDIA's container runtime, Linux distributions (Debian's alternatives, NixOS) and WSL put
 * the driver's libraries. */
static const char *const folders[] = {
    "/usr/lib64",
    LIB_TRIPLET,
    LIB_TRIPLET "/nvidia/current", // NOLINT(bugprone-suspicious-missing-comma)
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
    "/usr/lib",
    "/lib64",
    "/lib",
};

#define CACHE "/etc/ld.so.cache"

/* glibc's libraries, including those that were separate before 2.34. */
static const char *const libc_family[] = {
    "libc",   "libm",    "libdl",     "libpthread",      "librt",
    "libanl", "libutil", "libresolv", "ld-linux-x86-64", "ld-linux-aarch64",
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

/* A file that may be the library: one for another processor, as 32-bit ones are, is passed over. */
static bool is_candidate(const char *path)
{
    char bytes[EI_NIDENT + 4];
    if (!is_file(path))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t len = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (fd >= 0)
        close(fd);
    return len < 0 || !elf_is_foreign((slice){ bytes, (size_t)len }, LOADER_MACHINE);
}

/*
 * A driver's version, as 535.261.03: digits and dots, the first number of three digits. Those of
 * other libraries tell of their interface: libstdc++.so.6.0.30 does not stand in for .so.7.
 */
static bool is_version(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len >= 3 && text[len] == '.' && strspn(text, "0123456789.") == strlen(text);
}

/* Compares what is_version takes for versions, number by number: negative, 0 or positive. */
static long compare_versions(const char *a, const char *b)
{
    while (*a != '\0' || *b != '\0') {
        char *a_end, *b_end;
        long left = strtol(a, &a_end, 10), right = strtol(b, &b_end, 10);
        if (left != right)
            return left < right ? -1 : 1;
        a = *a_end == '.' ? a_end + 1 : a_end;
        b = *b_end == '.' ? b_end + 1 : b_end;
    }
    return 0;
}

/* The file with the highest version in a folder, for a name like "libX.so.N". */
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
            strlen(entry->d_name) >= sizeof best ||
            snprintf(path, size, "%s/%s", folder, entry->d_name) >= (int)size)
            continue;
        if ((best[0] == '\0' || compare_versions(version, best + stem) > 0) && is_candidate(path))
            memcpy(best, entry->d_name, strlen(entry->d_name) + 1);
    }
    closedir(dir);
    return best[0] != '\0' && snprintf(path, size, "%s/%s", folder, best) < (int)size;
}

static bool find_in(const char *folder, const char *name, char *path, size_t size)
{
    int len = snprintf(path, size, "%s/%s", folder, name);
    if (len > 0 && (size_t)len < size && is_candidate(path))
        return true;
    return find_versioned(folder, name, path, size);
}

/* Searches a list of folders separated by colons. Empty ones, the current folder, are skipped. */
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

/* Searches ldconfig's cache. A path in it may be stale, so the file itself decides. */
static bool find_in_cache(const char *name, char *path, size_t size)
{
    struct stat info;
    size_t cursor = 0;
    const char *at = NULL;
    int fd = open(CACHE, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    void *cache = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0
                      ? mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
                      : MAP_FAILED;
    close(fd);
    if (cache == MAP_FAILED)
        return false;
    slice bytes = { cache, (size_t)info.st_size };
    do
        at = ld_cache_next(bytes, name, LOADER_MACHINE, &cursor);
    while (at != NULL && !is_candidate(at));
    bool found = at != NULL && snprintf(path, size, "%s", at) < (int)size;
    munmap(cache, (size_t)info.st_size);
    return found;
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
    char searched[ERR_TEXT_BYTES];
    struct text list_of_folders = TEXT_OVER(searched);
    /* Of a set-user-ID program, whoever starts it may choose neither. */
    if (explicit_path != NULL && *explicit_path != '\0' && getauxval(AT_SECURE) == 0)
        return find_explicit(name, explicit_path, path, size, err);
    const char *list = secure_getenv("LD_LIBRARY_PATH");
    if (find_in_list(list, name, path, size))
        return 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (find_in(folders[i], name, path, size))
            return 0;
        text_add(&list_of_folders, "%s%s", i == 0 ? "" : ", ", folders[i]);
    }
    if (find_in_cache(name, path, size))
        return 0;
    return err_set(err, ERR_CONFIG, "no %s in %s, " CACHE "%s%s", name, searched,
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

/* Writes a list of folders with $ORIGIN, that of the library that holds the list, put in. */
static bool put_origin(const char *list, const char *library, char *out, size_t size)
{
    static const char *const words[] = { "$ORIGIN", "${ORIGIN}" };
    struct text text = text_over(out, size);
    const char *slash = strrchr(library, '/');
    int len = slash == NULL ? 1 : (int)(slash - library);
    while (*list != '\0') {
        size_t plain = strcspn(list, "$"), word = 0;
        text_add(&text, "%.*s", (int)plain, list);
        list += plain;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strncmp(list, words[i], strlen(words[i])) == 0)
                word = strlen(words[i]);
        if (word > 0)
            text_add(&text, "%.*s", len, slash == NULL ? "." : library);
        else if (*list != '\0')
            text_add(&text, "%c", list[word++]);
        list += word;
    }
    return !text.is_cut;
}

/* In the folders that a library names itself. */
static bool find_by_own_list(const struct loader_lib *lib, const char *name, char *path,
                             size_t size)
{
    char list[LOADER_PATH_BYTES];
    return lib->dynamic.run_path != NULL &&
           put_origin(lib->dynamic.run_path, lib->path, list, sizeof list) &&
           find_in_list(list, name, path, size);
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
    if (asking != NULL &&
        (find_beside(asking->path, name, path, size) || find_by_own_list(asking, name, path, size)))
        return 0;
    for (struct loader_lib *other = loader_libs; other != NULL; other = other->next)
        if (find_beside(other->path, name, path, size))
            return 0;
    return loader_find(name, NULL, path, size, err);
}
