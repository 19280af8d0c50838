/* loader/libc_table: sorted, complete for the known drivers, and searched correctly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loader/libc_table.h"

/* What the libraries that libc_names.def lists import, or look up. */
static const char *const wanted[] = {
#include "driver_names.inc"
};

static bool is_named(const char *name)
{
    for (size_t i = 0; i < libc_name_count(); i++)
        if (strcmp(libc_name(i), name) == 0)
            return true;
    return false;
}

static void names_are_sorted_and_unique(void **state)
{
    (void)state;
    assert_true(libc_name_count() > 1000);
    for (size_t i = 1; i < libc_name_count(); i++)
        if (strcmp(libc_name(i - 1), libc_name(i)) >= 0)
            fail_msg("%s comes before %s", libc_name(i - 1), libc_name(i));
}

static void names_of_known_drivers_are_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!is_named(wanted[i]))
            fail_msg("no %s", wanted[i]);
}

/* On glibc (the sanitizers' build) the table only has names. */
static void every_name_has_an_address(void **state)
{
    (void)state;
#ifdef __GLIBC__
    skip();
#endif
    for (size_t i = 0; i < libc_name_count(); i++)
        if (libc_symbol(libc_name(i)) == NULL)
            fail_msg("%s has none", libc_name(i));
    assert_ptr_equal(libc_symbol("memcpy"), (void *)(uintptr_t)memmove);
    assert_ptr_equal(libc_symbol("strlen"), (void *)(uintptr_t)strlen);
}

static void others_are_not_found(void **state)
{
    (void)state;
    assert_null(libc_symbol(""));
    assert_null(libc_symbol("A"));
    assert_null(libc_symbol("strle"));
    assert_null(libc_symbol("strlenn"));
    assert_null(libc_symbol("~"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_sorted_and_unique),
        cmocka_unit_test(names_of_known_drivers_are_there),
        cmocka_unit_test(every_name_has_an_address),
        cmocka_unit_test(others_are_not_found),
    };
    return cmocka_run_group_tests_name("libc_table", tests, NULL, NULL);
}
