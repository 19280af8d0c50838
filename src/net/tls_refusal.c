#include "net/tls_refusal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#include "net/tls_errors.h"

#define NAME_BYTES 96
#define DATE_BYTES 72 /* room for the digits of any int, which the compiler counts on */

static void format_date(int64_t at, char text[static DATE_BYTES])
{
    struct tm tm;
    if (at == DER_NO_TIME || gmtime_r(&at, &tm) == NULL)
        snprintf(text, DATE_BYTES, "a date that makes no sense");
    else
        snprintf(text, DATE_BYTES, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min);
}

static bool self_issued(const struct der_certificate *certificate)
{
    return certificate->issuer.len > 0 && slice_equal(certificate->issuer, certificate->subject);
}

static int refuse_dates(struct err *err, const struct tls_refused *refused)
{
    char now[DATE_BYTES], date[DATE_BYTES], name[NAME_BYTES];
    for (size_t i = 0; i < refused->count; i++) {
        const struct der_certificate *each = &refused->chain[i];
        bool early = each->not_before != DER_NO_TIME && refused->now < each->not_before;
        if (!early && (each->not_after == DER_NO_TIME || refused->now <= each->not_after))
            continue;
        format_date(refused->now, now);
        format_date(early ? each->not_before : each->not_after, date);
        der_display_name(each->subject, name, sizeof name);
        return err_set(
            err, ERR_TRUST, "certificate of %.100s%s%s%s %s %s (this machine's clock says %s)",
            refused->peer->host, i == 0 ? "" : ": that of its authority (", i == 0 ? "" : name,
            i == 0 ? "" : ")", early ? "is not valid before" : "expired on", date, now);
    }
    return tls_error(err, refused->peer->host, BR_ERR_X509_EXPIRED);
}

static int refuse_authority(struct err *err, const struct tls_refused *refused)
{
    const char *host = refused->peer->host;
    char name[NAME_BYTES];
    if (self_issued(&refused->chain[0]))
        return err_set(err, ERR_TRUST, "certificate of %.100s is self-signed%s", host,
                       refused->roots_from_a_file
                           ? " and not in the file that SSL_CERT_FILE names"
                           : "; to trust it, set SSL_CERT_FILE to a PEM file that has it");
    der_display_name(refused->chain[refused->count - 1].issuer, name, sizeof name);
    if (refused->issuer_name_known)
        return err_set(
            err, ERR_TRUST,
            "certificate of %.100s was issued by %s, but not with the key of the authority "
            "known by that name%s",
            host, name, refused->roots_from_a_file ? " from SSL_CERT_FILE" : "");
    return err_set(
        err, ERR_TRUST, "certificate of %.100s was issued by an unknown authority (%s)%s%s", host,
        name,
        refused->roots_from_a_file ? ", which is not in the file that SSL_CERT_FILE names"
                                   : "; set SSL_CERT_FILE to a PEM file that has it",
        refused->count == 1 ? "; or the server may not send its intermediate certificate" : "");
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
    size_t used = 0, count = 0, left_out = 0;
    text[0] = '\0';
    for (; der_next_name(&alt_names, &kind, &name); count++) {
        char one[NAME_BYTES];
        format_name(kind, name, one);
        const char *comma = count > 0 ? ", " : "";
        if (left_out == 0 && used + strlen(comma) + strlen(one) < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", comma, one);
        else
            left_out++;
    }
    if (left_out > 0)
        snprintf(text + used, size - used, "...");
    return count;
}

static int refuse_name(struct err *err, const struct tls_refused *refused)
{
    const char *host = refused->peer->host;
    char names[ERR_TEXT_BYTES / 2];
    if (list_names(refused->chain[0].alt_names, names, sizeof names) == 0)
        return err_set(err, ERR_TRUST,
                       "certificate presented by %.100s names no host: it has no subjectAltName "
                       "with a DNS name or an address (a common name does not count)",
                       host);
    return err_set(err, ERR_TRUST, "certificate presented by %.100s is for %s, not for %s%.100s",
                   host, names, refused->peer->address_bytes > 0 ? "the address " : "", host);
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

static int refuse_algorithm(struct err *err, const struct tls_refused *refused)
{
    for (size_t i = 0; i < refused->count; i++) {
        const struct der_certificate *each = &refused->chain[i];
        /* A root's own signature is never checked: the root is unknown, that is the trouble. */
        if (i > 0 && self_issued(each))
            return refuse_authority(err, refused);
        const char *name = refused_algorithm(each->signature_oid);
        if (name == NULL)
            name = refused_algorithm(each->key_oid);
        if (name != NULL)
            return err_set(err, ERR_TRUST,
                           "certificate of %.100s%s uses %s, which this worker does not accept",
                           refused->peer->host, i == 0 ? "" : ": that of its authority", name);
    }
    return tls_error(err, refused->peer->host, BR_ERR_X509_UNSUPPORTED);
}

static int refuse_usage(struct err *err, const struct tls_refused *refused)
{
    slice purposes = refused->chain[0].purposes;
    if (purposes.ptr == NULL || der_purpose_is_server(purposes))
        return tls_error(err, refused->peer->host, BR_ERR_X509_FORBIDDEN_KEY_USAGE);
    return err_set(err, ERR_TRUST,
                   "certificate of %.100s is not one for servers (serverAuth is not in its "
                   "extended key usage)",
                   refused->peer->host);
}

int tls_refusal(struct err *err, int number, const struct tls_refused *refused)
{
    switch (number) {
    case BR_ERR_X509_EXPIRED: return refuse_dates(err, refused);
    case BR_ERR_X509_BAD_SERVER_NAME: return refuse_name(err, refused);
    case BR_ERR_X509_UNSUPPORTED: return refuse_algorithm(err, refused);
    case BR_ERR_X509_FORBIDDEN_KEY_USAGE: return refuse_usage(err, refused);
    case BR_ERR_X509_NOT_TRUSTED: return refuse_authority(err, refused);
    case BR_ERR_X509_NOT_CA:
        if (self_issued(&refused->chain[0]))
            return refuse_authority(err, refused);
        break;
    }
    return tls_error(err, refused->peer->host, number);
}
