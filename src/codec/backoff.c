#include "codec/backoff.h"

uint32_t backoff_next_ms(struct backoff *backoff, uint32_t random)
{
    /* A shift of 32 or more would only ever give more than longest_ms can hold. */
    uint64_t whole = backoff->failures < 32  ? (uint64_t)backoff->first_ms << backoff->failures
                     : backoff->first_ms > 0 ? UINT64_MAX
                                             : 0;
    if (whole > backoff->longest_ms)
        whole = backoff->longest_ms;
    if (backoff->failures < UINT32_MAX)
        backoff->failures++;
    uint64_t jitter = whole / 2;
    return (uint32_t)(whole - jitter + (random * (jitter + 1) >> 32));
}

void backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
}
