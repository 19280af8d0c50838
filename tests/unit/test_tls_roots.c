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

#define RSA_ANCHOR \
    "\x00\x03"     \
    "abc"          \
    "\x01"         \
    "\x00\x04"     \
    "nnnn"         \
    "\x03"         \
    "eee"
#define EC_ANCHOR \
    "\x00\x02"    \
    "de"          \
    "\x02"        \
    "\x17"        \
    "\x00\x05"    \
    "point"

static void anchors_are_read_in_order(void **state)
{
    (void)state;
    static const char bytes[] = RSA_ANCHOR EC_ANCHOR "\x00\x00\x82\x18\x00\x01p";
    slice copy = guard_copy(bytes, sizeof bytes - 1), blob = copy;
    br_x509_trust_anchor anchor;

    assert_true(tls_roots_next(&blob, &anchor));
    assert_int_equal(anchor.flags, BR_X509_TA_CA);
    assert_int_equal(anchor.dn.len, 3);
    assert_memory_equal(anchor.dn.data, "abc", 3);
    assert_int_equal(anchor.pkey.key_type, BR_KEYTYPE_RSA);
    assert_int_equal(anchor.pkey.key.rsa.nlen, 4);
    assert_memory_equal(anchor.pkey.key.rsa.n, "nnnn", 4);
    assert_int_equal(anchor.pkey.key.rsa.elen, 3);
    assert_memory_equal(anchor.pkey.key.rsa.e, "eee", 3);

    assert_true(tls_roots_next(&blob, &anchor));
    assert_int_equal(anchor.flags, BR_X509_TA_CA);
    assert_int_equal(anchor.pkey.key_type, BR_KEYTYPE_EC);
    assert_int_equal(anchor.pkey.key.ec.curve, BR_EC_secp256r1);
    assert_int_equal(anchor.pkey.key.ec.qlen, 5);
    assert_memory_equal(anchor.pkey.key.ec.q, "point", 5);

    assert_true(tls_roots_next(&blob, &anchor)); /* pinned: no CA */
    assert_int_equal(anchor.flags, 0);
    assert_int_equal(anchor.dn.len, 0);
    assert_int_equal(anchor.pkey.key.ec.curve, BR_EC_secp384r1);
    assert_false(tls_roots_next(&blob, &anchor));
    guard_free(copy);
}

static void cut_anchors_are_none(void **state)
{
    (void)state;
    static const slice anchors[] = { SLICE_LITERAL(RSA_ANCHOR), SLICE_LITERAL(EC_ANCHOR) };
    for (size_t i = 0; i < COUNT(anchors); i++) {
        for (size_t len = 0; len < anchors[i].len; len++) {
            slice copy = guard_copy(anchors[i].ptr, len), blob = copy;
            br_x509_trust_anchor anchor;
            assert_false(tls_roots_next(&blob, &anchor));
            assert_ptr_equal(blob.ptr, copy.ptr);
            guard_free(copy);
        }
    }
}

static void unknown_kinds_of_key_are_none(void **state)
{
    (void)state;
    for (int kind = 0; kind < 256; kind++) {
        char bytes[] = "\x00\x00?\x00\x00\x00\x00\x00\x00";
        bytes[2] = (char)kind;
        slice blob = { bytes, sizeof bytes };
        br_x509_trust_anchor anchor;
        int known = kind & ~TLS_ROOTS_PINNED;
        assert_int_equal(tls_roots_next(&blob, &anchor), known == 1 || known == 2);
    }
}

static void every_built_in_root_is_whole(void **state)
{
    (void)state;
    slice blob = { (const char *)tls_roots_blob, tls_roots_blob_len };
    br_x509_trust_anchor anchor;
    unsigned count = 0;
    for (; tls_roots_next(&blob, &anchor); count++) {
        assert_int_equal(anchor.flags, BR_X509_TA_CA);
        assert_true(anchor.dn.len > 2 && anchor.dn.data[0] == 0x30);
        if (anchor.pkey.key_type == BR_KEYTYPE_RSA)
            assert_true(anchor.pkey.key.rsa.nlen >= 256 && anchor.pkey.key.rsa.elen > 0);
    }
    assert_int_equal(blob.len, 0);
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
    slice rest = buf_slice(blob);
    br_x509_trust_anchor anchor;
    while (tls_roots_next(&rest, &anchor))
        rc++;
    assert_int_equal(rest.len, 0);
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

    slice rest = buf_slice(&blob);
    br_x509_trust_anchor anchor;
    assert_true(tls_roots_next(&rest, &anchor));
    assert_int_equal(anchor.flags, BR_X509_TA_CA);
    assert_true(anchor.dn.len > 4);
    assert_memory_equal(anchor.dn.data + anchor.dn.len - 4, "Root", 4);
    assert_int_equal(anchor.pkey.key_type, BR_KEYTYPE_EC);
    assert_int_equal(anchor.pkey.key.ec.qlen, sizeof key.point);
    assert_memory_equal(anchor.pkey.key.ec.q, key.point, sizeof key.point);
    assert_true(tls_roots_next(&rest, &anchor));
    assert_int_equal(anchor.flags, 0);
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
        cmocka_unit_test(a_bundle_cut_off_anywhere_is_refused),
        cmocka_unit_test(what_is_no_bundle_is_refused),
        cmocka_unit_test(a_broken_certificate_is_counted_in_the_error),
        cmocka_unit_test(an_unusable_certificate_does_not_spoil_the_others),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
        cmocka_unit_test(an_endless_file_is_left),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
