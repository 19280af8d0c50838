/* codec/ip: what is public and what is not, from both ends of every block. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/ip.h"

static bool is_public(const char *text)
{
    unsigned char bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1)
        return ip_is_public(bytes, IP_V4_BYTES);
    assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
    return ip_is_public(bytes, IP_V6_BYTES);
}

static void check(const char *const *texts, bool expected)
{
    for (; *texts != NULL; texts++)
        if (is_public(*texts) != expected)
            fail_msg("%s is %s public", *texts, expected ? "not" : "said to be");
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
        NULL,
    };
    (void)state;
    check(texts, false);
}

static void test_size(void **state)
{
    const unsigned char bytes[16] = { 8, 8, 8, 8 };
    (void)state;
    assert_false(ip_is_public(bytes, 0));
    assert_false(ip_is_public(bytes, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_not_public),
        cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests_name("ip", tests, NULL, NULL);
}
