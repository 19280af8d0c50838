/* child/lines, with what is below it: a job a line, by real processes of /bin/sh. */
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

#include "base/limits.h"
#include "child/exchange.h"
#include "child/idle.h"
#include "child_bench.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Does this for every job. */
#define EACH_JOB(script) "while read -r job; do " script "; done"

static const struct talk {
    const char *script;
    const char *body; /* what the body holds */
    const char *sent; /* all of it; NULL: nothing */
    const char *log;  /* NULL, or a line of it */
} talks[] = {
    { "echo '{\"output\": [1, 2]}'", "{\"output\": [1, 2]}", NULL, NULL },
    { "echo '{\"output\": null}'", "{\"output\": null}", NULL, NULL },
    { "printf '%s\\n' \"{\\\"output\\\": $job}\"", "\"id\": \"j1\", \"input\": {}", NULL, NULL },
    { "echo '{\"id\": \"j1\", \"output\": 1}'", "{\"output\": 1}", NULL, NULL },
    { "echo '{\"id\": \"\\u006a1\", \"output\": 1}'", "{\"output\": 1}", NULL, NULL },
    { "echo '{\"id\": \"j2\", \"output\": 1}'; echo '{\"output\": 2}'", "{\"output\": 2}", NULL,
      "Ignored a message from the handler's program for another job: {\"id\": \"j2\"" },
    { "echo plain; echo; echo '{\"no\": 1}'; echo '[1]'; echo '{\"output\": 1}'", "{\"output\": 1}",
      NULL, "INFO   | j1 | {\"no\": 1}" },
    { "echo '{broken'; echo '{\"output\": 1}'", "{\"output\": 1}", NULL, "INFO   | j1 | {broken" },
    { "echo one >&2; printf two >&2; echo '{\"output\": 1}'", "{\"output\": 1}", NULL,
      "INFO   | j1 | one" },
    { "echo '{\"log\": \"l\\u0041\", \"level\": \"ERROR\"}'; echo '{\"output\": 1}'",
      "{\"output\": 1}", NULL, "ERROR  | j1 | lA" },
    { "echo '{\"log\": \"w\", \"level\": \"warning\", \"output\": 1}'", "{\"output\": 1}", NULL,
      "WARN   | j1 | w" },
    { "echo '{\"log\": \"n\", \"level\": \"NOTSET\", \"output\": 1}'", "{\"output\": 1}", NULL,
      "INFO   | j1 | n" },
    { "echo '{\"log\": \"t\", \"level\": \"trace\", \"output\": 1}'", "{\"output\": 1}", NULL,
      "TRACE  | j1 | t" },
    { "echo '{\"output\": 1}{\"log\": 2} rest'", "{\"output\": 1}", NULL,
      "INFO   | j1 | {\"log\": 2} rest\n" },
    { "echo '{\"log\": [1], \"level\": 7, \"output\": 1}'", "{\"output\": 1}", NULL,
      "INFO   | j1 | [1]" },
    { "echo '{\"stream\": 1}'; echo '{\"progress\": {\"at\": 2}}'; echo '{\"output\": null}'",
      "{\"output\": []}", "stream 1;progress {\"at\": 2};", NULL },
    { "echo '{\"stream\": {\"error\": \"no luck\"}}'; echo '{\"stream\": 2}'; "
      "echo '{\"output\": 3}'",
      "{\"error\": \"no luck\"}", NULL, "A stream part was not sent: " },
    { "echo '{\"output\": 1, \"refresh_worker\": true}'", "\"stopPod\": true", NULL, NULL },
    { "echo '{\"refresh_worker\": false, \"output\": {\"a\": 1}}'", "{\"output\": {\"a\": 1}}",
      NULL, NULL },
    { "echo '{\"error\": \"bad\", \"error_type\": \"Luck\", \"traceback\": \"line 7\"}'",
      "\\\"error_type\\\": \\\"Luck\\\"", NULL, "Luck: bad" },
    { "echo '{\"error\": {\"code\": 7}}'", "{\\\\\\\"code\\\\\\\": 7}", NULL,
      "HandlerError: {\"code\": 7}" },
    { "echo '{\"error\": \"plain\", \"error_type\": null}'", "{\"error\": \"plain\"}", NULL, NULL },
    { "echo '{\"error\": null, \"output\": 1}'", "{\"output\": 1}", NULL, NULL },
    { "echo '{\"output\": NaN}'", "The handler's output is not valid JSON", NULL, NULL },
    { "echo '{\"id\": \"j1\", \"output\": NaN}'", "The handler's output is not valid JSON", NULL,
      NULL },
    { "printf 'loading... '; echo '{\"output\": 1}'", "{\"output\": 1}", NULL,
      "INFO   | j1 | loading...\n" },
    { "printf '{\"progress\": 1}{\"output\": 2}\\n'", "{\"output\": 2}", "progress 1;", NULL },
    { "printf '{\"output\": \"caf\\351\"}\\n'", "{\"output\": \"caf\xef\xbf\xbd\"}", NULL,
      "WARN   | j1 | A line of the handler's program is not valid UTF-8" },
    { "printf '{\"log\": \"a\\351\"}\\n{\"output\": \"b\\351\"}\\n'",
      "{\"output\": \"b\xef\xbf\xbd\"}", NULL, "INFO   | j1 | a\xef\xbf\xbd\n" },
    { "printf '{\"output\": \"\\377\\330\\377\\340\\020\\377\"}\\n'",
      "The handler's output is binary, but a job's output is JSON or UTF-8 text", NULL, NULL },
    { "echo '{\"error\": \"'", "The handler's output is not valid JSON", NULL, NULL },
    { "printf '{\"output\": 5}'; exit", "{\"output\": 5}", NULL, NULL },
    { "echo the reason >&2; exit 3",
      "exited with status 3 before it returned a result.\\\\nThe last lines on its standard "
      "error:\\\\nthe reason",
      NULL, "HandlerCrashed" },
    { "kill -SEGV $$", "was killed by signal 11 (SIGSEGV) before it returned a result.", NULL,
      NULL },
    { "kill -34 $$", "was killed by signal 34 before it returned a result.", NULL, NULL },
    { "exec >&-; exec sleep 100", "closed its standard output before it returned a result.", NULL,
      NULL },
    { "head -c 300000 /dev/zero | tr '\\0' x; exec sleep 100", "wrote too much (", NULL, NULL },
};

static void what_a_child_says_means_what_the_manual_says(void **state)
{
    struct child_bench *bench = *state;
    for (size_t i = 0; i < COUNT(talks); i++) {
        char script[1024];
        struct err err;
        snprintf(script, sizeof script, EACH_JOB("%s"), talks[i].script);
        bench->sent[0] = '\0';
        assert_int_equal(bench_open(bench, script, &err), 0);
        assert_holds(bench_run(bench, "{}"), talks[i].body);
        assert_string_equal(bench->sent, talks[i].sent != NULL ? talks[i].sent : "");
        bench_close(bench);
        if (talks[i].log != NULL && bench_count_log(bench, talks[i].log) != 1)
            fail_msg("not once \"%s\" in the log:\n%s", talks[i].log, bench->log);
        bench->log_len = 0;
        bench->log[0] = '\0';
    }
}

static void line_breaks_of_the_job_become_blanks(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    assert_int_equal(bench_open(bench, EACH_JOB("printf '%s\\n' \"{\\\"output\\\": $job}\""), &err),
                     0);
    assert_holds(bench_run(bench, "[1,\r\n2,\n3]"), "\"input\": [1,  2, 3]");
    assert_holds(bench_run(bench, "4"), "\"input\": 4");
}

/* Its newest whole lines, at most ten, within LIMIT_CHILD_TAIL_BYTES. */
static void the_tail_of_its_log_is_in_the_error(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    const char *script = EACH_JOB(
        "i=100; while [ $i -lt 150 ]; do echo line $i >&2; i=$((i+1)); done; exit 1");
    assert_int_equal(bench_open(bench, script, &err), 0);
    const char *body = bench_run(bench, "1");
    assert_holds(body, "standard error:\\\\nline 140\\\\nline 141");
    assert_holds(body, "line 149");
    bench_close(bench);
    assert_int_equal(
        bench_open(bench,
                   EACH_JOB("echo first >&2; head -c 1500 /dev/zero | tr '\\0' y >&2; "
                            "echo >&2; head -c 5000 /dev/zero | tr '\\0' z >&2; exit 1"),
                   &err),
        0);
    body = bench_run(bench, "1");
    assert_holds(body, "error:\\\\nzzzz");
    assert_null(strstr(body, "first"));
    assert_null(strstr(body, "yy"));
    bench_close(bench);
    assert_int_equal(bench_open(bench, EACH_JOB("exit 1"), &err), 0);
    assert_null(strstr(bench_run(bench, "1"), "standard error"));
}

static void messages_after_the_result_are_ignored(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    assert_int_equal(
        bench_open(bench, EACH_JOB("printf '{\"output\": 1}\\n{\"output\": 2}\\n'"), &err), 0);
    assert_string_equal(bench_run(bench, "1"), "{\"output\": 1}");
    bench_wait_log(bench, "outside a job: {\"output\": 2}", 1);
    assert_string_equal(bench_run(bench, "1"), "{\"output\": 1}");
}

static int child_pid(const struct child_bench *bench)
{
    const struct child *child = bench->child;
    return child->process.pid;
}

/* The next job finds an empty pipe; a child that never empties it is replaced. */
static void a_result_before_the_job_is_read(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    static char input[1 << 21];
    memset(input, 'x', sizeof input - 1);
    input[0] = input[sizeof input - 2] = '"';
    bench->setting.kill_grace_ms = 20000;
#define EARLY "dd bs=1 count=10 2>/dev/null >/dev/null; echo '{\"output\": \"early\"}'; "
    assert_int_equal(
        bench_open(bench, EARLY EACH_JOB("printf '{\"output\": %s}\\n' ${#job}"), &err), 0);
    assert_string_equal(bench_run(bench, input), "{\"output\": \"early\"}");
    bench_wait_log(bench, "Ignored a message from the handler's program outside a job", 1);
    assert_string_equal(bench_run(bench, "1"), "{\"output\": 24}");
    bench_close(bench);
    /* One that then has nothing to say is neither waited for nor ended. */
    input[200000] = '"';
    input[200001] = '\0';
    assert_int_equal(
        bench_open(bench, EARLY "read -r rest; " EACH_JOB("echo '{\"output\": 1}'"), &err), 0);
    int first = child_pid(bench);
    assert_string_equal(bench_run(bench, input), "{\"output\": \"early\"}");
    assert_int_equal(child_pid(bench), first);
    bench_close(bench);
    bench->setting.kill_grace_ms = 100;
    assert_int_equal(bench_open(bench, EARLY "exec sleep 100", &err), 0);
    assert_string_equal(bench_run(bench, input), "{\"output\": \"early\"}");
    assert_string_equal(bench_run(bench, input), "{\"output\": \"early\"}");
}

static void a_child_that_never_reads_its_job_fails_it(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    bench->setting.ready = true;
    assert_int_equal(bench_open(bench,
                                "echo '{\"ready\": true}'; while [ ! -e /proc/$$/stop ]; do "
                                "sleep 0.05; exec <&-; exec sleep 100; done",
                                &err),
                     0);
    assert_holds(bench_run(bench, "1"), "closed its standard input without reading the job");
}

static void one_that_has_read_it_may_close_its_input(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    assert_int_equal(bench_open(bench,
                                "read -r job; exec <&-; sleep 0.05; echo \"{\\\"output\\\": $$}\"; "
                                "exec sleep 100",
                                &err),
                     0);
    char first[64];
    snprintf(first, sizeof first, "%s", bench_run(bench, "1"));
    assert_holds(first, "output");
    assert_string_not_equal(bench_run(bench, "1"), first);
}

/* --- a job without an answer -------------------------------------------------------------- */

static void add_output(struct child *child, const char *text)
{
    size_t room;
    struct err err;
    assert_int_equal(lines_room(&child->out, &room, &err), 0);
    assert_true(room >= strlen(text));
    memcpy(child->out.buf.ptr + child->out.buf.len, text, strlen(text));
    lines_filled(&child->out, strlen(text));
}

/* A hint is for one that has never ended a job, or says something else instead: once. */
static void what_ends_a_job_is_hinted_at(void **state)
{
    static const struct {
        bool knows, has_text;
        const char *pending;
        const char *hint; /* how the line ends; NULL: there is none */
    } cases[] = {
        { false, false, "", "with a line feed, and flushed.\n" },
        { true, false, "", NULL },
        { true, true, "", "with a line feed, and flushed.\n" },
        { true, false, "{\"output\": 1}", "So far its last line has no line feed.\n" },
    };
    struct child_bench *bench = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct child child;
        struct exchange exchange;
        child_init(&child, &bench->setting, LIMIT_CHILD_ENVELOPE_BYTES, "a line");
        child.knows = cases[i].knows;
        add_output(&child, cases[i].pending);
        bench->log_len = 0;
        bench->log[0] = '\0';
        for (int k = 0; k < 2; k++) {
            exchange_init(&exchange, &child, NULL);
            exchange.has_text = cases[i].has_text;
            exchange_hint(&exchange);
            assert_true(exchange.hint_at == DEADLINE_NEVER);
            exchange_free(&exchange);
        }
        assert_int_equal(bench_count_log(bench, "WARN   | No answer for 10 s."),
                         cases[i].hint != NULL);
        assert_holds(bench->log, cases[i].hint != NULL ? cases[i].hint : "");
        child_free(&child);
    }
}

/* --- a job that is to end ----------------------------------------------------------------- */

#define READY "echo '{\"ready\": true}'; "

static void a_child_that_ends_a_stopped_job_lives_on(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    bench->setting.ready = true;
    assert_int_equal(bench_open(bench,
                                "trap 'echo \"{\\\"output\\\": 1}\"' TERM; " READY
                                "while :; do read -r job && [ \"${job#*quick}\" != \"$job\" ] && "
                                "printf '{\"output\": %s}\\n' $$; done",
                                &err),
                     0);
    bench_prepare(bench, "1");
    job_stop(bench->task, JOB_TIMED_OUT);
    assert_holds(bench_run_prepared(bench), "longer than the execution timeout of 1.5 s");
    char first[64];
    snprintf(first, sizeof first, "%s", bench_run(bench, "\"quick\""));
    bench_prepare(bench, "1");
    job_stop(bench->task, JOB_STOPPED);
    bench_run_prepared(bench);
    assert_string_equal(bench_run(bench, "\"quick\""), first);
}

static void a_child_that_does_not_is_killed(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    bench->setting.ready = true;
    bench->setting.kill_grace_ms = 50;
    assert_int_equal(
        bench_open(bench, "trap '' TERM; " READY "read -r job; while :; do sleep 100; done", &err),
        0);
    bench_prepare(bench, "1");
    job_stop(bench->task, JOB_TIMED_OUT);
    assert_holds(bench_run_prepared(bench), "TimeoutError");
    /* The job is stopped while its child gets ready. */
    for (int i = 0; i < 2; i++) {
        bench_prepare(bench, "1");
        job_stop(bench->task, JOB_STOPPED);
        bench_run_prepared(bench);
    }
    assert_false(bench->job.handler_lost);
}

/* --- getting ready ------------------------------------------------------------------------ */

static const struct start {
    const char *script;
    const char *error;
} starts[] = {
    { "exit 4", "exited with status 4 before it was ready" },
    { "exec sleep 100",
      "was not ready within 0.2 s (RUNPOD_INIT_TIMEOUT or --handler-ready-timeout" },
    { "echo '{\"ready\": false}'; exec sleep 100", "was not ready within 0.2 s" },
    { "head -c 300000 /dev/zero | tr '\\0' x; exec sleep 100", "wrote a line over the limit" },
    { "exec >&-; exec sleep 100", "closed its standard output before it was ready" },
};

static void a_child_that_does_not_get_ready(void **state)
{
    struct child_bench *bench = *state;
    bench->setting.ready = true;
    bench->setting.max_deaths = 1;
    bench->setting.ready_timeout_ms = 200;
    for (size_t i = 0; i < COUNT(starts); i++) {
        struct err err = { 0 };
        if (strstr(starts[i].script, ">&-") != NULL || strstr(starts[i].script, "head") != NULL ||
            strstr(starts[i].script, "exit") != NULL)
            bench->setting.ready_timeout_ms = 20000;
        else
            bench->setting.ready_timeout_ms = 200;
        assert_int_equal(bench_open(bench, starts[i].script, &err), ERR_CONFIG);
        if (bench->setting.ready_timeout_ms > 200)
            assert_holds(err.text, "the only start that --handler-deaths allows has failed");
        assert_holds(err.text, starts[i].error);
        assert_null(bench->child);
    }
}

/* Ten seconds go by: the test moves the time of the next line instead of waiting for it. */
static void step_after_ten_seconds(struct child *child)
{
    struct err err;
    child->next_note = clock_now_ms();
    assert_int_equal(child_make_ready(child, clock_now_ms(), &err), ERR_TIMEOUT);
}

static void the_log_says_what_a_start_waits_for(void **state)
{
    struct child_bench *bench = *state;
    static struct child child; /* a test that fails leaves its process behind */
    struct err err;
    char script[256], name[] = "/tmp/child_lines.XXXXXX";
    close(mkstemp(name));
    snprintf(script, sizeof script, "while [ -e %s ]; do sleep 0.02; done; " READY "exec cat",
             name);
    bench_command(bench, script);
    bench->setting.ready = true;
    child_init(&child, &bench->setting, LIMIT_CHILD_ENVELOPE_BYTES, "a line");
    for (int i = 0; i < 2; i++)
        assert_int_equal(child_make_ready(&child, clock_now_ms(), &err), ERR_TIMEOUT);
    assert_int_equal(bench_count_log(bench, "so far"), 0);
    step_after_ten_seconds(&child);
    assert_int_equal(bench_count_log(bench, "to print {\"ready\": true} (10 s so far)."), 1);
    assert_int_equal(child_make_ready(&child, clock_now_ms(), &err), ERR_TIMEOUT);
    step_after_ten_seconds(&child);
    assert_int_equal(bench_count_log(bench, "(20 s so far)."), 1);
    assert_int_equal(bench_count_log(bench, "so far"), 2);
    unlink(name);
    assert_int_equal(child_make_ready(&child, clock_deadline(PATIENCE_MS), &err), 0);
    assert_int_equal(child.next_note, 0);
    assert_int_equal(child.notes, 0);
    child_end(&child);
    child_free(&child);
}

static void deaths_before_it_is_ready_are_logged(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    char script[256], name[] = "/tmp/child_lines.XXXXXX";
    close(mkstemp(name));
    bench->setting.ready = true;
    snprintf(
        script, sizeof script,
        "echo x >>%s; [ $(wc -l <%s) -gt 2 ] || exit 6; " READY EACH_JOB("echo '{\"output\": 1}'"),
        name, name);
    assert_int_equal(bench_open(bench, script, &err), 0);
    bench_wait_log(bench, "WARN   | The handler's program exited with status 6 before it was ready",
                   2);
    assert_string_equal(bench_run(bench, "1"), "{\"output\": 1}");
    unlink(name);
}

static void too_many_deaths_lose_the_handler(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    assert_int_equal(bench_open(bench, "read -r job; exit 7", &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_false(bench->job.handler_lost);
        assert_holds(bench_run(bench, "1"), "exited with status 7");
    }
    assert_true(bench->job.handler_lost);
    bench_wait_log(bench, "has died 3 times in a row (--handler-deaths)", 1);
}

static void a_program_that_cannot_be_started_counts_as_dead(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    assert_int_equal(bench_open(bench, "read -r job; exit 7", &err), 0);
    bench->setting.command.path = "/nowhere/to/be";
    assert_holds(bench_run(bench, "1"), "exited with status 7");
    assert_holds(bench_run(bench, "1"), "cannot run /nowhere/to/be");
    assert_holds(bench_run(bench, "1"), "cannot run /nowhere/to/be");
    assert_true(bench->job.handler_lost);
    bench_close(bench);
    assert_int_equal(bench_open(bench, "", &err), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHILD_TEST(what_a_child_says_means_what_the_manual_says),
        CHILD_TEST(line_breaks_of_the_job_become_blanks),
        CHILD_TEST(the_tail_of_its_log_is_in_the_error),
        CHILD_TEST(messages_after_the_result_are_ignored),
        CHILD_TEST(a_result_before_the_job_is_read),
        CHILD_TEST(a_child_that_never_reads_its_job_fails_it),
        CHILD_TEST(one_that_has_read_it_may_close_its_input),
        CHILD_TEST(what_ends_a_job_is_hinted_at),
        CHILD_TEST(a_child_that_ends_a_stopped_job_lives_on),
        CHILD_TEST(a_child_that_does_not_is_killed),
        CHILD_TEST(a_child_that_does_not_get_ready),
        CHILD_TEST(the_log_says_what_a_start_waits_for),
        CHILD_TEST(deaths_before_it_is_ready_are_logged),
        CHILD_TEST(too_many_deaths_lose_the_handler),
        CHILD_TEST(a_program_that_cannot_be_started_counts_as_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
