/*
 * A libcuda.so.1 with devices, for machines without: built by the system's compiler for glibc, so
 * that the worker's loader has to load it as it does the real one. Device memory is the host's, each
 * stream is a thread of its own that works off what it is given, and the kernels of the tests are
 * known by name. It watches for what the real one would refuse: a call without a context on the
 * thread, addresses that are not allocated, a stack too small.
 *
 * What it does is told by variables:
 *   FAKE_CUDA_DEVICES=N      devices (1); 0: cuInit says that there is none
 *   FAKE_CUDA_VERSION=N      12020 is 12.2
 *   FAKE_CUDA_MEMORY=N       bytes of each device (1 GiB)
 *   FAKE_CUDA_FAIL=CALL=R@N,...   the N-th CALL returns R (1 is the first; 0: all of them)
 *   FAKE_CUDA_STICKY=CALL=R@N     from the N-th CALL on, all that need a context return R
 *   FAKE_CUDA_HANG=CALL      never returns
 *   FAKE_CUDA_SLOW=CALL=MS   takes so long
 *   FAKE_CUDA_WRONG=1        kernels' results are off
 *   FAKE_CUDA_FORGETS=1      memory that is filled has a byte off
 *   FAKE_CUDA_POOLS=1        there is cuMemAllocAsync
 *   FAKE_CUDA_GETTER=0       cuGetProcAddress knows nothing
 *   FAKE_CUDA_TRACE=FILE     a line for each call; at the end what is still allocated
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define DEVICES_MAX 8
#define TAG (UINT64_C(1) << 62) /* of device addresses: the host must not read through them */

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_PTX = 218,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    NOT_SUPPORTED = 801,
};

static const struct {
    int result;
    const char *name, *text;
} errors[] = {
    { 0, "CUDA_SUCCESS", "no error" },
    { 1, "CUDA_ERROR_INVALID_VALUE", "invalid argument" },
    { 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory" },
    { 3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error" },
    { 100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected" },
    { 101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal" },
    { 200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid" },
    { 201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context" },
    { 214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered" },
    { 218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed" },
    { 500, "CUDA_ERROR_NOT_FOUND", "named symbol not found" },
    { 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered" },
    { 719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure" },
    { 801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported" },
    { 803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
      "system has unsupported display driver / cuda driver combination" },
    { 999, "CUDA_ERROR_UNKNOWN", "unknown error" },
};

struct module {
    char *text;
};

struct function {
    char name[64];
};

struct block {
    unsigned char *memory;
    size_t bytes;
    int device;
    struct block *next;
};

struct work {
    void (*run)(struct work *work);
    uint64_t to, from;
    unsigned char *host;
    size_t bytes;
    int value;
    struct event *event;
    char kernel[64];
    unsigned grid[3], block[3];
    uint64_t argument[8];
    struct work *next;
};

struct stream {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct work *first, **end;
    int is_busy, is_ending;
};

struct event {
    struct timespec at;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;
static size_t used[DEVICES_MAX];
static int retained[DEVICES_MAX];
static int is_initialized;
static int sticky;           /* what every call returns from now on */
static __thread int current; /* device + 1; 0: no context */

/* --- what the test has told --------------------------------------------------------------------- */

static long long number(const char *name, long long otherwise)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? strtoll(value, NULL, 10) : otherwise;
}

static int device_count(void)
{
    return (int)number("FAKE_CUDA_DEVICES", 1);
}

static void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void trace(const char *format, ...)
{
    char line[256];
    const char *path = getenv("FAKE_CUDA_TRACE");
    if (path == NULL)
        return;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    line[len++] = '\n';
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd >= 0 && write(fd, line, (size_t)len) != len)
        abort();
    close(fd);
}

/* "CALL=R@N" in a list for this call: R, and *at is N. 0 where it is not there. */
static int told(const char *variable, const char *call, int *at)
{
    const char *list = getenv(variable);
    size_t len = strlen(call);
    for (; list != NULL && *list != '\0'; list = strchr(list, ',')) {
        list += *list == ',';
        if (strncmp(list, call, len) == 0 && (list[len] == '=' || list[len] == '\0')) {
            char *end = (char *)list + len;
            int result = *end == '=' ? (int)strtol(end + 1, &end, 10) : 1;
            *at = *end == '@' ? (int)strtol(end + 1, NULL, 10) : 1;
            return result;
        }
    }
    return 0;
}

static struct counter {
    const char *call;
    int count;
} counters[64];

static int count_call(const char *call)
{
    int count = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; count == 0; i++) {
        if (counters[i].call == NULL)
            counters[i].call = call;
        if (strcmp(counters[i].call, call) == 0)
            count = ++counters[i].count;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

static void set_sticky(int result)
{
    pthread_mutex_lock(&lock);
    if (sticky == 0)
        sticky = result;
    pthread_mutex_unlock(&lock);
}

/* A driver's stack is glibc's: it uses more of it than musl's threads have. */
static __attribute__((noinline)) void use_stack(void)
{
    volatile char stack[4 << 20];
    for (size_t i = 0; i < sizeof stack; i += 4096)
        stack[i] = 1;
}

/* Every call begins here. needs: 0 nothing, 1 cuInit, 2 a context as well. */
static int enter(const char *call, int needs)
{
    int at, result;
    trace("%s", call);
    int count = count_call(call);
    use_stack();
    if (told("FAKE_CUDA_HANG", call, &at))
        for (;;)
            pause();
    int slow_ms = told("FAKE_CUDA_SLOW", call, &at);
    if (slow_ms > 0)
        nanosleep(&(struct timespec){ slow_ms / 1000, slow_ms % 1000 * 1000000L }, NULL);
    if ((result = told("FAKE_CUDA_FAIL", call, &at)) != 0 && (at == 0 || at == count))
        return result;
    if ((result = told("FAKE_CUDA_STICKY", call, &at)) != 0 && count >= at)
        set_sticky(result);
    if (needs >= 1 && !is_initialized)
        return NOT_INITIALIZED;
    if (needs < 2)
        return SUCCESS;
    if (current == 0 || retained[current - 1] == 0)
        return INVALID_CONTEXT;
    pthread_mutex_lock(&lock);
    result = sticky;
    pthread_mutex_unlock(&lock);
    return result;
}

#define ENTER(needs)                          \
    do {                                      \
        int entered = enter(__func__, needs); \
        if (entered != SUCCESS)               \
            return entered;                   \
    } while (0)

/* --- memory -------------------------------------------------------------------------------------- */

/* The host's address of device memory; NULL, and the context is lost, where it is not allocated. */
static void *reach(uint64_t address, size_t bytes)
{
    unsigned char *memory = (unsigned char *)(uintptr_t)(address & ~TAG);
    void *found = NULL;
    pthread_mutex_lock(&lock);
    for (struct block *block = blocks; block != NULL && found == NULL; block = block->next)
        if ((address & TAG) != 0 && memory >= block->memory &&
            memory + bytes <= block->memory + block->bytes)
            found = memory;
    pthread_mutex_unlock(&lock);
    if (found == NULL)
        set_sticky(ILLEGAL_ADDRESS);
    return found;
}

static int allocate(uint64_t *address, size_t bytes)
{
    int device = current - 1, result = SUCCESS;
    if (bytes == 0)
        return INVALID_VALUE;
    pthread_mutex_lock(&lock);
    struct block *block = calloc(1, sizeof *block);
    if (used[device] + bytes > (unsigned long long)number("FAKE_CUDA_MEMORY", 1 << 30) ||
        (block->memory = malloc(bytes)) == NULL) {
        free(block);
        result = OUT_OF_MEMORY;
    } else {
        memset(block->memory, 0xee, bytes);
        block->bytes = bytes;
        block->device = device;
        block->next = blocks;
        blocks = block;
        used[device] += bytes;
        *address = (uint64_t)(uintptr_t)block->memory | TAG;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static int release(uint64_t address)
{
    int result = INVALID_VALUE;
    pthread_mutex_lock(&lock);
    for (struct block **at = &blocks; *at != NULL; at = &(*at)->next) {
        struct block *block = *at;
        if (((uint64_t)(uintptr_t)block->memory | TAG) == address) {
            *at = block->next;
            used[block->device] -= block->bytes;
            free(block->memory);
            free(block);
            result = SUCCESS;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

__attribute__((destructor)) static void report(void)
{
    size_t total = 0;
    for (int i = 0; i < DEVICES_MAX; i++)
        total += used[i];
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

static const struct kernel {
    const char *name;
    size_t sizes[8]; /* of the arguments */
    void (*run)(const struct work *work);
} kernels[] = {
    { "vector_add", { 8, 8, 8, 4 }, run_vector_add },
    { "matmul", { 8, 8, 8, 4 }, run_matmul },
    { "rp_check", { 8, 4 }, run_check },
    { "poke", { 8, 4 }, run_poke },
};

static const struct kernel *find_kernel(const char *name)
{
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
        if (strcmp(kernels[i].name, name) == 0)
            return &kernels[i];
    return NULL;
}

/* --- streams ----------------------------------------------------------------------------------------- */

static void run_launch(struct work *work)
{
    find_kernel(work->kernel)->run(work);
}

static void run_write(struct work *work)
{
    void *to = reach(work->to, work->bytes);
    if (to != NULL)
        memcpy(to, work->host, work->bytes);
}

static void run_read(struct work *work)
{
    void *from = reach(work->from, work->bytes);
    if (from != NULL)
        memcpy(work->host, from, work->bytes);
}

static void run_copy(struct work *work)
{
    void *to = reach(work->to, work->bytes), *from = reach(work->from, work->bytes);
    if (to != NULL && from != NULL)
        memmove(to, from, work->bytes);
}

static void run_fill(struct work *work)
{
    unsigned char *to = reach(work->to, work->bytes);
    if (to == NULL)
        return;
    memset(to, work->value, work->bytes);
    if (number("FAKE_CUDA_FORGETS", 0))
        to[work->bytes - 1] ^= 1;
}

static void run_record(struct work *work)
{
    clock_gettime(CLOCK_MONOTONIC, &work->event->at);
}

static void run_release(struct work *work)
{
    release(work->to);
}

static void *stream_main(void *argument)
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

/* On the stream, or here and now for the default one. */
static int give(struct stream *stream, const struct work *what)
{
    struct work *work = malloc(sizeof *work);
    *work = *what;
    work->next = NULL;
    if (stream == NULL) {
        work->run(work);
        free(work);
        return sticky;
    }
    pthread_mutex_lock(&stream->lock);
    *stream->end = work;
    stream->end = &work->next;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    return SUCCESS;
}

static int drain(struct stream *stream)
{
    if (stream != NULL) {
        pthread_mutex_lock(&stream->lock);
        while (stream->first != NULL || stream->is_busy)
            pthread_cond_wait(&stream->changed, &stream->lock);
        pthread_mutex_unlock(&stream->lock);
    }
    pthread_mutex_lock(&lock);
    int result = sticky;
    pthread_mutex_unlock(&lock);
    return result;
}

/* --- the API ------------------------------------------------------------------------------------------ */

EXPORT int cuInit(unsigned flags)
{
    ENTER(0);
    if (flags != 0)
        return INVALID_VALUE;
    if (device_count() == 0)
        return NO_DEVICE;
    is_initialized = 1;
    return SUCCESS;
}

EXPORT int cuDriverGetVersion(int *version)
{
    ENTER(0);
    *version = (int)number("FAKE_CUDA_VERSION", 12020);
    return SUCCESS;
}

EXPORT int cuGetErrorName(int result, const char **name)
{
    *name = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].result == result)
            *name = errors[i].name;
    return *name != NULL ? SUCCESS : INVALID_VALUE;
}

EXPORT int cuGetErrorString(int result, const char **text)
{
    *text = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].result == result)
            *text = errors[i].text;
    return *text != NULL ? SUCCESS : INVALID_VALUE;
}

EXPORT int cuDeviceGetCount(int *count)
{
    ENTER(1);
    *count = device_count();
    return SUCCESS;
}

EXPORT int cuDeviceGet(int *device, int index)
{
    ENTER(1);
    *device = index;
    return index >= 0 && index < device_count() ? SUCCESS : INVALID_DEVICE;
}

EXPORT int cuDeviceGetName(char *name, int size, int device)
{
    ENTER(1);
    snprintf(name, (size_t)size, "Fake GPU %d", device);
    return SUCCESS;
}

EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    ENTER(1);
    (void)device;
    *bytes = (size_t)number("FAKE_CUDA_MEMORY", 1 << 30);
    return SUCCESS;
}

EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    ENTER(1);
    (void)device;
    switch (attribute) {
    case 1: *value = 1024; return SUCCESS;
    case 16: *value = 132; return SUCCESS;
    case 75: *value = 9; return SUCCESS;
    case 76: *value = 0; return SUCCESS;
    case 115: *value = (int)number("FAKE_CUDA_POOLS", 0); return SUCCESS;
    default: return INVALID_VALUE;
    }
}

EXPORT int cuDeviceGetUuid(unsigned char *uuid, int device)
{
    ENTER(1);
    for (int i = 0; i < 16; i++)
        uuid[i] = (unsigned char)(i * 16 + device);
    return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRetain(void **context, int device)
{
    ENTER(1);
    pthread_mutex_lock(&lock);
    retained[device]++;
    pthread_mutex_unlock(&lock);
    *context = (void *)(uintptr_t)(device + 1);
    return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRelease_v2(int device)
{
    ENTER(1);
    pthread_mutex_lock(&lock);
    int left = --retained[device];
    pthread_mutex_unlock(&lock);
    return left >= 0 ? SUCCESS : INVALID_CONTEXT;
}

EXPORT int cuCtxSetCurrent(void *context)
{
    ENTER(1);
    current = (int)(uintptr_t)context;
    return SUCCESS;
}

EXPORT int cuCtxSynchronize(void)
{
    ENTER(2);
    return SUCCESS;
}

EXPORT int cuModuleLoadDataEx(struct module **module, const void *image, unsigned count, int *names,
                              void **values)
{
    ENTER(2);
    const char *text = image;
    if (strncmp(text, ".version ", 9) != 0)
        return INVALID_IMAGE;
    if (strstr(text, "nonsense") != NULL) {
        for (unsigned i = 0; i < count; i++)
            if (names[i] == 5) /* the error log's buffer; its size comes next */
                snprintf(
                    values[i], (size_t)(uintptr_t)values[i + 1],
                    "ptxas application ptx input, line 9; fatal   : Parsing error near 'nonsense': syntax error\nptxas fatal   : Ptx assembly aborted due to errors");
        return INVALID_PTX;
    }
    *module = malloc(sizeof **module);
    (*module)->text = strdup(text);
    return SUCCESS;
}

EXPORT int cuModuleUnload(struct module *module)
{
    ENTER(2);
    free(module->text);
    free(module);
    return SUCCESS;
}

EXPORT int cuModuleGetFunction(struct function **function, struct module *module, const char *name)
{
    ENTER(2);
    char entry[96];
    snprintf(entry, sizeof entry, ".entry %s(", name);
    if (strstr(module->text, entry) == NULL || find_kernel(name) == NULL)
        return NOT_FOUND;
    *function = calloc(1, sizeof **function);
    snprintf((*function)->name, sizeof(*function)->name, "%s", name);
    return SUCCESS;
}

EXPORT int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    ENTER(2);
    *total_bytes = (size_t)number("FAKE_CUDA_MEMORY", 1 << 30);
    pthread_mutex_lock(&lock);
    *free_bytes = *total_bytes - used[current - 1];
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

EXPORT int cuMemAlloc_v2(uint64_t *address, size_t bytes)
{
    ENTER(2);
    return allocate(address, bytes);
}

EXPORT int cuMemFree_v2(uint64_t address)
{
    ENTER(2);
    return release(address);
}

EXPORT int cuMemAllocAsync(uint64_t *address, size_t bytes, struct stream *stream)
{
    ENTER(2);
    (void)stream;
    return number("FAKE_CUDA_POOLS", 0) ? allocate(address, bytes) : NOT_SUPPORTED;
}

EXPORT int cuMemFreeAsync(uint64_t address, struct stream *stream)
{
    ENTER(2);
    return give(stream, &(struct work){ .run = run_release, .to = address });
}

EXPORT int cuMemAllocHost_v2(void **memory, size_t bytes)
{
    ENTER(2);
    *memory = malloc(bytes);
    return SUCCESS;
}

EXPORT int cuMemFreeHost(void *memory)
{
    ENTER(2);
    free(memory);
    return SUCCESS;
}

EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, struct stream *stream)
{
    ENTER(2);
    return give(stream,
                &(struct work){
                    .run = run_write, .to = to, .host = (void *)(uintptr_t)from, .bytes = bytes });
}

EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, struct stream *stream)
{
    ENTER(2);
    return give(stream,
                &(struct work){ .run = run_read, .from = from, .host = to, .bytes = bytes });
}

EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, struct stream *stream)
{
    ENTER(2);
    return give(stream, &(struct work){ .run = run_copy, .to = to, .from = from, .bytes = bytes });
}

EXPORT int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, struct stream *stream)
{
    ENTER(2);
    return give(stream,
                &(struct work){ .run = run_fill, .to = to, .value = value, .bytes = bytes });
}

EXPORT int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes)
{
    ENTER(2);
    return give(NULL,
                &(struct work){
                    .run = run_write, .to = to, .host = (void *)(uintptr_t)from, .bytes = bytes });
}

EXPORT int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes)
{
    ENTER(2);
    return give(NULL, &(struct work){ .run = run_read, .from = from, .host = to, .bytes = bytes });
}

EXPORT int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes)
{
    ENTER(2);
    return give(NULL, &(struct work){ .run = run_copy, .to = to, .from = from, .bytes = bytes });
}

EXPORT int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes)
{
    ENTER(2);
    return give(NULL, &(struct work){ .run = run_fill, .to = to, .value = value, .bytes = bytes });
}

EXPORT int cuStreamCreate(struct stream **stream, unsigned flags)
{
    ENTER(2);
    if (flags > 1)
        return INVALID_VALUE;
    *stream = calloc(1, sizeof **stream);
    pthread_mutex_init(&(*stream)->lock, NULL);
    pthread_cond_init(&(*stream)->changed, NULL);
    (*stream)->end = &(*stream)->first;
    return pthread_create(&(*stream)->thread, NULL, stream_main, *stream) == 0 ? SUCCESS
                                                                               : OUT_OF_MEMORY;
}

EXPORT int cuStreamSynchronize(struct stream *stream)
{
    ENTER(2);
    return drain(stream);
}

EXPORT int cuStreamDestroy_v2(struct stream *stream)
{
    ENTER(2);
    pthread_mutex_lock(&stream->lock);
    stream->is_ending = 1;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
    pthread_join(stream->thread, NULL);
    free(stream);
    return SUCCESS;
}

EXPORT int cuEventCreate(struct event **event, unsigned flags)
{
    ENTER(2);
    (void)flags;
    *event = calloc(1, sizeof **event);
    return SUCCESS;
}

EXPORT int cuEventRecord(struct event *event, struct stream *stream)
{
    ENTER(2);
    event->at.tv_sec = 0;
    return give(stream, &(struct work){ .run = run_record, .event = event });
}

/* The tests' events are the last thing on their stream: waiting for those is the stream's matter. */
EXPORT int cuEventSynchronize(struct event *event)
{
    ENTER(2);
    while (__atomic_load_n(&event->at.tv_sec, __ATOMIC_ACQUIRE) == 0)
        nanosleep(&(struct timespec){ 0, 100000 }, NULL);
    return drain(NULL);
}

EXPORT int cuEventElapsedTime(float *ms, struct event *start, struct event *stop)
{
    ENTER(2);
    *ms = (float)((double)(stop->at.tv_sec - start->at.tv_sec) * 1e3 +
                  (double)(stop->at.tv_nsec - start->at.tv_nsec) / 1e6);
    return SUCCESS;
}

EXPORT int cuEventDestroy_v2(struct event *event)
{
    ENTER(2);
    free(event);
    return SUCCESS;
}

EXPORT int cuLaunchKernel(struct function *function, unsigned gx, unsigned gy, unsigned gz,
                          unsigned bx, unsigned by, unsigned bz, unsigned shared_bytes,
                          struct stream *stream, void **arguments, void **extra)
{
    ENTER(2);
    (void)shared_bytes;
    if (extra != NULL || bx * by * bz > 1024 || gx * gy * gz * bx * by * bz == 0)
        return INVALID_VALUE;
    struct work work = { .run = run_launch, .grid = { gx, gy, gz }, .block = { bx, by, bz } };
    const struct kernel *kernel = find_kernel(function->name);
    trace("launch %s %u,%u,%u %u,%u,%u", function->name, gx, gy, gz, bx, by, bz);
    memcpy(work.kernel, function->name, sizeof work.kernel);
    for (size_t i = 0; i < 8 && kernel->sizes[i] > 0; i++)
        memcpy(&work.argument[i], arguments[i], kernel->sizes[i]);
    return give(stream, &work);
}

/* --- cuGetProcAddress ------------------------------------------------------------------------------------ */

#define CALL(name, symbol)   \
    {                        \
        name, (void *)symbol \
    }
static const struct {
    const char *name;
    void *address;
} exported[] = {
    CALL("cuInit", cuInit),
    CALL("cuDriverGetVersion", cuDriverGetVersion),
    CALL("cuGetErrorName", cuGetErrorName),
    CALL("cuGetErrorString", cuGetErrorString),
    CALL("cuDeviceGetCount", cuDeviceGetCount),
    CALL("cuDeviceGet", cuDeviceGet),
    CALL("cuDeviceGetName", cuDeviceGetName),
    CALL("cuDeviceTotalMem", cuDeviceTotalMem_v2),
    CALL("cuDeviceGetAttribute", cuDeviceGetAttribute),
    CALL("cuDeviceGetUuid", cuDeviceGetUuid),
    CALL("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain),
    CALL("cuDevicePrimaryCtxRelease", cuDevicePrimaryCtxRelease_v2),
    CALL("cuCtxSetCurrent", cuCtxSetCurrent),
    CALL("cuCtxSynchronize", cuCtxSynchronize),
    CALL("cuModuleLoadDataEx", cuModuleLoadDataEx),
    CALL("cuModuleUnload", cuModuleUnload),
    CALL("cuModuleGetFunction", cuModuleGetFunction),
    CALL("cuMemGetInfo", cuMemGetInfo_v2),
    CALL("cuMemAlloc", cuMemAlloc_v2),
    CALL("cuMemFree", cuMemFree_v2),
    CALL("cuMemAllocAsync", cuMemAllocAsync),
    CALL("cuMemFreeAsync", cuMemFreeAsync),
    CALL("cuMemAllocHost", cuMemAllocHost_v2),
    CALL("cuMemFreeHost", cuMemFreeHost),
    CALL("cuMemcpyHtoD", cuMemcpyHtoD_v2),
    CALL("cuMemcpyDtoH", cuMemcpyDtoH_v2),
    CALL("cuMemcpyDtoD", cuMemcpyDtoD_v2),
    CALL("cuMemsetD8", cuMemsetD8_v2),
    CALL("cuMemcpyHtoDAsync", cuMemcpyHtoDAsync_v2),
    CALL("cuMemcpyDtoHAsync", cuMemcpyDtoHAsync_v2),
    CALL("cuMemcpyDtoDAsync", cuMemcpyDtoDAsync_v2),
    CALL("cuMemsetD8Async", cuMemsetD8Async),
    CALL("cuStreamCreate", cuStreamCreate),
    CALL("cuStreamSynchronize", cuStreamSynchronize),
    CALL("cuStreamDestroy", cuStreamDestroy_v2),
    CALL("cuEventCreate", cuEventCreate),
    CALL("cuEventRecord", cuEventRecord),
    CALL("cuEventSynchronize", cuEventSynchronize),
    CALL("cuEventElapsedTime", cuEventElapsedTime),
    CALL("cuEventDestroy", cuEventDestroy_v2),
    CALL("cuLaunchKernel", cuLaunchKernel),
};

EXPORT int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags,
                               int *status)
{
    (void)flags;
    trace("cuGetProcAddress %s %d", name, version);
    *function = NULL;
    *status = 1;
    for (size_t i = 0; number("FAKE_CUDA_GETTER", 1) && i < sizeof exported / sizeof exported[0];
         i++)
        if (strcmp(exported[i].name, name) == 0)
            *function = exported[i].address;
    if (*function == NULL)
        return NOT_FOUND;
    *status = 0;
    return SUCCESS;
}
