#include "certificate.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* DER is written inside out: the content first, then its header in front of it. */
struct writer {
    unsigned char *bytes;
    size_t len, cap;
};

static void put(struct writer *writer, const void *bytes, size_t count)
{
    if (count > writer->cap - writer->len) {
        fprintf(stderr, "the certificate is too large\n");
        abort();
    }
    memcpy(writer->bytes + writer->len, bytes, count);
    writer->len += count;
}

/* Makes what was written since `start` the value of an element. */
static void wrap(struct writer *writer, size_t start, unsigned char tag)
{
    unsigned char header[4] = { tag };
    size_t count = writer->len - start, header_bytes;
    if (count < 0x80) {
        header[1] = (unsigned char)count;
        header_bytes = 2;
    } else if (count < 0x100) {
        header[1] = 0x81;
        header[2] = (unsigned char)count;
        header_bytes = 3;
    } else {
        header[1] = 0x82;
        header[2] = (unsigned char)(count >> 8);
        header[3] = (unsigned char)count;
        header_bytes = 4;
    }
    put(writer, header, header_bytes);
    memmove(writer->bytes + start + header_bytes, writer->bytes + start, count);
    memcpy(writer->bytes + start, header, header_bytes);
}

static void element(struct writer *writer, unsigned char tag, const void *bytes, size_t count)
{
    size_t start = writer->len;
    put(writer, bytes, count);
    wrap(writer, start, tag);
}

static void element_text(struct writer *writer, unsigned char tag, const char *text)
{
    element(writer, tag, text, strlen(text));
}

static void element_slice(struct writer *writer, unsigned char tag, slice bytes)
{
    element(writer, tag, bytes.ptr, bytes.len);
}

#define OID_ECDSA_SHA256 SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x04\x03\x02")
#define OID_ECDSA_SHA1 SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x04\x01")
#define OID_RSA_PSS SLICE_LITERAL("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a")
#define OID_EC_KEY SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x02\x01")
#define OID_P256 SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x03\x01\x07")
#define OID_COMMON_NAME SLICE_LITERAL("\x55\x04\x03")
#define OID_ORGANIZATION SLICE_LITERAL("\x55\x04\x0a")
#define OID_BASIC SLICE_LITERAL("\x55\x1d\x13")
#define OID_ALT_NAME SLICE_LITERAL("\x55\x1d\x11")
#define OID_EXTENDED_USAGE SLICE_LITERAL("\x55\x1d\x25")
#define OID_KEY_USAGE SLICE_LITERAL("\x55\x1d\x0f")
#define OID_NAME_CONSTRAINTS SLICE_LITERAL("\x55\x1d\x1e")

static void put_algorithm(struct writer *writer, enum certificate_flaw flaw)
{
    size_t start = writer->len;
    element_slice(writer, 0x06,
                  flaw == CERTIFICATE_SHA1  ? OID_ECDSA_SHA1
                  : flaw == CERTIFICATE_PSS ? OID_RSA_PSS
                                            : OID_ECDSA_SHA256);
    wrap(writer, start, 0x30);
}

static void put_name(struct writer *writer, slice attribute, const char *text)
{
    size_t start = writer->len;
    element_slice(writer, 0x06, attribute);
    element_text(writer, 0x0c, text);
    wrap(writer, start, 0x30);
    wrap(writer, start, 0x31);
    wrap(writer, start, 0x30);
}

static void put_time(struct writer *writer, const char *time)
{
    element_text(writer, strlen(time) == 13 ? 0x17 : 0x18, time);
}

static void put_validity(struct writer *writer, const struct certificate_spec *spec)
{
    size_t start = writer->len;
    put_time(writer, spec->from != NULL ? spec->from : "200101000000Z");
    put_time(writer, spec->to != NULL ? spec->to : "400101000000Z");
    wrap(writer, start, 0x30);
}

static void put_key(struct writer *writer, const struct certificate_key *key)
{
    size_t start = writer->len, inner = writer->len;
    element_slice(writer, 0x06, OID_EC_KEY);
    element_slice(writer, 0x06, OID_P256);
    wrap(writer, inner, 0x30);
    inner = writer->len;
    put(writer, "", 1);
    put(writer, key->point, sizeof key->point);
    wrap(writer, inner, 0x03);
    wrap(writer, start, 0x30);
}

/* Ends an extension whose value, without its octet string, was written since `value`. */
static void end_extension(struct writer *writer, size_t start, size_t value)
{
    wrap(writer, value, 0x04);
    wrap(writer, start, 0x30);
}

static void put_basic_constraints(struct writer *writer, slice path_length)
{
    size_t start = writer->len;
    element_slice(writer, 0x06, OID_BASIC);
    element(writer, 0x01, "\xff", 1);
    size_t value = writer->len;
    element(writer, 0x01, "\xff", 1);
    if (path_length.ptr != NULL)
        element_slice(writer, 0x02, path_length);
    wrap(writer, value, 0x30);
    end_extension(writer, start, value);
}

static void put_alt_names(struct writer *writer, const struct certificate_spec *spec)
{
    size_t start = writer->len;
    element_slice(writer, 0x06, OID_ALT_NAME);
    size_t value = writer->len;
    element_text(writer, 0x81, "someone@example.org");
    for (size_t i = 0; i < CERTIFICATE_NAMES && spec->dns[i] != NULL; i++)
        element_text(writer, 0x82, spec->dns[i]);
    if (spec->address.ptr != NULL)
        element_slice(writer, 0x87, spec->address);
    wrap(writer, value, 0x30);
    end_extension(writer, start, value);
}

static void put_purpose(struct writer *writer, const struct certificate_spec *spec)
{
    size_t start = writer->len;
    element_slice(writer, 0x06, OID_EXTENDED_USAGE);
    if (spec->critical_purpose)
        element(writer, 0x01, "\xff", 1);
    size_t value = writer->len;
    element_slice(writer, 0x06, spec->purpose);
    wrap(writer, value, 0x30);
    end_extension(writer, start, value);
}

/* A critical extension of one element. */
static void put_critical(struct writer *writer, slice oid, unsigned char tag, slice content)
{
    size_t start = writer->len;
    element_slice(writer, 0x06, oid);
    element(writer, 0x01, "\xff", 1);
    size_t value = writer->len;
    element_slice(writer, tag, content);
    end_extension(writer, start, value);
}

static void put_extensions(struct writer *writer, const struct certificate_spec *spec)
{
    size_t start = writer->len;
    if (spec->ca)
        put_basic_constraints(writer, spec->path_length);
    else if (!spec->no_names)
        put_alt_names(writer, spec);
    if (spec->purpose.ptr != NULL)
        put_purpose(writer, spec);
    if (spec->key_usage.ptr != NULL)
        put_critical(writer, OID_KEY_USAGE, 0x03, spec->key_usage);
    if (spec->constraints.ptr != NULL)
        put_critical(writer, OID_NAME_CONSTRAINTS, 0x30, spec->constraints);
    if (spec->unknown.ptr != NULL)
        put_critical(writer, spec->unknown, 0x05, SLICE_LITERAL(""));
    if (writer->len == start)
        return;
    wrap(writer, start, 0x30);
    wrap(writer, start, 0xa3);
}

static void put_signed_part(struct writer *writer, const struct certificate_spec *spec)
{
    size_t start = writer->len;
    if (spec->flaw != CERTIFICATE_V1) {
        element(writer, 0x02, "\x02", 1);
        wrap(writer, start, 0xa0);
    }
    element(writer, 0x02, "\x05", 1);
    put_algorithm(writer, spec->flaw);
    put_name(writer, OID_COMMON_NAME, spec->issuer);
    put_validity(writer, spec);
    if (spec->organization != NULL)
        put_name(writer, OID_ORGANIZATION, spec->organization);
    else
        put_name(writer, OID_COMMON_NAME, spec->subject);
    put_key(writer, spec->key);
    if (spec->flaw != CERTIFICATE_V1)
        put_extensions(writer, spec);
    wrap(writer, start, 0x30);
}

static void put_signature(struct writer *writer, const struct certificate_spec *spec)
{
    unsigned char hash[br_sha256_SIZE], signature[80];
    br_sha256_context sha256;
    br_sha256_init(&sha256);
    br_sha256_update(&sha256, writer->bytes, writer->len);
    br_sha256_out(&sha256, hash);
    size_t count = br_ecdsa_i31_sign_asn1(&br_ec_p256_m31, &br_sha256_vtable, hash,
                                          &spec->signer->private, signature);
    if (spec->flaw == CERTIFICATE_BAD_SIGNATURE)
        signature[count - 1] ^= 1;
    put_algorithm(writer, spec->flaw);
    size_t start = writer->len;
    put(writer, "", 1);
    put(writer, signature, count);
    wrap(writer, start, 0x03);
}

slice certificate_make(unsigned char bytes[CERTIFICATE_BYTES], const struct certificate_spec *spec)
{
    struct writer writer = { bytes, 0, CERTIFICATE_BYTES };
    put_signed_part(&writer, spec);
    put_signature(&writer, spec);
    wrap(&writer, 0, 0x30);
    return (slice){ (const char *)bytes, writer.len };
}

void certificate_key_make(struct certificate_key *key, unsigned char number)
{
    memset(key->secret, number, sizeof key->secret); /* below the order of the group, above 0 */
    key->private = (br_ec_private_key){ BR_EC_secp256r1, key->secret, sizeof key->secret };
    br_ec_compute_pub(&br_ec_p256_m31, &key->public, key->point, &key->private);
}
