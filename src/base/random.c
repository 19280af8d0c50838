#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/clock.h"

bool random_bytes(void *bytes, size_t count)
{
    ssize_t got;
    do {
        got = getrandom(bytes, count, 0);
    } while (got < 0 && errno == EINTR);
    return got >= 0 && (size_t)got == count;
}

uint32_t random_u32(void)
{
    uint32_t value;
    if (!random_bytes(&value, sizeof value))
        value = (uint32_t)clock_now_ms() * UINT32_C(2654435761);
    return value;
}

#define UUID_BYTES 16
#define UUIDS_AHEAD 16 /* random_bytes gives so many at a time */

/* Those of the thread's next UUIDs: one system call for several. */
static _Thread_local struct {
    uint8_t bytes[UUIDS_AHEAD][UUID_BYTES];
    size_t left;
} ahead;

static uint8_t *next_uuid(void)
{
    if (ahead.left == 0) {
        if (!random_bytes(ahead.bytes, sizeof ahead.bytes))
            for (size_t i = 0; i < sizeof ahead.bytes; i++)
                ahead.bytes[i / UUID_BYTES][i % UUID_BYTES] = (uint8_t)(random_u32() >> 13);
        ahead.left = UUIDS_AHEAD;
    }
    return ahead.bytes[--ahead.left];
}

void random_uuid(char text[RANDOM_UUID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *bytes = next_uuid();
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    *text = '\0';
}
