/*
 * A connection of the server: whatever a client sends, in whatever pieces, the server answers with
 * well-formed responses, one after the other, and ends.
 */
#include <stddef.h>
#include <stdint.h>

#include "connection.h"

#define INPUT_MAX 6000 /* so that it fits into the socket: nobody reads meanwhile */
#define OUTPUT_MAX (1u << 20)
#define BODY_MAX 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- handlers ------------------------------------------------------------------------------- */

/* Sends the body back; what is in it must be readable to its end. */
static void echo(struct server_exchange *exchange, void *owner)
{
    (void)owner;
    must(exchange->body.len <= BODY_MAX);
    const slice parts[] = { buf_slice(&exchange->body), SLICE_LITERAL("{") };
    const struct server_response response = { 200, "text/plain", NULL, 0, parts, 2 };
    server_respond(exchange, &response, NULL);
}

static void stream(struct server_exchange *exchange, void *owner)
{
    (void)owner;
    const struct server_response response = { 200, "text/plain", NULL, 0, NULL, 0 };
    if (server_stream_begin(exchange, &response, NULL) == 0 &&
        server_stream_write(exchange, exchange->args[0], NULL) == 0 &&
        exchange->request->query.len == 0)
        server_stream_end(exchange, NULL);
}

static void take_body(struct server_exchange *exchange, void *owner)
{
    (void)owner;
    struct buf body = exchange->body;
    exchange->body = (struct buf){ 0 };
    buf_free(&body);
}

static void hang_up(struct server_exchange *exchange, void *owner)
{
    (void)owner;
    server_hang_up(exchange);
}

static const struct server_route routes[] = {
    { "GET, HEAD, POST", "/echo", echo },
    { "GET, HEAD", "/stream/*", stream },
    { "POST", "/take", take_body },
    { "GET", "/gone", hang_up },
};

/* --- one connection ------------------------------------------------------------------------- */

/* The first byte chooses how the rest of them comes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[OUTPUT_MAX];
    static const struct server_setting setting = { .routes = routes,
                                                   .route_count = sizeof routes / sizeof *routes,
                                                   .connections_max = 1,
                                                   .body_max_bytes = BODY_MAX };
    if (size < 1 || size > INPUT_MAX)
        return 0;
    /* Few pieces: each takes room of its own in the socket. A piece that is cut is lost data. */
    size_t step = data[0] % 4 == 0 ? size : (size_t)(data[0] / 4) * 16 + 40;
    size_t len = fuzz_serve(&setting, data[0] == 255, data + 1, size - 1, step, out, sizeof out);
    fuzz_check_responses((slice){ out, len }, NULL);
    return 0;
}
