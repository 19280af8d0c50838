/*
 * files/inflate.h - unpacks deflate streams (RFC 1951) of any length in constant memory.
 *
 * Bytes come and go by two functions of the caller. Nothing is trusted: every table and distance is
 * checked, and no byte outside the state is touched. Allocates nothing.
 */
#ifndef FILES_INFLATE_H
#define FILES_INFLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define INFLATE_WINDOW_BYTES 32768u /* how far back a stream may refer; RFC 1951, section 2 */
#define INFLATE_CODES 288
#define INFLATE_LONGEST 15    /* bits of a code */
#define INFLATE_QUICK_BITS 10 /* codes up to this long are found in one step */

struct inflate_codes {
    uint16_t count[INFLATE_LONGEST + 1];      /* codes of each length */
    uint16_t symbol[INFLATE_CODES];           /* in the order of their codes */
    uint16_t quick[1u << INFLATE_QUICK_BITS]; /* symbol times 16 plus length; 0: a longer code */
};

struct inflate {
    /* Sets *more to the next bytes of the stream, valid until the next call; empty at its end. */
    int (*read)(struct inflate *self, slice *more, struct err *err);
    /* Takes bytes that have been unpacked. A negative result ends the run. */
    int (*write)(struct inflate *self, slice bytes, struct err *err);

    /* Of the run. */
    slice in;
    uint64_t bits;
    unsigned bit_count;
    bool ended;      /* read has no more */
    size_t at, sent; /* in window: bytes there are, and those that write has got */
    unsigned char window[2 * INFLATE_WINDOW_BYTES];
    struct inflate_codes literals, distances;
};

/*
 * Unpacks one stream from its first byte; what follows it is left unread. Only read and write need
 * be set. The struct has 70 KiB: not for small stacks. 0; ERR_INPUT for a stream that is damaged or
 * cut off; the errors of read and write.
 */
int inflate_run(struct inflate *self, struct err *err);

#endif
