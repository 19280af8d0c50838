/* A certificate, taken apart: names, dates, key, extensions (net/tls_der.h). */
#include "base/date.h"
#include "net/tls_der.h"

/* Takes `digits` decimal digits. */
static bool take_number(slice *text, int digits, unsigned *number)
{
    *number = 0;
    for (; digits > 0; digits--) {
        if (text->len == 0 || text->ptr[0] < '0' || text->ptr[0] > '9')
            return false;
        *number = *number * 10 + (unsigned)(text->ptr[0] - '0');
        *text = slice_skip(*text, 1);
    }
    return true;
}

/* RFC 5280, section 4.1.2.5: YYMMDDHHMMSSZ up to 2049, YYYYMMDDHHMMSSZ from then on. */
static int64_t parse_time(unsigned char tag, slice text)
{
    struct date date = { 0 };
    unsigned *const fields[] = { &date.month, &date.day, &date.hour, &date.minute, &date.second };
    unsigned year;
    if (!take_number(&text, tag == DER_UTC_TIME ? 2 : 4, &year))
        return DER_NO_TIME;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!take_number(&text, 2, fields[i]))
            return DER_NO_TIME;
    if (!slice_is(text, "Z") || date.month < 1 || date.month > 12 || date.day < 1 ||
        date.day > 31 || date.hour > 23 || date.minute > 59 || date.second > 60)
        return DER_NO_TIME;
    date.year = (int)year + (tag != DER_UTC_TIME ? 0 : year < 50 ? 2000 : 1900);
    return date_unix_s(&date);
}

static bool take_time(slice *bytes, int64_t *time)
{
    unsigned char tag;
    slice text;
    if (!der_next(bytes, &tag, &text) || (tag != DER_UTC_TIME && tag != DER_GENERALIZED_TIME))
        return false;
    *time = parse_time(tag, text);
    return true;
}

/* AlgorithmIdentifier: an object identifier, then parameters. */
static bool read_algorithm(slice algorithm, slice *oid, slice *parameters)
{
    *parameters = algorithm;
    return der_expect(parameters, DER_OID, oid);
}

/* --- extensions --- */

enum extension {
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    ALT_NAMES,
    PURPOSES,
    NAME_CONSTRAINTS,
    KNOWN_EXTENSIONS, /* the number of those above: each at most once */
    IGNORED,          /* restricts nothing, even where it is marked critical */
    UNKNOWN,
};

/*
 * All are below 2.5.29, id-ce. Ignored: directory attributes, subject key identifier, other names
 * of the issuer, CRL distribution points, policies (none is asked for), authority key identifier.
 */
static enum extension identify(slice oid)
{
    if (oid.len != 3 || oid.ptr[0] != 0x55 || oid.ptr[1] != 0x1d)
        return UNKNOWN;
    switch (oid.ptr[2]) {
    case 19: return BASIC_CONSTRAINTS;
    case 15: return KEY_USAGE;
    case 17: return ALT_NAMES;
    case 37: return PURPOSES;
    case 30: return NAME_CONSTRAINTS;
    case 9:
    case 14:
    case 18:
    case 31:
    case 32:
    case 35: return IGNORED;
    default: return UNKNOWN;
    }
}

static bool read_flag(slice *bytes, bool *flag)
{
    slice value;
    *flag = false;
    if (!der_expect(bytes, DER_BOOLEAN, &value))
        return true; /* absent: DEFAULT FALSE */
    *flag = value.len == 1 && value.ptr[0] != 0;
    return value.len == 1;
}

static bool read_basic_constraints(slice value, struct der_certificate *certificate)
{
    slice content, number;
    if (!der_expect(&value, DER_SEQUENCE, &content) || value.len > 0 ||
        !read_flag(&content, &certificate->is_ca))
        return false;
    if (content.len == 0)
        return true;
    if (!der_expect_unsigned(&content, &number) || content.len > 0)
        return false;
    certificate->path_length = number.len == 1 ? (unsigned char)number.ptr[0] : UINT8_MAX;
    return true;
}

static bool read_key_usage(slice value, struct der_certificate *certificate)
{
    slice bits;
    if (!der_expect(&value, DER_BIT_STRING, &bits) || value.len > 0 || bits.len < 1)
        return false;
    certificate->has_key_usage = true;
    certificate->key_usage = bits.len > 1 ? (unsigned char)bits.ptr[1] : 0;
    return true;
}

/* A SEQUENCE and nothing after it: its content. */
static bool read_content(slice value, slice *content)
{
    return der_expect(&value, DER_SEQUENCE, content) && value.len == 0;
}

static bool read_extension(slice extension, struct der_certificate *certificate, unsigned *seen)
{
    slice oid, value;
    bool critical;
    if (!der_expect(&extension, DER_OID, &oid) || !read_flag(&extension, &critical) ||
        !der_expect(&extension, DER_OCTET_STRING, &value) || extension.len > 0)
        return false;
    enum extension kind = identify(oid);
    if (kind < KNOWN_EXTENSIONS && (*seen & 1u << kind) != 0)
        return false;
    *seen |= 1u << kind;
    switch (kind) {
    case BASIC_CONSTRAINTS: return read_basic_constraints(value, certificate);
    case KEY_USAGE: return read_key_usage(value, certificate);
    case ALT_NAMES: return read_content(value, &certificate->alt_names);
    case PURPOSES: return read_content(value, &certificate->purposes);
    case NAME_CONSTRAINTS: return read_content(value, &certificate->name_constraints);
    case IGNORED: return true;
    default: certificate->unknown_critical |= critical; return true;
    }
}

/* The end of TBSCertificate: unique identifiers that nobody uses, and the extensions. */
static bool read_extensions(slice rest, struct der_certificate *certificate)
{
    unsigned char tag;
    unsigned seen = 0;
    slice value, list, extension;
    while (rest.len > 0) {
        if (!der_next(&rest, &tag, &value))
            return false;
        if (tag != DER_CONTEXT_3)
            continue;
        if (certificate->version != 3 || rest.len > 0 || !read_content(value, &list))
            return false;
        while (list.len > 0)
            if (!der_expect(&list, DER_SEQUENCE, &extension) ||
                !read_extension(extension, certificate, &seen))
                return false;
    }
    return true;
}

/* --- the certificate --- */

static bool read_version(slice *tbs, int *version)
{
    slice explicit_tag, number;
    *version = 1;
    if (!der_expect(tbs, DER_CONTEXT_0, &explicit_tag))
        return true; /* absent: DEFAULT v1 */
    if (!der_expect_unsigned(&explicit_tag, &number) || number.len != 1 || number.ptr[0] > 2)
        return false;
    *version = number.ptr[0] + 1;
    return true;
}

static bool read_validity(slice *tbs, struct der_certificate *certificate)
{
    slice validity;
    return der_expect(tbs, DER_SEQUENCE, &validity) &&
           take_time(&validity, &certificate->not_before) &&
           take_time(&validity, &certificate->not_after);
}

static bool read_key(slice *tbs, struct der_certificate *certificate)
{
    slice content, whole, algorithm;
    if (!der_expect_whole(tbs, DER_SEQUENCE, &certificate->key))
        return false;
    whole = certificate->key;
    return der_expect(&whole, DER_SEQUENCE, &content) &&
           der_expect(&content, DER_SEQUENCE, &algorithm) &&
           read_algorithm(algorithm, &certificate->key_oid, &certificate->key_parameters) &&
           der_expect_bits(&content, &certificate->key_bits);
}

static bool read_tbs(slice tbs, struct der_certificate *certificate, slice *algorithm)
{
    slice serial;
    return read_version(&tbs, &certificate->version) && der_expect(&tbs, DER_INTEGER, &serial) &&
           der_expect(&tbs, DER_SEQUENCE, algorithm) &&
           der_expect_whole(&tbs, DER_SEQUENCE, &certificate->issuer) &&
           read_validity(&tbs, certificate) &&
           der_expect_whole(&tbs, DER_SEQUENCE, &certificate->subject) &&
           read_key(&tbs, certificate) && read_extensions(tbs, certificate);
}

bool der_certificate(slice bytes, struct der_certificate *certificate)
{
    slice whole, content, tbs, algorithm, parameters;
    *certificate = (struct der_certificate){ .not_before = DER_NO_TIME,
                                             .not_after = DER_NO_TIME,
                                             .path_length = DER_NO_PATH_LENGTH };
    if (!der_expect_whole(&bytes, DER_SEQUENCE, &certificate->whole))
        return false;
    whole = certificate->whole;
    if (!der_expect(&whole, DER_SEQUENCE, &content) ||
        !der_expect_whole(&content, DER_SEQUENCE, &certificate->tbs))
        return false;
    tbs = certificate->tbs;
    bool readable = der_expect(&tbs, DER_SEQUENCE, &whole) &&
                    read_tbs(whole, certificate, &algorithm);
    /* The signature's kind helps to say what is wrong with the rest. */
    return der_expect(&content, DER_SEQUENCE, &certificate->algorithm) &&
           read_algorithm(certificate->algorithm, &certificate->signature_oid, &parameters) &&
           der_expect_bits(&content, &certificate->signature) && content.len == 0 && readable &&
           slice_equal(algorithm, certificate->algorithm);
}
