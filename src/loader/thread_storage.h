/*
 * loader/thread_storage.h - thread-local storage (ELF's TLS) of the loaded libraries.
 *
 * A pool of THREAD_STORAGE_BYTES in this program's own static thread-local storage gives each
 * library a block at a distance from the thread pointer that is the same in all threads. That
 * serves every TLS model, initial-exec included, without allocation. A block that code reaches
 * through this distance (models initial-exec and descriptor) is filled when a thread enters, or
 * when the library is published, in every thread that has entered. The others, all of CUDA's
 * libraries, are filled when a thread first asks for their address.
 *
 * Threads: thread_storage_enter and thread_storage_get_addr may be called from any thread; the
 * others by one thread at a time, the one that holds the loader's lock.
 */
#ifndef LOADER_THREAD_STORAGE_H
#define LOADER_THREAD_STORAGE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Of all libraries together. The libraries of CUDA 12.9 with cuBLAS, cuDNN 9 and NCCL take 282 KB,
 * most of it because each asks for whole pages. It is address space only: the kernel gives a thread
 * the pages that are written, and those of a thread that never enters stay untouched. Allocating
 * blocks on demand instead would save the address space and cost memory for the zeros in them.
 *
 * glibc, for which the tests are built, takes thread-local storage from the thread's stack.
 */
#ifdef __GLIBC__
#define THREAD_STORAGE_BYTES 32768u
#else
#define THREAD_STORAGE_BYTES 524288u
#endif
#define THREAD_STORAGE_LIBS_MAX 64u /* libraries with thread-local storage */

/*
 * Reserves a block as a PT_TLS segment asks. image is the block's initial contents, p_filesz bytes;
 * it is linked, read from publishing on, and must live as long as the process. Returns the block's
 * id, from 1 on, or ERR_LIMIT if the pool or the ids are used up.
 */
int thread_storage_reserve(const Elf64_Phdr *segment, const void *image, struct err *err);

/* How many ids there are; thread_storage_unreserve takes back unpublished ones above `count`. */
unsigned thread_storage_count(void);
void thread_storage_unreserve(unsigned count);

/* Fills the newly reserved blocks that need it in all threads that have entered. */
void thread_storage_publish(void);

/*
 * Distance in bytes from the thread pointer to the block of an id of thread_storage_reserve. Asking
 * for it means that code will use it: the block is then filled in every thread before the library
 * is published.
 */
ptrdiff_t thread_storage_offset(unsigned id);

/*
 * Fills the blocks of the calling thread that need it, and keeps them filled until it ends. Costs
 * one check of a flag after the first call.
 */
void thread_storage_enter(void);

/*
 * Libraries call this as __tls_get_addr: which[0] is an id, which[1] an offset in its block. Enters
 * the calling thread and returns the address in its block. The loader made both: not checked.
 */
void *thread_storage_get_addr(const uint64_t *which);

/*
 * The resolver in TLS descriptors: returns the descriptor's second word by TLSDESC's own calling
 * convention, which preserves all other registers. Not to be called from C.
 */
#ifdef __x86_64__
void thread_storage_descriptor(void);
#else
uint64_t thread_storage_descriptor(const uint64_t *descriptor);
#endif

#endif
