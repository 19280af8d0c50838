/* A PEM file of authorities: read, indexed, and looked up by subject name (net/tls_roots.h). */
#include "base/io.h"
#include "net/tls_roots.h"
#include "net/tls_signature.h"

#define BEGIN SLICE_LITERAL("-----BEGIN ")
#define END SLICE_LITERAL("-----END ")
#define DASHES SLICE_LITERAL("-----")
#define BYTE_ORDER_MARK SLICE_LITERAL("\xef\xbb\xbf")

enum section { SECTION_NONE, SECTION_OTHER, SECTION_CERTIFICATE, SECTION_TRUSTED };

struct bundle {
    struct buf *blob;
    const char *path;
    enum section section; /* the one at work */
    size_t start;         /* where in the blob its certificate begins */
    uint32_t bits;        /* Base64 digits not yet written, as bits */
    unsigned bit_count;
    bool padded;         /* a '=' was seen: no digit may follow */
    size_t usable, seen; /* certificates */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next line, without blanks at its end. False at the end of the text. */
static bool take_line(slice *text, slice *line)
{
    if (text->len == 0)
        return false;
    const char *end = memchr(text->ptr, '\n', text->len);
    line->ptr = text->ptr;
    line->len = end == NULL ? text->len : (size_t)(end - text->ptr);
    *text = slice_skip(*text, line->len + (end != NULL));
    while (line->len > 0 && is_blank(line->ptr[line->len - 1]))
        line->len--;
    return true;
}

/* The name in "-----BEGIN NAME-----"; false for other lines. */
static bool find_name(slice line, slice start, slice *name)
{
    if (!slice_starts(line, start) || line.len < start.len + DASHES.len ||
        !slice_ends_nocase(line, DASHES))
        return false;
    *name = slice_skip(line, start.len);
    name->len -= DASHES.len;
    return true;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes a line's Base64 into the blob, in place of the room reserved for it. False where bad. */
static bool decode_line(struct bundle *bundle, slice line)
{
    struct buf *blob = bundle->blob;
    for (size_t i = 0; i < line.len; i++) {
        int digit = base64_digit(line.ptr[i]);
        if (is_blank(line.ptr[i]))
            continue;
        bundle->padded |= line.ptr[i] == '=';
        if (bundle->padded ? line.ptr[i] != '=' : digit < 0)
            return false;
        if (bundle->padded)
            continue;
        bundle->bits = bundle->bits << 6 | (uint32_t)digit;
        bundle->bit_count += 6;
        if (bundle->bit_count >= 8) {
            bundle->bit_count -= 8;
            blob->ptr[blob->len++] = (char)(bundle->bits >> bundle->bit_count);
        }
    }
    return true;
}

/*
 * OpenSSL's CertAux, which follows a TRUSTED CERTIFICATE: purposes it is trusted for, and [0] those
 * it is not. False where it may not vouch for servers.
 */
static bool is_trusted_for_servers(slice aux)
{
    slice content, trusted, rejected;
    if (aux.len == 0)
        return true;
    if (!der_expect(&aux, DER_SEQUENCE, &content))
        return false;
    if (der_expect(&content, DER_SEQUENCE, &trusted) && !der_purpose_is_server(trusted))
        return false;
    return !der_expect(&content, DER_CONTEXT_0, &rejected) || !der_purpose_is_server(rejected);
}

/* Keeps the certificate that was decoded, or drops it where it is of no use. */
static void end_certificate(struct bundle *bundle)
{
    struct der_certificate certificate;
    br_x509_pkey key;
    slice bytes = slice_skip(buf_slice(bundle->blob), bundle->start);
    bool usable = der_certificate(bytes, &certificate) &&
                  tls_signature_key(&certificate, &key) == 0 &&
                  is_trusted_for_servers(slice_skip(bytes, certificate.whole.len));
    buf_truncate(bundle->blob, bundle->start + (usable ? certificate.whole.len : 0));
    bundle->usable += usable;
}

static void begin_section(struct bundle *bundle, slice name)
{
    bundle->section = slice_is(name, "CERTIFICATE") || slice_is(name, "X509 CERTIFICATE")
                          ? SECTION_CERTIFICATE
                      : slice_is(name, "TRUSTED CERTIFICATE") ? SECTION_TRUSTED
                                                              : SECTION_OTHER;
    bundle->seen += bundle->section != SECTION_OTHER;
    bundle->start = bundle->blob->len;
    bundle->bit_count = 0;
    bundle->padded = false;
}

/* False where a certificate is broken. */
static bool read_line(struct bundle *bundle, slice line)
{
    slice name;
    bool in_certificate = bundle->section >= SECTION_CERTIFICATE;
    if (find_name(line, BEGIN, &name)) {
        if (in_certificate)
            return false; /* the last one has no end */
        begin_section(bundle, name);
    } else if (find_name(line, END, &name)) {
        if (in_certificate)
            end_certificate(bundle);
        bundle->section = SECTION_NONE;
    } else if (in_certificate) {
        return decode_line(bundle, line);
    }
    return true;
}

static int decode(struct bundle *bundle, slice text, struct err *err)
{
    slice line;
    int rc = buf_reserve(bundle->blob, text.len,
                         err); /* Base64 is longer than what it stands for */
    if (rc != 0)
        return rc;
    if (slice_starts(text, BYTE_ORDER_MARK))
        text = slice_skip(text, BYTE_ORDER_MARK.len);
    bool good = true;
    while (good && take_line(&text, &line))
        good = read_line(bundle, line);
    if (!good || bundle->section >= SECTION_CERTIFICATE)
        return err_set(err, ERR_CONFIG, "SSL_CERT_FILE %s: certificate number %zu is broken",
                       bundle->path, bundle->seen);
    if (bundle->usable == 0)
        return err_set(err, ERR_CONFIG,
                       bundle->seen == 0
                           ? "SSL_CERT_FILE %s holds no certificate in PEM form"
                           : "SSL_CERT_FILE %s holds no certificate that can be used: one needs an "
                             "RSA key of 2048 to 4096 bits or one on P-256, P-384 or P-521, and no "
                             "trust settings that exclude servers",
                       bundle->path);
    return 0;
}

int tls_bundle_load(struct buf *blob, const char *path, struct err *err)
{
    struct bundle bundle = { .blob = blob, .path = path };
    struct buf text;
    buf_init(&text, TLS_BUNDLE_FILE_BYTES, "SSL_CERT_FILE");
    int rc = io_read_file(path, 0, &text, err);
    if (rc == ERR_LIMIT)
        rc = err_set(err, ERR_CONFIG, "SSL_CERT_FILE: %s is larger than %u MiB", path,
                     TLS_BUNDLE_FILE_BYTES >> 20);
    if (rc == ERR_INPUT) {
        err->code = ERR_CONFIG;
        rc = err_wrap(err, "SSL_CERT_FILE");
    }
    if (rc == 0)
        rc = decode(&bundle, buf_slice(&text), err);
    buf_free(&text);
    return rc;
}
