/*
 * http/client_private.h - the client from the inside: client.c does exchanges, client_send.c sends
 * their requests.
 */
#ifndef HTTP_CLIENT_PRIVATE_H
#define HTTP_CLIENT_PRIVATE_H

#include "http/body.h"
#include "http/client.h"
#include "http/connection.h"

struct http_client {
    struct buf head; /* of the request being sent; its memory is kept for the next one */
    struct buf url;  /* where a redirect led */
    struct http_connection connection;
    struct http_body body; /* of the response being read */
    bool keep_alive;       /* the connection may be used again after this body */
};

/* A limit of the request's, from now on, but never later than the end of it all. */
deadline_ms http_bounded(const struct http_request *request, int64_t limit_ms);

enum http_sent {
    HTTP_SENT,
    HTTP_SENT_PARTLY, /* the peer has responded and takes no more; its head is in the connection */
};

/*
 * Sends one request over the open connection. `at_home`: it goes to the origin of the request's own
 * URL. Blocks. An enum http_sent, or an error as http_exchange.
 */
int http_client_send(struct http_client *client, const struct http_request *request,
                     const struct url *url, bool at_home, struct err *err);

#endif
