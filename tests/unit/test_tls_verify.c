/* net/tls_verify: chains that are good, chains that are not, and what a person reads about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "certificate.h"
#include "net/tls_name.h"
#include "net/tls_path.h"
#include "net/tls_verify.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NOW 1767225600 /* 2026-01-01 00:00 */

#define OID_SERVER SLICE_LITERAL("\x2b\x06\x01\x05\x05\x07\x03\x01")
#define OID_CLIENT SLICE_LITERAL("\x2b\x06\x01\x05\x05\x07\x03\x02")
#define ADDRESS_V4 SLICE_LITERAL("\x7f\x00\x00\x01")
#define ADDRESS_V6 SLICE_LITERAL("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01")
#define ADDRESS_LONG SLICE_LITERAL("\x7f\x00\x00\x01\x00")

static struct certificate_key root_key, middle_key, server_key, other_key;

/* --- the certificates a server may send ----------------------------------------------------- */

#define ROOT .issuer = "The Root", .signer = &root_key
#define MIDDLE .issuer = "The Middle", .signer = &middle_key
#define SERVER .subject = "whoever", .key = &server_key

static const struct certificate_spec good = { ROOT, SERVER, .dns = { "a.test", "*.b.test" } };
static const struct certificate_spec below_middle = { MIDDLE, SERVER, .dns = { "a.test" } };
static const struct certificate_spec middle = { ROOT, .subject = "The Middle", .key = &middle_key,
                                                .ca = true };
static const struct certificate_spec root = { ROOT, .subject = "The Root", .key = &root_key,
                                              .ca = true };
static const struct certificate_spec stranger = { .issuer = "Other Root",
                                                  .signer = &other_key,
                                                  .subject = "Stranger",
                                                  .key = &other_key,
                                                  .ca = true };
static const struct certificate_spec by_stranger = {
    .issuer = "Other Root", .signer = &other_key, SERVER, .dns = { "a.test" }
};
static const struct certificate_spec self_signed = { .issuer = "a.test",
                                                     .subject = "a.test",
                                                     .signer = &server_key,
                                                     .key = &server_key,
                                                     .dns = { "a.test" } };
static const struct certificate_spec self_signed_again = { .issuer = "a.test",
                                                           .subject = "a.test",
                                                           .signer = &server_key,
                                                           .key = &server_key,
                                                           .dns = { "a.test", "b.test" } };
static const struct certificate_spec impostor = {
    .issuer = "The Root", .signer = &other_key, SERVER, .dns = { "a.test" }
};
static const struct certificate_spec middle_no_ca = { ROOT, .subject = "The Middle",
                                                      .key = &middle_key, .dns = { "x.test" } };
static const struct certificate_spec middle_old = { ROOT, .subject = "The Middle",
                                                    .key = &middle_key, .ca = true,
                                                    .to = "240501120000Z" };
static const struct certificate_spec middle_sha1 = { ROOT, .subject = "The Middle",
                                                     .key = &middle_key, .ca = true,
                                                     .flaw = CERTIFICATE_SHA1 };
static const struct certificate_spec other_root_sha1 = { .issuer = "Other Root",
                                                         .signer = &other_key,
                                                         .subject = "Other Root",
                                                         .key = &other_key,
                                                         .ca = true,
                                                         .flaw = CERTIFICATE_SHA1 };
static const struct certificate_spec expired = { ROOT, SERVER, .dns = { "a.test" },
                                                 .to = "240501120000Z" };
static const struct certificate_spec early = { ROOT, SERVER, .dns = { "a.test" },
                                               .from = "300102000000Z" };
static const struct certificate_spec last_second = { ROOT, SERVER, .dns = { "a.test" },
                                                     .from = "260101000000Z",
                                                     .to = "260101000000Z" };
static const struct certificate_spec bad_time = { ROOT, SERVER, .dns = { "a.test" }, .to = "soon" };
static const struct certificate_spec sha1 = { ROOT, SERVER, .dns = { "a.test" },
                                              .flaw = CERTIFICATE_SHA1 };
static const struct certificate_spec pss = { ROOT, SERVER, .dns = { "a.test" },
                                             .flaw = CERTIFICATE_PSS };
static const struct certificate_spec bad_signature = { ROOT, SERVER, .dns = { "a.test" },
                                                       .flaw = CERTIFICATE_BAD_SIGNATURE };
static const struct certificate_spec bad_middle = { ROOT, .subject = "The Middle",
                                                    .key = &other_key, .ca = true };
static const struct certificate_spec no_names = { ROOT, .subject = "a.test", .key = &server_key,
                                                  .no_names = true };
static const struct certificate_spec version_1 = { ROOT, .subject = "a.test", .key = &server_key,
                                                   .flaw = CERTIFICATE_V1 };
static const struct certificate_spec for_servers = { ROOT, SERVER, .dns = { "a.test" },
                                                     .purpose = OID_SERVER };
static const struct certificate_spec for_clients = { ROOT, SERVER, .dns = { "a.test" },
                                                     .purpose = OID_CLIENT };
static const struct certificate_spec critical = { ROOT, SERVER, .dns = { "a.test" },
                                                  .purpose = OID_SERVER, .critical_purpose = true };
static const struct certificate_spec v4 = { ROOT, SERVER, .dns = { "c.test" },
                                            .address = ADDRESS_V4 };
static const struct certificate_spec v6 = { ROOT, SERVER, .address = ADDRESS_V6 };
static const struct certificate_spec long_address = { ROOT, SERVER, .address = ADDRESS_LONG };
static const struct certificate_spec address_as_name = { ROOT, SERVER, .dns = { "127.0.0.1" } };
static const struct certificate_spec many_names = {
    ROOT, SERVER,
    .dns = { "number-one.example.org", "number-two.example.org", "number-three.example.org",
             "number-four.example.org", "number-five.example.org", "number-six.example.org",
             "number-seven.example.org", "number-eight.example.org", "number-nine.example.org" }
};
static const struct certificate_spec rude_name = { ROOT, SERVER, .dns = { "b\n \x7f\xff.test" } };

/* --- roots ---------------------------------------------------------------------------------- */

static unsigned char anchors[4096];
static size_t anchors_len;
static unsigned char file_roots[4 * CERTIFICATE_BYTES]; /* as SSL_CERT_FILE's: certificates */
static size_t file_roots_len;

static void add_file_root(const struct certificate_spec *spec)
{
    unsigned char bytes[CERTIFICATE_BYTES];
    slice made = certificate_make(bytes, spec);
    assert_true(made.len <= sizeof file_roots - file_roots_len);
    memcpy(file_roots + file_roots_len, made.ptr, made.len);
    file_roots_len += made.len;
}

/* Adds a root as the build makes them. */
static void add_anchor(const char *name, const struct certificate_key *key)
{
    /* SEQUENCE { SET { SEQUENCE { commonName, UTF8String } } } */
    unsigned char subject[64] = { 0x30, 0, 0x31, 0, 0x30, 0, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c };
    size_t text_at = 13, len = strlen(name);
    for (size_t tag = 0; tag < 6; tag += 2) /* what follows each length */
        subject[tag + 1] = (unsigned char)(text_at + len - tag - 2);
    subject[text_at - 1] = (unsigned char)len;
    memcpy(subject + text_at, name, len);
    uint32_t digest = tls_name_digest((slice){ (const char *)subject, text_at + len });

    const unsigned char head[] = {
        (unsigned char)(digest >> 24),
        (unsigned char)(digest >> 16),
        (unsigned char)(digest >> 8),
        (unsigned char)digest,
        TLS_ROOTS_EC,
        BR_EC_secp256r1,
        0,
        65,
    };
    memcpy(anchors + anchors_len, head, sizeof head);
    memcpy(anchors + anchors_len + sizeof head, key->point, 65);
    anchors_len += sizeof head + 65;
}

/* --- checking ------------------------------------------------------------------------------- */

struct check {
    const char *host;
    bool from_a_file;
    bool no_roots;
    int64_t now;
};

static unsigned run(struct tls_verify *verify, const struct check *check,
                    const struct certificate_spec *const *specs, size_t piece)
{
    struct tls_peer peer;
    const void *blob = check->from_a_file ? file_roots : anchors;
    size_t blob_len = check->from_a_file ? file_roots_len : anchors_len;
    const struct tls_roots roots = { { blob, check->no_roots ? 0 : blob_len }, check->from_a_file };
    tls_peer_init(&peer, check->host);
    tls_verify_init(verify, &peer, &roots, check->now != 0 ? check->now : NOW);
    const br_x509_class **engine = &verify->vtable;
    (*engine)->start_chain(engine, "not this one");
    for (; *specs != NULL; specs++) {
        unsigned char bytes[CERTIFICATE_BYTES];
        slice made = certificate_make(bytes, *specs);
        (*engine)->start_cert(engine, (uint32_t)made.len);
        for (size_t i = 0; i < made.len; i += piece)
            (*engine)->append(engine, bytes + i, made.len - i < piece ? made.len - i : piece);
        (*engine)->end_cert(engine);
    }
    return (*engine)->end_chain(engine);
}

#define CHAIN(...) ((const struct certificate_spec *const[]){ __VA_ARGS__, NULL })

static void assert_check_good(struct check check, const struct certificate_spec *const *specs)
{
    struct tls_verify verify;
    assert_int_equal(run(&verify, &check, specs, 256), 0);
    assert_int_equal(verify.err.code, 0);
    unsigned usages = 0;
    const br_x509_class *const *engine = &verify.vtable;
    const br_x509_pkey *key = (*engine)->get_pkey(engine, &usages);
    assert_non_null(key);
    assert_memory_equal(key->key.ec.q, server_key.point, 65);
    assert_true((usages & BR_KEYTYPE_SIGN) != 0);
    tls_verify_free(&verify);
}

static void assert_good(const char *host, const struct certificate_spec *const *specs)
{
    assert_check_good((struct check){ .host = host }, specs);
}

static void assert_bad(struct check check, const struct certificate_spec *const *specs,
                       unsigned number, const char *text)
{
    struct tls_verify verify;
    assert_int_equal(run(&verify, &check, specs, 256), number);
    assert_int_equal(verify.err.code, ERR_TRUST);
    assert_string_equal(verify.err.text, text);
    const br_x509_class *const *engine = &verify.vtable;
    assert_null((*engine)->get_pkey(engine, NULL)); /* nobody's key */
    tls_verify_free(&verify);
}

#define A_TEST ((struct check){ .host = "a.test" })

static void good_chains(void **state)
{
    (void)state;
    assert_good("a.test", CHAIN(&good));
    assert_good("A.TEST", CHAIN(&good));
    assert_good("x.b.test", CHAIN(&good));
    assert_good("a.test", CHAIN(&below_middle, &middle));
    assert_good("a.test", CHAIN(&below_middle, &middle, &root));
    assert_good("a.test", CHAIN(&for_servers));
    assert_good("a.test", CHAIN(&last_second));
    assert_good("c.test", CHAIN(&v4));
}

static void chains_in_disorder_are_put_in_order(void **state)
{
    (void)state;
    assert_good("a.test", CHAIN(&below_middle, &root, &middle));
    assert_good("a.test", CHAIN(&below_middle, &below_middle, &middle));
    assert_good("a.test", CHAIN(&below_middle, &stranger, &middle, &stranger));
    assert_good("a.test", CHAIN(&good, &stranger));
    assert_good("a.test", CHAIN(&good, &good, &good, &good, &good, &good, &good, &good, &good,
                                &good, &good, &good, &good));
}

static void bytes_may_come_one_by_one(void **state)
{
    (void)state;
    struct tls_verify verify;
    assert_int_equal(run(&verify, &A_TEST, CHAIN(&below_middle, &middle), 1), 0);
    tls_verify_free(&verify);
}

static void addresses(void **state)
{
    (void)state;
    assert_good("127.0.0.1", CHAIN(&v4));
    assert_good("::1", CHAIN(&v6));
    assert_good("0:0:0:0:0:0:0:1", CHAIN(&v6));
    assert_bad((struct check){ .host = "127.0.0.2" }, CHAIN(&v4), BR_ERR_X509_BAD_SERVER_NAME,
               "certificate presented by 127.0.0.2 is for c.test, 127.0.0.1, not for the address "
               "127.0.0.2");
    assert_bad((struct check){ .host = "::1" }, CHAIN(&v4), BR_ERR_X509_BAD_SERVER_NAME,
               "certificate presented by ::1 is for c.test, 127.0.0.1, not for the address ::1");
    assert_bad((struct check){ .host = "127.0.0.1" }, CHAIN(&v6), BR_ERR_X509_BAD_SERVER_NAME,
               "certificate presented by 127.0.0.1 is for ::1, not for the address 127.0.0.1");
    assert_bad(
        (struct check){ .host = "127.0.0.1" }, CHAIN(&address_as_name), BR_ERR_X509_BAD_SERVER_NAME,
        "certificate presented by 127.0.0.1 is for 127.0.0.1, not for the address 127.0.0.1");
    assert_bad(
        (struct check){ .host = "127.0.0.1" }, CHAIN(&long_address), BR_ERR_X509_BAD_SERVER_NAME,
        "certificate presented by 127.0.0.1 is for an address of 5 bytes, not for the address "
        "127.0.0.1");
}

static void names(void **state)
{
    (void)state;
    static const char *const hosts[] = { "b.test",  "x.y.b.test", "a.test.evil",
                                         "aa.test", "test",       "*.c.test" };
    for (size_t i = 0; i < COUNT(hosts); i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "certificate presented by %s is for a.test, *.b.test, not for %s", hosts[i],
                 hosts[i]);
        assert_bad((struct check){ .host = hosts[i] }, CHAIN(&good), BR_ERR_X509_BAD_SERVER_NAME,
                   text);
    }
    assert_bad(A_TEST, CHAIN(&rude_name), BR_ERR_X509_BAD_SERVER_NAME,
               "certificate presented by a.test is for b????.test, not for a.test");
    assert_bad(A_TEST, CHAIN(&many_names), BR_ERR_X509_BAD_SERVER_NAME,
               "certificate presented by a.test is for number-one.example.org, "
               "number-two.example.org, number-three.example.org, number-four.example.org, "
               "number-five.example.org, number-six.example.org, number-seven.example.org..., "
               "not for a.test");
}

static void a_long_name_is_cut(void **state)
{
    struct certificate_spec server = good;
    char name[121], text[200];
    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    server.dns[0] = name;
    server.dns[1] = NULL;
    snprintf(text, sizeof text, "certificate presented by a.test is for %.95s, not for a.test",
             name);
    assert_bad(A_TEST, CHAIN(&server), BR_ERR_X509_BAD_SERVER_NAME, text);
}

static void a_common_name_does_not_count(void **state)
{
    (void)state;
    const char *text = "certificate presented by a.test names no host: it has no subjectAltName "
                       "with a DNS name or an address (a common name does not count)";
    assert_bad(A_TEST, CHAIN(&no_names), BR_ERR_X509_BAD_SERVER_NAME, text);
    assert_bad(A_TEST, CHAIN(&version_1), BR_ERR_X509_BAD_SERVER_NAME, text);
}

static void dates(void **state)
{
    (void)state;
    assert_bad(A_TEST, CHAIN(&expired), BR_ERR_X509_EXPIRED,
               "certificate of a.test expired on 2024-05-01 12:00 UTC (this machine's clock says "
               "2026-01-01 00:00 UTC)");
    assert_bad(A_TEST, CHAIN(&early), BR_ERR_X509_EXPIRED,
               "certificate of a.test is not valid before 2030-01-02 00:00 UTC (this machine's "
               "clock says 2026-01-01 00:00 UTC)");
    assert_bad(A_TEST, CHAIN(&below_middle, &middle_old), BR_ERR_X509_EXPIRED,
               "certificate of a.test: that of its authority (The Middle) expired on 2024-05-01 "
               "12:00 UTC (this machine's clock says 2026-01-01 00:00 UTC)");
    assert_bad((struct check){ .host = "a.test", .now = NOW + 1 }, CHAIN(&last_second),
               BR_ERR_X509_EXPIRED,
               "certificate of a.test expired on 2026-01-01 00:00 UTC (this machine's clock says "
               "2026-01-01 00:00 UTC)");
    assert_bad((struct check){ .host = "a.test", .now = NOW - 1 }, CHAIN(&last_second),
               BR_ERR_X509_EXPIRED,
               "certificate of a.test is not valid before 2026-01-01 00:00 UTC (this machine's "
               "clock says 2025-12-31 23:59 UTC)");
    assert_bad(A_TEST, CHAIN(&bad_time), BR_ERR_X509_BAD_TIME,
               "certificate of a.test or one above it has a date that cannot be read");
}

static void unknown_authorities(void **state)
{
    (void)state;
    const struct check file = { .host = "a.test", .from_a_file = true };
    assert_bad(A_TEST, CHAIN(&by_stranger), BR_ERR_X509_NOT_TRUSTED,
               "certificate of a.test was issued by an unknown authority (Other Root); set "
               "SSL_CERT_FILE to a PEM file that has it; or the server may not send its "
               "intermediate certificate");
    assert_bad(
        file, CHAIN(&by_stranger), BR_ERR_X509_NOT_TRUSTED,
        "certificate of a.test was issued by an unknown authority (Other Root), which is not "
        "in the file that SSL_CERT_FILE names; or the server may not send its intermediate "
        "certificate");
    assert_bad(A_TEST, CHAIN(&below_middle), BR_ERR_X509_NOT_TRUSTED,
               "certificate of a.test was issued by an unknown authority (The Middle); set "
               "SSL_CERT_FILE to a PEM file that has it; or the server may not send its "
               "intermediate certificate");
    assert_bad((struct check){ .host = "a.test", .no_roots = true },
               CHAIN(&below_middle, &middle, &root), BR_ERR_X509_NOT_TRUSTED,
               "certificate of a.test was issued by an unknown authority (The Root); set "
               "SSL_CERT_FILE to a PEM file that has it");
    assert_bad(A_TEST, CHAIN(&by_stranger, &other_root_sha1), BR_ERR_X509_NOT_TRUSTED,
               "certificate of a.test was issued by an unknown authority (Other Root); set "
               "SSL_CERT_FILE to a PEM file that has it");
}

static void self_signed_certificates(void **state)
{
    (void)state;
    assert_bad(A_TEST, CHAIN(&self_signed), BR_ERR_X509_NOT_TRUSTED,
               "certificate of a.test is self-signed; to trust it, set SSL_CERT_FILE to a PEM file "
               "that has it");
    assert_bad((struct check){ .host = "a.test", .from_a_file = true }, CHAIN(&self_signed),
               BR_ERR_X509_NOT_TRUSTED,
               "certificate of a.test is self-signed and not in the file that SSL_CERT_FILE names");
    assert_bad(A_TEST, CHAIN(&self_signed, &self_signed), BR_ERR_X509_NOT_TRUSTED,
               "certificate of a.test is self-signed; to trust it, set SSL_CERT_FILE to a PEM file "
               "that has it");
}

#define A_TEST_FILE ((struct check){ .host = "a.test", .from_a_file = true })

/* Byte for byte: another certificate of the same name and key could claim any host. */
static void pinned_certificates(void **state)
{
    (void)state;
    size_t before = file_roots_len;
    add_file_root(&self_signed);
    assert_check_good(A_TEST_FILE, CHAIN(&self_signed));
    assert_bad((struct check){ .host = "b.test", .from_a_file = true }, CHAIN(&self_signed),
               BR_ERR_X509_BAD_SERVER_NAME,
               "certificate presented by b.test is for a.test, not for b.test");
    assert_bad((struct check){ .host = "b.test", .from_a_file = true }, CHAIN(&self_signed_again),
               BR_ERR_X509_NOT_CA,
               "certificate of b.test is self-signed and not in the file that SSL_CERT_FILE names");
    file_roots_len = before;
    add_file_root(&middle_no_ca);
    assert_bad(A_TEST_FILE, CHAIN(&below_middle), BR_ERR_X509_NOT_CA,
               "certificate of a.test was issued by a certificate that is not a CA's, or by a CA "
               "with too long a chain");
    file_roots_len = before;
}

static void an_intermediate_may_be_the_root_of_trust(void **state)
{
    (void)state;
    size_t before = file_roots_len;
    assert_check_good(A_TEST_FILE, CHAIN(&below_middle, &middle));
    file_roots_len = 0;
    add_file_root(&middle);
    assert_check_good(A_TEST_FILE, CHAIN(&below_middle));
    assert_check_good(A_TEST_FILE, CHAIN(&below_middle, &middle_old)); /* the file's is used */
    file_roots_len = 0;
    add_file_root(&middle_old);
    assert_bad(A_TEST_FILE, CHAIN(&below_middle), BR_ERR_X509_EXPIRED,
               "certificate of a.test: that of its authority (The Middle) expired on 2024-05-01 "
               "12:00 UTC (this machine's clock says 2026-01-01 00:00 UTC)");
    file_roots_len = 0;
    add_file_root(&root);
    assert_int_equal(file_roots_len, before);
}

static void the_next_issuer_is_tried(void **state)
{
    (void)state;
    assert_good("a.test", CHAIN(&below_middle, &middle_old, &middle));
    assert_good("a.test", CHAIN(&below_middle, &bad_middle, &middle));
    assert_good("a.test", CHAIN(&below_middle, &middle_no_ca, &middle_sha1, &middle));
}

/* Of those that go as far, the one that was sent first. */
static void the_first_bad_issuer_is_told_of(void **state)
{
    (void)state;
    assert_bad(A_TEST, CHAIN(&below_middle, &middle_old, &middle_no_ca), BR_ERR_X509_EXPIRED,
               "certificate of a.test: that of its authority (The Middle) expired on 2024-05-01 "
               "12:00 UTC (this machine's clock says 2026-01-01 00:00 UTC)");
    assert_bad(A_TEST, CHAIN(&below_middle, &middle_no_ca, &middle_old), BR_ERR_X509_NOT_CA,
               "certificate of a.test was issued by a certificate that is not a CA's, or by a CA "
               "with too long a chain");
}

/* Gives a chain to the check, certificate by certificate. */
static unsigned run_made(struct tls_verify *verify, const slice *made, size_t count)
{
    struct tls_peer peer;
    const struct tls_roots roots = { { (const char *)anchors, anchors_len }, false };
    tls_peer_init(&peer, "a.test");
    tls_verify_init(verify, &peer, &roots, NOW);
    const br_x509_class **engine = &verify->vtable;
    (*engine)->start_chain(engine, NULL);
    for (size_t i = 0; i < count; i++) {
        (*engine)->start_cert(engine, (uint32_t)made[i].len);
        (*engine)->append(engine, (const unsigned char *)made[i].ptr, made[i].len);
        (*engine)->end_cert(engine);
    }
    unsigned reason = (*engine)->end_chain(engine);
    tls_verify_free(verify);
    return reason;
}

/* What comes behind as many as are kept is not looked at. */
static void the_rest_of_a_crowd_is_left_out(void **state)
{
    unsigned char bytes[3][CERTIFICATE_BYTES];
    slice chain[TLS_CHAIN_CERTIFICATES + 1] = { certificate_make(bytes[0], &below_middle) };
    slice last = certificate_make(bytes[2], &middle);
    struct tls_verify verify;
    (void)state;
    chain[1] = certificate_make(bytes[1], &stranger);
    for (size_t i = 2; i < TLS_CHAIN_CERTIFICATES; i++)
        chain[i] = chain[1];
    chain[TLS_CHAIN_CERTIFICATES - 1] = last;
    assert_int_equal(run_made(&verify, chain, TLS_CHAIN_CERTIFICATES), 0);
    chain[TLS_CHAIN_CERTIFICATES - 1] = chain[1];
    chain[TLS_CHAIN_CERTIFICATES] = last;
    assert_int_equal(run_made(&verify, chain, TLS_CHAIN_CERTIFICATES + 1), BR_ERR_X509_NOT_TRUSTED);
}

static const char too_much_work[] =
    "certificate of a.test came with too many others, or too many names, to check";

/*
 * A crowd that bears the issuer's name: each may have signed the server's certificate, and its
 * issuer's, and so on. The issuer and its own are the last two.
 */
static void so_many_signatures_are_not_checked(void **state)
{
    enum { CROWD = TLS_PATH_SIGNATURES / 2 + 1 };
    static struct certificate_key keys[CROWD];
    static unsigned char bytes[CROWD + 1][CERTIFICATE_BYTES];
    slice chain[CROWD + 1] = { certificate_make(bytes[0], &below_middle) };
    struct tls_verify verify;
    (void)state;
    for (size_t i = 0; i < CROWD; i++)
        certificate_key_make(&keys[i], (unsigned char)(10 + i));
    for (size_t i = 0; i < CROWD; i++) {
        struct certificate_spec one = { MIDDLE, .subject = "The Middle", .ca = true,
                                        .key = &keys[i] };
        if (i == CROWD - 2) {
            one.key = &middle_key;
            one.signer = &keys[CROWD - 1];
        }
        chain[i + 1] = certificate_make(bytes[i + 1], &one);
    }
    assert_int_equal(run_made(&verify, chain, CROWD + 1), TLS_PATH_TOO_MUCH_WORK);
    assert_string_equal(verify.err.text, too_much_work);
    chain[1] = chain[2]; /* one less: for the third place on the path some are left */
    assert_int_equal(run_made(&verify, chain, CROWD + 1), BR_ERR_X509_BAD_SIGNATURE);
}

/* The right one is the last of them. */
static void so_many_roots_of_a_name_are_tried(void **state)
{
    (void)state;
    for (size_t others = TLS_PATH_ANCHORS - 1; others <= TLS_PATH_ANCHORS; others++) {
        anchors_len = 0;
        for (size_t i = 0; i < others; i++)
            add_anchor("The Root", &other_key);
        add_anchor("The Root", &root_key);
        if (others < TLS_PATH_ANCHORS)
            assert_good("a.test", CHAIN(&good));
        else
            assert_bad(A_TEST, CHAIN(&good), BR_ERR_X509_NOT_TRUSTED,
                       "certificate of a.test was issued by The Root, but not with the key of the "
                       "authority known by that name");
    }
    anchors_len = 0;
    add_anchor("Another Root", &other_key);
    add_anchor("The Root", &root_key);
}

static void no_chain_takes_for_ever(void **state)
{
    (void)state;
    const struct certificate_spec *chain[TLS_CHAIN_CERTIFICATES + 1] = { &below_middle };
    struct certificate_spec middles[TLS_CHAIN_CERTIFICATES];
    static char ends[TLS_CHAIN_CERTIFICATES][16];
    for (size_t i = 1; i < TLS_CHAIN_CERTIFICATES; i++) { /* all issued by all, none by a root */
        snprintf(ends[i], sizeof ends[i], "30%02zu01000000Z", i % 12 + 1);
        middles[i] = (struct certificate_spec){ .issuer = "The Middle",
                                                .subject = "The Middle",
                                                .signer = &middle_key,
                                                .ca = true,
                                                .to = ends[i],
                                                .key = i % 2 != 0 ? &middle_key : &other_key };
        chain[i] = &middles[i];
    }
    struct tls_verify verify;
    assert_int_not_equal(run(&verify, &A_TEST, chain, 256), 0);
    assert_int_equal(verify.err.code, ERR_TRUST);
    tls_verify_free(&verify);
}

static void forged_chains(void **state)
{
    (void)state;
    assert_bad(
        A_TEST, CHAIN(&impostor), BR_ERR_X509_NOT_TRUSTED,
        "certificate of a.test was issued by The Root, but not with the key of the authority "
        "known by that name");
    assert_bad(
        A_TEST, CHAIN(&bad_signature), BR_ERR_X509_NOT_TRUSTED,
        "certificate of a.test was issued by The Root, but not with the key of the authority "
        "known by that name");
    assert_bad(A_TEST, CHAIN(&below_middle, &middle_no_ca), BR_ERR_X509_NOT_CA,
               "certificate of a.test was issued by a certificate that is not a CA's, or by a CA "
               "with too long a chain");
    assert_bad(
        A_TEST, CHAIN(&below_middle, &bad_middle), BR_ERR_X509_BAD_SIGNATURE,
        "certificate of a.test or one above it has a signature that its issuer's key did not "
        "make");
}

/* A root of the issuer's name with a key of another kind has not issued it. */
static void a_root_with_another_kind_of_key_is_not_the_issuer(void **state)
{
    const size_t before = anchors_len;
    (void)state;
    struct tls_roots rest = { { (const char *)anchors, anchors_len }, false };
    struct tls_anchor anchor;
    assert_true(tls_roots_next(&rest, &anchor) && tls_roots_next(&rest, &anchor));
    uint32_t digest = anchor.name_digest; /* The Root's, which comes first now with an RSA key */
    const unsigned char rsa[] = { (unsigned char)(digest >> 24),
                                  (unsigned char)(digest >> 16),
                                  (unsigned char)(digest >> 8),
                                  (unsigned char)digest,
                                  TLS_ROOTS_RSA,
                                  0,
                                  1,
                                  0xff,
                                  1,
                                  3 };
    memmove(anchors + sizeof rsa, anchors, before);
    memcpy(anchors, rsa, sizeof rsa);
    anchors_len = before + sizeof rsa;
    assert_good("a.test", CHAIN(&good)); /* the other one of that name is tried, too */
    anchors_len = sizeof rsa;
    assert_bad(
        A_TEST, CHAIN(&good), BR_ERR_X509_NOT_TRUSTED,
        "certificate of a.test was issued by The Root, but not with the key of the authority "
        "known by that name");
    memmove(anchors, anchors + sizeof rsa, before);
    anchors_len = before;
}

static void algorithms_and_purposes(void **state)
{
    (void)state;
    assert_bad(A_TEST, CHAIN(&sha1), BR_ERR_X509_UNSUPPORTED,
               "certificate of a.test uses SHA-1, which this worker does not accept");
    assert_bad(A_TEST, CHAIN(&pss), BR_ERR_X509_UNSUPPORTED,
               "certificate of a.test uses RSA-PSS, which this worker does not accept");
    assert_bad(
        A_TEST, CHAIN(&below_middle, &middle_sha1), BR_ERR_X509_UNSUPPORTED,
        "certificate of a.test: that of its authority (The Middle) uses SHA-1, which this worker "
        "does not accept");
    assert_bad(A_TEST, CHAIN(&for_clients), BR_ERR_X509_FORBIDDEN_KEY_USAGE,
               "certificate of a.test is not for servers (serverAuth is not in its extended key "
               "usage)");
    assert_good("a.test", CHAIN(&critical));
}

/* --- what a certificate may be used for ------------------------------------------------------- */

static unsigned usages_of(const struct certificate_spec *server)
{
    struct tls_verify verify;
    unsigned usages = 0;
    assert_int_equal(run(&verify, &A_TEST, CHAIN(server), 256), 0);
    const br_x509_class *const *engine = &verify.vtable;
    assert_non_null((*engine)->get_pkey(engine, &usages));
    tls_verify_free(&verify);
    return usages;
}

/* The worker's key exchange is ECDHE, for which the server's key signs. */
static void the_servers_key_must_be_one_that_signs(void **state)
{
    struct certificate_spec server = good;
    (void)state;
    assert_int_equal(usages_of(&server), BR_KEYTYPE_SIGN | BR_KEYTYPE_KEYX);
    server.key_usage = SLICE_LITERAL("\x07\x80"); /* digitalSignature */
    assert_int_equal(usages_of(&server), BR_KEYTYPE_SIGN);
    server.key_usage = SLICE_LITERAL("\x05\xa0"); /* and keyEncipherment */
    assert_int_equal(usages_of(&server), BR_KEYTYPE_SIGN | BR_KEYTYPE_KEYX);
    server.key_usage = SLICE_LITERAL("\x05\x20"); /* that alone */
    assert_bad(A_TEST, CHAIN(&server), TLS_PATH_NO_SIGNING,
               "certificate of a.test has a key that may not sign: its key usage has "
               "keyEncipherment, for RSA key exchange; this worker needs digitalSignature (its key "
               "exchange is ECDHE)");
    server.key_usage = SLICE_LITERAL("\x00"); /* nothing */
    assert_bad(A_TEST, CHAIN(&server), TLS_PATH_NO_SIGNING,
               "certificate of a.test has a key that may not sign: its key usage has no "
               "digitalSignature; this worker needs digitalSignature (its key exchange is ECDHE)");
}

static void an_authoritys_key_must_be_one_for_certificates(void **state)
{
    struct certificate_spec authority = middle;
    (void)state;
    authority.key_usage = SLICE_LITERAL("\x02\x04"); /* keyCertSign */
    assert_good("a.test", CHAIN(&below_middle, &authority));
    authority.key_usage = SLICE_LITERAL("\x01\x82"); /* digitalSignature, cRLSign */
    assert_bad(
        A_TEST, CHAIN(&below_middle, &authority), BR_ERR_X509_FORBIDDEN_KEY_USAGE,
        "certificate of a.test: that of its authority (The Middle) may not sign certificates "
        "(keyCertSign is not in its key usage)");
    authority.key_usage = (slice){ 0 };
    authority.purpose = OID_CLIENT;
    assert_bad(A_TEST, CHAIN(&below_middle, &authority), BR_ERR_X509_FORBIDDEN_KEY_USAGE,
               "certificate of a.test: that of its authority (The Middle) is not for servers "
               "(serverAuth is not in its extended key usage)");
    authority.purpose = OID_SERVER;
    assert_good("a.test", CHAIN(&below_middle, &authority));
}

static void what_is_critical_must_be_known(void **state)
{
    struct certificate_spec server = good, authority = middle;
    struct tls_verify verify;
    (void)state;
    server.unknown = authority.unknown = SLICE_LITERAL("\x2a\x03");
    assert_int_equal(run(&verify, &A_TEST, CHAIN(&server), 256), BR_ERR_X509_CRITICAL_EXTENSION);
    assert_int_equal(verify.err.code, ERR_TRUST);
    tls_verify_free(&verify);
    assert_int_equal(run(&verify, &A_TEST, CHAIN(&below_middle, &authority), 256),
                     BR_ERR_X509_CRITICAL_EXTENSION);
    tls_verify_free(&verify);
}

/* --- how long a path may be ------------------------------------------------------------------- */

static const struct certificate_spec below_upper = { .issuer = "The Upper",
                                                     .signer = &other_key,
                                                     .subject = "The Middle",
                                                     .key = &middle_key,
                                                     .ca = true };

static void an_authority_limits_how_many_are_below_it(void **state)
{
    struct certificate_spec upper = { ROOT, .subject = "The Upper", .key = &other_key, .ca = true };
    struct certificate_spec authority = middle;
    const char *text = "certificate of a.test was issued by a certificate that is not a CA's, or "
                       "by a CA with too long a chain";
    (void)state;
    authority.path_length = SLICE_LITERAL("\x00");
    assert_good("a.test", CHAIN(&below_middle, &authority));
    upper.path_length = SLICE_LITERAL("\x01");
    assert_good("a.test", CHAIN(&below_middle, &below_upper, &upper));
    upper.path_length = SLICE_LITERAL("\x00");
    assert_bad(A_TEST, CHAIN(&below_middle, &below_upper, &upper), BR_ERR_X509_NOT_CA, text);
    upper.path_length = SLICE_LITERAL("\x01\x00"); /* 256 */
    assert_good("a.test", CHAIN(&below_middle, &below_upper, &upper));
}

/* The server's, and as many authorities as make twelve. */
static void a_path_has_at_most_twelve_certificates(void **state)
{
    static char names[TLS_PATH_DEPTH + 1][24];
    struct certificate_spec specs[TLS_PATH_DEPTH + 1] = { good };
    const struct certificate_spec *chain[TLS_PATH_DEPTH + 2] = { NULL };
    struct tls_verify verify;
    (void)state;
    for (size_t count = TLS_PATH_DEPTH; count <= TLS_PATH_DEPTH + 1; count++) {
        for (size_t i = 0; i < count; i++) {
            snprintf(names[i], sizeof names[i], "Number %zu", i);
            if (i > 0)
                specs[i] = (struct certificate_spec){ .subject = names[i - 1],
                                                      .key = &middle_key,
                                                      .ca = true };
            specs[i].issuer = i + 1 < count ? names[i] : "The Root";
            specs[i].signer = i + 1 < count ? &middle_key : &root_key;
            chain[i] = &specs[i];
        }
        unsigned reason = run(&verify, &A_TEST, chain, 256);
        assert_int_equal(reason, count == TLS_PATH_DEPTH ? 0 : BR_ERR_X509_NOT_TRUSTED);
        tls_verify_free(&verify);
    }
}

/* --- name constraints ------------------------------------------------------------------------- */

#define PERMITTED_A            \
    "\xa0\x0a\x30\x08\x82\x06" \
    "a.test"
#define PERMITTED_B            \
    "\xa0\x0a\x30\x08\x82\x06" \
    "b.test"
#define EXCLUDED_A             \
    "\xa1\x0a\x30\x08\x82\x06" \
    "a.test"

static void an_authoritys_constraints_are_kept(void **state)
{
    struct certificate_spec authority = middle;
    const char *text = "certificate of a.test: its authority (The Middle) may not issue "
                       "certificates for this name (name constraints)";
    (void)state;
    authority.constraints = SLICE_LITERAL(EXCLUDED_A);
    assert_bad(A_TEST, CHAIN(&below_middle, &authority), TLS_PATH_NAMES_FORBIDDEN, text);
    authority.constraints = SLICE_LITERAL("\xff");
    assert_bad(A_TEST, CHAIN(&below_middle, &authority), TLS_PATH_NAMES_FORBIDDEN, text);
}

static void constraints_bind_the_names_of_their_form(void **state)
{
    /* The names that all certificates have, but for the mail address. */
    struct certificate_spec server = below_middle, authority = middle;
    (void)state;
    authority.constraints = SLICE_LITERAL(PERMITTED_A);
    assert_good("a.test", CHAIN(&server, &authority));
    authority.constraints = SLICE_LITERAL(PERMITTED_B);
    assert_bad(A_TEST, CHAIN(&server, &authority), TLS_PATH_NAMES_FORBIDDEN,
               "certificate of a.test: its authority (The Middle) may not issue certificates for "
               "this name (name constraints)");
    server.dns[1] = "b.test"; /* one that is allowed does not help */
    assert_bad(A_TEST, CHAIN(&server, &authority), TLS_PATH_NAMES_FORBIDDEN,
               "certificate of a.test: its authority (The Middle) may not issue certificates for "
               "this name (name constraints)");
}

/* An authority's own successor is not bound, a server that bears its name is. */
static void a_servers_name_does_not_lift_constraints(void **state)
{
    struct certificate_spec server = below_middle, authority = middle;
    (void)state;
    server.subject = "The Middle";
    authority.constraints = SLICE_LITERAL(PERMITTED_A);
    assert_good("a.test", CHAIN(&server, &authority));
    authority.constraints = SLICE_LITERAL(EXCLUDED_A);
    struct tls_verify verify;
    assert_int_equal(run(&verify, &A_TEST, CHAIN(&server, &authority), 256),
                     TLS_PATH_NAMES_FORBIDDEN);
    tls_verify_free(&verify);
}

/* Eighty names, each compared with seven hundred excluded ones, by two authorities. */
static void so_many_names_are_not_compared(void **state)
{
    enum { SUBTREES = 700 };
    static const char subtree[] = { 0x30, 0x03, (char)0x82, 0x01, 'x' };
    static char content[4 + SUBTREES * sizeof subtree] = { (char)0xa1, (char)0x82,
                                                           (char)(SUBTREES * sizeof subtree >> 8),
                                                           (char)(SUBTREES * sizeof subtree) };
    struct certificate_spec upper = { ROOT, .subject = "The Upper", .key = &other_key, .ca = true };
    struct certificate_spec server = below_middle, authority = below_upper;
    (void)state;
    for (size_t i = 0; i < SUBTREES; i++)
        memcpy(content + 4 + i * sizeof subtree, subtree, sizeof subtree);
    for (size_t i = 0; i < CERTIFICATE_NAMES; i++)
        server.dns[i] = "a.test";
    authority.constraints = (slice){ content, sizeof content };
    assert_good("a.test", CHAIN(&server, &authority, &upper));
    upper.constraints = authority.constraints;
    assert_bad(A_TEST, CHAIN(&server, &authority, &upper), TLS_PATH_TOO_MUCH_WORK, too_much_work);
}

/* Gives raw bytes as a chain of `count` equal certificates. */
static unsigned run_bytes(struct tls_verify *verify, const unsigned char *bytes, size_t len,
                          size_t count)
{
    struct tls_peer peer;
    const struct tls_roots roots = { { (const char *)anchors, anchors_len }, false };
    tls_peer_init(&peer, "a.test");
    tls_verify_init(verify, &peer, &roots, NOW);
    const br_x509_class **engine = &verify->vtable;
    (*engine)->start_chain(engine, NULL);
    for (size_t i = 0; i < count; i++) {
        (*engine)->start_cert(engine, (uint32_t)len);
        if (len > 0)
            (*engine)->append(engine, bytes, len);
        (*engine)->end_cert(engine);
    }
    unsigned number = (*engine)->end_chain(engine);
    tls_verify_free(verify);
    return number;
}

static void chains_of_odd_sizes(void **state)
{
    (void)state;
    static const unsigned char zeros[TLS_CHAIN_BYTES / 4];
    struct tls_verify verify;
    assert_int_equal(run_bytes(&verify, zeros, 0, 0), BR_ERR_X509_EMPTY_CHAIN);
    assert_int_equal(run_bytes(&verify, zeros, 0, 1), BR_ERR_X509_EMPTY_CHAIN);
    assert_int_equal(run_bytes(&verify, zeros, 100, 20), BR_ERR_X509_INVALID_VALUE);
    assert_int_equal(run_bytes(&verify, zeros, sizeof zeros, 5), BR_ERR_X509_LIMIT_EXCEEDED);
    assert_int_equal(verify.err.code, ERR_TRUST);
    assert_string_equal(verify.err.text, "certificates of a.test have more than 64 KiB in all");
}

static void no_changed_byte_makes_a_chain_good(void **state)
{
    (void)state;
    unsigned char bytes[CERTIFICATE_BYTES];
    struct tls_verify verify;
    slice made = certificate_make(bytes, &good);
    assert_int_equal(run_bytes(&verify, bytes, made.len, 1), 0);
    for (size_t i = 0; i < made.len; i += 3) {
        bytes[i] ^= (unsigned char)(1 << (i % 8));
        assert_int_not_equal(run_bytes(&verify, bytes, made.len, 1), 0);
        assert_int_equal(verify.err.code, ERR_TRUST);
        bytes[i] ^= (unsigned char)(1 << (i % 8));
    }
    for (size_t len = 0; len < made.len; len += 5)
        assert_int_not_equal(run_bytes(&verify, bytes, len, 1), 0);
    bytes[made.len] = 0;
    assert_int_equal(run_bytes(&verify, bytes, made.len + 1, 1), BR_ERR_X509_INVALID_VALUE);
}

static int make_keys(void **state)
{
    (void)state;
    certificate_key_make(&root_key, 1);
    certificate_key_make(&middle_key, 2);
    certificate_key_make(&server_key, 3);
    certificate_key_make(&other_key, 4);
    add_anchor("Another Root", &other_key);
    add_anchor("The Root", &root_key);
    add_file_root(&root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_chains),
        cmocka_unit_test(chains_in_disorder_are_put_in_order),
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(addresses),
        cmocka_unit_test(names),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(a_common_name_does_not_count),
        cmocka_unit_test(dates),
        cmocka_unit_test(unknown_authorities),
        cmocka_unit_test(self_signed_certificates),
        cmocka_unit_test(pinned_certificates),
        cmocka_unit_test(an_intermediate_may_be_the_root_of_trust),
        cmocka_unit_test(the_next_issuer_is_tried),
        cmocka_unit_test(the_first_bad_issuer_is_told_of),
        cmocka_unit_test(the_rest_of_a_crowd_is_left_out),
        cmocka_unit_test(so_many_signatures_are_not_checked),
        cmocka_unit_test(so_many_roots_of_a_name_are_tried),
        cmocka_unit_test(no_chain_takes_for_ever),
        cmocka_unit_test(forged_chains),
        cmocka_unit_test(a_root_with_another_kind_of_key_is_not_the_issuer),
        cmocka_unit_test(algorithms_and_purposes),
        cmocka_unit_test(the_servers_key_must_be_one_that_signs),
        cmocka_unit_test(an_authoritys_key_must_be_one_for_certificates),
        cmocka_unit_test(what_is_critical_must_be_known),
        cmocka_unit_test(an_authority_limits_how_many_are_below_it),
        cmocka_unit_test(a_path_has_at_most_twelve_certificates),
        cmocka_unit_test(an_authoritys_constraints_are_kept),
        cmocka_unit_test(constraints_bind_the_names_of_their_form),
        cmocka_unit_test(a_servers_name_does_not_lift_constraints),
        cmocka_unit_test(so_many_names_are_not_compared),
        cmocka_unit_test(chains_of_odd_sizes),
        cmocka_unit_test(no_changed_byte_makes_a_chain_good),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
