/*
 * codec/route.h - routes that a job names: paths on the handler's server, never another host.
 */
#ifndef CODEC_ROUTE_H
#define CODEC_ROUTE_H

#include "base/err.h"
#include "base/slice.h"

/*
 * Checks a route: a path from the root with an optional query, in characters that a URL may hold
 * (RFC 3986), at most ROUTE_MAX_BYTES. ERR_INPUT for a scheme or host ("//host"), backslashes,
 * fragments, control characters, and "." and ".." as segments, also with parameters ("..;x") and
 * where they are percent-encoded; segments of dots also where they are encoded several times. Pure.
 */
int route_check(slice route, struct err *err);

#define ROUTE_MAX_BYTES 2048 /* a path and its query; servers refuse longer ones */

/* The path of a checked route, without its query, decoded once. Returns its length. Pure. */
size_t route_decode_path(slice route, char path[ROUTE_MAX_BYTES]);

/* True for GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS, in capitals. *name is linked. */
bool route_method(slice method, const char **name);

#endif
