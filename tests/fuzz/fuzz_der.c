/*
 * A server's certificate: whatever the bytes are, what is read of them lies within them, what is
 * shown of them is clean text, and the whole check with no root to trust refuses them with words.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8_escape.h"
#include "must.h"
#include "net/tls_constraints.h"
#include "net/tls_der.h"
#include "net/tls_name.h"
#include "net/tls_verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(slice part, slice whole)
{
    if (part.ptr != NULL)
        must(part.ptr >= whole.ptr && part.len <= whole.len &&
             (size_t)(part.ptr - whole.ptr) <= whole.len - part.len);
}

static void check_clean(const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        size_t bytes = utf8_sequence(text, left);
        must(bytes > 0 && (unsigned char)*text >= 0x20 && *text != 0x7f);
        text += bytes;
        left -= bytes;
    }
}

static void check_display(slice name)
{
    static const size_t sizes[] = { 1, 7, 96 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[96];
        der_display_name(name, text, sizes[i]);
        must(strlen(text) < sizes[i]);
        check_clean(text);
    }
}

static void check_names(slice a, slice b)
{
    bool same = tls_name_equal(a, b);
    must(same == tls_name_equal(b, a));
    must(tls_name_equal(a, a) && tls_name_equal(b, b));
    must(!same || a.len == 0 || b.len == 0 || slice_equal(a, b) ||
         (tls_name_within(a, b) && tls_name_within(b, a)));
}

static void check_constraints(slice constraints, const struct der_certificate *certificate)
{
    size_t budget = 1000, none = 0;
    (void)tls_constraints_allow(constraints, certificate, &budget);
    must(budget <= 1000);
    (void)tls_constraints_allow(constraints, certificate, &none);
    must(none == 0);
}

static void check_parts(slice bytes)
{
    struct der_certificate certificate;
    enum der_name_kind kind;
    slice name;
    size_t count = 0;
    bool whole = der_certificate(bytes, &certificate);
    check_inside(certificate.issuer, bytes);
    check_inside(certificate.subject, bytes);
    check_inside(certificate.signature_oid, bytes);
    check_inside(certificate.key_oid, bytes);
    check_inside(certificate.alt_names, bytes);
    check_inside(certificate.purposes, bytes);
    check_inside(certificate.name_constraints, bytes);
    check_inside(certificate.whole, bytes);
    check_inside(certificate.tbs, certificate.whole);
    check_inside(certificate.key, certificate.tbs);
    check_inside(certificate.key_bits, certificate.key);
    check_inside(certificate.signature, certificate.whole);
    must(!whole || (certificate.issuer.len >= 2 && certificate.subject.len >= 2));
    check_display(certificate.issuer);
    check_display(certificate.subject);
    for (slice rest = certificate.alt_names; der_next_name(&rest, &kind, &name); count++)
        check_inside(name, certificate.alt_names);
    must(count <= certificate.alt_names.len / 2);
    (void)der_purpose_is_server(certificate.purposes);
    check_names(certificate.issuer, certificate.subject);
    check_constraints(bytes, &certificate);
    check_constraints(certificate.name_constraints, &certificate);
}

static void check_refused(const char *host, struct tls_roots roots, const uint8_t *data,
                          size_t size, size_t times)
{
    struct tls_verify verify;
    struct tls_peer peer;
    tls_peer_init(&peer, host);
    tls_verify_init(&verify, &peer, &roots, 1767225600);
    const br_x509_class **engine = &verify.vtable;
    (*engine)->start_chain(engine, NULL);
    for (size_t i = 0; i < times; i++) {
        (*engine)->start_cert(engine, (uint32_t)size);
        if (size > 0)
            (*engine)->append(engine, data, size);
        (*engine)->end_cert(engine);
    }
    must((*engine)->end_chain(engine) != 0);
    if (size > 0) {
        must(verify.err.code == ERR_TRUST && strstr(verify.err.text, host) != NULL);
        check_clean(verify.err.text);
    }
    tls_verify_free(&verify);
}

/* The first part is SSL_CERT_FILE's, the rest the server's: the path is searched, and ends. */
static void check_ends(const uint8_t *data, size_t size)
{
    slice rest = { (const char *)data, size }, first;
    struct tls_peer peer;
    struct tls_verify verify;
    if (!der_expect_whole(&rest, DER_SEQUENCE, &first))
        return;
    tls_peer_init(&peer, "good.test");
    tls_verify_init(&verify, &peer, &(struct tls_roots){ first, true }, 1767225600);
    const br_x509_class **engine = &verify.vtable;
    (*engine)->start_chain(engine, NULL);
    for (slice each = rest; der_expect_whole(&rest, DER_SEQUENCE, &each);) {
        (*engine)->start_cert(engine, (uint32_t)each.len);
        (*engine)->append(engine, (const unsigned char *)each.ptr, each.len);
        (*engine)->end_cert(engine);
    }
    (void)(*engine)->end_chain(engine);
    tls_verify_free(&verify);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct tls_roots none = { { "", 0 }, false };
    check_parts((slice){ (const char *)data, size });
    check_refused("good.test", none, data, size, 1);
    check_refused("127.0.0.1", none, data, size, 2);
    check_ends(data, size);
    return 0;
}
