/*
 * loader/loader.h - shared libraries in a static program: the real libcuda without glibc or ld.so.
 *
 * A static musl binary has no dynamic linker, and an empty image has no glibc. This loader maps an
 * ELF64 library that was built for glibc, with the libraries it needs; relocates and binds them;
 * and runs their constructors. The glibc names that they import are answered by a table in this
 * program (loader/libc_names.def): musl's functions, or wrappers where musl's contract differs. A
 * NEEDED entry or dlopen of a libc-family name (libc.so.6, libm.so.6, libpthread.so.0, ...) means
 * that table; no file is opened. All symbols are bound at load time; of several versions of one
 * always the present.
 *
 * Limits
 *   - x86-64 and 64-bit little-endian ARM; libraries must be for the processor of this program.
 *   - A loaded library is never unmapped, not even when a library calls dlclose.
 *   - Thread-local storage of all libraries together: THREAD_STORAGE_BYTES of thread_storage.h.
 *   - Names that glibc has and the table lacks: a missing function aborts when it is called, with
 *     its name on standard error; missing data fails the load; a library's dlsym returns NULL,
 *     which is logged at debug level.
 *   - Libraries have a heap of their own: this program must not free(3) what a library has
 *     allocated. A library may free what this program's malloc(3) has.
 *   - Debuggers see no link map, LD_PRELOAD has no effect, and process-shared pthread objects do
 *     not work with glibc processes (which rules out MPS).
 *
 * Threads: all functions may be called from any thread. A thread that calls into a library
 *   - needs a stack of LOADER_STACK_BYTES, which drivers rely on because glibc gives it to every
 *     thread (use thread_start with that size; threads that a library starts get it anyway);
 *   - must have called loader_enter, once or more often.
 * Callbacks of a library run on threads of musl and may use all of this program.
 *
 * At exit(3), the exit handlers that the libraries have registered run first, then their
 * destructors in reverse order of loading. _exit skips both.
 */
#ifndef LOADER_LOADER_H
#define LOADER_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define LOADER_STACK_BYTES (8u << 20) /* glibc's default; musl's 128 KiB overflow */
#define LOADER_PATH_BYTES 4096u       /* a path with its NUL: PATH_MAX */

/* A loaded library. Belongs to the loader and lives as long as the process. */
struct loader_lib;

/*
 * Finds a library's file. If explicit_path is neither NULL nor empty, only that is searched: it is
 * the file, or a folder that contains it. Otherwise these folders are searched in order: those of
 * LD_LIBRARY_PATH; /usr/lib64; /usr/lib/x86_64-linux-gnu (or this processor's) and nvidia/current
 * in it; /usr/local/nvidia/lib64; /usr/local/nvidia/lib; /usr/lib/wsl/lib; /run/opengl-driver/lib;
 * /usr/lib; /lib64; /lib. Last comes /etc/ld.so.cache. A file for another processor or of 32 bits
 * is passed over. In each folder the file `name` ("libcuda.so.1") is tried first, then, in case
 * only that link is missing, the file with the highest driver version in its name
 * ("libcuda.so.535.261.03").
 *
 * Writes the path into path, of `size` bytes (LOADER_PATH_BYTES suffice). Blocks for a few system
 * calls. ERR_CONFIG if there is no such file; the text says where it was searched for.
 */
int loader_find(const char *name, const char *explicit_path, char *path, size_t size,
                struct err *err);

/*
 * Loads a library and all libraries that it needs. Loading a file again yields the same library.
 * Needed libraries are searched for in the folder of the library that needs them, in those that it
 * names (DT_RUNPATH, else DT_RPATH), then as loader_find does. Constructors run on the calling
 * thread, which also enters (loader_enter). Blocks while the files are read.
 *
 * Sets *lib on success. After a failure nothing remains mapped, and no constructor has run.
 * ERR_CONFIG: a file is missing or unreadable, or data is imported that nobody defines.
 * ERR_INPUT: a file is malformed, 32-bit, for another processor, not a shared library, or uses an
 * unknown kind of relocation. ERR_LIMIT: too many libraries or too much thread-local storage.
 * ERR_MEMORY. The text names the file.
 */
int loader_open(const char *path, struct loader_lib **lib, struct err *err);

/*
 * The address of a function or variable that lib or a library it needs defines; of a thread-local
 * variable, the calling thread's copy. NULL if none of them defines the name. The libc table is not
 * searched. Does not block and allocates nothing.
 */
void *loader_symbol(struct loader_lib *lib, const char *name);

/* The path that lib was loaded from. Lives as long as the process. */
const char *loader_path(const struct loader_lib *lib);

/*
 * Prepares the calling thread for calls into libraries: gives it their thread-local storage,
 * including that of libraries loaded later. Costs one check of a flag after a thread's first call.
 * Undone when the thread ends.
 */
void loader_enter(void);

/* False if this processor is not supported; loader_open then fails with ERR_CONFIG. Pure. */
bool loader_supported(void);

#endif
