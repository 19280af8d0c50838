/* rp_validate: every kind, every rule, every error, all in one message. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/text.h"
#include "job/rp_job.h"
#include "worker.h"

struct lora {
    const char *path;
    double scale;
};

struct input {
    rp_str prompt;
    int64_t seed;
    int steps;
    double guidance;
    float strength;
    bool safe;
    const char *size;
    int64_t batch;
    rp_value tags;
    rp_value any;
    struct lora lora;
};

static const char *check_steps(rp_value value)
{
    int64_t steps;
    return rp_to_int(value, &steps) == RP_OK && steps % 5 == 0 ? NULL : "a multiple of 5";
}

static const rp_field lora_fields[] = {
    { RP_FIELD(struct lora, path), .required = true },
    { RP_FIELD(struct lora, scale), RP_RANGE(0, 1), .fallback.number = 0.5 },
};

static const rp_field fields[] = {
    { RP_FIELD(struct input, prompt), .required = true, .min_length = 2, .max_length = 5 },
    { RP_FIELD(struct input, seed), RP_RANGE(0, INFINITY), .fallback.integer = -1 },
    { RP_FIELD(struct input, steps), RP_RANGE(1, 150), .fallback.integer = 20,
      .check = check_steps },
    { RP_FIELD(struct input, guidance), RP_RANGE(-INFINITY, 30.5), .fallback.number = 7.5 },
    { RP_FIELD(struct input, strength), .fallback.number = 0.25 },
    { RP_FIELD(struct input, safe), .fallback.boolean = true },
    { RP_FIELD(struct input, size), RP_ALLOW("512x512", "1024x1024"),
      .fallback.string = "512x512" },
    { RP_FIELD_AS("batch-size", struct input, batch), RP_ALLOW("1", "2", "4") },
    { RP_FIELD(struct input, tags), .type = RP_ARRAY, .max_length = 2 },
    { RP_FIELD(struct input, any) },
    { RP_FIELD(struct input, lora), RP_FIELDS(lora_fields) },
};

static const rp_field flat[] = {
    { RP_FIELD(struct input, prompt) },
    { RP_FIELD(struct input, steps) },
};

struct bench {
    struct config config;
    struct reply_channel reply_channel;
    struct rp_job job;
    struct result result;
    struct input in;
    const rp_field *fields;
    size_t count;
    unsigned options;
};

static int set_up(void **state)
{
    static struct bench bench;
    log_init(LOG_NOTSET, false);
    bench = (struct bench){ .config = { .result_max_bytes = 1000000 },
                            .fields = fields,
                            .count = sizeof fields / sizeof *fields };
    rp_job_init(&bench.job, &bench.config, &bench.reply_channel);
    result_init(&bench.result, bench.config.result_max_bytes);
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

static int validate(rp_job *job, void *user)
{
    struct bench *bench = user;
    memset(&bench->in, 0x55, sizeof bench->in); /* nothing may be left as it was */
    int rc = rp_validate_fields(job, rp_input(job), bench->fields, bench->count, &bench->in,
                                bench->options);
    return rc == RP_OK ? rp_return(job, "null") : rc;
}

/* Runs the handler on the input. What it read lives until end(). */
static struct job *run_with(struct bench *bench, rp_handler *handler, const char *input)
{
    struct delivery *delivery;
    struct job *job;
    struct err err = { 0 };
    assert_int_equal(delivery_new(&delivery, LIMIT_TAKE_BYTES, &err), 0);
    assert_int_equal(buf_add_text(&delivery->body, "{\"id\": \"1\", \"input\": ", &err), 0);
    assert_int_equal(buf_add_text(&delivery->body, input, &err), 0);
    assert_int_equal(buf_add_text(&delivery->body, "}", &err), 0);
    assert_int_equal(delivery_read(delivery, NULL, &job, &err), 0);
    delivery_release(delivery);
    const struct handler_ops ops = { .run = handler };
    const struct handler of_job = { .ops = &ops };
    rp_job_run(&bench->job, job, &of_job, bench, &bench->result);
    return job;
}

static struct job *run(struct bench *bench, const char *input)
{
    return run_with(bench, validate, input);
}

static void end(struct bench *bench, struct job *job)
{
    rp_job_end(&bench->job);
    job_release(job);
}

static void assert_str(rp_str got, const char *expected)
{
    if (!slice_is(got, expected))
        fail_msg("%.*s, not %s", SLICE_ARG(got), expected);
}

static void test_defaults(void **state)
{
    struct bench *bench = *state;
    struct job *job = run(bench,
                          "{\"prompt\": \"abc\", \"seed\": null, \"lora\": {\"path\": \"x\"}}");
    const struct input *in = &bench->in;
    assert_false(bench->result.is_error);
    assert_str(in->prompt, "abc");
    assert_int_equal(in->seed, -1);
    assert_int_equal(in->steps, 20);
    assert_true(in->guidance == 7.5 && in->strength == 0.25f && in->safe);
    assert_string_equal(in->size, "512x512");
    assert_int_equal(in->batch, 0);
    assert_int_equal(rp_type_of(in->tags), RP_NONE);
    assert_int_equal(rp_type_of(in->any), RP_NONE);
    assert_string_equal(in->lora.path, "x");
    assert_true(in->lora.scale == 0.5);
    end(bench, job);
}

static void test_all_given(void **state)
{
    struct bench *bench = *state;
    struct job *job = run(
        bench,
        "{\"prompt\": \"\\u00e4\xc3\xb6\xf0\x9f\x98\x80 \\n\", \"seed\": 9223372036854775807,"
        "\"steps\": 1.5e1, \"guidance\": 30.5, \"strength\": 1, \"safe\": false,"
        "\"size\": \"1024x\\u0031024\", \"batch-size\": 4.0, \"tags\": [1, \"b\"],"
        "\"any\": {\"x\": null}, \"lora\": {\"path\": \"a\\\"b\", \"scale\": 1}}");
    const struct input *in = &bench->in;
    assert_false(bench->result.is_error);
    assert_str(in->prompt, "\xc3\xa4\xc3\xb6\xf0\x9f\x98\x80 \n");
    assert_true(in->seed == INT64_MAX && in->steps == 15 && in->guidance == 30.5);
    assert_true(in->strength == 1.0f && !in->safe && in->batch == 4);
    assert_string_equal(in->size, "1024x1024");
    assert_int_equal(rp_count(in->tags), 2);
    assert_int_equal(rp_type_of(rp_get(in->any, "x")), RP_NULL);
    assert_string_equal(in->lora.path, "a\"b");
    assert_true(in->lora.scale == 1);
    end(bench, job);
}

#define OK "\"prompt\": \"abc\", \"lora\": {\"path\": \"x\"}"

static void test_errors(void **state)
{
    static const struct {
        const char *input;
        const char *message; /* after "Invalid input: " */
    } cases[] = {
        { "{}", "prompt is required; lora.path is required" },
        { "null", "prompt is required; lora.path is required" },
        { "{\"prompt\": null, \"lora\": null}", "prompt is required; lora.path is required" },
        { "[1]", "it must be an object, not [1]" },
        { "{\"prompt\": 5, \"lora\": {\"path\": \"x\"}}", "prompt must be a string, not 5" },
        { "{\"prompt\": \"\\u00e4\", \"lora\": {\"path\": \"x\"}}",
          "prompt must have at least 2 characters, not 1" },
        { "{\"prompt\": \"abcdef\", \"lora\": {\"path\": \"x\"}}",
          "prompt must have at most 5 characters, not 6" },
        { "{" OK ", \"seed\": -5}", "seed must be at least 0, not -5" },
        { "{" OK ", \"seed\": 9223372036854775808}",
          "seed must be an integer, not 9223372036854775808" },
        { "{" OK ", \"seed\": \"1\"}", "seed must be an integer, not \"1\"" },
        { "{" OK ", \"seed\": 1.5}", "seed must be an integer, not 1.5" },
        { "{" OK ", \"seed\": true}", "seed must be an integer, not true" },
        { "{" OK ", \"steps\": 500}", "steps must be from 1 to 150, not 500" },
        { "{" OK ", \"steps\": 12}", "steps must be a multiple of 5, not 12" },
        { "{" OK ", \"steps\": 2147483648}", "steps must be a 32-bit integer, not 2147483648" },
        { "{" OK ", \"guidance\": 31}", "guidance must be at most 30.5, not 31" },
        { "{" OK ", \"guidance\": [1]}", "guidance must be a number, not [1]" },
        { "{" OK ", \"guidance\": 1e999}", "guidance must be a number, not 1e999" },
        { "{" OK ", \"strength\": 1e39}",
          "strength must be within the range of a float, not 1e39" },
        { "{" OK ", \"safe\": 1}", "safe must be true or false, not 1" },
        { "{" OK ", \"size\": \"1x1\"}", "size must be one of 512x512, 1024x1024, not \"1x1\"" },
        { "{" OK ", \"size\": \"512x512\\u0000\"}",
          "size must be without NUL characters, not \"512x512\\u0000\"" },
        { "{" OK ", \"batch-size\": 3}", "batch-size must be one of 1, 2, 4, not 3" },
        { "{" OK ", \"tags\": {}}", "tags must be an array, not {}" },
        { "{" OK ", \"tags\": [1,2,3]}", "tags must have at most 2 elements, not 3" },
        { "{\"prompt\": \"abc\", \"lora\": [1]}", "lora must be an object, not [1]" },
        { "{\"prompt\": \"abc\", \"lora\": {\"path\": \"x\", \"scale\": 2, \"y\": 1}}",
          "lora.scale must be from 0 to 1, not 2; lora.y is unknown" },
        { "{" OK ", \"colour\": 1, \"\": 2}", "colour is unknown;  is unknown" },
        { "{" OK ", \"seed\": \"a very long text that nobody wants to read in an error\"}",
          "seed must be an integer, not \"a very long text that nobody wants to r..." },
        { "{" OK ", \"seed\": \"123456789012345678901234567890123456789\xc3\xa4\"}",
          "seed must be an integer, not \"123456789012345678901234567890123456789..." },
        { "{\"prompt\": 1, \"steps\": 0, \"safe\": \"no\", \"x\": 1, \"lora\": {\"path\": \"x\"}}",
          "prompt must be a string, not 1; steps must be from 1 to 150, not 0; "
          "safe must be true or false, not \"no\"; x is unknown" },
    };
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job *job = run(bench, cases[i].input);
        slice message = buf_slice(&bench->job.message);
        assert_true(bench->result.is_error);
        if (message.len < 15 || !slice_is(slice_skip(message, 15), cases[i].message))
            fail_msg("%s: %.*s", cases[i].input, SLICE_ARG(message));
        end(bench, job);
    }
}

/* What follows "Invalid input: " in the error; NULL: the input is valid. */
static void assert_verdict(struct bench *bench, const char *input, const char *message)
{
    struct job *job = run(bench, input);
    slice got = buf_slice(&bench->job.message);
    if (bench->result.is_error != (message != NULL) ||
        (message != NULL && (got.len < 15 || !slice_is(slice_skip(got, 15), message))))
        fail_msg("%s: %.*s", input, SLICE_ARG(got));
    end(bench, job);
}

/* What is still allowed, and what is not any more. */
static void test_bounds(void **state)
{
    static const struct {
        const char *input;
        const char *message;
    } cases[] = {
        { "{" OK ", \"seed\": 0}", NULL },
        { "{" OK ", \"steps\": 5}", NULL },
        { "{" OK ", \"steps\": 150}", NULL },
        { "{" OK ", \"steps\": -2147483648}", "steps must be from 1 to 150, not -2147483648" },
        { "{" OK ", \"steps\": 2147483647}", "steps must be from 1 to 150, not 2147483647" },
        { "{" OK ", \"steps\": -2147483649}", "steps must be a 32-bit integer, not -2147483649" },
        { "{\"prompt\": \"\\u00e4b\", \"lora\": {\"path\": \"x\"}}", NULL },
        { "{\"prompt\": \"abc\", \"lora\": {\"path\": \"x\", \"scale\": 0}}", NULL },
        { "{\"prompt\": \"abc\", \"lora\": {\"path\": \"x\", \"scale\": -0.1}}",
          "lora.scale must be from 0 to 1, not -0.1" },
        { "{" OK ", \"strength\": -1e39}",
          "strength must be within the range of a float, not -1e39" },
        { "{" OK ", \"safe\": \"12345678901234567890123456789012345678\"}",
          "safe must be true or false, not \"12345678901234567890123456789012345678\"" },
        { "{" OK ", \"batch-size\": \"1\"}", "batch-size must be an integer, not \"1\"" },
        { "{" OK ", \"size\": null, \"batch-size\": null, \"tags\": null}", NULL },
    };
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_verdict(bench, cases[i].input, cases[i].message);
}

/* Characters of a string, not bytes; other types have no length. */
static void test_lengths_of_values(void **state)
{
    static const rp_field values[] = {
        { RP_FIELD(struct input, any), .min_length = 2, .max_length = 3 },
    };
    static const struct {
        const char *input;
        const char *message;
    } cases[] = {
        { "{\"any\": \"\\u00e4\"}", "any must have at least 2 characters, not 1" },
        { "{\"any\": \"\\u00e4b\"}", NULL },
        { "{\"any\": \"\\u00e4\\u00e4\\u00e4\"}", NULL },
        { "{\"any\": \"abcd\"}", "any must have at most 3 characters, not 4" },
        { "{\"any\": [1]}", "any must have at least 2 elements, not 1" },
        { "{\"any\": [1, 2]}", NULL },
        { "{\"any\": {}}", NULL },
        { "{\"any\": 1}", NULL },
    };
    struct bench *bench = *state;
    bench->fields = values;
    bench->count = 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_verdict(bench, cases[i].input, cases[i].message);
}

/* Structs in structs end somewhere, whatever the table says. */
static void test_depth(void **state)
{
    static const rp_field endless[] = {
        { .name = "a", .kind = RP_KIND_STRUCT, .fields = endless, .field_count = 1 },
    };
    struct bench *bench = *state;
    bench->fields = endless;
    bench->count = 1;
    struct job *job = run(bench, "{}");
    assert_true(bench->result.is_error);
    assert_true(slice_is(buf_slice(&bench->job.message),
                         "Invalid input: a.a.a.a.a.a.a.a.a is more than 8 structs deep"));
    end(bench, job);
}

static void test_unknown_ignored(void **state)
{
    struct bench *bench = *state;
    bench->fields = flat;
    bench->count = 2;
    bench->options = RP_IGNORE_UNKNOWN;
    struct job *job = run(bench, "{\"prompt\": \"abc\", \"colour\": 1}");
    assert_false(bench->result.is_error);
    assert_str(bench->in.prompt, "abc");
    assert_int_equal(bench->in.steps, 0);
    end(bench, job);
}

/* An object that is not there is an empty one, if the input could be read. */
static int validate_none(rp_job *job, void *user)
{
    struct bench *bench = user;
    int rc = rp_validate_fields(job, rp_get(rp_input(job), "none"), bench->fields, bench->count,
                                &bench->in, 0);
    return rc == RP_OK ? rp_return(job, "null") : rc;
}

static void test_no_object(void **state)
{
    struct bench *bench = *state;
    bench->fields = flat + 1;
    bench->count = 1;
    bench->in.steps = 7;
    struct job *job = run_with(bench, validate_none, "{}");
    assert_false(bench->result.is_error);
    assert_int_equal(bench->in.steps, 0);
    end(bench, job);
}

static const char *refuse(rp_value value)
{
    (void)value;
    return "liked";
}

/* What is not among the values that are allowed is not shown to the field's own check. */
static void test_one_error_a_value(void **state)
{
    const rp_field picky[] = {
        { RP_FIELD(struct input, prompt), RP_ALLOW("a", "c"), .check = refuse },
    };
    struct bench *bench = *state;
    bench->fields = picky;
    bench->count = 1;
    assert_verdict(bench, "{\"prompt\": \"b\"}", "prompt must be one of a, c, not \"b\"");
    assert_verdict(bench, "{\"prompt\": \"a\"}", "prompt must be liked, not \"a\"");
}

/* Its reason is in the log, and not that it lacks what the table wants. */
static void test_unreadable(void **state)
{
    struct bench *bench = *state;
    char input[2 * JSON_DOC_DEPTH_MAX + 1] = "";
    memset(input, '[', JSON_DOC_DEPTH_MAX);
    memset(input + JSON_DOC_DEPTH_MAX, ']', JSON_DOC_DEPTH_MAX); /* the job is one more */
    struct job *job = run(bench, input);
    assert_true(bench->result.is_error);
    assert_true(slice_is(buf_slice(&bench->job.message),
                         "The input cannot be read; the reason is in the log."));
    end(bench, job);
}

/* More errors than there is room for are counted. */
static void test_too_many_errors(void **state)
{
    static char input[200000] = "{\"a\": 1";
    struct bench *bench = *state;
    bench->fields = flat;
    bench->count = 2;
    for (int i = 0; i < 5000; i++)
        sprintf(input + strlen(input), ", \"name %d\": 1", i);
    strcat(input, "}");
    struct job *job = run(bench, input);
    slice message = buf_slice(&bench->job.message);
    char end_of[40] = "";
    assert_true(bench->result.is_error && message.len <= LIMIT_ERROR_BYTES);
    memcpy(end_of, message.ptr + message.len - 17, 17);
    assert_non_null(strstr(end_of, "; and 48"));
    assert_non_null(strstr(end_of, " more"));
    end(bench, job);
}

/* Every place at which the last error that fits can end, up to the end of the message's array. */
static void test_errors_up_to_the_last_byte(void **state)
{
    struct bench *bench = *state;
    bench->fields = flat;
    bench->count = 2;
    for (int tail = 1; tail <= 40; tail++) {
        static char input[10000];
        struct text text = TEXT_OVER(input);
        text_add(&text, "{\"%.*s\": 1", tail, "tttttttttttttttttttttttttttttttttttttttt");
        for (int i = 0; i < 80; i++)
            text_add(&text, ", \"%040d\": 1", i);
        text_add(&text, "}");
        struct job *job = run(bench, input);
        slice message = buf_slice(&bench->job.message);
        assert_true(bench->result.is_error && message.len <= LIMIT_ERROR_BYTES);
        assert_true(slice_ends_nocase(message, SLICE_LITERAL(" more")));
        assert_non_null(
            memmem(message.ptr, message.len, " is unknown; and ", 17)); /* none is cut */
        end(bench, job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lengths_of_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_depth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_error_a_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unreadable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_up_to_the_last_byte, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("validate", tests, NULL, NULL);
}
