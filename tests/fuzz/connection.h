/*
 * connection.h - for fuzz targets of the server: one connection from the bytes that a client sends
 * to the bytes that it gets.
 */
#ifndef FUZZ_CONNECTION_H
#define FUZZ_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/http1.h"
#include "http/server.h"
#include "must.h"

/*
 * Sends the bytes in pieces of `step` into a SOCK_SEQPACKET socket, so that each is one read of the
 * other end's, and closes this half. Aborts where they do not fit into the socket's buffer.
 */
void fuzz_send(int fd, const uint8_t *data, size_t size, size_t step);

/*
 * Serves one connection over which the bytes come in pieces of `step`, each of which is one read of
 * the server's, and whose sending half is then closed. `refused`: it is one over the maximum.
 * Writes what was answered to `out`; returns how much that was. All of it has to fit.
 */
size_t fuzz_serve(const struct server_setting *setting, bool refused, const uint8_t *data,
                  size_t size, size_t step, char *out, size_t out_size);

/*
 * The answers have to be well-formed responses, one after the other. `look` may be NULL; it gets
 * each whole one with its body, chunks put together; bodies that were cut short or left out are
 * not looked at.
 */
void fuzz_check_responses(slice out,
                          void (*look)(const struct http1_response *response, slice body));

#endif
