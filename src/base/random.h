/*
 * base/random.h - random numbers from the kernel, by getrandom: an empty image has no /dev/urandom.
 * Blocks only until the kernel's pool is initialized, which is long before a container starts. May
 * be called from any thread.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills bytes[0..count), count at most 256. False if the kernel refuses. */
bool random_bytes(void *bytes, size_t count);

/* 32 random bits for jitter; from the clock if the kernel refuses. */
uint32_t random_u32(void);

#define RANDOM_UUID_BYTES 37 /* 36 characters and NUL */

/* Writes a random (version 4) UUID in its text form. A forked child must not call it. */
void random_uuid(char text[RANDOM_UUID_BYTES]);

#endif
