#include "net/tls_verify.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/tls_crypto.h"
#include "net/tls_der.h"
#include "net/tls_refusal.h"

#define DAYS_TO_1970 719528 /* from BearSSL's day 0, 1 January of the year 0 */
#define DAY_S 86400

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
    verify->chain.len = verify->count = 0;
    verify->err.code = 0;
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

/* The certificates to check: the server's own first, each followed by its issuer's. */
struct path {
    size_t count; /* at least 1 */
    slice bytes[TLS_CHAIN_CERTIFICATES];
    struct der_certificate certificates[TLS_CHAIN_CERTIFICATES];
    bool server_readable;
};

static void swap_steps(struct path *path, size_t i, size_t j)
{
    slice bytes = path->bytes[i];
    struct der_certificate certificate = path->certificates[i];
    path->bytes[i] = path->bytes[j];
    path->certificates[i] = path->certificates[j];
    path->bytes[j] = bytes;
    path->certificates[j] = certificate;
}

/*
 * Servers send their chain in the wrong order, twice, or with strangers in it; BearSSL wants each
 * certificate followed by its issuer's, and nothing in between.
 */
static void find_path(struct path *path, const struct tls_verify *verify)
{
    size_t start = 0;
    for (size_t i = 0; i < verify->count; start = verify->ends[i++]) {
        path->bytes[i] = (slice){ verify->chain.ptr + start, verify->ends[i] - start };
        bool readable = der_certificate(path->bytes[i], &path->certificates[i]);
        if (i == 0)
            path->server_readable = readable;
    }
    for (size_t i = 1; i < verify->count; i++) {
        slice wanted = path->certificates[path->count - 1].issuer;
        if (wanted.len == 0 || !slice_equal(path->certificates[i].subject, wanted))
            continue;
        swap_steps(path, i, path->count++);
        i = path->count - 1; /* the next issuer may have come before */
    }
}

/* An authority matters where it may have issued one of these, a pinned certificate as the first. */
static bool anchor_matters(const br_x509_trust_anchor *anchor, const struct path *path)
{
    slice name = { (const char *)anchor->dn.data, anchor->dn.len };
    if ((anchor->flags & BR_X509_TA_CA) == 0)
        return slice_equal(name, path->certificates[0].subject);
    for (size_t i = 0; i < path->count; i++)
        if (slice_equal(name, path->certificates[i].issuer))
            return true;
    return false;
}

static int gather_anchors(struct buf *anchors, const struct tls_roots *roots,
                          const struct path *path, struct err *err)
{
    slice blob = roots->blob;
    br_x509_trust_anchor anchor;
    while (tls_roots_next(&blob, &anchor)) {
        if (!anchor_matters(&anchor, path))
            continue;
        int rc = buf_add(anchors, &anchor, sizeof anchor, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* True where one of the anchors is an authority of this name, whatever its key. */
static bool is_known(const struct buf *anchors, slice name)
{
    const br_x509_trust_anchor *each = (const br_x509_trust_anchor *)(void *)anchors->ptr;
    for (size_t left = anchors->len / sizeof *each; left > 0; left--, each++)
        if ((each->flags & BR_X509_TA_CA) != 0 &&
            slice_equal((slice){ (const char *)each->dn.data, each->dn.len }, name))
            return true;
    return false;
}

/* Gives the path to BearSSL's engine. Returns its answer: 0 or an error number. */
static unsigned run_minimal(struct tls_verify *verify, const struct path *path,
                            const struct buf *anchors)
{
    const br_x509_class **engine = &verify->minimal.vtable;
    tls_crypto_chain(&verify->minimal, (const br_x509_trust_anchor *)(void *)anchors->ptr,
                     anchors->len / sizeof(br_x509_trust_anchor));
    br_x509_minimal_set_time(&verify->minimal, (uint32_t)(verify->now / DAY_S + DAYS_TO_1970),
                             (uint32_t)(verify->now % DAY_S));
    (*engine)->start_chain(engine, verify->peer.address_bytes > 0 ? NULL : verify->peer.host);
    for (size_t i = 0; i < path->count; i++) {
        slice bytes = path->bytes[i];
        (*engine)->start_cert(engine, (uint32_t)bytes.len);
        if (bytes.len > 0)
            (*engine)->append(engine, (const unsigned char *)bytes.ptr, bytes.len);
        (*engine)->end_cert(engine);
    }
    return (*engine)->end_chain(engine);
}

static bool has_address(slice alt_names, const struct tls_peer *peer)
{
    slice address = { (const char *)peer->address, peer->address_bytes }, name;
    enum der_name_kind kind;
    while (der_next_name(&alt_names, &kind, &name))
        if (kind == DER_NAME_ADDRESS && slice_equal(name, address))
            return true;
    return false;
}

/* What the minimal engine leaves out, about the server's own certificate. */
static unsigned check_server(const struct tls_peer *peer, const struct der_certificate *server)
{
    if (server->alt_names.ptr == NULL)
        return BR_ERR_X509_BAD_SERVER_NAME;
    if (peer->address_bytes > 0 && !has_address(server->alt_names, peer))
        return BR_ERR_X509_BAD_SERVER_NAME;
    if (server->purposes.ptr != NULL && !der_purpose_is_server(server->purposes))
        return BR_ERR_X509_FORBIDDEN_KEY_USAGE;
    return 0;
}

static void refuse(struct tls_verify *verify, unsigned number, const struct path *path,
                   const struct buf *anchors)
{
    const struct tls_refused refused = {
        .peer = &verify->peer,
        .chain = path->certificates,
        .count = path->count,
        .roots_from_a_file = verify->roots.from_a_file,
        .issuer_name_known = is_known(anchors, path->certificates[path->count - 1].issuer),
        .now = verify->now,
    };
    tls_refusal(&verify->err, (int)number, &refused);
}

static unsigned check_chain(struct tls_verify *verify)
{
    struct path path = { .count = 1 };
    struct buf anchors;
    unsigned number = BR_ERR_X509_NOT_TRUSTED;
    find_path(&path, verify);
    buf_init(&anchors, TLS_BUNDLE_FILE_BYTES, "roots of trust");
    if (gather_anchors(&anchors, &verify->roots, &path, &verify->err) == 0) {
        number = run_minimal(verify, &path, &anchors);
        if (number == 0)
            number = path.server_readable ? check_server(&verify->peer, &path.certificates[0])
                                          : BR_ERR_X509_INVALID_VALUE;
        if (number != 0)
            refuse(verify, number, &path, &anchors);
    }
    buf_free(&anchors);
    return number;
}

static unsigned end_chain(const br_x509_class **context)
{
    struct tls_verify *verify = verify_of(context);
    unsigned number = BR_ERR_X509_LIMIT_EXCEEDED;
    if (verify->err.code == ERR_LIMIT)
        err_set(&verify->err, ERR_TRUST, "certificates of %.100s have more than %u KiB in all",
                verify->peer.host, TLS_CHAIN_BYTES / 1024);
    else if (verify->err.code == 0)
        number = verify->chain.len > 0 ? check_chain(verify) : BR_ERR_X509_EMPTY_CHAIN;
    buf_free(&verify->chain);
    return number;
}

static const br_x509_pkey *get_key(const br_x509_class *const *context, unsigned *usages)
{
    const struct tls_verify *verify = (const struct tls_verify *)(const void *)context;
    const br_x509_class *const *engine = &verify->minimal.vtable;
    return (*engine)->get_pkey(engine, usages);
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
