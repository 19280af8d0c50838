/*
 * base/hash.h - a hash of bytes, for tables in memory. Pure.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

/*
 * FNV-1a, from a seed that peers do not know, with its bits mixed so that low ones can be used.
 * With seed 0 its values are also in the binary's list of roots: vendor/roots.c.
 */
static inline uint32_t hash_bytes(slice bytes, uint32_t seed)
{
    uint32_t hash = UINT32_C(0x811c9dc5) ^ seed;
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * UINT32_C(0x01000193);
    hash ^= hash >> 16;
    hash *= UINT32_C(0x85ebca6b);
    return hash ^ hash >> 13;
}

#endif
