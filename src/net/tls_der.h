/*
 * net/tls_der.h - reads X.509 certificates.
 *
 * A certificate is DER (ITU-T X.690) laid out as RFC 5280, section 4.1 says. Nothing here checks a
 * signature or decides whether a certificate is trusted: net/tls_path.h does. All functions are
 * pure, allocate nothing, and accept arbitrary bytes.
 */
#ifndef NET_TLS_DER_H
#define NET_TLS_DER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define DER_NO_TIME INT64_MIN /* a date that could not be read */
#define DER_NO_PATH_LENGTH (-1)

enum der_tag {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_UTF8 = 0x0c,
    DER_PRINTABLE = 0x13,
    DER_T61 = 0x14,
    DER_IA5 = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_UNIVERSAL = 0x1c,
    DER_BMP = 0x1e,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT_0 = 0xa0, /* constructed, [0]; [1] and so on follow */
    DER_CONTEXT_1 = 0xa1,
    DER_CONTEXT_3 = 0xa3,
};

/* keyUsage (RFC 5280, section 4.2.1.3): bit 0 is the most significant one of the first byte. */
enum der_key_usage {
    DER_USAGE_DIGITAL_SIGNATURE = 0x80,
    DER_USAGE_KEY_ENCIPHERMENT = 0x20,
    DER_USAGE_CERTIFICATE_SIGN = 0x04,
};

/* One certificate. Slices point into it; ptr is NULL where the part is absent. */
struct der_certificate {
    slice whole;  /* the certificate itself, without bytes that follow it */
    slice tbs;    /* what the signature covers: tag, length and value */
    int version;  /* 1 to 3 */
    slice issuer; /* distinguished names, whole: tag, length and value */
    slice subject;
    int64_t not_before; /* seconds since 1970, UTC, or DER_NO_TIME */
    int64_t not_after;
    slice key;              /* SubjectPublicKeyInfo, whole */
    slice key_oid;          /* kind of the subject's key; the value of an object identifier */
    slice key_parameters;   /* what follows the OID: for an elliptic curve its OID, whole */
    slice key_bits;         /* the key in its own encoding */
    slice algorithm;        /* AlgorithmIdentifier of the signature; its value */
    slice signature_oid;    /* the OID in it; its value */
    slice signature;        /* the signature's bytes */
    slice alt_names;        /* content of subjectAltName; ptr not NULL where it is empty */
    slice purposes;         /* content of extKeyUsage, likewise */
    slice name_constraints; /* content of nameConstraints, likewise */
    bool is_ca;             /* basicConstraints says so */
    int64_t path_length;    /* pathLenConstraint, or DER_NO_PATH_LENGTH */
    bool has_key_usage;     /* keyUsage is there */
    unsigned key_usage;     /* its first byte: enum der_key_usage; 0 where it is absent */
    bool unknown_critical;  /* has a critical extension other than those above */
};

/*
 * Reads a certificate. False where it is malformed, has an extension twice, or its two signature
 * algorithms differ; what was found up to then stays filled in. Bytes after it are ignored.
 */
bool der_certificate(slice bytes, struct der_certificate *certificate);

/*
 * Takes one element off the front of *bytes: its tag (one byte) and its value. False at the end,
 * and where the element is cut off, has a length of unknown or unreasonable form, or a tag of
 * more than one byte; *bytes is unchanged then.
 */
bool der_next(slice *bytes, unsigned char *tag, slice *value);

/*
 * As der_next, for an element that must have this tag; the second one gives it with its header.
 * *value and *whole are unchanged where the result is false.
 */
bool der_expect(slice *bytes, enum der_tag wanted, slice *value);
bool der_expect_whole(slice *bytes, enum der_tag wanted, slice *whole);

/* Takes a BIT STRING of whole bytes. */
bool der_expect_bits(slice *bytes, slice *bits);

/* Takes an INTEGER that is not negative; its bytes, big-endian, without leading zeros. */
bool der_expect_unsigned(slice *bytes, slice *number);

/* The kinds of GeneralName (RFC 5280, section 4.2.1.6) that have a meaning here: their tags. */
enum der_name_kind {
    DER_NAME_MAIL = 0x81,
    DER_NAME_DNS = 0x82,
    DER_NAME_DIRECTORY = 0xa4, /* its value is one Name, whole */
    DER_NAME_URI = 0x86,
    DER_NAME_ADDRESS = 0x87, /* 4 or 16 bytes, network order; other lengths match nothing */
};

/*
 * Takes the next DNS name or address off *alt_names; entries of other kinds are skipped. False at
 * the end.
 */
bool der_next_name(slice *alt_names, enum der_name_kind *kind, slice *name);

/* True where the extKeyUsage content allows the key to prove a TLS server's identity. */
bool der_purpose_is_server(slice purposes);

/*
 * Puts the name a person would give the owner of a distinguished name into text: its common name,
 * else organization, else organizational unit, else "an unnamed issuer". Always NUL-terminated,
 * cut to size (at least 1), with everything but printable UTF-8 replaced by '?'.
 */
void der_display_name(slice name, char *text, size_t size);

#endif
