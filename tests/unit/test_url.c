/* codec/url: parsing, resolving, encoding, templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec/url.h"
#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int parse(slice text, struct url *url)
{
    struct err err = { 0 };
    int rc = url_parse(text, url, &err);
    assert_int_equal(err.code, rc);
    assert_int_equal(err.text[0] == '\0', rc == 0);
    return rc;
}

/* --- parsing ---------------------------------------------------------------------------- */

static const struct good {
    const char *text;
    bool tls;
    const char *user;
    const char *host;
    bool ipv6;
    uint16_t port;
    const char *target;
} good[] = {
    { "http://h", false, "", "h", false, 80, "" },
    { "https://h", true, "", "h", false, 443, "" },
    { "HTTPS://Example.COM/", true, "", "Example.COM", false, 443, "/" },
    { "http://h/a/b?c=d&e#f", false, "", "h", false, 80, "/a/b?c=d&e" },
    { "http://h?x=1", false, "", "h", false, 80, "?x=1" },
    { "http://h?", false, "", "h", false, 80, "?" },
    { "http://h#f", false, "", "h", false, 80, "" },
    { "http://h#f/g?h@i:1", false, "", "h", false, 80, "" },
    { "http://h/?a?b/c@d:e#f#g", false, "", "h", false, 80, "/?a?b/c@d:e" },
    { "http://h:8080/x", false, "", "h", false, 8080, "/x" },
    { "http://h:443", false, "", "h", false, 443, "" },
    { "https://h:80", true, "", "h", false, 80, "" },
    { "http://h:1/", false, "", "h", false, 1, "/" },
    { "http://h:65535?q", false, "", "h", false, 65535, "?q" },
    { "http://h:/x", false, "", "h", false, 80, "/x" },
    { "https://h:", true, "", "h", false, 443, "" },
    { "http://h:00080", false, "", "h", false, 80, "" },
    { "http://my_container-1.local.:80/", false, "", "my_container-1.local.", false, 80, "/" },
    { "http://127.0.0.1:9/", false, "", "127.0.0.1", false, 9, "/" },
    { "http://[::1]/", false, "", "::1", true, 80, "/" },
    { "https://[2001:db8::A:1]:8443/x", true, "", "2001:db8::A:1", true, 8443, "/x" },
    { "http://[::ffff:1.2.3.4]", false, "", "::ffff:1.2.3.4", true, 80, "" },
    { "http://[0123:0123:0123:0123:0123:0123:255.255.255.255]:1", false, "",
      "0123:0123:0123:0123:0123:0123:255.255.255.255", true, 1, "" },
    { "http://[::]:?q", false, "", "::", true, 80, "?q" },
    { "http://u@h/", false, "u", "h", false, 80, "/" },
    { "http://u:p%40w:x!*'()@h:3128", false, "u:p%40w:x!*'()", "h", false, 3128, "" },
    { "http://@h/", false, "", "h", false, 80, "/" },
    { "http://:p@[::1]:1/", false, ":p", "::1", true, 1, "/" },
    { "http://h/$ID/{a}|^`\"<>%zz", false, "", "h", false, 80, "/$ID/{a}|^`\"<>%zz" },
    { "http://h//a/../b", false, "", "h", false, 80, "//a/../b" },
};

static void good_urls_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        slice text = guard_text(good[i].text);
        struct url url;
        if (parse(text, &url) != 0)
            fail_msg("refused: %s", good[i].text);
        assert_int_equal(url.tls, good[i].tls);
        assert_true(slice_is(url.user, good[i].user));
        assert_true(slice_is(url.host, good[i].host));
        assert_int_equal(url.host_is_ipv6, good[i].ipv6);
        assert_int_equal(url.port, good[i].port);
        assert_true(slice_is(url.target, good[i].target));
        guard_free(text);
    }
}

static const char *const bad[] = {
    "",
    "h",
    "/x",
    "//h/x",
    "ftp://h",
    "ws://h",
    "http:",
    "http:/",
    "http://",
    "http:///x",
    "http:h",
    "http:/h",
    "https//h",
    "https:/h",
    "httpss://h",
    "xhttp://h",
    "http://?q",
    "http://#f",
    "http://:80",
    "http://:80/x",
    "http://u@",
    "http://u@:1",
    "http://u@/",
    "http://@",
    "://h",
    /* hosts */
    "http://a b",
    "http://a%41",
    "http://a%",
    "http://h\xc3\xa9/",
    "http://a,b",
    "http://a;b",
    "http://a\\b/",
    "http://h/\\b",
    "http://a@b@c/",
    "http://a:b@c@d/",
    "http://a!b",
    "http://a$b",
    "http://a|b",
    "http://a*",
    "http://<h>",
    "http://h\"",
    "http://a+b",
    "http://a=b",
    "http://(h)",
    "http://~h",
    "http://[]",
    "http://[",
    "http://]",
    "http://[::1",
    "http://::1",
    "http://::1]/",
    "http://[::1]x",
    "http://[::1]]",
    "http://[[::1]]",
    "http://[::1%25eth0]",
    "http://[::1%eth0]/",
    "http://[h]",
    "http://[v1.x]",
    "http://[1.2.3.4]",
    "http://[12]",
    "http://[:]",
    "http://[::1/]",
    "http://[::1?]",
    "http://x[::1]",
    "http://[:: 1]",
    "http://[::g]",
    "http://[g::]",
    "http://[0123:0123:0123:0123:0123:0123:255.255.255.2555]",
    /* ports */
    "http://h:0",
    "http://h:65536",
    "http://h:99999999999999999999",
    "http://h:-1",
    "http://h:+1",
    "http://h:8a",
    "http://h:a",
    "http://h:80:81",
    "http://h::80",
    "http://h:80 ",
    "http://h:8 0/",
    "http://[::1]:x",
    "http://h:000",
    "http://h:0x50",
    "http://[::1]:0/",
    /* bytes */
    " http://h",
    "http://h ",
    "http://h/ x",
    "http://h/\t",
    "http://h/\r\nX: y",
    "http://h/\n",
    "http://h/\x01",
    "http://h/\x7f",
    "http://h/\x80",
    "http://h/\xc3\xa9",
    "http://h#\n",
    "\nhttp://h",
};

static void bad_urls_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        slice text = guard_text(bad[i]);
        struct url url;
        if (parse(text, &url) != ERR_INPUT)
            fail_msg("accepted: %s", bad[i]);
        guard_free(text);
    }
    struct url url;
    assert_int_equal(parse((slice){ NULL, 0 }, &url), ERR_INPUT);
    assert_int_equal(parse(SLICE_LITERAL("http://h/\0x"), &url), ERR_INPUT);
    assert_int_equal(parse(SLICE_LITERAL("http://h\0"), &url), ERR_INPUT);
}

static void prefixes_of_urls_read_no_further(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        for (size_t len = 0; len < strlen(good[i].text); len++) {
            slice text = guard_copy(good[i].text, len);
            struct url url;
            parse(text, &url);
            guard_free(text);
        }
    }
}

static void lengths_are_limited(void **state)
{
    (void)state;
    static char text[URL_MAX_BYTES + 1];
    struct url url;
    memset(text, 'x', sizeof text);
    memcpy(text, "http://h/", 9);
    assert_int_equal(parse((slice){ text, URL_MAX_BYTES }, &url), 0);
    assert_int_equal(url.target.len, URL_MAX_BYTES - 8);
    assert_int_equal(parse((slice){ text, URL_MAX_BYTES + 1 }, &url), ERR_INPUT);
    text[8] = 'x';
    assert_int_equal(parse((slice){ text, 7 + URL_HOST_MAX_BYTES }, &url), 0);
    assert_int_equal(parse((slice){ text, 8 + URL_HOST_MAX_BYTES }, &url), ERR_INPUT);
}

static void hosts_are_made_of_few_bytes(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[] = "http://a?b";
        struct url url;
        text[8] = (char)c;
        bool in_host = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '.' || c == '_';
        bool ends_host = c == '/' || c == '?' || c == '#' || c == '@';
        int rc = parse((slice){ text, 10 }, &url);
        assert_int_equal(rc, in_host || ends_host ? 0 : ERR_INPUT);
        if (rc == 0)
            assert_int_equal(url.host.len, in_host ? 3 : 1);
    }
}

static void origins_are_compared(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        { "http://h/a", "http://H:80/b?c", true },
        { "https://u:p@h", "HTTPS://h:443", true },
        { "http://[::A]:1", "http://[::a]:1/", true },
        { "http://h", "https://h", false },
        { "http://h:443", "https://h", false },
        { "http://h", "http://h:81", false },
        { "http://h", "http://hh", false },
        { "http://h", "http://h.", false },
        { "http://[::1]", "http://[0::1]", false },
        { "http://a.b", "http://a-b", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct url a, b;
        assert_int_equal(parse(slice_from(cases[i].a), &a), 0);
        assert_int_equal(parse(slice_from(cases[i].b), &b), 0);
        assert_int_equal(url_same_origin(&a, &b), cases[i].same);
        assert_int_equal(url_same_origin(&b, &a), cases[i].same);
    }
}

/* --- resolving -------------------------------------------------------------------------- */

static void expect_resolved(const char *base_text, const char *location, const char *expected)
{
    slice base_copy = guard_text(base_text), location_copy = guard_text(location);
    struct url base;
    struct buf out;
    struct err err = { 0 };
    buf_init(&out, 2 * URL_MAX_BYTES, "URL");
    assert_int_equal(buf_add_text(&out, "before ", NULL), 0);
    assert_int_equal(parse(base_copy, &base), 0);
    int rc = url_resolve(&base, location_copy, &out, &err);
    slice got = slice_skip(buf_slice(&out), 7);
    if (rc != (expected == NULL ? ERR_INPUT : 0) ||
        !slice_is(got, expected == NULL ? "" : expected))
        fail_msg("%s + %s gives %d (%s) %.*s", base_text, location, rc, err.text, SLICE_ARG(got));
    buf_free(&out);
    guard_free(base_copy);
    guard_free(location_copy);
}

static void locations_are_resolved_as_the_rfc_shows(void **state)
{
    (void)state;
    /* The examples of RFC 3986, section 5.4, as far as a base with no fragment gives them. */
    static const struct {
        const char *location, *expected;
    } cases[] = {
        { "g", "http://a/b/c/g" },
        { "./g", "http://a/b/c/g" },
        { "g/", "http://a/b/c/g/" },
        { "/g", "http://a/g" },
        { "//g", "http://g" },
        { "?y", "http://a/b/c/d;p?y" },
        { "g?y", "http://a/b/c/g?y" },
        { "#s", "http://a/b/c/d;p?q" },
        { "g#s", "http://a/b/c/g" },
        { "g?y#s", "http://a/b/c/g?y" },
        { ";x", "http://a/b/c/;x" },
        { "g;x", "http://a/b/c/g;x" },
        { "g;x?y#s", "http://a/b/c/g;x?y" },
        { "", "http://a/b/c/d;p?q" },
        { ".", "http://a/b/c/" },
        { "./", "http://a/b/c/" },
        { "..", "http://a/b/" },
        { "../", "http://a/b/" },
        { "../g", "http://a/b/g" },
        { "../..", "http://a/" },
        { "../../", "http://a/" },
        { "../../g", "http://a/g" },
        { "../../../g", "http://a/g" },
        { "../../../../g", "http://a/g" },
        { "/./g", "http://a/g" },
        { "/../g", "http://a/g" },
        { "g.", "http://a/b/c/g." },
        { ".g", "http://a/b/c/.g" },
        { "g..", "http://a/b/c/g.." },
        { "..g", "http://a/b/c/..g" },
        { "./../g", "http://a/b/g" },
        { "./g/.", "http://a/b/c/g/" },
        { "g/./h", "http://a/b/c/g/h" },
        { "g/../h", "http://a/b/c/h" },
        { "g;x=1/./y", "http://a/b/c/g;x=1/y" },
        { "g;x=1/../y", "http://a/b/c/y" },
        { "g?y/./x", "http://a/b/c/g?y/./x" },
        { "g?y/../x", "http://a/b/c/g?y/../x" },
        { "g#s/./x", "http://a/b/c/g" },
        { "g#s/../x", "http://a/b/c/g" },
        { "g:h", NULL },
        { "http:g", NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_resolved("http://a/b/c/d;p?q", cases[i].location, cases[i].expected);
}

static void locations_of_real_servers_are_resolved(void **state)
{
    (void)state;
    static const struct {
        const char *base, *location, *expected;
    } cases[] = {
        { "http://h/a", "https://other:8443/x?y", "https://other:8443/x?y" },
        { "http://h/a", "HTTP://Other/x", "HTTP://Other/x" },
        { "https://h/a", "//other:1/x/../y?z#f", "https://other:1/y?z" },
        { "https://h/a", "http://h/a/./b/../../c/..", "http://h/" },
        { "http://h:8080/a/b", "c", "http://h:8080/a/c" },
        { "https://h:443/a/b", "c", "https://h/a/c" },
        { "http://h:443/a/b", "/c", "http://h:443/c" },
        { "https://h:80/a/b", "/c", "https://h:80/c" },
        { "http://[::1]:81/a", "b", "http://[::1]:81/b" },
        { "http://[::1]/a", "", "http://[::1]/a" },
        { "http://user:secret@h/a", "b", "http://h/b" },
        { "http://h", "b", "http://h/b" },
        { "http://h", "", "http://h" },
        { "http://h", "?x", "http://h?x" },
        { "http://h", "..", "http://h/" },
        { "http://h?q", "b", "http://h/b" },
        { "http://h?q/r", "b", "http://h/b" },
        { "http://h?q", "", "http://h?q" },
        { "http://h?q", "?", "http://h?" },
        { "http://h?q", "#f", "http://h?q" },
        { "http://h/a?b/c", "d", "http://h/d" },
        { "http://h/a", "b:c", NULL }, /* a scheme; "./b:c" is the path */
        { "http://h/a", "./b:c", "http://h/b:c" },
        { "http://h/a", "1:c", "http://h/1:c" },
        { "http://h/a", ":c", "http://h/:c" },
        { "http://h/a", "b/c:d?e:f", "http://h/b/c:d?e:f" },
        { "http://h/a//b", "../c", "http://h/a/c" },
        { "http://h/a/b", "..//c", "http://h//c" },
        { "http://h/a", "/b/..//../c", "http://h/c" },
        { "http://h/a", "http://h/../../b", "http://h/b" },
        { "http://h/a", "https://h/..", "https://h/" },
        { "http://h/a", "//g/../../b/.", "http://g/b/" },
        { "http://h/a", "/%2e%2e/b", "http://h/%2e%2e/b" },
        { "http://h/a", "mailto:x@y", NULL },
        { "http://h/a", "file:///etc/passwd", NULL },
        { "http://h/a", "javascript:alert(1)", NULL },
        { "http://h/a", "//", NULL },
        { "http://h/a", "///x", NULL },
        { "http://h/a", "http://", NULL },
        { "http://h/a", "http:/x", NULL },
        { "http://h/a", "//h:99999/", NULL },
        { "http://h/a", "b c", NULL },
        { "http://h/a", "b\r\nX: y", NULL },
        { "http://h/a", "\xc3\xa9", NULL },
        { "http://h/a", " /b", NULL },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_resolved(cases[i].base, cases[i].location, cases[i].expected);
}

static void long_redirects_are_refused(void **state)
{
    (void)state;
    static char location[URL_MAX_BYTES + 1];
    struct url base;
    struct buf out;
    buf_init(&out, 3 * URL_MAX_BYTES, "URL");
    assert_int_equal(parse(SLICE_LITERAL("http://h/a/b"), &base), 0);
    memset(location, 'x', sizeof location);
    assert_int_equal(url_resolve(&base, (slice){ location, URL_MAX_BYTES - 11 }, &out, NULL), 0);
    assert_int_equal(out.len, URL_MAX_BYTES);
    buf_reset(&out, SIZE_MAX);
    for (size_t len = URL_MAX_BYTES - 10; len <= sizeof location; len++)
        assert_int_equal(url_resolve(&base, (slice){ location, len }, &out, NULL), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    memcpy(location, "http://", 7);
    location[8] = '/';
    assert_int_equal(url_resolve(&base, (slice){ location, URL_MAX_BYTES }, &out, NULL), 0);
    assert_int_equal(out.len, URL_MAX_BYTES);
    buf_free(&out);
}

static void a_redirect_without_room_leaves_nothing_half(void **state)
{
    (void)state;
    static const char *const bases[] = { "http://h/", "https://[::1]:81",
                                         "http://long.example:65535/?a" };
    static const char *const locations[] = { "", "/", "b", "?q", "//g/h?i", "https://i/j" };
    for (size_t i = 0; i < COUNT(bases) * COUNT(locations); i++) {
        struct url base;
        struct buf whole;
        slice location = slice_from(locations[i / COUNT(bases)]);
        buf_init(&whole, 100, "URL");
        assert_int_equal(parse(slice_from(bases[i % COUNT(bases)]), &base), 0);
        assert_int_equal(url_resolve(&base, location, &whole, NULL), 0);
        for (size_t room = 0; room <= whole.len; room++) {
            struct buf out;
            buf_init(&out, room, "URL");
            int rc = url_resolve(&base, location, &out, NULL);
            assert_int_equal(rc, room < whole.len ? ERR_LIMIT : 0);
            assert_true(
                slice_equal(buf_slice(&out), room < whole.len ? (slice){ 0 } : buf_slice(&whole)));
            buf_free(&out);
        }
        buf_free(&whole);
    }
}

/* --- encoding --------------------------------------------------------------------------- */

static void each_byte_is_encoded_and_back(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100, "URL");
    for (int c = 0; c < 256; c++) {
        char byte = (char)c, expected[8];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c != 0 && strchr("-._~", c) != NULL);
        snprintf(expected, sizeof expected, plain ? "%c" : "%%%02X", c);
        slice text = guard_copy(&byte, 1);
        assert_int_equal(url_encode(&out, text, NULL), 0);
        assert_true(slice_is(buf_slice(&out), expected));
        guard_free(text);
        for (int lower = 0; lower < 2; lower++) {
            if (lower)
                snprintf(expected, sizeof expected, "%%%02x", c);
            text = guard_text(expected);
            buf_reset(&out, SIZE_MAX);
            assert_int_equal(url_decode(&out, text, NULL), 0);
            assert_int_equal(out.len, 1);
            assert_int_equal(out.ptr[0], byte);
            guard_free(text);
        }
        buf_reset(&out, SIZE_MAX);
    }
    buf_free(&out);
}

static void ids_cannot_leave_their_place_in_a_url(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100, "URL");
    assert_int_equal(url_encode(&out, SLICE_LITERAL("a/../b?c#d\r\nX: \xc3\xa9%"), NULL), 0);
    assert_true(slice_is(buf_slice(&out), "a%2F..%2Fb%3Fc%23d%0D%0AX%3A%20%C3%A9%25"));
    assert_int_equal(url_encode(&out, (slice){ NULL, 0 }, NULL), 0);
    buf_free(&out);
    for (size_t room = 0; room <= 8; room++) {
        buf_init(&out, room, "URL");
        assert_int_equal(url_encode(&out, SLICE_LITERAL("%ab "), NULL), room < 8 ? ERR_LIMIT : 0);
        assert_int_equal(out.len, room < 8 ? 0 : 8);
        buf_free(&out);
        buf_init(&out, room, "text");
        assert_int_equal(url_decode(&out, SLICE_LITERAL("12345678"), NULL),
                         room < 8 ? ERR_LIMIT : 0);
        assert_int_equal(out.len, room < 8 ? 0 : 8);
        buf_free(&out);
    }
}

static void broken_escapes_are_refused(void **state)
{
    (void)state;
    static const char *const broken[] = { "%",    "a%",   "%4",   "%4g", "%g4",
                                          "%%41", "% 41", "ab%c", "%41%" };
    struct buf out;
    struct err err = { 0 };
    buf_init(&out, 100, "text");
    assert_int_equal(url_decode(&out, SLICE_LITERAL("a+b%2B%00"), &err), 0);
    assert_true(slice_equal(buf_slice(&out), SLICE_LITERAL("a+b+\0")));
    for (size_t i = 0; i < COUNT(broken); i++) {
        slice text = guard_text(broken[i]);
        assert_int_equal(url_decode(&out, text, &err), ERR_INPUT);
        assert_int_equal(out.len, 5);
        guard_free(text);
    }
    assert_int_equal(url_decode(&out, (slice){ NULL, 0 }, &err), 0);
    buf_free(&out);
}

/* --- templates -------------------------------------------------------------------------- */

static void templates_are_filled(void **state)
{
    (void)state;
    static const struct {
        const char *template, *expected;
    } cases[] = {
        { "", "" },
        { "http://h/x", "http://h/x" },
        { "$ID", "job" },
        { "http://h/$RUNPOD_POD_ID/job-done/$ID?a=b", "http://h/p%2Fod%24ID/job-done/job?a=b" },
        { "$ID$ID", "jobjob" },
        { "$IDX$", "jobX$" }, /* plain text, as the SDK replaces it */
        { "$$ID", "$job" },
        { "$RUNPOD_POD_I", "$RUNPOD_POD_I" },
        { "$RUNPOD_POD_IDS", "p%2Fod%24IDS" },
        { "$RUNPOD_$ID", "$RUNPOD_job" },
        { "$id $I", "$id $I" },
        { "$ID_LONG", "long" }, /* not "$ID" and "_LONG" */
        { "$ID_LON", "job_LON" },
        { "$NONE.", "." },
    };
    static const struct url_placeholder placeholders[] = {
        { "$ID", { "job", 3 } },
        { "$RUNPOD_POD_ID", { "p/od$ID", 7 } }, /* its "$ID" is not filled in again */
        { "$ID_LONG", { "long", 4 } },
        { "$NONE", { NULL, 0 } },
        { "", { "never", 5 } },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice template = guard_text(cases[i].template);
        struct buf out;
        buf_init(&out, 100, "URL");
        assert_int_equal(url_fill(&out, template, placeholders, COUNT(placeholders), NULL), 0);
        if (!slice_is(buf_slice(&out), cases[i].expected))
            fail_msg("%s gives %.*s", cases[i].template, SLICE_ARG(buf_slice(&out)));
        buf_free(&out);
        guard_free(template);
    }
}

static void a_template_without_room_fills_nothing(void **state)
{
    (void)state;
    static const struct url_placeholder id = { "$ID", { "a b", 3 } };
    for (size_t room = 2; room < 12; room++) {
        struct buf out;
        buf_init(&out, room, "URL");
        assert_int_equal(buf_add_text(&out, "..", NULL), 0);
        int rc = url_fill(&out, SLICE_LITERAL("xx$IDyy"), &id, 1, NULL);
        assert_int_equal(rc, room < 11 ? ERR_LIMIT : 0);
        assert_true(slice_is(buf_slice(&out), room < 11 ? ".." : "..xxa%20byy"));
        buf_free(&out);
    }
}

static void queries_are_added(void **state)
{
    (void)state;
    static const struct {
        const char *url, *expected;
    } cases[] = {
        { "http://h", "http://h?n=a%26b" },
        { "http://h/", "http://h/?n=a%26b" },
        { "http://h/x?", "http://h/x?n=a%26b" },
        { "http://h/x?a=b", "http://h/x?a=b&n=a%26b" },
        { "http://h/x?a=b&", "http://h/x?a=b&n=a%26b" },
        { "http://h/x?a=b?", "http://h/x?a=b?n=a%26b" },
        { "http://h/x&", "http://h/x&?n=a%26b" },
        { "http://h/x#f?g", "http://h/x?n=a%26b" },
        { "http://h/x?a#f", "http://h/x?a&n=a%26b" },
        { "", "?n=a%26b" },
        { "?", "?n=a%26b" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        buf_init(&out, 100, "URL");
        assert_int_equal(buf_add_text(&out, cases[i].url, NULL), 0);
        assert_int_equal(url_add_query(&out, "n", SLICE_LITERAL("a&b"), NULL), 0);
        if (!slice_is(buf_slice(&out), cases[i].expected))
            fail_msg("%s gives %.*s", cases[i].url, SLICE_ARG(buf_slice(&out)));
        buf_free(&out);
    }
    for (size_t room = 8; room < 16; room++) {
        struct buf out;
        buf_init(&out, room, "URL");
        assert_int_equal(buf_add_text(&out, "http://h", NULL), 0);
        int rc = url_add_query(&out, "n", SLICE_LITERAL("a&b"), NULL);
        assert_int_equal(rc, ERR_LIMIT);
        assert_true(slice_is(buf_slice(&out), "http://h"));
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(prefixes_of_urls_read_no_further),
        cmocka_unit_test(lengths_are_limited),
        cmocka_unit_test(hosts_are_made_of_few_bytes),
        cmocka_unit_test(origins_are_compared),
        cmocka_unit_test(locations_are_resolved_as_the_rfc_shows),
        cmocka_unit_test(locations_of_real_servers_are_resolved),
        cmocka_unit_test(long_redirects_are_refused),
        cmocka_unit_test(a_redirect_without_room_leaves_nothing_half),
        cmocka_unit_test(each_byte_is_encoded_and_back),
        cmocka_unit_test(ids_cannot_leave_their_place_in_a_url),
        cmocka_unit_test(broken_escapes_are_refused),
        cmocka_unit_test(templates_are_filled),
        cmocka_unit_test(a_template_without_room_fills_nothing),
        cmocka_unit_test(queries_are_added),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
