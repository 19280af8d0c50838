/* job/http_call.h: from a job's input to the request that it means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "job/http_call.h"

/* "METHOD route body" of an input; with a model's name where one is wanted; "?" in front of a stream. */
static void check(const char *input, const char *expected)
{
    struct arena arena;
    struct http_call call;
    struct err err = { 0 };
    struct buf text;
    arena_init(&arena, 65536);
    buf_init(&text, 65536, "test");
    int rc = http_call_read(&call, slice_from(input), &arena, &err);
    if (rc != 0) {
        buf_add_text(&text, "error", NULL);
        assert_int_equal(rc, ERR_INPUT);
    } else {
        if (call.wants_model)
            http_call_set_model(&call, SLICE_LITERAL("\"m\""));
        assert_true(call.body_count <= HTTP_CALL_PARTS);
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

static void test_openai(void **state)
{
    (void)state;
    check("{\"openai_route\": \"/v1/models\"}", "GET /v1/models");
    check("{\"openai_input\": {\"model\": \"x\", \"stream\": true}}",
          "?POST /v1/chat/completions {\"model\": \"x\", \"stream\": true}");
    check("{\"openai_route\": \"/v1/e\", \"openai_input\": {\"a\": 1}}",
          "POST /v1/e {\"model\": \"m\", \"a\": 1}");
    check("{\"openai_input\": { }}", "POST /v1/chat/completions {\"model\": \"m\" }");
    check("{\"openai_input\": [1]}", "POST /v1/chat/completions [1]");
    check("{\"openai_route\": 7}", "error");
    check("{\"openai_route\": \"//h\"}", "error");
}

static void test_route(void **state)
{
    (void)state;
    check("{\"route\": \"/x\"}", "GET /x");
    check("{\"route\": \"/x\", \"body\": null}", "POST /x null");
    check("{\"route\": \"/x\", \"body\": {\"a\": 1}, \"method\": \"PUT\"}", "PUT /x {\"a\": 1}");
    check("{\"route\": \"/\\u0061\", \"method\": \"DELETE\"}", "DELETE /a");
    check("{\"route\": \"/x\", \"method\": \"CONNECT\"}", "error");
    check("{\"route\": null}", "error");
}

static void test_shorthand(void **state)
{
    (void)state;
    check("{\"messages\": [1]}", "POST /v1/chat/completions {\"model\": \"m\", \"messages\": [1]}");
    check(
        "{\"prompt\": \"p\", \"sampling_params\": {\"n\": 2}, \"stream\": true}",
        "?POST /v1/completions {\"model\": \"m\", \"n\": 2, \"prompt\": \"p\", \"stream\": true}");
    check("{\"messages\": [], \"sampling_params\": {\"model\": \"own\"}}",
          "POST /v1/chat/completions {\"model\": \"own\", \"messages\": []}");
    check("{\"messages\": [], \"sampling_params\": { }}",
          "POST /v1/chat/completions {\"model\": \"m\", \"messages\": []}");
    check("{\"messages\": [], \"sampling_params\": 1}", "error");
}

static void test_anything_else(void **state)
{
    (void)state;
    check("[1]", "POST  [1]");
    check("null", "POST  null");
    check("{\"body\": 1}", "POST  {\"body\": 1}");
    check("{\"text\": \"t\", \"stream\": true}", "?POST  {\"text\": \"t\", \"stream\": true}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openai),
        cmocka_unit_test(test_route),
        cmocka_unit_test(test_shorthand),
        cmocka_unit_test(test_anything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
