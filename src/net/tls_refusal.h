/*
 * net/tls_refusal.h - why a chain of certificates was refused, in words. Pure.
 */
#ifndef NET_TLS_REFUSAL_H
#define NET_TLS_REFUSAL_H

#include "base/err.h"
#include "net/tls_path.h"

/*
 * Sets err to a text for people about a refused path, with the names and dates that matter. reason
 * is what tls_path_check returned. Returns the code, which is ERR_TRUST for every reason.
 */
int tls_refusal(struct err *err, unsigned reason, const struct tls_path *path);

#endif
