/* codec/ip: what is public and what is not, from both ends of every block; ranges and lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec/ip.h"
#include "guard.h"

static struct ip parsed(const char *text)
{
    struct ip ip;
    if (!ip_parse(slice_from(text), &ip))
        fail_msg("%s is not read", text);
    return ip;
}

static bool is_public(const char *text)
{
    struct ip ip = parsed(text);
    return ip_is_public(&ip);
}

static void check(const char *const *texts, bool expected)
{
    for (; *texts != NULL; texts++)
        if (is_public(*texts) != expected)
            fail_msg("%s is judged %spublic", *texts, expected ? "not " : "");
}

static void test_public(void **state)
{
    static const char *const texts[] = {
        "1.0.0.0",
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450::1",
        "3ffe::1",
        "2001:200::1",
        "2001:db9::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "168.63.129.15",
        "168.63.129.17",
        "161.25.255.255",
        "161.27.0.0",
        "166.7.255.255",
        "166.12.0.0",
        "2606:4700::5efe:808:808",
        "2606:4700::5eff:a00:1",
        "2606:4700::100:5efe:a00:1", /* no ISATAP: another bit is set */
        "::ffff:200.1.1.1",
        "64:ff9b::200.1.1.1",
        NULL,
    };
    (void)state;
    check(texts, true);
}

static void test_not_public(void **state)
{
    static const char *const texts[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.255",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "fdff::1",
        "ff02::1",
        "2001::1",
        "2001:1ff::1",
        "2001:db8::1",
        "3fff::1",
        "3fff:fff::1",
        "100::1",
        "64:ff9b:1::1",
        "5f00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::192.168.0.1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "168.63.129.16", /* Azure */
        "::ffff:168.63.129.16",
        "64:ff9b::168.63.129.16",
        "2002:a83f:8110::1",
        "100.100.100.200", /* Alibaba */
        "192.0.0.192",     /* Oracle */
        "161.26.0.10",     /* IBM */
        "166.8.0.1",
        "166.11.255.255",
        "fd20:ce::254",      /* Google, over IPv6 */
        "fd00:a9fe:a9fe::1", /* Akamai */
        "fe80::1234:5678:9abc",
        "2001:0:808:808::f7f7:f7f7", /* Teredo, even between public addresses */
        "64:ff9b:1::808:808",
        "2606:4700::5efe:10.0.0.1", /* ISATAP */
        "2606:4700::200:5efe:10.0.0.1",
        "::8.8.8.8",
        "::ffff:0:8.8.8.8",
        "192.0.2.255", /* the ends of blocks */
        "192.88.99.255",
        "198.51.100.255",
        "203.0.113.255",
        "161.26.255.255",
        "2001:db8:ffff::1",
        NULL,
    };
    (void)state;
    check(texts, false);
}

static void test_size(void **state)
{
    const struct ip empty = { { 8, 8, 8, 8 }, 0 }, odd = { { 8, 8, 8, 8 }, 8 };
    (void)state;
    assert_false(ip_is_public(&empty));
    assert_false(ip_is_public(&odd));
}

static const struct membership {
    const char *list, *address;
    bool inside;
} memberships[] = {
    { NULL, "1.2.3.4", false },
    { "", "1.2.3.4", false },
    { "1.2.3.4", "1.2.3.4", true },
    { "1.2.3.4", "1.2.3.5", false },
    { "9.9.9.9, 1.2.3.0/24", "1.2.3.255", true },
    { "1.2.3.0/24", "1.2.4.0", false },
    { "1.2.3.0/25", "1.2.3.128", false },
    { "0.0.0.0/0", "255.255.255.255", true },
    { "0.0.0.0/0", "2606:4700::1", false },
    { "::/0", "2606:4700::1", true },
    { "2606:4700::/31", "2606:4701::1", true },
    { "2606:4700::/32", "2606:4701::1", false },
    { "1.2.3.0/24", "::ffff:1.2.3.4", true },
    { "::ffff:1.2.3.0/120", "1.2.3.4", true },
    { "::ffff:1.2.3.0/120", "1.2.4.4", false },
    { "1.2.3.0/24", "64:ff9b::1.2.3.4", true },
    { "1.2.3.0/24", "64:ff9b:1::1.2.3.4", true },
    { "1.2.3.0/24", "2002:102:304::1", true },
    { "1.2.3.0/24", "2002:102:404::1", false },
    { "1.2.3.0/24", "2001:0:102:304::f7f7:f7f7", true }, /* the server */
    { "1.2.3.0/24", "2001::fefd:fcfb", true },           /* the client, its bits inverted */
    { "1.2.3.0/24", "2606:4700::5efe:1.2.3.4", true },
    { "1.2.3.0/24", "2606:4700::1.2.3.4", false },
    { "1.2.3.0/24", "64:ff9b:1:ffff::1.2.3.4", true },
    { "200.2.3.0/24", "2001:0:c802:304::f7f7:f7f7", true },
    { "1.2.3.0/24", "2001:0:c802:304::fefd:fcfb", true },
    { "::ffff:0:0/96", "1.2.3.4", true },
    { "::ffff:0:0/80", "1.2.3.4", false },
    { "::ffff:1.2.3.4", "1.2.3.5", false },
    { "2606:4700::1.2.3.4", "1.2.3.4", false },
    { "1.2.3.0/33,1.2.3", "1.2.3.4", false }, /* refused at the start */
};

static void test_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof memberships / sizeof *memberships; i++) {
        const struct ip ip = parsed(memberships[i].address);
        if (ip_in_ranges(&ip, memberships[i].list) != memberships[i].inside)
            fail_msg("%s, %s", memberships[i].list, memberships[i].address);
    }
}

/* By itself, too: what a range holds is not left to ip_in_ranges. */
static void test_mapped_in_range(void **state)
{
    struct ip_range range;
    const struct ip inside = parsed("::ffff:1.2.3.4"), outside = parsed("::ffff:1.2.4.3");
    (void)state;
    assert_true(ip_parse_range(SLICE_LITERAL("1.2.3.0/24"), &range));
    assert_true(ip_in_range(&inside, &range));
    assert_false(ip_in_range(&outside, &range));
}

/* As long as the copy that is made of it, longer, or with a NUL behind an address. */
static void test_texts_that_are_no_address(void **state)
{
    char text[100];
    struct ip ip;
    (void)state;
    memset(text, '1', sizeof text);
    assert_false(ip_parse((slice){ text, 63 }, &ip));
    assert_false(ip_parse((slice){ text, 64 }, &ip));
    assert_false(ip_parse((slice){ text, 100 }, &ip));
    assert_false(ip_parse((slice){ "1.2.3.4\0x", 9 }, &ip));
    assert_false(ip_parse((slice){ "1.2.3.4\0", 8 }, &ip));
    assert_int_equal(ip.size, 0);
}

static void test_long_mistake(void **state)
{
    char list[70];
    struct err err;
    (void)state;
    memset(list, 'x', sizeof list);
    list[64] = 'y';
    list[69] = '\0';
    assert_int_equal(ip_check_ranges(list, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "x\" is not"));
}

static void test_range_mistakes(void **state)
{
    static const char *const mistakes[] = { "10.0.0.0/33", "10.0.0/8", "::/129",     "1.2.3.4/",
                                            "1.2.3.4/x",   "name",     "/8",         "127.1",
                                            "fe80::1%lo",  "[::1]",    "1.2.3.4/8/8" };
    (void)state;
    assert_int_equal(ip_check_ranges(NULL, NULL), 0);
    assert_int_equal(ip_check_ranges(" 10.0.0.0/8,::1\tfd00::/8, ", NULL), 0);
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        char list[64];
        struct err err = { 0 };
        snprintf(list, sizeof list, "::1, %s", mistakes[i]);
        if (ip_check_ranges(list, &err) != ERR_CONFIG)
            fail_msg("%s is taken for a range", mistakes[i]);
        assert_non_null(strstr(err.text, mistakes[i]));
    }
}

static void test_hosts_as_numbers(void **state)
{
    static const char *const loopback[] = { "127.0.0.1", "127.1", "0x7f.1", "0177.0.0.1",
                                            "2130706433" };
    static const char *const names[] = { "1and1.example",
                                         "a",
                                         "1.2.3.4.5",
                                         "1.2.3.4.0",
                                         "",
                                         "0x",
                                         "127.1 ",
                                         "256.256.256.256",
                                         "127.",
                                         ".1",
                                         "08",
                                         "1f",
                                         "0x1g",
                                         "127.0.65536",
                                         "256.1",
                                         "4294967296",
                                         "18446744073709551616",
                                         "1..1",
                                         "+1",
                                         "-1" };
    struct ip ip;
    (void)state;
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++) {
        assert_true(ip_parse_host(slice_from(loopback[i]), &ip));
        assert_int_equal(ip.size, IP_V4_BYTES);
        assert_memory_equal(ip.bytes, "\x7f\0\0\1", 4);
    }
    assert_true(ip_parse_host(SLICE_LITERAL("1.0X2.0xFFfe"), &ip));
    assert_memory_equal(ip.bytes, "\x01\x02\xff\xfe", 4);
    assert_true(ip_parse_host(SLICE_LITERAL("0377.16777215"), &ip));
    assert_memory_equal(ip.bytes, "\xff\xff\xff\xff", 4);
    assert_true(ip_parse_host(SLICE_LITERAL("4294967295"), &ip));
    assert_memory_equal(ip.bytes, "\xff\xff\xff\xff", 4);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        slice name = guard_text(names[i]);
        if (ip_parse_host(name, &ip))
            fail_msg("%s is taken for an address", names[i]);
        guard_free(name);
    }
    slice zero = guard_text("1.0"); /* nothing is read behind the last digit */
    assert_true(ip_parse_host(zero, &ip));
    guard_free(zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_not_public),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_range_mistakes),
        cmocka_unit_test(test_hosts_as_numbers),
        cmocka_unit_test(test_mapped_in_range),
        cmocka_unit_test(test_long_mistake),
        cmocka_unit_test(test_texts_that_are_no_address),
    };
    return cmocka_run_group_tests_name("ip", tests, NULL, NULL);
}
