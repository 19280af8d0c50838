/*
 * codec/backoff.h - how long to wait before the next try: pauses double from a first to a longest
 * one, with jitter so that many workers do not retry in step. Pure: the caller passes the random
 * number and does the waiting. A struct backoff belongs to one thread at a time.
 */
#ifndef CODEC_BACKOFF_H
#define CODEC_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint32_t first_ms;
    uint32_t longest_ms;
    uint32_t failures; /* in a row; set to 0 on success */
};

/*
 * Counts one more failure and returns the pause before the next try, in ms: between half (rounded
 * up) and all of first_ms * 2^failures or longest_ms, whichever is less, so 0 only where one of
 * these is 0. random is any 32 bits.
 */
uint32_t backoff_next_ms(struct backoff *backoff, uint32_t random);

/* Back to the first pause. */
void backoff_reset(struct backoff *backoff);

#endif
