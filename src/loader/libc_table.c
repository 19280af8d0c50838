/*
 * The table costs 6 bytes per name, and the name. An array of pointers would cost 34: a static-pie
 * relocates each pointer at its start, which takes a relocation of 24 bytes and touches every page
 * of the array.
 */
#include "loader/libc_table.h"

#include <features.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Each pass over the list defines anew what a line means. A macro must not pass a name on to
 * another macro, because musl defines macros of some of these names.
 */

/* All names in one object, each with its NUL; a member for each gives its offset. */
#define MUSL(name) char name_##name[sizeof #name];
#define ALIAS(name, what) char name_##name[sizeof #name];
#define WRAPPER(name, what) char name_##name[sizeof #name];
static const struct names {
#include "loader/libc_names.def"
} names = {
#undef MUSL
#undef ALIAS
#undef WRAPPER
#define MUSL(name) #name,
#define ALIAS(name, what) #name,
#define WRAPPER(name, what) #name,
#include "loader/libc_names.def"
};
#undef MUSL
#undef ALIAS
#undef WRAPPER

#define MUSL(name) offsetof(struct names, name_##name),
#define ALIAS(name, what) offsetof(struct names, name_##name),
#define WRAPPER(name, what) offsetof(struct names, name_##name),
static const uint16_t offsets[] = {
#include "loader/libc_names.def"
};
#undef MUSL
#undef ALIAS
#undef WRAPPER

/*
 * Where each name leads: the distance from its place in the list, which only the assembler can
 * write. This file is compiled without LTO, which does not see what the assembler refers to.
 */
#ifdef __GLIBC__
/* A test build has only the names: some functions of musl are not in glibc. */
static const int32_t distances[sizeof offsets / sizeof *offsets];
#else
// clang-format off
#define MUSL(name) ".long " #name " - .\n"
#define ALIAS(name, what) ".long " #what " - .\n"
#define WRAPPER(name, what) ".long " #what " - .\n"
__asm__(".pushsection .rodata.libc_distances,\"a\"\n"
        ".balign 4\n"
        "libc_distances:\n"
#include "loader/libc_names.def"
        ".popsection\n");
// clang-format on
#undef MUSL
#undef ALIAS
#undef WRAPPER
extern const int32_t distances[] __asm__("libc_distances") __attribute__((visibility("hidden")));
#endif

static void *address_of(size_t index)
{
    int32_t distance = distances[index];
    return distance != 0 ? (char *)(uintptr_t)&distances[index] + distance : NULL;
}

size_t libc_name_count(void)
{
    return sizeof offsets / sizeof *offsets;
}

const char *libc_name(size_t index)
{
    return (const char *)&names + offsets[index];
}

void *libc_symbol(const char *name)
{
    size_t from = 0, to = libc_name_count();
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strcmp(name, libc_name(middle));
        if (order == 0)
            return address_of(middle);
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}
