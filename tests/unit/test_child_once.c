/* child/once: a process for each job, by real processes of /bin/sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "child_bench.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int set_up(void **state)
{
    child_bench_set_up(state);
    struct child_bench *bench = *state;
    bench->setting.mode = CHILD_ONCE;
    return 0;
}

#define ONCE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, child_bench_tear_down)

static const struct run {
    const char *script;
    const char *body; /* what it holds */
} runs[] = {
    { "cat", "{\"output\": {\"id\": \"j1\", \"input\": {}}}" },
    { "printf '[1, 2]\\n\\n'", "{\"output\": [1, 2]}" },
    { "echo two words", "{\"output\": \"two words\"}" },
    { "printf 'two\\r\\nlines\\r\\n\\n'", "{\"output\": \"two\\r\\nlines\"}" },
    { "printf '\\377'", "{\"output\": \"\xef\xbf\xbd\"}" },
    { ":", "{\"output\": \"\"}" },
    { "echo ignored; echo first >&2; printf last >&2; exit 9",
      "The handler's program exited with status 9.\\\\nThe last lines on its standard "
      "error:\\\\nfirst\\\\nlast" },
    { "kill -SEGV $$", "The handler's program was killed by signal 11 (SIGSEGV)." },
    { "head -c 300000 /dev/zero | tr '\\0' x; exec sleep 100",
      "The handler's program wrote too much: " },
    { "exec >&-; exit 2", "exited with status 2" },
};

static void what_a_process_prints_is_the_output(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    for (size_t i = 0; i < COUNT(runs); i++) {
        assert_int_equal(bench_open(bench, runs[i].script, &err), 0);
        assert_holds(bench_run(bench, "{}"), runs[i].body);
        assert_holds(bench_run(bench, "{}"), runs[i].body);
        bench_close(bench);
    }
}

static void a_long_text_is_escaped_within_the_limit(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    /* 99,990 control characters become six bytes each, which is over the result's limit. */
    assert_int_equal(bench_open(bench, "head -c 99990 /dev/zero | tr '\\0' '\\1'", &err), 0);
    assert_holds(bench_run(bench, "{}"), "ResultError");
}

static void its_end_can_be_asked_for_and_made(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    bench->setting.kill_grace_ms = 50;
    assert_int_equal(bench_open(bench, "trap '' TERM; while :; do sleep 100; done", &err), 0);
    bench_prepare(bench, "1");
    job_stop(bench->task, JOB_TIMED_OUT);
    assert_holds(bench_run_prepared(bench), "longer than the execution timeout of 1.5 s");
    for (int i = 0; i < 4; i++) { /* that is the worker's doing, not a death */
        bench_prepare(bench, "1");
        job_stop(bench->task, JOB_STOPPED);
        bench_run_prepared(bench);
        assert_false(bench->job.handler_lost);
    }
}

static void failing_is_no_death_but_crashing_is(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    assert_int_equal(bench_open(bench,
                                "read -r job; [ \"${job#*crash}\" = \"$job\" ] || kill -9 $$; "
                                "exit 1",
                                &err),
                     0);
    for (int i = 0; i < 4; i++)
        assert_holds(bench_run(bench, "1"), "HandlerError");
    assert_holds(bench_run(bench, "\"crash\""), "HandlerCrashed");
    assert_holds(bench_run(bench, "\"crash\""), "SIGKILL, possibly out of memory");
    assert_holds(bench_run(bench, "1"), "HandlerError");
    for (int i = 0; i < 3; i++) {
        assert_false(bench->job.handler_lost);
        bench_run(bench, "\"crash\"");
    }
    assert_true(bench->job.handler_lost);
}

static void one_that_cannot_be_started_is_a_crash(void **state)
{
    struct child_bench *bench = *state;
    struct err err;
    bench->setting.command.path = "/nowhere/to/be";
    assert_int_equal(bench_open(bench, "", &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_false(bench->job.handler_lost);
        assert_holds(bench_run(bench, "1"), "cannot run /nowhere/to/be");
    }
    assert_true(bench->job.handler_lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONCE_TEST(what_a_process_prints_is_the_output),
        ONCE_TEST(a_long_text_is_escaped_within_the_limit),
        ONCE_TEST(its_end_can_be_asked_for_and_made),
        ONCE_TEST(failing_is_no_death_but_crashing_is),
        ONCE_TEST(one_that_cannot_be_started_is_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
