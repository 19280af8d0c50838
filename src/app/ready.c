/* The line of the log that says what the start took, as one JSON object: for people and for jq. */
#include "app/worker_private.h"
#include "base/limits.h"
#include "codec/byte_class.h"
#include "json/json.h"

#define READY_BYTES 8192

/* --- what was loaded -------------------------------------------------------------------------- */

static void put_loaded_one(struct buf *out, const char *kind, slice name)
{
    buf_add_text(out, out->len > 0 && out->ptr[out->len - 1] == '}' ? ", " : "", NULL);
    json_add(out, NULL, "{\"kind\": %Q, \"name\": ", kind);
    json_put_lossy(out, name, NULL);
    buf_add_text(out, "}", NULL);
}

/* The program of a command line; its arguments are not told, since they may hold secrets. */
static slice first_word(const char *command)
{
    slice rest = slice_from(command), word = { 0 };
    byte_class_next_word(&rest, " \t\"'", &word);
    return word;
}

/* Scheme, host and port, or the socket: a query could hold a secret. */
static slice without_query(const char *url)
{
    slice text = slice_from(url);
    return (slice){ text.ptr, byte_class_until(text, "?") };
}

static void put_loaded(const struct worker *worker, struct buf *out)
{
    const struct config *config = worker->config;
    const char *command = config->handler.once != NULL ? config->handler.once
                                                       : config->handler.program;
    if (command != NULL)
        put_loaded_one(out, config->handler.once != NULL ? "program, one a job" : "program",
                       first_word(command));
    if (config->handler.http != NULL)
        put_loaded_one(out, "server", without_query(config->handler.http));
    if (command == NULL && config->handler.http == NULL)
        put_loaded_one(out, config->handler.isolate ? "isolated handler" : "linked handler",
                       worker->program->setup != NULL ? SLICE_LITERAL("setup")
                                                      : SLICE_LITERAL("no setup"));
}

/* --- what was waited for ---------------------------------------------------------------------- */

static void put_waited_one(struct buf *out, const char *what, int64_t ms)
{
    if (ms < 0)
        return; /* left out */
    buf_add_text(out, out->len > 0 && out->ptr[out->len - 1] == '}' ? ", " : "", NULL);
    buf_add_text(out, "{\"what\": ", NULL);
    json_put_lossy(out, slice_from(what), NULL);
    json_add(out, NULL, ", \"ms\": %lld}", (long long)ms);
}

/* What makes the handler ready. */
static const char *handler_wait(const struct worker *worker)
{
    const struct config *config = worker->config;
    if (config->handler.http != NULL)
        return config->handler.ready != NULL ? config->handler.ready : "/health";
    if (config->handler.once != NULL)
        return "nothing of the program";
    if (config->handler.program != NULL)
        return config->handler.ready != NULL ? "{\"ready\": true}" : "start of the program";
    return worker->program->setup != NULL ? "setup" : "start of the handler";
}

void worker_log_ready(const struct worker *worker, const struct start_times *times)
{
    struct buf line;
    int64_t now_ms = clock_now_ms() - worker->config->started_ms;
    buf_init(&line, READY_BYTES, "ready");
    json_add(&line, NULL, "{\"event\": \"ready\", \"init_ms\": %lld, \"first_take_ms\": %lld, ",
             (long long)times->init_ms, (long long)now_ms);
    buf_add_text(&line, "\"loaded\": [", NULL);
    put_loaded(worker, &line);
    buf_add_text(&line, "], \"waited_for\": [", NULL);
    put_waited_one(&line, "checks of the machine", times->machine_ms);
    put_waited_one(&line, "restore of the cache", times->restore_ms);
    put_waited_one(&line, handler_wait(worker), times->open_ms);
    put_waited_one(&line, "checks of the program", times->checks_ms);
    buf_add_text(&line, "]}", NULL);
    if (buf_error(&line, NULL) == 0)
        log_text(LOG_INFO, NULL, buf_slice(&line));
    buf_free(&line);
}
