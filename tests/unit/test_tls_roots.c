/* net/tls_roots: the blob of anchors, and PEM bundles that become one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "certificate.h"
#include "guard.h"
#include "net/tls_roots.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct certificate_key key;

/* --- the blob ----------------------------------------------------------------------------- */

#define RSA_ANCHOR     \
    "\x01\x02\x03\x04" \
    "\x01"             \
    "\x00\x04"         \
    "nnnn"             \
    "\x03"             \
    "eee"
#define EC_ANCHOR      \
    "\xff\xfe\xfd\xfc" \
    "\x02"             \
    "\x17"             \
    "\x00\x05"         \
    "point"

static void anchors_are_read_in_order(void **state)
{
    (void)state;
    static const char bytes[] = RSA_ANCHOR EC_ANCHOR "\0\0\0\0\x02\x18\x00\x01p";
    slice copy = guard_copy(bytes, sizeof bytes - 1);
    struct tls_roots roots = { copy, false };
    struct tls_anchor anchor;

    assert_true(tls_roots_next(&roots, &anchor));
    assert_false(anchor.from_a_file);
    assert_int_equal(anchor.name_digest, 0x01020304);
    assert_int_equal(anchor.key.key_type, BR_KEYTYPE_RSA);
    assert_int_equal(anchor.key.key.rsa.nlen, 4);
    assert_memory_equal(anchor.key.key.rsa.n, "nnnn", 4);
    assert_int_equal(anchor.key.key.rsa.elen, 3);
    assert_memory_equal(anchor.key.key.rsa.e, "eee", 3);

    assert_true(tls_roots_next(&roots, &anchor));
    assert_int_equal(anchor.name_digest, 0xfffefdfc);
    assert_int_equal(anchor.key.key_type, BR_KEYTYPE_EC);
    assert_int_equal(anchor.key.key.ec.curve, BR_EC_secp256r1);
    assert_int_equal(anchor.key.key.ec.qlen, 5);
    assert_memory_equal(anchor.key.key.ec.q, "point", 5);

    assert_true(tls_roots_next(&roots, &anchor));
    assert_int_equal(anchor.name_digest, 0);
    assert_int_equal(anchor.key.key.ec.curve, BR_EC_secp384r1);
    assert_false(tls_roots_next(&roots, &anchor));
    guard_free(copy);
}

static void cut_anchors_are_none(void **state)
{
    (void)state;
    static const slice anchors[] = { SLICE_LITERAL(RSA_ANCHOR), SLICE_LITERAL(EC_ANCHOR) };
    for (size_t i = 0; i < COUNT(anchors); i++) {
        for (size_t len = 0; len < anchors[i].len; len++) {
            slice copy = guard_copy(anchors[i].ptr, len);
            struct tls_roots roots = { copy, false };
            struct tls_anchor anchor;
            assert_false(tls_roots_next(&roots, &anchor));
            assert_ptr_equal(roots.blob.ptr, copy.ptr);
            guard_free(copy);
        }
    }
}

static void unknown_kinds_of_key_are_none(void **state)
{
    (void)state;
    for (int kind = 0; kind < 256; kind++) {
        char bytes[] = "\0\0\0\0?\0\0\0\0\0\0";
        bytes[4] = (char)kind;
        struct tls_roots roots = { { bytes, sizeof bytes }, false };
        struct tls_anchor anchor;
        assert_int_equal(tls_roots_next(&roots, &anchor), kind == 1 || kind == 2);
    }
}

static void every_built_in_root_is_whole(void **state)
{
    (void)state;
    struct tls_roots roots = { { (const char *)tls_roots_blob, tls_roots_blob_len }, false };
    struct tls_anchor anchor;
    unsigned count = 0;
    for (; tls_roots_next(&roots, &anchor); count++) {
        if (anchor.key.key_type == BR_KEYTYPE_RSA)
            assert_true(anchor.key.key.rsa.nlen >= 256 && anchor.key.key.rsa.elen > 0);
    }
    assert_int_equal(roots.blob.len, 0);
    assert_int_equal(count, tls_roots_count);
}

/* --- bundles ------------------------------------------------------------------------------ */

static char path[] = "/tmp/test_tls_roots.XXXXXX";

static void write_file(const char *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* Loads a bundle of this text. Returns how many anchors it has, or the error. */
static int load(const char *text, size_t len, struct buf *blob, struct err *err)
{
    buf_init(blob, TLS_BUNDLE_FILE_BYTES, "bundle");
    write_file(text, len);
    int rc = tls_bundle_load(blob, path, err);
    if (rc != 0) {
        assert_int_equal(err->code, rc);
        assert_non_null(strstr(err->text, "SSL_CERT_FILE"));
        assert_non_null(strstr(err->text, path));
        buf_free(blob);
        return rc;
    }
    struct tls_roots rest = { buf_slice(blob), true };
    struct tls_anchor anchor;
    while (tls_roots_next(&rest, &anchor))
        rc++;
    assert_int_equal(rest.blob.len, 0);
    return rc;
}

static int load_text(const char *text, struct err *err)
{
    struct buf blob;
    int count = load(text, strlen(text), &blob, err);
    if (count >= 0)
        buf_free(&blob);
    return count;
}

/* Appends a certificate as PEM; returns the text's new length. */
static size_t add_pem(char *text, size_t len, const char *subject, bool ca, const char *banner,
                      unsigned flags)
{
    unsigned char bytes[CERTIFICATE_BYTES];
    const struct certificate_spec spec = {
        .issuer = "Root", .subject = subject, .key = &key, .signer = &key, .ca = ca
    };
    slice made = certificate_make(bytes, &spec);
    return len + br_pem_encode(text + len, made.ptr, made.len, banner, flags);
}

static void authorities_and_servers_are_told_apart(void **state)
{
    (void)state;
    char text[16384];
    struct buf blob;
    struct err err;
    size_t len = (size_t)snprintf(text, sizeof text, "# a comment\n\nsubject=Root\n");
    len = add_pem(text, len, "Root", true, "CERTIFICATE", 0);
    len += (size_t)snprintf(text + len, sizeof text - len, "----- no section\n\n");
    len = add_pem(text, len, "server.test", false, "X509 CERTIFICATE", BR_PEM_LINE64);
    len = add_pem(text, len, "a key, say", true, "PRIVATE KEY", 0);
    assert_int_equal(load(text, len, &blob, &err), 2);

    struct tls_roots rest = { buf_slice(&blob), true };
    struct tls_anchor anchor;
    assert_true(tls_roots_next(&rest, &anchor));
    assert_true(anchor.from_a_file && anchor.certificate.is_ca);
    assert_true(slice_ends_nocase(anchor.certificate.subject, SLICE_LITERAL("Root")));
    slice point = anchor.certificate.key_bits;
    assert_int_equal(point.len, sizeof key.point);
    assert_memory_equal(point.ptr, key.point, sizeof key.point);
    assert_true(tls_roots_next(&rest, &anchor));
    assert_false(anchor.certificate.is_ca);
    buf_free(&blob);
}

static void lines_may_end_as_they_do_elsewhere(void **state)
{
    (void)state;
    char text[16384];
    struct buf blob;
    struct err err;
    size_t len = add_pem(text, 0, "Root", true, "CERTIFICATE", BR_PEM_CRLF);
    len = add_pem(text, len, "Root 2", true, "CERTIFICATE", BR_PEM_CRLF | BR_PEM_LINE64);
    assert_int_equal(load(text, len, &blob, &err), 2);
    buf_free(&blob);
    while (text[len - 1] == '\n' || text[len - 1] == '\r')
        len--; /* no end of the last line */
    assert_int_equal(load(text, len, &blob, &err), 2);
    buf_free(&blob);
}

static void what_editors_add_does_no_harm(void **state)
{
    (void)state;
    char plain[8192], text[16384] = "\xef\xbb\xbf";
    struct buf blob;
    struct err err;
    size_t plain_len = add_pem(plain, 0, "Root", true, "CERTIFICATE", BR_PEM_LINE64), len = 3;
    for (size_t i = 0; i < plain_len; i++) {
        if (plain[i] == '\n')
            len += (size_t)snprintf(text + len, sizeof text - len, " \t ");
        text[len++] = plain[i];
    }
    assert_int_equal(load(text, len, &blob, &err), 1);
    buf_free(&blob);
}

/* Appends OpenSSL's form, a certificate and its trust settings after it; returns the new length. */
static size_t add_trusted(char *text, size_t len, slice settings)
{
    unsigned char bytes[CERTIFICATE_BYTES];
    const struct certificate_spec spec = {
        .issuer = "Root", .subject = "Root", .key = &key, .signer = &key, .ca = true
    };
    slice made = certificate_make(bytes, &spec);
    memcpy(bytes + made.len, settings.ptr, settings.len);
    return len +
           br_pem_encode(text + len, bytes, made.len + settings.len, "TRUSTED CERTIFICATE", 0);
}

static void trust_settings_count(void **state)
{
    (void)state;
#define SERVER_OID "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"
#define MAIL_OID "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x04"
    static const struct {
        slice settings;
        int count;
    } cases[] = {
        { SLICE_LITERAL(""), 1 },
        { SLICE_LITERAL("\x30\x00"), 1 },
        { SLICE_LITERAL("\x30\x0c\x30\x0a" SERVER_OID), 1 },
        { SLICE_LITERAL("\x30\x0c\x30\x0a" MAIL_OID), ERR_CONFIG },
        { SLICE_LITERAL("\x30\x0c\xa0\x0a" SERVER_OID), ERR_CONFIG },
        { SLICE_LITERAL("\x30\x0c\xa0\x0a" MAIL_OID), 1 },
        { SLICE_LITERAL("\x04\x00"), ERR_CONFIG },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[8192];
        struct buf blob;
        struct err err;
        size_t len = add_trusted(text, 0, cases[i].settings);
        assert_int_equal(load(text, len, &blob, &err), cases[i].count);
        if (cases[i].count > 0)
            buf_free(&blob);
    }
}

static void a_bundle_cut_off_anywhere_is_refused(void **state)
{
    (void)state;
    char text[16384];
    struct buf blob;
    struct err err;
    size_t whole = add_pem(text, 0, "Root", true, "CERTIFICATE", 0);
    size_t end = (size_t)(strstr(text, "-----END ") - text) + strlen("-----END ");
    for (size_t len = 0; len < end; len++)
        assert_int_equal(load(text, len, &blob, &err), ERR_CONFIG);
    assert_int_equal(load(text, whole, &blob, &err), 1);
    buf_free(&blob);
}

static void what_is_no_bundle_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\n",
        "nothing of the kind",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN -----\nAAAA\n-----END -----\n",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct err err;
        assert_int_equal(load_text(texts[i], &err), ERR_CONFIG);
    }
}

/* Each has to end before the next one begins. */
static void a_certificate_without_an_end_is_broken(void **state)
{
    (void)state;
    char text[16384];
    struct buf blob;
    struct err err;
    size_t len = add_pem(text, 0, "Root", true, "CERTIFICATE", 0);
    len = (size_t)(strstr(text, "-----END ") - text);
    len = add_pem(text, len, "Root 2", true, "CERTIFICATE", 0);
    assert_int_equal(load(text, len, &blob, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "number 1 is broken"));
}

/* Of all three lengths, so that one has to be padded, with blanks in the lines. */
static void certificates_follow_one_another(void **state)
{
    (void)state;
    static const char *const subjects[] = { "a", "bb", "ccc", "dddd" };
    char plain[16384], text[32768];
    struct buf blob;
    struct err err;
    size_t plain_len = 0, len = 0;
    for (size_t i = 0; i < COUNT(subjects); i++)
        plain_len = add_pem(plain, plain_len, subjects[i], true, "CERTIFICATE", 0);
    for (size_t i = 0; i < plain_len; i++) {
        text[len++] = plain[i];
        if (plain[i] == 'M')
            len += (size_t)snprintf(text + len, sizeof text - len, " \t");
    }
    plain[plain_len] = '\0';
    assert_non_null(strstr(plain, "=\n-----END"));
    assert_int_equal(load(plain, plain_len, &blob, &err), COUNT(subjects));
    buf_free(&blob);
    assert_int_equal(load(text, len, &blob, &err), COUNT(subjects));
    buf_free(&blob);
}

static void a_broken_certificate_is_counted_in_the_error(void **state)
{
    (void)state;
    char text[16384];
    struct buf blob;
    struct err err;
    size_t len = add_pem(text, 0, "Root", true, "CERTIFICATE", 0);
    len += (size_t)snprintf(text + len, sizeof text - len,
                            "-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n");
    assert_int_equal(load(text, len, &blob, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "number 2"));
}

static void an_unusable_certificate_does_not_spoil_the_others(void **state)
{
    (void)state;
    char text[16384];
    struct buf blob;
    struct err err;
    size_t len = (size_t)snprintf(text, sizeof text,
                                  "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    len = add_pem(text, len, "Root", true, "CERTIFICATE", 0);
    assert_int_equal(load(text, len, &blob, &err), 1);
    buf_free(&blob);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    static const char *const paths[] = { "/nonexistent/bundle.pem", "/tmp", "" };
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct buf blob;
        struct err err;
        buf_init(&blob, TLS_BUNDLE_FILE_BYTES, "bundle");
        assert_int_equal(tls_bundle_load(&blob, paths[i], &err), ERR_CONFIG);
        assert_non_null(strstr(err.text, "SSL_CERT_FILE"));
        assert_non_null(strstr(err.text, paths[i]));
        buf_free(&blob);
    }
}

static void an_endless_file_is_left(void **state)
{
    (void)state;
    struct buf blob;
    struct err err;
    buf_init(&blob, TLS_BUNDLE_FILE_BYTES, "bundle");
    assert_int_equal(tls_bundle_load(&blob, "/dev/zero", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "larger than 8 MiB"));
    buf_free(&blob);
}

static int set_up(void **state)
{
    (void)state;
    certificate_key_make(&key, 1);
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anchors_are_read_in_order),
        cmocka_unit_test(cut_anchors_are_none),
        cmocka_unit_test(unknown_kinds_of_key_are_none),
        cmocka_unit_test(every_built_in_root_is_whole),
        cmocka_unit_test(authorities_and_servers_are_told_apart),
        cmocka_unit_test(lines_may_end_as_they_do_elsewhere),
        cmocka_unit_test(what_editors_add_does_no_harm),
        cmocka_unit_test(trust_settings_count),
        cmocka_unit_test(a_bundle_cut_off_anywhere_is_refused),
        cmocka_unit_test(what_is_no_bundle_is_refused),
        cmocka_unit_test(a_certificate_without_an_end_is_broken),
        cmocka_unit_test(certificates_follow_one_another),
        cmocka_unit_test(a_broken_certificate_is_counted_in_the_error),
        cmocka_unit_test(an_unusable_certificate_does_not_spoil_the_others),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
        cmocka_unit_test(an_endless_file_is_left),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
