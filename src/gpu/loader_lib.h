/*
 * gpu/loader_lib.h - a library as the loader's own files see it. Private to loader*.c.
 *
 * A library is built and changed under loader_lock only. Once it is in the list of published ones
 * it changes no more (but for is_global), so that looking at it needs no lock.
 */
#ifndef GPU_LOADER_LIB_H
#define GPU_LOADER_LIB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "codec/elf.h"
#include "gpu/loader.h"

#define LOADER_LIBS_MAX 64u     /* a driver's graph has about 10 */
#define LOADER_NEEDED_MAX 32u   /* a library's direct dependencies; the driver's have 5 */
#define LOADER_MISSING_MAX 128u /* functions that the libc table lacks, of all libraries */

struct loader_lib {
    struct loader_lib *_Atomic next; /* in order of publishing */
    char *path;                      /* owned */
    const char *name;                /* its DT_SONAME, or the last part of path; linked */
    dev_t device;                    /* with inode: which file it is */
    ino_t inode;
    struct elf_head head;
    struct elf_dynamic dynamic; /* its image is the mapping */
    char *base;                 /* where address 0 of the file would lie */
    struct loader_lib *needed[LOADER_NEEDED_MAX];
    size_t needed_count;
    unsigned tls_id; /* 0: no TLS */
    atomic_bool is_global;
    bool started; /* constructors have run, or are running */
};

/* The published libraries, oldest first. */
extern struct loader_lib *_Atomic loader_libs;
extern pthread_mutex_t loader_lock; /* recursive */

/* As loader_open; global: its symbols serve all libraries, as RTLD_GLOBAL says. */
int loader_load(const char *path, bool global, struct loader_lib **lib, struct err *err);

/*
 * The library of a NEEDED or dlopen name without a slash: one that is loaded and is named so, or the
 * path of a file, in the folders of loaded libraries first. Exactly one of *lib and path is set.
 */
int loader_resolve(const char *name, const struct loader_lib *asking, struct loader_lib **lib,
                   char *path, size_t size, struct err *err);

/* Whether a name or path is one of glibc's own libraries, whose place the libc table takes. */
bool loader_is_libc(const char *name);

/* Maps a file: fills path, device, inode, head, dynamic, base. On failure nothing stays mapped. */
int loader_map(const char *path, struct loader_lib *lib, struct err *err);
void loader_unmap(struct loader_lib *lib);

/* Relocates and binds; needed and tls_id are set. Makes read-only what RELRO names. */
int loader_relocate(struct loader_lib *lib, struct err *err);

/* A symbol's definition in lib or what it needs, breadth first; NULL: none. */
const Elf64_Sym *loader_find_symbol(struct loader_lib *lib, const struct elf_name *name,
                                    struct loader_lib **owner);

/* The address of a symbol of owner: calls the resolver of an indirect one. */
void *loader_address(const struct loader_lib *owner, const Elf64_Sym *symbol);

/* A function to bind to where nobody defines name: it says so and aborts. NULL: no more of them. */
void *loader_missing(const char *name, const struct loader_lib *lib);

/* How many there are; loader_forget_missing(count) drops those above, of a load that failed. */
size_t loader_missing_count(void);
void loader_forget_missing(size_t count);

#endif
