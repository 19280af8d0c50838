/*
 * job/config.h - what the worker was told by its environment and command line: read once at the
 * start, checked, and never changed after that, so that all threads may look.
 */
#ifndef JOB_CONFIG_H
#define JOB_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slice.h"
#include "net/proxy.h"

/* All slices and pointers are linked: into the environment, the command line, or this struct. */
struct config {
    /* The platform's side; see CONTRACT, "Environment". Empty slices where not set. */
    slice take_url;   /* template of job-take; empty: the worker runs locally */
    slice output_url; /* templates of results and the heartbeat */
    slice ping_url;
    slice api_key;
    slice worker_id; /* RUNPOD_POD_ID, or a random UUID */
    bool has_pod_id; /* RUNPOD_POD_ID was set: only then are there heartbeats */
    slice pod_hostname;
    slice endpoint_id;
    int64_t ping_ms;

    /* Ours. */
    size_t result_max_bytes;
    int64_t result_retry_ms;
    int64_t shutdown_grace_ms;
    const char *ca_file;
    struct proxy_config proxy;

    enum log_level log_level;
    bool log_json_lines;

    const char *handler_program; /* NULL: the linked handler, in a child where isolate */
    bool handler_once;
    bool handler_ready;
    bool isolate;
    bool pass_api_key;
    int64_t execution_timeout_ms;
    int64_t ready_timeout_ms;
    int64_t kill_grace_ms;

    /* Local runs. Empty where not given. */
    slice test_input;
    slice test_output;

    char random_id[RANDOM_UUID_BYTES];
};

/*
 * Fills in everything that comes from the environment and the defaults. ERR_CONFIG naming the
 * variable that cannot be used and what it should look like.
 */
int config_from_environment(struct config *config, struct err *err);

/* Sets the log level by a flag's or variable's value. ERR_CONFIG naming `name`. */
int config_set_log_level(struct config *config, const char *name, const char *value,
                         struct err *err);

/* Checks what can only be checked when flags and environment are known. ERR_CONFIG. */
int config_check(const struct config *config, struct err *err);

/* True where jobs come from a local test, not from the platform. */
static inline bool config_is_local(const struct config *config)
{
    return config->take_url.len == 0 || config->test_input.len > 0;
}

#endif
