/*
 * BearSSL's own seeder opens /dev/urandom, or trusts RDRAND alone. An empty image need not have a
 * /dev, and one system call does better: this file stands in for src/rand/sysrng.c of its tree.
 */
#include <errno.h>
#include <stddef.h>
#include <sys/random.h>

#include "bearssl.h"

/* 32 bytes is what BearSSL's seeder takes too: the whole state of the HMAC_DRBG with SHA-256. */
static int seed_from_kernel(const br_prng_class **ctx)
{
    unsigned char seed[32];
    size_t have = 0;

    while (have < sizeof seed) {
        ssize_t n = getrandom(seed + have, sizeof seed - have, 0);
        if (n > 0)
            have += (size_t)n;
        else if (errno != EINTR)
            return 0;
    }
    (*ctx)->update(ctx, seed, sizeof seed);
    return 1;
}

br_prng_seeder br_prng_seeder_system(const char **name)
{
    if (name != NULL)
        *name = "getrandom";
    return seed_from_kernel;
}
