/* net/tls_der: reading certificates again, for names, dates, addresses and purposes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "certificate.h"
#include "guard.h"
#include "net/tls_der.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define OID_SERVER SLICE_LITERAL("\x2b\x06\x01\x05\x05\x07\x03\x01")
#define OID_CLIENT SLICE_LITERAL("\x2b\x06\x01\x05\x05\x07\x03\x02")
#define OID_ANY SLICE_LITERAL("\x55\x1d\x25\x00")
#define ADDRESS_127_0_0_1 SLICE_LITERAL("\x7f\x00\x00\x01")

static struct certificate_key root_key, server_key;

static slice make(unsigned char *bytes, struct certificate_spec spec)
{
    if (spec.issuer == NULL)
        spec.issuer = "The Root";
    if (spec.subject == NULL)
        spec.subject = "a.test";
    spec.key = &server_key;
    spec.signer = &root_key;
    return certificate_make(bytes, &spec);
}

static void assert_display(slice name, const char *expected)
{
    char text[64];
    der_display_name(name, text, sizeof text);
    assert_string_equal(text, expected);
}

static void all_parts_are_found(void **state)
{
    (void)state;
    unsigned char bytes[CERTIFICATE_BYTES];
    struct der_certificate certificate;
    slice made = make(bytes, (struct certificate_spec){ .from = "700101000000Z",
                                                        .to = "20500102030405Z",
                                                        .dns = { "a.test", "*.b.test" },
                                                        .address = ADDRESS_127_0_0_1,
                                                        .purpose = OID_SERVER });
    slice copy = guard_copy(made.ptr, made.len);
    assert_true(der_certificate(copy, &certificate));
    assert_display(certificate.issuer, "The Root");
    assert_display(certificate.subject, "a.test");
    assert_int_equal(certificate.not_before, 0);
    assert_int_equal(certificate.not_after, 2524705445);
    assert_true(
        slice_equal(certificate.signature_oid, SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x04\x03\x02")));
    assert_true(slice_equal(certificate.key_oid, SLICE_LITERAL("\x2a\x86\x48\xce\x3d\x02\x01")));
    assert_true(der_purpose_is_server(certificate.purposes));

    enum der_name_kind kind;
    slice names = certificate.alt_names, name;
    assert_true(der_next_name(&names, &kind, &name));
    assert_true(kind == DER_NAME_DNS && slice_is(name, "a.test"));
    assert_true(der_next_name(&names, &kind, &name));
    assert_true(kind == DER_NAME_DNS && slice_is(name, "*.b.test"));
    assert_true(der_next_name(&names, &kind, &name));
    assert_true(kind == DER_NAME_ADDRESS && slice_equal(name, ADDRESS_127_0_0_1));
    assert_false(der_next_name(&names, &kind, &name));
    guard_free(copy);
}

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    static const struct certificate_spec specs[] = {
        { .no_names = true },
        { .flaw = CERTIFICATE_V1 },
    };
    for (size_t i = 0; i < COUNT(specs); i++) {
        unsigned char bytes[CERTIFICATE_BYTES];
        struct der_certificate certificate;
        assert_true(der_certificate(make(bytes, specs[i]), &certificate));
        assert_null(certificate.alt_names.ptr);
        assert_null(certificate.purposes.ptr);
    }
}

static void every_cut_is_no_certificate_and_reads_nothing_beyond(void **state)
{
    (void)state;
    unsigned char bytes[CERTIFICATE_BYTES];
    struct der_certificate certificate;
    slice made = make(bytes,
                      (struct certificate_spec){ .dns = { "a.test" }, .purpose = OID_SERVER });
    for (size_t len = 0; len < made.len; len++) {
        slice copy = guard_copy(made.ptr, len);
        assert_false(der_certificate(copy, &certificate));
        guard_free(copy);
    }
}

static void inside(slice part, slice whole)
{
    if (part.ptr != NULL)
        assert_true(part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void use(slice bytes)
{
    struct der_certificate certificate;
    char text[20];
    enum der_name_kind kind;
    slice name;
    (void)der_certificate(bytes, &certificate);
    const slice parts[] = { certificate.issuer,  certificate.subject,   certificate.signature_oid,
                            certificate.key_oid, certificate.alt_names, certificate.purposes };
    for (size_t i = 0; i < COUNT(parts); i++)
        inside(parts[i], bytes);
    der_display_name(certificate.subject, text, sizeof text);
    der_display_name(certificate.issuer, text, 1);
    assert_string_equal(text, "");
    for (slice rest = certificate.alt_names; der_next_name(&rest, &kind, &name);)
        inside(name, bytes);
    (void)der_purpose_is_server(certificate.purposes);
}

static void no_changed_byte_leads_outside(void **state)
{
    (void)state;
    static const unsigned char values[] = { 0x00, 0x01, 0x1f, 0x30, 0x7f, 0x80, 0x81,
                                            0x82, 0x84, 0x85, 0xa0, 0xa3, 0xff };
    unsigned char bytes[CERTIFICATE_BYTES];
    slice made = make(bytes, (struct certificate_spec){ .dns = { "a.test" },
                                                        .address = ADDRESS_127_0_0_1,
                                                        .purpose = OID_SERVER });
    slice copy = guard_copy(made.ptr, made.len);
    unsigned char *at = (unsigned char *)(uintptr_t)copy.ptr;
    for (size_t i = 0; i < copy.len; i++) {
        unsigned char before = at[i];
        for (size_t k = 0; k < COUNT(values); k++) {
            at[i] = values[k];
            use(copy);
        }
        at[i] = before;
    }
    guard_free(copy);
}

static void elements_of_odd_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
        size_t value_len;
    } cases[] = {
        { "", 0, false, 0 },
        { "\x04", 1, false, 0 },
        { "\x04\x00", 2, true, 0 },
        { "\x04\x01x", 3, true, 1 },
        { "\x04\x02x", 3, false, 0 },
        { "\x04\x80x\x00\x00", 5, false, 0 }, /* of unknown length */
        { "\x04\x81\x01x", 4, true, 1 },      /* longer than need be: BearSSL takes it */
        { "\x04\x81\x00", 3, true, 0 },
        { "\x04\x84\x00\x00\x00\x01x", 7, true, 1 },      /* the longest form */
        { "\x04\x85\x00\x00\x00\x00\x01x", 8, false, 0 }, /* too long a form */
        { "\x04\x84\xff\xff\xff\xff", 6, false, 0 },
        { "\x04\x84\x00\x00", 4, false, 0 },
        { "\x1f\x01\x00", 3, false, 0 }, /* a tag of more than one byte */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice copy = guard_copy(cases[i].bytes, cases[i].len), rest = copy, value;
        unsigned char tag;
        assert_int_equal(der_next(&rest, &tag, &value), cases[i].good);
        if (cases[i].good) {
            assert_int_equal(tag, 0x04);
            assert_int_equal(value.len, cases[i].value_len);
            assert_int_equal(rest.len, 0);
        } else {
            assert_ptr_equal(rest.ptr, copy.ptr);
            assert_int_equal(rest.len, copy.len);
        }
        guard_free(copy);
    }
}

/* Also where as much follows as the byte says when it is taken for a length, 128. */
static void an_unknown_length_is_refused(void **state)
{
    char bytes[200] = "\x04\x80";
    slice rest = { bytes, sizeof bytes }, value;
    unsigned char tag;
    (void)state;
    assert_false(der_next(&rest, &tag, &value));
}

static void bit_strings_of_whole_bytes(void **state)
{
    static const struct {
        slice bytes;
        bool good;
        slice bits;
    } cases[] = {
        { SLICE_LITERAL("\x03\x03\x00xy"), true, SLICE_LITERAL("xy") },
        { SLICE_LITERAL("\x03\x01\x00"), true, SLICE_LITERAL("") },
        { SLICE_LITERAL("\x03\x02\x01\x80"), false, { 0 } }, /* of seven bits */
        { SLICE_LITERAL("\x03\x00"), false, { 0 } },
        { SLICE_LITERAL("\x04\x02\x00x"), false, { 0 } },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice copy = guard_copy(cases[i].bytes.ptr, cases[i].bytes.len), rest = copy, bits = { 0 };
        assert_int_equal(der_expect_bits(&rest, &bits), cases[i].good);
        assert_int_equal(rest.len, cases[i].good ? 0 : copy.len);
        assert_true(slice_equal(bits, cases[i].bits));
        guard_free(copy);
    }
}

static void numbers_without_a_sign(void **state)
{
    static const struct {
        slice bytes;
        bool good;
        slice number;
    } cases[] = {
        { SLICE_LITERAL("\x02\x01\x00"), true, SLICE_LITERAL("\x00") },
        { SLICE_LITERAL("\x02\x01\x7f"), true, SLICE_LITERAL("\x7f") },
        { SLICE_LITERAL("\x02\x02\x00\x80"), true, SLICE_LITERAL("\x80") },
        { SLICE_LITERAL("\x02\x03\x00\x00\x01"), true, SLICE_LITERAL("\x01") },
        { SLICE_LITERAL("\x02\x01\x80"), false, { 0 } },
        { SLICE_LITERAL("\x02\x00"), false, { 0 } },
        { SLICE_LITERAL("\x0a\x01\x01"), false, { 0 } },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice copy = guard_copy(cases[i].bytes.ptr, cases[i].bytes.len), rest = copy, found = { 0 };
        assert_int_equal(der_expect_unsigned(&rest, &found), cases[i].good);
        assert_int_equal(rest.len, cases[i].good ? 0 : copy.len);
        assert_true(slice_equal(found, cases[i].number));
        guard_free(copy);
    }
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } cases[] = {
        { "240501120000Z", 1714564800 },
        { "491231235959Z", 2524607999 },
        { "500101000000Z", -631152000 },
        { "991231235959Z", 946684799 },
        { "20240229000000Z", 1709164800 },
        { "99991231235959Z", 253402300799 },
        { "240101000060Z", 1704067260 }, /* a leap second */
        { "241301000000Z", DER_NO_TIME },
        { "240001000000Z", DER_NO_TIME },
        { "240132000000Z", DER_NO_TIME },
        { "240100000000Z", DER_NO_TIME },
        { "240101240000Z", DER_NO_TIME },
        { "240101006000Z", DER_NO_TIME },
        { "240101000061Z", DER_NO_TIME },
        { "2401010000000", DER_NO_TIME },
        { "24o101000000Z", DER_NO_TIME },
        { "20240101000000+0100", DER_NO_TIME },
        { "", DER_NO_TIME },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char bytes[CERTIFICATE_BYTES];
        struct der_certificate certificate;
        slice made = make(bytes, (struct certificate_spec){ .to = cases[i].text });
        assert_true(der_certificate(made, &certificate));
        assert_int_equal(certificate.not_after, cases[i].seconds);
    }
}

static void purposes(void **state)
{
    (void)state;
    unsigned char bytes[CERTIFICATE_BYTES];
    struct der_certificate certificate;
    assert_true(der_certificate(make(bytes, (struct certificate_spec){ .purpose = OID_CLIENT }),
                                &certificate));
    assert_non_null(certificate.purposes.ptr);
    assert_false(der_purpose_is_server(certificate.purposes));
    assert_true(der_certificate(make(bytes, (struct certificate_spec){ .purpose = OID_ANY }),
                                &certificate));
    assert_true(der_purpose_is_server(certificate.purposes));
    assert_false(der_purpose_is_server((slice){ NULL, 0 }));
}

/* What is critical must be known, or restrict nothing that is asked for here. */
static void critical_extensions(void **state)
{
    static const struct {
        slice oid;
        bool unknown;
    } cases[] = {
        { SLICE_LITERAL("\x55\x1d\x09"), false }, /* directory attributes */
        { SLICE_LITERAL("\x55\x1d\x0e"), false }, /* subject key identifier */
        { SLICE_LITERAL("\x55\x1d\x12"), false }, /* other names of the issuer */
        { SLICE_LITERAL("\x55\x1d\x1f"), false }, /* CRL distribution points */
        { SLICE_LITERAL("\x55\x1d\x20"), false }, /* policies */
        { SLICE_LITERAL("\x55\x1d\x23"), false }, /* authority key identifier */
        { SLICE_LITERAL("\x55\x1d\x08"), true },
        { SLICE_LITERAL("\x55\x1d\x0a"), true },
        { SLICE_LITERAL("\x55\x1d\x10"), true },
        { SLICE_LITERAL("\x55\x1d\x21"), true }, /* policy mappings */
        { SLICE_LITERAL("\x55\x1d\x24"), true }, /* policy constraints */
        { SLICE_LITERAL("\x55\x1d\x36"), true }, /* inhibit any policy */
        { SLICE_LITERAL("\x55\x1d"), true },
        { SLICE_LITERAL("\x55\x1d\x0e\x01"), true },
        { SLICE_LITERAL("\x55\x1c\x0e"), true },
        { SLICE_LITERAL("\x54\x1d\x0e"), true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char bytes[CERTIFICATE_BYTES];
        struct der_certificate certificate;
        slice made = make(bytes, (struct certificate_spec){ .unknown = cases[i].oid });
        assert_true(der_certificate(made, &certificate));
        assert_int_equal(certificate.unknown_critical, cases[i].unknown);
    }
}

static void key_usages(void **state)
{
    static const struct {
        slice bits;
        bool good;
        unsigned usage;
    } cases[] = {
        { SLICE_LITERAL("\x07\x80"), true, DER_USAGE_DIGITAL_SIGNATURE },
        { SLICE_LITERAL("\x02\x84"), true,
          DER_USAGE_DIGITAL_SIGNATURE | DER_USAGE_CERTIFICATE_SIGN },
        { SLICE_LITERAL("\x07\x20\x80"), true, DER_USAGE_KEY_ENCIPHERMENT },
        { SLICE_LITERAL("\x00"), true, 0 },
        { SLICE_LITERAL(""), false, 0 },
    };
    unsigned char bytes[CERTIFICATE_BYTES];
    struct der_certificate certificate;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice made = make(bytes, (struct certificate_spec){ .key_usage = cases[i].bits });
        assert_int_equal(der_certificate(made, &certificate), cases[i].good);
        assert_int_equal(certificate.has_key_usage, cases[i].good);
        assert_int_equal(certificate.key_usage, cases[i].usage);
    }
    assert_true(der_certificate(make(bytes, (struct certificate_spec){ 0 }), &certificate));
    assert_false(certificate.has_key_usage);
}

static void path_lengths(void **state)
{
    static const struct {
        slice number;
        bool good;
        int64_t length;
    } cases[] = {
        { { 0 }, true, DER_NO_PATH_LENGTH },      { SLICE_LITERAL("\x00"), true, 0 },
        { SLICE_LITERAL("\x7f"), true, 127 },     { SLICE_LITERAL("\x00\xfe"), true, 254 },
        { SLICE_LITERAL("\x01\x00"), true, 255 }, /* longer than any path here */
        { SLICE_LITERAL("\xff"), false, 0 },      /* -1 */
        { SLICE_LITERAL(""), false, 0 },
    };
    unsigned char bytes[CERTIFICATE_BYTES];
    struct der_certificate certificate;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        slice made = make(bytes,
                          (struct certificate_spec){ .ca = true, .path_length = cases[i].number });
        assert_int_equal(der_certificate(made, &certificate), cases[i].good);
        if (cases[i].good) {
            assert_true(certificate.is_ca);
            assert_int_equal(certificate.path_length, cases[i].length);
        }
    }
    assert_true(der_certificate(make(bytes, (struct certificate_spec){ 0 }), &certificate));
    assert_false(certificate.is_ca);
}

static void name_constraints(void **state)
{
    unsigned char bytes[CERTIFICATE_BYTES];
    struct der_certificate certificate;
    const slice empty = SLICE_LITERAL(""), some = SLICE_LITERAL("\xa1\x00");
    (void)state;
    assert_true(der_certificate(make(bytes, (struct certificate_spec){ 0 }), &certificate));
    assert_null(certificate.name_constraints.ptr);
    assert_true(der_certificate(make(bytes, (struct certificate_spec){ .constraints = empty }),
                                &certificate));
    assert_non_null(certificate.name_constraints.ptr);
    assert_int_equal(certificate.name_constraints.len, 0);
    assert_true(der_certificate(make(bytes, (struct certificate_spec){ .constraints = some }),
                                &certificate));
    assert_true(slice_equal(certificate.name_constraints, some));
    assert_false(certificate.unknown_critical);
}

/* Reads a certificate whose first bytes `from` have become `to`. */
static bool reads_with(const struct certificate_spec *spec, slice from, slice to,
                       struct der_certificate *certificate)
{
    static unsigned char bytes[CERTIFICATE_BYTES];
    slice made = make(bytes, *spec);
    unsigned char *at = memmem(bytes, made.len, from.ptr, from.len);
    assert_non_null(at);
    assert_int_equal(from.len, to.len);
    memcpy(at, to.ptr, to.len);
    return der_certificate(made, certificate);
}

#define S(text) SLICE_LITERAL(text)

static void what_is_not_as_it_must_be_is_refused(void **state)
{
    static const struct {
        const char *what;
        struct certificate_spec spec;
        slice from, to;
    } cases[] = {
        { "version 4", { 0 }, S("\xa0\x03\x02\x01\x02"), S("\xa0\x03\x02\x01\x03") },
        { "extensions in version 2", { 0 }, S("\xa0\x03\x02\x01\x02"), S("\xa0\x03\x02\x01\x01") },
        { "a serial number of text", { 0 }, S("\x02\x01\x05"), S("\x0c\x01\x05") },
        { "two kinds of signature",
          { 0 },
          S("\x2a\x86\x48\xce\x3d\x04\x03\x02"),
          S("\x2a\x86\x48\xce\x3d\x04\x03\x03") },
        { "a date of text", { 0 }, S("\x17\x0d"), S("\x0c\x0d") },
        { "a key of seven bits", { 0 }, S("\x03\x42\x00\x04"), S("\x03\x42\x01\x04") },
        { "a key without a kind", { 0 }, S("\x06\x07\x2a\x86"), S("\x05\x07\x2a\x86") },
        { "names twice", { .purpose = OID_SERVER }, S("\x55\x1d\x25"), S("\x55\x1d\x11") },
        { "an extension without a kind",
          { .purpose = OID_SERVER },
          S("\x06\x03\x55\x1d\x25"),
          S("\x05\x03\x55\x1d\x25") },
        { "more behind a list",
          { .purpose = OID_SERVER },
          S("\x30\x0a\x06\x08\x2b"),
          S("\x30\x09\x06\x08\x2b") },
        { "more behind a key usage",
          { .key_usage = S("\x07\x80") },
          S("\x03\x02\x07\x80"),
          S("\x03\x01\x07\x80") },
        { "more behind an extension",
          { .unknown = S("\x55\x1d\x0e") },
          S("\x04\x02\x05\x00"),
          S("\x04\x01\x05\x00") },
        { "an extension that is no bytes",
          { .unknown = S("\x55\x1d\x0e") },
          S("\x04\x02\x05\x00"),
          S("\x05\x02\x05\x00") },
        { "a truth of two bytes",
          { .unknown = S("\x55\x1d\x0e") },
          S("\x01\x01\xff\x04\x02\x05\x00"),
          S("\x01\x02\xff\xff\x04\x01\x05") },
        { "more behind basic constraints",
          { .ca = true, .path_length = S("\x01\x00") },
          S("\x30\x07\x01\x01\xff\x02"),
          S("\x30\x03\x01\x01\xff\x02") },
        { "extensions beyond the end",
          { .no_names = true, .unknown = S("\x2a\x03") },
          S("\xa3\x0f\x30\x0d"),
          S("\xa3\x10\x30\x0d") },
        { "more behind the extensions",
          { .no_names = true, .unknown = S("\x2a\x03") },
          S("\xa3\x0f\x30\x0d\x30\x0b\x06\x02\x2a\x03\x01\x01\xff\x04\x02"),
          S("\xa3\x0d\x30\x0b\x30\x09\x06\x02\x2a\x03\x01\x01\xff\x04\x00") },
        { "more behind a path length",
          { .ca = true, .path_length = S("\x01\x00") },
          S("\xff\x02\x02\x01\x00"),
          S("\xff\x02\x01\x01\x00") },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct der_certificate certificate;
        assert_true(reads_with(&cases[i].spec, cases[i].from, cases[i].from, &certificate));
        if (reads_with(&cases[i].spec, cases[i].from, cases[i].to, &certificate))
            fail_msg("%s", cases[i].what);
    }
}

/* DER leaves a value out that is the default, but some write it. */
static void what_is_said_to_be_false_is_false(void **state)
{
    const struct certificate_spec authority = { .ca = true }, other = { .unknown = S("\x2a\x03") };
    struct der_certificate certificate;
    (void)state;
    assert_true(
        reads_with(&authority, S("\x30\x03\x01\x01\xff"), S("\x30\x03\x01\x01\x00"), &certificate));
    assert_false(certificate.is_ca);
    assert_true(
        reads_with(&other, S("\x2a\x03\x01\x01\xff"), S("\x2a\x03\x01\x01\x00"), &certificate));
    assert_false(certificate.unknown_critical);
}

/* Without extensions, which that version does not have. */
static void version_2_is_read(void **state)
{
    const struct certificate_spec spec = { .no_names = true };
    struct der_certificate certificate;
    (void)state;
    assert_true(
        reads_with(&spec, S("\xa0\x03\x02\x01\x02"), S("\xa0\x03\x02\x01\x01"), &certificate));
    assert_int_equal(certificate.version, 2);
}

static void names_of_authorities(void **state)
{
    (void)state;
    assert_display(SLICE_LITERAL("\x30\x00"), "an unnamed issuer");
    assert_display((slice){ NULL, 0 }, "an unnamed issuer");
    assert_display(SLICE_LITERAL("\x04\x01x"), "an unnamed issuer");
    /* Organization before common name, which wins; the type is PrintableString. */
    assert_display(SLICE_LITERAL("\x30\x1a\x31\x0b\x30\x09\x06\x03\x55\x04\x0a\x13\x02"
                                 "Ox\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x13\x02"
                                 "Cn"),
                   "Cn");
    /* Organization alone. */
    assert_display(SLICE_LITERAL("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x0a\x13\x02"
                                 "Ox"),
                   "Ox");
    /* The unit alone; of other types. */
    assert_display(SLICE_LITERAL("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x0b\x16\x02"
                                 "Ux"),
                   "Ux");
    assert_display(SLICE_LITERAL("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x0b\x14\x02"
                                 "Ux"),
                   "Ux");
    /* An empty common name is none. */
    assert_display(SLICE_LITERAL("\x30\x18\x31\x09\x30\x07\x06\x03\x55\x04\x03\x13\x00"
                                 "\x31\x0b\x30\x09\x06\x03\x55\x04\x0a\x13\x02"
                                 "Ox"),
                   "Ox");
    /* A BMPString is not shown. */
    assert_display(SLICE_LITERAL("\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x1e\x02\x00"
                                 "C"),
                   "an unnamed issuer");
}

static void display_names_are_printable(void **state)
{
    (void)state;
    static const struct {
        const char *name, *shown;
    } cases[] = {
        { "a\nb\x7f\x01", "a?b??" },
        { "\xc5\xbe\xff\xc5", "\xc5\xbe??" },
        { "\xc0\x80", "??" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char bytes[CERTIFICATE_BYTES];
        struct der_certificate certificate;
        slice made = make(bytes, (struct certificate_spec){ .subject = cases[i].name });
        assert_true(der_certificate(made, &certificate));
        assert_display(certificate.subject, cases[i].shown);
    }
}

static void display_names_are_cut_between_characters(void **state)
{
    (void)state;
    unsigned char bytes[CERTIFICATE_BYTES];
    struct der_certificate certificate;
    char text[4];
    assert_true(der_certificate(make(bytes, (struct certificate_spec){ .subject = "ab\xc5\xbe" }),
                                &certificate));
    der_display_name(certificate.subject, text, sizeof text);
    assert_string_equal(text, "ab");
}

static int make_keys(void **state)
{
    (void)state;
    certificate_key_make(&root_key, 1);
    certificate_key_make(&server_key, 2);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_are_found),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(every_cut_is_no_certificate_and_reads_nothing_beyond),
        cmocka_unit_test(no_changed_byte_leads_outside),
        cmocka_unit_test(elements_of_odd_lengths),
        cmocka_unit_test(an_unknown_length_is_refused),
        cmocka_unit_test(bit_strings_of_whole_bytes),
        cmocka_unit_test(numbers_without_a_sign),
        cmocka_unit_test(what_is_not_as_it_must_be_is_refused),
        cmocka_unit_test(what_is_said_to_be_false_is_false),
        cmocka_unit_test(version_2_is_read),
        cmocka_unit_test(times),
        cmocka_unit_test(purposes),
        cmocka_unit_test(critical_extensions),
        cmocka_unit_test(key_usages),
        cmocka_unit_test(path_lengths),
        cmocka_unit_test(name_constraints),
        cmocka_unit_test(names_of_authorities),
        cmocka_unit_test(display_names_are_printable),
        cmocka_unit_test(display_names_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
