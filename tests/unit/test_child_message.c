/* child/message: what the lines of a child mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "child/message.h"
#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct kind_row {
    const char *line;
    enum child_message_kind kind;
} kinds[] = {
    { "", MESSAGE_TEXT },
    { "   ", MESSAGE_TEXT },
    { "plain", MESSAGE_TEXT },
    { "12", MESSAGE_TEXT },
    { "[{\"output\": 1}]", MESSAGE_TEXT },
    { "{}", MESSAGE_TEXT },
    { "{\"other\": 1, \"id\": \"x\", \"level\": 1}", MESSAGE_TEXT },
    { "{'output': 1}", MESSAGE_INVALID },
    { "  {'id': 'x', 'output': {'a': \"it's\", 'b': [None, {'c': 1}]}}\r", MESSAGE_INVALID },
    { "{ output: [ 1, 'a' ], refresh_worker: true }", MESSAGE_INVALID },
    { "{'error': 'x', 'error_type': 'T'}", MESSAGE_INVALID },
    { "{error: \"x\", error_type: \"T\"}", MESSAGE_INVALID },
    { "{'upload': 'out.png'}\x1b[0m", MESSAGE_INVALID },
    { "{'output': {\"output\": 1}}", MESSAGE_INVALID },
    { "{'output': 1, 'status': 'ok'}", MESSAGE_TEXT }, /* somebody's own object */
    { "{'input': {'output': 1}}", MESSAGE_TEXT },
    { "{'id': 'x'}", MESSAGE_TEXT },
    { "{'output': 1", MESSAGE_TEXT },
    { "{'output': 'x}", MESSAGE_TEXT },
    { "{'output': 1} tail", MESSAGE_TEXT },
    { "{output}", MESSAGE_TEXT },
    { "{,output: 1}", MESSAGE_TEXT },
    { "{'", MESSAGE_TEXT },
    { "got {'output': 1}", MESSAGE_TEXT },
    { "{broken", MESSAGE_TEXT },
    { "{\"log\": NaN}", MESSAGE_INVALID },
    { "{\"id\": \"x\", \"output\": NaN}", MESSAGE_INVALID },
    { "{\"id\": \"x\", \"input\": {\"output\": NaN}", MESSAGE_TEXT },
    { "{\"output\": {\"output\": 1}", MESSAGE_INVALID },
    { "got {\"output\": NaN}", MESSAGE_INVALID },
    { "got {\"output\": NaN} from it", MESSAGE_TEXT },
    { "got {\"output\": 1} from it", MESSAGE_TEXT },
    { "{\"output\\", MESSAGE_TEXT },
    { "{", MESSAGE_TEXT },
    { "  \"output\": 1", MESSAGE_TEXT },
    { "\x1b[", MESSAGE_TEXT },
    { "\xef\xbb\xbf", MESSAGE_TEXT },
    { "\xef\xbb\xbf{\"output\": 1}", MESSAGE_VALID },
    { "\x1b[0m{\"output\": 1}\x1b[0m \x1b[K", MESSAGE_VALID },
    { "{\"x\": 1} {\"output\": 1}", MESSAGE_VALID },
    { "{}{}{}{}{}{}{}{}{}{}{}{\"output\": 1}", MESSAGE_VALID },
    { "\x1b[32m{\"output\": 1}\x1b(B\x1b[m", MESSAGE_VALID }, /* tput setaf 2, tput sgr0 */
    { "ok \x1b]0;a title\a{\"output\": 1}\x1b]8;;\x1b\\ \x1b[0 q\x1b=", MESSAGE_VALID },
    { "\xc2\x9b"
      "32m{\"output\": 1}\xc2\x9b"
      "0m",
      MESSAGE_VALID },
    { "\f{\"output\": 1}\f\x7f", MESSAGE_VALID },
    { "{\"output\": NaN}\x1b[0m", MESSAGE_INVALID },
    { "{\"output\": 1}\x1b", MESSAGE_INVALID },
    { "{\"output\": 1}\x1b]0;no end", MESSAGE_INVALID },
    { "{\"output\": 1}\x1b]0;a \x1b[0m title\a", MESSAGE_INVALID }, /* it ends at the ESC */
    { "{\"output\": 1}\x1b]0;a title\x1b", MESSAGE_INVALID },
    { "{{{{ {\"output\": 1}", MESSAGE_VALID },
    { "{\"output", MESSAGE_TEXT },
    { "{\"outputs\": NaN}", MESSAGE_TEXT },
    { "{\"output\"", MESSAGE_INVALID },
    { " { \"output\" : NaN }", MESSAGE_INVALID },
    { "{\"error\": 'x'}", MESSAGE_INVALID },
    { "{\"output\": 1} tail", MESSAGE_INVALID },
    { "{\"output\": \"\xff\"}", MESSAGE_INVALID },
    { "{\"output\": null}", MESSAGE_VALID },
    { "  {\"output\": 1}\t", MESSAGE_VALID },
    { "{\"out\\u0070ut\": 1}", MESSAGE_VALID },
    { "{\"upload\": \"x.png\"}", MESSAGE_VALID },
    { "{\"upload\": 0.5}", MESSAGE_TEXT }, /* somebody's progress */
    { "{\"upload\": x}", MESSAGE_INVALID },
    { "{\"error\": \"\"}", MESSAGE_VALID },
    { "{\"stream\": []}", MESSAGE_VALID },
    { "{\"progress\": 0.5}", MESSAGE_VALID },
    { "{\"log\": \"x\"}", MESSAGE_VALID },
    { "{\"ready\": true}", MESSAGE_VALID },
    { "{\"refresh_worker\": false}", MESSAGE_VALID },
    { "{\"streaming\": \"list\"}", MESSAGE_VALID },
    { "{\"unfit\": \"why\"}", MESSAGE_VALID },
    { "{\"check\": \"name\"}", MESSAGE_TEXT },
    { "{\"concurrency\": 2}", MESSAGE_VALID },
    { "{\"error_type\": \"T\", \"traceback\": \"t\"}", MESSAGE_TEXT },
    { "{'output'", MESSAGE_TEXT },
    { "{'output': 1, 'traceback': 't', 'level': 1, 'id': None}", MESSAGE_INVALID },
    { "{\"concurrency\": x}", MESSAGE_INVALID },
    { "{\"level\": x}", MESSAGE_TEXT },
    { "{\"log\": 1}\x1b[1", MESSAGE_INVALID },
    { "{\"log\": 1}\x1b(", MESSAGE_INVALID },
    { "{\"log\": 1}\xc2", MESSAGE_INVALID },
};

static void kinds_of_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct child_message message;
        struct err err = { 0 };
        slice line = guard_text(kinds[i].line);
        enum child_message_kind kind = child_message_read(line, &message, &err);
        guard_free(line);
        if (kind != kinds[i].kind)
            fail_msg("%s: %d", kinds[i].line, (int)kind);
        if (kind == MESSAGE_INVALID)
            assert_true(err.code < 0 && err.text[0] != '\0');
    }
}

/* Each line may end anywhere, and whatever it means then: nothing is read behind its end. */
static void every_start_of_a_line_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (size_t len = 0; len < strlen(kinds[i].line); len++) {
            struct child_message message;
            struct err err;
            slice line = guard_copy(kinds[i].line, len);
            child_message_read(line, &message, &err);
            guard_free(line);
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
        "\"ready\": true, \"refresh_worker\": true, \"streaming\": \"parts\", "
        "\"unfit\": \"u\", \"check\": \"c\", \"concurrency\": 5, \"upload\": \"p\", "
        "\"unknown\": {}}";
    struct child_message message;
    (void)state;
    assert_int_equal(child_message_read(slice_from(line), &message, NULL), MESSAGE_VALID);
    assert_slice(message.id, "\"a\"");
    assert_slice(message.output, "{\"error\": 1}");
    assert_slice(message.error, "null");
    assert_slice(message.error_type, "\"T\"");
    assert_slice(message.traceback, "\"t\"");
    assert_slice(message.stream, "[1]");
    assert_slice(message.progress, "2");
    assert_slice(message.log, "\"l\"");
    assert_slice(message.level, "3");
    assert_slice(message.streaming, "\"parts\"");
    assert_slice(message.unfit, "\"u\"");
    assert_slice(message.check, "\"c\"");
    assert_slice(message.concurrency, "5");
    assert_slice(message.upload, "\"p\"");
    assert_true(child_message_is_true(message.ready));
    assert_true(child_message_is_true(message.refresh));
    assert_true(message.output.ptr > line && message.output.ptr < line + sizeof line);
}

static void what_stands_around_the_object(void **state)
{
    struct child_message message;
    (void)state;
    assert_int_equal(child_message_read(slice_from("loading... {\"output\": 1}"), &message, NULL),
                     MESSAGE_VALID);
    assert_slice(message.before, "loading...");
    assert_slice(message.output, "1");
    assert_int_equal(message.rest.len, 0);
    assert_int_equal(child_message_read(slice_from("\r 1%\r99% {\"output\": 1}"), &message, NULL),
                     MESSAGE_VALID);
    assert_slice(message.before, "1%\r99%");
    assert_int_equal(
        child_message_read(slice_from("\xef\xbb\xbf\x1b[1;31m{\"output\": 1}"), &message, NULL),
        MESSAGE_VALID);
    assert_int_equal(message.before.len, 0);
    assert_int_equal(
        child_message_read(slice_from("{\"log\": \"x\"} {\"output\": 1}"), &message, NULL),
        MESSAGE_VALID);
    assert_slice(message.log, "\"x\"");
    assert_null(message.output.ptr);
    assert_slice(message.rest, "{\"output\": 1}");
}

static void an_object_that_is_text_leaves_nothing_behind(void **state)
{
    struct child_message message;
    (void)state;
    assert_int_equal(child_message_read(slice_from("{\"id\": \"x\", \"upload\": 5}{\"stream\": 1}"),
                                        &message, NULL),
                     MESSAGE_VALID);
    assert_slice(message.before, "{\"id\": \"x\", \"upload\": 5}");
    assert_slice(message.stream, "1");
    assert_null(message.id.ptr);
    assert_int_equal(message.rest.len, 0);
}

/* A job may choose what is printed: with a scan to the line's end for each, this takes an hour. */
static void a_long_line_of_quotations_is_read_once(void **state)
{
    static const char *const quotations[] = { "{\"log\":1}\x1b]", "{\"log\":1}\x1b[1",
                                              "{\"log\":1}\t\f", "{\"id\":\"{\"" };
    static char line[4000000];
    struct child_message message;
    (void)state;
    for (size_t i = 0; i < COUNT(quotations); i++) {
        size_t len = strlen(quotations[i]), at = 2;
        memcpy(line, "x ", 2);
        for (; at + len < sizeof line; at += len)
            memcpy(line + at, quotations[i], len);
        line[at++] = '.';
        slice whole = { line, at };
        assert_int_equal(child_message_read(whole, &message, NULL), MESSAGE_TEXT);
    }
}

/* So that the right job fails: the id of its own object, if it is a whole string. */
static void a_message_that_is_not_valid_names_its_job(void **state)
{
    static const struct {
        const char *line;
        const char *id; /* NULL: none */
    } cases[] = {
        { "{\"id\": \"x\", \"output\": NaN}", "\"x\"" },
        { "{\"output\": NaN, \"id\":\"x\\\"y\"}", "\"x\\\"y\"" },
        { "{\"id\": \"a\", \"id\": \"b\", \"log\": NaN}", "\"b\"" },
        { "{\"output\": {\"id\": \"x\"}, \"log\": NaN}", NULL },
        { "{\"id\": 7, \"output\": NaN}", NULL },
        { "{\"output\": NaN, \"id\": \"x", NULL },
        { "{\"output\": NaN, \"id\": \"", NULL },
        { "{\"output\": NaN, \"id\":", NULL },
        { "{\"output\": NaN, \"id\"", NULL },
        { "{\"output\": NaN, \"ids\": \"x\"}", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct child_message message;
        slice line = guard_text(cases[i].line);
        assert_int_equal(child_message_read(line, &message, NULL), MESSAGE_INVALID);
        if (cases[i].id != NULL)
            assert_slice(message.id, cases[i].id);
        else if (message.id.len > 0)
            fail_msg("%s: %.*s", cases[i].line, SLICE_ARG(message.id));
        assert_null(message.output.ptr);
        guard_free(line);
    }
}

static bool is_for(const char *line, const char *id)
{
    struct child_message message;
    assert_int_equal(child_message_read(slice_from(line), &message, NULL), MESSAGE_VALID);
    return child_message_matches_job(&message, slice_from(id));
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
    assert_false(child_message_is_true((slice){ 0 }));
    assert_false(child_message_is_true(SLICE_LITERAL("1")));
}

static void a_job_ends_with_its_output_files_or_error(void **state)
{
    static const struct {
        const char *line;
        bool is_final;
    } cases[] = {
        { "{\"output\": 1}", true },    { "{\"upload\": \"out.png\"}", true },
        { "{\"error\": \"x\"}", true }, { "{\"output\": null, \"id\": 1}", true },
        { "{\"progress\": 1}", false }, { "{\"stream\": 1}", false },
        { "{\"log\": \"x\"}", false },  { "{\"ready\": true}", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct child_message message;
        slice line = slice_from(cases[i].line);
        assert_int_equal(child_message_read(line, &message, NULL), MESSAGE_VALID);
        if (child_message_is_final(&message) != cases[i].is_final)
            fail_msg("%s", cases[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_of_lines),
        cmocka_unit_test(every_start_of_a_line_ends),
        cmocka_unit_test(every_member_is_found_where_it_stands),
        cmocka_unit_test(what_stands_around_the_object),
        cmocka_unit_test(an_object_that_is_text_leaves_nothing_behind),
        cmocka_unit_test(a_long_line_of_quotations_is_read_once),
        cmocka_unit_test(a_message_that_is_not_valid_names_its_job),
        cmocka_unit_test(the_id_is_optional_but_counts),
        cmocka_unit_test(a_job_ends_with_its_output_files_or_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
