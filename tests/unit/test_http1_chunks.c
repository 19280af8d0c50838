/* codec/http1: chunked bodies, in every way they can be cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec/http1.h"
#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What came out of a decoder so far. */
struct decoded {
    struct http1_chunks chunks;
    size_t used;
    char body[20000];
    size_t body_len;
    struct err err;
};

/* Feeds one piece, each of its calls with what is left of it up to an unreadable page. */
static int feed(struct decoded *decoded, const char *bytes, size_t len)
{
    slice piece = guard_copy(bytes, len), rest = piece;
    int rc = 0;
    while (rest.len > 0 && !decoded->chunks.done) {
        slice data;
        ptrdiff_t used = http1_chunks_feed(&decoded->chunks, rest.ptr, rest.len, &data,
                                           &decoded->err);
        if (used < 0) {
            rc = (int)used;
            break;
        }
        assert_true(used > 0 && (size_t)used <= rest.len);
        assert_true(data.len == 0 || data.ptr + data.len == rest.ptr + used);
        assert_true(data.len <= (size_t)used);
        assert_true(decoded->body_len + data.len <= sizeof decoded->body);
        memcpy(decoded->body + decoded->body_len, data.ptr, data.len);
        decoded->body_len += data.len;
        decoded->used += (size_t)used;
        rest = slice_skip(rest, (size_t)used);
    }
    guard_free(piece);
    return rc;
}

static int feed_cut(struct decoded *decoded, const char *bytes, size_t len, size_t first)
{
    memset(decoded, 0, sizeof *decoded);
    int rc = feed(decoded, bytes, first);
    return rc == 0 ? feed(decoded, bytes + first, len - first) : rc;
}

static int feed_bytes(struct decoded *decoded, const char *bytes, size_t len)
{
    memset(decoded, 0, sizeof *decoded);
    for (size_t i = 0; i < len; i++) {
        int rc = feed(decoded, bytes + i, 1);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* --- good bodies ------------------------------------------------------------------------ */

static const struct good {
    const char *encoded;
    const char *body;
} good[] = {
    { "0\r\n\r\n", "" },
    { "5\r\nhello\r\n0\r\n\r\n", "hello" },
    { "00000005\r\nhello\r\n000\r\n\r\n", "hello" },
    { "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "hello" },
    { "1\r\na\r\n1\r\nb\r\n2\r\ncd\r\n0\r\n\r\n", "abcd" },
    { "a\r\n0123456789\r\nA\r\n9876543210\r\n0\r\n\r\n", "01234567899876543210" },
    { "1F\r\n0123456789012345678901234567890\r\n0\r\n\r\n", "0123456789012345678901234567890" },
    { "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n" }, /* data that looks like the end */
    { "2\r\n\r\n\r\n0\r\n\r\n", "\r\n" },
    { "5;\r\nhello\r\n0;\r\n\r\n", "hello" },
    { "5;a=b;c=\"d;\\\"\xe9\"\t ;e\r\nhello\r\n0;last\r\n\r\n", "hello" },
    { "5 \t ;a\r\nhello\r\n0 ;b\r\n\r\n", "hello" },
    { "0\r\nA: b\r\n\r\n", "" },
    { "3\r\nabc\r\n0\r\nA:\r\nDigest-2: x=\"y\"\t\xe9\r\n!~: :\r\n\r\n", "abc" },
    { "0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n", "" },
};

static void expect(const struct decoded *decoded, int rc, const struct good *want, const char *how)
{
    if (rc != 0 || !decoded->chunks.done || decoded->used != strlen(want->encoded) ||
        decoded->body_len != strlen(want->body) ||
        memcmp(decoded->body, want->body, decoded->body_len) != 0)
        fail_msg("%s gives %d (%s), %zu bytes used: %s", how, rc, decoded->err.text, decoded->used,
                 want->encoded);
}

static void good_bodies_are_decoded_however_they_are_cut(void **state)
{
    (void)state;
    static struct decoded decoded;
    for (size_t i = 0; i < COUNT(good); i++) {
        const char *encoded = good[i].encoded;
        size_t len = strlen(encoded);
        expect(&decoded, feed_bytes(&decoded, encoded, len), &good[i], "byte by byte");
        for (size_t first = 0; first <= len; first++)
            expect(&decoded, feed_cut(&decoded, encoded, len, first), &good[i], "in two pieces");
    }
}

static void a_body_is_not_over_before_its_last_byte(void **state)
{
    (void)state;
    static struct decoded decoded;
    for (size_t i = 0; i < COUNT(good); i++) {
        for (size_t len = 0; len < strlen(good[i].encoded); len++) {
            assert_int_equal(feed_cut(&decoded, good[i].encoded, len, len), 0);
            assert_false(decoded.chunks.done);
            assert_int_equal(decoded.used, len);
        }
    }
}

static void what_follows_a_body_is_left_alone(void **state)
{
    (void)state;
    static struct decoded decoded;
    static const char *const tails[] = { "HTTP/1.1 200 OK\r\n\r\n", "\r\n", "0\r\n\r\n", "\x01" };
    for (size_t i = 0; i < COUNT(good); i++) {
        for (size_t k = 0; k < COUNT(tails); k++) {
            char text[256];
            int len = snprintf(text, sizeof text, "%s%s", good[i].encoded, tails[k]);
            int rc = feed_cut(&decoded, text, (size_t)len, (size_t)len);
            expect(&decoded, rc, &good[i], "with a tail");
            slice data;
            assert_int_equal(
                http1_chunks_feed(&decoded.chunks, tails[k], strlen(tails[k]), &data, &decoded.err),
                0);
            assert_int_equal(data.len, 0);
        }
    }
}

static void nothing_in_gives_nothing_out(void **state)
{
    (void)state;
    struct http1_chunks chunks = { 0 };
    slice data = SLICE_LITERAL("x");
    assert_int_equal(http1_chunks_feed(&chunks, NULL, 0, &data, NULL), 0);
    assert_int_equal(data.len, 0);
    assert_int_equal(http1_chunks_feed(&chunks, "5\r\n", 3, &data, NULL), 3);
    assert_int_equal(http1_chunks_feed(&chunks, NULL, 0, &data, NULL), 0);
    assert_int_equal(data.len, 0);
    assert_false(chunks.done);
}

static void the_largest_size_is_counted_down(void **state)
{
    (void)state;
    static const char encoded[] = "7fffffffffffffff\r\nabc";
    struct http1_chunks chunks = { 0 };
    slice data;
    assert_int_equal(http1_chunks_feed(&chunks, encoded, sizeof encoded - 1, &data, NULL), 21);
    assert_true(slice_is(data, "abc"));
    assert_true(chunks.left == INT64_MAX - 3);
}

/* --- bad bodies ------------------------------------------------------------------------- */

static const char *const bad[] = {
    /* sizes */
    "\r\n",
    "\n",
    " 5\r\n",
    "\t5\r\n",
    "x\r\n",
    "-1\r\n",
    "+5\r\n",
    "0x5\r\n",
    ";a\r\n",
    "g",
    "5g\r\n",
    "5,\r\n",
    "5.0\r\n",
    "5 5\r\n",
    "5\r\nhello\r\n\r\n",
    "00000000000000000",
    "00000000000000005\r\nhello\r\n0\r\n\r\n",
    "8000000000000000\r\n",
    "ffffffffffffffff\r\n",
    "10000000000000000\r\n",
    "fffffffffffffffff\r\n",
    "100000000000000005\r\n",
    "5\xb9\r\n",
    "5_0\r\n",
    ("\xef\xbb\xbf"
     "5\r\n"),
    "{\"a\":1}",
    /* line ends */
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello\r\n0\n\r\n",
    "0\r\n\n",
    "0\n\n",
    "5\rhello",
    "5\r\r\nhello",
    "5\r\nhello\rx",
    "5\r\nhello\r\r\n",
    "0\r\n\rx",
    "0\r\n\r\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello!\r\n0\r\n\r\n",
    "4\r\nhello\r\n0\r\n\r\n",
    "6\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n",
    "5\t\r\nhello\r\n",
    "0 \r\n\r\n",
    /* extensions */
    "5;a\nhello\r\n",
    "5;a\rb\r\n",
    "5;a\x01\r\n",
    "5;\x7f\r\n",
    "5 ;a=\"b\nc\"\r\n",
    "5;\r\r\n",
    "5 a\r\n",
    /* trailers */
    "0\r\nA\r\n\r\n",
    "0\r\n: b\r\n\r\n",
    "0\r\nA : b\r\n\r\n",
    "0\r\nA: b\r\n c\r\n\r\n",
    "0\r\n A: b\r\n\r\n",
    "0\r\nA: b\n\r\n",
    "0\r\nA: b\x01\r\n\r\n",
    "0\r\nA: b\rc\r\n\r\n",
    "0\r\nA\xe9: b\r\n\r\n",
    "0\r\nHTTP/1.1 200 OK\r\n\r\n",
    "0\r\n\tA: b\r\n\r\n",
    "0\r\nA: b\x7f",
};

static void bad_bodies_are_refused_however_they_are_cut(void **state)
{
    (void)state;
    static struct decoded decoded;
    for (size_t i = 0; i < COUNT(bad); i++) {
        size_t len = strlen(bad[i]);
        int rc = feed_bytes(&decoded, bad[i], len);
        if (rc != ERR_PEER || decoded.err.code != ERR_PEER)
            fail_msg("byte by byte gives %d, %zu bytes used: %s", rc, decoded.used, bad[i]);
        for (size_t first = 0; first <= len; first++)
            if ((rc = feed_cut(&decoded, bad[i], len, first)) != ERR_PEER)
                fail_msg("cut at %zu gives %d: %s", first, rc, bad[i]);
    }
}

static void a_nul_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    static struct decoded decoded;
    static const char encoded[] = "5 ;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n";
    const char *hello = strstr(encoded, "hello");
    for (size_t at = 0; at < sizeof encoded - 1; at++) {
        char text[sizeof encoded];
        memcpy(text, encoded, sizeof encoded);
        text[at] = '\0';
        bool in_data = encoded + at >= hello && encoded + at < hello + 5;
        int rc = feed_cut(&decoded, text, at + 1, at + 1);
        assert_int_equal(rc, in_data ? 0 : ERR_PEER);
    }
}

static void nothing_is_decoded_after_an_error(void **state)
{
    (void)state;
    struct http1_chunks chunks = { 0 };
    slice data;
    struct err err = { 0 };
    assert_int_equal(http1_chunks_feed(&chunks, "x", 1, &data, &err), ERR_PEER);
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        assert_int_equal(http1_chunks_feed(&chunks, &byte, 1, &data, &err), ERR_PEER);
        assert_non_null(strstr(err.text, "earlier"));
    }
    assert_int_equal(http1_chunks_feed(&chunks, "", 0, &data, &err), 0);
    assert_false(chunks.done);
}

/* --- limits ----------------------------------------------------------------------------- */

/* start, then as many x as make `size` bytes with the end, then end. */
static size_t stretch(char *to, const char *start, size_t size, const char *end)
{
    memset(to, 'x', size);
    memcpy(to, start, strlen(start));
    memcpy(to + size - strlen(end), end, strlen(end));
    return size;
}

static void chunk_lines_are_limited_each(void **state)
{
    (void)state;
    static struct decoded decoded;
    static char text[3 * HTTP1_CHUNK_LINE_MAX_BYTES + 100];
    const size_t limit = HTTP1_CHUNK_LINE_MAX_BYTES;
    size_t len = stretch(text, "1;", limit, "\r\n");
    memcpy(text + len, "a\r\n", 3);
    len += 3;
    len += stretch(text + len, "1;", limit, "\r\n");
    memcpy(text + len, "b\r\n", 3);
    len += 3;
    len += stretch(text + len, "0;", limit, "\r\n");
    memcpy(text + len, "\r\n", 2);
    len += 2;
    assert_int_equal(feed_bytes(&decoded, text, len), 0);
    assert_true(decoded.chunks.done && decoded.body_len == 2);

    len = stretch(text, "1;", limit + 1, "\r\n");
    assert_int_equal(feed_cut(&decoded, text, len, len), ERR_LIMIT);
    assert_int_equal(feed_bytes(&decoded, text, len - 1), 0);
    len = stretch(text, "1;", limit + 1, "");
    assert_int_equal(feed_bytes(&decoded, text, len), ERR_LIMIT);
    memset(text, ' ', sizeof text);
    text[0] = '1';
    assert_int_equal(feed_bytes(&decoded, text, limit), 0);
    assert_int_equal(feed_bytes(&decoded, text, limit + 1), ERR_LIMIT);
}

static void trailers_are_limited_together(void **state)
{
    (void)state;
    static struct decoded decoded;
    static char text[HTTP1_TRAILER_MAX_BYTES + 100];
    for (size_t over = 0; over <= 1; over++) {
        memcpy(text, "0\r\n", 3);
        size_t len = 3 + stretch(text + 3, "A: ", 4000, "\r\n");
        len += stretch(text + len, "B: ", HTTP1_TRAILER_MAX_BYTES - 4000 + over, "\r\n\r\n");
        int rc = feed_cut(&decoded, text, len, len);
        assert_int_equal(rc, over == 0 ? 0 : ERR_LIMIT);
        assert_int_equal(decoded.chunks.done, over == 0);
    }
    memset(text, 'x', sizeof text);
    memcpy(text, "0\r\n", 3);
    assert_int_equal(feed_bytes(&decoded, text, 3 + HTTP1_TRAILER_MAX_BYTES), 0);
    assert_int_equal(feed_bytes(&decoded, text, 4 + HTTP1_TRAILER_MAX_BYTES), ERR_LIMIT);
}

static void many_chunks_are_not_limited(void **state)
{
    (void)state;
    struct http1_chunks chunks = { 0 };
    slice data;
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(http1_chunks_feed(&chunks, "1;a\r\nx\r\n", 8, &data, NULL), 6);
        assert_true(slice_is(data, "x"));
        assert_int_equal(http1_chunks_feed(&chunks, "\r\n", 2, &data, NULL), 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies_are_decoded_however_they_are_cut),
        cmocka_unit_test(a_body_is_not_over_before_its_last_byte),
        cmocka_unit_test(what_follows_a_body_is_left_alone),
        cmocka_unit_test(nothing_in_gives_nothing_out),
        cmocka_unit_test(the_largest_size_is_counted_down),
        cmocka_unit_test(bad_bodies_are_refused_however_they_are_cut),
        cmocka_unit_test(a_nul_is_refused_wherever_it_stands),
        cmocka_unit_test(nothing_is_decoded_after_an_error),
        cmocka_unit_test(chunk_lines_are_limited_each),
        cmocka_unit_test(trailers_are_limited_together),
        cmocka_unit_test(many_chunks_are_not_limited),
    };
    return cmocka_run_group_tests_name("http1_chunks", tests, NULL, NULL);
}
