/*
 * http/net.h - how this process reaches the network: what all of its HTTP clients share.
 */
#ifndef HTTP_NET_H
#define HTTP_NET_H

#include "codec/proxy.h"
#include "net/tls.h"

/* Set up once, then only read, by any thread. Everything in it is linked and must outlive it. */
struct http_net {
    struct tls_context *tls;   /* NULL: https is refused (ERR_INPUT) */
    struct proxy_config proxy; /* as the environment sets it */
    const char *unix_path; /* connects every request to this socket, whatever its host; or NULL */
};

#endif
