#include "net/tls_der.h"

#include <stdio.h>

#include "base/utf8_escape.h"

#define OID_COMMON_NAME SLICE_LITERAL("\x55\x04\x03")
#define OID_ORGANIZATION SLICE_LITERAL("\x55\x04\x0a")
#define OID_ORGANIZATIONAL_UNIT SLICE_LITERAL("\x55\x04\x0b")
#define OID_ANY_PURPOSE SLICE_LITERAL("\x55\x1d\x25\x00")
#define OID_SERVER_AUTH SLICE_LITERAL("\x2b\x06\x01\x05\x05\x07\x03\x01")

static unsigned char byte_at(slice bytes, size_t i)
{
    return (unsigned char)bytes.ptr[i];
}

/* Length and size of the header of the element at the front. BER's indefinite form is refused. */
static bool read_header(slice bytes, size_t *header, size_t *length)
{
    if (bytes.len < 2 || (byte_at(bytes, 0) & 0x1f) == 0x1f)
        return false;
    size_t value = byte_at(bytes, 1), octets = 0;
    if (value >= 0x80) {
        octets = value & 0x7f;
        if (octets == 0 || octets > 4 || octets > bytes.len - 2)
            return false;
        value = 0;
        for (size_t i = 0; i < octets; i++)
            value = value << 8 | byte_at(bytes, 2 + i);
    }
    *header = 2 + octets;
    *length = value;
    return value <= bytes.len - *header;
}

/* As der_next, and the element as a whole. */
static bool next_whole(slice *bytes, unsigned char *tag, slice *value, slice *whole)
{
    size_t header, length;
    if (!read_header(*bytes, &header, &length))
        return false;
    *tag = byte_at(*bytes, 0);
    *value = (slice){ bytes->ptr + header, length };
    *whole = (slice){ bytes->ptr, header + length };
    *bytes = slice_skip(*bytes, header + length);
    return true;
}

bool der_next(slice *bytes, unsigned char *tag, slice *value)
{
    slice whole;
    return next_whole(bytes, tag, value, &whole);
}

bool der_expect(slice *bytes, enum der_tag wanted, slice *value)
{
    slice rest = *bytes, found;
    unsigned char tag;
    if (!der_next(&rest, &tag, &found) || tag != wanted)
        return false;
    *bytes = rest;
    *value = found;
    return true;
}

bool der_expect_whole(slice *bytes, enum der_tag wanted, slice *whole)
{
    slice rest = *bytes, value, found;
    unsigned char tag;
    if (!next_whole(&rest, &tag, &value, &found) || tag != wanted)
        return false;
    *bytes = rest;
    *whole = found;
    return true;
}

bool der_expect_bits(slice *bytes, slice *bits)
{
    slice rest = *bytes, found;
    if (!der_expect(&rest, DER_BIT_STRING, &found) || found.len < 1 || found.ptr[0] != 0)
        return false;
    *bits = slice_skip(found, 1);
    *bytes = rest;
    return true;
}

bool der_expect_unsigned(slice *bytes, slice *number)
{
    slice rest = *bytes, found;
    if (!der_expect(&rest, DER_INTEGER, &found) || found.len == 0 || byte_at(found, 0) >= 0x80)
        return false;
    while (found.len > 1 && found.ptr[0] == 0)
        found = slice_skip(found, 1);
    *number = found;
    *bytes = rest;
    return true;
}

bool der_next_name(slice *alt_names, enum der_name_kind *kind, slice *name)
{
    unsigned char tag;
    while (der_next(alt_names, &tag, name)) {
        if (tag != DER_NAME_DNS && tag != DER_NAME_ADDRESS)
            continue;
        *kind = tag;
        return true;
    }
    return false;
}

bool der_purpose_is_server(slice purposes)
{
    slice oid;
    while (der_expect(&purposes, DER_OID, &oid))
        if (slice_equal(oid, OID_SERVER_AUTH) || slice_equal(oid, OID_ANY_PURPOSE))
            return true;
    return false;
}

/* The first value of this attribute, where its string type is one of single bytes or UTF-8. */
static bool find_attribute(slice name, slice wanted, slice *text)
{
    slice attributes, set, pair, oid;
    if (!der_expect(&name, DER_SEQUENCE, &attributes))
        return false;
    while (der_expect(&attributes, DER_SET, &set)) {
        while (der_expect(&set, DER_SEQUENCE, &pair)) {
            if (!der_expect(&pair, DER_OID, &oid) || !slice_equal(oid, wanted))
                continue;
            if (der_expect(&pair, DER_UTF8, text) || der_expect(&pair, DER_PRINTABLE, text) ||
                der_expect(&pair, DER_IA5, text) || der_expect(&pair, DER_T61, text))
                return text->len > 0;
        }
    }
    return false;
}

/* Copies what fits of whole characters. */
static void copy_printable(slice from, char *text, size_t size)
{
    size_t out = 0;
    while (from.len > 0) {
        size_t bytes = utf8_sequence(from.ptr, from.len);
        unsigned char first = byte_at(from, 0);
        bool printable = bytes > 1 || (bytes == 1 && first >= 0x20 && first != 0x7f);
        if (!printable)
            bytes = 1;
        if (bytes >= size - out)
            break;
        for (size_t i = 0; i < bytes; i++)
            text[out++] = printable ? from.ptr[i] : '?';
        from = slice_skip(from, bytes);
    }
    text[out] = '\0';
}

void der_display_name(slice name, char *text, size_t size)
{
    slice found;
    if (find_attribute(name, OID_COMMON_NAME, &found) ||
        find_attribute(name, OID_ORGANIZATION, &found) ||
        find_attribute(name, OID_ORGANIZATIONAL_UNIT, &found))
        copy_printable(found, text, size);
    else
        snprintf(text, size, "an unnamed issuer");
}
