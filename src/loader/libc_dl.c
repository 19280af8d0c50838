#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "gpu/dl.h"
#include "gpu/libc_table.h"
#include "gpu/loader_lib.h"

extern char *__progname_full;
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

/* What dlopen of glibc's own libraries yields; RTLD_DEFAULT's meaning is the same. */
static char libc_handle;

/* --- the last error --------------------------------------------------------------------------- */

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

char *dl_error(void)
{
    if (!last_error.pending)
        return NULL;
    last_error.pending = false;
    return last_error.text;
}

/* --- opening ---------------------------------------------------------------------------------- */

static struct loader_lib *loaded_file(const char *path)
{
    struct stat info;
    struct loader_lib *lib = stat(path, &info) == 0 ? loader_libs : NULL;
    while (lib != NULL && (lib->device != info.st_dev || lib->inode != info.st_ino))
        lib = lib->next;
    return lib;
}

/* One that is loaded is opened again for what else that means: RTLD_GLOBAL. */
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

void *dl_open(const char *name, int mode)
{
    struct loader_lib *lib = NULL;
    struct err err;
    if (name == NULL || *name == '\0' || loader_is_libc(name))
        return &libc_handle;
    if (open_library(name, mode, &lib, &err) == 0)
        return lib;
    log_write(LOG_DEBUG, NULL, "a library's dlopen of %s failed: %s", name, err.text);
    fail("%s", err.text);
    return NULL;
}

void *dl_mopen(long namespace, const char *name, int mode)
{
    (void)namespace;
    return dl_open(name, mode);
}

int dl_close(void *handle)
{
    (void)handle;
    return 0;
}

int dl_info(void *handle, int request, void *answer)
{
    (void)handle;
    (void)answer;
    fail("dlinfo request %d is not supported", request);
    return -1;
}

/* --- symbols ---------------------------------------------------------------------------------- */

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

void *dl_sym(void *handle, const char *name)
{
    struct loader_lib *lib = library_of(handle);
    void *address = NULL;
    if (lib != NULL) {
        address = loader_symbol(lib, name);
        if (address == NULL) /* every library needs the C library */
            address = libc_symbol(name);
    } else if (handle == RTLD_DEFAULT || handle == RTLD_NEXT || handle == &libc_handle) {
        address = find_everywhere(name);
    } else {
        fail("dlsym of %s in a handle that is none", name);
        return NULL;
    }
    if (address == NULL) {
        log_write(LOG_DEBUG, NULL, "a library's dlsym found no %s", name);
        fail("undefined symbol: %s", name);
    }
    return address;
}

void *dl_vsym(void *handle, const char *name, const char *version)
{
    (void)version;
    return dl_sym(handle, name);
}

/* --- who lies where --------------------------------------------------------------------------- */

static struct loader_lib *library_at(uintptr_t at)
{
    struct loader_lib *lib = loader_libs;
    while (lib != NULL && at - (uintptr_t)lib->dynamic.image.memory >= lib->head.span)
        lib = lib->next;
    return lib;
}

int dl_addr(const void *address, Dl_info *info)
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

/* This program has no unwind tables for others: a search for a handler ends at its frames. */
int dl_find_object(void *address, struct dl_found_object *found)
{
    const struct loader_lib *lib = library_at((uintptr_t)address);
    if (lib == NULL)
        return -1;
    char *memory = lib->dynamic.image.memory;
    *found = (struct dl_found_object){ .from = memory, .to = memory + lib->head.span };
    for (size_t i = 0; i < lib->head.part_count; i++)
        if (lib->head.parts[i].p_type == PT_GNU_EH_FRAME)
            found->unwind_table = lib->base + lib->head.parts[i].p_vaddr;
    return 0;
}

int dl_iterate(int (*visit)(struct dl_phdr_info *info, size_t size, void *data), void *data)
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
            .dlpi_tls_modid = lib->tls_id,
        };
        rc = visit(&info, sizeof info, data);
    }
    return rc;
}
