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
#include "gpu/part.h"
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

static void a_job_may_come_in_pieces_and_end_unfinished(void **state)
{
    struct taken taken;
    char *input = malloc(300001);
    (void)state;
    assert_non_null(input);
    memset(input, '1', 300000); /* more than a pipe holds by default, and than is read at once */
    input[300000] = '\0';
    fcntl(pair.to, F_SETPIPE_SZ, 1 << 20);
    dprintf(pair.to, "{\"id\": \"long\", \"input\": %s}\n{\"id\": \"b\", \"input\": 2}\n{\"id",
            input);
    pair.source->ops->take(pair.source, 1, false, &taken);
    assert_false(taken.ended);
    assert_true(slice_is(taken.jobs->id, "long") && slice_is(taken.jobs->input, input));
    job_release(taken.jobs);
    free(input);
    pair.source->ops->take(pair.source, 1, false, &taken);
    assert_true(slice_is(taken.jobs->id, "b") && slice_is(taken.jobs->input, "2"));
    job_release(taken.jobs);
    close(pair.to); /* in the middle of a job */
    pair.to = -1;
    pair.source->ops->take(pair.source, 1, false, &taken);
    assert_true(taken.ended && taken.jobs == NULL);
    assert_int_equal(pair.source->exit_status, 0);
}

/* Not asked for again and again. */
static void an_input_that_cannot_be_read_is_the_end(void **state)
{
    struct source *source;
    struct taken taken;
    struct err err = { 0 };
    int folder = open("/", O_RDONLY | O_CLOEXEC);
    (void)state;
    assert_true(folder >= 0);
    assert_int_equal(isolated_source_new(&source, folder, STDOUT_FILENO, &err), 0);
    source->ops->take(source, 1, false, &taken);
    assert_true(taken.ended && taken.jobs == NULL);
    isolated_source_free(source);
    close(folder);
}

static void an_unusable_job_ends_the_process(void **state)
{
    (void)state;
    struct taken taken = take("{\"id\": broken\n");
    assert_true(taken.ended);
    assert_int_equal(pair.source->exit_status, 1);
}

/* A line that is longer than any job may be ends the source, whatever comes after it. */
static void a_line_over_the_limit_is_the_end(void **state)
{
    struct taken taken;
    int status;
    (void)state;
    pid_t writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        char piece[1 << 16];
        memset(piece, '1', sizeof piece);
        while (write(pair.to, piece, sizeof piece) > 0)
            continue; /* until it is killed */
        _exit(1);
    }
    pair.source->ops->take(pair.source, 1, false, &taken);
    kill(writer, SIGKILL);
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(taken.ended && taken.jobs == NULL);
}

/* Runs a handler on a job as isolated_main does; returns the messages. */
static const char *run_for(rp_handler *handler, void *user)
{
    struct taken taken = take("{\"id\": \"a\", \"input\": 1}\n");
    const rp_config program = { .handler = handler, .user = user };
    rp_job_begin(&pair.job, taken.jobs);
    int status = linked_call(&program, &pair.job);
    rp_job_finish_sending(&pair.job);
    isolated_source_send_result(&pair.reply_channel, &pair.job, status);
    rp_job_end(&pair.job);
    job_release(taken.jobs);
    return messages();
}

static const char *run(rp_handler *handler)
{
    return run_for(handler, NULL);
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

static int fails_and_refreshes(rp_job *job, void *user)
{
    (void)user;
    rp_refresh_worker(job);
    rp_write(job, "1");
    return rp_fail(job, "%s", "two\nlines");
}

static int refreshes_without_a_result(rp_job *job, void *user)
{
    (void)user;
    rp_refresh_worker(job);
    return RP_OK;
}

/* A message that is all of the error, as the platform's own are. */
static int fails_without_a_type(rp_job *job, void *user)
{
    int rc = fails(job, user);
    job->failure_type = NULL;
    buf_clear(&job->traceback);
    return rc;
}

static int streams_and_returns(rp_job *job, void *user)
{
    (void)user;
    rp_yield(job, "1");
    return rp_return(job, "2");
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
    const struct source_ops *ops = pair.source->ops;
    struct err err;
    (void)state;
    assert_int_equal(ops->stream(&pair.reply_channel, NULL, SLICE_LITERAL("[\n]"), &err), 0);
    assert_int_equal(ops->progress(&pair.reply_channel, NULL, SLICE_LITERAL("2"), &err), 0);
    assert_string_equal(messages(), "{\"stream\": [ ]}\n{\"progress\": 2}\n");
    isolated_source_send_ready(&pair.reply_channel);
    assert_string_equal(messages(), "{\"ready\": true}\n");
    assert_string_equal(run(says_much), "{\"progress\": {\"at\": 1}}\n{\"stream\": [1, 2]}\n"
                                        "{\"output\": {\"a\": \"b\"}, \"refresh_worker\": true}\n");
    assert_string_equal(run(streams_all), "{\"stream\": 1}\n{\"output\": null}\n");
    assert_string_equal(run(streams_and_returns), "{\"stream\": 1}\n{\"output\": 2}\n");
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

static void an_error_is_an_error_whatever_else_there_is(void **state)
{
    (void)state;
    const char *text = run(fails_and_refreshes);
    assert_ptr_equal(strstr(text, "{\"error\": \"two\\nlines\", \"error_type\": \"HandlerError\", "
                                  "\"traceback\": \""),
                     text);
    assert_non_null(strstr(text, "fails_and_refreshes")); /* in the traceback */
    assert_non_null(strstr(text, "\", \"refresh_worker\": true}\n"));
    assert_null(strstr(text, "output"));
    assert_string_equal(run(refreshes_without_a_result),
                        "{\"error\": \"The handler ended without a result.\", "
                        "\"error_type\": \"ResultError\", \"traceback\": \"\", "
                        "\"refresh_worker\": true}\n");
    assert_string_equal(run(fails_without_a_type),
                        "{\"error\": \"no \\\"luck\\\"\", \"error_type\": null, "
                        "\"traceback\": \"\"}\n");
    assert_string_equal(run(returns_a_number),
                        "{\"error\": \"The handler returned 7.\", \"error_type\": "
                        "\"HandlerError\", \"traceback\": \"\"}\n");
}

static int returns_bytes(rp_job *job, void *user)
{
    const size_t *size = user;
    rp_write(job, "\n");
    for (size_t i = 2; i < *size; i++)
        rp_write(job, i % 1000 == 0 ? "\n" : " ");
    return rp_write(job, "1");
}

/* Around the size up to which a message is one write: the same line, as long as it is allowed. */
static void outputs_of_all_sizes_are_one_line(void **state)
{
    const size_t keep = LIMIT_KEEP_BYTES,
                 sizes[] = { 2, 3, keep - 1, keep, keep + 1, 2 * keep, 200000 };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        pair.config.result_max_bytes = (int64_t)size;
        const char *text = run_for(returns_bytes, &size);
        size_t len = strlen(text);
        assert_int_equal(len, strlen("{\"output\": }\n") + size);
        assert_ptr_equal(strchr(text, '\n'), text + len - 1);
        assert_string_equal(text + len - 4, " 1}\n");
        assert_int_equal(strspn(text + 11, " "), size - 1);
        pair.config.result_max_bytes = (int64_t)size - 1;
        assert_non_null(strstr(run_for(returns_bytes, &size), "over the limit of "));
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

/* --- the handler's GPU --------------------------------------------------------------------- */

static int gpu_ends, lost_at, gpu_leaves, handled; /* lost_at: at which call of end_job */

static bool end_job(rp_job *job)
{
    (void)job;
    return ++gpu_ends == lost_at;
}

static const char *gpu_error(void)
{
    return lost_at == 0 ? "" : "no memory";
}

static void leave(void)
{
    gpu_leaves++;
}

static const struct rp_gpu_part gpu = { .end_job = end_job, .error = gpu_error, .leave = leave };

static int counts(rp_job *job, void *user)
{
    (void)job;
    handled++;
    return *(int *)user;
}

/* The GPU is asked before the handler and after it; a job that it lost is told from others. */
static void a_lost_gpu_ends_all(void **state)
{
    static const struct {
        int lost_at, status, handled;
    } cases[] = {
        { 0, 4, 1 },
        { 1, HANDLER_LOST_BEFORE, 0 },
        { 2, HANDLER_LOST, 1 },
        { 3, 4, 1 },
    };
    int four = 4;
    const rp_config program = { .handler = counts, .user = &four, .gpu = &gpu };
    (void)state;
    struct taken taken = take("{\"id\": \"a\", \"input\": 1}\n");
    rp_job_begin(&pair.job, taken.jobs);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gpu_ends = handled = 0;
        lost_at = cases[i].lost_at;
        assert_int_equal(linked_ops.run(&pair.job, (void *)(uintptr_t)&program), cases[i].status);
        assert_int_equal(handled, cases[i].handled);
        assert_int_equal(gpu_ends, 1 + cases[i].handled);
    }
    rp_job_end(&pair.job);
    job_release(taken.jobs);
}

static int looks(void *user)
{
    return *(int *)user + (linked_is_setting_up() ? 10 : 0);
}

static void a_failed_setup_names_the_gpus_error(void **state)
{
    int status = 0;
    rp_config program = { .user = &status, .gpu = &gpu };
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool is_set_up = false;
    const struct linked_setting setting = { &program, &lock, &is_set_up };
    struct err err = { 0 };
    void *slot = NULL;
    (void)state;
    gpu_leaves = lost_at = 0;
    assert_int_equal(linked_ops.open(&setting, &slot, &err), 0); /* there is no setup */
    assert_true(is_set_up);
    assert_int_equal(gpu_leaves, 0);
    linked_ops.close(slot);
    assert_int_equal(gpu_leaves, 1);
    program.setup = looks;
    assert_int_equal(linked_setup(&program, &err), 0);
    is_set_up = false;
    assert_int_equal(linked_ops.open(&setting, &slot, &err), ERR_CONFIG);
    assert_string_equal(err.text, "The handler's setup returned 10."); /* it runs meanwhile, */
    assert_false(linked_is_setting_up());                              /* and not any more */
    lost_at = 1;
    status = -2;
    assert_int_equal(linked_setup(&program, &err), ERR_CONFIG);
    assert_string_equal(err.text,
                        "The handler's setup returned -2. The GPU's last error: no memory");
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
    FILE *log;
};

static char logged[4096]; /* by the one whose status was asked for last */

/* A child that runs isolated_main_run over pipes. */
static struct process_test start_program(const rp_config *program)
{
    static struct config config = { .result_max_bytes = 1000, .log_level = LOG_INFO };
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    FILE *log = tmpfile();
    assert_non_null(log);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[1]);
        close(out[0]);
        dup2(fileno(log), STDERR_FILENO);
        _exit(isolated_main_run(&config, program));
    }
    close(in[0]);
    close(out[1]);
    return (struct process_test){ pid, fdopen(in[1], "w"), fdopen(out[0], "r"), log };
}

static struct process_test start_isolated(int (*setup)(void *), void *user)
{
    const rp_config program = { .handler = waits_for_its_stop, .setup = setup, .user = user };
    return start_program(&program);
}

static void give(struct process_test *test, const char *id)
{
    fprintf(test->to, "{\"id\": \"%s\", \"input\": 1}\n", id);
    fflush(test->to);
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
    rewind(test->log);
    logged[fread(logged, 1, sizeof logged - 1, test->log)] = '\0';
    fclose(test->log);
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
    assert_non_null(strstr(logged, "\"The handler's setup returned 5.\""));
    assert_int_equal(logged[0], '{'); /* a line that the worker takes for a log's */
    status = 0;
    test = start_isolated(set_up_once, &status);
    assert_line(&test, "{\"ready\": true}\n");
    fputs("broken\n", test.to);
    fflush(test.to);
    assert_int_equal(status_of(&test), 1);
    assert_non_null(strstr(logged, "The worker sent an unusable job: "));
}

/* Its input is at an end, and whatever it prints is no message. */
static int looks_at_its_streams(rp_job *job, void *user)
{
    char byte;
    (void)user;
    ssize_t count = read(STDIN_FILENO, &byte, 1);
    ssize_t printed = write(STDOUT_FILENO, "{\"output\": 0}\n", 14);
    rp_str id = rp_job_id(job);
    return rp_return(job, "[%S, %d, %d]", &id, (int)count, (int)printed);
}

static void the_handler_has_streams_of_its_own(void **state)
{
    const rp_config program = { .handler = looks_at_its_streams };
    struct process_test test = start_program(&program);
    (void)state;
    assert_line(&test, "{\"ready\": true}\n");
    for (int i = 0; i < 2; i++) {
        const char *ids[] = { "a", "b" };
        give(&test, ids[i]);
        assert_line(&test,
                    i == 0 ? "{\"output\": [\"a\", 0, 14]}\n" : "{\"output\": [\"b\", 0, 14]}\n");
    }
    kill(test.pid, SIGINT); /* without a job: its end, as by SIGTERM */
    assert_int_equal(status_of(&test), 0);
    assert_string_equal(logged, "{\"output\": 0}\n{\"output\": 0}\n");
}

static void its_input_may_end_after_a_job(void **state)
{
    const rp_config program = { .handler = looks_at_its_streams };
    struct process_test test = start_program(&program);
    (void)state;
    assert_line(&test, "{\"ready\": true}\n");
    give(&test, "a");
    assert_line(&test, "{\"output\": [\"a\", 0, 14]}\n");
    fclose(test.to);
    test.to = fopen("/dev/null", "w");
    assert_int_equal(status_of(&test), 0);
}

/* Nobody is there to read: it ends, and not by a signal. */
static void without_a_reader_it_ends(void **state)
{
    const rp_config program = { .handler = looks_at_its_streams };
    struct process_test test = start_program(&program);
    (void)state;
    assert_line(&test, "{\"ready\": true}\n");
    fclose(test.from);
    test.from = fopen("/dev/null", "r");
    give(&test, "a");
    assert_int_equal(status_of(&test), 1);
}

static void begin_gpu(const struct config *config)
{
    gpu_ends = config->result_max_bytes == 1000 ? 0 : 100;
}

/* The second job is not read any more; the first one has its error. */
static void a_lost_gpu_ends_the_process(void **state)
{
    static const struct rp_gpu_part part = { .begin = begin_gpu, .end_job = end_job };
    const rp_config program = { .handler = looks_at_its_streams, .gpu = &part };
    (void)state;
    for (int at = 1; at <= 4; at++) {
        lost_at = at;
        gpu_ends = 50;
        struct process_test test = start_program(&program);
        assert_line(&test, "{\"ready\": true}\n");
        give(&test, "a");
        give(&test, "b");
        if (at > 2)
            assert_line(&test, "{\"output\": [\"a\", 0, 14]}\n");
        char line[256];
        assert_non_null(fgets(line, sizeof line, test.from));
        assert_non_null(strstr(line, at % 2 == 0 ? "The handler returned -100."
                                                 : "The handler returned -101."));
        assert_null(fgets(line, sizeof line, test.from));
        assert_int_equal(status_of(&test), 1);
    }
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
        PAIR_TEST(a_job_may_come_in_pieces_and_end_unfinished),
        PAIR_TEST(a_line_over_the_limit_is_the_end),
        cmocka_unit_test(an_input_that_cannot_be_read_is_the_end),
        PAIR_TEST(an_unusable_job_ends_the_process),
        PAIR_TEST(a_message_is_a_line),
        PAIR_TEST(errors_are_messages_too),
        PAIR_TEST(an_error_is_an_error_whatever_else_there_is),
        PAIR_TEST(outputs_of_all_sizes_are_one_line),
        PAIR_TEST(a_lost_gpu_ends_all),
        PAIR_TEST(a_large_output_stays_on_its_line),
        cmocka_unit_test(the_setup_runs_once_and_can_fail),
        cmocka_unit_test(a_failed_setup_names_the_gpus_error),
        cmocka_unit_test(the_handler_has_streams_of_its_own),
        cmocka_unit_test(its_input_may_end_after_a_job),
        cmocka_unit_test(without_a_reader_it_ends),
        cmocka_unit_test(a_lost_gpu_ends_the_process),
        cmocka_unit_test(a_process_of_its_own_runs_jobs_and_stops_them),
        cmocka_unit_test(the_end_of_its_input_or_a_failed_setup_ends_it),
        cmocka_unit_test(it_is_told_by_a_variable_that_it_does_not_pass_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
