#include "http/body.h"

#include "base/limits.h"

void http_body_begin(struct http_body *body, const struct http1_response *head,
                     deadline_ms deadline, int64_t idle_ms)
{
    *body = (struct http_body){ .kind = head->body,
                                .length = head->content_length,
                                .left = head->content_length,
                                .deadline = deadline,
                                .idle_ms = idle_ms };
}

bool http_body_has_ended(const struct http_body *body)
{
    switch (body->kind) {
    case HTTP1_BODY_LENGTH: return body->left == 0;
    case HTTP1_BODY_CHUNKED: return body->chunks.done;
    case HTTP1_BODY_CLOSE: return body->closed;
    case HTTP1_BODY_NONE: break;
    }
    return true;
}

/* Undecoded bytes: first those received along with the head, then straight from the stream. */
static ptrdiff_t read_plain(struct http_connection *connection, void *bytes, size_t size,
                            deadline_ms deadline, struct err *err)
{
    size_t held = connection->rx_end - connection->rx_start;
    if (held > 0) {
        size_t part = held < size ? held : size;
        memcpy(bytes, connection->rx + connection->rx_start, part);
        connection->rx_start += part;
        return (ptrdiff_t)part;
    }
    struct transport *stream = connection->stream;
    return stream->ops->read(stream, bytes, size, deadline, err);
}

static ptrdiff_t read_counted(struct http_body *body, struct http_connection *connection,
                              void *bytes, size_t size, deadline_ms deadline, struct err *err)
{
    if (size > body->left)
        size = (size_t)body->left;
    ptrdiff_t count = read_plain(connection, bytes, size, deadline, err);
    if (count == 0)
        return err_set(err, ERR_RETRY, "connection closed after %llu of %llu bytes",
                       (unsigned long long)(body->length - body->left),
                       (unsigned long long)body->length);
    if (count > 0)
        body->left -= (uint64_t)count;
    return count;
}

static int fill(struct http_connection *connection, deadline_ms deadline, struct err *err)
{
    if (connection->rx_start < connection->rx_end)
        return 0;
    ptrdiff_t count = http_connection_fill(connection, deadline, err);
    if (count == 0)
        return err_set(err, ERR_RETRY, "connection closed within a chunked body");
    return count < 0 ? (int)count : 0;
}

static ptrdiff_t read_chunked(struct http_body *body, struct http_connection *connection,
                              void *bytes, size_t size, deadline_ms deadline, struct err *err)
{
    while (!body->chunks.done) {
        int rc = fill(connection, deadline, err);
        if (rc != 0)
            return rc;
        /* Decoding never makes it longer, so what is decoded fits. */
        size_t held = connection->rx_end - connection->rx_start;
        slice data;
        ptrdiff_t used = http1_chunks_feed(&body->chunks, connection->rx + connection->rx_start,
                                           held < size ? held : size, &data, err);
        if (used < 0)
            return used;
        connection->rx_start += (size_t)used;
        if (data.len > 0) {
            memcpy(bytes, data.ptr, data.len);
            return (ptrdiff_t)data.len;
        }
    }
    return 0;
}

ptrdiff_t http_body_read(struct http_body *body, struct http_connection *connection, void *bytes,
                         size_t size, deadline_ms until, struct err *err)
{
    if (http_body_has_ended(body))
        return 0;
    /* One point in time for the whole call: chunks' extensions and trailers are not progress. */
    deadline_ms deadline = clock_earlier(clock_deadline(body->idle_ms),
                                         clock_earlier(body->deadline, until));
    if (body->kind == HTTP1_BODY_LENGTH)
        return read_counted(body, connection, bytes, size, deadline, err);
    if (body->kind == HTTP1_BODY_CHUNKED)
        return read_chunked(body, connection, bytes, size, deadline, err);
    ptrdiff_t count = read_plain(connection, bytes, size, deadline, err);
    body->closed = count == 0;
    return count;
}
