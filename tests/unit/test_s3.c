/*
 * Signatures: SHA-256 and HMAC against their standards' examples, Signature Version 4 against those
 * of AWS's documentation ("Authenticating Requests", S3 API Reference), links, regions, XML.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/s3.h"
#include "codec/sigv4.h"
#include "codec/xml.h"
#include "guard.h"
#include "net/digest.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define EXAMPLE_TIME 1369353600 /* 2013-05-24T00:00:00Z */

static void assert_slice(slice got, const char *expected)
{
    if (!slice_is(got, expected))
        fail_msg("%.*s, not %s", SLICE_ARG(got), expected);
}

/* --- digests ------------------------------------------------------------------------------- */

static void test_sha256(void **state)
{
    char hex[DIGEST_HEX_BYTES];
    uint8_t hash[DIGEST_BYTES];
    struct digest digest;
    (void)state;
    digest_of(SLICE_LITERAL(""), hash);
    digest_hex(hash, hex);
    assert_string_equal(hex, EMPTY);
    digest_begin(&digest);
    digest_add(&digest, "a", 1);
    digest_add(&digest, "bc", 2);
    digest_get(&digest, hash);
    digest_hex(hash, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_hmac(void **state) /* RFC 4231, cases 2 and 6 */
{
    char hex[DIGEST_HEX_BYTES];
    uint8_t key[131], mac[DIGEST_BYTES];
    (void)state;
    digest_hmac("Jefe", 4, SLICE_LITERAL("what do ya want for nothing?"), mac);
    digest_hex(mac, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    digest_hmac(key, sizeof key,
                SLICE_LITERAL("Test Using Larger Than Block-Size Key - Hash Key First"), mac);
    digest_hex(mac, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* --- Signature Version 4 ------------------------------------------------------------------- */

static const struct s3 example = {
    .endpoint = { .tls = true, .host = { "s3.amazonaws.com", 16 }, .port = 443 },
    .access_key = { "AKIAIOSFODNN7EXAMPLE", 20 },
    .secret_key = { "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 40 },
    .region = { "us-east-1", 9 },
    .bucket = { "examplebucket", 13 },
    .virtual_host = true,
    .key = { "test.txt", 8 },
};

static void test_canonical(void **state)
{
    const struct sigv4_pair fields[] = {
        { SLICE_LITERAL("date"), SLICE_LITERAL("  Fri, 24 May 2013   00:00:00 GMT ") },
        { SLICE_LITERAL("host"), SLICE_LITERAL("examplebucket.s3.amazonaws.com") },
    };
    const struct sigv4_request request = { .method = "PUT",
                                           .path = SLICE_LITERAL("/test%24file.text"),
                                           .fields = fields,
                                           .field_count = 2,
                                           .payload = EMPTY };
    struct buf out;
    struct err err;
    (void)state;
    buf_init(&out, 10000, "text");
    assert_int_equal(sigv4_put_canonical(&out, &request, &err), 0);
    assert_slice(buf_slice(&out), "PUT\n/test%24file.text\n\n"
                                  "date:Fri, 24 May 2013 00:00:00 GMT\n"
                                  "host:examplebucket.s3.amazonaws.com\n\ndate;host\n" EMPTY);
    buf_free(&out);
}

static void test_query_and_path(void **state)
{
    const struct sigv4_pair pairs[] = {
        { SLICE_LITERAL("uploadId"), SLICE_LITERAL("a/b+c=") },
        { SLICE_LITERAL("partNumber"), SLICE_LITERAL("7") },
        { SLICE_LITERAL("X-Amz"), SLICE_LITERAL("") },
    };
    struct buf out;
    struct err err;
    (void)state;
    buf_init(&out, 10000, "text");
    assert_int_equal(sigv4_put_query(&out, pairs, 3, &err), 0);
    assert_slice(buf_slice(&out), "X-Amz=&partNumber=7&uploadId=a%2Fb%2Bc%3D");
    out.len = 0;
    static const struct sigv4_pair alike[] = {
        { SLICE_LITERAL("ab"), SLICE_LITERAL("1") },
        { SLICE_LITERAL("a"), SLICE_LITERAL("2") },
        { SLICE_LITERAL(""), SLICE_LITERAL("3") },
        { SLICE_LITERAL("a"), SLICE_LITERAL("4") },
    };
    assert_int_equal(sigv4_put_query(&out, alike, 4, &err), 0);
    assert_slice(buf_slice(&out), "=3&a=2&a=4&ab=1");
    out.len = 0;
    slice key = guard_text("a b/\xc3\xa4//~$.png/");
    assert_int_equal(sigv4_put_path(&out, key, &err), 0);
    assert_slice(buf_slice(&out), "a%20b/%C3%A4//~%24.png/");
    guard_free(key);
    assert_int_equal(sigv4_put_query(&out, pairs, SIGV4_PAIRS_MAX + 1, &err), ERR_INPUT);
    buf_free(&out);
}

/* The published signature of "GET Bucket lifecycle"; its fields are those that s3_sign makes. */
static void test_published_request(void **state)
{
    const struct sigv4_pair query = { SLICE_LITERAL("lifecycle"), SLICE_LITERAL("") };
    struct s3 bucket = example;
    struct buf url, authorization;
    struct err err;
    (void)state;
    buf_init(&url, 10000, "URL");
    buf_init(&authorization, 10000, "Authorization");
    struct s3_request request = { .method = "GET",
                                  .query = &query,
                                  .query_count = 1,
                                  .payload = EMPTY,
                                  .url = &url,
                                  .authorization = &authorization };
    bucket.key = SLICE_LITERAL("");
    assert_int_equal(s3_sign(&bucket, &request, EXAMPLE_TIME, &err), 0);
    assert_string_equal(request.time, "20130524T000000Z");
    assert_slice(buf_slice(&url), "https://examplebucket.s3.amazonaws.com/?lifecycle=");
    assert_slice(buf_slice(&authorization),
                 "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                 "aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature="
                 "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    buf_free(&url);
    buf_free(&authorization);
}

static void test_published_link(void **state)
{
    struct buf out;
    struct err err;
    (void)state;
    buf_init(&out, 10000, "link");
    assert_int_equal(s3_put_link(&example, EXAMPLE_TIME, 86400, &out, &err), 0);
    assert_slice(buf_slice(&out),
                 "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                 "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
                 "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
                 "&X-Amz-Signature="
                 "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    buf_free(&out);
}

static void test_styles(void **state)
{
    static const struct {
        const char *endpoint;
        bool virtual_host;
        const char *url;
    } cases[] = {
        { "https://s3.example.org", false, "https://s3.example.org/bucket/a/b%20c" },
        { "https://s3.example.org/", true, "https://bucket.s3.example.org/a/b%20c" },
        { "http://127.0.0.1:9000", false, "http://127.0.0.1:9000/bucket/a/b%20c" },
        { "http://[::1]:9000/", false, "http://[::1]:9000/bucket/a/b%20c" },
        { "http://127.0.0.1:80", false, "http://127.0.0.1/bucket/a/b%20c" },
        { "http://127.0.0.1:443", false, "http://127.0.0.1:443/bucket/a/b%20c" },
        { "https://127.0.0.1:80", false, "https://127.0.0.1:80/bucket/a/b%20c" },
        { "https://x.example.org/base/?q", false, "https://x.example.org/base/bucket/a/b%20c" },
        { "https://x.example.org:443/base", true, "https://bucket.x.example.org/base/a/b%20c" },
    };
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf url, authorization;
        buf_init(&url, 10000, "URL");
        buf_init(&authorization, 10000, "Authorization");
        struct s3_request request = {
            .method = "PUT", .payload = EMPTY, .url = &url, .authorization = &authorization
        };
        struct s3 s3 = example;
        s3.key = SLICE_LITERAL("a/b c");
        s3.bucket = SLICE_LITERAL("bucket");
        s3.virtual_host = cases[i].virtual_host;
        assert_int_equal(url_parse(slice_from(cases[i].endpoint), &s3.endpoint, &err), 0);
        assert_int_equal(s3_sign(&s3, &request, EXAMPLE_TIME, &err), 0);
        assert_slice(buf_slice(&url), cases[i].url);
        buf_free(&url);
        buf_free(&authorization);
    }
}

static void test_check(void **state)
{
    struct s3 s3 = example;
    struct err err;
    (void)state;
    assert_int_equal(s3_check(&s3, &err), 0);
    static const char *const buckets[] = { "", "a/b", ".a", "a b", "a?b" };
    for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++) {
        s3.bucket = slice_from(buckets[i]);
        assert_int_equal(s3_check(&s3, &err), ERR_INPUT);
    }
    s3 = example;
    static const char *const keys[] = { "", ".", "..", "a/../b", "a/.", "./a" };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        s3.key = slice_from(keys[i]);
        assert_int_equal(s3_check(&s3, &err), ERR_INPUT);
    }
    s3.key = SLICE_LITERAL("a/..b/.c/d.");
    assert_int_equal(s3_check(&s3, &err), 0);
}

static void test_limits(void **state)
{
    static char text[1025];
    struct s3 s3 = example;
    struct err err;
    (void)state;
    memset(text, 'x', sizeof text);
    s3.bucket = (slice){ text, 255 };
    assert_int_equal(s3_check(&s3, &err), 0);
    s3.bucket = (slice){ text, 256 };
    assert_int_equal(s3_check(&s3, &err), ERR_INPUT);
    s3.bucket = example.bucket;
    s3.key = (slice){ text, 1024 };
    assert_int_equal(s3_check(&s3, &err), 0);
    s3.key = (slice){ text, 1025 };
    assert_int_equal(s3_check(&s3, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "1 to 1024 bytes, not 1025"));
}

/* What is too long is an error, and never half a signed request. */
static void test_too_long_to_sign(void **state)
{
    static char text[4000];
    struct s3 s3 = example;
    struct buf out, authorization, small;
    struct err err;
    (void)state;
    memset(text, 'x', sizeof text);
    buf_init(&out, 10000, "link");
    buf_init(&authorization, 10000, "Authorization");
    buf_init(&small, 20, "a short text");
    s3.secret_key = (slice){ text, 200 };
    assert_int_equal(s3_put_link(&s3, EXAMPLE_TIME, 1, &out, &err), 0);
    buf_clear(&out);
    s3.secret_key = (slice){ text, 201 };
    assert_int_equal(s3_put_link(&s3, EXAMPLE_TIME, 1, &out, &err), ERR_INPUT);
    assert_int_equal(out.len, 0);
    s3 = example;
    s3.access_key = (slice){ text, 1000 };
    assert_int_equal(s3_put_link(&s3, EXAMPLE_TIME, 1, &out, &err), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    s3 = example;
    memset(text, '%', sizeof text); /* three bytes each */
    s3.key = (slice){ text, sizeof text };
    assert_int_equal(s3_put_link(&s3, EXAMPLE_TIME, 1, &out, &err), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    struct s3_request request = {
        .method = "PUT", .payload = EMPTY, .url = &out, .authorization = &authorization
    };
    assert_int_equal(s3_sign(&s3, &request, EXAMPLE_TIME, &err), ERR_LIMIT);
    s3 = example;
    assert_int_equal(s3_sign(&s3, &request, EXAMPLE_TIME, &err), 0);
    const size_t url_len = out.len, authorization_len = authorization.len;
    assert_int_equal(s3_sign(&s3, &request, EXAMPLE_TIME, &err), 0); /* in the place of the first */
    assert_int_equal(out.len, url_len);
    assert_int_equal(authorization.len, authorization_len);
    request.url = &small;
    assert_int_equal(s3_sign(&s3, &request, EXAMPLE_TIME, &err), ERR_LIMIT);
    buf_clear(&small);
    assert_int_equal(s3_put_link(&s3, EXAMPLE_TIME, 1, &small, &err), ERR_LIMIT);
    buf_clear(&small);
    request.url = &out;
    request.authorization = &small;
    assert_int_equal(s3_sign(&s3, &request, EXAMPLE_TIME, &err), ERR_LIMIT);
    buf_free(&out);
    buf_free(&authorization);
    buf_free(&small);
}

#define REGION_63 "r23456789-123456789-123456789-123456789-123456789-123456789-123"
_Static_assert(sizeof REGION_63 == S3_REGION_BYTES, "the longest region");

static void test_regions(void **state)
{
    static const struct {
        const char *host;
        const char *region;
    } cases[] = {
        { "s3.eu-west-1.amazonaws.com", "eu-west-1" },
        { "bucket.s3.eu-west-1.amazonaws.com", "eu-west-1" },
        { "s3.us-west-004.backblazeb2.com", "us-west-004" },
        { "nyc3.digitaloceanspaces.com", "nyc3" },
        { "bucket.nyc3.digitaloceanspaces.com", "nyc3" },
        { "s3api-eu-ro-1.runpod.io", "EU-RO-1" },
        { "s3api-az.runpod.io", "AZ" },
        { "s3api-x.runpod.io", "X" },
        { "s3api-.runpod.io", NULL },
        { "another-x.runpod.io", NULL },
        { "s3apiax.runpod.io", NULL },
        { "s3api-x.example.org", NULL },
        { "s3." REGION_63 ".example.org", REGION_63 },
        { "s3." REGION_63 "x.example.org", NULL },
        { "s3.amazonaws.com", NULL },
        { "bucket.s3.amazonaws.com", NULL },
        { "s3.example.org", NULL },
        { "account.r2.cloudflarestorage.com", NULL },
        { "127.0.0.1", NULL },
        { "localhost", NULL },
        { "s3", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char region[S3_REGION_BYTES] = "";
        slice host = guard_text(cases[i].host);
        if (s3_region_of(host, region) != (cases[i].region != NULL))
            fail_msg("%s: %s", cases[i].host, region);
        if (cases[i].region != NULL)
            assert_string_equal(region, cases[i].region);
        guard_free(host);
    }
}

/* --- XML ----------------------------------------------------------------------------------- */

static void test_xml(void **state)
{
    static const struct {
        const char *document;
        const char *text; /* of <Id>; NULL: none */
    } cases[] = {
        { "<?xml version=\"1.0\"?><R><Id>abc</Id></R>", "abc" },
        { "<R><Id>a&amp;b&lt;&gt;&quot;&apos;&x;</Id></R>", "a&b<>\"'&x;" },
        { "<R><Idx>no</Idx><Id></Id></R>", "" },
        { "<R><Id><b>no</b></Id><Id>yes</Id></R>", "yes" },
        { "<R><Id>open</R>", NULL },
        { "<Id>", NULL },
        { "<", NULL },
        { "", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        buf_init(&out, 1000, "text");
        slice document = guard_text(cases[i].document);
        assert_int_equal(xml_text(document, "Id", &out), cases[i].text != NULL);
        assert_slice(buf_slice(&out), cases[i].text != NULL ? cases[i].text : "");
        guard_free(document);
        buf_free(&out);
    }
}

static void test_xml_put(void **state)
{
    struct buf out;
    struct err err;
    (void)state;
    buf_init(&out, 20, "text");
    assert_int_equal(xml_put_text(&out, SLICE_LITERAL("\"a<b\""), &err), 0);
    assert_slice(buf_slice(&out), "&quot;a&lt;b&quot;");
    assert_int_equal(xml_put_text(&out, SLICE_LITERAL("&&&"), &err), ERR_LIMIT);
    out.len = 0;
    assert_false(xml_text(SLICE_LITERAL("<a>123456789012345678901</a>"), "a", &out));
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_query_and_path),
        cmocka_unit_test(test_published_request),
        cmocka_unit_test(test_published_link),
        cmocka_unit_test(test_styles),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_too_long_to_sign),
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_xml),
        cmocka_unit_test(test_xml_put),
    };
    return cmocka_run_group_tests_name("s3", tests, NULL, NULL);
}
