/*
 * Functions that a library imports and nobody has. Most are never called, so the library is loaded;
 * the one that is called says which it was. Each needs an address of its own to know that: they
 * are numbered functions of this program, since memory that is written and then run would be refused
 * on hardened systems.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/loader_lib.h"

static struct missing {
    const char *name, *path; /* linked: libraries are never unmapped once they run */
} missing[LOADER_MISSING_MAX];
static size_t missing_count;

static void say(const char *text)
{
    ssize_t written = write(2, text, strlen(text));
    (void)written;
}

/* No stdio: the caller is a library in an unknown state. */
static _Noreturn void give_up(size_t number)
{
    say(missing[number].path);
    say(" called ");
    say(missing[number].name);
    say(", a function of glibc that the worker's libc table lacks (src/gpu/libc_names.def)\n");
    abort();
}

// clang-format off
/* Numbers are octal: 0 to 0177. */
#define STUB(n) static void stub_##n(void) { give_up(0##n); }
#define ADDRESS(n) stub_##n,
#define EIGHT(do, n) do(n##0) do(n##1) do(n##2) do(n##3) do(n##4) do(n##5) do(n##6) do(n##7)
#define ALL(do) \
    EIGHT(do, 0) EIGHT(do, 1) EIGHT(do, 2) EIGHT(do, 3) \
    EIGHT(do, 4) EIGHT(do, 5) EIGHT(do, 6) EIGHT(do, 7) \
    EIGHT(do, 10) EIGHT(do, 11) EIGHT(do, 12) EIGHT(do, 13) \
    EIGHT(do, 14) EIGHT(do, 15) EIGHT(do, 16) EIGHT(do, 17)
ALL(STUB)
// clang-format on

static void (*const stubs[])(void) = { ALL(ADDRESS) };

_Static_assert(sizeof stubs / sizeof *stubs == LOADER_MISSING_MAX, "a stub for each");

void *loader_missing(const char *name, const struct loader_lib *lib)
{
    size_t i = 0;
    void *address;
    while (i < missing_count &&
           (missing[i].path != lib->path || strcmp(missing[i].name, name) != 0))
        i++;
    if (i == LOADER_MISSING_MAX)
        return NULL;
    if (i == missing_count)
        missing[missing_count++] = (struct missing){ name, lib->path };
    memcpy(&address, &stubs[i], sizeof address);
    return address;
}

size_t loader_missing_count(void)
{
    return missing_count;
}

void loader_forget_missing(size_t count)
{
    missing_count = count;
}
