/*
 * http/relay_private.h - the relay from the inside: relay.c moves bytes between the two
 * connections, relay_head.c writes the heads. The bodies: relay_pipe.h.
 */
#ifndef HTTP_RELAY_PRIVATE_H
#define HTTP_RELAY_PRIVATE_H

#include "base/clock.h"
#include "http/connection.h"
#include "http/relay.h"
#include "http/relay_pipe.h"
#include "http/server_private.h"

enum relay_phase {
    RELAY_HEAD,   /* the response's head has not come whole */
    RELAY_BODY,   /* its body is on the way */
    RELAY_TUNNEL, /* both sides have switched to a WebSocket */
};

struct relay {
    const struct relay_setting *setting;
    struct http_connection connection; /* to the server; nothing is received into it */
    int64_t used_ms;                   /* when it last was */
    struct buf head;                   /* of the request */
    struct buf forwarded;              /* X-Forwarded-For */
    struct relay_pipe request, response;

    /* The exchange at hand. */
    struct server_connection *client;
    bool reused; /* the connection was a kept-alive one */
    int rc;      /* of the steps so far, and its text */
    struct err err;
    struct relay_result *result;
    enum relay_phase phase;
    bool upgrades;     /* the request asks for a WebSocket */
    bool refused;      /* the server takes no more of the request */
    bool keeps;        /* the connection may be used again */
    size_t head_bytes; /* of the response's head, so far */
    deadline_ms whole; /* for all of it */
    int64_t asked_ms;  /* when the request had been sent; 0: not yet */
    int64_t heard_ms;  /* when the server last sent something */
    int64_t client_ms; /* when the client last sent or took something */
    int64_t now_ms;    /* at the latest step */
};

/* --- relay_head.c --- */

/* Writes the request's head to relay->head, and decides whether it asks for a WebSocket. */
int relay_put_request(struct relay *relay, struct err *err);

/* Writes the response's head to the client's buffer; relay->response.packs is set. */
int relay_put_response(struct relay *relay, const struct http1_response *head, struct err *err);

#endif
