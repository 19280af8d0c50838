/* The fake driver: device memory, the kernels that it knows, and streams, each a thread. */
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

/* --- memory -------------------------------------------------------------------------------------- */

/* The host's address of device memory; NULL, and the context is lost, where it is not allocated. */
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

int allocate(uint64_t *address, size_t bytes)
{
    int device = fake_current - 1, result = SUCCESS;
    if (bytes == 0)
        return INVALID_VALUE;
    pthread_mutex_lock(&fake_lock);
    struct block *block = calloc(1, sizeof *block);
    if (fake_used[device] + bytes > (unsigned long long)number("FAKE_CUDA_MEMORY", 1 << 30) ||
        (block->memory = malloc(bytes)) == NULL) {
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
    for (int i = 0; i < DEVICES_MAX; i++)
        total += fake_used[i];
    trace("end: %zu bytes allocated", total);
}

/* --- kernels --------------------------------------------------------------------------------------- */

static float *floats(uint64_t address, size_t count)
{
    return reach(address, count * sizeof(float));
}

static void run_vector_add(const struct work *work)
{
    uint32_t count = (uint32_t)work->argument[3];
    float *a = floats(work->argument[0], count), *b = floats(work->argument[1], count),
          *sum = floats(work->argument[2], count);
    if (a == NULL || b == NULL || sum == NULL)
        return;
    for (uint32_t i = 0; i < count && i < work->grid[0] * work->block[0]; i++)
        sum[i] = a[i] + b[i];
    if (number("FAKE_CUDA_WRONG", 0))
        sum[count / 2] += 1;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void run_matmul(const struct work *work)
{
    uint32_t n = (uint32_t)work->argument[3];
    float *a = floats(work->argument[0], (size_t)n * n),
          *b = floats(work->argument[1], (size_t)n * n),
          *c = floats(work->argument[2], (size_t)n * n);
    if (a == NULL || b == NULL || c == NULL)
        return;
    uint32_t rows = least(n, work->grid[1] * work->block[1]),
             cols = least(n, work->grid[0] * work->block[0]);
    /* Each element is summed in the order of k; along the rows, as memory lies. */
    for (uint32_t row = 0; row < rows; row++) {
        memset(c + (size_t)row * n, 0, cols * sizeof *c);
        for (uint32_t k = 0; k < n; k++)
            for (uint32_t col = 0; col < cols; col++)
                c[(size_t)row * n + col] += a[(size_t)row * n + k] * b[(size_t)k * n + col];
    }
    if (number("FAKE_CUDA_WRONG", 0))
        c[n - 1] = 1e9f;
}

static void run_check(const struct work *work)
{
    uint32_t count = work->grid[0] * work->block[0], steps = (uint32_t)work->argument[1];
    uint32_t *out = reach(work->argument[0], count * sizeof *out);
    for (uint32_t i = 0; out != NULL && i < count; i++) {
        uint32_t x = i;
        for (uint32_t step = 0; step < steps; step++)
            x = x * 1664525u + 1013904223u;
        out[i] = x;
    }
    if (out != NULL && number("FAKE_CUDA_WRONG", 0))
        out[0]++;
}

/* Kernels of the tests' own handler: writes through any pointer it is given. */
static void run_poke(const struct work *work)
{
    uint32_t *out = reach(work->argument[0], sizeof *out);
    if (out != NULL)
        *out = (uint32_t)work->argument[1];
}

static const struct kernel kernels[] = {
    { "vector_add", { 8, 8, 8, 4 }, run_vector_add },
    { "matmul", { 8, 8, 8, 4 }, run_matmul },
    { "rp_check", { 8, 4 }, run_check },
    { "poke", { 8, 4 }, run_poke },
};

const struct kernel *find_kernel(const char *name)
{
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
        if (strcmp(kernels[i].name, name) == 0)
            return &kernels[i];
    return NULL;
}

/* --- streams ----------------------------------------------------------------------------------------- */

void run_launch(struct work *work)
{
    find_kernel(work->kernel)->run(work);
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
        pthread_mutex_lock(&stream->lock);
        stream->is_busy = 0;
        pthread_cond_broadcast(&stream->changed);
    }
    pthread_mutex_unlock(&stream->lock);
    return NULL;
}

int give(struct stream *stream, const struct work *what)
{
    struct work *work = malloc(sizeof *work);
    *work = *what;
    work->next = NULL;
    if (stream == NULL) {
        work->run(work);
        free(work);
        return get_sticky();
    }
    pthread_mutex_lock(&stream->lock);
    *stream->end = work;
    stream->end = &work->next;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    return SUCCESS;
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
