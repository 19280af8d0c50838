/*
 * gpu/tls.h - thread-local storage of the loaded libraries.
 *
 * A pool of TLS_BYTES in this program's own static TLS gives each library a block at one
 * distance from the thread pointer, the same in all threads: that serves every TLS model, the
 * initial-exec one included, with no allocation. A thread's blocks are filled in tls_enter, those
 * of libraries that come later when they are published, in every thread that has entered.
 *
 * All functions may be called from any thread; but for tls_enter, by one loader at a time.
 */
#ifndef GPU_TLS_H
#define GPU_TLS_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TLS_BYTES 16384u    /* of all libraries; costs address space in each thread */
#define TLS_MODULES_MAX 64u /* libraries with TLS */

/*
 * Reserves a block as PT_TLS asks for. image is its first contents, p_filesz bytes, linked for as
 * long as the process lives, read when published. Returns the module's id, from 1 on. ERR_LIMIT.
 */
int tls_reserve(const Elf64_Phdr *tls, const void *image, struct err *err);

/* How many ids there are; tls_unreserve(count) takes back those above, which nobody may use yet. */
unsigned tls_count(void);
void tls_unreserve(unsigned count);

/* Fills the reserved blocks in all threads that have entered. */
void tls_publish(void);

/* Distance from the thread pointer to a module's block. id: of tls_reserve. */
ptrdiff_t tls_offset(unsigned id);

/* Gives this thread the blocks, filled; undone when it ends. Cheap the second time. */
void tls_enter(void);

/* What libraries call as __tls_get_addr: which[0] is an id, which[1] a place in its block. */
void *tls_get_addr(const uint64_t *which);

/* What TLS descriptors are resolved by: returns the second word of the descriptor, by TLSDESC's own
 * calling convention (every other register kept). Not to be called from C. */
#ifdef __x86_64__
void tls_descriptor(void);
#else
uint64_t tls_descriptor(const uint64_t *descriptor);
#endif

#endif
