/* The dynamic linker's functions as loaded libraries call them, on the loader. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "loader/libc_private.h"
#include "loader/libc_table.h"
#include "loader/loader_private.h"
#include "loader/thread_storage.h"

extern char *__progname_full;
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

/* The handle of glibc's own libraries and of the program; it means the same as RTLD_DEFAULT. */
static char libc_handle;

/* --- the last error ------------------------------------------------------------------------- */

static _Thread_local struct {
    char text[ERR_TEXT_BYTES];
    bool pending;
} last_error;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_error.text, sizeof last_error.text, format, args);
    va_end(args);
    last_error.pending = true;
}

char *libc_dlerror(void)
{
    if (!last_error.pending)
        return NULL;
    last_error.pending = false;
    return last_error.text;
}

/* --- opening -------------------------------------------------------------------------------- */

static struct loader_lib *loaded_file(const char *path)
{
    struct stat info;
    struct loader_lib *lib = stat(path, &info) == 0 ? loader_libs : NULL;
    while (lib != NULL && (lib->device != info.st_dev || lib->inode != info.st_ino))
        lib = lib->next;
    return lib;
}

/* A library that is already loaded is opened again, since that may make it RTLD_GLOBAL. */
static int open_path(const char *path, int mode, struct loader_lib **lib, struct err *err)
{
    if ((mode & RTLD_NOLOAD) != 0 && loaded_file(path) == NULL)
        return err_set(err, ERR_CONFIG, "%s is not loaded", path);
    return loader_load(path, (mode & RTLD_GLOBAL) != 0, lib, err);
}

static int open_library(const char *name, int mode, struct loader_lib **lib, struct err *err)
{
    if (strchr(name, '/') != NULL)
        return open_path(name, mode, lib, err);
    char path[LOADER_PATH_BYTES];
    int rc = loader_resolve(name, NULL, lib, path, sizeof path, err);
    if (rc != 0)
        return rc;
    return open_path(*lib != NULL ? (*lib)->path : path, mode, lib, err);
}

void *libc_dlopen(const char *name, int mode)
{
    struct loader_lib *lib = NULL;
    struct err err;
    if (name == NULL || *name == '\0' || loader_is_libc(name))
        return &libc_handle;
    if (open_library(name, mode, &lib, &err) == 0)
        return lib;
    log_write(LOG_DEBUG, NULL, "dlopen of %s by a library failed: %s", name, err.text);
    fail("%s", err.text);
    return NULL;
}

void *libc_dlmopen(long namespace, const char *name, int mode)
{
    (void)namespace;
    return libc_dlopen(name, mode);
}

int libc_dlclose(void *handle)
{
    (void)handle;
    return 0;
}

/* --- symbols -------------------------------------------------------------------------------- */

static struct loader_lib *library_of(const void *handle)
{
    struct loader_lib *lib = loader_libs;
    while (lib != NULL && lib != handle)
        lib = lib->next;
    return lib;
}

static void *find_everywhere(const char *name)
{
    struct elf_name hashed = elf_name(name);
    void *address = libc_symbol(name);
    for (struct loader_lib *lib = loader_libs; lib != NULL && address == NULL; lib = lib->next) {
        const Elf64_Sym *symbol = lib->is_global ? elf_find(&lib->dynamic, &hashed) : NULL;
        if (symbol != NULL && ELF64_ST_TYPE(symbol->st_info) != STT_TLS)
            address = loader_address(lib, symbol);
    }
    return address;
}

void *libc_dlsym(void *handle, const char *name)
{
    struct loader_lib *lib = library_of(handle);
    void *address = NULL;
    if (lib != NULL) {
        address = loader_symbol(lib, name);
        if (address == NULL) /* every library depends on the C library */
            address = libc_symbol(name);
    } else if (handle == RTLD_DEFAULT || handle == RTLD_NEXT || handle == &libc_handle) {
        address = find_everywhere(name);
    } else {
        fail("dlsym of %s: invalid handle", name);
        return NULL;
    }
    if (address == NULL) {
        log_write(LOG_DEBUG, NULL, "dlsym by a library did not find %s", name);
        fail("undefined symbol: %s", name);
    }
    return address;
}

void *libc_dlvsym(void *handle, const char *name, const char *version)
{
    (void)version;
    return libc_dlsym(handle, name);
}

/* --- which library an address is in --------------------------------------------------------- */

static struct loader_lib *library_at(uintptr_t at)
{
    struct loader_lib *lib = loader_libs;
    while (lib != NULL && at - (uintptr_t)lib->dynamic.image.memory >= lib->head.span)
        lib = lib->next;
    return lib;
}

int libc_dladdr(const void *address, Dl_info *info)
{
    uintptr_t at = (uintptr_t)address;
    struct loader_lib *lib = library_at(at);
    *info = (Dl_info){ 0 };
    if (at >= (uintptr_t)__ehdr_start && at < (uintptr_t)_end) {
        info->dli_fname = __progname_full;
        info->dli_fbase = (void *)(uintptr_t)__ehdr_start;
        return 1;
    }
    if (lib == NULL)
        return 0;
    const Elf64_Sym *symbol = elf_nearest(&lib->dynamic, at - (uintptr_t)lib->base);
    info->dli_fname = lib->path;
    info->dli_fbase = lib->dynamic.image.memory;
    if (symbol != NULL) {
        info->dli_sname = elf_symbol_name(&lib->dynamic, symbol);
        info->dli_saddr = lib->base + symbol->st_value;
    }
    return 1;
}

/* This program has no unwind tables: unwinding ends at its frames. */
int libc_dl_find_object(void *address, struct libc_dl_found_object *found)
{
    const struct loader_lib *lib = library_at((uintptr_t)address);
    if (lib == NULL)
        return -1;
    char *memory = lib->dynamic.image.memory;
    *found = (struct libc_dl_found_object){ .from = memory, .to = memory + lib->head.span };
    for (size_t i = 0; i < lib->head.part_count; i++)
        if (lib->head.parts[i].p_type == PT_GNU_EH_FRAME)
            found->unwind_table = lib->base + lib->head.parts[i].p_vaddr;
    return 0;
}

int libc_dl_iterate(int (*visit)(struct dl_phdr_info *info, size_t size, void *data), void *data)
{
    unsigned long long count = 1;
    int rc = dl_iterate_phdr(visit, data);
    for (struct loader_lib *lib = loader_libs; lib != NULL && rc == 0; lib = lib->next) {
        struct dl_phdr_info info = {
            .dlpi_addr = (Elf64_Addr)(uintptr_t)lib->base,
            .dlpi_name = lib->path,
            .dlpi_phdr = lib->head.parts,
            .dlpi_phnum = (Elf64_Half)lib->head.part_count,
            .dlpi_adds = ++count,
            .dlpi_tls_modid = lib->storage_id,
        };
        rc = visit(&info, sizeof info, data);
    }
    return rc;
}

/* --- what is known of a handle -------------------------------------------------------------- */

/* glibc's numbers of dlinfo(3) requests. */
enum {
    DLINFO_NAMESPACE = 1,
    DLINFO_MAP = 2,
    DLINFO_FOLDER = 6,
    DLINFO_TLS_ID = 9,
    DLINFO_TLS = 10
};

/* The public members of glibc's struct link_map, for each library and first for the program. */
static struct map {
    uintptr_t base;
    const char *path;
    const void *dynamic;
    struct map *next, *previous;
} maps[LOADER_LIBS_MAX + 1];

/* Libraries are only ever added, so what has been handed out stays right. */
static struct map *map_of(const struct loader_lib *wanted)
{
    size_t i = 0;
    struct map *found = &maps[0];
    maps[0].path = "";
    for (struct loader_lib *lib = loader_libs; lib != NULL; lib = lib->next) {
        struct map *map = &maps[++i];
        *map = (struct map){ (uintptr_t)lib->base, lib->path, lib->dynamic.entries, map->next,
                             map - 1 };
        maps[i - 1].next = map;
        if (lib == wanted)
            found = map;
    }
    return found;
}

/* The caller's buffer is as large as the path: that is glibc's contract. */
static void copy_folder(const char *path, char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    memcpy(folder, path, len);
    folder[len] = '\0';
}

static int answer_about(const struct loader_lib *lib, int request, void *answer)
{
    unsigned id = lib != NULL ? lib->storage_id : 0;
    const uint64_t which[] = { id, 0 };
    switch (request) {
    case DLINFO_NAMESPACE: *(long *)answer = 0; return 0;
    case DLINFO_MAP:
        pthread_mutex_lock(&loader_lock);
        *(struct map **)answer = map_of(lib);
        pthread_mutex_unlock(&loader_lock);
        return 0;
    case DLINFO_FOLDER: copy_folder(lib != NULL ? lib->path : __progname_full, answer); return 0;
    case DLINFO_TLS_ID: *(size_t *)answer = id; return 0;
    case DLINFO_TLS: *(void **)answer = id != 0 ? thread_storage_get_addr(which) : NULL; return 0;
    default: fail("unsupported dlinfo request"); return -1;
    }
}

int libc_dlinfo(void *handle, int request, void *answer)
{
    const struct loader_lib *lib = library_of(handle);
    if (lib != NULL || handle == &libc_handle)
        return answer_about(lib, request, answer);
    fail("dlinfo: invalid handle");
    return -1;
}
