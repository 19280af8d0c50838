/*
 * http/retry.h - how long to wait before a request is made again, as the server asked for it. Pure.
 */
#ifndef HTTP_RETRY_H
#define HTTP_RETRY_H

#include <stdint.h>

#include "http/client.h"

/*
 * The pause after a 429, in ms: its Retry-After, within LIMIT_RETRY_AFTER_MIN_MS and
 * LIMIT_RETRY_AFTER_MS; LIMIT_TOO_MANY_MS without one.
 */
uint32_t http_retry_after_ms(const struct http_response *response);

/* The pause after any other failure, in ms: the caller's backoff, or a longer Retry-After. */
uint32_t http_retry_pause_ms(const struct http_response *response, uint32_t backoff_ms);

#endif
