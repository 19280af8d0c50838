/*
 * net/proxy.h - which requests go through a proxy, by the variables everybody knows:
 * HTTPS_PROXY, HTTP_PROXY, NO_PROXY, in capitals or small letters (small ones win, as in curl).
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "codec/url.h"

/* Values of the variables; linked, not copied; NULL or empty where not set. */
struct proxy_config {
    const char *https_proxy; /* for https:// requests: a tunnel made by CONNECT */
    const char *http_proxy;  /* for http:// requests, sent in absolute form */
    const char *no_proxy;    /* "*", or names and addresses with commas between; ".example.org" and
                              * "example.org" both stand for the domain and all below it */
};

/* Checks both URLs: http:// only, with or without user:password@. ERR_CONFIG names the variable. */
int proxy_check(const struct proxy_config *config, struct err *err);

/* True and *proxy filled in where a request for `origin` goes through a proxy. Pure. */
bool proxy_for(const struct proxy_config *config, const struct url *origin, struct url *proxy);

/* Appends "Basic ..." for the user and password of the proxy's URL. */
int proxy_put_credentials(struct buf *out, const struct url *proxy, struct err *err);

#endif
