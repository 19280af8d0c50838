/*
 * gpu/dl.h - the dynamic linker's functions as libraries call them: dlopen(3) and its family, with
 * glibc's types and contracts, on the loader of gpu/loader.h. Only the libc table refers to them.
 *
 * Threads: any. Opening takes the loader's lock, which is recursive since constructors open
 * libraries; nothing else takes one, so a constructor may wait for threads that look up symbols.
 *
 *   dl_open     no file of a libc-family name is opened: that is the libc table. NULL: the program
 *               with the table. RTLD_NOLOAD, RTLD_GLOBAL are heeded; everything is bound at once
 *   dl_mopen    as dl_open: there is one namespace
 *   dl_sym      RTLD_DEFAULT and RTLD_NEXT: the table, then libraries opened RTLD_GLOBAL. NULL is
 *               logged at debug level: drivers fail with no other sign where a name is missing
 *   dl_vsym     as dl_sym: the version is not looked at
 *   dl_close    does nothing: libraries' exit handlers and threads would be left with no code
 *   dl_error    this thread's last error, once; NULL where there is none
 *   dl_addr     1 where address lies in a library or in this program
 *   dl_info     always fails
 *   dl_find_object  0 and the library that an address lies in, with its unwind table; -1: in none.
 *               Unwinders of gcc 12 and later, where they were built for glibc 2.35 or later, ask it
 *   dl_iterate  this program, then every library; unwinders find their tables by it
 */
#ifndef GPU_DL_H
#define GPU_DL_H

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>

void *dl_open(const char *name, int mode);
void *dl_mopen(long namespace, const char *name, int mode);
void *dl_sym(void *handle, const char *name);
void *dl_vsym(void *handle, const char *name, const char *version);
int dl_close(void *handle);
char *dl_error(void);
int dl_addr(const void *address, Dl_info *info);
int dl_info(void *handle, int request, void *answer);

/* glibc's struct dl_find_object, as 64-bit systems lay it out. */
struct dl_found_object {
    unsigned long long flags;
    void *from, *to; /* the library's memory */
    void *link_map;  /* NULL: there is none */
    void *unwind_table;
    unsigned long long reserved[7];
};
int dl_find_object(void *address, struct dl_found_object *found);
int dl_iterate(int (*visit)(struct dl_phdr_info *info, size_t size, void *data), void *data);

#endif
