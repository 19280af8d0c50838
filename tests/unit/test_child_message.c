/* job/child_message: what the lines of a child mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "job/child_message.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct kind_row {
    const char *line;
    enum message_kind kind;
} kinds[] = {
    { "", MESSAGE_TEXT },
    { "   ", MESSAGE_TEXT },
    { "plain", MESSAGE_TEXT },
    { "12", MESSAGE_TEXT },
    { "[{\"output\": 1}]", MESSAGE_TEXT },
    { "{}", MESSAGE_TEXT },
    { "{\"other\": 1, \"id\": \"x\", \"level\": 1}", MESSAGE_TEXT },
    { "{'output': 1}", MESSAGE_TEXT },
    { "{broken", MESSAGE_TEXT },
    { "{\"log\": NaN}", MESSAGE_TEXT },
    { "{\"output", MESSAGE_TEXT },
    { "{\"outputs\": NaN}", MESSAGE_TEXT },
    { "{\"output\"", MESSAGE_BROKEN },
    { " { \"output\" : NaN }", MESSAGE_BROKEN },
    { "{\"error\": 'x'}", MESSAGE_BROKEN },
    { "{\"output\": 1} tail", MESSAGE_BROKEN },
    { "{\"output\": \"\xff\"}", MESSAGE_BROKEN },
    { "{\"output\": null}", MESSAGE_VALID },
    { "  {\"output\": 1}\t", MESSAGE_VALID },
    { "{\"out\\u0070ut\": 1}", MESSAGE_VALID },
    { "{\"error\": \"\"}", MESSAGE_VALID },
    { "{\"stream\": []}", MESSAGE_VALID },
    { "{\"progress\": 0.5}", MESSAGE_VALID },
    { "{\"log\": \"x\"}", MESSAGE_VALID },
    { "{\"ready\": true}", MESSAGE_VALID },
    { "{\"refresh_worker\": false}", MESSAGE_VALID },
};

static void kinds_of_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct message message;
        struct err err = { 0 };
        enum message_kind kind = message_read(slice_from(kinds[i].line), &message, &err);
        if (kind != kinds[i].kind)
            fail_msg("%s: %d", kinds[i].line, (int)kind);
        if (kind == MESSAGE_BROKEN)
            assert_true(err.code < 0 && err.text[0] != '\0');
    }
}

static void assert_slice(slice found, const char *text)
{
    assert_int_equal(found.len, strlen(text));
    assert_memory_equal(found.ptr, text, found.len);
}

static void every_member_is_found_where_it_stands(void **state)
{
    static const char line[] =
        "{\"id\": \"a\", \"output\": {\"error\": 1}, \"error\": null, \"error_type\": \"T\", "
        "\"traceback\": \"t\", \"stream\": [1], \"progress\": 2, \"log\": \"l\", \"level\": 3, "
        "\"ready\": true, \"refresh_worker\": true, \"unknown\": {}}";
    struct message message;
    (void)state;
    assert_int_equal(message_read(slice_from(line), &message, NULL), MESSAGE_VALID);
    assert_slice(message.id, "\"a\"");
    assert_slice(message.output, "{\"error\": 1}");
    assert_slice(message.error, "null");
    assert_slice(message.error_type, "\"T\"");
    assert_slice(message.traceback, "\"t\"");
    assert_slice(message.stream, "[1]");
    assert_slice(message.progress, "2");
    assert_slice(message.log, "\"l\"");
    assert_slice(message.level, "3");
    assert_true(message_is_true(message.ready));
    assert_true(message_is_true(message.refresh));
    assert_true(message.output.ptr > line && message.output.ptr < line + sizeof line);
}

static bool is_for(const char *line, const char *id)
{
    struct message message;
    assert_int_equal(message_read(slice_from(line), &message, NULL), MESSAGE_VALID);
    return message_is_for(&message, slice_from(id));
}

static void the_id_is_optional_but_counts(void **state)
{
    (void)state;
    assert_true(is_for("{\"output\": 1}", "a"));
    assert_true(is_for("{\"id\": null, \"output\": 1}", "a"));
    assert_true(is_for("{\"id\": \"a\", \"output\": 1}", "a"));
    assert_true(is_for("{\"id\": \"\\u00e4\", \"output\": 1}", "\xc3\xa4"));
    assert_true(is_for("{\"id\": 17, \"output\": 1}", "17"));
    assert_false(is_for("{\"id\": \"b\", \"output\": 1}", "a"));
    assert_false(is_for("{\"id\": \"\", \"output\": 1}", "a"));
    assert_false(is_for("{\"id\": 18, \"output\": 1}", "17"));
    assert_false(is_for("{\"id\": [], \"output\": 1}", "17"));
    assert_false(message_is_true((slice){ 0 }));
    assert_false(message_is_true(SLICE_LITERAL("1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_of_lines),
        cmocka_unit_test(every_member_is_found_where_it_stands),
        cmocka_unit_test(the_id_is_optional_but_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
