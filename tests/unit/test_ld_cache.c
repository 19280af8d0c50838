/* codec/ld_cache: finds libraries in a cache as ldconfig writes it, and reads no byte too many. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/ld_cache.h"
#include "guard.h"

#define HEAD 48u
#define ENTRY 24u
enum { LIB64 = 0x303, LIB32 = 0x003, ARM64 = 0xa03 };

static char cache[1024];
static size_t start, entries, end; /* of the table, its entries so far, the text behind them */

static void put(size_t at, uint32_t value)
{
    memcpy(cache + at, &value, sizeof value);
}

/* A cache of `count` entries, with `old` entries of the older kind before it. */
static void begin(uint32_t count, uint32_t old)
{
    memset(cache, 0, sizeof cache);
    start = 0;
    if (old > 0) {
        memcpy(cache, "ld.so-1.7.0", 11);
        put(12, old);
        start = (16 + old * 12 + 7) / 8 * 8;
    }
    memcpy(cache + start, "glibc-ld.so.cache1.1", 20);
    put(start + 20, count);
    entries = 0;
    end = HEAD + count * ENTRY;
}

static uint32_t add_text(const char *text)
{
    size_t at = end;
    memcpy(cache + start + at, text, strlen(text) + 1);
    end += strlen(text) + 1;
    return (uint32_t)at;
}

static void add(uint32_t flags, const char *name, const char *path)
{
    size_t at = start + HEAD + entries++ * ENTRY;
    put(at, flags);
    put(at + 4, add_text(name));
    put(at + 8, add_text(path));
}

/* All paths of a name, one after the other, from a cache of that many bytes. */
static const char *found(const char *name, unsigned machine, size_t len)
{
    static char all[256];
    size_t cursor = 0;
    slice guarded = guard_copy(cache, len);
    all[0] = '\0';
    for (const char *path; (path = ld_cache_next(guarded, name, machine, &cursor)) != NULL;)
        strcat(strcat(all, path), " ");
    guard_free(guarded);
    return all;
}

static void paths_in_the_order_of_the_cache(void **state)
{
    (void)state;
    for (uint32_t old = 0; old < 3; old++) {
        begin(4, old);
        add(LIB32, "libcuda.so.1", "/lib32/libcuda.so.1");
        add(LIB64, "libcuda.so.1", "/opt/libcuda.so.1");
        add(ARM64, "libcuda.so.1", "/arm/libcuda.so.1");
        add(LIB64, "libcuda.so.1", "/usr/libcuda.so.1");
        assert_string_equal(found("libcuda.so.1", EM_X86_64, start + end),
                            "/opt/libcuda.so.1 /usr/libcuda.so.1 ");
        assert_string_equal(found("libcuda.so.1", EM_AARCH64, start + end), "/arm/libcuda.so.1 ");
        assert_string_equal(found("libcuda.so", EM_X86_64, start + end), "");
    }
}

static void what_is_cut_off_is_not_found(void **state)
{
    (void)state;
    begin(1, 1);
    add(LIB64, "libcuda.so.1", "/opt/libcuda.so.1");
    for (size_t len = 0; len < start + end; len++)
        assert_string_equal(found("libcuda.so.1", EM_X86_64, len), "");
    assert_string_equal(found("libcuda.so.1", EM_X86_64, start + end), "/opt/libcuda.so.1 ");
}

static void numbers_that_lie(void **state)
{
    (void)state;
    begin(1, 0);
    add(LIB64, "libcuda.so.1", "/opt/libcuda.so.1");
    put(20, UINT32_MAX); /* entries */
    assert_string_equal(found("libcuda.so.1", EM_X86_64, end), "");
    put(20, 1);
    put(HEAD + 8, UINT32_MAX); /* the path's offset */
    assert_string_equal(found("libcuda.so.1", EM_X86_64, end), "");
    begin(1, 1);
    put(12, UINT32_MAX); /* entries of the older table */
    assert_string_equal(found("libcuda.so.1", EM_X86_64, sizeof cache), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_in_the_order_of_the_cache),
        cmocka_unit_test(what_is_cut_off_is_not_found),
        cmocka_unit_test(numbers_that_lie),
    };
    return cmocka_run_group_tests_name("ld_cache", tests, NULL, NULL);
}
