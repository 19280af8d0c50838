/* base: err, buf, arena, clock, escape. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/date.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/text.h"
#include "base/utf8.h"
#include "base/utf8_escape.h"
#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- slice ------------------------------------------------------------------------------ */

static void slices_compare(void **state)
{
    (void)state;
    slice none = { NULL, 0 };
    assert_true(slice_equal(none, SLICE_LITERAL("")));
    assert_true(slice_is(none, ""));
    assert_false(slice_is(SLICE_LITERAL("a\0b"), "a"));
    assert_true(slice_is_nocase(SLICE_LITERAL("Content-LENGTH"), "content-length"));
    assert_false(slice_is_nocase(SLICE_LITERAL("Content-Lengt"), "content-length"));
    assert_false(slice_is_nocase(SLICE_LITERAL("a\0b"), "a"));
    assert_true(slice_starts(SLICE_LITERAL("abc"), SLICE_LITERAL("ab")));
    assert_true(slice_starts(SLICE_LITERAL("ab"), SLICE_LITERAL("ab")));
    assert_false(slice_starts(SLICE_LITERAL("a"), SLICE_LITERAL("ab")));
    assert_false(slice_starts(SLICE_LITERAL("Abc"), SLICE_LITERAL("ab")));
    assert_true(slice_starts(none, none));
    assert_true(slice_starts_nocase(SLICE_LITERAL("Abc"), SLICE_LITERAL("aB")));
    assert_false(slice_starts_nocase(SLICE_LITERAL("A"), SLICE_LITERAL("aB")));
    assert_false(slice_starts_nocase(SLICE_LITERAL("Acb"), SLICE_LITERAL("aB")));
    assert_int_equal(slice_from(NULL).len, 0);
    assert_true(slice_is(slice_skip(SLICE_LITERAL("abc"), 3), ""));
}

/* --- date ------------------------------------------------------------------------------- */

static void dates_are_those_of_libc(void **state)
{
    const int64_t first = -62167219200, end = 253402300800; /* the years 0 to 9999 */
    (void)state;
    for (int64_t at = first; at < end; at += 5 * 86400 + 43207) {
        struct tm tm;
        const struct date date = date_of(at);
        const time_t seconds = (time_t)at;
        gmtime_r(&seconds, &tm);
        bool same = date.year == tm.tm_year + 1900 && (int)date.month == tm.tm_mon + 1 &&
                    (int)date.day == tm.tm_mday && (int)date.hour == tm.tm_hour &&
                    (int)date.minute == tm.tm_min && (int)date.second == tm.tm_sec &&
                    (int)date.weekday == tm.tm_wday;
        same = same && date_unix_s(&date) == at;
        if (!same)
            fail_msg("%lld is %d-%u-%u", (long long)at, date.year, date.month, date.day);
    }
}

/* --- err -------------------------------------------------------------------------------- */

static void err_texts_read_from_the_outside_in(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_int_equal(err_system(&err, ERR_RETRY, ECONNREFUSED, "connect %s", "h:1"), ERR_RETRY);
    assert_int_equal(err_wrap(&err, "post job %d", 7), ERR_RETRY);
    char expected[ERR_TEXT_BYTES];
    snprintf(expected, sizeof expected, "post job 7: connect h:1: %s", strerror(ECONNREFUSED));
    assert_string_equal(err.text, expected);
    assert_int_equal(err.code, ERR_RETRY);
    assert_int_equal(err_set(&err, ERR_INPUT, "again"), ERR_INPUT);
    assert_string_equal(err.text, "again");
    assert_int_equal(err.code, ERR_INPUT);
}

/* What the error before it was logged as says nothing of this one. */
static void a_new_error_is_not_logged_yet(void **state)
{
    (void)state;
    struct err err = { .is_logged = true };
    err_set(&err, ERR_INPUT, "one");
    assert_false(err.is_logged);
    err.is_logged = true;
    err_wrap(&err, "the same");
    assert_true(err.is_logged);
    err_system(&err, ERR_RETRY, EIO, "two");
    assert_false(err.is_logged);
    assert_int_equal(err.code, ERR_RETRY);
}

static void err_may_be_null(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_LIMIT, "%d", 1), ERR_LIMIT);
    assert_int_equal(err_system(NULL, ERR_LIMIT, EIO, "%d", 1), ERR_LIMIT);
}

static void err_cuts_long_texts(void **state)
{
    (void)state;
    char text[ERR_TEXT_BYTES + 100];
    for (size_t len = ERR_TEXT_BYTES - 12; len < sizeof text; len++) {
        struct err err = { 0 };
        memset(text, 'x', len);
        text[len] = '\0';
        size_t kept = len < ERR_TEXT_BYTES ? len : ERR_TEXT_BYTES - 1;
        err_set(&err, ERR_PEER, "%s", text);
        assert_int_equal(strlen(err.text), kept);
        assert_memory_equal(err.text, text, kept);
        err_wrap(&err, "context");
        assert_memory_equal(err.text, "context: xxx", 12);
        assert_true(strlen(err.text) < ERR_TEXT_BYTES);
        err_wrap(&err, "%s", text); /* leaves little or no room for what was there */
        assert_memory_equal(err.text, text, kept);
        err_system(&err, ERR_RETRY, EIO, "%s", text);
        assert_memory_equal(err.text, text, kept);
        if (len + 1 == sizeof text)
            break;
    }
}

static void err_texts_stay_on_their_line(void **state)
{
    (void)state;
    struct err err = { 0 };
    err_set(&err, ERR_PEER, "a\r\nERROR | b\t\x1b[0m\x7f \xc3\xa9");
    assert_string_equal(err.text, "a??ERROR | b??[0m? \xc3\xa9");
    err_wrap(&err, "x\ny");
    assert_string_equal(err.text, "x?y: a??ERROR | b??[0m? \xc3\xa9");
    err_system(&err, ERR_PEER, EIO, "\n");
    assert_int_equal(err.text[0], '?');
    err_set(&err, ERR_PEER, "a\xc2\x85z\xe2\x80\xa8\n");
    assert_string_equal(err.text, "a??z????");
}

/* --- buf -------------------------------------------------------------------------------- */

static void buf_grows_up_to_its_maximum(void **state)
{
    (void)state;
    struct buf buf;
    struct err err = { 0 };
    buf_init(&buf, 10000, "answer");
    assert_null(buf.ptr);
    assert_int_equal(buf_add(&buf, NULL, 0, &err), 0);
    for (int i = 0; i < 10000; i++) {
        char c = (char)i;
        size_t before = buf.cap;
        assert_int_equal(buf_add(&buf, &c, 1, &err), 0);
        assert_true(buf.cap <= buf.max && buf.len == (size_t)i + 1);
        assert_true(buf.cap == before || buf.cap == buf.max || buf.cap >= before + before / 2);
    }
    assert_int_equal(buf_reserve(&buf, 0, &err), 0);
    assert_int_equal(buf_add(&buf, "x", 1, &err), ERR_LIMIT);
    assert_string_equal(err.text, "answer is larger than the limit of 10000 bytes");
    assert_int_equal(buf_reserve(&buf, SIZE_MAX, &err), ERR_LIMIT);
    assert_int_equal(buf.len, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf.ptr[i], (char)i);
    buf_free(&buf);
}

static void buf_appends_all_or_nothing(void **state)
{
    (void)state;
    struct buf buf;
    struct err err = { 0 };
    buf_init(&buf, 5, "answer");
    assert_int_equal(buf_add_text(&buf, "abc", &err), 0);
    assert_int_equal(buf_add_text(&buf, "def", &err), ERR_LIMIT);
    assert_true(slice_is(buf_slice(&buf), "abc"));
    buf_free(&buf);
    assert_int_equal(buf_add_text(&buf, "again", &err), 0);
    assert_true(slice_is(buf_slice(&buf), "again"));
    buf_free(&buf);
}

static void buf_appends_slices_up_to_one_that_does_not_fit(void **state)
{
    const slice parts[] = { SLICE_LITERAL("ab"), SLICE_LITERAL(""), SLICE_LITERAL("cdef"),
                            SLICE_LITERAL("g") };
    struct buf buf;
    struct err err = { 0 };
    (void)state;
    buf_init(&buf, 5, "answer");
    assert_int_equal(buf_add_slices(&buf, parts, 2, &err), 0);
    assert_true(slice_is(buf_slice(&buf), "ab"));
    buf_clear(&buf);
    assert_int_equal(buf_add_slices(&buf, parts, 4, &err), ERR_LIMIT);
    assert_string_equal(err.text, "answer is larger than the limit of 5 bytes");
    assert_true(slice_is(buf_slice(&buf), "ab"));
    buf_free(&buf);
}

/* "abc" fits, "def" does not, "g" would: a text with a hole in it must not come about. */
static void buf_error_sticks_until_it_is_cleared(void **state)
{
    (void)state;
    struct buf buf;
    struct err err = { 0 };
    buf_init(&buf, 5, "answer");
    assert_int_equal(buf_error(&buf, &err), 0);
    buf_add_text(&buf, "abc", NULL);
    buf_add_text(&buf, "def", NULL);
    buf_add_text(&buf, "g", NULL);
    assert_int_equal(buf_error(&buf, &err), ERR_LIMIT);
    assert_string_equal(err.text, "answer is larger than the limit of 5 bytes");
    buf_truncate(&buf, 1);
    assert_true(slice_is(buf_slice(&buf), "a"));
    assert_int_equal(buf_reserve(&buf, 1, &err), ERR_LIMIT);
    buf_clear(&buf);
    assert_int_equal(buf_add_text(&buf, "def", &err), 0);
    assert_int_equal(buf_error(&buf, &err), 0);
    assert_true(slice_is(buf_slice(&buf), "def"));
    buf_free(&buf);
}

/* printf ends with a NUL, for which there has to be room. */
static void buf_appends_as_printf_writes(void **state)
{
    (void)state;
    struct buf buf;
    struct err err = { 0 };
    buf_init(&buf, 9, "answer");
    buf_add_format(&buf, "%d", 12);
    buf_add_format(&buf, "%s", "");
    buf_add_format(&buf, "-%s.", "abcd");
    assert_int_equal(buf_error(&buf, &err), 0);
    assert_true(slice_is(buf_slice(&buf), "12-abcd."));
    buf_add_format(&buf, "%d", 3);
    assert_int_equal(buf_error(&buf, &err), ERR_LIMIT);
    assert_true(slice_is(buf_slice(&buf), "12-abcd."));
    buf_free(&buf);
}

static void buf_without_room_takes_nothing(void **state)
{
    (void)state;
    struct buf buf;
    struct err err = { 0 };
    buf_init(&buf, 0, "nothing");
    assert_int_equal(buf_add(&buf, "", 0, &err), 0);
    assert_int_equal(buf_reserve(&buf, 1, &err), ERR_LIMIT);
    assert_null(buf.ptr);
    buf_free(&buf);
}

static void buf_moves_with_its_memory(void **state)
{
    (void)state;
    struct buf from, to;
    buf_init(&from, 1000, "from");
    buf_init(&to, 10, "to");
    assert_int_equal(buf_add_text(&from, "content", NULL), 0);
    assert_int_equal(buf_add_text(&to, "old", NULL), 0); /* the leak check sees that it is freed */
    const char *memory = from.ptr;
    buf_move(&to, &from);
    assert_true(slice_is(buf_slice(&to), "content") && to.ptr == memory && to.max == 1000);
    assert_true(from.ptr == NULL && from.len == 0 && from.cap == 0);
    buf_free(&to);
    buf_free(&from);
}

static void buf_gives_back_what_it_may_not_keep(void **state)
{
    (void)state;
    struct buf buf;
    struct err err = { 0 };
    buf_init(&buf, 1 << 20, "answer");
    assert_int_equal(buf_reserve(&buf, 600, &err), 0);
    buf.len = 600;
    buf_reset(&buf, buf.cap);
    assert_non_null(buf.ptr);
    assert_int_equal(buf.len, 0);
    buf_reset(&buf, buf.cap - 1);
    assert_null(buf.ptr);
    assert_int_equal(buf.cap, 0);
    assert_int_equal(buf_add_text(&buf, "again", &err), 0);
    buf_free(&buf);
}

/* AddressSanitizer, where it is there, is to return NULL as malloc does instead of ending all. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void buf_reports_missing_memory(void **state)
{
    (void)state;
    struct buf buf;
    struct err err = { 0 };
    buf_init(&buf, SIZE_MAX, "answer");
    assert_int_equal(buf_add_text(&buf, "abc", &err), 0);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX / 2, &err), ERR_MEMORY);
    assert_true(slice_is(buf_slice(&buf), "abc"));
    buf_free(&buf);
}

/* --- arena ------------------------------------------------------------------------------ */

static void arena_pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    unsigned char *pieces[300];
    size_t sizes[COUNT(pieces)];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT(pieces); i++) {
            sizes[i] = i % 50 == 49 ? 5000 + i : i % 67;
            pieces[i] = arena_alloc(&arena, sizes[i]);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
            memset(pieces[i], (int)i & 0xff, sizes[i]);
        }
        for (size_t i = 0; i < COUNT(pieces); i++)
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(pieces[i][k], i & 0xff);
        arena_reset(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
    arena_free(&arena);
    assert_null(arena.chunks);
}

/* One after the other in a chunk, also in the one that is kept; one beside others stays its own. */
static void arena_pieces_share_a_chunk(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    char *first = arena_alloc(&arena, 1);
    assert_non_null(first);
    assert_ptr_equal(arena_alloc(&arena, 1), first + _Alignof(max_align_t));
    assert_non_null(arena_alloc(&arena, 1 << 18));
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 4000), first);
    arena_free(&arena);
    assert_int_equal(arena.used_bytes, 0);
    assert_non_null(arena_alloc(&arena, 4080)); /* more than a page with what the chunk needs */
    arena_reset(&arena);
    assert_null(arena.chunks);
    arena_free(&arena);
}

static void arena_stops_at_its_maximum(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    assert_null(arena_alloc(&arena, 1001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_non_null(arena_alloc(&arena, 1000));
    assert_null(arena_alloc(&arena, 1));
    assert_non_null(arena_alloc(&arena, 0));
    arena_reset(&arena);
    size_t count = 0;
    while (arena_alloc(&arena, 1) != NULL)
        count++;
    assert_true(count > 0 && count <= 1000);
    arena_free(&arena);
    arena_init(&arena, 0);
    assert_null(arena_alloc(&arena, 1));
    arena_free(&arena);
    arena_init(&arena, SIZE_MAX);
    assert_null(arena_alloc(&arena, SIZE_MAX - 7)); /* rounding up would wrap around */
    arena_free(&arena);
}

static void arena_keeps_one_small_chunk(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 24);
    assert_non_null(arena_alloc(&arena, 1 << 20));
    arena_reset(&arena);
    assert_null(arena.chunks); /* the large one is not kept */
    assert_non_null(arena_alloc(&arena, 8));
    assert_non_null(arena_alloc(&arena, 1 << 20));
    assert_non_null(arena_alloc(&arena, 4000));
    arena_reset(&arena);
    assert_non_null(arena.chunks);
    void *first = arena_alloc(&arena, 8);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 8), first);
    arena_free(&arena);
    arena_free(&arena); /* twice does no harm */
}

/* --- clock ------------------------------------------------------------------------------ */

static void clock_deadlines_never_wrap(void **state)
{
    (void)state;
    int64_t before = clock_now_ms();
    assert_true(before >= 0);
    assert_true(clock_deadline(INT64_MAX) == DEADLINE_NEVER);
    assert_in_range(clock_now_us() / 1000, before, clock_now_ms());
    assert_int_equal(clock_left_ms(DEADLINE_NEVER), INT_MAX);
    assert_int_equal(clock_left_ms(before - 1), 0);
    assert_int_equal(clock_left_ms(0), 0);
    assert_int_equal(clock_left_ms(clock_deadline(-5)), 0);
    assert_int_equal(clock_left_ms(clock_deadline(INT64_C(1) << 40)), INT_MAX);
    int left = clock_left_ms(clock_deadline(3600 * 1000));
    assert_true(left > 0 && left <= 3600 * 1000);
    assert_true(clock_now_ms() >= before);
    assert_true(clock_earlier(5, DEADLINE_NEVER) == 5 && clock_earlier(7, 5) == 5);
}

static int64_t system_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void clock_is_the_monotonic_one(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        int64_t before = system_us(), us = clock_now_us(), ms = clock_now_ms();
        assert_true(us >= before && ms >= us / 1000 && ms <= system_us() / 1000);
        assert_true(us <= system_us());
    }
}

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    (void)number;
    alarms++;
}

/* Signals, which come every 2 ms, do not end it. */
static void clock_sleep_lasts_until_the_deadline(void **state)
{
    const struct sigaction action = { .sa_handler = count_alarm };
    const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
    struct sigaction before;
    (void)state;
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 5 || alarms == 0; i++) {
        deadline_ms deadline = clock_deadline(7);
        clock_sleep(deadline);
        assert_true(clock_now_ms() >= deadline);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    clock_sleep(0); /* long ago */
}

/* --- escape ----------------------------------------------------------------------------- */

/* The escape of one byte, written down a second time. */
static size_t reference_escape(char *to, unsigned char c)
{
    switch (c) {
    case '"': memcpy(to, "\\\"", 2); return 2;
    case '\\': memcpy(to, "\\\\", 2); return 2;
    case '\b': memcpy(to, "\\b", 2); return 2;
    case '\f': memcpy(to, "\\f", 2); return 2;
    case '\n': memcpy(to, "\\n", 2); return 2;
    case '\r': memcpy(to, "\\r", 2); return 2;
    case '\t': memcpy(to, "\\t", 2); return 2;
    default: break;
    }
    if (c >= 0x20) {
        *to = (char)c;
        return 1;
    }
    char text[8];
    snprintf(text, sizeof text, "\\u%04x", c);
    memcpy(to, text, 6);
    return 6;
}

static size_t reference_escape_all(char *to, const char *from, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++)
        out += reference_escape(to + out, (unsigned char)from[i]);
    return out;
}

static void each_byte_is_escaped_right_at_each_place(void **state)
{
    (void)state;
    char input[20], expected[sizeof input * ESCAPE_MAX_BYTES], output[sizeof expected];
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < sizeof input; at++) {
            memset(input, c % 2 == 0 ? 'a' : 0xe9, sizeof input);
            input[at] = (char)c;
            size_t expected_len = reference_escape_all(expected, input, sizeof input), taken;
            assert_int_equal(utf8_escape_json(output, sizeof output, input, sizeof input, &taken),
                             expected_len);
            assert_int_equal(taken, sizeof input);
            assert_memory_equal(output, expected, expected_len);
            bool plain = c >= 0x20 && c != '"' && c != '\\';
            assert_int_equal(utf8_escape_plain_prefix(input, sizeof input),
                             plain ? sizeof input : at);
        }
    }
}

/* Escapes through a window of to_cap bytes, which ends at an unreadable page. */
static size_t escape_through_window(char *to, slice input, slice window)
{
    size_t out = 0;
    while (input.len > 0) {
        size_t taken;
        char *place = (char *)(uintptr_t)window.ptr;
        size_t count = utf8_escape_json(place, window.len, input.ptr, input.len, &taken);
        assert_true(taken > 0 && count > 0 && count <= window.len);
        char next[ESCAPE_MAX_BYTES];
        if (taken < input.len) /* what did not fit whole is what was left out */
            assert_true(count + reference_escape(next, (unsigned char)input.ptr[taken]) >
                        window.len);
        memcpy(to + out, place, count);
        out += count;
        input = slice_skip(input, taken);
    }
    return out;
}

static void escaping_goes_on_where_the_room_ended(void **state)
{
    (void)state;
    static const char text[] = "plain text first, then \x01\x1f\x02, \"quotes\" and \\, \n\r\t\b\f "
                               "\xe2\x82\xac\xf0\x9f\x98\x80 \0 end\n";
    slice input = guard_copy(text, sizeof text - 1);
    char expected[sizeof text * ESCAPE_MAX_BYTES], output[sizeof expected];
    size_t expected_len = reference_escape_all(expected, input.ptr, input.len);
    for (size_t cap = ESCAPE_MAX_BYTES; cap <= expected_len + 1; cap++) {
        slice window = guard_copy(expected, cap < sizeof expected ? cap : sizeof expected);
        assert_int_equal(escape_through_window(output, input, window), expected_len);
        assert_memory_equal(output, expected, expected_len);
        guard_free(window);
    }
    guard_free(input);
}

static void escaping_without_room_takes_nothing(void **state)
{
    (void)state;
    char output[ESCAPE_MAX_BYTES];
    size_t taken = 99;
    assert_int_equal(utf8_escape_json(output, 0, "abc", 3, &taken), 0);
    assert_int_equal(taken, 0);
    assert_int_equal(utf8_escape_json(output, 5, "\x01", 1, &taken), 0);
    assert_int_equal(taken, 0);
    assert_int_equal(utf8_escape_json(output, 2, "\n", 1, &taken), 2);
    assert_int_equal(taken, 1);
    assert_int_equal(utf8_escape_json(output, sizeof output, NULL, 0, &taken), 0);
    assert_int_equal(taken, 0);
    assert_int_equal(utf8_escape_plain_prefix(NULL, 0), 0);
}

/* RFC 3629, section 4, row by row: the first byte's range and each following byte's. */
static const struct {
    unsigned char first_low, first_high, second_low, second_high;
    size_t len;
} utf8_rows[] = {
    { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
    { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
    { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static size_t reference_utf8(const unsigned char *bytes, size_t len)
{
    if (bytes[0] <= 0x7f)
        return 1;
    for (size_t i = 0; i < COUNT(utf8_rows); i++) {
        if (bytes[0] < utf8_rows[i].first_low || bytes[0] > utf8_rows[i].first_high)
            continue;
        if (len < utf8_rows[i].len || bytes[1] < utf8_rows[i].second_low ||
            bytes[1] > utf8_rows[i].second_high)
            return 0;
        for (size_t k = 2; k < utf8_rows[i].len; k++)
            if (bytes[k] < 0x80 || bytes[k] > 0xbf)
                return 0;
        return utf8_rows[i].len;
    }
    return 0;
}

static void check_utf8(char *guarded_end, const unsigned char *bytes, size_t len)
{
    memcpy(guarded_end - len, bytes, len);
    if (utf8_sequence(guarded_end - len, len) != reference_utf8(bytes, len))
        fail_msg("%zu bytes %02x %02x %02x %02x", len, bytes[0], bytes[1], bytes[2], bytes[3]);
}

static void utf8_is_what_rfc_3629_says(void **state)
{
    (void)state;
    slice guarded = guard_copy("1234", 4);
    char *end = (char *)(uintptr_t)guarded.ptr + guarded.len;
    /* All of one, two and three bytes; of four, the edges of every range as third and fourth. */
    static const unsigned char edges[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0xbf, 0xc0, 0xff };
    for (unsigned n = 0; n < 1u << 24; n++) {
        unsigned char bytes[4] = { (unsigned char)(n >> 16), (unsigned char)(n >> 8),
                                   (unsigned char)n, 0 };
        if ((n & 0xffff) == 0)
            check_utf8(end, bytes, 1);
        if ((n & 0xff) == 0)
            check_utf8(end, bytes, 2);
        check_utf8(end, bytes, 3);
        if (bytes[0] < 0xf0 || memchr(edges, bytes[2], sizeof edges) == NULL)
            continue;
        for (size_t i = 0; i < sizeof edges; i++) {
            bytes[3] = edges[i];
            check_utf8(end, bytes, 4);
        }
    }
    guard_free(guarded);
}

static void utf8_counts_every_code_point(void **state)
{
    (void)state;
    size_t valid = 0;
    for (unsigned n = 0; n < 0x200000; n++) { /* every four-byte form, overlong ones included */
        const char bytes[4] = { (char)(0xf0 | n >> 18), (char)(0x80 | (n >> 12 & 0x3f)),
                                (char)(0x80 | (n >> 6 & 0x3f)), (char)(0x80 | (n & 0x3f)) };
        bool expected = n >= 0x10000 && n <= 0x10ffff;
        valid += expected;
        if (utf8_sequence(bytes, 4) != (expected ? 4u : 0u))
            fail_msg("code point %x", n);
    }
    assert_int_equal(valid, 0x100000);
}

static void code_points_are_written(void **state)
{
    (void)state;
    static const struct {
        uint32_t point;
        const char *bytes;
    } cases[] = {
        { 0x7f, "\x7f" },
        { 0x80, "\xc2\x80" },
        { 0x7ff, "\xdf\xbf" },
        { 0x800, "\xe0\xa0\x80" },
        { 0xffff, "\xef\xbf\xbf" },
        { 0x10000, "\xf0\x90\x80\x80" },
        { 'a', "a" },
        { 0x10ffff, "\xf4\x8f\xbf\xbf" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char to[4];
        slice written = { to, utf8_put(cases[i].point, to) };
        assert_true(slice_is(written, cases[i].bytes));
    }
    char nul[4];
    assert_int_equal(utf8_put(0, nul), 1);
    assert_int_equal(nul[0], 0);
}

/* At every place of a word and of what is left behind the last one. */
static void text_is_utf8_up_to_the_first_byte_that_is_not(void **state)
{
    (void)state;
    for (size_t len = 0; len < 20; len++)
        for (size_t at = 0; at < len; at++) {
            char bytes[20];
            memset(bytes, 'a', sizeof bytes);
            assert_int_equal(utf8_prefix((slice){ bytes, len }), len);
            bytes[at] = '\xff';
            assert_int_equal(utf8_prefix((slice){ bytes, len }), at);
            if (at + 1 < len)
                memcpy(bytes + at, "\xc3\xa4", 2);
            assert_int_equal(utf8_prefix((slice){ bytes, len }), at + 1 < len ? len : at);
        }
}

static void utf8_is_cut_between_characters(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"; /* 1, 2, 3, 4, 1 bytes */
    static const size_t heads[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };
    static const size_t tails[] = { 0, 1, 1, 1, 1, 5, 5, 5, 8, 8, 10, 11, 11 };
    slice all = SLICE_LITERAL("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z");
    for (size_t max = 0; max < sizeof heads / sizeof heads[0]; max++) {
        assert_int_equal(utf8_head(all, max).len, heads[max]);
        assert_ptr_equal(utf8_head(all, max).ptr, all.ptr);
        assert_int_equal(utf8_tail(all, max).len, tails[max]);
        if (max < all.len)
            assert_int_equal(utf8_whole((slice){ text, max }).len, heads[max]);
    }
    assert_int_equal(utf8_whole((slice){ 0 }).len, 0);
    assert_int_equal(utf8_head(SLICE_LITERAL("\x80\x80\x80\x80\x80"), 4).len, 4);
    assert_int_equal(utf8_tail(SLICE_LITERAL("\x80\x80\x80\x80\x80\x80"), 5).len, 2);
}

static size_t control_at(const char *bytes, size_t len)
{
    slice text = guard_copy(bytes, len);
    size_t count = utf8_control(text);
    guard_free(text);
    return count;
}

/* C0, DEL, C1 and the two separators, each whole; nothing is read behind the text. */
static void controls_are_told_from_characters(void **state)
{
    (void)state;
    assert_int_equal(control_at("", 0), 0);
    for (int c = 0; c < 256; c++) {
        const char one[] = { (char)c }, two[] = { '\xc2', (char)c };
        const char three[] = { '\xe2', '\x80', (char)c };
        assert_int_equal(control_at(one, 1), c < 0x20 || c == 0x7f ? 1 : 0);
        assert_int_equal(control_at(two, 2), c >= 0x80 && c <= 0x9f ? 2 : 0);
        assert_int_equal(control_at(three, 3), c == 0xa8 || c == 0xa9 ? 3 : 0);
    }
    assert_int_equal(control_at("\xe2\x80", 2), 0);
    assert_int_equal(control_at("\xe3\x80\xa8", 3), 0);
    assert_int_equal(control_at("\xe2\x81\xa8", 3), 0);
    assert_int_equal(control_at("\xc3\x85", 2), 0);
    assert_int_equal(control_at("\nabc", 4), 1);
}

static void slices_know_their_end(void **state)
{
    (void)state;
    assert_true(
        slice_ends_nocase(SLICE_LITERAL("application/PROBLEM+json"), SLICE_LITERAL("+JSON")));
    assert_true(slice_ends_nocase(SLICE_LITERAL("x"), SLICE_LITERAL("")));
    assert_false(slice_ends_nocase(SLICE_LITERAL("json"), SLICE_LITERAL("+json")));
    assert_false(slice_ends_nocase(SLICE_LITERAL("a+jsonx"), SLICE_LITERAL("+json")));
}

/* --- text ------------------------------------------------------------------------------- */

static void texts_end_where_their_array_does(void **state)
{
    (void)state;
    for (size_t size = 1; size < 12; size++) {
        char *array = malloc(size); /* of that size to the byte, for the sanitizer */
        assert_non_null(array);
        memset(array, 'x', size);
        struct text text = text_over(array, size);
        assert_string_equal(array, "");
        assert_int_equal(text_add(&text, "%s", "abcde"), size > 5);
        assert_int_equal(text_add(&text, "%d", 67), size > 7);
        assert_int_equal(text.is_cut, size <= 7);
        assert_int_equal(text.len, size > 7 ? 7 : size - 1);
        assert_memory_equal(array, "abcde67", text.len);
        assert_int_equal(array[text.len], 0);
        text_truncate(&text, 100);
        assert_int_equal(text.len, size > 7 ? 7 : size - 1);
        text_truncate(&text, 0);
        assert_string_equal(array, "");
        free(array);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare),
        cmocka_unit_test(dates_are_those_of_libc),
        cmocka_unit_test(err_texts_read_from_the_outside_in),
        cmocka_unit_test(a_new_error_is_not_logged_yet),
        cmocka_unit_test(err_may_be_null),
        cmocka_unit_test(err_cuts_long_texts),
        cmocka_unit_test(err_texts_stay_on_their_line),
        cmocka_unit_test(buf_grows_up_to_its_maximum),
        cmocka_unit_test(buf_appends_all_or_nothing),
        cmocka_unit_test(buf_appends_slices_up_to_one_that_does_not_fit),
        cmocka_unit_test(buf_error_sticks_until_it_is_cleared),
        cmocka_unit_test(code_points_are_written),
        cmocka_unit_test(text_is_utf8_up_to_the_first_byte_that_is_not),
        cmocka_unit_test(utf8_is_cut_between_characters),
        cmocka_unit_test(controls_are_told_from_characters),
        cmocka_unit_test(slices_know_their_end),
        cmocka_unit_test(buf_appends_as_printf_writes),
        cmocka_unit_test(buf_without_room_takes_nothing),
        cmocka_unit_test(buf_gives_back_what_it_may_not_keep),
        cmocka_unit_test(buf_moves_with_its_memory),
        cmocka_unit_test(buf_reports_missing_memory),
        cmocka_unit_test(arena_pieces_are_aligned_and_apart),
        cmocka_unit_test(arena_pieces_share_a_chunk),
        cmocka_unit_test(arena_stops_at_its_maximum),
        cmocka_unit_test(arena_keeps_one_small_chunk),
        cmocka_unit_test(clock_deadlines_never_wrap),
        cmocka_unit_test(clock_is_the_monotonic_one),
        cmocka_unit_test(clock_sleep_lasts_until_the_deadline),
        cmocka_unit_test(each_byte_is_escaped_right_at_each_place),
        cmocka_unit_test(escaping_goes_on_where_the_room_ended),
        cmocka_unit_test(escaping_without_room_takes_nothing),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(utf8_counts_every_code_point),
        cmocka_unit_test(texts_end_where_their_array_does),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
