/* files/volume_cache: the name of a cache, which becomes part of a path on somebody's volume. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "files/volume_cache.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct {
    const char *name;
    bool good;
} names[] = {
    { "a", true },       { "Model-1.5_x", true }, { "...", true },   { ".hidden", true },
    { "a b", true },     { "\xc3\xa9", true },    { "", false },     { ".", false },
    { "..", false },     { "/", false },          { "a/b", false },  { "a/", false },
    { "a\\b", false },   { "\\", false },         { "a\nb", false }, { "\x1f", false },
    { "\tname", false }, { "name/..", false },
};

static void a_name_is_one_part_of_a_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct err err = { 0 };
        int rc = volume_cache_check_name(slice_from(names[i].name), &err);
        assert_int_equal(rc, names[i].good ? 0 : ERR_CONFIG);
        assert_true(names[i].good || strstr(err.text, "must be a single path component") != NULL);
    }
}

static void a_name_has_255_bytes_at_the_most(void **state)
{
    char name[256];
    struct err err;
    (void)state;
    memset(name, 'n', sizeof name);
    assert_int_equal(volume_cache_check_name((slice){ name, 255 }, &err), 0);
    assert_int_equal(volume_cache_check_name((slice){ name, 256 }, &err), ERR_CONFIG);
    assert_int_equal(volume_cache_check_name(SLICE_LITERAL("a\0b"), &err), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_one_part_of_a_path),
        cmocka_unit_test(a_name_has_255_bytes_at_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
