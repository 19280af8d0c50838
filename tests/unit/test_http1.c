/* codec/http1: heads, values and requests. Chunked bodies are in test_http1_chunks.c. */
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

/* Slices of the last parsed head point into memory that is gone; only their facts are kept. */
static ptrdiff_t parse(const char *bytes, size_t len, bool to_head, struct http1_response *response,
                       struct err *err)
{
    slice guarded = guard_copy(bytes, len);
    ptrdiff_t size = http1_parse_response(guarded.ptr, len, to_head, response, err);
    guard_free(guarded);
    return size;
}

/* --- good heads ------------------------------------------------------------------------- */

#define H11 "HTTP/1.1 200 OK\r\n"
#define H10 "HTTP/1.0 200 OK\r\n"

static const struct good {
    const char *head;
    bool to_head;
    int status;
    int minor;
    size_t fields;
    enum http1_body body;
    uint64_t length;
    bool keep_alive;
} good[] = {
    /* the ways a body's end is known */
    { H11 "\r\n", false, 200, 1, 0, HTTP1_BODY_CLOSE, 0, false },
    { H11 "Content-Length: 0\r\n\r\n", false, 200, 1, 1, HTTP1_BODY_LENGTH, 0, true },
    { H11 "Content-Length: 12\r\n\r\n", false, 200, 1, 1, HTTP1_BODY_LENGTH, 12, true },
    { H11 "content-LENGTH:\t 0012 \t\r\n\r\n", false, 200, 1, 1, HTTP1_BODY_LENGTH, 12, true },
    { H11 "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", false, 200, 1, 2, HTTP1_BODY_LENGTH, 5,
      true },
    { H11 "Content-Length: 9223372036854775807\r\n\r\n", false, 200, 1, 1, HTTP1_BODY_LENGTH,
      INT64_MAX, true },
    { H11 "Transfer-Encoding: chunked\r\n\r\n", false, 200, 1, 1, HTTP1_BODY_CHUNKED, 0, true },
    { H11 "TRANSFER-encoding:CHUNKED\r\n\r\n", false, 200, 1, 1, HTTP1_BODY_CHUNKED, 0, true },
    { "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\n", false, 500, 1, 1, HTTP1_BODY_LENGTH, 3,
      true },
    { "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", false, 302, 1, 1, HTTP1_BODY_CLOSE, 0, false },

    /* answers without a body, whatever they say */
    { "HTTP/1.1 100 Continue\r\n\r\n", false, 100, 1, 0, HTTP1_BODY_NONE, 0, true },
    { "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n", false, 103, 1, 1, HTTP1_BODY_NONE, 0, true },
    { "HTTP/1.1 100 \r\nContent-Length: 5\r\n\r\n", false, 100, 1, 1, HTTP1_BODY_NONE, 0, false },
    { "HTTP/1.1 204 No Content\r\n\r\n", false, 204, 1, 0, HTTP1_BODY_NONE, 0, true },
    { "HTTP/1.1 204 N\r\nContent-Length: 0\r\n\r\n", false, 204, 1, 1, HTTP1_BODY_NONE, 0, true },
    { "HTTP/1.1 204 N\r\nContent-Length: 1\r\n\r\n", false, 204, 1, 1, HTTP1_BODY_NONE, 0, false },
    { "HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n", false, 204, 1, 1, HTTP1_BODY_NONE, 0,
      false },
    { "HTTP/1.1 204 N\r\nConnection: close\r\n\r\n", false, 204, 1, 1, HTTP1_BODY_NONE, 0, false },
    { "HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", false, 304, 1, 1, HTTP1_BODY_NONE, 0, true },
    { "HTTP/1.1 304 Not\r\nTransfer-Encoding: chunked\r\n\r\n", false, 304, 1, 1, HTTP1_BODY_NONE,
      0, true },
    { H11 "Content-Length: 9\r\n\r\n", true, 200, 1, 1, HTTP1_BODY_NONE, 0, true },
    { H11 "Transfer-Encoding: chunked\r\n\r\n", true, 200, 1, 1, HTTP1_BODY_NONE, 0, true },
    { H11 "\r\n", true, 200, 1, 0, HTTP1_BODY_NONE, 0, true },

    /* persistence */
    { H11 "Content-Length: 1\r\nConnection: close\r\n\r\n", false, 200, 1, 2, HTTP1_BODY_LENGTH, 1,
      false },
    { H11 "Content-Length: 1\r\nConnection: upgrade ,\tCLOSE\t,x\r\n\r\n", false, 200, 1, 2,
      HTTP1_BODY_LENGTH, 1, false },
    { H11 "Connection: x\r\nContent-Length: 1\r\nconnection: close\r\n\r\n", false, 200, 1, 3,
      HTTP1_BODY_LENGTH, 1, false },
    { H11 "Connection: keep-alive, close\r\nContent-Length: 1\r\n\r\n", false, 200, 1, 2,
      HTTP1_BODY_LENGTH, 1, false },
    { H11 "Connection: closed\r\nContent-Length: 1\r\n\r\n", false, 200, 1, 2, HTTP1_BODY_LENGTH, 1,
      true },
    { H11 "Connection: , ,\r\nContent-Length: 1\r\n\r\n", false, 200, 1, 2, HTTP1_BODY_LENGTH, 1,
      true },
    { H11 "Connection: keep-alive\r\n\r\n", false, 200, 1, 1, HTTP1_BODY_CLOSE, 0, false },
    { H10 "Content-Length: 1\r\n\r\n", false, 200, 0, 1, HTTP1_BODY_LENGTH, 1, false },
    { H10 "Content-Length: 1\r\nConnection: a, Keep-Alive\r\n\r\n", false, 200, 0, 2,
      HTTP1_BODY_LENGTH, 1, true },
    { H10 "Content-Length: 1\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false, 200, 0,
      3, HTTP1_BODY_LENGTH, 1, false },
    { H10 "Connection: keep-alive\r\n\r\n", false, 200, 0, 1, HTTP1_BODY_CLOSE, 0, false },

    /* forms of lines */
    { "HTTP/1.1 200\r\n\r\n", false, 200, 1, 0, HTTP1_BODY_CLOSE, 0, false },
    { "HTTP/1.1 200 \r\n\r\n", false, 200, 1, 0, HTTP1_BODY_CLOSE, 0, false },
    { "HTTP/1.1 200\n\n", false, 200, 1, 0, HTTP1_BODY_CLOSE, 0, false },
    { "HTTP/1.1 599 a\tb \xe9\r\n\r\n", false, 599, 1, 0, HTTP1_BODY_CLOSE, 0, false },
    { "HTTP/1.1 200 OK\nContent-Length: 4\n\n", false, 200, 1, 1, HTTP1_BODY_LENGTH, 4, true },
    { "HTTP/1.1 200 OK\nContent-Length: 4\r\nA:b\n\r\n", false, 200, 1, 2, HTTP1_BODY_LENGTH, 4,
      true },
    { H11 "A:\r\nB: \t\r\n!#$%&'*+-.^_`|~0aZ: \xff\x80\t\"x\"\r\n\r\n", false, 200, 1, 3,
      HTTP1_BODY_CLOSE, 0, false },
    { H11 "Content-Length-X: 5\r\nX-Transfer-Encoding: gzip\r\n\r\n", false, 200, 1, 2,
      HTTP1_BODY_CLOSE, 0, false },
};

static void check_inside(slice part, slice whole)
{
    assert_true(part.ptr >= whole.ptr && part.len <= whole.len);
    assert_true((size_t)(part.ptr - whole.ptr) <= whole.len - part.len);
}

static void check_facts(const struct good *want, const struct http1_response *got)
{
    assert_int_equal(got->status, want->status);
    assert_int_equal(got->minor_version, want->minor);
    assert_int_equal(got->field_count, want->fields);
    assert_int_equal(got->body, want->body);
    assert_true(got->content_length == want->length);
    assert_int_equal(got->keep_alive, want->keep_alive);
}

static void good_heads_are_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct http1_response response;
        struct err err = { 0 };
        size_t len = strlen(good[i].head);
        memset(&response, 0xa5, sizeof response); /* nothing may depend on what was there */
        slice head = guard_copy(good[i].head, len);
        ptrdiff_t size = http1_parse_response(head.ptr, len, good[i].to_head, &response, &err);
        if (size != (ptrdiff_t)len)
            fail_msg("head %zu gives %td (%s): %s", i, size, err.text, good[i].head);
        check_facts(&good[i], &response);
        check_inside(response.reason, head);
        for (size_t k = 0; k < response.field_count; k++) {
            check_inside(response.fields[k].name, head);
            check_inside(response.fields[k].value, head);
        }
        guard_free(head);
    }
}

static void what_follows_a_head_is_left_alone(void **state)
{
    (void)state;
    static const char *const tails[] = {
        "\r\n", "\n", "\x01", "\0", "HTTP/1.1 200 OK\r\n\r\n", " x"
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        for (size_t k = 0; k < COUNT(tails); k++) {
            char text[512];
            struct http1_response response;
            size_t len = strlen(good[i].head), tail_len = k == 3 ? 1 : strlen(tails[k]);
            memcpy(text, good[i].head, len);
            memcpy(text + len, tails[k], tail_len);
            assert_int_equal(parse(text, len + tail_len, good[i].to_head, &response, NULL), len);
            check_facts(&good[i], &response);
        }
    }
}

static void every_prefix_of_a_good_head_is_incomplete(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        for (size_t len = 0; len < strlen(good[i].head); len++) {
            struct http1_response response;
            ptrdiff_t size = parse(good[i].head, len, good[i].to_head, &response, NULL);
            if (size != 0)
                fail_msg("%zu bytes of head %zu give %td: %s", len, i, size, good[i].head);
        }
    }
}

static void slices_point_at_the_right_bytes(void **state)
{
    (void)state;
    slice head = guard_text(
        "HTTP/1.1 404  Not Here \r\nA: 1\r\nContent-Type:text/html ; charset=x\r\n"
        "a:  2 3\t\r\nEmpty:\r\n\r\n");
    struct http1_response response;
    slice value;
    assert_int_equal(http1_parse_response(head.ptr, head.len, false, &response, NULL), head.len);
    assert_true(slice_is(response.reason, " Not Here "));
    assert_int_equal(response.field_count, 4);
    assert_true(slice_is(response.fields[2].name, "a"));
    assert_true(slice_is(response.fields[2].value, "2 3"));
    assert_true(http1_field(&response, "A", &value) && slice_is(value, "1"));
    assert_true(http1_field(&response, "CONTENT-type", &value));
    assert_true(slice_is(value, "text/html ; charset=x"));
    assert_true(http1_is_media_type(value, "text/html"));
    assert_true(http1_field(&response, "empty", &value) && value.len == 0);
    assert_false(http1_field(&response, "Content-Typ", &value));
    assert_false(http1_field(&response, "", &value));
    response.fields[4].name = SLICE_LITERAL("Ghost"); /* behind the last one */
    assert_false(http1_field(&response, "Ghost", &value));
    assert_true(slice_is(response.fields[3].name, "Empty"));
    guard_free(head);
}

/* --- bad heads -------------------------------------------------------------------------- */

static const char *const bad[] = {
    /* no HTTP/1 at all */
    "S",
    "\r\n",
    "\n",
    " HTTP/1.1 200 OK\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
    "SSH-2.0-x\r\n",
    "h",
    "http/1.1 200 OK\r\n\r\n",
    "HTTP/2",
    "HTTP/1.2",
    "HTTP/1.1\r\n",
    "HTTP/1.1  ",
    "HTTP/1.1\t",
    "HTTP/11.1 200",
    "HTTP/0.9 200",
    "HTTP/1,1 200",
    "HTTP/1.1200",
    "HTTP/1. ",
    "HTTP 1.1",
    "ICY 200 OK\r\n",
    "\x15\x03\x01",
    "220 smtp.example ready\r\n",
    "<html>",
    "HTTP/1.10 200 OK",
    /* statuses */
    "HTTP/1.1 0",
    "HTTP/1.1 099 x\r\n\r\n",
    "HTTP/1.1 6",
    "HTTP/1.1 999 x\r\n\r\n",
    "HTTP/1.1 -20",
    "HTTP/1.1 20x",
    "HTTP/1.1 20\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 200OK\r\n\r\n",
    "HTTP/1.1 200\tOK\r\n\r\n",
    "HTTP/1.1 \r\n\r\n",
    "HTTP/1.1 OK\r\n\r\n",
    /* lines and bytes */
    "HTTP/1.1 200 O\rK\r\n\r\n",
    "HTTP/1.1 200\r\r\n\r\n",
    H11 "A: b\r\r\n\r\n",
    H11 "A: b\rC: d\r\n\r\n",
    H11 "\rA",
    H11 "A: b\x01",
    H11 "A: b\x7f",
    H11 "A: b\x1b[0m",
    H11 "A: b\x0b",
    H11 "A\x08: b",
    "HTTP/1.1 200 O\x07K",
    H11 "A: \x0c\r\n\r\n",
    /* fields */
    H11 "A\r\n\r\n",
    H11 ": b\r\n\r\n",
    H11 ":\r\n\r\n",
    H11 "A : b\r\n\r\n",
    H11 "A\t: b\r\n\r\n",
    H11 "A b: c\r\n\r\n",
    H11 " A: b\r\n\r\n",
    H11 "\tA: b\r\n\r\n",
    H11 "A: b\r\n c\r\n\r\n",
    H11 "A: b\r\n\tc: d\r\n\r\n",
    H11 " \r\n\r\n",
    H11 "A: b\r\n \r\n\r\n",
    H11 "A: b\n c\n\n",
    H11 "A\xe9: b\r\n\r\n",
    H11 "A(b): c\r\n\r\n",
    H11 "\"A\": c\r\n\r\n",
    H11 "A/b: c\r\n\r\n",
    H11 "A: b\r\nHTTP/1.1 200 OK\r\n\r\n",
    H11 "Content-Length : 5\r\n\r\n",
    H11 "{\"a\": 1}\r\n\r\n",
    /* lengths */
    H11 "Content-Length:\r\n\r\n",
    H11 "Content-Length: x\r\n\r\n",
    H11 "Content-Length: +5\r\n\r\n",
    H11 "Content-Length: -5\r\n\r\n",
    H11 "Content-Length: 0x5\r\n\r\n",
    H11 "Content-Length: 5 5\r\n\r\n",
    H11 "Content-Length: 5, 5\r\n\r\n",
    H11 "Content-Length: 5;\r\n\r\n",
    H11 "Content-Length: 5.0\r\n\r\n",
    H11 "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    H11 "Content-Length: 5\r\nContent-Length: 05\r\n\r\n",
    H11 "Content-Length: 5\r\nA: b\r\ncontent-length: 5, 5\r\n\r\n",
    H11 "Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\n",
    H11 "Content-Length: 9223372036854775808\r\n\r\n",
    H11 "Content-Length: 18446744073709551616\r\n\r\n",
    H11 "Content-Length: 18446744073709551621\r\n\r\n",
    H11 "Content-Length: 99999999999999999999999999999999\r\n\r\n",
    "HTTP/1.1 204 N\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 304 N\r\nContent-Length: -1\r\n\r\n",
    /* codings, and both */
    H11 "Transfer-Encoding: gzip\r\n\r\n",
    H11 "Transfer-Encoding:\r\n\r\n",
    H11 "Transfer-Encoding: gzip, chunked\r\n\r\n",
    H11 "Transfer-Encoding: chunked, gzip\r\n\r\n",
    H11 "Transfer-Encoding: chunked, identity\r\n\r\n",
    H11 "Transfer-Encoding: identity\r\n\r\n",
    H11 "Transfer-Encoding: chunked, chunked\r\n\r\n",
    H11 "Transfer-Encoding: xchunked\r\n\r\n",
    H11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    H11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
    H11 "Transfer-Encoding: chunked;q=1\r\n\r\n",
    H11 "Transfer-Encoding: \"chunked\"\r\n\r\n",
    H11 "Transfer-Encoding: , chunked\r\n\r\n",
    H11 "Transfer-Encoding : chunked\r\n\r\n",
    H11 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    H11 "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    H11 "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
    H10 "Transfer-Encoding: chunked\r\n\r\n",
    H10 "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
};

static void bad_heads_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct http1_response response;
        struct err err = { 0 };
        size_t len = strlen(bad[i]);
        ptrdiff_t size = parse(bad[i], len, false, &response, &err);
        if (size != ERR_PEER || err.code != ERR_PEER || err.text[0] == '\0')
            fail_msg("bad head %zu gives %td: %s", i, size, bad[i]);
        for (const char *c = err.text; *c != '\0'; c++)
            assert_in_range(*c, ' ', '~');
        /* What came before the mistake is incomplete, never good. */
        for (size_t part = 0; part < len; part++)
            if ((size = parse(bad[i], part, false, &response, NULL)) != 0 && size != ERR_PEER)
                fail_msg("%zu bytes of bad head %zu give %td: %s", part, i, size, bad[i]);
    }
}

static void a_nul_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    static const char head[] = H11 "Content-Length: 5\r\nA: b\r\n\r\n";
    for (size_t at = 0; at < sizeof head - 1; at++) {
        struct http1_response response;
        char text[sizeof head];
        memcpy(text, head, sizeof head);
        text[at] = '\0';
        assert_int_equal(parse(text, sizeof head - 1, false, &response, NULL), ERR_PEER);
        assert_int_equal(parse(text, at + 1, false, &response, NULL), ERR_PEER); /* at once */
    }
}

static void refusals_quote_what_was_refused(void **state)
{
    (void)state;
    static const struct {
        const char *head, *words;
    } cases[] = {
        { "SSH-2.0-OpenSSH 9\r\n", "status line: \"SSH-2.0-OpenSSH 9\"" },
        { "\x15\x03\x01", "status line: \"\"" },
        { "HTTP/1.1 7 a\xe9z", "status line: \"HTTP/1.1 7 a\"" },
        { "0123456789012345678901234567890123456789X",
          "\"0123456789012345678901234567890123456789\"" },
        { H11 "Some Words\r\n\r\n", "not \"name: value\": \"Some Words\"" },
        { H11 " A: b\r\n\r\n", "starts with white space" },
        { H11 "A: b\r\n\tc\r\n\r\n", "starts with white space" },
        { H11 "Content-Length: 1,1\r\n\r\n", "Content-Length is not a length: \"1,1\"" },
        { H11 "Transfer-Encoding: br\r\n\r\n", "not \"chunked\": \"br\"" },
        { H11 "A: b\x1b[0m", "control character 0x1b" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http1_response response;
        struct err err = { 0 };
        assert_int_equal(parse(cases[i].head, strlen(cases[i].head), false, &response, &err),
                         ERR_PEER);
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("\"%s\" does not say: %s", err.text, cases[i].words);
    }
}

static bool is_token_char(int c)
{
    static const char marks[] = "!#$%&'*+-.^_`|~"; /* RFC 9110, section 5.6.2 */
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr(marks, c) != NULL);
}

static void each_byte_is_allowed_where_the_rfc_says(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        struct http1_response response;
        bool in_value = c == '\t' || (c >= ' ' && c != 0x7f);
        char name[] = H11 "X?y: z\r\n\r\n", value[] = H11 "X: a?z\r\n\r\n";
        char reason[] = "HTTP/1.1 200 a?c\r\n\r\n";
        *strchr(name, '?') = *strchr(value, '?') = *strchr(reason, '?') = (char)c;
        bool name_ok = parse(name, sizeof name - 1, false, &response, NULL) > 0;
        assert_int_equal(name_ok, is_token_char(c) || c == ':'); /* "X::y" is a value ":y" */
        /* A line feed ends the line, and "z" and "c" are then no fields. */
        assert_int_equal(parse(value, sizeof value - 1, false, &response, NULL) > 0, in_value);
        assert_int_equal(parse(reason, sizeof reason - 1, false, &response, NULL) > 0, in_value);
    }
}

/* --- limits ----------------------------------------------------------------------------- */

/* A head of exactly `size` bytes, line ends included. */
static void make_head(char *to, size_t size)
{
    memset(to, 'x', size);
    memcpy(to, H11 "A: ", sizeof H11 "A: " - 1);
    memcpy(to + size - 4, "\r\n\r\n", 4);
}

static void heads_are_limited(void **state)
{
    (void)state;
    char text[HTTP1_HEAD_MAX_BYTES + 10];
    struct http1_response response;
    struct err err = { 0 };
    make_head(text, HTTP1_HEAD_MAX_BYTES);
    assert_int_equal(parse(text, HTTP1_HEAD_MAX_BYTES, false, &response, &err),
                     HTTP1_HEAD_MAX_BYTES);
    assert_int_equal(parse(text, sizeof text, false, &response, &err), HTTP1_HEAD_MAX_BYTES);
    assert_int_equal(parse(text, HTTP1_HEAD_MAX_BYTES - 1, false, &response, &err), 0);
    for (size_t over = 1; over <= 5; over++) {
        make_head(text, HTTP1_HEAD_MAX_BYTES + over);
        assert_int_equal(parse(text, HTTP1_HEAD_MAX_BYTES - 1, false, &response, &err), 0);
        for (size_t len = HTTP1_HEAD_MAX_BYTES; len <= HTTP1_HEAD_MAX_BYTES + over; len++)
            assert_int_equal(parse(text, len, false, &response, &err), ERR_LIMIT);
    }
}

static void fields_are_limited(void **state)
{
    (void)state;
    char text[2000] = H11;
    struct http1_response response;
    for (size_t count = 0; count <= HTTP1_FIELDS_MAX + 1; count++) {
        size_t len = sizeof H11 - 1 + count * 5;
        memcpy(text + len, "\r\n", 2);
        ptrdiff_t size = parse(text, len + 2, false, &response, NULL);
        assert_int_equal(size, count <= HTTP1_FIELDS_MAX ? (ptrdiff_t)len + 2 : ERR_LIMIT);
        memcpy(text + len, "A:b\r\n", 5);
    }
}

/* --- values ----------------------------------------------------------------------------- */

static void media_types_are_compared_without_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool json;
    } cases[] = {
        { "application/json", true },
        { "Application/JSON", true },
        { "application/json;charset=utf-8", true },
        { " application/json \t; charset=\"utf-8\"; x=y", true },
        { "application/json;", true },
        { "application/jso", false },
        { "application/jsonp", false },
        { "application/json, text/html", false },
        { "text/html; application/json", false },
        { "application / json", false },
        { ";application/json", false },
        { "", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice value = guard_text(cases[i].value);
        assert_int_equal(http1_is_media_type(value, "application/json"), cases[i].json);
        guard_free(value);
    }
}

#define NOW INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT, the RFC's own example */
#define DAY_MS 86400000

/* What another try may change; 501 will be the same. */
static void statuses_that_pass(void **state)
{
    (void)state;
    for (int status = 100; status < 600; status++) {
        bool expected = status == 408 || status == 425 || status == 429 || status / 100 == 5;
        assert_int_equal(http1_is_transient(status), expected && status != 501);
    }
}

static void retry_after_becomes_a_pause(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t pause_ms; /* -1: not understood */
    } cases[] = {
        { "0", 0 },
        { "1", 1000 },
        { " 120\t", 120000 },
        { "0000000000000000000000000000005", 5000 },
        { "86399", 86399000 },
        { "86400", DAY_MS },
        { "86401", DAY_MS },
        { "4294968", DAY_MS }, /* its ms do not fit 32 bits */
        { "18446744073709551617", DAY_MS },
        { "99999999999999999999999999999", DAY_MS },
        { "", -1 },
        { " ", -1 },
        { "-1", -1 },
        { "+1", -1 },
        { "1.5", -1 },
        { "1s", -1 },
        { "0x10", -1 },
        { "1 2", -1 },
        { "soon", -1 },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
        { "Sun, 06 Nov 1994 08:49:38 GMT", 1000 },
        { "Mon, 06 Nov 1994 08:50:37 GMT", 60000 }, /* the weekday is not looked at closely */
        { "Sun, 06 Nov 1994 08:49:36 GMT", 0 },
        { "Mon, 07 Nov 1994 08:49:36 GMT", DAY_MS - 1000 },
        { "Mon, 07 Nov 1994 08:49:38 GMT", DAY_MS },
        { "Fri, 31 Dec 9999 23:59:60 GMT", DAY_MS },
        { "Sat, 01 Jan 0000 00:00:00 GMT", 0 },
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "sun, 06 Nov 1994 08:49:38 GMT", -1 },
        { "Sun, 06 nov 1994 08:49:38 GMT", -1 },
        { "Xyz, 06 Nov 1994 08:49:38 GMT", -1 },
        { "Sun, 06 Foo 1994 08:49:38 GMT", -1 },
        { "Sun, 00 Nov 1994 08:49:38 GMT", -1 },
        { "Sun, 31 Nov 1994 08:49:38 GMT", -1 },
        { "Wed, 29 Feb 1995 08:49:38 GMT", -1 },
        { "Tue, 28 Feb 1995 08:49:38 GMT", DAY_MS },
        { "Wed, 29 Mar 1995 08:49:38 GMT", DAY_MS },
        { "Thu, 29 Feb 1996 08:49:38 GMT", DAY_MS },
        { "Thu, 29 Feb 1900 08:49:38 GMT", -1 },
        { "Tue, 29 Feb 2000 08:49:38 GMT", DAY_MS },
        { "Sun, 06 Nov 1994 24:00:00 GMT", -1 },
        { "Sun, 06 Nov 1994 23:60:00 GMT", -1 },
        { "Sun, 06 Nov 1994 23:00:61 GMT", -1 },
        { "Sun, 6 Nov 1994 08:49:38 GMT", -1 },
        { "Sun, 06 Nov 1994 08:49:38 UTC", -1 },
        { "Sun, 06 Nov 1994 08:49:38 GM", -1 },
        { "Sun, 06 Nov 1994 08:49:38 GMTx", -1 },
        { "Sunday, 06-Nov-94 08:49:38 GMT", -1 },
        { "Sun Nov  6 08:49:38 1994", -1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t pause_ms = 77;
        slice value = guard_text(cases[i].value);
        bool understood = http1_retry_after(value, NOW, &pause_ms);
        guard_free(value);
        if (understood != (cases[i].pause_ms >= 0))
            fail_msg("\"%s\" is%s understood", cases[i].value, understood ? "" : " not");
        if (understood)
            assert_int_equal(pause_ms, cases[i].pause_ms);
    }
}

static int64_t seconds_of(const char *date)
{
    /* Found by asking for the pause at moments around it: the largest "now" that gives 1 s. */
    int64_t low = -62200000000, high = 253500000000; /* before year 0, after year 9999 */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        uint32_t pause_ms;
        assert_true(http1_retry_after(slice_from(date), middle, &pause_ms));
        if (pause_ms > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void dates_are_counted_right(void **state)
{
    (void)state;
    static const struct {
        const char *date;
        int64_t unix_s; /* from `date -u -d ... +%s` */
    } cases[] = {
        { "Sat, 01 Jan 0000 00:00:00 GMT", -62167219200 },
        { "Mon, 01 Jan 0001 00:00:00 GMT", -62135596800 },
        { "Thu, 01 Mar 1900 00:00:00 GMT", -2203891200 },
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Wed, 31 Dec 1969 23:59:59 GMT", -1 },
        { "Tue, 29 Feb 2000 23:59:59 GMT", 951868799 },
        { "Wed, 01 Mar 2000 00:00:00 GMT", 951868800 },
        { "Tue, 19 Jan 2038 03:14:08 GMT", 2147483648 },
        { "Mon, 31 Aug 2026 12:34:56 GMT", 1788179696 },
        { "Mon, 01 Mar 2100 00:00:00 GMT", 4107542400 },
        { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(seconds_of(cases[i].date), cases[i].unix_s);
    uint32_t pause_ms;
    assert_true(http1_retry_after(slice_from(cases[10].date), INT64_MIN, &pause_ms));
    assert_int_equal(pause_ms, DAY_MS);
    assert_true(http1_retry_after(slice_from(cases[10].date), INT64_MAX, &pause_ms));
    assert_int_equal(pause_ms, 0);
}

/* --- requests --------------------------------------------------------------------------- */

static void requests_are_written(void **state)
{
    (void)state;
    struct buf out;
    struct err err = { 0 };
    buf_init(&out, 1000, "request");
    struct http1_writer head = { .out = &out };
    http1_put_request(&head, "GET", SLICE_LITERAL("/a?b=$c#{}\\"), SLICE_LITERAL("[::1]:8080"));
    http1_put_field(&head, slice_from("Authorization"), SLICE_LITERAL("key\t\xe9 1"));
    http1_put_field(&head, slice_from("X-Empty"), (slice){ NULL, 0 });
    http1_put_length(&head, UINT64_MAX);
    assert_int_equal(http1_put_end(&head, &err), 0);
    assert_true(slice_is(buf_slice(&out), "GET /a?b=$c#{}\\ HTTP/1.1\r\nHost: [::1]:8080\r\n"
                                          "Authorization: key\t\xe9 1\r\nX-Empty: \r\n"
                                          "Content-Length: 18446744073709551615\r\n\r\n"));
    buf_free(&out);
}

static int write_request(const char *method, slice target, slice host)
{
    struct buf out;
    buf_init(&out, 1000, "request");
    struct http1_writer head = { .out = &out };
    http1_put_request(&head, method, target, host);
    int rc = http1_put_end(&head, NULL);
    buf_free(&out);
    return rc;
}

static int write_field(slice name, slice value)
{
    struct buf out;
    buf_init(&out, 1000, "request");
    struct http1_writer head = { .out = &out };
    http1_put_field(&head, name, value);
    int rc = http1_put_end(&head, NULL);
    buf_free(&out);
    return rc;
}

static void nothing_breaks_out_of_a_request(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[] = { 'a', (char)c, 'b', '\0' };
        slice piece = { text, 3 }, plain = SLICE_LITERAL("/");
        bool visible = c > ' ' && c < 0x7f;
        bool in_value = c == '\t' || (c >= ' ' && c != 0x7f);
        bool token = is_token_char(c) || c == 0; /* a NUL ends a name given as a C string */
        int expected = visible ? 0 : ERR_INPUT;
        assert_int_equal(write_request("GET", piece, plain), expected);
        assert_int_equal(write_request("GET", plain, piece), expected);
        assert_int_equal(write_request(text, plain, plain), token ? 0 : ERR_INPUT);
        assert_int_equal(write_field(slice_from(text), plain), token ? 0 : ERR_INPUT);
        assert_int_equal(write_field(slice_from("a"), piece), in_value ? 0 : ERR_INPUT);
    }
    slice none = SLICE_LITERAL(""), plain = SLICE_LITERAL("/");
    assert_int_equal(write_request("GET", none, plain), ERR_INPUT);
    assert_int_equal(write_request("GET", plain, none), ERR_INPUT);
    assert_int_equal(write_request("", plain, plain), ERR_INPUT);
    assert_int_equal(write_field(none, plain), ERR_INPUT);
}

/* Whatever comes after it: a head with an error in it must not be sent. */
static void the_first_error_of_a_head_sticks(void **state)
{
    (void)state;
    struct buf out;
    struct err err = { 0 };
    slice plain = SLICE_LITERAL("/");
    buf_init(&out, 1000, "request");
    struct http1_writer head = { .out = &out };
    http1_put_request(&head, "GET", plain, plain);
    size_t len = out.len;
    http1_put_field(&head, slice_from("Good"), slice_from("bad\r\nInjected: 1"));
    http1_put_field(&head, slice_from("bad name"), plain);
    http1_put_request(&head, "", plain, plain);
    http1_put_status(&head, 1000);
    http1_put_length(&head, 1);
    assert_int_equal(http1_put_end(&head, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "field Good"));
    assert_int_equal(out.len, len);
    buf_free(&out);
}

static void a_head_without_room_is_an_error(void **state)
{
    (void)state;
    static const char whole[] = "PUT /t HTTP/1.1\r\nHost: h\r\nName: value\r\n\r\n";
    for (size_t room = 0; room < sizeof whole; room++) {
        struct buf out;
        buf_init(&out, room, "request");
        struct http1_writer head = { .out = &out };
        http1_put_request(&head, "PUT", SLICE_LITERAL("/t"), SLICE_LITERAL("h"));
        http1_put_field(&head, slice_from("Name"), SLICE_LITERAL("value"));
        bool fits = room == sizeof whole - 1;
        assert_int_equal(http1_put_end(&head, NULL), fits ? 0 : ERR_LIMIT);
        assert_true(!fits || slice_is(buf_slice(&out), whole));
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_heads_are_understood),
        cmocka_unit_test(what_follows_a_head_is_left_alone),
        cmocka_unit_test(every_prefix_of_a_good_head_is_incomplete),
        cmocka_unit_test(slices_point_at_the_right_bytes),
        cmocka_unit_test(bad_heads_are_refused),
        cmocka_unit_test(a_nul_is_refused_wherever_it_stands),
        cmocka_unit_test(refusals_quote_what_was_refused),
        cmocka_unit_test(each_byte_is_allowed_where_the_rfc_says),
        cmocka_unit_test(heads_are_limited),
        cmocka_unit_test(fields_are_limited),
        cmocka_unit_test(media_types_are_compared_without_parameters),
        cmocka_unit_test(statuses_that_pass),
        cmocka_unit_test(retry_after_becomes_a_pause),
        cmocka_unit_test(dates_are_counted_right),
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(nothing_breaks_out_of_a_request),
        cmocka_unit_test(the_first_error_of_a_head_sticks),
        cmocka_unit_test(a_head_without_room_is_an_error),
    };
    return cmocka_run_group_tests_name("http1", tests, NULL, NULL);
}
