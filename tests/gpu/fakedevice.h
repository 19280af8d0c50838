/*
 * What the files of the fake driver share: the API (fakedevice.c), the settings that tests make
 * (fakedevice_settings.c), and memory and streams (fakedevice_work.c). See fakedevice.c. What
 * kernels compute: ptx.h.
 */
#ifndef TESTS_GPU_FAKEDEVICE_H
#define TESTS_GPU_FAKEDEVICE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "ptx.h"

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

/* --- state ---------------------------------------------------------------------------------- */

extern pthread_mutex_t fake_lock;      /* guards the next two */
extern size_t fake_used[DEVICES_MAX];  /* bytes allocated */
extern int fake_retained[DEVICES_MAX]; /* how often the primary context is retained */
extern int fake_initialized;
extern __thread int fake_current; /* device + 1; 0: no context */

/* --- settings ----------------------------------------------------------------- */

/* A variable's number. */
long long number(const char *name, long long otherwise);

int device_count(void);

/* Of the devices: 90 is 9.0. */
int capability(void);

/* Bytes of shared memory that a block may have if it asks for them. */
int shared_bytes_optin(void);

/* A line in the file of FAKE_CUDA_TRACE. */
void sleep_ms(long long ms);
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sets and returns the error that every call that needs a context returns from now on; 0: none. */
void set_sticky(int result);
int get_sticky(void);

/* Every call begins here. needs: 0 nothing, 1 cuInit, 2 cuInit and a context. */
int enter(const char *call, int needs);

#define ENTER(needs)                          \
    do {                                      \
        int entered = enter(__func__, needs); \
        if (entered != SUCCESS)               \
            return entered;                   \
    } while (0)

/* --- memory, streams ------------------------------------------------------------------------ */

/* Device memory on the current device. Return a result of the API. */
int allocate(uint64_t *address, size_t bytes);
int release(uint64_t address);

struct event {
    struct timespec at; /* 0 seconds: it was recorded, and its stream has not come to it */
    int is_recorded;
};

struct work {
    void (*run)(struct work *work);
    uint64_t to, from;
    unsigned char *host;
    size_t bytes;
    int value;
    struct event *event;
    struct ptx_launch launch;
    struct work *next;
};

/* What was asked of a stream while it was captured. */
struct graph {
    struct work *works;
    size_t count;
};

struct stream {
    pthread_t thread;
    int number;             /* counted from 1, for the trace; 0 is the default stream */
    struct graph *captured; /* NULL while it is not */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct work *first, **end;
    int is_busy, is_ending;
};

struct module {
    struct ptx_module *code;
};

struct function {
    const struct ptx_kernel *kernel;
    size_t shared_bytes_max; /* dynamic and static, as cuFuncSetAttribute has set it */
};

/* The kinds of work. */
void run_launch(struct work *work);
void run_write(struct work *work);
void run_read(struct work *work);
void run_copy(struct work *work);
void run_fill(struct work *work);
void run_record(struct work *work);
void run_release(struct work *work);

/* Queues a copy of the work on the stream, or does it at once for the default one (NULL). */
int give(struct stream *stream, const struct work *what);

/* Waits until the stream is empty; returns the sticky result. */
int drain(struct stream *stream);

/* Waits until all streams are empty. */
void drain_all(void);

/* A stream's thread; its argument is the stream. */
void *stream_main(void *argument);

#endif
