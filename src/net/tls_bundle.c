#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "net/tls_roots.h"

/* The file passes through piece by piece: PEM decoder, certificate decoder, blob. */
struct loader {
    struct buf *blob;
    struct err *err;
    const char *path;
    br_pem_decoder_context pem;
    br_x509_decoder_context certificate;
    size_t anchor_start; /* where in the blob the anchor at work begins */
    bool in_certificate; /* such a section of the file has begun and not ended */
    int rc;              /* first error of a callback */
    size_t usable, seen; /* certificates */
};

static void add(struct loader *loader, const void *bytes, size_t count)
{
    if (loader->rc == 0)
        loader->rc = buf_add(loader->blob, bytes, count, loader->err);
}

static void add_number(struct loader *loader, size_t number, size_t size)
{
    while (size-- > 0) {
        unsigned char byte = (unsigned char)(number >> (8 * size));
        add(loader, &byte, 1);
    }
}

static void on_name_bytes(void *context, const void *bytes, size_t count)
{
    add(context, bytes, count);
}

static void on_certificate_bytes(void *context, const void *bytes, size_t count)
{
    struct loader *loader = context;
    br_x509_decoder_push(&loader->certificate, bytes, count);
}

static void add_key(struct loader *loader, const br_x509_pkey *key, size_t pinned)
{
    if (key->key_type == BR_KEYTYPE_RSA) {
        add_number(loader, TLS_ROOTS_RSA | pinned, 1);
        add_number(loader, key->key.rsa.nlen, 2);
        add(loader, key->key.rsa.n, key->key.rsa.nlen);
        add_number(loader, key->key.rsa.elen, 1);
        add(loader, key->key.rsa.e, key->key.rsa.elen);
    } else {
        add_number(loader, TLS_ROOTS_EC | pinned, 1);
        add_number(loader, (size_t)key->key.ec.curve, 1);
        add_number(loader, key->key.ec.qlen, 2);
        add(loader, key->key.ec.q, key->key.ec.qlen);
    }
}

static void begin_section(struct loader *loader)
{
    const char *name = br_pem_decoder_name(&loader->pem);
    loader->in_certificate = strcmp(name, "CERTIFICATE") == 0 ||
                             strcmp(name, "X509 CERTIFICATE") == 0;
    br_pem_decoder_setdest(&loader->pem, loader->in_certificate ? on_certificate_bytes : NULL,
                           loader);
    if (!loader->in_certificate)
        return;
    loader->seen++;
    loader->anchor_start = loader->blob->len;
    add_number(loader, 0, 2); /* length of the name, known when the section ends */
    br_x509_decoder_init(&loader->certificate, on_name_bytes, loader);
}

/* True where the format's length fields can hold the anchor. */
static bool fits(size_t name_bytes, const br_x509_pkey *key)
{
    return name_bytes <= UINT16_MAX &&
           (key->key_type == BR_KEYTYPE_EC || key->key.rsa.elen <= UINT8_MAX);
}

static void end_section(struct loader *loader)
{
    bool certificate = loader->in_certificate;
    loader->in_certificate = false;
    if (!certificate || loader->rc != 0)
        return;
    size_t name_bytes = loader->blob->len - loader->anchor_start - 2;
    const br_x509_pkey *key = br_x509_decoder_get_pkey(&loader->certificate);
    if (key == NULL || !fits(name_bytes, key)) {
        loader->blob->len = loader->anchor_start;
        return;
    }
    loader->blob->ptr[loader->anchor_start] = (char)(name_bytes >> 8);
    loader->blob->ptr[loader->anchor_start + 1] = (char)name_bytes;
    add_key(loader, key, br_x509_decoder_isCA(&loader->certificate) ? 0 : TLS_ROOTS_PINNED);
    loader->usable++;
}

static int broken(struct loader *loader)
{
    return err_set(loader->err, ERR_CONFIG, "SSL_CERT_FILE %s: certificate number %zu is broken",
                   loader->path, loader->seen);
}

static int decode(struct loader *loader, const unsigned char *text, size_t len)
{
    while (len > 0 && loader->rc == 0) {
        size_t taken = br_pem_decoder_push(&loader->pem, text, len);
        text += taken;
        len -= taken;
        switch (br_pem_decoder_event(&loader->pem)) {
        case BR_PEM_BEGIN_OBJ: begin_section(loader); break;
        case BR_PEM_END_OBJ: end_section(loader); break;
        case BR_PEM_ERROR:
            if (loader->in_certificate)
                return broken(loader);
            break;
        }
    }
    return loader->rc;
}

/* BearSSL's PEM decoder takes a carriage return for a part of the section's name. */
static size_t without_returns(unsigned char *text, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++)
        if (text[i] != '\r')
            text[kept++] = text[i];
    return kept;
}

static int read_all(struct loader *loader, int fd)
{
    unsigned char chunk[2048];
    size_t total = 0;
    for (;;) {
        ssize_t count = read(fd, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return err_system(loader->err, ERR_CONFIG, errno, "SSL_CERT_FILE %s", loader->path);
        if (count == 0)
            return decode(loader, (const unsigned char *)"\n", 1);
        total += (size_t)count;
        if (total > TLS_BUNDLE_FILE_BYTES)
            return err_set(loader->err, ERR_CONFIG, "SSL_CERT_FILE %s is larger than %u MiB",
                           loader->path, TLS_BUNDLE_FILE_BYTES >> 20);
        int rc = decode(loader, chunk, without_returns(chunk, (size_t)count));
        if (rc != 0)
            return rc;
    }
}

int tls_bundle_load(struct buf *blob, const char *path, struct err *err)
{
    struct loader loader = { .blob = blob, .err = err, .path = path };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_system(err, ERR_CONFIG, errno, "SSL_CERT_FILE %s", path);
    br_pem_decoder_init(&loader.pem);
    int rc = read_all(&loader, fd);
    close(fd);
    if (rc == 0 && loader.in_certificate)
        rc = broken(&loader); /* the file ends in the middle of it */
    if (rc == 0 && loader.usable == 0)
        rc = err_set(err, ERR_CONFIG,
                     loader.seen == 0 ? "SSL_CERT_FILE %s holds no certificate in PEM form"
                                      : "SSL_CERT_FILE %s holds no certificate with an RSA or "
                                        "NIST-curve key",
                     path);
    return rc;
}
