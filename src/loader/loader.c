#include "loader/loader.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/libc_private.h"
#include "loader/loader_private.h"
#include "loader/thread_storage.h"

extern char *__progname_full; /* musl's and glibc's: argv[0] */

struct loader_lib *_Atomic loader_libs;
pthread_mutex_t loader_lock;

static struct loader_lib *newest; /* the last of loader_libs */
static size_t lib_count;
static struct loader_lib *started[LOADER_LIBS_MAX]; /* in the order of their constructors */
static size_t started_count;

/* --- a load: a graph of libraries, bound as a whole before it is published ------------------ */

struct load {
    struct loader_lib *libs[LOADER_LIBS_MAX]; /* new ones, in the order they were found */
    size_t count;
    struct loader_lib *bound[LOADER_LIBS_MAX]; /* the same, dependencies first */
    size_t bound_count;
    unsigned storage_before;
    size_t missing_before;
};

static bool is_file(const struct loader_lib *lib, const struct stat *info)
{
    return lib->device == info->st_dev && lib->inode == info->st_ino;
}

static struct loader_lib *known_file(const struct load *load, const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return NULL;
    for (struct loader_lib *lib = loader_libs; lib != NULL; lib = lib->next)
        if (is_file(lib, &info))
            return lib;
    for (size_t i = 0; i < load->count; i++)
        if (is_file(load->libs[i], &info))
            return load->libs[i];
    return NULL;
}

/* The library at path: one that is known, or a new one, which is mapped and added to the load. */
static int add(struct load *load, const char *path, struct loader_lib **lib, struct err *err)
{
    *lib = known_file(load, path);
    if (*lib != NULL)
        return 0;
    if (lib_count + load->count == LOADER_LIBS_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %u libraries are loaded", path,
                       LOADER_LIBS_MAX);
    struct loader_lib *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a library's description");
    int rc = loader_map(path, fresh, err);
    if (rc != 0) {
        free(fresh);
        return err_wrap(err, "%s", path);
    }
    *lib = load->libs[load->count++] = fresh;
    fresh->root = load->libs[0];
    return 0;
}

/* One of this load that calls itself so, whatever its file is called. */
static struct loader_lib *find_named(const struct load *load, const char *name)
{
    for (size_t i = 0; i < load->count; i++)
        if (strcmp(load->libs[i]->name, name) == 0)
            return load->libs[i];
    return NULL;
}

/*
 * The libraries of a C++ compiler. Many libraries name them as needed and bind nothing of them; an
 * empty image does not have them. Something that is bound from one that is missing fails the load
 * (bind.c).
 */
static bool is_runtime(const char *name)
{
    return strncmp(name, "libstdc++.so.", strlen("libstdc++.so.")) == 0 ||
           strncmp(name, "libgcc_s.so.", strlen("libgcc_s.so.")) == 0;
}

static int add_needed(struct load *load, struct loader_lib *lib, const char *name, struct err *err)
{
    char path[LOADER_PATH_BYTES];
    if (loader_is_libc(name))
        return 0;
    int rc = 0;
    struct loader_lib *other = find_named(load, name);
    if (other == NULL && strchr(name, '/') != NULL)
        rc = add(load, name, &other, err);
    else if (other == NULL &&
             (rc = loader_resolve(name, lib, &other, path, sizeof path, err)) == 0 && other == NULL)
        rc = add(load, path, &other, err);
    if (rc == ERR_CONFIG && is_runtime(name)) {
        lib->lacks = name;
        return 0;
    }
    if (rc != 0)
        return err_wrap(err, "%s needs %s", lib->path, name);
    if (lib->needed_count == LOADER_NEEDED_MAX)
        return err_set(err, ERR_LIMIT, "%s needs more than %u libraries", lib->path,
                       LOADER_NEEDED_MAX);
    lib->needed[lib->needed_count++] = other;
    return 0;
}

/* Maps all dependencies, breadth first. A circle ends at a file that is already known. */
static int add_all_needed(struct load *load, struct err *err)
{
    for (size_t i = 0; i < load->count; i++) {
        size_t cursor = 0;
        const char *name;
        while ((name = elf_next_needed(&load->libs[i]->dynamic, &cursor)) != NULL) {
            int rc = add_needed(load, load->libs[i], name, err);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int reserve_thread_storage(struct load *load, struct err *err)
{
    for (size_t i = 0; i < load->count; i++) {
        struct loader_lib *lib = load->libs[i];
        const Elf64_Phdr *segment = lib->head.tls;
        if (segment == NULL)
            continue;
        int id = thread_storage_reserve(segment, lib->base + segment->p_vaddr, err);
        if (id < 0)
            return err_wrap(err, "%s", lib->path);
        lib->storage_id = (unsigned)id;
    }
    return 0;
}

/* Adds lib to load->bound after its dependencies. The depth is limited by LOADER_LIBS_MAX. */
// NOLINTNEXTLINE(misc-no-recursion)
static void add_bound(struct load *load, struct loader_lib *lib, bool *visited)
{
    size_t i = 0;
    while (i < load->count && load->libs[i] != lib)
        i++;
    if (i == load->count || visited[i])
        return; /* bound by an earlier load, or already on its way (a circle) */
    visited[i] = true;
    for (size_t k = 0; k < lib->needed_count; k++)
        add_bound(load, lib->needed[k], visited);
    load->bound[load->bound_count++] = lib;
}

static int bind_all(struct load *load, struct err *err)
{
    bool visited[LOADER_LIBS_MAX] = { false };
    add_bound(load, load->libs[0], visited);
    for (size_t i = 0; i < load->bound_count; i++)
        if (loader_relocate(load->bound[i], err) != 0)
            return err_wrap(err, "%s", load->bound[i]->path);
    return 0;
}

static void undo(struct load *load)
{
    thread_storage_unreserve(load->storage_before);
    loader_forget_missing(load->missing_before);
    for (size_t i = 0; i < load->count; i++) {
        loader_unmap(load->libs[i]);
        free(load->libs[i]);
    }
}

static void publish(struct load *load)
{
    thread_storage_publish();
    for (size_t i = 0; i < load->count; i++) {
        if (newest == NULL)
            loader_libs = load->libs[i];
        else
            newest->next = load->libs[i];
        newest = load->libs[i];
    }
    lib_count += load->count;
}

/* --- constructors and destructors ----------------------------------------------------------- */

typedef void constructor(int argc, char **argv, char **envp);

/* The function at an address, NULL outside the library's code: a damaged list must not run. */
static constructor *function_at(const struct loader_lib *lib, uint64_t address)
{
    constructor *function = NULL;
    if (elf_at(&lib->dynamic.image, address, 1, PF_X) != NULL) {
        const char *at = lib->base + address;
        memcpy(&function, &at, sizeof function);
    }
    return function;
}

static constructor *list_entry(const struct loader_lib *lib, const struct elf_table *list, size_t i)
{
    uint64_t address = ((const uint64_t *)list->at)[i];
    return function_at(lib, address - (uint64_t)(uintptr_t)lib->base);
}

/* glibc passes the arguments of main to constructors. */
static void call(constructor *function)
{
    static char *argv[2];
    argv[0] = __progname_full;
    if (function != NULL)
        function(1, argv, environ);
}

static void stop_all(void)
{
    for (size_t i = started_count; i-- > 0;) {
        const struct loader_lib *lib = started[i];
        for (size_t k = lib->dynamic.fini_array.count; k-- > 0;)
            call(list_entry(lib, &lib->dynamic.fini_array, k));
        if (lib->dynamic.fini != 0)
            call(function_at(lib, lib->dynamic.fini));
    }
    started_count = 0;
}

static void start(struct loader_lib *lib)
{
    started[started_count++] = lib;
    if (lib->dynamic.init != 0)
        call(function_at(lib, lib->dynamic.init));
    for (size_t i = 0; i < lib->dynamic.init_array.count; i++)
        call(list_entry(lib, &lib->dynamic.init_array, i));
}

/* Before any constructor runs: exit handlers that libraries register run before this one. */
static int register_stop_all(struct err *err)
{
    static bool registered;
    if (!registered && atexit(stop_all) != 0)
        return err_set(err, ERR_MEMORY, "no memory for an exit handler");
    registered = true;
    return 0;
}

/* --- opening -------------------------------------------------------------------------------- */

/* Makes the symbols of a library and its dependencies available to all libraries. */
// NOLINTNEXTLINE(misc-no-recursion)
static void make_global(struct loader_lib *lib)
{
    if (lib->is_global)
        return;
    lib->is_global = true;
    for (size_t i = 0; i < lib->needed_count; i++)
        make_global(lib->needed[i]);
}

static int load_graph(struct load *load, const char *path, struct loader_lib **lib, struct err *err)
{
    load->storage_before = thread_storage_count();
    load->missing_before = loader_missing_count();
    int rc = register_stop_all(err);
    if (rc == 0)
        rc = add(load, path, lib, err);
    if (rc != 0 || load->count == 0)
        return rc;
    rc = add_all_needed(load, err);
    if (rc == 0)
        rc = reserve_thread_storage(load, err);
    if (rc == 0)
        rc = bind_all(load, err);
    if (rc != 0) {
        undo(load);
        return rc;
    }
    publish(load);
    return 0;
}

static void begin(void)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&loader_lock, &attr);
    pthread_mutexattr_destroy(&attr);
    libc_heap_open();
}

int loader_load(const char *path, bool global, struct loader_lib **lib, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct load load = { .count = 0 };
    pthread_once(&once, begin);
    loader_enter();
    pthread_mutex_lock(&loader_lock);
    int rc = load_graph(&load, path, lib, err);
    if (rc == 0) {
        if (global)
            make_global(*lib);
        for (size_t i = 0; i < load.bound_count; i++)
            start(load.bound[i]);
    }
    pthread_mutex_unlock(&loader_lock);
    return rc;
}

int loader_open(const char *path, struct loader_lib **lib, struct err *err)
{
    if (!loader_supported())
        return err_set(err, ERR_CONFIG, "shared libraries cannot be loaded on this processor");
    return loader_load(path, false, lib, err);
}

void *loader_symbol(struct loader_lib *lib, const char *name)
{
    struct elf_name hashed = elf_name(name);
    struct loader_lib *owner;
    const Elf64_Sym *symbol = loader_find_symbol(lib, &hashed, &owner);
    if (symbol == NULL)
        return NULL;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_TLS) {
        const uint64_t which[] = { owner->storage_id, symbol->st_value };
        return owner->storage_id == 0 ? NULL : thread_storage_get_addr(which);
    }
    return loader_address(owner, symbol);
}

const char *loader_path(const struct loader_lib *lib)
{
    return lib->path;
}

void loader_enter(void)
{
    thread_storage_enter();
}
