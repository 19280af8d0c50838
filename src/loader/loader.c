#include "gpu/loader.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gpu/loader_lib.h"
#include "gpu/tls.h"

extern char *__progname_full; /* musl's and glibc's: argv[0] */

struct loader_lib *_Atomic loader_libs;
pthread_mutex_t loader_lock;

static struct loader_lib *newest; /* the last of loader_libs */
static size_t lib_count;
static struct loader_lib *started[LOADER_LIBS_MAX]; /* in the order their constructors began */
static size_t started_count;

/* --- one load: a graph that is mapped and bound as a whole before any of it is seen ---------- */

struct load {
    struct loader_lib *libs[LOADER_LIBS_MAX]; /* new ones, as they were found */
    size_t count;
    struct loader_lib *bound[LOADER_LIBS_MAX]; /* the same: what is needed before who needs it */
    size_t bound_count;
    unsigned tls_before;
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

/* The library at path: a known one, or a new one mapped and added to the load. */
static int add(struct load *load, const char *path, struct loader_lib **lib, struct err *err)
{
    *lib = known_file(load, path);
    if (*lib != NULL)
        return 0;
    if (lib_count + load->count == LOADER_LIBS_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %u libraries", path, LOADER_LIBS_MAX);
    struct loader_lib *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a library");
    int rc = loader_map(path, fresh, err);
    if (rc != 0) {
        free(fresh);
        return err_wrap(err, "%s", path);
    }
    *lib = load->libs[load->count++] = fresh;
    return 0;
}

static int add_needed(struct load *load, struct loader_lib *lib, const char *name, struct err *err)
{
    char path[LOADER_PATH_BYTES];
    struct loader_lib *other = NULL;
    if (loader_is_libc(name))
        return 0;
    int rc = 0;
    if (strchr(name, '/') != NULL)
        rc = add(load, name, &other, err);
    else if ((rc = loader_resolve(name, lib, &other, path, sizeof path, err)) == 0 && other == NULL)
        rc = add(load, path, &other, err);
    if (rc != 0)
        return err_wrap(err, "%s needs %s", lib->path, name);
    if (lib->needed_count == LOADER_NEEDED_MAX)
        return err_set(err, ERR_LIMIT, "%s needs more than %u libraries", lib->path,
                       LOADER_NEEDED_MAX);
    lib->needed[lib->needed_count++] = other;
    return 0;
}

/* Maps what is needed, breadth first: a circle ends at a file that is known already. */
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

static int reserve_tls(struct load *load, struct err *err)
{
    for (size_t i = 0; i < load->count; i++) {
        struct loader_lib *lib = load->libs[i];
        const Elf64_Phdr *tls = lib->head.tls;
        if (tls == NULL)
            continue;
        int id = tls_reserve(tls, lib->base + tls->p_vaddr, err);
        if (id < 0)
            return err_wrap(err, "%s", lib->path);
        lib->tls_id = (unsigned)id;
    }
    return 0;
}

/* Adds lib to load->bound, after what it needs; as deep as a load has libraries. */
// NOLINTNEXTLINE(misc-no-recursion)
static void order(struct load *load, struct loader_lib *lib, bool *visited)
{
    size_t i = 0;
    while (i < load->count && load->libs[i] != lib)
        i++;
    if (i == load->count || visited[i])
        return; /* bound by an earlier load, or on the way: a circle */
    visited[i] = true;
    for (size_t k = 0; k < lib->needed_count; k++)
        order(load, lib->needed[k], visited);
    load->bound[load->bound_count++] = lib;
}

static int bind_all(struct load *load, struct err *err)
{
    bool visited[LOADER_LIBS_MAX] = { false };
    order(load, load->libs[0], visited);
    for (size_t i = 0; i < load->bound_count; i++)
        if (loader_relocate(load->bound[i], err) != 0)
            return err_wrap(err, "%s", load->bound[i]->path);
    return 0;
}

static void undo(struct load *load)
{
    tls_unreserve(load->tls_before);
    loader_forget_missing(load->missing_before);
    for (size_t i = 0; i < load->count; i++) {
        loader_unmap(load->libs[i]);
        free(load->libs[i]);
    }
}

static void publish(struct load *load)
{
    tls_publish();
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

/* The function at an address of the library's code, or NULL: a damaged list must not be run. */
static constructor *code_at(const struct loader_lib *lib, uint64_t address)
{
    constructor *function = NULL;
    if (elf_at(&lib->dynamic.image, address, 1, PF_X) != NULL) {
        const char *at = lib->base + address;
        memcpy(&function, &at, sizeof function);
    }
    return function;
}

static constructor *listed(const struct loader_lib *lib, const struct elf_table *list, size_t i)
{
    uint64_t address = ((const uint64_t *)list->at)[i];
    return code_at(lib, address - (uint64_t)(uintptr_t)lib->base);
}

/* glibc hands constructors what main gets. */
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
            call(listed(lib, &lib->dynamic.fini_array, k));
        if (lib->dynamic.fini != 0)
            call(code_at(lib, lib->dynamic.fini));
    }
    started_count = 0;
}

static void start(struct loader_lib *lib)
{
    if (lib->started)
        return;
    lib->started = true;
    started[started_count++] = lib;
    if (lib->dynamic.init != 0)
        call(code_at(lib, lib->dynamic.init));
    for (size_t i = 0; i < lib->dynamic.init_array.count; i++)
        call(listed(lib, &lib->dynamic.init_array, i));
}

/* Registered before any constructor runs, so that the handlers that libraries register run first. */
static int register_stop(struct err *err)
{
    static bool registered;
    if (!registered && atexit(stop_all) != 0)
        return err_set(err, ERR_MEMORY, "no memory for an exit handler");
    registered = true;
    return 0;
}

/* --- opening -------------------------------------------------------------------------------- */

/* A library that is there serves all from now on, and so does what it needs. */
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
    load->tls_before = tls_count();
    load->missing_before = loader_missing_count();
    int rc = register_stop(err);
    if (rc == 0)
        rc = add(load, path, lib, err);
    if (rc != 0 || load->count == 0)
        return rc;
    rc = add_all_needed(load, err);
    if (rc == 0)
        rc = reserve_tls(load, err);
    if (rc == 0)
        rc = bind_all(load, err);
    if (rc != 0) {
        undo(load);
        return rc;
    }
    publish(load);
    return 0;
}

static void make_lock(void)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&loader_lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

int loader_load(const char *path, bool global, struct loader_lib **lib, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct load load = { .count = 0 };
    pthread_once(&once, make_lock);
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
        return err_set(err, ERR_CONFIG, "libraries cannot be loaded on this kind of processor");
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
        const uint64_t which[] = { owner->tls_id, symbol->st_value };
        return owner->tls_id == 0 ? NULL : tls_get_addr(which);
    }
    return loader_address(owner, symbol);
}

const char *loader_path(const struct loader_lib *lib)
{
    return lib->path;
}

void loader_enter(void)
{
    tls_enter();
}
