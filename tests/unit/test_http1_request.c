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
    const char *method, *path, *query, *host;
} targets[] = {
    { "GET / HTTP/1.1\r\n", "GET", "/", "", "a" },
    { "GET /a/b%2f?x=1&y=%3f?z HTTP/1.1\r\n", "GET", "/a/b%2f", "x=1&y=%3f?z", "a" },
    { "GET /? HTTP/1.1\r\n", "GET", "/", "", "a" },
    { "get //x HTTP/1.1\r\n", "get", "//x", "", "a" },
    { "OPTIONS * HTTP/1.1\r\n", "OPTIONS", "*", "", "a" },
    { "POST http://b:8/b?c HTTP/1.1\r\n", "POST", "/b", "c", "b:8" },
    { "POST HTTPS://[::1]/ HTTP/1.1\r\n", "POST", "/", "", "[::1]" },
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
        assert_true(slice_is(request.host, targets[i].host));
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
    "GET / HTTP/1.1\r\nHost: localhost:80@evil.example\r\n\r\n",
    "GET http://localhost:80@evil.example/ HTTP/1.1\r\n" H "\r\n",
    "GET http://a/ HTTP/1.1\r\nHost: localhost:80@evil.example\r\n\r\n",
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

static void read_with(struct http1_request *request, const char *line, const char *fields)
{
    static char head[400]; /* the request's slices lie in it */
    int len = snprintf(head, sizeof head, "%s\r\n%s\r\n", line, fields);
    assert_int_equal(http1_parse_request(head, (size_t)len, request, NULL), len);
}

static void pages_of_other_origins_are_told_apart(void **state)
{
    static const struct {
        const char *fields;
        bool same;
    } cases[] = {
        { "", true },
        { "Origin: http://a:80\r\n", true },
        { "Origin: https://a:80\r\n", true },
        { "Origin: http://a\r\n", false },
        { "Origin: http://b:80\r\n", false },
        { "Origin: null\r\n", false },
        { "Origin: \r\n", false },
        { "Origin: http://b:80\r\nSec-Fetch-Site: same-origin\r\n", false },
        { "Sec-Fetch-Site: same-origin\r\n", true },
        { "Sec-Fetch-Site: none\r\n", true },
        { "Sec-Fetch-Site: same-site\r\n", false },
        { "Sec-Fetch-Site: cross-site\r\n", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char fields[200];
        struct http1_request request;
        snprintf(fields, sizeof fields, "Host: a:80\r\n%s", cases[i].fields);
        read_with(&request, "POST / HTTP/1.1", fields);
        assert_int_equal(http1_request_is_same_origin(&request), cases[i].same);
        snprintf(fields, sizeof fields, "Host: b:80\r\n%s", cases[i].fields);
        read_with(&request, "POST http://a:80/ HTTP/1.1", fields);
        assert_int_equal(http1_request_is_same_origin(&request), cases[i].same);
    }
}

static void pages_of_this_machine_are_told_apart(void **state)
{
    static const struct {
        const char *origin;
        bool local;
    } cases[] = {
        { "http://localhost:3000", true },
        { "https://app.localhost", true },
        { "http://127.0.0.1:1", true },
        { "http://127.9.9.9", true },
        { "http://[::1]:8080", true },
        { "http://10.0.0.1", false },
        { "http://localhost.example", false },
        { "http://notlocalhost", false },
        { "http://[::2]", false },
        { "http://[::1", false },
        { "http://[::1]x", false },
        { "http://127.0.0.1.example", false },
        { "http://127.1", false },
        { "null", false },
        { "localhost", false },
        { "file://localhost", false },
        { "", false },
    };
    struct http1_request request;
    char fields[200];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(fields, sizeof fields, "Host: a\r\nOrigin: %s\r\n", cases[i].origin);
        read_with(&request, "POST / HTTP/1.1", fields);
        assert_int_equal(http1_request_is_local_origin(&request), cases[i].local);
    }
    read_with(&request, "POST / HTTP/1.1", "Host: localhost\r\n");
    assert_false(http1_request_is_local_origin(&request));
}

static void images_of_pages_of_this_machine_are_told_apart(void **state)
{
    static const struct {
        const char *fields;
        bool local;
    } cases[] = {
        { "Host: localhost:8000\r\nSec-Fetch-Site: same-site\r\n", true },
        { "Host: app.localhost:8000\r\nSec-Fetch-Site: same-site\r\n", true },
        { "Host: 127.0.0.1:8000\r\nSec-Fetch-Site: same-site\r\n", true },
        { "Host: [::1]:8000\r\nSec-Fetch-Site: same-site\r\n", true },
        { "Host: box\r\nSec-Fetch-Site: same-site\r\n", true },
        { "Host: worker.example\r\nSec-Fetch-Site: same-site\r\n", false },
        { "Host: localhost.example\r\nSec-Fetch-Site: same-site\r\n", false },
        { "Host: localhost:8000\r\nSec-Fetch-Site: cross-site\r\n", false },
        { "Host: localhost:8000\r\nSec-Fetch-Site: same-site\r\nOrigin: null\r\n", false },
        { "Host: localhost:8000\r\nSec-Fetch-Site: same-site\r\nOrigin: http://evil.example\r\n",
          false },
    };
    struct http1_request request;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_with(&request, "GET /image HTTP/1.1", cases[i].fields);
        assert_int_equal(http1_request_is_local_origin(&request), cases[i].local);
    }
}

static void no_origin_is_that_of_no_host(void **state)
{
    struct http1_request request;
    (void)state;
    read_with(&request, "GET / HTTP/1.0", "Origin: \r\n");
    assert_false(http1_request_is_same_origin(&request));
    read_with(&request, "GET / HTTP/1.0", "Origin: http://a\r\n");
    assert_false(http1_request_is_same_origin(&request));
}

static void own_names_are_told_apart(void **state)
{
    static const struct {
        const char *host;
        bool own;
    } cases[] = {
        { "localhost:8000", true },
        { "LOCALHOST", true },
        { "localhost.", true },
        { "a.b.LocalHost:1", true },
        { "box", true },
        { "", true },
        { "127.0.0.1:80", true },
        { "192.168.1.5", true },
        { "[::1]:8000", true },
        { "[::ffff:127.0.0.1]:80", true },
        { "my.example:80", true },
        { "MY.Example.", true },
        { "evil.example", false },
        { "evil.example:8000", false },
        { "evil.example.", false },
        { "localhost.evil.example", false },
        { "127.0.0.1.example", false },
        { "xmy.example", false },
        { "evillocalhost.com", false },
        { "my.example.com", false },
        { "127.1", false },
        { "[::1].evil.example", false },
        { "[::1]", true },
    };
    struct http1_request request;
    char fields[200];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(fields, sizeof fields, "Host: %s\r\n", cases[i].host);
        read_with(&request, "POST / HTTP/1.1", fields);
        assert_int_equal(http1_request_has_own_name(&request, SLICE_LITERAL("my.example")),
                         cases[i].own);
    }
    read_with(&request, "POST / HTTP/1.0", "");
    assert_true(http1_request_has_own_name(&request, (slice){ 0 }));
    read_with(&request, "POST http://evil.example/ HTTP/1.1", "Host: localhost\r\n");
    assert_false(http1_request_has_own_name(&request, (slice){ 0 }));
    read_with(&request, "POST http://localhost/ HTTP/1.1", "Host: evil.example\r\n");
    assert_true(http1_request_has_own_name(&request, (slice){ 0 }));
}

static void navigations_are_told_apart(void **state)
{
    struct http1_request request;
    (void)state;
    read_with(&request, "GET / HTTP/1.1",
              "Host: a\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n");
    assert_true(http1_request_is_navigation(&request));
    read_with(&request, "GET / HTTP/1.1",
              "Host: a\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n");
    assert_false(http1_request_is_navigation(&request));
    read_with(&request, "GET / HTTP/1.1",
              "Host: a\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n");
    assert_false(http1_request_is_navigation(&request));
    read_with(&request, "HEAD / HTTP/1.1",
              "Host: a\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n");
    assert_true(http1_request_is_navigation(&request));
    read_with(&request, "GET / HTTP/1.1", "Host: a\r\nSec-Fetch-Mode: navigate\r\n");
    assert_false(http1_request_is_navigation(&request));
    read_with(&request, "GET / HTTP/1.1", "Host: a\r\nSec-Fetch-Dest: document\r\n");
    assert_false(http1_request_is_navigation(&request));
    read_with(&request, "POST / HTTP/1.1",
              "Host: a\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n");
    assert_false(http1_request_is_navigation(&request));
}

/* --- who asks ----------------------------------------------------------------------------- */

static const struct {
    const char *field, *token; /* NULL: there is none */
} bearers[] = {
    { "Authorization: Bearer abc\r\n", "abc" },
    { "authorization: bEARER \t a b  \r\n", "a b" },
    { "Authorization: Bearer \r\n", NULL },
    { "Authorization: Bearer\r\n", NULL },
    { "Authorization: Basic Bearer abc\r\n", NULL },
    { "Authorization: abc\r\n", NULL },
    { "", NULL },
};

static void bearer_tokens_are_read(void **state)
{
    struct http1_request request;
    (void)state;
    for (size_t i = 0; i < COUNT(bearers); i++) {
        char fields[128];
        slice token;
        snprintf(fields, sizeof fields, "Host: a\r\n%s", bearers[i].field);
        read_with(&request, "GET / HTTP/1.1", fields);
        assert_int_equal(http1_request_bearer(&request, &token), bearers[i].token != NULL);
        if (bearers[i].token != NULL)
            assert_true(slice_is(token, bearers[i].token));
    }
}

/* --- writing ---------------------------------------------------------------------------- */

static int write_status(struct buf *out, int status)
{
    struct http1_writer head = { .out = out };
    http1_put_status(&head, status);
    return http1_put_end(&head, NULL);
}

static void status_lines_are_written(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 1000, "head");
    assert_int_equal(write_status(&out, 200), 0);
    assert_int_equal(write_status(&out, 404), 0);
    assert_int_equal(write_status(&out, 299), 0);
    assert_true(slice_is(buf_slice(&out), "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n"
                                          "HTTP/1.1 299 \r\n\r\n"));
    assert_int_equal(write_status(&out, 99), ERR_INPUT);
    assert_int_equal(write_status(&out, 600), ERR_INPUT);
    struct http1_writer head = { .out = &out };
    buf_clear(&out);
    http1_put_status_reason(&head, 100, SLICE_LITERAL("My\tOwn \xff"));
    http1_put_status_reason(&head, 599, SLICE_LITERAL(""));
    assert_int_equal(http1_put_end(&head, NULL), 0);
    assert_true(slice_is(buf_slice(&out), "HTTP/1.1 100 My\tOwn \xff\r\nHTTP/1.1 599 \r\n\r\n"));
    http1_put_status_reason(&head, 200, SLICE_LITERAL("OK\r\nX: y"));
    assert_int_equal(http1_put_end(&head, NULL), ERR_INPUT);
    assert_string_equal(http1_reason(503), "Service Unavailable");
    assert_string_equal(http1_reason(299), "");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_heads_are_read),
        cmocka_unit_test(targets_are_taken_apart),
        cmocka_unit_test(bad_heads_are_refused),
        cmocka_unit_test(large_heads_are_refused),
        cmocka_unit_test(too_many_fields_are_refused),
        cmocka_unit_test(status_lines_are_written),
        cmocka_unit_test(pages_of_other_origins_are_told_apart),
        cmocka_unit_test(pages_of_this_machine_are_told_apart),
        cmocka_unit_test(images_of_pages_of_this_machine_are_told_apart),
        cmocka_unit_test(no_origin_is_that_of_no_host),
        cmocka_unit_test(own_names_are_told_apart),
        cmocka_unit_test(navigations_are_told_apart),
        cmocka_unit_test(bearer_tokens_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
