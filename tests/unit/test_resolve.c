/* net/resolve: addresses that are written as text, which need no look-up. */
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/resolve.h"

static struct address_list list;

/* By a deadline that is over: nobody is asked. */
static void resolve(const char *host)
{
    struct err err = { 0 };
    list.count = 0;
    assert_int_equal(address_resolve(&list, slice_from(host), 443, NULL, clock_now_ms(), &err), 0);
    assert_int_equal(list.count, 1);
}

static void assert_resolved(const char *host, const char *text)
{
    char found[ADDRESS_TEXT_BYTES];
    resolve(host);
    address_text(&list.items[0], found);
    assert_string_equal(found, text);
}

static void an_address_stands_for_itself(void **state)
{
    (void)state;
    assert_resolved("10.0.0.1", "10.0.0.1:443");
    assert_resolved("::1", "[::1]:443");
    assert_resolved("2001:DB8::a", "[2001:db8::a]:443");
}

static void a_zone_is_a_number_or_a_name(void **state)
{
    unsigned loopback = if_nametoindex("lo");
    (void)state;
    resolve("fe80::1");
    assert_int_equal(list.items[0].v6.sin6_scope_id, 0);
    resolve("fe80::1%7");
    assert_int_equal(list.items[0].v6.sin6_scope_id, 7);
    resolve("fe80::1%4294967295");
    assert_int_equal(list.items[0].v6.sin6_scope_id, UINT32_MAX);
    if (loopback == 0)
        return;
    resolve("fe80::1%lo");
    assert_int_equal(list.items[0].v6.sin6_scope_id, loopback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_stands_for_itself),
        cmocka_unit_test(a_zone_is_a_number_or_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
