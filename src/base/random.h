/*
 * base/random.h - randomness from the kernel (getrandom; an empty image has no /dev/urandom).
 * Blocks only until the kernel's pool is ready, which is before any container starts.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills bytes[0..count), count at most 256. False where the kernel refuses. */
bool random_bytes(void *bytes, size_t count);

/* 32 random bits for jitter; the clock's low bits where the kernel refuses. */
uint32_t random_u32(void);

#define RANDOM_UUID_BYTES 37 /* 36 characters and NUL */

/* Writes a random (version 4) UUID in its text form. */
void random_uuid(char text[RANDOM_UUID_BYTES]);

#endif
