#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define ARENA_CHUNK_BYTES 4096 /* one page: enough for a small job, cheap to keep */

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* bytes in data */
    size_t used;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, size_t max_bytes)
{
    *arena = (struct arena){ .max_bytes = max_bytes };
}

static struct arena_chunk *chunk_new(size_t size)
{
    size_t small = ARENA_CHUNK_BYTES - sizeof(struct arena_chunk);
    if (size < small)
        size = small;
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk != NULL)
        *chunk = (struct arena_chunk){ .size = size };
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t mask = alignof(max_align_t) - 1;
    if (size > arena->max_bytes - arena->used_bytes || size > SIZE_MAX / 2)
        return NULL;
    size = (size + mask) & ~mask;
    struct arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || size > chunk->size - chunk->used) {
        struct arena_chunk *fresh = chunk_new(size);
        if (fresh == NULL)
            return NULL;
        fresh->next = chunk;
        arena->chunks = chunk = fresh;
    }
    void *result = chunk->data + chunk->used;
    chunk->used += size;
    size_t left = arena->max_bytes - arena->used_bytes;
    arena->used_bytes += size < left ? size : left;
    return result;
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *kept = NULL;
    for (struct arena_chunk *chunk = arena->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        if (kept == NULL && chunk->size + sizeof *chunk <= ARENA_CHUNK_BYTES) {
            kept = chunk;
            kept->next = NULL;
            kept->used = 0;
        } else {
            free(chunk);
        }
    }
    arena->chunks = kept;
    arena->used_bytes = 0;
}

void arena_free(struct arena *arena)
{
    arena_reset(arena);
    free(arena->chunks);
    arena->chunks = NULL;
}
