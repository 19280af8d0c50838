/*
 * Stubs for functions that a library imports and nobody defines. Most are never called, so the
 * library is loaded anyway; a stub that is called reports which function it stands for. To know
 * that, each needs an address of its own. They are numbered functions of this program, because
 * hardened systems refuse memory that is first written and then executed.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/loader_private.h"

static struct missing {
    const char *name, *path; /* linked: a library that runs is never unmapped */
} missing[LOADER_MISSING_MAX];
static size_t missing_count;

static void print(const char *text)
{
    ssize_t written = write(2, text, strlen(text));
    (void)written;
}

/* Without stdio: the library that calls may be in any state. */
static _Noreturn void report_and_abort(size_t number)
{
    print(missing[number].path);
    print(" called ");
    print(missing[number].name);
    print(", a function of glibc that the worker's libc table lacks (src/loader/libc_names.def)\n");
    abort();
}

// clang-format off
/* The numbers are octal: 0 to 0177. */
#define STUB(n) static void stub_##n(void) { report_and_abort(0##n); }
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

_Static_assert(sizeof stubs / sizeof *stubs == LOADER_MISSING_MAX,
               "one stub for each missing function");

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
