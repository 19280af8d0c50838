/* codec/lines: lines out of bytes that come in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/lines.h"

#define MAX_BYTES 10000

static void feed(struct lines *lines, const char *bytes, size_t count)
{
    struct err err = { 0 };
    while (count > 0) {
        size_t room = 0;
        assert_int_equal(lines_room(lines, &room, &err), 0);
        assert_true(room > 0);
        size_t part = count < room ? count : room;
        memcpy(lines->buf.ptr + lines->buf.len, bytes, part);
        lines_filled(lines, part);
        bytes += part;
        count -= part;
    }
}

static void assert_next(struct lines *lines, const char *text)
{
    slice line;
    assert_true(lines_next(lines, &line));
    assert_int_equal(line.len, strlen(text));
    assert_memory_equal(line.ptr, text, line.len);
}

static void lines_come_whole_however_they_are_cut(void **state)
{
    static const char text[] = "one\ntwo\r\n\n\rthree\nrest";
    (void)state;
    for (size_t step = 1; step < sizeof text; step++) {
        struct lines lines;
        char all[64] = "";
        slice line;
        lines_init(&lines, MAX_BYTES, "test");
        for (size_t at = 0; at < sizeof text - 1; at += step) {
            size_t left = sizeof text - 1 - at;
            feed(&lines, text + at, left < step ? left : step);
            while (lines_next(&lines, &line)) {
                strncat(all, line.ptr, line.len);
                strcat(all, "|");
            }
        }
        assert_string_equal(all, "one|two||\rthree|");
        assert_int_equal(lines_pending(&lines), 4);
        assert_true(lines_rest(&lines, &line));
        assert_memory_equal(line.ptr, "rest", 4);
        assert_false(lines_rest(&lines, &line));
        assert_false(lines_next(&lines, &line));
        lines_free(&lines);
    }
}

static void a_line_over_the_maximum_is_an_error(void **state)
{
    struct lines lines;
    struct err err = { 0 };
    size_t room;
    char *long_line = calloc(1, MAX_BYTES);
    (void)state;
    memset(long_line, 'x', MAX_BYTES);
    lines_init(&lines, MAX_BYTES, "the test's line");
    feed(&lines, "a\n", 2);
    assert_next(&lines, "a");
    feed(&lines, long_line, MAX_BYTES);
    assert_int_equal(lines_room(&lines, &room, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "the test's line is larger than the limit of 10000 bytes"));
    /* The reader may take what is there as a line, and go on. */
    slice line;
    assert_true(lines_rest(&lines, &line));
    assert_int_equal(line.len, MAX_BYTES);
    feed(&lines, "c\n", 2);
    assert_next(&lines, "c");
    lines_clear(&lines, 0);
    assert_null(lines.buf.ptr);
    feed(&lines, "b\n", 2);
    assert_next(&lines, "b");
    lines_free(&lines);
    free(long_line);
}

static void memory_is_handed_over_with_what_lies_in_it(void **state)
{
    struct lines lines;
    struct buf taken;
    struct err err;
    slice line;
    (void)state;
    lines_init(&lines, MAX_BYTES, "test");
    buf_init(&taken, MAX_BYTES, "taken");
    assert_int_equal(buf_add_text(&taken, "old content, longer than what is left", &err), 0);
    feed(&lines, "first\nsecond\nthi", 16);
    assert_true(lines_next(&lines, &line));
    const char *before = line.ptr;
    assert_int_equal(lines_give(&lines, &taken, &err), 0);
    assert_ptr_equal(taken.ptr, before);
    assert_memory_equal(line.ptr, "first", 5);
    assert_next(&lines, "second");
    feed(&lines, "rd\n", 3);
    assert_next(&lines, "third");
    assert_memory_equal(before, "first", 5);
    buf_free(&taken);
    lines_free(&lines);
}

static void empty_memory_is_handed_over_too(void **state)
{
    struct lines lines;
    struct buf taken;
    struct err err;
    slice line;
    (void)state;
    lines_init(&lines, MAX_BYTES, "test");
    buf_init(&taken, MAX_BYTES, "taken");
    assert_int_equal(lines_give(&lines, &taken, &err), 0);
    assert_false(lines_next(&lines, &line));
    assert_false(lines_rest(&lines, &line));
    buf_free(&taken);
    lines_free(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole_however_they_are_cut),
        cmocka_unit_test(a_line_over_the_maximum_is_an_error),
        cmocka_unit_test(memory_is_handed_over_with_what_lies_in_it),
        cmocka_unit_test(empty_memory_is_handed_over_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
