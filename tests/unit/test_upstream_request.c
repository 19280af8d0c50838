/* upstream/request.h: from a job's input to the request it stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "upstream/request.h"
#include "upstream/route_map.h"

/*
 * Compares "METHOD route body" of an input: with the model "m" where one is wanted, "?" in front
 * where a stream is.
 */
static void check_with(const struct upstream_forms *forms, const char *input, const char *expected)
{
    struct arena arena;
    struct upstream_request call;
    struct err err = { 0 };
    struct buf text;
    arena_init(&arena, 65536);
    buf_init(&text, 65536, "test");
    int rc = upstream_request_read(&call, slice_from(input), forms, &arena, &err);
    if (rc != 0) {
        buf_add_text(&text, "error", NULL);
        assert_int_equal(rc, ERR_INPUT);
    } else {
        if (call.wants_model)
            upstream_request_set_model(&call, SLICE_LITERAL("\"m\""));
        assert_true(call.body_count <= UPSTREAM_REQUEST_PARTS);
        buf_add_text(&text, call.wants_stream ? "?" : "", NULL);
        buf_add_text(&text, call.method, NULL);
        buf_add_text(&text, " ", NULL);
        buf_add_slice(&text, call.route, NULL);
        buf_add_text(&text, call.body_count > 0 ? " " : "", NULL);
        for (size_t i = 0; i < call.body_count; i++)
            buf_add_slice(&text, call.body[i], NULL);
    }
    buf_add(&text, "", 1, NULL);
    assert_string_equal(text.ptr, expected);
    buf_free(&text);
    arena_free(&arena);
}

static void check(const char *input, const char *expected)
{
    static const struct upstream_forms forms;
    check_with(&forms, input, expected);
}

static void test_openai(void **state)
{
    (void)state;
    check("{\"openai_route\": \"/v1/models\"}", "GET /v1/models");
    check("{\"openai_input\": {\"model\": \"x\", \"stream\": true}}",
          "?POST /v1/chat/completions {\"model\": \"x\", \"stream\": true}");
    check("{\"openai_route\": \"/v1/e\", \"openai_input\": {\"a\": 1}}",
          "POST /v1/e {\"model\": \"m\", \"a\": 1}");
    check("{\"openai_route\": null, \"openai_input\": {\"a\": 1}}",
          "POST /v1/chat/completions {\"model\": \"m\", \"a\": 1}");
    check("{\"openai_route\": \"\", \"openai_input\": {\"a\": 1}}",
          "POST /v1/chat/completions {\"model\": \"m\", \"a\": 1}");
    check("{\"openai_input\": [1]}", "POST /v1/chat/completions [1]");
    check("{\"openai_input\": {\"model\": \"x\", \"stream\": false}}",
          "POST /v1/chat/completions {\"model\": \"x\", \"stream\": false}");
    check("{\"openai_input\": {\"model\": \"x\", \"stream\": \"true\"}}",
          "POST /v1/chat/completions {\"model\": \"x\", \"stream\": \"true\"}");
    check("{\"openai_route\": 7}", "error");
    check("{\"openai_route\": \"//h\"}", "error");
}

/* Empty in any way is no body: the route is asked, not told. */
static void test_empty_bodies(void **state)
{
    static const char *const empty[] = { "null",  "{}", "{ }", "[]",  "\"\"",
                                         "false", "0",  "0.0", "-0e5" };
    static const char *const full[] = { "true", "1", "\" \"", "[0]", "1e-300", "\"0\"" };
    char input[128], expected[128];
    (void)state;
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        snprintf(input, sizeof input, "{\"openai_route\": \"/m\", \"openai_input\": %s}", empty[i]);
        check(input, "GET /m");
        snprintf(input, sizeof input, "{\"body\": %s, \"route\": \"/m\"}", empty[i]);
        check(input, "GET /m");
        snprintf(input, sizeof input, "{\"openai_input\": %s, \"prompt\": 1}", empty[i]);
        check(input, "POST /v1/completions {\"model\": \"m\", \"prompt\": 1, \"stream\": false}");
    }
    for (size_t i = 0; i < sizeof full / sizeof full[0]; i++) {
        snprintf(input, sizeof input, "{\"route\": \"/m\", \"body\": %s}", full[i]);
        snprintf(expected, sizeof expected, "POST /m %s", full[i]);
        check(input, expected);
    }
}

static void test_route(void **state)
{
    (void)state;
    check("{\"route\": \"/x\"}", "GET /x");
    check("{\"route\": \"/x\", \"body\": {\"a\": 1}, \"method\": \"PUT\"}", "PUT /x {\"a\": 1}");
    check("{\"route\": \"/x\", \"body\": {}, \"method\": \"POST\"}", "POST /x {}");
    check("{\"route\": \"/x\", \"body\": null, \"method\": \"POST\"}", "POST /x");
    check("{\"route\": \"/x\", \"body\": {}, \"method\": \"GET\"}", "GET /x");
    check("{\"route\": \"/x\", \"method\": null}", "GET /x");
    check("{\"route\": \"/x\", \"method\": \"patch\"}", "PATCH /x");
    check("{\"route\": \"/\\u0061\", \"method\": \"Delete\"}", "DELETE /a");
    check("{\"route\": \"/x\", \"method\": \"CONNECT\"}", "error");
    check("{\"route\": \"/x\", \"method\": \"\"}", "error");
    check("{\"route\": \"/x\", \"method\": \"get\\u0000\"}", "error");
    check("{\"route\": [\"/x\"]}", "error");
    check("{\"route\": null, \"body\": 1}", "POST / {\"route\": null, \"body\": 1}");
}

static void test_shorthand(void **state)
{
    (void)state;
    check("{\"messages\": [1]}",
          "POST /v1/chat/completions {\"model\": \"m\", \"messages\": [1], \"stream\": false}");
    check(
        "{\"prompt\": \"p\", \"sampling_params\": {\"n\": 2}, \"stream\": true}",
        "?POST /v1/completions {\"model\": \"m\", \"n\": 2, \"prompt\": \"p\", \"stream\": true}");
    check("{\"messages\": [], \"sampling_params\": {\"model\": \"own\"}}",
          "POST /v1/chat/completions {\"model\": \"own\", \"messages\": [], \"stream\": false}");
    check("{\"messages\": [], \"sampling_params\": { }}",
          "POST /v1/chat/completions {\"model\": \"m\", \"messages\": [], \"stream\": false}");
    check("{\"prompt\": \"p\", \"sampling_params\": null, \"stream\": null, \"messages\": null, "
          "\"openai_route\": null, \"route\": \"\"}",
          "POST /v1/completions {\"model\": \"m\", \"prompt\": \"p\", \"stream\": false}");
    check("{\"prompt\": \"p\", \"stream\": \"true\"}",
          "POST /v1/completions {\"model\": \"m\", \"prompt\": \"p\", \"stream\": \"true\"}");
    check("{\"messages\": [], \"sampling_params\": 1}", "error");
}

/* Nothing is dropped; of two, the parameter wins. */
static void test_members_beside(void **state)
{
    (void)state;
    check(
        "{\"n\": 1, \"model\": \"me\", \"messages\": [1], \"t\\u00e9\": {\"a\": [2]}, \"x\": null}",
        "POST /v1/chat/completions {\"n\": 1, \"model\": \"me\", \"t\\u00e9\": {\"a\": [2]}, "
        "\"x\": null, \"messages\": [1], \"stream\": false}");
    check(
        "{\"n\": 1, \"k\": 2, \"prompt\": \"p\", \"sampling_params\": {\"n\": 3, \"stream\": true}"
        ", \"stream\": false}",
        "?POST /v1/completions {\"model\": \"m\", \"k\": 2, \"n\": 3, \"stream\": true, "
        "\"prompt\": \"p\"}");
    check("{\"messages\": [1], \"prompt\": \"p\"}",
          "POST /v1/chat/completions {\"model\": \"m\", \"messages\": [1], \"stream\": false}");
}

/* A prompt with so many members beside it, or so many parameters. */
static int read_members(int beside, int parameters)
{
    static const struct upstream_forms forms;
    struct upstream_request call;
    struct arena arena;
    struct buf input;
    struct err err = { 0 };
    arena_init(&arena, 65536);
    buf_init(&input, 1 << 20, "test");
    buf_add_text(&input, "{\"prompt\": 1, \"sampling_params\": {\"b\":1", NULL);
    for (int i = 1; i < parameters; i++)
        buf_add_text(&input, ", \"b\":1", NULL);
    buf_add_text(&input, "}", NULL);
    for (int i = 0; i < beside; i++)
        buf_add_text(&input, ", \"a\":1", NULL);
    buf_add_text(&input, "}", NULL);
    int rc = upstream_request_read(&call, buf_slice(&input), &forms, &arena, &err);
    assert_true(rc == 0 || strstr(err.text, "more than 1000 members") != NULL);
    buf_free(&input);
    arena_free(&arena);
    return rc;
}

static void test_too_many_members(void **state)
{
    (void)state;
    assert_int_equal(read_members(998, 1), 0);
    assert_int_equal(read_members(999, 1), ERR_INPUT);
    assert_int_equal(read_members(0, 1000), 0);
    assert_int_equal(read_members(0, 1001), ERR_INPUT);
}

static void test_anything_else(void **state)
{
    (void)state;
    check("[1]", "POST / [1]");
    check("null", "POST / null");
    check("{\"body\": 1}", "POST / {\"body\": 1}");
    check("{\"text\": \"t\", \"stream\": true}", "?POST / {\"text\": \"t\", \"stream\": true}");
}

/* Every input goes there, whatever members it has. */
static void test_url_with_a_path(void **state)
{
    const struct upstream_forms forms = { .path = SLICE_LITERAL("/generate") };
    (void)state;
    check_with(&forms, "{\"prompt\": \"p\"}", "POST /generate {\"prompt\": \"p\"}");
    check_with(&forms, "{\"route\": \"/x\", \"method\": \"GET\"}",
               "POST /generate {\"route\": \"/x\", \"method\": \"GET\"}");
    check_with(&forms, "7", "POST /generate 7");
}

static void test_route_map(void **state)
{
    struct upstream_forms forms = { .path = { 0 } };
    struct err err;
    (void)state;
    assert_int_equal(route_map_add(&forms.map, " query,docs=/rerank\n input=/embeddings ", &err),
                     0);
    assert_int_equal(route_map_add(&forms.map, "input,x=/never", &err), 0);
    check_with(&forms, "{\"docs\": [], \"query\": 1}", "POST /rerank {\"docs\": [], \"query\": 1}");
    check_with(&forms, "{\"query\": 1, \"input\": 2}",
               "POST /embeddings {\"query\": 1, \"input\": 2}");
    check_with(&forms, "{\"in\\u0070ut\": 2, \"x\": 1}",
               "POST /embeddings {\"in\\u0070ut\": 2, \"x\": 1}");
    check_with(&forms, "{\"input\": null}", "POST / {\"input\": null}");
    check_with(&forms, "{\"input\": 1, \"route\": \"/x\"}", "GET /x");
    check_with(&forms, "[\"input\"]", "POST / [\"input\"]");
    assert_int_equal(route_map_add(&forms.map, "*=/all?a=b", &err), 0);
    check_with(&forms, "[\"input\"]", "POST /all?a=b [\"input\"]");
}

static void test_maps_that_cannot_be_used(void **state)
{
    static const char *const bad[] = { "a", "=/x", "a=", "a=x", ",a=/x", "a=/../x", "a=//h" };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct route_map map = { .count = 0 };
        struct err err;
        if (route_map_add(&map, bad[i], &err) != ERR_CONFIG)
            fail_msg("%s", bad[i]);
    }
    struct route_map map = { .count = 0 };
    struct err err;
    for (int i = 0; i < ROUTE_MAP_MAX; i++)
        assert_int_equal(route_map_add(&map, "a=/x", &err), 0);
    assert_int_equal(route_map_add(&map, "a=/x", &err), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openai),         cmocka_unit_test(test_empty_bodies),
        cmocka_unit_test(test_route),          cmocka_unit_test(test_shorthand),
        cmocka_unit_test(test_members_beside), cmocka_unit_test(test_too_many_members),
        cmocka_unit_test(test_anything_else),  cmocka_unit_test(test_url_with_a_path),
        cmocka_unit_test(test_route_map),      cmocka_unit_test(test_maps_that_cannot_be_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
