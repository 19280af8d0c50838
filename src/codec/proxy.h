/*
 * codec/proxy.h - which requests go through a proxy, by the usual variables HTTPS_PROXY, HTTP_PROXY
 * and NO_PROXY, in upper or lower case (lower case wins, as in curl).
 */
#ifndef CODEC_PROXY_H
#define CODEC_PROXY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "codec/url.h"

/* The variables' values; linked, not copied; NULL or empty where not set. */
struct proxy_config {
    const char *https_proxy; /* for https:// requests, through a CONNECT tunnel */
    const char *http_proxy;  /* for http:// requests, sent in absolute form */
    const char *no_proxy;    /* what is reached without a proxy: a list, see below */
};

/*
 * The entries of NO_PROXY, separated by commas or white space; case is ignored.
 *
 *   example.org  .example.org     the domain and all names below it, as in curl
 *   *.example.org                 only the names below it, as in Go
 *   10.0.0.1  ::1  [::1]          an address, in whichever form the URL has it
 *   10.0.0.0/8  fd00::/8          URLs with an address in that range (names are not looked up)
 *   name:8080  10.0.0.1:8080  [::1]:8080   the first three, at that port only
 *   *                             everything
 *
 * proxy_check refuses any other entry: ignoring it would send requests, with the API key, to the
 * proxy against the operator's intention.
 */

/*
 * Checks both URLs (http:// only, with or without user:password@) and every entry of no_proxy.
 * ERR_CONFIG names the variable and the entry.
 */
int proxy_check(const struct proxy_config *config, struct err *err);

/* True, with *proxy filled in, where a request to `origin` goes through a proxy. Pure. */
bool proxy_for(const struct proxy_config *config, const struct url *origin, struct url *proxy);

/* Appends "Basic ..." for the user and password of the proxy's URL. */
int proxy_put_credentials(struct buf *out, const struct url *proxy, struct err *err);

#endif
