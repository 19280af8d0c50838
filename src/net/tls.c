#include "net/tls.h"

#include <stdlib.h>
#include <time.h>

#include "net/tls_engine.h"
#include "net/tls_roots.h"
#include "net/tls_sessions.h"
#include "net/tls_verify.h"

struct tls_context {
    struct buf file_blob; /* roots of SSL_CERT_FILE; empty where those built in count */
    struct tls_roots roots;
    struct tls_sessions sessions;
};

struct tls {
    struct transport transport; /* first, so that a transport pointer is a tls pointer */
    struct tls_engine engine;
};

int tls_context_new(struct tls_context **out, const char *ca_file, struct err *err)
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (context == NULL || !tls_sessions_init(&context->sessions)) {
        free(context);
        return err_set(err, ERR_MEMORY, "no memory for TLS");
    }
    context->roots.blob = (slice){ (const char *)tls_roots_blob, tls_roots_blob_len };
    if (ca_file != NULL && *ca_file != '\0') {
        buf_init(&context->file_blob, TLS_BUNDLE_FILE_BYTES, "SSL_CERT_FILE");
        int rc = tls_bundle_load(&context->file_blob, ca_file, err);
        if (rc != 0) {
            tls_context_free(context);
            return rc;
        }
        context->roots.blob = buf_slice(&context->file_blob);
        context->roots.from_a_file = true;
    }
    *out = context;
    return 0;
}

void tls_context_free(struct tls_context *context)
{
    if (context == NULL)
        return;
    buf_free(&context->file_blob);
    tls_sessions_free(&context->sessions);
    free(context);
}

/* --- the transport --- */

static struct tls *tls_of(struct transport *transport)
{
    return (struct tls *)(void *)transport;
}

static ptrdiff_t tls_read(struct transport *self, void *bytes, size_t size, deadline_ms deadline,
                          struct err *err)
{
    return tls_engine_read(&tls_of(self)->engine, bytes, size, deadline, err);
}

static int tls_write(struct transport *self, const slice *parts, size_t count, deadline_ms deadline,
                     struct err *err)
{
    return tls_engine_write(&tls_of(self)->engine, parts, count, deadline, err);
}

static ptrdiff_t tls_write_some(struct transport *self, const slice *parts, size_t count,
                                bool yields, deadline_ms deadline, struct err *err)
{
    return tls_engine_write_some(&tls_of(self)->engine, parts, count, yields, deadline, err);
}

static bool tls_usable(struct transport *self)
{
    return tls_engine_usable(&tls_of(self)->engine);
}

static void tls_finish_writing(struct transport *self)
{
    struct transport *under = tls_of(self)->engine.under;
    under->ops->finish_writing(under);
}

/* The memory holds keys and the last plain bytes. */
static void discard(struct tls *tls)
{
    explicit_bzero(tls, sizeof *tls);
    free(tls);
}

static void tls_close(struct transport *self)
{
    struct tls *tls = tls_of(self);
    struct transport *under = tls->engine.under;
    tls_engine_say_goodbye(&tls->engine);
    discard(tls);
    under->ops->close(under);
}

static const struct transport_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .write_some = tls_write_some,
    .usable = tls_usable,
    .finish_writing = tls_finish_writing,
    .close = tls_close,
};

/* --- connecting --- */

/* As certificates have it, without the root's dot; in lower case, so that sessions are found. */
static int copy_host(char name[static TLS_HOST_BYTES], slice host, struct err *err)
{
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len == 0 || host.len >= TLS_HOST_BYTES || memchr(host.ptr, '\0', host.len) != NULL)
        return err_set(err, ERR_INPUT, "TLS needs a host name of 1 to %d bytes",
                       TLS_HOST_BYTES - 1);
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    name[host.len] = '\0';
    return 0;
}

static int shake_hands(struct tls_context *context, struct tls_engine *engine,
                       struct tls_verify *verify, uint16_t port, deadline_ms deadline,
                       struct err *err)
{
    const char *host = engine->host;
    struct tls_peer peer;
    br_ssl_session_parameters session;
    tls_peer_init(&peer, host);
    tls_verify_init(verify, &peer, &context->roots, time(NULL));
    enum tls_session_role role = tls_sessions_begin(&context->sessions, host, port, deadline,
                                                    &session);
    int rc = tls_engine_handshake(engine, &verify->vtable, peer.address_bytes > 0 ? NULL : host,
                                  role == TLS_SESSION_RESUME ? &session : NULL, deadline, err);
    if (rc == 0) {
        br_ssl_engine_get_session_parameters(&engine->client.eng, &session);
    } else if (verify->err.code != 0) {
        *err = verify->err; /* says more than BearSSL's number */
        rc = err->code;
    }
    tls_sessions_end(&context->sessions, host, port, role, rc == 0 ? &session : NULL);
    explicit_bzero(&session, sizeof session);
    tls_verify_free(verify);
    return rc;
}

int tls_connect(struct transport **out, struct tls_context *context, struct transport *under,
                slice host, uint16_t port, deadline_ms deadline, struct err *err)
{
    char name[TLS_HOST_BYTES];
    int rc = copy_host(name, host, err);
    if (rc != 0)
        return rc;
    struct tls *tls = malloc(sizeof *tls);
    struct tls_verify *verify = malloc(sizeof *verify); /* only needed during the handshake */
    if (tls == NULL || verify == NULL) {
        free(tls);
        free(verify);
        return err_set(err, ERR_MEMORY, "no memory for a TLS connection");
    }
    rc = tls_engine_init(&tls->engine, under, name, err);
    if (rc == 0)
        rc = shake_hands(context, &tls->engine, verify, port, deadline, err);
    free(verify);
    if (rc != 0) {
        discard(tls);
        return rc;
    }
    tls->transport.ops = &tls_ops;
    *out = &tls->transport;
    return 0;
}

int tls_check_chain(struct tls_context *context, slice host, const slice *chain, size_t count,
                    int64_t now, struct err *err)
{
    char name[TLS_HOST_BYTES];
    struct tls_peer peer;
    int rc = copy_host(name, host, err);
    if (rc != 0)
        return rc;
    struct tls_verify *verify = malloc(sizeof *verify);
    if (verify == NULL)
        return err_set(err, ERR_MEMORY, "no memory to check certificates");
    tls_peer_init(&peer, name);
    tls_verify_init(verify, &peer, &context->roots, now);
    const br_x509_class **engine = &verify->vtable;
    (*engine)->start_chain(engine, name);
    for (size_t i = 0; i < count; i++) {
        (*engine)->start_cert(engine, (uint32_t)chain[i].len);
        (*engine)->append(engine, (const unsigned char *)chain[i].ptr, chain[i].len);
        (*engine)->end_cert(engine);
    }
    if ((*engine)->end_chain(engine) != 0) {
        *err = verify->err;
        rc = err->code;
    }
    tls_verify_free(verify);
    free(verify);
    return rc;
}
