/*
 * A slot whose handler is a child: real jobs, real processes of /bin/sh, and a platform and a log
 * that are records. Used as a cmocka fixture; one at a time.
 */
#ifndef CHILD_BENCH_H
#define CHILD_BENCH_H

#include <stdbool.h>

#include "child/setting.h"
#include "job/rp_job.h"

#define PATIENCE_MS 20000 /* how long a test waits for what must come */

struct child_bench {
    struct child_setting setting; /* with a short grace period; for a test to change before open */
    struct config config;
    struct source source;
    struct reply_channel reply_channel;
    struct rp_job job;
    struct job *task; /* of the last bench_prepare */
    struct result result;
    char *argv[4];
    void *child;    /* NULL: not open */
    char sent[512]; /* "stream 1;progress 2;" */
    char body[8192];
    int stdout_fd; /* the real one */
    int log_fd;
    char log[1 << 18]; /* so far */
    size_t log_len;
};

int child_bench_set_up(void **state);
int child_bench_tear_down(void **state);

/* A test with this fixture. */
#define CHILD_TEST(function) \
    cmocka_unit_test_setup_teardown(function, child_bench_set_up, child_bench_tear_down)

/* The setting's program is this shell script, which is not copied. */
void bench_command(struct child_bench *bench, const char *script);

/* Opens a handler whose program is this shell script. 0, or the error of open with its text. */
int bench_open(struct child_bench *bench, const char *script, struct err *err);
void bench_close(struct child_bench *bench);

/* Reads a job with the id "j1" and this input, which bench_run_prepared runs. */
struct job *bench_prepare(struct child_bench *bench, const char *input);

/* Runs a job; returns the body that would be posted, valid until the next run. */
const char *bench_run_prepared(struct child_bench *bench);
const char *bench_run(struct child_bench *bench, const char *input);

/* Waits until the log has the text, `count` times; fails the test if it does not come. */
void bench_wait_log(struct child_bench *bench, const char *text, int count);

/* How often it is in the log by now. */
int bench_count_log(struct child_bench *bench, const char *text);

/* Fails the test unless `text` holds `part`. */
void assert_holds(const char *text, const char *part);

#endif
