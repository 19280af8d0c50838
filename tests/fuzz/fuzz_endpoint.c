/*
 * The routes of the job API: whatever clients ask, in whatever order, they get well-formed
 * responses with JSON where that is promised, none of them a failure of the worker's own, and the
 * store's counts stay right. No job runs: some have ended, one runs and some wait from the start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "connection.h"
#include "source/endpoint_private.h"
#include "json/json.h"

#define INPUT_MAX 3000
#define OUTPUT_MAX (16u << 20) /* the console, some hundred times */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct endpoint endpoint;
static struct config config;

/* --- the jobs that are there ------------------------------------------------------------------ */

static struct store_job *add(const char *id, const char *input)
{
    struct err err = { 0 };
    int status;
    struct store_job *job = calloc(1, sizeof *job);
    must(job != NULL && delivery_new(&job->delivery, SIZE_MAX, &err) == 0);
    snprintf(job->id, sizeof job->id, "%s", id);
    job->ttl_ms = LIMIT_ENDPOINT_TTL_MS;
    job->execution_ms = LIMIT_ENDPOINT_EXECUTION_MS;
    json_add(&job->delivery->body, NULL, "{\"input\": %s, \"id\": \"%s\"}", input, id);
    must(delivery_read(job->delivery, NULL, &job->job, &err) == 0);
    must(store_add(&endpoint.store, job, &status, &err) == 0);
    return job;
}

static void run(struct store_job *job, const char *text, bool is_error)
{
    struct buf result;
    struct err err;
    must(store_begin_next(&endpoint.store, DEADLINE_NEVER) == job);
    struct job *task = job->job;
    buf_init(&result, SIZE_MAX, "a result");
    buf_add_text(&result, text, NULL);
    store_add_part(&endpoint.store, job, SLICE_LITERAL("{\"part\":\n1}"), &err);
    store_add_log(&endpoint.store, job, SLICE_LITERAL("a \"line\""));
    store_set_result(&endpoint.store, job, &result, is_error);
    job_release(task);
}

static struct job *running_task;

static void fill(void)
{
    run(add("done", "1"), "{\"output\": [1, \"two\"]}", false);
    run(add("failed", "{}"), "{\"error\": {\"any\": \"value\"}}", true);
    struct store_job *running = add("running", "[]");
    must(store_begin_next(&endpoint.store, DEADLINE_NEVER) == running);
    running_task = running->job;
    store_set_progress(&endpoint.store, running, SLICE_LITERAL("{\"half\": true}"));
    add("waiting", "\"text\"")->is_sync = true;
}

/* Counts what there is, and takes it down: the worker ends with its store. */
static void empty(void)
{
    struct store *store = &endpoint.store;
    size_t count[STORE_STATES] = { 0 };
    for (struct store_job *job = store->newest; job != NULL; job = job->older) {
        count[job->state]++;
        must(job->references == 1 && job->watchers == NULL);
    }
    must(count[STORE_IN_QUEUE] == store->queued && store->queued <= LIMIT_ENDPOINT_QUEUED);
    must(count[STORE_IN_PROGRESS] == store->running && store->watchers == NULL);
    store_purge(store);
    job_release(running_task);
    while (store->newest != NULL) {
        struct store_job *job = store->newest;
        store->newest = job->older;
        store->bytes -= job->bytes;
        store_job_free(job);
    }
    must(store->bytes == 0);
}

/* --- one connection --------------------------------------------------------------------------- */

/* Bodies are JSON but for the page, the metrics and the events. */
static void look(const struct http1_response *response, slice body)
{
    struct json_info info;
    slice type = { 0 };
    must(response->status < 500 || response->status == 503);
    for (size_t i = 0; i < response->field_count; i++)
        if (slice_is_nocase(response->fields[i].name, "Content-Type"))
            type = response->fields[i].value;
    if (slice_is(type, "application/json") && body.len > 0)
        must(json_check(body, &info, NULL) == 0);
}

/* Two routes that wait for time to pass, where there is no client any more that could end it. */
static bool waits(const uint8_t *data, size_t size)
{
    const char *at = memmem(data, size, "events", 6);
    return at != NULL && ((const uint8_t *)at + 8 > data + size || at[6] != '/' || at[7] == ' ' ||
                          at[7] == '?' || at[7] == '/');
}

/* The first byte chooses the settings, and how the rest of them comes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[OUTPUT_MAX];
    if (size < 1 || size > INPUT_MAX || waits(data, size))
        return 0;
    config = (struct config){ .worker_id = SLICE_LITERAL("a \"worker\""), .concurrency = 1 };
    config.api.key = data[0] & 1 ? SLICE_LITERAL("key") : (slice){ 0 };
    config.api.cors = data[0] & 2 ? SLICE_LITERAL("*") : (slice){ 0 };
    endpoint = (struct endpoint){ .config = &config };
    store_init(&endpoint.store);
    endpoint.call_count = LIMIT_ENDPOINT_WEBHOOKS; /* none is called */
    atomic_init(&endpoint.ready, true);
    fill();
    endpoint.route = (struct server_route){ "*", "/**", endpoint_handle };
    endpoint.setting = (struct server_setting){ .routes = &endpoint.route,
                                                .route_count = 1,
                                                .owner = &endpoint,
                                                .refuses = endpoint_refuses,
                                                .connections_max = 1,
                                                .body_max_bytes = LIMIT_ENDPOINT_RUNSYNC_BYTES };
    size_t step = data[0] % 4 < 2 ? size : (size_t)(data[0] / 4) * 16 + 40;
    size_t len = fuzz_serve(&endpoint.setting, false, data + 1, size - 1, step, out, sizeof out);
    fuzz_check_responses((slice){ out, len }, look);
    empty();
    return 0;
}
