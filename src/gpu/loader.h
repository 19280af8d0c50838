/*
 * gpu/loader.h - shared libraries in a static program: the real libcuda, without glibc and ld.so.
 *
 * A static musl binary has no dynamic linker, and an empty image has no glibc. This loader maps an
 * ELF64 library made for glibc and what it needs, relocates and binds them, and runs their
 * constructors. The names of glibc that they import are answered from a table of our own
 * (gpu/libc_names.def): musl's functions, and wrappers where musl's contract differs. A NEEDED or a
 * dlopen of a libc-family name (libc.so.6, libm.so.6, libpthread.so.0, ...) is that table, and no
 * file. Everything is bound at once; versions of symbols are ignored.
 *
 * Limits: x86-64 and 64-bit ARM little-endian, each its own. A library once loaded is never
 * unmapped, not by the driver's own dlclose either. The libraries' TLS is TLS_BYTES (gpu/tls.h) for
 * all of them together. glibc's names that the table lacks: a function aborts when it is called, with
 * its name on standard error; data fails the load; the driver's dlsym gets NULL, logged at debug
 * level. Debuggers see no link map, LD_PRELOAD does nothing, and pthread objects shared with glibc
 * processes (MPS) do not work.
 *
 * Threads: all functions may be called from any thread. A thread that calls into a library
 *   - has a stack of LOADER_STACK_BYTES, which drivers take for granted since glibc gives it
 *     (thread_start with that size; threads that the library starts get it anyway);
 *   - has called loader_enter first, once or as often as it likes.
 * What a library calls back comes on threads of musl, ready for all code of ours.
 *
 * At exit(3) the handlers that the libraries registered run, then their destructors, the last
 * loaded first; _exit skips both.
 */
#ifndef GPU_LOADER_H
#define GPU_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define LOADER_STACK_BYTES (8u << 20) /* what glibc gives a thread; 128 KiB of musl overflow */
#define LOADER_PATH_BYTES 4096u       /* a path with its NUL: PATH_MAX */

/* A loaded library. Belongs to the loader, for as long as the process lives. */
struct loader_lib;

/*
 * Finds a library's file. Looked at, in this order:
 *   explicit_path alone, where it is neither NULL nor empty: a file, or a folder that holds it;
 *   the folders of LD_LIBRARY_PATH; /usr/lib64; /usr/lib/x86_64-linux-gnu (of this processor);
 *   /usr/local/nvidia/lib64; /usr/local/nvidia/lib; /usr/lib/wsl/lib; /usr/lib; /lib64; /lib.
 * In each folder NAME ("libcuda.so.1"), then, where the link is missing, the file that is named
 * after the driver's version ("libcuda.so.535.261.03"), the highest one.
 *
 * The path is written into path (of size bytes, LOADER_PATH_BYTES are enough). Blocks for a few
 * system calls. ERR_CONFIG where there is none: the text says where it was looked for.
 */
int loader_find(const char *name, const char *explicit_path, char *path, size_t size,
                struct err *err);

/*
 * Loads a library and all that it needs; the same file twice is the same library. Siblings are
 * looked for in the folder of the library that names them first, then as loader_find does.
 * Constructors run on this thread. Blocks for reading the files. Does what loader_enter does.
 *
 * On success *lib is set. On failure nothing of it stays mapped, unless a constructor had run.
 * ERR_CONFIG: a file is missing, cannot be read, or imports data that the table lacks. ERR_INPUT:
 * it is malformed, of another processor or 32-bit, no shared library, or of an unknown kind of
 * relocation. ERR_LIMIT: more TLS or more libraries than there is room for. ERR_MEMORY. The text
 * names the file.
 */
int loader_open(const char *path, struct loader_lib **lib, struct err *err);

/*
 * The address of a function or variable that lib, or a library that it needs, defines; NULL where
 * none does. Of a thread-local variable: this thread's. Does not block, allocates
 * nothing. Not of the libc table.
 */
void *loader_symbol(struct loader_lib *lib, const char *name);

/* The path that lib was loaded from. Linked: lives as long as the process. */
const char *loader_path(const struct loader_lib *lib);

/*
 * Readies this thread for calling into libraries: gives it their TLS, those loaded later included.
 * Cheap after the first call of a thread (one thread-local flag). Undone when the thread ends.
 */
void loader_enter(void);

/* False where this processor is not supported: loader_open then fails with ERR_CONFIG. */
bool loader_supported(void);

#endif
