/*
 * codec/ld_cache.h - reads /etc/ld.so.cache, which ldconfig writes: names of libraries and the
 * paths of their files. In a container, NVIDIA's toolkit has it written for the libraries it
 * mounts, wherever it has put them.
 *
 * Source of the format: glibc's sysdeps/generic/dl-cache.h ("glibc-ld.so.cache1.1", with or without
 * the older table before it). The bytes are not trusted. Pure.
 */
#ifndef CODEC_LD_CACHE_H
#define CODEC_LD_CACHE_H

#include <stddef.h>

#include "base/slice.h"

/*
 * The next path of a library of that name, for 64-bit programs of `machine` (EM_X86_64 or
 * EM_AARCH64), from *cursor (0 at first) on. It points into cache and ends with NUL. NULL after the
 * last one, and where the cache is not one of that format.
 */
const char *ld_cache_next(slice cache, const char *name, unsigned machine, size_t *cursor);

#endif
