/*
 * net/tls_der.h - the few parts of an X.509 certificate that BearSSL does not give out.
 *
 * A certificate is DER (ITU-T X.690) laid out as RFC 5280, section 4.1 says. Nothing here proves
 * anything: chains are checked by BearSSL, and this reads the same bytes again for the names and
 * dates of an error message, for addresses among the subject's names, and for the purpose of a
 * key. All functions are pure, allocate nothing, and take any bytes at all.
 */
#ifndef NET_TLS_DER_H
#define NET_TLS_DER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define DER_NO_TIME INT64_MIN /* a date that could not be read */

/* One certificate. Slices point into it; ptr is NULL where there is no such part. */
struct der_certificate {
    slice issuer; /* distinguished names, whole: tag, length and value */
    slice subject;
    int64_t not_before; /* seconds since 1970, UTC, or DER_NO_TIME */
    int64_t not_after;
    slice signature_oid; /* algorithm of the signature; the value of an object identifier */
    slice key_oid;       /* kind of the subject's key; the same */
    slice alt_names; /* content of subjectAltName; ptr not NULL where there is one, even empty */
    slice purposes;  /* content of extKeyUsage; the same */
};

/* False where the bytes are no certificate; what was found until then stays filled in. */
bool der_certificate(slice bytes, struct der_certificate *certificate);

/*
 * Takes one element off the front of *bytes: its tag (one byte) and its value. False at the end,
 * and where the element is cut off, has a length of unknown or unreasonable form, or a tag of
 * more than one byte; *bytes is unchanged then.
 */
bool der_next(slice *bytes, unsigned char *tag, slice *value);

/* What an entry of subjectAltName is. Others (mail, URI, directory name...) are passed over. */
enum der_name_kind {
    DER_NAME_DNS,
    DER_NAME_ADDRESS, /* 4 or 16 bytes, network order; other lengths occur and match nothing */
};

/* Takes the next DNS name or address off *alt_names. False where there is none left. */
bool der_next_name(slice *alt_names, enum der_name_kind *kind, slice *name);

/* True where the extKeyUsage content allows the key to prove a TLS server's identity. */
bool der_purpose_is_server(slice purposes);

/*
 * Puts the name a person would give the owner of a distinguished name into text: its common name,
 * else organization, else organizational unit, else "an unnamed issuer". Always NUL-terminated,
 * cut to size (at least 1), with what is no printable UTF-8 replaced by '?'.
 */
void der_display_name(slice name, char *text, size_t size);

#endif
