/*
 * Compiles root certificates to the trust anchors that the binary carries. Runs on the building
 * machine only:  roots OUT.c CERTIFICATE.crt...   (PEM files, one or more certificates in each)
 *
 * OUT.c defines, for src/net's TLS module to decode when it first needs them:
 *
 *   const unsigned char tls_roots_blob[];   the anchors, one after the other
 *   const size_t tls_roots_blob_len;        bytes
 *   const unsigned tls_roots_count;         anchors
 *
 *   anchor: u32 tls_name_digest of the subject (src/net/tls_name.h) | u8 key type | key
 *   all numbers big-endian
 *   key type 1, RSA: u16 length, modulus | u8 length, exponent
 *   key type 2, EC:  u8 curve (BearSSL's BR_EC_ number) | u16 length, point
 *
 * A trust anchor is a name and a key; the name, which only finds the key, is cut to a digest. The
 * rest of a root certificate is left out: which roots are good, and for how long, is decided by the
 * distribution's set. Anchors are sorted and unique, so that the same certificates give the same
 * bytes, whatever the files are called, on any day.
 * Exit status: 0, or 1 with a message: a file cannot be read, or holds something other than CA
 * certificates.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bearssl.h"
#include "net/tls_name.h"

struct bytes {
    unsigned char *data;
    size_t len;
    size_t cap;
};

struct anchors {
    struct bytes *list;
    size_t count;
};

/* The file at work, for messages. */
static const char *current;

static void fail(const char *why)
{
    fprintf(stderr, "roots: %s: %s\n", current, why);
    exit(1);
}

static void *grow(void *old, size_t size)
{
    void *p = realloc(old, size);
    if (p == NULL)
        fail("out of memory");
    return p;
}

static void append(void *ctx, const void *data, size_t len)
{
    struct bytes *b = ctx;

    if (b->len + len > b->cap) {
        b->cap = 2 * (b->len + len);
        b->data = grow(b->data, b->cap);
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void append_number(struct bytes *b, size_t value, int size)
{
    if (value >> (8 * size))
        fail("a name or key is too long for the blob's format");
    while (size-- > 0) {
        unsigned char byte = (unsigned char)(value >> (8 * size));
        append(b, &byte, 1);
    }
}

static void append_counted(struct bytes *b, const void *data, size_t len, int size)
{
    append_number(b, len, size);
    append(b, data, len);
}

static struct bytes encode_anchor(const struct bytes *dn, const br_x509_pkey *key)
{
    struct bytes b = { 0 };

    append_number(&b, tls_name_digest((slice){ (const char *)dn->data, dn->len }), 4);
    if (key->key_type == BR_KEYTYPE_RSA) {
        append_number(&b, 1, 1);
        append_counted(&b, key->key.rsa.n, key->key.rsa.nlen, 2);
        append_counted(&b, key->key.rsa.e, key->key.rsa.elen, 1);
    } else if (key->key_type == BR_KEYTYPE_EC) {
        append_number(&b, 2, 1);
        append_number(&b, (size_t)key->key.ec.curve, 1);
        append_counted(&b, key->key.ec.q, key->key.ec.qlen, 2);
    } else {
        fail("holds a key that is neither RSA nor EC");
    }
    return b;
}

static void add_certificate(struct anchors *all, const struct bytes *der)
{
    br_x509_decoder_context dc;
    struct bytes dn = { 0 };
    br_x509_pkey *key;

    br_x509_decoder_init(&dc, append, &dn);
    br_x509_decoder_push(&dc, der->data, der->len);
    key = br_x509_decoder_get_pkey(&dc);
    if (key == NULL)
        fail("holds a certificate that cannot be decoded");
    if (!br_x509_decoder_isCA(&dc))
        fail("holds a certificate that is not a CA's");
    all->list = grow(all->list, (all->count + 1) * sizeof *all->list);
    all->list[all->count++] = encode_anchor(&dn, key);
    free(dn.data);
}

static struct bytes read_file(const char *path)
{
    struct bytes text = { 0 };
    char chunk[4096];
    size_t n;
    FILE *f = fopen(path, "rb");

    if (f == NULL)
        fail(strerror(errno));
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        append(&text, chunk, n);
    if (ferror(f))
        fail("read error");
    fclose(f);
    append(&text, "\n", 1); /* the decoder wants a last line's end */
    return text;
}

static void add_file(struct anchors *all, const char *path)
{
    struct bytes text, der = { 0 };
    br_pem_decoder_context pem;
    size_t done = 0, before = all->count;
    int wanted = 0;

    current = path;
    text = read_file(path);
    br_pem_decoder_init(&pem);
    while (done < text.len) {
        done += br_pem_decoder_push(&pem, text.data + done, text.len - done);
        switch (br_pem_decoder_event(&pem)) {
        case BR_PEM_BEGIN_OBJ:
            wanted = strcmp(br_pem_decoder_name(&pem), "CERTIFICATE") == 0;
            der.len = 0;
            br_pem_decoder_setdest(&pem, wanted ? append : NULL, &der);
            break;
        case BR_PEM_END_OBJ:
            if (wanted)
                add_certificate(all, &der);
            break;
        case BR_PEM_ERROR: fail("broken PEM");
        }
    }
    if (all->count == before)
        fail("holds no certificate");
    free(der.data);
    free(text.data);
}

static int compare(const void *left, const void *right)
{
    const struct bytes *a = left, *b = right;
    int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);

    if (order != 0)
        return order;
    return (a->len > b->len) - (a->len < b->len);
}

static void unique(struct anchors *all)
{
    size_t kept = 0;

    qsort(all->list, all->count, sizeof *all->list, compare);
    for (size_t i = 0; i < all->count; i++)
        if (kept == 0 || compare(&all->list[kept - 1], &all->list[i]) != 0)
            all->list[kept++] = all->list[i];
    all->count = kept;
}

static void write_source(FILE *f, const struct anchors *all)
{
    size_t total = 0;

    fputs("/* Made by vendor/roots.c from the distribution's root certificates. */\n"
          "#include <stddef.h>\n\n"
          "extern const unsigned char tls_roots_blob[];\n"
          "extern const size_t tls_roots_blob_len;\n"
          "extern const unsigned tls_roots_count;\n\n"
          "const unsigned char tls_roots_blob[] = {\n",
          f);
    for (size_t i = 0; i < all->count; i++)
        for (size_t j = 0; j < all->list[i].len; j++, total++)
            fprintf(f, total % 16 == 15 ? "%u,\n" : "%u,", all->list[i].data[j]);
    fprintf(f,
            "\n};\nconst size_t tls_roots_blob_len = %zu;\nconst unsigned tls_roots_count = %zu;\n",
            total, all->count);
}

int main(int argc, char **argv)
{
    struct anchors all = { 0 };
    FILE *f;

    current = "usage";
    if (argc < 3)
        fail("roots OUT.c CERTIFICATE.crt...");
    for (int i = 2; i < argc; i++)
        add_file(&all, argv[i]);
    unique(&all);
    current = argv[1];
    f = fopen(argv[1], "wb");
    if (f == NULL)
        fail(strerror(errno));
    write_source(f, &all);
    if (fclose(f) != 0)
        fail("write error");
    return 0;
}
