/*
 * tests/unit/guard.h - test input placed right against an unreadable page.
 *
 * A parser that reads one byte past the end of such a slice faults, in every build, sanitizer or
 * not. There is no NUL after the bytes, and no readable byte at all. Nothing here can fail: where
 * the system gives no memory the test program ends.
 */
#ifndef TESTS_UNIT_GUARD_H
#define TESTS_UNIT_GUARD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/slice.h"

/* Readable bytes in front of the unreadable page: whole pages, at least one. */
static inline size_t guard_room(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return len == 0 ? page : (len + page - 1) / page * page;
}

/*
 * A copy of bytes[0..len) that ends where the unreadable page starts; an empty one points at that
 * page. The bytes before the copy are 0xff. The copy may be written to. Free with guard_free.
 */
static inline slice guard_copy(const char *bytes, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = guard_room(len);
    char *base = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);
    if (base == MAP_FAILED || mprotect(base + room, page, PROT_NONE) != 0) {
        perror("guard_copy");
        abort();
    }
    memset(base, 0xff, room - len);
    if (len > 0)
        memcpy(base + room - len, bytes, len);
    return (slice){ base + room - len, len };
}

/* The same for a NUL-terminated text, without its NUL. */
static inline slice guard_text(const char *text)
{
    return guard_copy(text, strlen(text));
}

/* Unmaps a copy. `copy` must be as it was returned: same pointer, same length. */
static inline void guard_free(slice copy)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = guard_room(copy.len);
    if (munmap((char *)(size_t)(copy.ptr + copy.len) - room, room + page) != 0) {
        perror("guard_free");
        abort();
    }
}

#endif
