/*
 * net/tls_refusal.h - why a chain of certificates was refused, in words. Pure.
 */
#ifndef NET_TLS_REFUSAL_H
#define NET_TLS_REFUSAL_H

#include "base/err.h"
#include "net/tls_der.h"
#include "net/tls_verify.h"

/* What was looked at when the chain was refused; linked for the time of the call. */
struct tls_refused {
    const struct tls_peer *peer;
    const struct der_certificate *chain; /* the server's own first, each followed by its issuer's */
    size_t count;                        /* at least 1; the last one's issuer was not sent */
    bool roots_from_a_file;              /* SSL_CERT_FILE was set */
    bool issuer_name_known;              /* some root bears the name of an issuer in the chain */
    int64_t now;
};

/*
 * Sets err to a text for people about this BearSSL error number, with the names and dates that
 * matter. Returns the code, which is ERR_TRUST for every number of a refused chain.
 */
int tls_refusal(struct err *err, int number, const struct tls_refused *refused);

#endif
