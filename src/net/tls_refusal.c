#include "net/tls_refusal.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/date.h"
#include "base/text.h"
#include "net/tls_errors.h"
#include "net/tls_name.h"

#define NAME_BYTES 96
#define DATE_BYTES 72 /* room for the digits of any int, which the compiler counts on */

static void format_date(int64_t at, char text[static DATE_BYTES])
{
    if (at == DER_NO_TIME) {
        snprintf(text, DATE_BYTES, "a date that makes no sense");
        return;
    }
    const struct date utc = date_of(at);
    snprintf(text, DATE_BYTES, "%04d-%02u-%02u %02u:%02u UTC", utc.year, utc.month, utc.day,
             utc.hour, utc.minute);
}

static bool self_issued(const struct der_certificate *certificate)
{
    return certificate->issuer.len > 0 && tls_name_equal(certificate->issuer, certificate->subject);
}

/* Whose certificate is at fault: "certificate of HOST", or that of one of its authorities. */
#define WHOSE_BYTES 240
static void format_whose(const struct tls_path *path, char text[static WHOSE_BYTES])
{
    char name[NAME_BYTES];
    struct text whose = text_over(text, WHOSE_BYTES);
    text_add(&whose, "certificate of %.100s", path->peer->host);
    if (path->at_fault == 0)
        return;
    der_display_name(path->certificates[path->at_fault].subject, name, sizeof name);
    text_add(&whose, ": that of its authority (%s)", name);
}

static int refuse_dates(struct err *err, const struct tls_path *path)
{
    char now[DATE_BYTES], date[DATE_BYTES], whose[WHOSE_BYTES];
    const struct der_certificate *bad = &path->certificates[path->at_fault];
    bool early = path->now < bad->not_before;
    format_date(path->now, now);
    format_date(early ? bad->not_before : bad->not_after, date);
    format_whose(path, whose);
    return err_set(err, ERR_TRUST, "%s %s %s (this machine's clock says %s)", whose,
                   early ? "is not valid before" : "expired on", date, now);
}

static int refuse_authority(struct err *err, const struct tls_path *path)
{
    const char *host = path->peer->host;
    bool from_a_file = path->roots.from_a_file;
    char name[NAME_BYTES];
    if (self_issued(&path->certificates[0]))
        return err_set(err, ERR_TRUST, "certificate of %.100s is self-signed%s", host,
                       from_a_file ? " and not in the file that SSL_CERT_FILE names"
                                   : "; to trust it, set SSL_CERT_FILE to a PEM file that has it");
    der_display_name(path->certificates[path->count - 1].issuer, name, sizeof name);
    if (path->issuer_name_known)
        return err_set(
            err, ERR_TRUST,
            "certificate of %.100s was issued by %s, but not with the key of the authority "
            "known by that name%s",
            host, name, from_a_file ? " from SSL_CERT_FILE" : "");
    return err_set(err, ERR_TRUST,
                   "certificate of %.100s was issued by an unknown authority (%s)%s%s", host, name,
                   from_a_file ? ", which is not in the file that SSL_CERT_FILE names"
                               : "; set SSL_CERT_FILE to a PEM file that has it",
                   path->count == 1 ? "; or the server may not send its intermediate certificate"
                                    : "");
}

/* Writes one name of the certificate as text; what does not fit or is not printable is left out. */
static void format_name(enum der_name_kind kind, slice name, char text[static NAME_BYTES])
{
    if (kind == DER_NAME_ADDRESS) {
        int family = name.len == 4 ? AF_INET : AF_INET6;
        if ((name.len != 4 && name.len != 16) ||
            inet_ntop(family, name.ptr, text, NAME_BYTES) == NULL)
            snprintf(text, NAME_BYTES, "an address of %zu bytes", name.len);
        return;
    }
    size_t out = 0;
    for (size_t i = 0; i < name.len && out + 1 < NAME_BYTES; i++)
        text[out++] = name.ptr[i] > 0x20 && name.ptr[i] < 0x7f ? name.ptr[i] : '?';
    text[out] = '\0';
}

/* Lists the names the certificate is for: as many as fit in half of an error's text. */
static size_t list_names(slice alt_names, char *text, size_t size)
{
    enum der_name_kind kind;
    slice name;
    size_t count = 0, left_out = 0;
    struct text list = text_over(text, size);
    for (; der_next_name(&alt_names, &kind, &name); count++) {
        char one[NAME_BYTES];
        format_name(kind, name, one);
        size_t before = list.len;
        if (left_out > 0 || !text_add(&list, "%s%s", count > 0 ? ", " : "", one)) {
            text_truncate(&list, before);
            left_out++;
        }
    }
    if (left_out > 0)
        text_add(&list, "...");
    return count;
}

static int refuse_host(struct err *err, const struct tls_path *path)
{
    const char *host = path->peer->host;
    char names[ERR_TEXT_BYTES / 2];
    if (list_names(path->certificates[0].alt_names, names, sizeof names) == 0)
        return err_set(err, ERR_TRUST,
                       "certificate presented by %.100s names no host: it has no subjectAltName "
                       "with a DNS name or an address (a common name does not count)",
                       host);
    return err_set(err, ERR_TRUST, "certificate presented by %.100s is for %s, not for %s%.100s",
                   host, names, path->peer->address_bytes > 0 ? "the address " : "", host);
}

/* Algorithms that do occur in certificates and are refused. */
static const struct {
    slice oid;
    const char *name;
} refused_algorithms[] = {
    { SLICE_LITERAL("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04"), "MD5" },
    { SLICE_LITERAL("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"), "SHA-1" },
    { SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x04\x01"), "SHA-1" },
    { SLICE_LITERAL("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"), "RSA-PSS" },
    { SLICE_LITERAL("\x2a\x86\x48\xce\x38\x04\x01"), "DSA" },
    { SLICE_LITERAL("\x2b\x65\x70"), "Ed25519" },
    { SLICE_LITERAL("\x2b\x65\x71"), "Ed448" },
};

static const char *refused_algorithm(slice oid)
{
    for (size_t i = 0; i < sizeof refused_algorithms / sizeof *refused_algorithms; i++)
        if (slice_equal(oid, refused_algorithms[i].oid))
            return refused_algorithms[i].name;
    return NULL;
}

static int refuse_algorithm(struct err *err, const struct tls_path *path)
{
    char whose[WHOSE_BYTES];
    const struct der_certificate *bad = &path->certificates[path->at_fault];
    const char *name = refused_algorithm(bad->signature_oid);
    if (name == NULL)
        name = refused_algorithm(bad->key_oid);
    if (name == NULL)
        return tls_error(err, path->peer->host, BR_ERR_X509_UNSUPPORTED);
    format_whose(path, whose);
    return err_set(err, ERR_TRUST, "%s uses %s, which this worker does not accept", whose, name);
}

static int refuse_usage(struct err *err, const struct tls_path *path)
{
    char whose[WHOSE_BYTES];
    const struct der_certificate *bad = &path->certificates[path->at_fault];
    format_whose(path, whose);
    if (bad->purposes.ptr != NULL && !der_purpose_is_server(bad->purposes))
        return err_set(err, ERR_TRUST,
                       "%s is not for servers (serverAuth is not in its extended key usage)",
                       whose);
    return err_set(err, ERR_TRUST,
                   "%s may not sign certificates (keyCertSign is not in its key usage)", whose);
}

static int refuse_unable_to_sign(struct err *err, const struct tls_path *path)
{
    bool encrypts = (path->certificates[0].key_usage & DER_USAGE_KEY_ENCIPHERMENT) != 0;
    return err_set(err, ERR_TRUST,
                   "certificate of %.100s has a key that may not sign: its key usage has %s; this "
                   "worker needs digitalSignature (its key exchange is ECDHE)",
                   path->peer->host,
                   encrypts ? "keyEncipherment, for RSA key exchange" : "no digitalSignature");
}

static int refuse_constrained(struct err *err, const struct tls_path *path)
{
    char name[NAME_BYTES];
    der_display_name(path->certificates[path->at_fault].subject, name, sizeof name);
    return err_set(err, ERR_TRUST,
                   "certificate of %.100s: its authority (%s) may not issue certificates for this "
                   "name (name constraints)",
                   path->peer->host, name);
}

int tls_refusal(struct err *err, unsigned reason, const struct tls_path *path)
{
    switch (reason) {
    case BR_ERR_X509_EXPIRED: return refuse_dates(err, path);
    case BR_ERR_X509_BAD_SERVER_NAME: return refuse_host(err, path);
    case BR_ERR_X509_UNSUPPORTED: return refuse_algorithm(err, path);
    case BR_ERR_X509_FORBIDDEN_KEY_USAGE: return refuse_usage(err, path);
    case BR_ERR_X509_NOT_TRUSTED: return refuse_authority(err, path);
    case BR_ERR_X509_NOT_CA:
        if (self_issued(&path->certificates[0]))
            return refuse_authority(err, path);
        break;
    case TLS_PATH_NO_SIGNING: return refuse_unable_to_sign(err, path);
    case TLS_PATH_NAMES_FORBIDDEN: return refuse_constrained(err, path);
    case TLS_PATH_TOO_MUCH_WORK:
        return err_set(
            err, ERR_TRUST,
            "certificate of %.100s came with too many others, or too many names, to check",
            path->peer->host);
    }
    return tls_error(err, path->peer->host, (int)reason);
}
