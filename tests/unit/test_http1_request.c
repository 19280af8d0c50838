/* codec/http1: request heads as a server reads them, and the status line it writes. */
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
static ptrdiff_t parse(const char *bytes, size_t len, struct http1_request *request,
                       struct err *err)
{
    slice guarded = guard_copy(bytes, len);
    ptrdiff_t size = http1_parse_request(guarded.ptr, len, request, err);
    guard_free(guarded);
    return size;
}

/* --- good heads ------------------------------------------------------------------------- */

#define H "Host: a\r\n"
#define POST "POST /x HTTP/1.1\r\n" H
#define POST10 "POST /x HTTP/1.0\r\n"

static const struct good {
    const char *head;
    int minor;
    size_t fields;
    enum http1_body body;
    uint64_t length;
    bool keep_alive;
    bool expects_continue;
} good[] = {
    { POST "\r\n", 1, 1, HTTP1_BODY_NONE, 0, true, false },
    { POST "Content-Length: 0\r\n\r\n", 1, 2, HTTP1_BODY_LENGTH, 0, true, false },
    { POST "Content-Length: 12\r\n\r\n", 1, 2, HTTP1_BODY_LENGTH, 12, true, false },
    { POST "content-LENGTH:\t 0012 \t\r\n\r\n", 1, 2, HTTP1_BODY_LENGTH, 12, true, false },
    { POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 1, 3, HTTP1_BODY_LENGTH, 5, true,
      false },
    { POST "Content-Length: 9223372036854775807\r\n\r\n", 1, 2, HTTP1_BODY_LENGTH, INT64_MAX, true,
      false },
    { POST "Transfer-Encoding: chunked\r\n\r\n", 1, 2, HTTP1_BODY_CHUNKED, 0, true, false },
    { "GET / HTTP/1.1\r\nhost:\r\n\r\n", 1, 1, HTTP1_BODY_NONE, 0, true, false },
    { "\r\nGET / HTTP/1.1\r\n" H "\r\n", 1, 1, HTTP1_BODY_NONE, 0, true, false },
    { "X-1 /%20?a HTTP/1.1\r\n" H "\r\n", 1, 1, HTTP1_BODY_NONE, 0, true, false },
    /* persistence */
    { POST "Connection: close\r\n\r\n", 1, 2, HTTP1_BODY_NONE, 0, false, false },
    { POST "Connection: x, CLOSE\r\n\r\n", 1, 2, HTTP1_BODY_NONE, 0, false, false },
    { POST10 "\r\n", 0, 0, HTTP1_BODY_NONE, 0, false, false },
    { POST10 H "Connection: keep-alive\r\n\r\n", 0, 2, HTTP1_BODY_NONE, 0, true, false },
    { POST10 "Connection: keep-alive, close\r\n\r\n", 0, 1, HTTP1_BODY_NONE, 0, false, false },
    /* expectations */
    { POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", 1, 3, HTTP1_BODY_LENGTH, 1, true,
      true },
    { POST10 "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", 0, 2, HTTP1_BODY_LENGTH, 1, false,
      false },
    { POST "Expect: a miracle\r\n\r\n", 1, 2, HTTP1_BODY_NONE, 0, true, false },
};

static void good_heads_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct http1_request request;
        struct err err = { 0 };
        size_t len = strlen(good[i].head);
        ptrdiff_t size = parse(good[i].head, len, &request, &err);
        if (size != (ptrdiff_t)len)
            fail_msg("head %zu gives %td (%s): %s", i, size, err.text, good[i].head);
        assert_int_equal(request.minor_version, good[i].minor);
        assert_int_equal(request.field_count, good[i].fields);
        assert_int_equal(request.body, good[i].body);
        assert_true(request.content_length == good[i].length);
        assert_int_equal(request.keep_alive, good[i].keep_alive);
        assert_int_equal(request.expects_continue, good[i].expects_continue);
        for (size_t part = 0; part < len; part++)
            assert_int_equal(parse(good[i].head, part, &request, NULL), 0);
    }
}

static const struct {
    const char *line;
    const char *method, *path, *query;
} targets[] = {
    { "GET / HTTP/1.1\r\n", "GET", "/", "" },
    { "GET /a/b%2f?x=1&y=%3f?z HTTP/1.1\r\n", "GET", "/a/b%2f", "x=1&y=%3f?z" },
    { "GET /? HTTP/1.1\r\n", "GET", "/", "" },
    { "get //x HTTP/1.1\r\n", "get", "//x", "" },
    { "OPTIONS * HTTP/1.1\r\n", "OPTIONS", "*", "" },
    { "POST http://a:8/b?c HTTP/1.1\r\n", "POST", "/b", "c" },
    { "POST HTTPS://a/ HTTP/1.1\r\n", "POST", "/", "" },
};

static void targets_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(targets); i++) {
        char text[128];
        struct http1_request request;
        snprintf(text, sizeof text, "%sHost: a\r\nB: c\r\n\r\nrest", targets[i].line);
        slice head = guard_text(text);
        assert_int_equal(http1_parse_request(head.ptr, head.len, &request, NULL), head.len - 4);
        assert_true(slice_is(request.method, targets[i].method));
        assert_true(slice_is(request.path, targets[i].path));
        assert_true(slice_is(request.query, targets[i].query));
        slice value;
        assert_true(http1_request_field(&request, "b", &value) && slice_is(value, "c"));
        assert_false(http1_request_field(&request, "c", &value));
        guard_free(head);
    }
}

/* --- bad heads -------------------------------------------------------------------------- */

static const char *const bad[] = {
    /* no request line */
    " ",
    "\n",
    "\r\r",
    "\r\n\r\n",
    "\x16\x03\x01",
    "GET\t",
    "GET  ",
    "(",
    "G\x80",
    "GET / HTTP/2",
    "GET / HTTP/1.2",
    "GET / http",
    "GET / HTTP/1.1 ",
    "GET /  HTTP/1.1",
    "GET / x",
    "GET /\r\n",
    "GET / HTTP/1.1\n",
    "GET /\x80",
    "GET /\t",
    "GET /\x01",
    "PRI * HTTP/2.0\r\n\r\n",
    "{\"id\": 1}",
    "HTTP/1.1 200 OK\r\n",
    "\nGET / HTTP/1.1\r\n",
    "\r\n GET",
    /* targets */
    "GET * HTTP/1.1\r\n" H "\r\n",
    "GET x HTTP/1.1\r\n" H "\r\n",
    "GET ? HTTP/1.1\r\n" H "\r\n",
    "CONNECT a:1 HTTP/1.1\r\n" H "\r\n",
    "GET /#a HTTP/1.1\r\n" H "\r\n",
    "GET http:///x HTTP/1.1\r\n" H "\r\n",
    "GET http://a HTTP/1.1\r\n" H "\r\n",
    "GET http://a?b HTTP/1.1\r\n" H "\r\n",
    "GET ftp://a/ HTTP/1.1\r\n" H "\r\n",
    "GET http:// HTTP/1.1\r\n" H "\r\n",
    "OPTIONS *a HTTP/1.1\r\n" H "\r\n",
    /* Host */
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\n" H H "\r\n",
    POST10 H "host: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n",
    /* lines */
    POST "A: b\n\r\n",
    POST "A: b\r\n\n",
    POST "A: b\rc\r\n\r\n",
    POST "A: b\x01",
    POST "A\r\n\r\n",
    POST "A : b\r\n\r\n",
    POST " A: b\r\n\r\n",
    POST "A: b\r\n c\r\n\r\n",
    POST ": b\r\n\r\n",
    /* framing */
    POST "Content-Length: x\r\n\r\n",
    POST "Content-Length: +5\r\n\r\n",
    POST "Content-Length: 5, 5\r\n\r\n",
    POST "Content-Length: -0\r\n\r\n",
    POST "Content-Length: 9223372036854775808\r\n\r\n",
    POST "Content-Length: 5\r\nContent-Length: 05\r\n\r\n",
    POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    POST "Transfer-Encoding: gzip, chunked\r\n\r\n",
    POST "Transfer-Encoding: identity\r\n\r\n",
    POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    POST10 "Transfer-Encoding: chunked\r\n\r\n",
};

static void bad_heads_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct http1_request request;
        struct err err = { 0 };
        ptrdiff_t size = parse(bad[i], strlen(bad[i]), &request, &err);
        if (size != ERR_PEER || err.code != ERR_PEER || err.text[0] == '\0')
            fail_msg("head %zu gives %td: %s", i, size, bad[i]);
        for (const char *c = err.text; *c != '\0'; c++)
            assert_in_range((unsigned char)*c, ' ', '~');
    }
}

static size_t fill(char *head, size_t size, const char *start, char with)
{
    memset(head, with, size);
    memcpy(head, start, strlen(start));
    return size;
}

static void large_heads_are_refused(void **state)
{
    static char head[HTTP1_HEAD_MAX_BYTES + 100];
    struct http1_request request;
    (void)state;
    const char *const starts[] = { "GET /", POST "A: ", "G" };
    for (size_t i = 0; i < COUNT(starts); i++) {
        fill(head, sizeof head, starts[i], 'x');
        assert_int_equal(parse(head, sizeof head, &request, NULL), ERR_LIMIT);
        assert_int_equal(parse(head, HTTP1_HEAD_MAX_BYTES, &request, NULL), ERR_LIMIT);
        assert_int_equal(parse(head, HTTP1_HEAD_MAX_BYTES - 1, &request, NULL), 0);
    }
    fill(head, sizeof head, POST "A: ", 'x');
    memcpy(head + HTTP1_HEAD_MAX_BYTES - 4, "\r\n\r\n", 4);
    assert_int_equal(parse(head, sizeof head, &request, NULL), HTTP1_HEAD_MAX_BYTES);
    assert_int_equal(request.field_count, 2);
}

static void too_many_fields_are_refused(void **state)
{
    char head[2048] = POST;
    struct http1_request request;
    (void)state;
    for (size_t i = 1; i < HTTP1_FIELDS_MAX; i++)
        strcat(head, "a: b\r\n");
    size_t len = strlen(head);
    strcat(head, "\r\n");
    assert_int_equal(parse(head, len + 2, &request, NULL), len + 2);
    strcpy(head + len, "a: b\r\n\r\n");
    assert_int_equal(parse(head, len + 8, &request, NULL), ERR_LIMIT);
}

/* --- writing ---------------------------------------------------------------------------- */

static void status_lines_are_written(void **state)
{
    struct buf out;
    struct err err = { 0 };
    (void)state;
    buf_init(&out, 1000, "head");
    assert_int_equal(http1_put_status(&out, 200, &err), 0);
    assert_int_equal(http1_put_status(&out, 404, &err), 0);
    assert_int_equal(http1_put_status(&out, 299, &err), 0);
    assert_true(slice_is(buf_slice(&out), "HTTP/1.1 200 OK\r\nHTTP/1.1 404 Not Found\r\n"
                                          "HTTP/1.1 299 \r\n"));
    assert_int_equal(http1_put_status(&out, 99, &err), ERR_INPUT);
    assert_int_equal(http1_put_status(&out, 600, &err), ERR_INPUT);
    assert_string_equal(http1_reason(503), "Service Unavailable");
    assert_string_equal(http1_reason(299), "");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_heads_are_read),         cmocka_unit_test(targets_are_taken_apart),
        cmocka_unit_test(bad_heads_are_refused),       cmocka_unit_test(large_heads_are_refused),
        cmocka_unit_test(too_many_fields_are_refused), cmocka_unit_test(status_lines_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
