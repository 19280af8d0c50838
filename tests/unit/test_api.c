/* worker.h: what handlers see, over a source that records what is sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "job/rp_job.h"
#include "json_same.h"
#include "worker.h"
#include "json/json.h"

static char progress_sent[1000];

static int record_progress(struct reply_channel *reply_channel, const struct job *job, slice json,
                           struct err *err)
{
    (void)reply_channel;
    (void)job;
    (void)err;
    strncat(progress_sent, json.ptr, json.len);
    strncat(progress_sent, ";", 1);
    return 0;
}

static char parts_sent[1000];
static int stream_error; /* what the source answers to a part */

static int record_part(struct reply_channel *reply_channel, struct job *job, slice json,
                       struct err *err)
{
    (void)reply_channel;
    (void)job;
    strncat(parts_sent, json.ptr, json.len);
    strncat(parts_sent, ";", 1);
    return stream_error == 0 ? 0 : err_set(err, stream_error, "the platform answered 413");
}

static const struct source_ops recording_ops = { .progress = record_progress,
                                                 .stream = record_part };

/* The handler of now, as a slot would call it. */
static rp_handler *current;

static int run_current(rp_job *job, void *state)
{
    return current(job, state);
}

static const struct handler_ops current_ops = { .run = run_current };
static const struct handler current_handler = { .ops = &current_ops };

struct bench {
    struct config config;
    struct source source;
    struct reply_channel reply_channel;
    struct rp_job job;
    struct result result;
};

static int set_up(void **state)
{
    static struct bench bench;
    log_init(LOG_NOTSET, false);
    bench = (struct bench){ .config = { .result_max_bytes = 1000000 },
                            .source = { .ops = &recording_ops } };
    bench.reply_channel.source = &bench.source;
    rp_job_init(&bench.job, &bench.config, &bench.reply_channel);
    result_init(&bench.result, bench.config.result_max_bytes);
    progress_sent[0] = parts_sent[0] = '\0';
    stream_error = 0;
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    rp_job_free(&bench->job);
    result_free(&bench->result);
    return 0;
}

/* Runs the handler on a job with that input; the body stays in the result until end(). */
static struct job *run(struct bench *bench, rp_handler *handler, const char *input)
{
    struct delivery *delivery;
    struct job *job;
    struct err err = { 0 };
    assert_int_equal(delivery_new(&delivery, LIMIT_TAKE_BYTES, &err), 0);
    assert_int_equal(
        buf_add_text(&delivery->body, "{\"id\": \"job-1\", \"webhook\": \"w\", \"input\": ", &err),
        0);
    assert_int_equal(buf_add_text(&delivery->body, input, &err), 0);
    assert_int_equal(buf_add_text(&delivery->body, "}", &err), 0);
    assert_int_equal(delivery_read(delivery, NULL, &job, &err), 0);
    delivery_release(delivery);
    current = handler;
    rp_job_run(&bench->job, job, &current_handler, bench, &bench->result);
    return job;
}

static void end(struct bench *bench, struct job *job)
{
    rp_job_end(&bench->job);
    job_release(job);
}

static slice body_of(struct bench *bench, struct buf *joined)
{
    buf_init(joined, 2000000, "body");
    for (size_t i = 0; i < bench->result.count; i++)
        assert_int_equal(buf_add_slice(joined, bench->result.pieces[i], NULL), 0);
    assert_int_equal(json_check(buf_slice(joined), NULL, NULL), 0);
    return buf_slice(joined);
}

static void assert_result(struct bench *bench, rp_handler *handler, const char *input,
                          const char *expected)
{
    struct buf joined;
    struct job *job = run(bench, handler, input);
    slice body = body_of(bench, &joined);
    if (!json_same(body, slice_from(expected)))
        fail_msg("body %.*s, expected %s", SLICE_ARG(body), expected);
    buf_free(&joined);
    end(bench, job);
}

/* The job failed, and its error's text holds `part`. */
static void assert_failure(struct bench *bench, rp_handler *handler, const char *input,
                           const char *part)
{
    struct buf joined;
    struct job *job = run(bench, handler, input);
    slice body = body_of(bench, &joined);
    assert_true(bench->result.is_error);
    if (memmem(body.ptr, body.len, part, strlen(part)) == NULL)
        fail_msg("body %.*s lacks %s", SLICE_ARG(body), part);
    buf_free(&joined);
    end(bench, job);
}

/* --- handlers ---------------------------------------------------------------------------- */

static int greet(rp_job *job, void *user)
{
    rp_str name;
    (void)user;
    if (rp_get_str(rp_input(job), "name", &name) != 0)
        return rp_fail(job, "input.name must be a string");
    return rp_return(job, "{\"greeting\": %.*Q, \"bytes\": %zu}", (int)name.len, name.ptr,
                     name.len);
}

static void strings_come_in_and_go_out(void **state)
{
    assert_result(*state, greet, "{\"name\": \"Ann\"}",
                  "{\"output\": {\"greeting\": \"Ann\", \"bytes\": 3}}");
    assert_result(*state, greet, "{\"name\": \"\\u00fc\\n\\\"\"}",
                  "{\"output\": {\"greeting\": \"\\u00fc\\n\\\"\", \"bytes\": 4}}");
    assert_failure(*state, greet, "{\"name\": 7}", "input.name must be a string");
    assert_failure(*state, greet, "{\"name\": null}", "input.name must be a string");
    assert_failure(*state, greet, "[]", "test_api.c:");
    assert_failure(*state, greet, "{\"name\": \"lone \\ud800\", \"name\": 1}", "must be a string");
}

static int read_everything(rp_job *job, void *user)
{
    rp_value input = rp_input(job);
    int64_t number = -1, missing = 42;
    double real = 0;
    bool flag = false;
    (void)user;
    assert_int_equal(rp_type_of(input), RP_OBJECT);
    assert_int_equal(rp_count(input), 6);
    assert_int_equal(rp_get_int(input, "int", &number), RP_OK);
    assert_true(number == INT64_MIN);
    assert_int_equal(rp_get_int(input, "none", &missing), RP_MISSING);
    assert_int_equal(rp_get_int(input, "null", &missing), RP_MISSING);
    assert_true(missing == 42);
    assert_int_equal(rp_get_int(input, "real", &missing), RP_WRONG);
    assert_int_equal(rp_get_double(input, "real", &real), RP_OK);
    assert_true(real > 0.24 && real < 0.26);
    assert_int_equal(rp_get_bool(input, "yes", &flag), RP_OK);
    assert_true(flag);
    assert_int_equal(rp_get_bool(input, "int", &flag), RP_WRONG);
    rp_value list = rp_get(input, "list");
    assert_int_equal(rp_count(list), 3);
    assert_int_equal(rp_to_int(rp_at(list, 2), &number), RP_OK);
    assert_true(number == 3);
    assert_int_equal(rp_type_of(rp_at(list, 3)), RP_NONE);
    assert_int_equal(rp_type_of(rp_get(rp_get(rp_get(input, "a"), "b"), "c")), RP_NONE);
    assert_int_equal(rp_type_of(rp_get(list, "x")), RP_NONE);
    assert_int_equal(rp_type_of(rp_at(input, 0)), RP_NONE);
    assert_true(slice_is(rp_json(rp_get(input, "obj")), "{\"k\\u0021\": []}"));
    char names[64] = "";
    for (rp_iter it = rp_each(rp_get(input, "obj")); rp_next(&it);)
        strncat(names, it.name.ptr, it.name.len);
    assert_string_equal(names, "k!");
    rp_iter none = rp_each(rp_get(input, "none"));
    assert_false(rp_next(&none));
    rp_str webhook;
    assert_int_equal(rp_get_str(rp_job_object(job), "webhook", &webhook), RP_OK);
    assert_true(slice_is(webhook, "w"));
    assert_true(slice_is(rp_job_id(job), "job-1"));
    return rp_return_value(job, list);
}

static void every_kind_of_value_can_be_read(void **state)
{
    assert_result(*state, read_everything,
                  "{\"int\": -9223372036854775808, \"null\": null, \"real\": 0.25, \"yes\": true,"
                  " \"list\": [1, 2, 3], \"obj\": {\"k\\u0021\": []}}",
                  "{\"output\": [1, 2, 3]}");
}

static int return_input(rp_job *job, void *user)
{
    (void)user;
    return rp_return_json(job, rp_input_json(job));
}

static void input_can_be_returned_as_it_is(void **state)
{
    static const char *const inputs[] = { "null", "0", "\"x\"", "[1, {\"a\": \"b\"}]", "false" };
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        char expected[100];
        snprintf(expected, sizeof expected, "{\"output\": %s}", inputs[i]);
        assert_result(*state, return_input, inputs[i], expected);
    }
}

static int return_absent(rp_job *job, void *user)
{
    (void)user;
    return rp_return_value(job, rp_get(rp_input(job), "absent"));
}

static int return_null_text(rp_job *job, void *user)
{
    (void)user;
    return rp_return_json(job, (rp_str){ NULL, 0 });
}

/* What begins like the input, which is known to be JSON. */
static int return_part_of_the_input(rp_job *job, void *user)
{
    rp_str json = rp_input_json(job);
    (void)user;
    json.len--;
    return rp_return_json(job, json);
}

static void texts_that_are_returned_are_checked(void **state)
{
    assert_result(*state, return_absent, "{\"present\": 1}", "{\"output\": null}");
    assert_failure(*state, return_null_text, "1", "The handler returned a NULL JSON text.");
    assert_failure(*state, return_part_of_the_input, "[1]", "not valid JSON");
    assert_result(*state, return_part_of_the_input, "17", "{\"output\": 1}");
}

/* Text in a buffer changes hands with the job's own, which is as usable as it was. */
static int return_a_buffer(rp_job *job, void *user)
{
    struct buf buf;
    (void)user;
    buf_init(&buf, 10000, "text");
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_add_text(&buf, i == 0 ? "12" : "34", NULL), 0);
    assert_int_equal(rp_return(job, "0"), RP_OK);
    const char *text = buf.ptr, *own = job->output.ptr;
    size_t own_cap = job->output.cap;
    rp_return_buf(job, &buf, (slice){ buf.ptr, 4 });
    assert_ptr_equal(job->output.ptr, text);
    assert_ptr_equal(buf.ptr, own);
    assert_int_equal(buf.cap, own_cap);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf_add_text(&buf, "more", NULL), 0);
    buf_free(&buf);
    return RP_OK;
}

static void a_buffer_is_returned_without_a_copy(void **state)
{
    assert_result(*state, return_a_buffer, "1", "{\"output\": 1234}");
}

static int stop_itself(rp_job *job, void *user)
{
    (void)user;
    assert_false(rp_job_stopped(job));
    assert_false(rp_job_wait(job, 0));
    job_stop(job->task, JOB_STOPPED);
    assert_true(rp_job_stopped(job));
    assert_true(rp_job_wait(job, 60000));
    assert_int_equal(rp_progress(job, "1"), RP_OK); /* to nobody */
    assert_int_equal(rp_progress(job, "{"), RP_WRONG);
    return rp_return(job, "1");
}

static void a_stopped_job_sends_no_progress(void **state)
{
    struct job *job = run(*state, stop_itself, "1");
    assert_string_equal(progress_sent, "");
    end(*state, job);
}

static int look_at_other_types(rp_job *job, void *user)
{
    rp_value input = rp_input(job);
    rp_str text = { "kept", 4 };
    double number = 7;
    int64_t integer = 7;
    bool flag = true;
    (void)user;
    assert_int_equal(rp_get_str(input, "number", &text), RP_WRONG);
    assert_int_equal(rp_get_double(input, "text", &number), RP_WRONG);
    assert_int_equal(rp_get_double(input, "large", &number), RP_WRONG);
    assert_int_equal(rp_get_int(input, "text", &integer), RP_WRONG);
    assert_int_equal(rp_get_bool(input, "text", &flag), RP_WRONG);
    assert_int_equal(rp_get_double(input, "null", &number), RP_MISSING);
    assert_int_equal(rp_get_bool(input, "none", &flag), RP_MISSING);
    assert_true(slice_is(text, "kept") && number > 6 && integer == 7 && flag);
    assert_int_equal(rp_get_bool(input, "no", &flag), RP_OK);
    assert_false(flag);
    assert_int_equal(rp_count(rp_get(input, "text")), 0);
    assert_int_equal(rp_json(rp_get(input, "none")).len, 0);
    rp_iter none = rp_each(rp_get(input, "text"));
    assert_false(rp_next(&none));
    rp_iter of_list = rp_each(rp_get(input, "list"));
    assert_true(rp_next(&of_list));
    assert_int_equal(of_list.name.len, 0);
    assert_int_equal(rp_to_int(of_list.value, &integer), RP_OK);
    assert_true(integer == 5);
    assert_false(rp_next(&of_list));
    assert_false(rp_next(&of_list));
    return rp_return(job, "1");
}

static void values_of_other_types_are_left_alone(void **state)
{
    assert_result(*state, look_at_other_types,
                  "{\"number\": 1, \"text\": \"1\", \"large\": 1e999, \"null\": null,"
                  " \"no\": false, \"list\": [5]}",
                  "{\"output\": 1}");
}

static int say(rp_job *job, void *user)
{
    (void)user;
    rp_log(job, RP_DEBUG, "too quiet");
    rp_log(job, RP_WARN, "%s %d", "loud", 2);
    rp_log(NULL, RP_WARN, "of no job");
    return rp_return(job, "1");
}

/* What the log has of a job is kept for its error, where that is asked for. */
static void lines_are_captured(void **state)
{
    static const struct {
        enum log_capture capture;
        const char *of_job, *of_all;
    } cases[] = {
        { LOG_CAPTURE_AUTO, "", "of no job" },
        { LOG_CAPTURE_ALL, "loud 2", "loud 2\nof no job" },
    };
    struct bench *bench = *state;
    log_init(LOG_WARN, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf of_job, of_all;
        buf_init(&of_job, 1000, "lines");
        buf_init(&of_all, 1000, "lines");
        bench->config.log_capture = cases[i].capture;
        log_tail_clear(&log_tail_of_handlers);
        struct job *job = run(bench, say, "1");
        log_tail_put(&bench->job.log_tail, 1000, &of_job);
        log_tail_put(&log_tail_of_handlers, 1000, &of_all);
        assert_true(slice_is(buf_slice(&of_job), cases[i].of_job));
        assert_true(slice_is(buf_slice(&of_all), cases[i].of_all));
        end(bench, job);
        buf_free(&of_job);
        buf_free(&of_all);
    }
}

static int write_in_pieces(rp_job *job, void *user)
{
    (void)user;
    rp_return(job, "\"dropped\"");
    rp_return(job, "[");
    for (int i = 0; i < 3; i++)
        rp_write(job, "%s%d", i > 0 ? "," : "", i);
    return rp_write(job, "]");
}

static int return_nothing(rp_job *job, void *user)
{
    (void)job;
    (void)user;
    return RP_OK;
}

static int return_number(rp_job *job, void *user)
{
    (void)job;
    (void)user;
    return 17;
}

static int return_broken(rp_job *job, void *user)
{
    (void)user;
    return rp_return(job, "{\"a\": }");
}

static int return_bytes(rp_job *job, void *user)
{
    (void)user;
    return rp_return(job, "%Q", "\xff\xfe");
}

static int return_nan(rp_job *job, void *user)
{
    (void)user;
    rp_return(job, "%g", 0.0 / 0.0 * -1.0);
    return RP_OK; /* a failure noticed is a failure, whatever the handler says */
}

static int return_too_much(rp_job *job, void *user)
{
    char kilobyte[1001];
    (void)user;
    memset(kilobyte, '1', sizeof kilobyte - 1);
    kilobyte[sizeof kilobyte - 1] = '\0';
    for (int i = 0; i < 1001; i++)
        rp_write(job, "%s", kilobyte);
    return RP_OK;
}

static void bad_outcomes_are_failures(void **state)
{
    assert_result(*state, write_in_pieces, "1", "{\"output\": [0, 1, 2]}");
    assert_failure(*state, return_nothing, "1", "without a result");
    assert_failure(*state, return_number, "1", "returned 17");
    assert_failure(*state, return_broken, "1", "not valid JSON");
    assert_failure(*state, return_bytes, "1", "UTF-8");
    assert_failure(*state, return_nan, "1", "HandlerError");
    assert_failure(*state, return_too_much, "1", "limit");
    /* One failed job leaves nothing behind for the next. */
    assert_result(*state, return_input, "1", "{\"output\": 1}");
}

static int refresh(rp_job *job, void *user)
{
    (void)user;
    rp_refresh_worker(job);
    return rp_return(job, "1");
}

static int tell_progress(rp_job *job, void *user)
{
    (void)user;
    assert_int_equal(rp_progress(job, "{\"step\": %d}", 1), RP_OK);
    assert_int_equal(rp_progress(job, "{broken"), RP_WRONG);
    assert_int_equal(rp_progress(job, "%Q", "half"), RP_OK);
    assert_false(rp_job_stopped(job));
    assert_false(rp_job_wait(job, 0));
    char *memory = rp_alloc(job, 1000);
    assert_non_null(memory);
    memset(memory, 'x', 1000);
    assert_null(rp_alloc(job, LIMIT_ARENA_BYTES));
    return rp_return(job, "2");
}

static void refresh_and_progress(void **state)
{
    assert_result(*state, refresh, "1", "{\"output\": 1, \"stopPod\": true}");
    assert_result(*state, tell_progress, "1", "{\"output\": 2}");
    assert_string_equal(progress_sent, "{\"step\": 1};\"half\";");
}

static int yield_all(rp_job *job, void *user)
{
    (void)user;
    for (rp_iter it = rp_each(rp_input(job)); rp_next(&it);) {
        rp_str json = rp_json(it.value);
        if (rp_yield(job, "%J", &json) != RP_OK)
            return RP_FAILED;
    }
    return RP_OK;
}

static int yield_and_fail(rp_job *job, void *user)
{
    yield_all(job, user);
    return rp_fail(job, "in the middle");
}

static int yield_and_return(rp_job *job, void *user)
{
    yield_all(job, user);
    return rp_return(job, "\"last\"");
}

static void streams_end_in_a_list(void **state)
{
    struct bench *bench = *state;
    bench->config.stream = true;
    assert_result(bench, yield_all, "[1, \"a\", {\"x\": [2]}]", "{\"output\": []}");
    assert_string_equal(parts_sent, "1;\"a\";{\"x\": [2]};");
    assert_true(bench->result.is_stream);
    assert_result(bench, yield_all, "[]", "{\"output\": []}");
    assert_true(bench->result.is_stream);
    bench->config.aggregate_stream = true;
    assert_result(bench, yield_all, "[1, \"a\"]", "{\"output\": [1, \"a\"]}");
    assert_result(bench, yield_all, "[]", "{\"output\": []}");
    assert_result(bench, yield_and_return, "[1]", "{\"output\": [1, \"last\"]}");
}

static void streams_end_in_an_error(void **state)
{
    struct bench *bench = *state;
    bench->config.aggregate_stream = true;
    assert_result(bench, yield_all, "[1, {\"error\": \"bad\"}, 3]", "{\"error\": \"bad\"}");
    assert_string_equal(parts_sent, "1;");
    assert_true(bench->result.is_stream);
    assert_result(bench, yield_all, "[{\"error\": {\"code\": 1}}]",
                  "{\"error\": \"{\\\"code\\\": 1}\"}");
    assert_failure(bench, yield_and_fail, "[1, 2]", "in the middle");
    assert_true(bench->result.is_stream);
    stream_error = ERR_PEER;
    assert_failure(bench, yield_all, "[1, 2, 3]", "413");
}

/* Goes on whatever rp_yield returns, and returns an output. */
static int yield_on(rp_job *job, void *user)
{
    (void)user;
    assert_int_equal(rp_yield(job, "1"), RP_OK);
    assert_true(rp_yield(job, "{\"error\": \"bad\"}") < 0);
    assert_true(rp_yield(job, "3") < 0);
    return rp_return(job, "4");
}

static int fail_and_yield(rp_job *job, void *user)
{
    (void)user;
    rp_fail(job, "no more");
    assert_true(rp_yield(job, "1") < 0);
    return RP_OK;
}

static void a_job_that_has_failed_has_no_more_parts(void **state)
{
    assert_result(*state, yield_on, "1", "{\"error\": \"bad\"}");
    assert_string_equal(parts_sent, "1;");
    assert_failure(*state, fail_and_yield, "1", "no more");
    assert_string_equal(parts_sent, "1;");
}

static enum job_stop why_now;

static int return_although_stopped(rp_job *job, void *user)
{
    (void)user;
    if (why_now != JOB_GOES_ON)
        job_stop(job->task, why_now);
    return rp_return(job, "1");
}

static int fail_although_stopped(rp_job *job, void *user)
{
    (void)user;
    if (why_now != JOB_GOES_ON)
        job_stop(job->task, why_now);
    return rp_fail(job, "my own reason");
}

/* Whatever a handler makes of it, its client learns why it ended early. */
static void a_job_that_was_cut_short_says_why(void **state)
{
    struct bench *bench = *state;
    static rp_handler *const handlers[] = { return_although_stopped, fail_although_stopped };
    bench->config.execution_timeout_ms = 2500;
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        why_now = JOB_TIMED_OUT;
        assert_failure(bench, handlers[i], "1", "\\\"TimeoutError\\\"");
        assert_failure(bench, handlers[i], "1", "than the execution timeout of 2.5 s");
        why_now = JOB_ABANDONED;
        assert_failure(bench, handlers[i], "1", "\\\"ShutdownError\\\"");
        assert_failure(bench, handlers[i], "1",
                       "The worker was stopped while the job was running.");
    }
    why_now = JOB_GOES_ON;
    assert_failure(bench, fail_although_stopped, "1", "my own reason");
    assert_result(bench, return_although_stopped, "1", "{\"output\": 1}");
}

static int fail_at_length(rp_job *job, void *user)
{
    static char text[2 * LIMIT_ERROR_BYTES];
    (void)user;
    memset(text, 'x', sizeof text - 1);
    memcpy(text + LIMIT_ERROR_BYTES - 4, "SECRET-KEY", 10); /* across the place where it is cut */
    return rp_job_fail(job, text);
}

/* A secret is masked before the text is cut: no part of it stays. */
static void a_long_error_keeps_its_start_and_no_secret(void **state)
{
    struct bench *bench = *state;
    struct buf joined;
    log_add_secret(SLICE_LITERAL("SECRET-KEY"));
    struct job *job = run(bench, fail_at_length, "1");
    slice body = body_of(bench, &joined);
    const char *first = memchr(body.ptr, 'x', body.len);
    assert_non_null(first);
    char *rest = strndup(first, (size_t)(body.ptr + body.len - first));
    assert_int_equal(strspn(rest, "x"), LIMIT_ERROR_BYTES - 4);
    assert_int_equal(strspn(rest + LIMIT_ERROR_BYTES - 4, "*"), 4);
    free(rest);
    assert_null(memmem(body.ptr, body.len, "SECR", 4));
    buf_free(&joined);
    end(bench, job);
}

static void a_job_without_input_is_answered(void **state)
{
    struct bench *bench = *state;
    struct delivery *delivery;
    struct job *job;
    struct buf joined;
    struct err err = { 0 };
    assert_int_equal(delivery_new(&delivery, 1000, &err), 0);
    assert_int_equal(buf_add_text(&delivery->body, "{\"id\": \"x\"}", &err), 0);
    assert_int_equal(delivery_read(delivery, NULL, &job, &err), 0);
    delivery_release(delivery);
    rp_job_run(&bench->job, job, &current_handler, NULL, &bench->result);
    assert_true(json_same(body_of(bench, &joined),
                          slice_from("{\"error\": \"Job has missing field(s): input.\"}")));
    buf_free(&joined);
    end(bench, job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strings_come_in_and_go_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_kind_of_value_can_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(input_can_be_returned_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_that_are_returned_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_buffer_is_returned_without_a_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stopped_job_sends_no_progress, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_of_other_types_are_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_are_captured, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_outcomes_are_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refresh_and_progress, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_end_in_a_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_end_in_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_that_has_failed_has_no_more_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_that_was_cut_short_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_error_keeps_its_start_and_no_secret, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_job_without_input_is_answered, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
