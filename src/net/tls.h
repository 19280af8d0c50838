/*
 * net/tls.h - TLS 1.2 as a client, over BearSSL, of which this is the only user.
 *
 * Suites: ECDHE with RSA or ECDSA certificates; AES-128/256-GCM and ChaCha20-Poly1305; curves
 * x25519, P-256, P-384, P-521. AES-NI and PCLMULQDQ are used where the processor has them. The
 * chain, the host name (or IP address) and the dates are always checked; there is no switch to
 * turn that off. Only names in subjectAltName count. Revocation is not checked.
 *
 * Memory: some 41 KB of addresses a connection, of which an idle one has touched 18.
 * Stack: under 10 KB in tls_connect, less in everything else.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"
#include "net/transport.h"

/* Roots of trust and remembered sessions; one for the whole process, shared by all threads. */
struct tls_context;

/*
 * Makes a context. Roots: the PEM bundle ca_file, or those built into the binary where ca_file is
 * NULL or empty. Every certificate in the bundle is also trusted as a server's own, byte for byte,
 * so that a self-signed one can be named. Blocks on the file, which is not looked at again.
 * ERR_CONFIG naming SSL_CERT_FILE where it cannot be read or holds no usable certificate.
 * The context lives until tls_context_free and is safe to use from several threads.
 */
int tls_context_new(struct tls_context **context, const char *ca_file, struct err *err);
void tls_context_free(struct tls_context *context);

/*
 * Does the handshake over `under`, which the new transport then owns; on failure it stays the
 * caller's. host (a DNS name, or an IP address as text, without brackets) is copied; a dot at its
 * end is left out. A session remembered for host and port is resumed where the server agrees.
 * While another thread does the first handshake with them, this one waits for its session, for
 * 3 s at most, and then does a full handshake of its own (net/tls_sessions.h).
 *
 * Every error text names the host. ERR_TRUST with a text for people where the server cannot prove
 * to be `host`; ERR_PEER where it speaks no TLS, not TLS 1.2, or breaks it; ERR_INPUT where host
 * is empty or longer than 255 bytes; ERR_MEMORY; else as transport read.
 */
int tls_connect(struct transport **tls, struct tls_context *context, struct transport *under,
                slice host, uint16_t port, deadline_ms deadline, struct err *err);

/*
 * The check of certificates alone, as tls_connect does it at `now` (seconds since 1970, UTC) with
 * what a server sends: at least one certificate in DER, its own first. For tests: no connection is
 * needed. Errors as tls_connect.
 */
int tls_check_chain(struct tls_context *context, slice host, const slice *chain, size_t count,
                    int64_t now, struct err *err);

#endif
