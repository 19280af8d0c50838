/* codec/stream_cut.h: where a stream may be cut, however it arrives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/stream_cut.h"
#include "guard.h"

/* The cuts of a text that arrives in pieces of `size` bytes, as "3 7 ". */
static void find_all(enum stream_cut_kind kind, const char *text, size_t size, char *found)
{
    struct stream_cut cut = { .kind = kind };
    size_t len = strlen(text), last = 0;
    found[0] = '\0';
    for (size_t seen = 0; seen < len;) {
        size_t next = seen + size < len ? seen + size : len;
        slice guarded = guard_copy(text, next);
        size_t border = stream_cut_find(&cut, guarded, seen);
        assert_true(border <= next);
        if (border > last)
            sprintf(found + strlen(found), "%zu ", last = border);
        guard_free(guarded);
        seen = next;
    }
}

static void check(enum stream_cut_kind kind, const char *text, const char *bytewise,
                  const char *whole)
{
    char found[256];
    find_all(kind, text, 1, found);
    assert_string_equal(found, bytewise);
    find_all(kind, text, 1000, found);
    assert_string_equal(found, whole);
}

static void test_events(void **state)
{
    (void)state;
    check(STREAM_CUT_EVENT, "data: 1\n\ndata: 2\n\n", "9 18 ", "18 ");
    check(STREAM_CUT_EVENT, "data: 1\r\n\r\ndata: 2", "11 ", "11 ");
    check(STREAM_CUT_EVENT, "a\r\rb\r\r", "3 ", "3 "); /* a line feed may follow the last CR */
    check(STREAM_CUT_EVENT, "a\n\r\nb\r\n\n", "4 8 ", "8 ");
    check(STREAM_CUT_EVENT, "a\nb\nc\n", "", "");
    check(STREAM_CUT_EVENT, "\n\n", "1 2 ", "2 ");
    check(STREAM_CUT_EVENT, "", "", "");
}

/* A CR that ends a blank line is a border, unless a line feed follows. */
static void test_ends_that_may_be_borders(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool may_end;
    } cases[] = {
        { "a\r\r", true },      { "a\r\n\r", true }, { "a\n\r", true },  { "\r", true },
        { "a\r\n\r\n", false }, { "a\r", false },    { "a\n\n", false }, { "a\r\rb", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stream_cut cut = { .kind = STREAM_CUT_EVENT };
        stream_cut_find(&cut, (slice){ cases[i].text, strlen(cases[i].text) }, 0);
        assert_int_equal(stream_cut_may_end(&cut), cases[i].may_end);
    }
}

static void test_lines(void **state)
{
    (void)state;
    check(STREAM_CUT_LINE, "{}\n{}\n{", "3 6 ", "6 ");
    check(STREAM_CUT_LINE, "{}", "", "");
}

static void test_characters(void **state)
{
    (void)state;
    check(STREAM_CUT_CHARACTER, "a\xc5\xbe", "1 3 ", "3 ");
    check(STREAM_CUT_CHARACTER, "\xf0\x9f\xa6\x8a", "4 ", "4 ");
    check(STREAM_CUT_CHARACTER, "a\xf0\x9f\xa6", "1 ", "1 ");
    check(STREAM_CUT_CHARACTER, "\x80\x80\x80\x80", "1 2 3 4 ", "4 "); /* not UTF-8: anywhere */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_ends_that_may_be_borders),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
