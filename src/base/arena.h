/*
 * base/arena.h - memory that lives exactly as long as one job.
 *
 * Allocation is a pointer increment inside a chunk; nothing is freed piecemeal, arena_reset frees
 * it all. Memory is aligned for any type and not zeroed. An arena belongs to one thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first; owned */
    size_t used_bytes;          /* allocated since the last reset */
    size_t max_bytes;           /* hard maximum of used_bytes */
};

/* An empty arena; allocates nothing yet. */
void arena_init(struct arena *arena, size_t max_bytes);

/*
 * Allocates `size` bytes, valid until arena_reset or arena_free. NULL where the maximum would be
 * exceeded or the system is out of memory. A size of 0 gives a valid pointer.
 */
void *arena_alloc(struct arena *arena, size_t size);

/* Frees everything allocated, but keeps one small chunk for the next job. */
void arena_reset(struct arena *arena);

/* Frees everything; the arena is empty and usable again. */
void arena_free(struct arena *arena);

#endif
