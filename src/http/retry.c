#include "http/retry.h"

#include "base/limits.h"

uint32_t http_retry_after_ms(const struct http_response *response)
{
    if (!response->has_retry_after)
        return LIMIT_TOO_MANY_MS;
    if (response->retry_after_ms < LIMIT_RETRY_AFTER_MIN_MS)
        return LIMIT_RETRY_AFTER_MIN_MS;
    return response->retry_after_ms < LIMIT_RETRY_AFTER_MS ? response->retry_after_ms
                                                           : LIMIT_RETRY_AFTER_MS;
}

uint32_t http_retry_pause_ms(const struct http_response *response, uint32_t backoff_ms)
{
    uint32_t asked_ms = response->has_retry_after ? http_retry_after_ms(response) : 0;
    return asked_ms > backoff_ms ? asked_ms : backoff_ms;
}
