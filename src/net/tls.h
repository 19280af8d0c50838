/*
 * net/tls.h - TLS 1.2 as a client, over BearSSL, of which this is the only user.
 *
 * Suites: ECDHE with RSA or ECDSA certificates; AES-128/256-GCM and ChaCha20-Poly1305; curves
 * x25519, P-256, P-384. AES-NI, PCLMULQDQ and 64-bit arithmetic are used where the processor has
 * them. The chain, the host name (or IP address) and the dates are always checked; there is no
 * switch to turn that off.
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
 * NULL or empty. The built-in ones are decoded when first needed. Blocks on reading the file.
 * ERR_CONFIG naming SSL_CERT_FILE where it cannot be read or holds no usable certificate.
 * The context lives until tls_context_free and is safe to use from several threads.
 */
int tls_context_new(struct tls_context **context, const char *ca_file, struct err *err);
void tls_context_free(struct tls_context *context);

/*
 * Does the handshake over `under`, which the new transport then owns; on failure it stays the
 * caller's. host (a DNS name, or an IP address as text) is copied. A session remembered for
 * host and port is resumed where the server agrees. ERR_TRUST with a text for people where the
 * server cannot prove to be `host`; else as transport read.
 */
int tls_connect(struct transport **tls, struct tls_context *context, struct transport *under,
                slice host, uint16_t port, deadline_ms deadline, struct err *err);

#endif
