/* The fake driver: device memory, and streams, each a thread. */
#include <stdlib.h>
#include <string.h>

#include "fakedevice.h"

#define TAG (UINT64_C(1) << 62) /* of device addresses: the host must not read through them */

struct block {
    unsigned char *memory;
    size_t bytes;
    int device;
    struct block *next;
};

static struct block *blocks;
static int pending; /* works that streams have been given and not done */

/* --- memory --------------------------------------------------------------------------------- */

/* The host address of device memory; if it is not allocated, NULL, and the context is lost. */
static void *reach(uint64_t address, size_t bytes)
{
    unsigned char *memory = (unsigned char *)(uintptr_t)(address & ~TAG);
    void *found = NULL;
    pthread_mutex_lock(&fake_lock);
    for (struct block *block = blocks; block != NULL && found == NULL; block = block->next)
        if ((address & TAG) != 0 && memory >= block->memory &&
            memory + bytes <= block->memory + block->bytes)
            found = memory;
    pthread_mutex_unlock(&fake_lock);
    if (found == NULL)
        set_sticky(ILLEGAL_ADDRESS);
    return found;
}

/* The allocation that an address lies in. */
static bool find_range(uint64_t address, struct ptx_range *range)
{
    bool found = false;
    pthread_mutex_lock(&fake_lock);
    for (const struct block *block = blocks; block != NULL && !found; block = block->next) {
        range->first = (uint64_t)(uintptr_t)block->memory | TAG;
        range->end = range->first + block->bytes;
        range->host = block->memory;
        found = address >= range->first && address < range->end;
    }
    pthread_mutex_unlock(&fake_lock);
    return found;
}

int allocate(uint64_t *address, size_t bytes)
{
    int device = fake_current - 1, result = SUCCESS;
    if (bytes == 0)
        return INVALID_VALUE;
    pthread_mutex_lock(&fake_lock);
    struct block *block = calloc(1, sizeof *block);
    if (fake_used[device] + bytes > (unsigned long long)number("FAKE_CUDA_MEMORY", 1 << 30) ||
        (block->memory = aligned_alloc(256, (bytes + 255) / 256 * 256)) == NULL) {
        free(block);
        result = OUT_OF_MEMORY;
    } else {
        memset(block->memory, 0xee, bytes);
        block->bytes = bytes;
        block->device = device;
        block->next = blocks;
        blocks = block;
        fake_used[device] += bytes;
        *address = (uint64_t)(uintptr_t)block->memory | TAG;
    }
    pthread_mutex_unlock(&fake_lock);
    return result;
}

int release(uint64_t address)
{
    int result = INVALID_VALUE;
    pthread_mutex_lock(&fake_lock);
    for (struct block **at = &blocks; *at != NULL; at = &(*at)->next) {
        struct block *block = *at;
        if (((uint64_t)(uintptr_t)block->memory | TAG) == address) {
            *at = block->next;
            fake_used[block->device] -= block->bytes;
            free(block->memory);
            free(block);
            result = SUCCESS;
            break;
        }
    }
    pthread_mutex_unlock(&fake_lock);
    return result;
}

__attribute__((destructor)) static void report(void)
{
    size_t total = 0;
    long long ms = number("FAKE_CUDA_END_MS", 0);
    if (ms > 0)
        trace("driver ends");
    sleep_ms(ms);
    for (int i = 0; i < DEVICES_MAX; i++)
        total += fake_used[i];
    trace("end: %zu bytes allocated", total);
}

/* --- streams -------------------------------------------------------------------------------- */

void run_launch(struct work *work)
{
    work->launch.is_wrong = number("FAKE_CUDA_WRONG", 0) != 0;
    int result = ptx_run(&work->launch, find_range);
    if (result != SUCCESS)
        set_sticky(result);
}

void run_write(struct work *work)
{
    void *to = reach(work->to, work->bytes);
    if (to != NULL)
        memcpy(to, work->host, work->bytes);
}

void run_read(struct work *work)
{
    void *from = reach(work->from, work->bytes);
    if (from != NULL)
        memcpy(work->host, from, work->bytes);
}

void run_copy(struct work *work)
{
    void *to = reach(work->to, work->bytes), *from = reach(work->from, work->bytes);
    if (to != NULL && from != NULL)
        memmove(to, from, work->bytes);
}

void run_fill(struct work *work)
{
    unsigned char *to = reach(work->to, work->bytes);
    if (to == NULL)
        return;
    memset(to, work->value, work->bytes);
    if (number("FAKE_CUDA_FORGETS", 0))
        to[work->bytes - 1] ^= 1;
}

void run_record(struct work *work)
{
    clock_gettime(CLOCK_MONOTONIC, &work->event->at);
}

void run_release(struct work *work)
{
    release(work->to);
}

void *stream_main(void *argument)
{
    struct stream *stream = argument;
    pthread_mutex_lock(&stream->lock);
    while (!stream->is_ending || stream->first != NULL) {
        struct work *work = stream->first;
        if (work == NULL) {
            pthread_cond_wait(&stream->changed, &stream->lock);
            continue;
        }
        stream->first = work->next;
        if (stream->first == NULL)
            stream->end = &stream->first;
        stream->is_busy = 1;
        pthread_mutex_unlock(&stream->lock);
        work->run(work);
        free(work);
        __atomic_sub_fetch(&pending, 1, __ATOMIC_RELEASE);
        pthread_mutex_lock(&stream->lock);
        stream->is_busy = 0;
        pthread_cond_broadcast(&stream->changed);
    }
    pthread_mutex_unlock(&stream->lock);
    return NULL;
}

int give(struct stream *stream, const struct work *what)
{
    if (stream != NULL && stream->captured != NULL) {
        struct graph *graph = stream->captured;
        struct work *works = realloc(graph->works, (graph->count + 1) * sizeof *works);
        if (works == NULL)
            return OUT_OF_MEMORY;
        graph->works = works;
        graph->works[graph->count++] = *what;
        return SUCCESS;
    }
    struct work *work = malloc(sizeof *work);
    *work = *what;
    work->next = NULL;
    if (stream == NULL) {
        work->run(work);
        free(work);
        return get_sticky();
    }
    __atomic_add_fetch(&pending, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&stream->lock);
    *stream->end = work;
    stream->end = &work->next;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    return SUCCESS;
}

void drain_all(void)
{
    while (__atomic_load_n(&pending, __ATOMIC_ACQUIRE) != 0)
        nanosleep(&(struct timespec){ 0, 100000 }, NULL);
}

int drain(struct stream *stream)
{
    if (stream != NULL) {
        pthread_mutex_lock(&stream->lock);
        while (stream->first != NULL || stream->is_busy)
            pthread_cond_wait(&stream->changed, &stream->lock);
        pthread_mutex_unlock(&stream->lock);
    }
    return get_sticky();
}
