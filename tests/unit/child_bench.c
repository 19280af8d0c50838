#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/limits.h"
#include "child/handler.h"
#include "child_bench.h"

static struct child_bench *current;

static void record(const char *what, slice json)
{
    size_t len = strlen(current->sent);
    snprintf(current->sent + len, sizeof current->sent - len, "%s %.*s;", what, SLICE_ARG(json));
}

static int record_progress(struct reply_channel *reply_channel, const struct job *job, slice json,
                           struct err *err)
{
    (void)reply_channel;
    (void)job;
    (void)err;
    record("progress", json);
    return 0;
}

static int record_part(struct reply_channel *reply_channel, struct job *job, slice json,
                       struct err *err)
{
    (void)reply_channel;
    (void)job;
    (void)err;
    record("stream", json);
    return 0;
}

static const struct source_ops recording_ops = { .progress = record_progress,
                                                 .stream = record_part };

/* The log's lines go into a pipe that nobody has to read in time. */
static void capture_log(struct child_bench *bench)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fflush(stdout);
    bench->stdout_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    bench->log_fd = ends[0];
    log_init(LOG_TRACE, false);
}

int child_bench_set_up(void **state)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD); /* as the worker does: the watching thread reads it */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct child_bench *bench = calloc(1, sizeof *bench);
    bench->setting = (struct child_setting){
        .mode = CHILD_LINES,
        .kill_grace_ms = 5000,
        .max_deaths = 3,
        .output_max_bytes = 100000,
    };
    bench->config = (struct config){ .result_max_bytes = 100000, .execution_timeout_ms = 1500 };
    bench->source.ops = &recording_ops;
    bench->reply_channel.source = &bench->source;
    rp_job_init(&bench->job, &bench->config, &bench->reply_channel);
    result_init(&bench->result, 100000);
    capture_log(bench);
    *state = current = bench;
    return 0;
}

static void end_job(struct child_bench *bench)
{
    if (bench->task == NULL)
        return;
    rp_job_end(&bench->job);
    job_release(bench->task);
    bench->task = NULL;
}

int child_bench_tear_down(void **state)
{
    struct child_bench *bench = *state;
    bench_close(bench);
    end_job(bench);
    rp_job_free(&bench->job);
    result_free(&bench->result);
    fflush(stdout);
    dup2(bench->stdout_fd, STDOUT_FILENO);
    close(bench->stdout_fd);
    close(bench->log_fd);
    free(bench);
    return 0;
}

void bench_command(struct child_bench *bench, const char *script)
{
    bench->argv[0] = "sh";
    bench->argv[1] = "-c";
    bench->argv[2] = (char *)(uintptr_t)script;
    bench->setting.command.argv = bench->argv;
    if (bench->setting.command.path == NULL)
        bench->setting.command.path = "/bin/sh";
}

int bench_open(struct child_bench *bench, const char *script, struct err *err)
{
    bench_command(bench, script);
    return child_ops.open(&bench->setting, &bench->child, err);
}

void bench_close(struct child_bench *bench)
{
    if (bench->child != NULL)
        child_ops.close(bench->child);
    bench->child = NULL;
}

struct job *bench_prepare(struct child_bench *bench, const char *input)
{
    struct delivery *delivery;
    struct err err;
    end_job(bench);
    assert_int_equal(delivery_new(&delivery, LIMIT_TAKE_BYTES, &err), 0);
    buf_add_text(&delivery->body, "{\"id\": \"j1\", \"input\": ", NULL);
    buf_add_text(&delivery->body, input, NULL);
    buf_add_text(&delivery->body, "}", NULL);
    assert_int_equal(delivery_read(delivery, NULL, &bench->task, &err), 0);
    delivery_release(delivery);
    return bench->task;
}

const char *bench_run_prepared(struct child_bench *bench)
{
    const struct handler handler = { .ops = &child_ops,
                                     .setting = &bench->setting,
                                     .opens_all = true };
    size_t len = 0;
    bench->result.count = 0;
    rp_job_run(&bench->job, bench->task, &handler, bench->child, &bench->result);
    for (size_t i = 0; i < bench->result.count; i++) {
        slice part = bench->result.pieces[i];
        assert_true(len + part.len < sizeof bench->body);
        memcpy(bench->body + len, part.ptr, part.len);
        len += part.len;
    }
    bench->body[len] = '\0';
    end_job(bench);
    return bench->body;
}

const char *bench_run(struct child_bench *bench, const char *input)
{
    bench_prepare(bench, input);
    return bench_run_prepared(bench);
}

static void read_log(struct child_bench *bench)
{
    for (;;) {
        /* The oldest half goes where a program has much to say. */
        if (bench->log_len > sizeof bench->log / 2) {
            bench->log_len -= sizeof bench->log / 4;
            memmove(bench->log, bench->log + sizeof bench->log / 4, bench->log_len);
        }
        ssize_t count = read(bench->log_fd, bench->log + bench->log_len,
                             sizeof bench->log - 1 - bench->log_len);
        if (count <= 0)
            break;
        bench->log_len += (size_t)count;
        bench->log[bench->log_len] = '\0';
    }
}

int bench_count_log(struct child_bench *bench, const char *text)
{
    int count = 0;
    read_log(bench);
    for (const char *at = bench->log; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

void bench_wait_log(struct child_bench *bench, const char *text, int count)
{
    deadline_ms deadline = clock_deadline(PATIENCE_MS);
    while (bench_count_log(bench, text) < count) {
        struct pollfd entry = { .fd = bench->log_fd, .events = POLLIN };
        int left_ms = clock_left_ms(deadline);
        if (left_ms == 0)
            fail_msg("not %d times \"%s\" in the log:\n%s", count, text, bench->log);
        poll(&entry, 1, left_ms);
    }
}

void assert_holds(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no \"%s\" in: %s", part, text);
}
