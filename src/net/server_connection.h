/*
 * net/server_connection.h - inside of the server: one connection, from its first request to its
 * end. Accepting is in server.c, requests and answers are in server_connection.c.
 */
#ifndef NET_SERVER_CONNECTION_H
#define NET_SERVER_CONNECTION_H

#include "net/server.h"
#include "net/transport.h"

struct server_connection {
    struct server_exchange exchange; /* first, so that an exchange pointer is a connection's */
    const struct server_setting *setting;
    const struct wake *stopping; /* the server's */
    int fd;                      /* the transport's; to look at, never to close */
    bool refused;                /* one too many */

    struct transport *stream;
    const struct wake *wake; /* what interrupts the stream now: `stopping`, or NULL */
    struct http1_request request;
    struct buf in;  /* bytes read: a head, what came behind it */
    struct buf out; /* an answer's head */
    bool answered;  /* the request has had its answer */
    bool closing;   /* the connection ends after the answer */
    bool unread;    /* the client may still be sending what nobody will read */
};

/*
 * Serves the connection until it ends; blocks all that time. fd is owned. Stops early once
 * *stopping is signalled, as server_stop tells.
 */
void server_connection_run(struct server_connection *connection);

#endif
