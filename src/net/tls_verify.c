#include "net/tls_verify.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_refusal.h"

void tls_peer_init(struct tls_peer *peer, const char *host)
{
    *peer = (struct tls_peer){ .host = host };
    if (inet_pton(AF_INET, host, peer->address) == 1)
        peer->address_bytes = 4;
    else if (inet_pton(AF_INET6, host, peer->address) == 1)
        peer->address_bytes = 16;
}

static struct tls_verify *verify_of(const br_x509_class **context)
{
    return (struct tls_verify *)(void *)context;
}

static void start_chain(const br_x509_class **context, const char *server_name)
{
    (void)server_name; /* BearSSL's copy of the name it sends; peer.host is what is checked */
    struct tls_verify *verify = verify_of(context);
    buf_clear(&verify->chain);
    verify->count = 0;
    verify->err.code = 0;
    verify->usages = 0;
}

/* False once enough was gathered, or there was no room for it. */
static bool gathering(const struct tls_verify *verify)
{
    return verify->count < TLS_CHAIN_CERTIFICATES && verify->err.code == 0;
}

static void start_certificate(const br_x509_class **context, uint32_t length)
{
    struct tls_verify *verify = verify_of(context);
    if (gathering(verify))
        buf_reserve(&verify->chain, length, &verify->err);
}

static void append(const br_x509_class **context, const unsigned char *bytes, size_t count)
{
    struct tls_verify *verify = verify_of(context);
    if (gathering(verify))
        buf_add(&verify->chain, bytes, count, &verify->err);
}

static void end_certificate(const br_x509_class **context)
{
    struct tls_verify *verify = verify_of(context);
    if (gathering(verify))
        verify->ends[verify->count++] = verify->chain.len;
}

static unsigned check_chain(struct tls_verify *verify)
{
    slice chain[TLS_CHAIN_CERTIFICATES];
    size_t start = 0;
    for (size_t i = 0; i < verify->count; start = verify->ends[i++])
        chain[i] = (slice){ verify->chain.ptr + start, verify->ends[i] - start };
    struct tls_path *path = calloc(1, sizeof *path); /* a few KB: too much for a small stack */
    if (path == NULL) {
        err_set(&verify->err, ERR_MEMORY, "no memory to check the certificate of %.100s",
                verify->peer.host);
        return BR_ERR_X509_LIMIT_EXCEEDED;
    }
    path->peer = &verify->peer;
    path->roots = verify->roots;
    path->now = verify->now;
    unsigned reason = tls_path_check(path, chain, verify->count, &verify->key, &verify->usages);
    if (reason != 0)
        tls_refusal(&verify->err, reason, path);
    free(path);
    return reason;
}

static unsigned end_chain(const br_x509_class **context)
{
    struct tls_verify *verify = verify_of(context);
    unsigned reason = BR_ERR_X509_LIMIT_EXCEEDED;
    if (verify->err.code == ERR_LIMIT)
        err_set(&verify->err, ERR_TRUST, "certificates of %.100s have more than %u KiB in all",
                verify->peer.host, TLS_CHAIN_BYTES / 1024);
    else if (verify->err.code == 0)
        reason = verify->chain.len > 0 ? check_chain(verify) : BR_ERR_X509_EMPTY_CHAIN;
    return reason;
}

static const br_x509_pkey *get_key(const br_x509_class *const *context, unsigned *usages)
{
    const struct tls_verify *verify = (const struct tls_verify *)(const void *)context;
    if (usages != NULL)
        *usages = verify->usages;
    return verify->usages == 0 ? NULL : &verify->key;
}

static const br_x509_class verify_class = {
    .context_size = sizeof(struct tls_verify),
    .start_chain = start_chain,
    .start_cert = start_certificate,
    .append = append,
    .end_cert = end_certificate,
    .end_chain = end_chain,
    .get_pkey = get_key,
};

void tls_verify_init(struct tls_verify *verify, const struct tls_peer *peer,
                     const struct tls_roots *roots, int64_t now)
{
    memset(verify, 0, sizeof *verify);
    verify->vtable = &verify_class;
    verify->peer = *peer;
    verify->roots = *roots;
    verify->now = now;
    buf_init(&verify->chain, TLS_CHAIN_BYTES, "the server's chain of certificates");
}

void tls_verify_free(struct tls_verify *verify)
{
    buf_free(&verify->chain);
}
