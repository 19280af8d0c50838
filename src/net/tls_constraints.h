/*
 * net/tls_constraints.h - name constraints of an authority (RFC 5280, section 4.2.1.10). Pure.
 *
 * Known forms: DNS names, addresses, directory names, mail addresses and URIs. Whether the
 * extension is marked critical makes no difference. A DNS constraint that begins with a dot stands
 * for names below it only, as in OpenSSL and Go. A wildcard that covers an excluded name is
 * excluded.
 */
#ifndef NET_TLS_CONSTRAINTS_H
#define NET_TLS_CONSTRAINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "net/tls_der.h"

/*
 * True where every name of the certificate, its subject included, is allowed by the constraints
 * (the content of the extension). Also false where the constraints are malformed, where they limit
 * a form unknown here that the certificate has a name of, and once *budget, what is left of the
 * comparisons for the whole check (1 each, more for long names), is used up: it is 0 then.
 */
bool tls_constraints_allow(slice constraints, const struct der_certificate *certificate,
                           size_t *budget);

#endif
