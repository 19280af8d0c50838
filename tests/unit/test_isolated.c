/* linked: the handler that is linked in, and the child's end of --isolate, over pipes. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "linked/isolated_main.h"
#include "linked/isolated_source.h"
#include "linked/linked.h"

static struct pair {
    struct config config;
    struct source *source;
    struct reply_channel reply_channel;
    rp_job job;
    int to;      /* where jobs are written */
    int from;    /* where messages are read */
    int ends[2]; /* the source's */
    char text[1 << 20];
} pair;

static int set_up(void **state)
{
    int in[2], out[2];
    struct err err;
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    fcntl(out[1], F_SETPIPE_SZ, 1 << 20);
    log_init(LOG_NOTSET, false);
    pair = (struct pair){ .config = { .result_max_bytes = 300000 }, .to = in[1], .from = out[0] };
    pair.ends[0] = in[0];
    pair.ends[1] = out[1];
    assert_int_equal(isolated_source_new(&pair.source, in[0], out[1], &err), 0);
    assert_int_equal(source_open_channel(pair.source, &pair.reply_channel, &err), 0);
    rp_job_init(&pair.job, &pair.config, &pair.reply_channel);
    *state = &pair;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rp_job_free(&pair.job);
    isolated_source_free(pair.source);
    close(pair.ends[0]);
    close(pair.ends[1]);
    if (pair.to >= 0)
        close(pair.to);
    close(pair.from);
    return 0;
}

/* All messages so far. */
static const char *messages(void)
{
    ssize_t count = read(pair.from, pair.text, sizeof pair.text - 1);
    assert_true(count > 0);
    pair.text[count] = '\0';
    return pair.text;
}

static struct taken take(const char *lines)
{
    struct taken taken;
    size_t len = strlen(lines);
    assert_int_equal(write(pair.to, lines, len), len);
    pair.source->ops->take(pair.source, 1, false, &taken);
    return taken;
}

static void jobs_are_read_a_line_at_a_time(void **state)
{
    (void)state;
    struct taken taken = take("{\"id\": \"a\", \"input\": 1}\n{\"input\": 2}\n");
    assert_false(taken.ended);
    assert_true(slice_is(taken.jobs->id, "a") && slice_is(taken.jobs->input, "1"));
    assert_null(taken.jobs->next);
    job_release(taken.jobs);
    pair.source->ops->take(pair.source, 1, false, &taken);
    assert_true(slice_is(taken.jobs->id, "local_test") && slice_is(taken.jobs->input, "2"));
    job_release(taken.jobs);
    close(pair.to);
    pair.to = -1;
    pair.source->ops->take(pair.source, 1, false, &taken);
    assert_true(taken.ended && taken.jobs == NULL);
    assert_int_equal(pair.source->exit_status, 0);
}

static void an_unusable_job_ends_the_process(void **state)
{
    (void)state;
    struct taken taken = take("{\"id\": broken\n");
    assert_true(taken.ended);
    assert_int_equal(pair.source->exit_status, 1);
}

/* Runs a handler on a job as isolated_main does; returns the messages. */
static const char *run(rp_handler *handler)
{
    struct taken taken = take("{\"id\": \"a\", \"input\": 1}\n");
    const rp_config program = { .handler = handler };
    rp_job_begin(&pair.job, taken.jobs);
    int status = linked_call(&program, &pair.job);
    rp_job_finish_sending(&pair.job);
    isolated_source_send_result(&pair.reply_channel, &pair.job, status);
    rp_job_end(&pair.job);
    job_release(taken.jobs);
    return messages();
}

static int says_much(rp_job *job, void *user)
{
    (void)user;
    rp_progress(job, "{\"at\":\n1}");
    rp_yield(job, "[1,\n2]");
    rp_refresh_worker(job);
    return rp_return(job, "{\"a\":\n\"b\"}");
}

static int streams_all(rp_job *job, void *user)
{
    (void)user;
    rp_yield(job, "1");
    return RP_OK;
}

static int fails(rp_job *job, void *user)
{
    (void)user;
    return rp_fail(job, "no \"luck\"");
}

static int returns_a_number(rp_job *job, void *user)
{
    (void)job;
    (void)user;
    return 7;
}

static int returns_nothing(rp_job *job, void *user)
{
    (void)job;
    (void)user;
    return RP_OK;
}

static int returns_no_json(rp_job *job, void *user)
{
    (void)user;
    return rp_write(job, "{broken");
}

static int returns_lines(rp_job *job, size_t lines)
{
    rp_write(job, "[");
    for (size_t i = 0; i < lines; i++)
        rp_write(job, "1,\n");
    return rp_write(job, "2]");
}

static int returns_much(rp_job *job, void *user)
{
    (void)user;
    return returns_lines(job, 80000);
}

/* Output in the job's memory, which is looked at only afterwards. */
static int returns_its_input(rp_job *job, void *user)
{
    (void)user;
    pair.config.result_max_bytes = 0;
    return rp_return_value(job, rp_input(job));
}

static void a_message_is_a_line(void **state)
{
    (void)state;
    isolated_source_send_ready(&pair.reply_channel);
    assert_string_equal(messages(), "{\"ready\": true}\n");
    assert_string_equal(run(says_much), "{\"progress\": {\"at\": 1}}\n{\"stream\": [1, 2]}\n"
                                        "{\"output\": {\"a\": \"b\"}, \"refresh_worker\": true}\n");
    assert_string_equal(run(streams_all), "{\"stream\": 1}\n{\"output\": null}\n");
}

static void errors_are_messages_too(void **state)
{
    static const struct {
        rp_handler *handler;
        const char *type;
        const char *text;
    } cases[] = {
        { fails, "HandlerError", "no \\\"luck\\\"" },
        { returns_a_number, "HandlerError", "The handler returned 7." },
        { returns_nothing, "ResultError", "The handler ended without a result." },
        { returns_no_json, "ResultError", "The handler's output is not valid JSON" },
        { returns_its_input, "ResultError", "over the limit of 0 (RP_MAX_RESULT_MB)" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = run(cases[i].handler);
        assert_non_null(strstr(text, "{\"error\": \""));
        if (strstr(text, cases[i].type) == NULL || strstr(text, cases[i].text) == NULL)
            fail_msg("no %s with \"%s\" in %s", cases[i].type, cases[i].text, text);
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    }
}

static void a_large_output_stays_on_its_line(void **state)
{
    (void)state;
    const char *text = run(returns_much);
    size_t len = strlen(text);
    assert_int_equal(len, strlen("{\"output\": [") + 80000 * 3 + strlen("2]}\n"));
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

/* --- the handler's lock and setup ---------------------------------------------------------- */

static int setups;

static int set_up_once(void *user)
{
    setups++;
    return *(int *)user;
}

static void the_setup_runs_once_and_can_fail(void **state)
{
    int status = 0;
    rp_config program = { .handler = fails, .setup = set_up_once, .user = &status };
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool is_set_up = false;
    const struct linked_setting setting = { &program, &lock, &is_set_up };
    struct err err = { 0 };
    void *slot;
    (void)state;
    setups = 0;
    assert_int_equal(linked_ops.open(&setting, &slot, &err), 0);
    assert_int_equal(linked_ops.open(&setting, &slot, &err), 0);
    assert_int_equal(setups, 1);
    linked_ops.close(slot);
    is_set_up = false;
    status = 3;
    assert_int_equal(linked_ops.open(&setting, &slot, &err), ERR_CONFIG);
    assert_string_equal(err.text, "The handler's setup returned 3.");
}

/* --- the whole process -------------------------------------------------------------------- */

static int waits_for_its_stop(rp_job *job, void *user)
{
    (void)user;
    printf("printed\n");
    fflush(stdout);
    rp_progress(job, "\"runs\"");
    while (!rp_job_stopped(job))
        usleep(1000);
    return rp_return(job, "\"stopped\"");
}

struct process_test {
    pid_t pid;
    FILE *to;
    FILE *from;
};

/* A child that runs isolated_main_run over pipes. */
static struct process_test start_isolated(int (*setup)(void *), void *user)
{
    static struct config config = { .result_max_bytes = 1000, .log_level = LOG_NOTSET };
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const rp_config program = { .handler = waits_for_its_stop, .setup = setup, .user = user };
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[1]);
        int nothing = open("/dev/null", O_WRONLY);
        dup2(nothing, STDERR_FILENO);
        _exit(isolated_main_run(&config, &program));
    }
    close(in[0]);
    close(out[1]);
    return (struct process_test){ pid, fdopen(in[1], "w"), fdopen(out[0], "r") };
}

static void assert_line(struct process_test *test, const char *expected)
{
    char line[256];
    assert_non_null(fgets(line, sizeof line, test->from));
    assert_string_equal(line, expected);
}

static int status_of(struct process_test *test)
{
    int status;
    assert_int_equal(waitpid(test->pid, &status, 0), test->pid);
    fclose(test->to);
    fclose(test->from);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_process_of_its_own_runs_jobs_and_stops_them(void **state)
{
    struct process_test test = start_isolated(NULL, NULL);
    (void)state;
    assert_line(&test, "{\"ready\": true}\n");
    for (int i = 0; i < 2; i++) {
        fputs("{\"id\": \"a\", \"input\": 1}\n", test.to);
        fflush(test.to);
        assert_line(&test, "{\"progress\": \"runs\"}\n");
        kill(test.pid, SIGTERM);
        assert_line(&test, "{\"output\": \"stopped\"}\n");
    }
    kill(test.pid, SIGTERM); /* without a job: its end */
    char line[8];
    assert_null(fgets(line, sizeof line, test.from));
    assert_int_equal(status_of(&test), 0);
}

static void the_end_of_its_input_or_a_failed_setup_ends_it(void **state)
{
    int status = 5;
    (void)state;
    struct process_test test = start_isolated(set_up_once, &status);
    assert_int_equal(status_of(&test), 1);
    status = 0;
    test = start_isolated(set_up_once, &status);
    assert_line(&test, "{\"ready\": true}\n");
    fputs("broken\n", test.to);
    fflush(test.to);
    assert_int_equal(status_of(&test), 1);
}

static void it_is_told_by_a_variable_that_it_does_not_pass_on(void **state)
{
    (void)state;
    unsetenv(ISOLATED_VARIABLE);
    assert_false(isolated_main_wanted());
    setenv(ISOLATED_VARIABLE, "1", 1);
    assert_true(isolated_main_wanted());
    assert_null(getenv(ISOLATED_VARIABLE));
}

#define PAIR_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(jobs_are_read_a_line_at_a_time),
        PAIR_TEST(an_unusable_job_ends_the_process),
        PAIR_TEST(a_message_is_a_line),
        PAIR_TEST(errors_are_messages_too),
        PAIR_TEST(a_large_output_stays_on_its_line),
        cmocka_unit_test(the_setup_runs_once_and_can_fail),
        cmocka_unit_test(a_process_of_its_own_runs_jobs_and_stops_them),
        cmocka_unit_test(the_end_of_its_input_or_a_failed_setup_ends_it),
        cmocka_unit_test(it_is_told_by_a_variable_that_it_does_not_pass_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
