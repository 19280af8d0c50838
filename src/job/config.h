/*
 * job/config.h - what the worker was told by its environment and command line: read once at the
 * start, checked, and never changed after that, so that all threads may look.
 */
#ifndef JOB_CONFIG_H
#define JOB_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slice.h"
#include "net/proxy.h"
#include "worker.h"

/* All slices and pointers are linked: into the environment, the command line, or this struct. */
struct config {
    /* The platform's side; see CONTRACT, "Environment". Empty slices where not set. */
    slice take_url;   /* template of job-take; empty: the worker runs locally */
    slice output_url; /* templates of results, stream parts and the heartbeat */
    slice stream_url;
    slice ping_url;
    slice api_key;
    slice worker_id; /* RUNPOD_POD_ID, or a random UUID */
    bool has_pod_id; /* RUNPOD_POD_ID was set: only then are there heartbeats */
    slice pod_hostname;
    slice endpoint_id;
    int64_t ping_ms;
    int64_t realtime_port;        /* 0: none */
    int64_t realtime_concurrency; /* 0: as everywhere */

    /* Ours. */
    int64_t concurrency; /* 0: as the program says */
    bool stream;
    bool aggregate_stream;
    bool refresh_worker;
    bool debugger;
    struct {
        const char *program; /* NULL: the linked handler */
        const char *once;    /* NULL, or instead of program: one process a job */
        const char *http;    /* NULL, or the URL of the server that the handler is */
        const char *ready;   /* NULL, or how it says that it is ready: "line", or a path of http */
        int64_t ready_timeout_ms;
        int64_t deaths; /* in a row, then the worker ends */
        int64_t kill_grace_ms;
        int64_t connect_ms;
        int64_t first_byte_ms;
        int64_t idle_ms;
        int64_t unhealthy_ms;     /* a server that was ready may be */
        const char *served_model; /* NULL: the server is asked */
        int64_t stream_interval_ms;
        bool binary;
        bool isolate; /* the linked handler runs in a child process */
        bool pass_api_key;
    } handler;
    int64_t execution_timeout_ms; /* 0: none */
    struct {
        bool skip;
        int64_t min_memory_milli_gib;
        int64_t min_disk_milli_percent;
        int64_t network_timeout_ms;
        const char *program; /* NULL, or the command line of one more check */
        int64_t program_timeout_ms;
    } fitness;
    struct {
        const char *libcuda; /* NULL: where the driver's files usually are */
        bool skip_check;
        int64_t min_cuda_version; /* as CUDA counts: 11080 is 11.8 */
        int64_t benchmark_ms;     /* for the small computation */
        int64_t test_ms;          /* for all checks of the GPU */
        bool info;                /* print what there is of a GPU, and end */
        bool info_json;
    } gpu;
    int64_t result_max_bytes;
    int64_t result_retry_ms;
    const char *result_dir;       /* NULL: undelivered results are not kept */
    const char *unknown_argument; /* the first that is none of the worker's; NULL: none */
    int64_t shutdown_grace_ms;
    const char *ca_file;
    struct proxy_config proxy;

    enum log_level log_level;
    bool log_json_lines;

    /* Local runs. Empty where not given. */
    slice test_input;
    slice test_output;

    int64_t started_ms; /* when the process read this; monotonic */
    char random_id[RANDOM_UUID_BYTES];
};

/* The stack of a handler's thread: what the program asks for, and what a GPU's driver takes for
 * granted. */
static inline size_t config_stack_bytes(const rp_config *program)
{
    if (program->stack_bytes == 0 ||
        (program->gpu != NULL && program->stack_bytes < LIMIT_STACK_HANDLER_BYTES))
        return LIMIT_STACK_HANDLER_BYTES;
    return program->stack_bytes;
}

/* True where jobs come as requests to the worker's own port. A test on the command line wins. */
static inline bool config_is_realtime(const struct config *config)
{
    return config->realtime_port != 0 && config->test_input.len == 0;
}

/* True where jobs come from a local test. */
static inline bool config_is_local(const struct config *config)
{
    return !config_is_realtime(config) && (config->take_url.len == 0 || config->test_input.len > 0);
}

#endif
