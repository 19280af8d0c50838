/*
 * config/config.h - the configuration from environment and command line: read once at the start,
 * checked, and never changed after that, so that all threads may read it.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slice.h"
#include "codec/proxy.h"
#include "worker.h"

#define CONFIG_LIST_MAX 32

/* RUNPOD_LOG_CAPTURE: which errors carry the end of the handler's output as "logs". */
enum log_capture {
    LOG_CAPTURE_AUTO, /* those of a start that failed */
    LOG_CAPTURE_ALL,  /* also those of jobs */
    LOG_CAPTURE_OFF,
};

/* The parts that a program may be linked without: one bit for each member of rp_config. */
enum config_part {
    PART_PROGRAMS = 1 << 0,
    PART_SERVERS = 1 << 1,
    PART_REALTIME = 1 << 2,
    PART_JOB_API = 1 << 3,
    PART_STORAGE = 1 << 4,
    PART_GPU = 1 << 5,
    PART_AUDIT = 1 << 6,
    PART_SBOM = 1 << 7, /* no member: it is there where it is linked (app/sbom.h) */
};

/* The values of a flag that may be repeated. */
struct config_list {
    const char *texts[CONFIG_LIST_MAX];
    size_t count;
    bool from_flags; /* not from the variable, which flags replace */
};

/* Slices and pointers refer to the environment, the command line or this struct. */
struct config {
    unsigned absent_parts; /* of enum config_part: not in this program; set before all others */

    /* Set by the platform. Slices are empty if not set. */
    slice take_url;   /* template of the job-take URL; empty: a local test */
    slice output_url; /* templates of results, stream parts and the heartbeat */
    slice stream_url;
    slice ping_url;
    slice api_key;
    slice worker_id; /* RUNPOD_POD_ID, or a random UUID */
    bool has_pod_id; /* RUNPOD_POD_ID is set: only then are heartbeats sent */
    enum log_capture log_capture;
    slice pod_hostname;
    slice endpoint_id;
    slice contract_version; /* what heartbeats and errors call runpod_version */
    slice log_capture_name; /* RUNPOD_LOG_CAPTURE as given; empty: not set */
    int64_t ping_ms;
    int64_t realtime_port;           /* 0: off */
    int64_t realtime_concurrency;    /* 0: concurrency */
    slice realtime_host;             /* to listen on; empty: every address */
    slice realtime_token;            /* that requests must carry; empty: none */
    const char *realtime_token_file; /* NULL: not set */
    int64_t realtime_memory_bytes;   /* for the bodies of all requests together */

    /* The job API that the worker serves itself (--rp_serve_api). */
    struct {
        bool serve;
        int64_t port;
        int64_t concurrency; /* 0: concurrency */
        slice host;          /* empty: localhost */
        slice key;           /* that clients must send; empty: none is asked for */
        const char *key_file;
        bool open;  /* may listen beyond loopback without a key */
        slice cors; /* the origin whose pages may call, or "*"; empty: none */
    } api;

    /* GET /metrics on a port of its own. */
    struct {
        int64_t port; /* -1: off; 0: a free one */
        slice host;   /* empty: localhost */
    } metrics;

    /* A load-balancing endpoint: requests come straight to the worker (--serve). */
    struct {
        bool on;
        slice host;            /* to listen on; empty: every address */
        bool open;             /* also to web pages elsewhere, off the platform */
        const char *port_text; /* PORT, PORT_HEALTH; NULL: not set */
        const char *health_text;
        const char *health_path; /* HEALTH_CHECK_PATH; NULL: not set */
        uint16_t port;           /* the same, checked: 0 takes a free one */
        uint16_t health_port;    /* as port, where it is not another one */
    } serve;

    /* Set by the user. */
    int64_t concurrency;            /* 0: from the program */
    const char *concurrency_source; /* with handler.http: what set it; NULL: the server's API */
    bool stream;
    bool aggregate_stream;
    bool refresh_worker;
    bool debugger;
    bool sbom;  /* print the bill of materials and exit */
    bool watch; /* restart the handler when its file changes */
    struct {
        const char *program;      /* NULL: the linked handler */
        const char *once;         /* instead of program: one process per job; NULL: not set */
        const char *http;         /* URL of the server that is the handler; NULL: not set */
        const char *ready;        /* "line"; with http a health route or "tcp"; NULL: not set */
        int64_t ready_timeout_ms; /* over all tries, and for setup; 0: no limit */
        int64_t init_timeout_ms;  /* RUNPOD_INIT_TIMEOUT; 0: not set */
        int64_t jobs;             /* that one program gets at a time */
        int64_t deaths;           /* in a row, after which the worker ends */
        int64_t kill_grace_ms;
        int64_t connect_ms;
        int64_t first_byte_ms; /* 0: no limit, also below */
        int64_t idle_ms;
        int64_t unhealthy_ms;         /* after which a server is replaced */
        int64_t failures;             /* of jobs in a row, after which it is; 0: never */
        struct config_list route_map; /* where inputs of no known form go */
        const char *routes;           /* those that jobs may call; NULL: all */
        const char *answer_shape;     /* "plain" or "list"; NULL: by the input's form */
        const char *max_concurrency;  /* MAX_CONCURRENCY or RUNPOD_MAX_CONCURRENCY; NULL: not set */
        const char *concurrency_path; /* the server's, polled for a number; NULL: not set */
        int64_t concurrency_interval_ms;
        const char *served_model; /* NULL: from the server */
        int64_t stream_interval_ms;
        bool binary;
        bool isolate; /* the linked handler runs in a child process */
        bool pass_api_key;
    } handler;
    int64_t execution_timeout_ms; /* 0: off */
    struct {
        bool skip;
        int64_t min_memory_milli_gib;
        int64_t min_disk_milli_percent;
        int64_t network_timeout_ms;
        const char *program;       /* command line of a check; NULL: not set */
        struct config_list models; /* that must be cached; each text may name several */
        int64_t program_timeout_ms;
    } fitness;
    struct {
        const char *libcuda; /* NULL: the usual folders */
        bool skip_check;
        int64_t min_cuda_version; /* in CUDA's form: 11080 is 11.8 */
        int64_t benchmark_ms;     /* for the small computation */
        int64_t test_ms;          /* for all checks of the GPU */
        bool info;                /* print information on the GPU and exit */
        bool info_json;
    } gpu;
    struct {
        struct config_list folders; /* that a network volume keeps between workers */
        const char *volume;         /* NULL: the platform's */
        slice name;                 /* of the cache on it; empty: endpoint_id */
    } cache;
    int64_t result_max_bytes;
    int64_t upload_above_kb; /* larger outputs are uploaded; 0: none is */
    int64_t result_retry_ms;
    const char *result_dir;       /* NULL: undelivered results are not stored */
    const char *denied_downloads; /* ranges of addresses (codec/ip.h); NULL: none */
    const char *unknown_argument; /* the first unknown argument; NULL: none */
    int64_t shutdown_grace_ms;    /* negative: no limit */
    const char *audit;            /* print what this may do, "" or "json", and exit; NULL: run */
    struct {
        const char *mode; /* "", "on": hold the worker to what audit prints; "log"; NULL, "off" */
        struct config_list read, write; /* and let it read and write these too */
    } confine;
    const char *ca_file;
    struct proxy_config proxy;
    bool allow_debugger; /* core dumps and debuggers, although they can read the API key */

    bool log_json_lines;
    enum log_level log_level;

    /* Of local tests. Empty if not given. */
    slice test_input;
    slice test_output;
    const char *test_result; /* file to write the result to, "-": standard output; NULL: none */

    int64_t started_ms; /* when the process started; monotonic */
    char random_id[RANDOM_UUID_BYTES];
    char token_text[LIMIT_TOKEN_BYTES]; /* of realtime_token_file */
};

/* --confine is given, and not to be off. */
static inline bool config_is_confined(const struct config *config)
{
    return config->confine.mode != NULL && strcmp(config->confine.mode, "off") != 0;
}

/* --confine=log: what is given to the kernel refuses nothing. */
static inline bool config_only_tries(const struct config *config)
{
    return config->confine.mode != NULL && strcmp(config->confine.mode, "log") == 0;
}

/* The handler is a program, or this binary again. What --fitness starts is over before its jobs. */
static inline bool config_starts_programs(const struct config *config)
{
    return config->handler.program != NULL || config->handler.once != NULL ||
           config->handler.isolate || config->watch;
}

/*
 * The size of a handler's stack: the program's choice, but at least what a GPU driver needs, or
 * what rp_download over TLS needs.
 */
static inline size_t config_stack_bytes(const rp_config *program)
{
    size_t least = program->gpu != NULL ? LIMIT_STACK_HANDLER_BYTES : LIMIT_STACK_LEAST_BYTES;
    size_t chosen = program->stack_bytes;
    return chosen == 0 ? LIMIT_STACK_HANDLER_BYTES : chosen < least ? least : chosen;
}

/* True if jobs come as requests to the job API that the worker serves. Overrides all others. */
static inline bool config_is_endpoint(const struct config *config)
{
    return config->api.serve;
}

/* Where the volume of --cache is mounted: the platform's own place unless one is named. */
static inline const char *config_cache_volume(const struct config *config)
{
    return config->cache.volume != NULL ? config->cache.volume : "/runpod-volume";
}

/* True if requests come straight to the worker, as on a load-balancing endpoint. */
static inline bool config_is_serving(const struct config *config)
{
    return !config_is_endpoint(config) && config->serve.on;
}

/* True if jobs come as requests to the worker's port. --test_input overrides that. */
static inline bool config_is_realtime(const struct config *config)
{
    return !config_is_endpoint(config) && !config_is_serving(config) &&
           config->realtime_port != 0 && config->test_input.len == 0;
}

/* True if the job comes from a local test. */
static inline bool config_is_local(const struct config *config)
{
    return !config_is_endpoint(config) && !config_is_serving(config) &&
           !config_is_realtime(config) && (config->take_url.len == 0 || config->test_input.len > 0);
}

/* The key that must not leave the process: the platform's, or the job API's. May be empty. */
static inline slice config_secret(const struct config *config)
{
    return config_is_endpoint(config) && config->api.key.len > 0 ? config->api.key
                                                                 : config->api_key;
}

/* True if jobs come from the platform. */
static inline bool config_is_polling(const struct config *config)
{
    return !config_is_endpoint(config) && !config_is_serving(config) &&
           !config_is_realtime(config) && !config_is_local(config);
}

#endif
