/*
 * The heap of loaded libraries: malloc(3) and its family, as the libc table hands them out.
 *
 * Why not musl's: mallocng maps and unmaps the few pages of a group of blocks again and again,
 * which costs a compiler a third of its time (src/gpu/README.md has the figures). The worker's own
 * memory stays musl's, whose checks are the stricter ones.
 *
 * Blocks lie side by side in one range of reserved address space. An address in the range is this
 * heap's, any other musl's; so a library may free and resize what musl's functions have allocated
 * for it (strdup, asprintf, ...). Large requests, and all when the range is full or could not be
 * had, go to musl. Free neighbours are merged at once, and the free block that is taken is one of
 * the smallest that surely suffice: "good fit", from a bin a size, in constant time.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loader/libc_private.h"

#define RANGE_BYTES ((size_t)16 << 30) /* address space only */
#define STEP_BYTES ((size_t)1 << 20)   /* made accessible at once */
#define LARGE_BYTES ((size_t)4 << 20)  /* a block of this or more is musl's: it goes back at free */
#define KEEP_BYTES ((size_t)32 << 20)  /* more than this unused at the end goes back */
#define PAGE_BYTES ((size_t)64 << 10)  /* a multiple of any processor's pages */

/*
 * A block and the first bytes of what its user gets. Its last 8 bytes are the next one's `before`.
 */
struct chunk {
    size_t before;                 /* the size of the block before it, while that is free */
    size_t size;                   /* in bytes, a multiple of ALIGN_BYTES; and flags */
    struct chunk *next, *previous; /* in its bin, while it is free; else the user's */
};

enum { ALIGN_BYTES = 16, HEAD_BYTES = 16, LEAST_BYTES = sizeof(struct chunk) };
enum { USED = 1, BEFORE_USED = 2, FLAGS = 15 };

/* Up to EXACT_BYTES a bin has one size, then each doubling has eight. */
enum { EXACT_BITS = 9, EXACT_BINS = (1 << EXACT_BITS) / ALIGN_BYTES, BINS = 256, WORD_BITS = 64 };

static struct {
    pthread_mutex_t lock;
    uintptr_t range;   /* where it begins */
    size_t range_size; /* 0: unused */
    char *top;         /* the end of the last block that is in use */
    char *open;        /* the end of what is accessible */
    char *dirty;       /* the end of what has been in use since memory last went back */
    struct chunk *bins[BINS];
    uint64_t filled[BINS / WORD_BITS];
} heap = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- blocks --------------------------------------------------------------------------------- */

static struct chunk *at(const void *address, size_t offset)
{
    return (struct chunk *)(void *)((char *)(uintptr_t)address + offset);
}

static size_t size_of(const struct chunk *block)
{
    return block->size & ~(size_t)FLAGS;
}

static void *memory_of(struct chunk *block)
{
    return at(block, HEAD_BYTES);
}

static struct chunk *block_of(void *memory)
{
    return (struct chunk *)(void *)((char *)memory - HEAD_BYTES);
}

static size_t usable(const struct chunk *block)
{
    return size_of(block) - sizeof block->size;
}

static bool is_own(const void *memory)
{
    return (uintptr_t)memory - heap.range < heap.range_size;
}

/* The size of a block for so many bytes; they are below LARGE_BYTES. */
static size_t block_size(size_t bytes)
{
    size_t size = (bytes + sizeof(size_t) + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
    return size < LEAST_BYTES ? LEAST_BYTES : size;
}

/* --- bins ----------------------------------------------------------------------------------- */

static unsigned log_of(size_t size)
{
    return WORD_BITS - 1 - (unsigned)__builtin_clzll(size);
}

static unsigned bin_of(size_t size)
{
    if (size < 1 << EXACT_BITS)
        return (unsigned)size / ALIGN_BYTES;
    unsigned log = log_of(size);
    return EXACT_BINS + (log - EXACT_BITS) * 8 + (unsigned)(size >> (log - 3) & 7);
}

static void add(struct chunk *block)
{
    unsigned bin = bin_of(size_of(block));
    block->previous = NULL;
    block->next = heap.bins[bin];
    if (block->next != NULL)
        block->next->previous = block;
    heap.bins[bin] = block;
    heap.filled[bin / WORD_BITS] |= (uint64_t)1 << bin % WORD_BITS;
}

static void take(struct chunk *block)
{
    unsigned bin = bin_of(size_of(block));
    if (block->next != NULL)
        block->next->previous = block->previous;
    if (block->previous != NULL) {
        block->previous->next = block->next;
        return;
    }
    heap.bins[bin] = block->next;
    if (block->next == NULL)
        heap.filled[bin / WORD_BITS] &= ~((uint64_t)1 << bin % WORD_BITS);
}

/* A free block of the first bin whose blocks all have the size. */
static struct chunk *find(size_t size)
{
    struct chunk *first = heap.bins[bin_of(size)];
    if (first != NULL && size_of(first) >= size)
        return first; /* one of the very size, say: programs ask for the same sizes again */
    if (size >= 1 << EXACT_BITS)
        size += ((size_t)1 << (log_of(size) - 3)) - 1;
    unsigned bin = bin_of(size), word = bin / WORD_BITS;
    uint64_t filled = heap.filled[word] & ~(uint64_t)0 << bin % WORD_BITS;
    while (filled == 0)
        if (++word == BINS / WORD_BITS)
            return NULL;
        else
            filled = heap.filled[word];
    return heap.bins[word * WORD_BITS + (unsigned)__builtin_ctzll(filled)];
}

/* --- taking and giving back, under the lock ------------------------------------------------- */

/* Gives up to the system what lies unused at the end. */
static void shrink(void)
{
    char *from = (char *)(((uintptr_t)heap.top + HEAD_BYTES + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1));
    madvise(from, (size_t)(heap.dirty - from), MADV_DONTNEED);
    heap.dirty = from;
}

/* Frees size bytes from block on, behind which another block or the end begins. */
static void give(struct chunk *block, size_t size)
{
    struct chunk *next = at(block, size);
    block->size &= ~(size_t)USED; /* also where it becomes a part of another: see libc_free */
    if ((block->size & BEFORE_USED) == 0) {
        size += block->before;
        block = (struct chunk *)(void *)((char *)block - block->before);
        take(block);
    }
    if ((char *)next == heap.top) {
        heap.top = (char *)block;
        if (heap.dirty - heap.top > (ptrdiff_t)KEEP_BYTES)
            shrink();
        return;
    }
    if ((next->size & USED) == 0) {
        take(next);
        size += size_of(next);
        next = at(block, size);
    }
    block->size = size | BEFORE_USED; /* two free blocks never touch */
    next->before = size;
    next->size &= ~(size_t)BEFORE_USED;
    add(block);
}

/* Cuts a used block down to its first size bytes, if the rest is worth it. */
static void cut(struct chunk *block, size_t size)
{
    size_t rest = size_of(block) - size;
    if (rest < LEAST_BYTES)
        return;
    block->size -= rest;
    struct chunk *other = at(block, size);
    other->size = rest | USED | BEFORE_USED;
    give(other, rest);
}

/* A new block at the end; NULL when there is no more room. */
static struct chunk *extend(size_t size)
{
    struct chunk *block = at(heap.top, 0);
    char *end = heap.top + size, *need = end + HEAD_BYTES;
    if (need > heap.open) {
        size_t more = ((size_t)(need - heap.open) + STEP_BYTES - 1) & ~(STEP_BYTES - 1);
        if (more > heap.range + heap.range_size - (uintptr_t)heap.open ||
            mprotect(heap.open, more, PROT_READ | PROT_WRITE) != 0)
            return NULL;
        heap.open += more;
    }
    heap.top = end;
    if (need > heap.dirty)
        heap.dirty = need;
    block->size = size | USED | BEFORE_USED;
    return block;
}

static struct chunk *obtain(size_t size)
{
    struct chunk *block = find(size);
    if (block == NULL)
        return extend(size);
    take(block);
    block->size |= USED;
    at(block, size_of(block))->size |= BEFORE_USED;
    cut(block, size);
    return block;
}

/* --- malloc(3) ------------------------------------------------------------------------------ */

static void lock(void)
{
    pthread_mutex_lock(&heap.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&heap.lock);
}

void libc_heap_open(void)
{
    void *range = mmap(NULL, RANGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                       -1, 0);
    if (range == MAP_FAILED)
        return;
    if (pthread_atfork(lock, unlock, unlock) != 0) {
        munmap(range, RANGE_BYTES);
        return;
    }
    heap.top = heap.open = heap.dirty = range;
    heap.range = (uintptr_t)range;
    heap.range_size = RANGE_BYTES;
}

void *libc_malloc(size_t size)
{
    struct chunk *block = NULL;
    if (size < LARGE_BYTES && heap.range_size != 0) {
        lock();
        block = obtain(block_size(size));
        unlock();
    }
    return block != NULL ? memory_of(block) : malloc(size);
}

void *libc_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes >= LARGE_BYTES)
        return calloc(count, size);
    void *memory = libc_malloc(bytes);
    return memory != NULL ? memset(memory, 0, bytes) : NULL;
}

void libc_free(void *memory)
{
    static const char reason[] = "a library has freed memory twice, or damaged it\n";
    if (!is_own(memory)) {
        free(memory);
        return;
    }
    struct chunk *block = block_of(memory);
    lock();
    if ((block->size & USED) == 0) {
        write(STDERR_FILENO, reason, sizeof reason - 1);
        abort();
    }
    give(block, size_of(block));
    unlock();
}

void *libc_realloc(void *memory, size_t size)
{
    if (memory == NULL)
        return libc_malloc(size);
    if (size == 0) {
        libc_free(memory);
        return NULL;
    }
    if (!is_own(memory))
        return realloc(memory, size);
    size_t room = usable(block_of(memory));
    if (size <= room && size >= room / 2)
        return memory;
    void *moved = libc_malloc(size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, memory, size < room ? size : room);
    libc_free(memory);
    return moved;
}

size_t libc_malloc_usable_size(void *memory)
{
    return is_own(memory) ? usable(block_of(memory)) : malloc_usable_size(memory);
}

void *libc_reallocarray(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return libc_realloc(memory, bytes);
}

/* In a larger block, of which what lies before the aligned address and behind it is free. */
static struct chunk *obtain_aligned(size_t align, size_t size)
{
    struct chunk *block = obtain(size + align + LEAST_BYTES);
    if (block == NULL)
        return NULL;
    uintptr_t from = (uintptr_t)memory_of(block), to = (from + align - 1) & ~(align - 1);
    if (to != from && to - from < LEAST_BYTES)
        to += align;
    size_t skipped = to - from;
    if (skipped > 0) {
        struct chunk *aligned = at(block, skipped);
        aligned->size = (size_of(block) - skipped) | USED | BEFORE_USED;
        block->size -= size_of(aligned);
        give(block, skipped);
        block = aligned;
    }
    cut(block, size);
    return block;
}

void *libc_aligned_alloc(size_t align, size_t size)
{
    struct chunk *block = NULL;
    bool is_power = align != 0 && (align & (align - 1)) == 0;
    if (is_power && align <= ALIGN_BYTES)
        return libc_malloc(size);
    if (is_power && align < LARGE_BYTES && size < LARGE_BYTES && heap.range_size != 0) {
        lock();
        block = obtain_aligned(align, block_size(size));
        unlock();
    }
    return block != NULL ? memory_of(block) : aligned_alloc(align, size);
}

int libc_posix_memalign(void **memory, size_t align, size_t size)
{
    if (align < sizeof(void *) || (align & (align - 1)) != 0)
        return EINVAL;
    void *made = libc_aligned_alloc(align, size);
    if (made == NULL)
        return ENOMEM;
    *memory = made;
    return 0;
}

/* --- what of musl resizes a library's memory ------------------------------------------------ */

/* The line replaces what the buffer holds, so the buffer need not be kept. */
ssize_t libc_getdelim(char **line, size_t *size, int end, FILE *file)
{
    if (line != NULL && size != NULL && is_own(*line)) {
        libc_free(*line);
        *line = NULL;
        *size = 0;
    }
    return getdelim(line, size, end, file);
}

ssize_t libc_getline(char **line, size_t *size, FILE *file)
{
    return libc_getdelim(line, size, '\n', file);
}
