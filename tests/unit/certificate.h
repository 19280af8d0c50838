/*
 * tests/unit/certificate.h - makes certificates, good ones and all kinds of bad ones, for the tests
 * of TLS. Keys are P-256, signatures ECDSA with SHA-256 and the same on every run.
 */
#ifndef TESTS_UNIT_CERTIFICATE_H
#define TESTS_UNIT_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

#include <bearssl.h>

#include "base/slice.h"

#define CERTIFICATE_BYTES 4096
#define CERTIFICATE_NAMES 80

struct certificate_key {
    unsigned char secret[32];
    unsigned char point[65];
    br_ec_private_key private;
    br_ec_public_key public;
};

/* A key; the same for the same number (1 to 255). It points into itself: not to be copied. */
void certificate_key_make(struct certificate_key *key, unsigned char number);

enum certificate_flaw {
    CERTIFICATE_SOUND,
    CERTIFICATE_SHA1,          /* says it was signed with SHA-1 */
    CERTIFICATE_PSS,           /* says it was signed with RSA-PSS */
    CERTIFICATE_BAD_SIGNATURE, /* one bit of the signature is wrong */
    CERTIFICATE_V1,            /* version 1: without extensions */
};

struct certificate_spec {
    const char *issuer; /* common names; a string type of its own where organization is set */
    const char *subject;
    const char *organization; /* of the subject; it has no common name then */
    const struct certificate_key *key;
    const struct certificate_key *signer;
    const char *from; /* YYMMDDHHMMSSZ, or with four digits of year; NULL: 200101000000Z */
    const char *to;   /* NULL: 400101000000Z */
    bool ca;
    const char *dns[CERTIFICATE_NAMES]; /* up to the first NULL */
    slice address;                      /* bytes; none where ptr is NULL */
    bool no_names;                      /* no subjectAltName, which an authority has not anyway */
    slice purpose;                      /* an OID for extKeyUsage; none where ptr is NULL */
    bool critical_purpose;              /* the extension is one BearSSL does not know */
    slice key_usage;   /* a BIT STRING's value for keyUsage; none where ptr is NULL */
    slice path_length; /* an INTEGER's value for pathLenConstraint; likewise */
    slice constraints; /* a SEQUENCE's content for nameConstraints; likewise */
    slice unknown;     /* the OID of a critical extension that nobody knows; likewise */
    enum certificate_flaw flaw;
};

/* Encodes one into bytes; returns what was written. Ends the program where it does not fit. */
slice certificate_make(unsigned char bytes[CERTIFICATE_BYTES], const struct certificate_spec *spec);

#endif
