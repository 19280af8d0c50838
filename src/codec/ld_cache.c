#include "codec/ld_cache.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>

/* The older table may stand before the current one, which begins behind it at a multiple of 8. */
static const char old_magic[] = "ld.so-1.7.0";
enum { OLD_COUNT = 12, OLD_HEAD = 16, OLD_ENTRY = 12, OLD_ALIGN = 8 };

static const char magic[] = "glibc-ld.so.cache1.1";
enum { COUNT = 20, HEAD = 48, ENTRY = 24 };           /* bytes from the table's start */
enum { FLAGS = 0, NAME = 4, PATH = 8 };               /* bytes from an entry's start */
enum { X86_64_LIB64 = 0x303, AARCH64_LIB64 = 0xa03 }; /* an entry's flags */

static uint32_t number(slice bytes, size_t at)
{
    uint32_t value;
    memcpy(&value, bytes.ptr + at, sizeof value);
    return value;
}

/* The table that offsets of names and paths count from, or empty. */
static slice current_table(slice cache)
{
    if (slice_starts(cache, slice_from(old_magic)) && cache.len >= OLD_HEAD) {
        uint64_t end = OLD_HEAD + (uint64_t)number(cache, OLD_COUNT) * OLD_ENTRY;
        end = (end + OLD_ALIGN - 1) & ~(uint64_t)(OLD_ALIGN - 1);
        if (end > cache.len)
            return (slice){ 0 };
        cache = (slice){ cache.ptr + end, cache.len - (size_t)end };
    }
    return slice_starts(cache, slice_from(magic)) && cache.len >= HEAD ? cache : (slice){ 0 };
}

/* A text at an offset; NULL if it does not end within the table. */
static const char *text_at(slice table, uint32_t offset)
{
    return offset < table.len && memchr(table.ptr + offset, 0, table.len - offset) != NULL
               ? table.ptr + offset
               : NULL;
}

const char *ld_cache_next(slice cache, const char *name, unsigned machine, size_t *cursor)
{
    slice table = current_table(cache);
    uint32_t wanted = machine == EM_AARCH64 ? AARCH64_LIB64 : X86_64_LIB64;
    if (table.len == 0 || number(table, COUNT) > (table.len - HEAD) / ENTRY)
        return NULL;
    size_t count = number(table, COUNT);
    while (*cursor < count) {
        size_t entry = HEAD + (*cursor)++ * ENTRY;
        const char *has = text_at(table, number(table, entry + NAME));
        const char *path = text_at(table, number(table, entry + PATH));
        if (number(table, entry + FLAGS) == wanted && has != NULL && path != NULL &&
            strcmp(has, name) == 0)
            return path;
    }
    return NULL;
}
