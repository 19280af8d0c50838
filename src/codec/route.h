/*
 * codec/route.h - routes that a job names: a path on the handler's server, and nothing else.
 */
#ifndef CODEC_ROUTE_H
#define CODEC_ROUTE_H

#include "base/err.h"
#include "base/slice.h"

/*
 * Checks a route: a path from the root with an optional query, in characters that a URL may hold
 * (RFC 3986), at most ROUTE_MAX_BYTES. Refused are a scheme or host ("//host"), backslashes,
 * fragments, "." and ".." as segments, and control characters, each of these percent-encoded too.
 * ERR_INPUT. Pure.
 */
int route_check(slice route, struct err *err);

#define ROUTE_MAX_BYTES 2048 /* a path and its query; servers refuse longer ones */

/* True for GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS, in capitals. *name is linked. */
bool route_method(slice method, const char **name);

#endif
