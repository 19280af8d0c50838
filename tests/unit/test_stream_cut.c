/* codec/borders.h: where a stream may be cut, whatever pieces it comes in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/borders.h"
#include "guard.h"

/* The borders of a text that comes in pieces of `size` bytes, as "3 7 ", nothing cut off meanwhile. */
static void find_all(enum border_kind kind, const char *text, size_t size, char *found)
{
    struct borders borders = { .kind = kind };
    size_t len = strlen(text), last = 0;
    found[0] = '\0';
    for (size_t seen = 0; seen < len;) {
        size_t next = seen + size < len ? seen + size : len;
        slice guarded = guard_copy(text, next);
        size_t border = borders_find(&borders, guarded, seen);
        assert_true(border <= next);
        if (border > last)
            sprintf(found + strlen(found), "%zu ", last = border);
        guard_free(guarded);
        seen = next;
    }
}

static void check(enum border_kind kind, const char *text, const char *bytewise, const char *whole)
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
    check(BORDER_EVENT, "data: 1\n\ndata: 2\n\n", "9 18 ", "18 ");
    check(BORDER_EVENT, "data: 1\r\n\r\ndata: 2", "11 ", "11 ");
    check(BORDER_EVENT, "a\r\rb\r\r", "3 ", "3 "); /* after the last CR a line feed may come */
    check(BORDER_EVENT, "a\n\r\nb\r\n\n", "4 8 ", "8 ");
    check(BORDER_EVENT, "a\nb\nc\n", "", "");
    check(BORDER_EVENT, "\n\n", "1 2 ", "2 ");
    check(BORDER_EVENT, "", "", "");
}

/* A CR that ends a blank line: a border, unless a line feed comes. */
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
        struct borders borders = { .kind = BORDER_EVENT };
        borders_find(&borders, (slice){ cases[i].text, strlen(cases[i].text) }, 0);
        assert_int_equal(borders_may_end(&borders), cases[i].may_end);
    }
}

static void test_lines(void **state)
{
    (void)state;
    check(BORDER_LINE, "{}\n{}\n{", "3 6 ", "6 ");
    check(BORDER_LINE, "{}", "", "");
}

static void test_characters(void **state)
{
    (void)state;
    check(BORDER_CHARACTER, "a\xc5\xbe", "1 3 ", "3 ");
    check(BORDER_CHARACTER, "\xf0\x9f\xa6\x8a", "4 ", "4 ");
    check(BORDER_CHARACTER, "a\xf0\x9f\xa6", "1 ", "1 ");
    check(BORDER_CHARACTER, "\x80\x80\x80\x80", "1 2 3 4 ", "4 "); /* no UTF-8: anywhere */
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
