/*
 * net/tls_name.h - compares the names that certificates hold. Pure; any bytes will do.
 */
#ifndef NET_TLS_NAME_H
#define NET_TLS_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/*
 * True where two distinguished names (whole: tag, length and value) are the same by RFC 5280,
 * section 7.1: strings are compared by their characters, whatever their string type, without
 * regard to the case of ASCII letters, to blanks at the ends and to how many blanks are between.
 */
bool tls_name_equal(slice a, slice b);

/*
 * 32 bits that are the same for names that are equal by tls_name_equal, and for few that are not:
 * of a root, the binary carries these instead of the name. Not fit to tell names apart where
 * somebody gains by their being mixed up: whoever asks checks a signature next.
 */
uint32_t tls_name_digest(slice name);

/* True where `name` is `base` itself or stands below it: directoryName constraints. */
bool tls_name_within(slice name, slice base);

/*
 * True where a DNS name of a certificate stands for host, which has no dot at its end. A wildcard
 * is the whole leftmost label of the pattern and stands for exactly one label (RFC 9525, 6.3).
 */
bool tls_name_is_host(slice pattern, const char *host);

#endif
