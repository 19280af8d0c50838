/*
 * loader/loader_private.h - a library as the loader's own files see it.
 *
 * A library is built and changed under loader_lock only. Once it has been published in the list it
 * no longer changes (except is_global), so readers of the list need no lock.
 *
 * Private to the files of src/loader and their tests.
 */
#ifndef LOADER_LOADER_PRIVATE_H
#define LOADER_LOADER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "codec/elf.h"
#include "loader/loader.h"

#if defined(__x86_64__)
#define LOADER_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define LOADER_MACHINE EM_AARCH64
#else
#define LOADER_MACHINE EM_NONE
#endif

#define LOADER_LIBS_MAX 64u     /* in the process; a driver needs about 10 */
#define LOADER_NEEDED_MAX 32u   /* direct dependencies of a library; the driver has 5 */
#define LOADER_MISSING_MAX 128u /* missing functions, of all libraries together */

struct loader_lib {
    struct loader_lib *_Atomic next; /* in the order of publishing */
    char *path;                      /* owned */
    const char *name;                /* DT_SONAME, or the last part of path; linked */
    dev_t device;                    /* device and inode identify the file */
    ino_t inode;
    struct elf_head head;
    struct elf_dynamic dynamic; /* its image is the mapped memory */
    char *base;                 /* where address 0 of the file would be */
    struct loader_lib *needed[LOADER_NEEDED_MAX];
    size_t needed_count;
    struct loader_lib
        *root;             /* the opened library that it came with: names are searched from there */
    const char *lacks;     /* a runtime library it names as needed and that is missing; or NULL */
    unsigned storage_id;   /* of its thread-local storage; 0 if it has none */
    atomic_bool is_global; /* its symbols serve all libraries */
};

/* The published libraries, oldest first. */
extern struct loader_lib *_Atomic loader_libs;
extern pthread_mutex_t loader_lock; /* recursive: constructors open libraries */

/* As loader_open. global: make its symbols available to all libraries, as RTLD_GLOBAL does. */
int loader_load(const char *path, bool global, struct loader_lib **lib, struct err *err);

/*
 * Resolves a NEEDED entry or dlopen name without a slash: to a loaded library of that name, set in
 * *lib, or to the path of a file, searched for in the folders of `asking` (may be NULL), in those
 * that it names (DT_RUNPATH), in those of all loaded libraries, then as loader_find does; *lib is
 * NULL then. ERR_CONFIG if there is neither.
 */
int loader_resolve(const char *name, const struct loader_lib *asking, struct loader_lib **lib,
                   char *path, size_t size, struct err *err);

/* Whether a name or path is that of a library of glibc, which the libc table replaces. Pure. */
bool loader_is_libc(const char *name);

/*
 * Maps a file and sets path, name, device, inode, head, dynamic and base. Errors as loader_open;
 * nothing stays mapped then. loader_unmap undoes it.
 */
int loader_map(const char *path, struct loader_lib *lib, struct err *err);
void loader_unmap(struct loader_lib *lib);

/*
 * Relocates and binds a mapped library whose needed and storage_id are set, and makes the RELRO
 * segment read-only. Errors as loader_open.
 */
int loader_relocate(struct loader_lib *lib, struct err *err);

/*
 * Finds the definition of a symbol in lib, then breadth first in the libraries it needs. Sets
 * *owner to the library that defines it. NULL if none does.
 */
const Elf64_Sym *loader_find_symbol(struct loader_lib *lib, const struct elf_name *name,
                                    struct loader_lib **owner);

/* The address of a symbol of owner; an indirect function's resolver is called. NULL: outside it. */
void *loader_address(const struct loader_lib *owner, const Elf64_Sym *symbol);

/*
 * A function to bind a name to that nobody defines: it reports the name and aborts. The same for
 * the same name and library. name is linked. NULL after LOADER_MISSING_MAX of them.
 */
void *loader_missing(const char *name, const struct loader_lib *lib);

/* How many there are; loader_forget_missing drops those of a failed load, from `count` on. */
size_t loader_missing_count(void);
void loader_forget_missing(size_t count);

#endif
