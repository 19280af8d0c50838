/* Reading from a connection, and what a head says is to be read. */
#include "http/server_private.h"

ptrdiff_t server_read(struct server_connection *c, char *bytes, size_t size, deadline_ms deadline,
                      struct err *err)
{
    ptrdiff_t count = c->stream->ops->read(c->stream, bytes, size, deadline, err);
    return count != 0 ? count : err_set(err, ERR_RETRY, "the client closed its connection");
}

bool server_has_body(const struct http1_request *request)
{
    return request->body == HTTP1_BODY_CHUNKED || request->content_length > 0;
}
