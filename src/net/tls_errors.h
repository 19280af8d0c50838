/*
 * net/tls_errors.h - BearSSL's error numbers as texts for people. Pure.
 */
#ifndef NET_TLS_ERRORS_H
#define NET_TLS_ERRORS_H

#include "base/err.h"

/*
 * Sets err for a BearSSL error number (an alert that was received is 256 and the alert's own
 * number). Every text names the host. Returns the code: ERR_TRUST where the peer's certificate or
 * its proof that the certificate is its own is at fault, ERR_RETRY for trouble that passes,
 * else ERR_PEER.
 */
int tls_error(struct err *err, const char *host, int number);

/* The same during a handshake, where some alerts say that client and server do not fit. */
int tls_handshake_error(struct err *err, const char *host, int number);

#endif
