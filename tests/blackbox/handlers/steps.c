/*
 * A handler that takes the steps its input lists, one after the other:
 *   {"steps": [{"yield": 1}, {"gate": "/tmp/pipe"}, {"return": "done"}]}
 * It says "at step N" before each, so that a test knows where it is.
 *
 * $STEPS_CONCURRENCY names a file with a number: what the worker's modify_concurrency answers.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

static int yield(rp_job *job, rp_value value)
{
    rp_str json = rp_json(value);
    return rp_yield(job, "%J", &json);
}

/* {"parts": N, "bytes": B}: N parts {"n": 1, "pad": "..."} with B bytes of padding each. */
static int yield_many(rp_job *job, rp_value how)
{
    int64_t parts = 0, bytes = 0;
    rp_get_int(how, "parts", &parts);
    rp_get_int(how, "bytes", &bytes);
    char *pad = rp_alloc(job, (size_t)bytes + 1);
    if (pad == NULL)
        return rp_fail(job, "no memory for %lld bytes", (long long)bytes);
    memset(pad, 'x', (size_t)bytes);
    pad[bytes] = '\0';
    for (int64_t n = 1; n <= parts; n++) {
        if (rp_yield(job, "{\"n\": %lld, \"pad\": %Q}", (long long)n, pad) != RP_OK)
            return RP_FAILED;
        rp_log(job, RP_INFO, "yielded %lld", (long long)n);
    }
    return RP_OK;
}

static int progress(rp_job *job, rp_value value)
{
    rp_str json = rp_json(value);
    rp_progress(job, "%J", &json);
    return RP_OK;
}

/* N: updates {"job": "id", "n": 1} to N. */
static int progress_many(rp_job *job, rp_value count)
{
    int64_t updates = 0;
    rp_str id = rp_job_id(job);
    rp_to_int(count, &updates);
    for (int64_t n = 1; n <= updates; n++)
        rp_progress(job, "{\"job\": %S, \"n\": %lld}", &id, (long long)n);
    return RP_OK;
}

/* Not JSON, as an author's slip would have it. */
static int bad_yield(rp_job *job, rp_value value)
{
    (void)value;
    return rp_yield(job, "{\"half\": ");
}

static int bad_progress(rp_job *job, rp_value value)
{
    (void)value;
    rp_log(job, RP_INFO, "bad progress: %s", rp_progress(job, "{") == RP_WRONG ? "RP_WRONG" : "?");
    return RP_OK;
}

/* Waits until the test has opened the other end of this pipe and closed it: the next gate on the
 * same pipe must not be passed by the same opening. */
static int gate(rp_job *job, rp_value path)
{
    char name[4096];
    rp_str text = { "", 0 };
    rp_to_str(path, &text);
    snprintf(name, sizeof name, "%.*s", (int)text.len, text.ptr);
    int fd = open(name, O_RDONLY);
    if (fd < 0)
        return rp_fail(job, "cannot open %s", name);
    char byte;
    while (read(fd, &byte, 1) > 0) {}
    close(fd);
    return RP_OK;
}

/* Waits until the job is stopped, for so many ms at most, and tells. */
static int await_stop(rp_job *job, rp_value ms)
{
    int64_t timeout_ms = 0;
    rp_to_int(ms, &timeout_ms);
    bool stopped = rp_job_wait(job, (uint32_t)timeout_ms);
    rp_log(job, RP_INFO, "stopped=%d", stopped);
    return RP_OK;
}

static int fail(rp_job *job, rp_value text)
{
    rp_str message = { "", 0 };
    rp_to_str(text, &message);
    return rp_fail(job, "%.*s", (int)message.len, message.ptr);
}

static int with_name(rp_job *job, rp_value value, void (*call)(rp_job *job, const char *name))
{
    char name[200];
    rp_str text = { "", 0 };
    rp_to_str(value, &text);
    snprintf(name, sizeof name, "%.*s", (int)text.len, text.ptr);
    call(job, name);
    return RP_OK;
}

static int begin(rp_job *job, rp_value name)
{
    return with_name(job, name, rp_checkpoint_start);
}

static int end(rp_job *job, rp_value name)
{
    return with_name(job, name, rp_checkpoint_stop);
}

/* "segv", "abort" or "overflow": the end of the process. */
static volatile int depth;

static int overflow(volatile char *before) // NOLINT(misc-no-recursion): that is its point
{
    volatile char room[4096];
    room[0] = before != NULL ? before[0] : 1;
    return ++depth < 1000000 ? overflow(room) + room[0] : room[0];
}

static int crash(rp_job *job, rp_value how)
{
    rp_str text = { "", 0 };
    (void)job;
    rp_to_str(how, &text);
    if (text.len > 0 && text.ptr[0] == 'a')
        abort();
    if (text.len > 0 && text.ptr[0] == 'o')
        return overflow(NULL);
    *(volatile int *)(uintptr_t)0x1234 = 1;
    return RP_OK;
}

static int refresh(rp_job *job, rp_value value)
{
    (void)value;
    rp_refresh_worker(job);
    return RP_OK;
}

static const struct {
    const char *name;
    int (*take)(rp_job *job, rp_value value);
} kinds[] = {
    { "yield", yield },
    { "yields", yield_many },
    { "bad_yield", bad_yield },
    { "progress", progress },
    { "progresses", progress_many },
    { "bad_progress", bad_progress },
    { "crash", crash },
    { "gate", gate },
    { "await_stop", await_stop },
    { "return", rp_return_value },
    { "fail", fail },
    { "refresh", refresh },
    { "begin", begin },
    { "end", end },
};

static int take_step(rp_job *job, rp_value step)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        rp_value value = rp_get(step, kinds[i].name);
        if (rp_type_of(value) != RP_NONE)
            return kinds[i].take(job, value);
    }
    rp_str json = rp_json(step);
    return rp_fail(job, "no such step: %.*s", (int)json.len, json.ptr);
}

static int take_steps(rp_job *job, void *user)
{
    int number = 0, rc = RP_OK;
    (void)user;
    for (rp_iter it = rp_each(rp_get(rp_input(job), "steps")); rc == RP_OK && rp_next(&it);) {
        rp_log(job, RP_INFO, "at step %d", ++number);
        rc = take_step(job, it.value);
    }
    rp_log(job, RP_INFO, "steps end with %d", rc);
    return rc;
}

static int read_concurrency(int concurrency, void *user)
{
    const char *name = user;
    FILE *file = fopen(name, "re");
    int answer = concurrency;
    if (file == NULL)
        return concurrency;
    if (fscanf(file, "%d", &answer) != 1)
        answer = concurrency;
    fclose(file);
    return answer;
}

int main(int argc, char **argv)
{
    char *file = getenv("STEPS_CONCURRENCY");
    rp_config config = { .handler = take_steps,
                         .user = file,
                         .modify_concurrency = file != NULL ? read_concurrency : NULL,
                         RP_ALL_PARTS };
    return rp_start(argc, argv, &config);
}
