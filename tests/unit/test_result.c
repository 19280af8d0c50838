/* job/result: what a handler made, in the shape that clients of the SDK's worker expect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
#include "job/result.h"
#include "json_same.h"
#include "json/json.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The body in one piece, NUL-terminated, until the next call. */
static const char *body_of(const struct result *result)
{
    static char body[131072];
    size_t len = 0;
    for (size_t i = 0; i < result->count; i++) {
        assert_true(len + result->pieces[i].len < sizeof body);
        memcpy(body + len, result->pieces[i].ptr, result->pieces[i].len);
        len += result->pieces[i].len;
    }
    assert_int_equal(len, result->bytes);
    assert_int_equal(json_check((slice){ body, len }, NULL, NULL), 0);
    body[len] = '\0';
    return body;
}

static void assert_body(const struct result *result, const char *expected)
{
    const char *body = body_of(result);
    if (!json_same(slice_from(body), slice_from(expected)))
        fail_msg("body %s, expected %s", body, expected);
}

static const struct shape {
    const char *output;
    bool stop_pod;
    const char *body;
    bool is_error;
    bool body_stops;
} shapes[] = {
    { "1", false, "{\"output\": 1}", false, false },
    { "null", false, "{\"output\": null}", false, false },
    { "false", false, "{\"output\": false}", false, false },
    { "\"\"", false, "{\"output\": \"\"}", false, false },
    { "[]", false, "{\"output\": []}", false, false },
    { " [ 1 ] ", false, "{\"output\": [1]}", false, false },
    { "{\"a\": {\"error\": 1}}", false, "{\"output\": {\"a\": {\"error\": 1}}}", false, false },
    { "[{\"error\": 1}]", false, "{\"output\": [{\"error\": 1}]}", false, false },
    { "{}", false, "{}", false, false },
    { "{}", true, "{\"stopPod\": true}", false, true },
    { "7", true, "{\"output\": 7, \"stopPod\": true}", false, true },
    { "{\"error\": \"bad\"}", false, "{\"error\": \"bad\"}", true, false },
    { "{\"error\": \"bad\"}", true, "{\"error\": \"bad\", \"stopPod\": true}", true, true },
    { " {\"error\": \"bad\"} ", false, "{\"error\": \"bad\"}", true, false },
    { "{\"error\": {\"code\": 3}}", false, "{\"error\": {\"code\": 3}}", true, false },
    { "{\"a\": 1, \"error\": \"bad\", \"b\": 2}", false,
      "{\"output\": {\"a\": 1, \"b\": 2}, \"error\": \"bad\"}", true, false },
    { "{\"a\": 1, \"refresh_worker\": true}", false, "{\"output\": {\"a\": 1}, \"stopPod\": true}",
      false, true },
    { "{\"refresh_worker\": true}", false, "{\"stopPod\": true}", false, true },
    { "{\"refresh_worker\": 1}", false, "{\"stopPod\": true}", false, true },
    { "{\"refresh_worker\": false, \"a\": 1}", false, "{\"output\": {\"a\": 1}}", false, false },
    { "{\"refresh_worker\": true, \"error\": \"x\", \"a\": 1}", false,
      "{\"output\": {\"a\": 1}, \"error\": \"x\", \"stopPod\": true}", true, true },
    /* What Python calls false is no error; the member goes all the same. */
    { "{\"error\": null, \"a\": 1}", false, "{\"output\": {\"a\": 1}}", false, false },
    { "{\"error\": \"\", \"a\": 1}", false, "{\"output\": {\"a\": 1}}", false, false },
    { "{\"error\": 0}", false, "{}", false, false },
    { "{\"error\": 0.0}", false, "{}", false, false },
    { "{\"error\": []}", false, "{}", false, false },
    { "{\"error\": { }}", false, "{}", false, false },
    { "{\"error\": false}", false, "{}", false, false },
    { "{\"error\": true}", false, "{\"error\": true}", true, false },
    { "{\"error\": [0]}", false, "{\"error\": [0]}", true, false },
    { "{\"error\": 0.1}", false, "{\"error\": 0.1}", true, false },
    /* The last of two members counts, and neither stays behind. */
    { "{\"error\": \"x\", \"error\": null, \"a\": 1}", false, "{\"output\": {\"a\": 1}}", false,
      false },
    { "{\"error\": null, \"error\": \"y\"}", false, "{\"error\": \"y\"}", true, false },
};

static void output_takes_its_shape(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct result result;
        struct err err = { 0 };
        result_init(&result, 60000);
        assert_int_equal(
            result_seal_output(&result, slice_from(shapes[i].output), shapes[i].stop_pod, &err), 0);
        assert_body(&result, shapes[i].body);
        assert_int_equal(result.is_error, shapes[i].is_error);
        assert_int_equal(result.stop_pod, shapes[i].body_stops);
        result_free(&result);
    }
}

/* What is written anew may move while it grows: at each size the body is whole. */
static void an_output_of_any_size_is_rewritten(void **state)
{
    static char text[5000], output[6000], expected[6000];
    (void)state;
    memset(text, 'x', sizeof text);
    for (int len = 0; len < (int)sizeof text; len += 50) {
        struct result result;
        struct err err = { 0 };
        snprintf(output, sizeof output, "{\"error\": \"bad\", \"a\": \"%.*s\"}", len, text);
        snprintf(expected, sizeof expected,
                 "{\"output\": {\"a\": \"%.*s\"}, \"error\": \"bad\", \"stopPod\": true}", len,
                 text);
        result_init(&result, 60000);
        assert_int_equal(result_seal_output(&result, slice_from(output), true, &err), 0);
        assert_body(&result, expected);
        result_free(&result);
    }
}

static void output_is_not_copied(void **state)
{
    struct result result;
    struct err err = { 0 };
    const char *output = "{\"a\": [1, 2, 3]}";
    (void)state;
    result_init(&result, 60000);
    assert_int_equal(result_seal_output(&result, slice_from(output), false, &err), 0);
    assert_ptr_equal(result.pieces[1].ptr, output);
    result_free(&result);
}

static void limit_counts_the_whole_body(void **state)
{
    struct result result;
    struct err err = { 0 };
    (void)state;
    result_init(&result, 20);
    /* {"output": "1234567"} is 21 bytes, one digit less is 20. */
    assert_int_equal(result_seal_output(&result, slice_from("\"123456\""), false, &err), 0);
    assert_int_equal(result.bytes, 20);
    assert_int_equal(result_seal_output(&result, slice_from("\"1234567\""), false, &err),
                     ERR_LIMIT);
    assert_non_null(strstr(err.text, "21 bytes"));
    assert_non_null(strstr(err.text, "RP_MAX_RESULT_MB"));
    assert_non_null(strstr(err.text, "link"));
    result_free(&result);
}

/* For outputs of others' making: no member of them means anything. */
static void an_opaque_output_stays_as_it_is(void **state)
{
    struct result result;
    struct err err = { 0 };
    (void)state;
    result_init(&result, 60000);
    const slice output = SLICE_LITERAL(" {\"error\": \"x\", \"refresh_worker\": true} ");
    assert_int_equal(result_seal_opaque(&result, output, false, &err), 0);
    assert_body(&result, "{\"output\": {\"error\": \"x\", \"refresh_worker\": true}}");
    assert_false(result.is_error || result.stop_pod);
    assert_int_equal(result_seal_opaque(&result, output, true, &err), 0);
    assert_true(result.stop_pod);
    result_free(&result);
}

static void an_error_in_an_output_is_found(void **state)
{
    slice error;
    (void)state;
    assert_true(result_has_error(SLICE_LITERAL("{\"a\": 1, \"error\": \"x\"}"), &error));
    assert_true(slice_is(error, "\"x\""));
    assert_false(result_has_error(SLICE_LITERAL("{\"error\": \"\"}"), &error));
    assert_false(result_has_error(SLICE_LITERAL("{\"a\": {\"error\": 1}}"), &error));
    assert_false(result_has_error(SLICE_LITERAL("[\"error\"]"), &error));
    assert_false(result_has_error(SLICE_LITERAL("\"error\""), &error));
}

static void the_text_of_an_error_has_a_limit(void **state)
{
    static char text[LIMIT_ERROR_BYTES + 1];
    const size_t around = strlen("{\"error\": \"\"}");
    struct result result;
    (void)state;
    memset(text, 'x', sizeof text);
    result_init(&result, 60000);
    for (size_t more = 0; more < 2; more++) {
        result_seal_error_text(&result, (slice){ text, LIMIT_ERROR_BYTES + more }, false);
        body_of(&result);
        assert_int_equal(result.bytes, around + LIMIT_ERROR_BYTES);
        assert_false(result.stop_pod);
    }
    result_free(&result);
}

static const struct config config = {
    .pod_hostname = { "pod-host", 8 },
    .worker_id = { "pod-1", 5 },
    .has_pod_id = true,
    .contract_version = { "1.12.0", 6 },
};

static void failure_is_a_string_that_holds_an_object(void **state)
{
    struct result result;
    struct arena arena;
    slice error, text, inner, value;
    const struct failure failure = { .type = "HandlerError",
                                     .message = slice_from("a \"quoted\"\nmessage"),
                                     .traceback = slice_from("x.c:1 in f") };
    (void)state;
    arena_init(&arena, 65536);
    result_init(&result, 60000);
    result_seal_failure(&result, &failure, &config, false);
    assert_true(result.is_error);
    slice body = slice_from(body_of(&result));
    assert_true(json_member(body, "error", &error));
    assert_int_equal(json_string(error, &arena, &inner, NULL), 0);
    assert_int_equal(json_check(inner, NULL, NULL), 0);
    static const char *const expected[][2] = {
        { "error_type", "HandlerError" },
        { "error_message", "a \"quoted\"\nmessage" },
        { "error_traceback", "x.c:1 in f" },
        { "hostname", "pod-host" },
        { "worker_id", "pod-1" },
        { "runpod_version", "1.12.0" },
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_true(json_member(inner, expected[i][0], &value));
        assert_int_equal(json_string(value, &arena, &text, NULL), 0);
        assert_true(slice_is(text, expected[i][1]));
    }
    arena_free(&arena);
    result_free(&result);
}

static void failure_takes_any_bytes_and_any_length(void **state)
{
    static char bytes[20000];
    struct result result;
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    const struct failure failure = { .type = "HandlerError",
                                     .message = { bytes, sizeof bytes },
                                     .traceback = { bytes, 256 },
                                     .logs = { bytes, sizeof bytes } };
    result_init(&result, 1000000);
    result_seal_failure(&result, &failure, &config, true);
    assert_true(result.stop_pod);
    body_of(&result);
    result_free(&result);
}

static slice member_of(slice object, const char *name, struct arena *arena)
{
    slice value, text = { 0 };
    if (json_member(object, name, &value))
        assert_int_equal(json_string(value, arena, &text, NULL), 0);
    return text;
}

static void failed_start_has_the_form_of_change_570(void **state)
{
    static char bytes[3 * LIMIT_CAPTURE_BYTES];
    struct result result;
    struct arena arena;
    slice error, inner, name, value;
    (void)state;
    memset(bytes, '\n', sizeof bytes); /* each is escaped twice */
    const struct failure failure = { .type = "StartError",
                                     .message = slice_from("no model"),
                                     .logs = { bytes, sizeof bytes },
                                     .hook = "setup" };
    arena_init(&arena, 1000000);
    result_init(&result, 1000000);
    result_seal_failure(&result, &failure, &config, false);
    assert_true(json_member(slice_from(body_of(&result)), "error", &error));
    assert_int_equal(json_string(error, &arena, &inner, NULL), 0);
    static const char *const names[] = { "event",         "error_type",
                                         "error_message", "error_traceback",
                                         "worker_id",     "runpod_version",
                                         "hook",          "logs" };
    size_t pos = 0;
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_true(json_next_member(inner, &pos, &name, &value));
        assert_true(slice_is(name, names[i]));
    }
    assert_false(json_next_member(inner, &pos, &name, &value));
    assert_true(slice_is(member_of(inner, "event", &arena), "prestart_failed"));
    assert_true(slice_is(member_of(inner, "hook", &arena), "setup"));
    assert_int_equal(member_of(inner, "logs", &arena).len, LIMIT_CAPTURE_BYTES);
    arena_free(&arena);
    result_free(&result);
}

/* What is not known is called so; the random id that replaces a pod's is not told. */
static void failures_name_what_is_known(void **state)
{
    static char long_message[LIMIT_ERROR_BYTES + 1];
    static const struct config unknown = { .worker_id = { "random", 6 } };
    struct result result;
    struct arena arena;
    slice error, inner, value;
    (void)state;
    memset(long_message, 'm', sizeof long_message);
    const struct failure failure = { .type = "T",
                                     .message = { long_message, sizeof long_message } };
    arena_init(&arena, 1000000);
    result_init(&result, 1000000);
    result_seal_failure(&result, &failure, &unknown, false);
    assert_true(json_member(slice_from(body_of(&result)), "error", &error));
    assert_int_equal(json_string(error, &arena, &inner, NULL), 0);
    assert_true(slice_is(member_of(inner, "hostname", &arena), "unknown"));
    assert_true(slice_is(member_of(inner, "worker_id", &arena), "unknown"));
    assert_int_equal(member_of(inner, "error_message", &arena).len, LIMIT_ERROR_BYTES);
    assert_false(json_member(inner, "logs", &value));
    assert_false(json_member(inner, "event", &value));
    assert_false(result.stop_pod);
    arena_free(&arena);
    result_free(&result);
}

static void no_memory_still_leaves_an_error(void **state)
{
    struct result result;
    (void)state;
    result_init(&result, 8);
    result_seal_error_text(&result, slice_from("some reason"), false);
    assert_true(result.is_error);
    slice error;
    assert_true(json_member(slice_from(body_of(&result)), "error", &error));
    result_free(&result);
}

static void results_can_be_sealed_one_after_the_other(void **state)
{
    struct result result;
    struct err err = { 0 };
    (void)state;
    result_init(&result, 60000);
    result_seal_error_text(&result, slice_from("first"), true);
    assert_body(&result, "{\"error\": \"first\", \"stopPod\": true}");
    result.is_stream = true;
    assert_int_equal(result_seal_output(&result, slice_from("2"), false, &err), 0);
    assert_body(&result, "{\"output\": 2}");
    assert_false(result.is_error);
    assert_false(result.stop_pod);
    assert_false(result.is_stream);
    result_free(&result);
}

static void pieces_are_known_by_where_they_lie(void **state)
{
    static const char input[] = "{\"a\": [1, 2]}";
    const slice whole = { input, sizeof input - 1 }, part = { input + 6, 6 };
    struct result result;
    struct err err;
    (void)state;
    result_init(&result, 1000);
    assert_false(result_lies_in(&result, whole));
    assert_int_equal(result_seal_output(&result, part, false, &err), 0);
    assert_true(result_lies_in(&result, whole));
    assert_false(result_lies_in(&result, (slice){ input, 6 }));
    assert_false(result_lies_in(&result, (slice){ input + 12, 1 }));
    assert_false(result_lies_in(&result, (slice){ 0 }));
    result_seal_error_text(&result, whole, false);
    assert_false(result_lies_in(&result, whole));
    result_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_known_by_where_they_lie),
        cmocka_unit_test(output_takes_its_shape),
        cmocka_unit_test(an_output_of_any_size_is_rewritten),
        cmocka_unit_test(output_is_not_copied),
        cmocka_unit_test(limit_counts_the_whole_body),
        cmocka_unit_test(an_opaque_output_stays_as_it_is),
        cmocka_unit_test(an_error_in_an_output_is_found),
        cmocka_unit_test(the_text_of_an_error_has_a_limit),
        cmocka_unit_test(failure_is_a_string_that_holds_an_object),
        cmocka_unit_test(failure_takes_any_bytes_and_any_length),
        cmocka_unit_test(failed_start_has_the_form_of_change_570),
        cmocka_unit_test(failures_name_what_is_known),
        cmocka_unit_test(no_memory_still_leaves_an_error),
        cmocka_unit_test(results_can_be_sealed_one_after_the_other),
    };
    return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
