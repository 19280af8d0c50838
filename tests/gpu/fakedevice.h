/*
 * What the files of the fake driver share: fakedevice.c the API, fakedevice_told.c what the test has
 * told it, fakedevice_work.c memory, kernels and streams. See fakedevice.c.
 */
#ifndef TESTS_GPU_FAKEDEVICE_H
#define TESTS_GPU_FAKEDEVICE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define DEVICES_MAX 8

/* Of the API. */
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

/* --- state ------------------------------------------------------------------------------------- */

extern pthread_mutex_t fake_lock;      /* over the next two */
extern size_t fake_used[DEVICES_MAX];  /* bytes allocated */
extern int fake_retained[DEVICES_MAX]; /* how often the primary context is retained */
extern int fake_initialized;
extern __thread int fake_current; /* device + 1; 0: no context */

/* --- what the test has told -------------------------------------------------------------------- */

/* A variable's number. */
long long number(const char *name, long long otherwise);

int device_count(void);

/* A line in the file of FAKE_CUDA_TRACE. */
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What every call that needs a context returns from now on, and what that is; 0: all is well. */
void set_sticky(int result);
int get_sticky(void);

/* Every call begins here. needs: 0 nothing, 1 cuInit, 2 a context as well. */
int enter(const char *call, int needs);

#define ENTER(needs)                          \
    do {                                      \
        int entered = enter(__func__, needs); \
        if (entered != SUCCESS)               \
            return entered;                   \
    } while (0)

/* --- memory, kernels, streams ------------------------------------------------------------------- */

/* Device memory on the current device. Return a result of the API. */
int allocate(uint64_t *address, size_t bytes);
int release(uint64_t address);

struct event {
    struct timespec at;
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

struct kernel {
    const char *name;
    size_t sizes[8]; /* of the arguments */
    void (*run)(const struct work *work);
};

/* NULL where there is none of that name. */
const struct kernel *find_kernel(const char *name);

/* What work is made of. */
void run_launch(struct work *work);
void run_write(struct work *work);
void run_read(struct work *work);
void run_copy(struct work *work);
void run_fill(struct work *work);
void run_record(struct work *work);
void run_release(struct work *work);

/* On the stream, or here and now for the default one (NULL). Copies the work. */
int give(struct stream *stream, const struct work *what);

/* Waits until the stream has nothing left; the sticky result. */
int drain(struct stream *stream);

/* A stream's thread; its argument is the stream. */
void *stream_main(void *argument);

#endif
