/*
 * mock: behaves as its input says, for testing an endpoint from outside. The input's members are
 * those of RunPod's public mock worker:
 *   mock_return    any value: the output; "Hello World!" by default
 *   mock_delay     seconds to wait before anything else happens
 *   mock_error     true: the job fails
 *   mock_crash     true: the whole process ends at once
 *   mock_refresh   true: the worker asks to be replaced; the output is {"mock_return": ...}
 * and two more:
 *   mock_logs      a number of log lines, or an array of texts to log
 *   mock_progress  {"updates": N, "wait_time": seconds}: progress updates before the result
 * Flags: with --generator, the elements of mock_return are the parts of a stream; with
 * --return_aggregate_stream, the list of them is the output as well.
 */
#include <string.h>
#include <unistd.h>

#include "worker.h"

static void wait_seconds(rp_job *job, double seconds)
{
    if (seconds > 0)
        rp_job_wait(job, seconds < 4000000 ? (uint32_t)(seconds * 1000) : UINT32_MAX);
}

static void write_logs(rp_job *job, rp_value logs)
{
    int64_t count = 0;
    rp_str text;
    if (rp_to_int(logs, &count) == RP_OK)
        for (int64_t i = 1; i <= count && i <= 10000; i++)
            rp_log(job, RP_INFO, "mock log %lld of %lld", (long long)i, (long long)count);
    for (rp_iter it = rp_each(logs); rp_next(&it);)
        if (rp_to_str(it.value, &text) == RP_OK)
            rp_log(job, RP_INFO, "%.*s", (int)text.len, text.ptr);
}

static void send_progress(rp_job *job, rp_value progress)
{
    int64_t updates = 0;
    double wait_time = 0;
    rp_get_int(progress, "updates", &updates);
    rp_get_double(progress, "wait_time", &wait_time);
    for (int64_t i = 1; i <= updates && !rp_job_stopped(job); i++) {
        wait_seconds(job, wait_time);
        rp_progress(job, "\"Update %lld/%lld\"", (long long)i, (long long)updates);
    }
}

/* Everything the input asks for except the output. */
static int side_effects(rp_job *job, rp_value input)
{
    bool error = false, crash = false;
    double delay = 0;
    if (rp_type_of(input) != RP_OBJECT)
        return rp_fail(job, "input must be an object");
    rp_get_double(input, "mock_delay", &delay);
    rp_get_bool(input, "mock_crash", &crash);
    rp_get_bool(input, "mock_error", &error);
    write_logs(job, rp_get(input, "mock_logs"));
    send_progress(job, rp_get(input, "mock_progress"));
    wait_seconds(job, delay);
    if (crash)
        _exit(1);
    return error ? rp_fail(job, "Mock error") : RP_OK;
}

static int mock(rp_job *job, void *user)
{
    rp_value input = rp_input(job);
    bool refresh = false;
    (void)user;
    if (side_effects(job, input) != RP_OK)
        return RP_FAILED;
    rp_get_bool(input, "mock_refresh", &refresh);
    rp_value output = rp_get(input, "mock_return");
    if (refresh)
        rp_refresh_worker(job);
    if (rp_type_of(output) == RP_NONE)
        return rp_return(job, refresh ? "{\"mock_return\": \"Hello World!\"}" : "\"Hello World!\"");
    if (!refresh)
        return rp_return_value(job, output);
    rp_str json = rp_json(output);
    return rp_return(job, "{\"mock_return\": %J}", &json);
}

static int generate(rp_job *job, void *user)
{
    rp_value input = rp_input(job);
    int rc = side_effects(job, input);
    (void)user;
    if (rc != RP_OK)
        return rc;
    rp_value parts = rp_get(input, "mock_return");
    if (rp_type_of(parts) == RP_NONE)
        return rp_yield(job, "\"Hello World!\"");
    for (rp_iter it = rp_each(parts); rc == RP_OK && rp_next(&it);) {
        rp_str json = rp_json(it.value);
        rc = rp_yield(job, "%J", &json);
    }
    return rc;
}

int main(int argc, char **argv)
{
    rp_config config = { .handler = mock, RP_ALL_PARTS };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--generator") == 0)
            config.handler = generate;
        config.stream |= config.handler == generate;
        config.aggregate_stream |= strcmp(argv[i], "--return_aggregate_stream") == 0;
    }
    return rp_start(argc, argv, &config);
}
