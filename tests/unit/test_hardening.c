/*
 * What the build promises of the memory of a running binary, asked of the kernel: the one thing
 * here that is about the link, not about a module.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Holds addresses, so it is written by relocation, and by nothing else after. */
static const char *const relocated[] = { "a", "table", "of", "pointers" };

/* The rights of the mapping that holds address ("r-xp"), or of all mappings whose line has name. */
static int any_mapping(uintptr_t address, const char *name, char right)
{
    char line[512];
    int found = 0, seen = 0;
    FILE *maps = fopen("/proc/self/maps", "re");

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        uintptr_t from = 0, to = 0;
        char rights[5] = "";
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, rights) != 3)
            continue;
        if (name == NULL ? address >= from && address < to : strstr(line, name) != NULL) {
            seen++;
            found |= strchr(rights, right) != NULL;
        }
    }
    fclose(maps);
    assert_int_not_equal(seen, 0);
    return found;
}

static void relocated_tables_are_read_only(void **state)
{
    (void)state;
    assert_true(any_mapping((uintptr_t)relocated, NULL, 'r'));
    assert_false(any_mapping((uintptr_t)relocated, NULL, 'w'));
}

static void the_stack_is_not_executable(void **state)
{
    (void)state;
    assert_true(any_mapping(0, "[stack]", 'w'));
    assert_false(any_mapping(0, "[stack]", 'x'));
}

static void code_is_not_writable(void **state)
{
    (void)state;
    assert_true(any_mapping((uintptr_t)&code_is_not_writable, NULL, 'x'));
    assert_false(any_mapping((uintptr_t)&code_is_not_writable, NULL, 'w'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relocated_tables_are_read_only),
        cmocka_unit_test(the_stack_is_not_executable),
        cmocka_unit_test(code_is_not_writable),
    };
    return cmocka_run_group_tests_name("hardening", tests, NULL, NULL);
}
