/* base/random: bytes that are really drawn, and numbers in the form of UUIDs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

#define BYTES 32

static void bytes_are_drawn_each_time(void **state)
{
    unsigned char first[BYTES + 1] = { 0 }, second[BYTES + 1] = { 0 };
    static const unsigned char none[BYTES];
    (void)state;
    assert_true(random_bytes(first, BYTES));
    assert_true(random_bytes(second, BYTES));
    assert_memory_not_equal(first, none, BYTES);
    assert_memory_not_equal(second, none, BYTES);
    assert_memory_not_equal(first, second, BYTES);
    assert_int_equal(first[BYTES], 0);
}

/* The kernel cannot write there. */
static void a_refusal_is_told(void **state)
{
    (void)state;
    assert_false(random_bytes((void *)1, BYTES));
}

/* Four in a row that are the same come once in 10^28 times. */
static void numbers_differ(void **state)
{
    uint32_t first = random_u32();
    int same = 0;
    (void)state;
    for (int i = 0; i < 3; i++)
        same += random_u32() == first;
    assert_true(same < 3);
}

/* More of them than are drawn ahead. */
static void uuids_are_of_version_4_and_differ(void **state)
{
    char all[40][RANDOM_UUID_BYTES];
    (void)state;
    for (int i = 0; i < 40; i++) {
        random_uuid(all[i]);
        assert_int_equal(strlen(all[i]), RANDOM_UUID_BYTES - 1);
        assert_int_equal(strspn(all[i], "0123456789abcdef-"), RANDOM_UUID_BYTES - 1);
        assert_true(all[i][8] == '-' && all[i][13] == '-' && all[i][18] == '-' &&
                    all[i][23] == '-');
        assert_int_equal(all[i][14], '4');
        assert_non_null(strchr("89ab", all[i][19]));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(all[k], all[i]);
    }
}

/* Each of the 122 bits is 0 in some and 1 in others; that it is not comes once in 10^10 times. */
static void uuids_are_random_but_for_version_and_variant(void **state)
{
    static const char fixed[] = "00000000-0000-4000-8000-000000000000";
    static const char free_bits[] = "ffffffff-ffff-0fff-3fff-ffffffffffff";
    char text[RANDOM_UUID_BYTES], digit[2] = { 0 };
    unsigned any[RANDOM_UUID_BYTES] = { 0 }, all[RANDOM_UUID_BYTES];
    (void)state;
    memset(all, 0xff, sizeof all);
    for (int i = 0; i < 41; i++) {
        random_uuid(text);
        for (size_t k = 0; text[k] != '\0'; k++) {
            digit[0] = text[k] == '-' ? '0' : text[k];
            any[k] |= (unsigned)strtoul(digit, NULL, 16);
            all[k] &= (unsigned)strtoul(digit, NULL, 16);
        }
    }
    for (size_t k = 0; fixed[k] != '\0'; k++) {
        if (fixed[k] == '-')
            continue;
        digit[0] = fixed[k];
        assert_int_equal(all[k], strtoul(digit, NULL, 16));
        digit[0] = free_bits[k];
        assert_int_equal(any[k] & ~all[k], strtoul(digit, NULL, 16));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_drawn_each_time),
        cmocka_unit_test(a_refusal_is_told),
        cmocka_unit_test(numbers_differ),
        cmocka_unit_test(uuids_are_of_version_4_and_differ),
        cmocka_unit_test(uuids_are_random_but_for_version_and_variant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
