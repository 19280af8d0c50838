#include "base/random.h"

#include <errno.h>
#include <stdio.h>
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

void random_uuid(char text[RANDOM_UUID_BYTES])
{
    uint8_t b[16];
    if (!random_bytes(b, sizeof b))
        for (size_t i = 0; i < sizeof b; i++)
            b[i] = (uint8_t)(random_u32() >> 13);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(text, RANDOM_UUID_BYTES,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
}
