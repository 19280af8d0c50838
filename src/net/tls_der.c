#include "net/tls_der.h"

#include <stdio.h>
#include <time.h>

#include "base/escape.h"

enum tag {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_OCTET_STRING = 0x04,
    TAG_OID = 0x06,
    TAG_UTF8 = 0x0c,
    TAG_PRINTABLE = 0x13,
    TAG_T61 = 0x14,
    TAG_IA5 = 0x16,
    TAG_UTC_TIME = 0x17,
    TAG_GENERALIZED_TIME = 0x18,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_VERSION = 0xa0,    /* of TBSCertificate: [0] */
    TAG_EXTENSIONS = 0xa3, /* [3] */
    TAG_NAME_DNS = 0x82,   /* of GeneralName: [2] */
    TAG_NAME_ADDRESS = 0x87,
};

#define OID_COMMON_NAME SLICE_LITERAL("\x55\x04\x03")
#define OID_ORGANIZATION SLICE_LITERAL("\x55\x04\x0a")
#define OID_ORGANIZATIONAL_UNIT SLICE_LITERAL("\x55\x04\x0b")
#define OID_SUBJECT_ALT_NAME SLICE_LITERAL("\x55\x1d\x11")
#define OID_EXTENDED_KEY_USAGE SLICE_LITERAL("\x55\x1d\x25")
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

/* Takes the next element, which must have this tag. */
static bool expect(slice *bytes, enum tag wanted, slice *value)
{
    slice rest = *bytes;
    unsigned char tag;
    if (!der_next(&rest, &tag, value) || tag != wanted)
        return false;
    *bytes = rest;
    return true;
}

static bool expect_whole(slice *bytes, enum tag wanted, slice *whole)
{
    slice rest = *bytes, value;
    unsigned char tag;
    if (!next_whole(&rest, &tag, &value, whole) || tag != wanted)
        return false;
    *bytes = rest;
    return true;
}

/* Takes `digits` decimal digits. */
static bool take_number(slice *text, int digits, int *number)
{
    *number = 0;
    for (; digits > 0; digits--) {
        if (text->len == 0 || text->ptr[0] < '0' || text->ptr[0] > '9')
            return false;
        *number = *number * 10 + (text->ptr[0] - '0');
        *text = slice_skip(*text, 1);
    }
    return true;
}

/* RFC 5280, section 4.1.2.5: YYMMDDHHMMSSZ up to 2049, YYYYMMDDHHMMSSZ from then on. */
static int64_t parse_time(unsigned char tag, slice text)
{
    struct tm tm = { 0 };
    int *const fields[] = { &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec };
    if (!take_number(&text, tag == TAG_UTC_TIME ? 2 : 4, &tm.tm_year))
        return DER_NO_TIME;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!take_number(&text, 2, fields[i]))
            return DER_NO_TIME;
    if (!slice_is(text, "Z") || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return DER_NO_TIME;
    if (tag == TAG_UTC_TIME)
        tm.tm_year += tm.tm_year < 50 ? 100 : 0;
    else
        tm.tm_year -= 1900;
    tm.tm_mon--;
    return timegm(&tm);
}

static bool take_time(slice *bytes, int64_t *time)
{
    unsigned char tag;
    slice text;
    if (!der_next(bytes, &tag, &text) || (tag != TAG_UTC_TIME && tag != TAG_GENERALIZED_TIME))
        return false;
    *time = parse_time(tag, text);
    return true;
}

/* AlgorithmIdentifier: an object identifier, then parameters that do not matter here. */
static bool take_algorithm(slice *bytes, slice *oid)
{
    slice algorithm;
    return expect(bytes, TAG_SEQUENCE, &algorithm) && expect(&algorithm, TAG_OID, oid);
}

static bool read_extension(slice extension, struct der_certificate *certificate)
{
    slice oid, critical, value;
    if (!expect(&extension, TAG_OID, &oid))
        return false;
    (void)expect(&extension, TAG_BOOLEAN, &critical);
    if (!expect(&extension, TAG_OCTET_STRING, &value))
        return false;
    if (slice_equal(oid, OID_SUBJECT_ALT_NAME))
        return expect(&value, TAG_SEQUENCE, &certificate->alt_names);
    if (slice_equal(oid, OID_EXTENDED_KEY_USAGE))
        return expect(&value, TAG_SEQUENCE, &certificate->purposes);
    return true;
}

/* The end of TBSCertificate: unique identifiers that nobody uses, and the extensions. */
static bool read_extensions(slice rest, struct der_certificate *certificate)
{
    unsigned char tag;
    slice value, list, extension;
    while (rest.len > 0) {
        if (!der_next(&rest, &tag, &value))
            return false;
        if (tag != TAG_EXTENSIONS)
            continue;
        if (!expect(&value, TAG_SEQUENCE, &list))
            return false;
        while (list.len > 0)
            if (!expect(&list, TAG_SEQUENCE, &extension) || !read_extension(extension, certificate))
                return false;
    }
    return true;
}

bool der_certificate(slice bytes, struct der_certificate *certificate)
{
    slice outer, tbs, ignored, validity, key;
    *certificate = (struct der_certificate){ .not_before = DER_NO_TIME, .not_after = DER_NO_TIME };
    if (!expect(&bytes, TAG_SEQUENCE, &outer) || !expect(&outer, TAG_SEQUENCE, &tbs))
        return false;
    (void)expect(&tbs, TAG_VERSION, &ignored);
    return expect(&tbs, TAG_INTEGER, &ignored) && take_algorithm(&tbs, &ignored) &&
           expect_whole(&tbs, TAG_SEQUENCE, &certificate->issuer) &&
           expect(&tbs, TAG_SEQUENCE, &validity) &&
           take_time(&validity, &certificate->not_before) &&
           take_time(&validity, &certificate->not_after) &&
           expect_whole(&tbs, TAG_SEQUENCE, &certificate->subject) &&
           expect(&tbs, TAG_SEQUENCE, &key) && take_algorithm(&key, &certificate->key_oid) &&
           read_extensions(tbs, certificate) && take_algorithm(&outer, &certificate->signature_oid);
}

bool der_next_name(slice *alt_names, enum der_name_kind *kind, slice *name)
{
    unsigned char tag;
    while (der_next(alt_names, &tag, name)) {
        if (tag != TAG_NAME_DNS && tag != TAG_NAME_ADDRESS)
            continue;
        *kind = tag == TAG_NAME_DNS ? DER_NAME_DNS : DER_NAME_ADDRESS;
        return true;
    }
    return false;
}

bool der_purpose_is_server(slice purposes)
{
    slice oid;
    while (expect(&purposes, TAG_OID, &oid))
        if (slice_equal(oid, OID_SERVER_AUTH) || slice_equal(oid, OID_ANY_PURPOSE))
            return true;
    return false;
}

/* The first value of this attribute, where its string type is one of single bytes or UTF-8. */
static bool find_attribute(slice name, slice wanted, slice *text)
{
    slice attributes, set, pair, oid;
    if (!expect(&name, TAG_SEQUENCE, &attributes))
        return false;
    while (expect(&attributes, TAG_SET, &set)) {
        while (expect(&set, TAG_SEQUENCE, &pair)) {
            if (!expect(&pair, TAG_OID, &oid) || !slice_equal(oid, wanted))
                continue;
            if (expect(&pair, TAG_UTF8, text) || expect(&pair, TAG_PRINTABLE, text) ||
                expect(&pair, TAG_IA5, text) || expect(&pair, TAG_T61, text))
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
