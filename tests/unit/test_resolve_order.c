/*
 * net/resolve_order: the examples of RFC 6724, section 10.2, and the families that take turns. And
 * net/address, which it sorts.
 *
 * This program's own connect and getsockname say which source address the system would use, so that
 * the order does not depend on the machine's network.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#include "descriptors.h"
#include "net/address.h"
#include "net/resolve_order.h"

static struct address make(const char *text, uint16_t port)
{
    struct ip ip = { .size = IP_V4_BYTES };
    if (inet_pton(AF_INET, text, ip.bytes) != 1) {
        ip.size = IP_V6_BYTES;
        assert_int_equal(inet_pton(AF_INET6, text, ip.bytes), 1);
    }
    return address_make(&ip, port);
}

/* --- the network ------------------------------------------------------------------------------ */

/* A destination, and the source address for it; NULL: there is no route. */
struct path {
    const char *to, *from;
};

static const struct path *paths; /* up to a `to` that is NULL */
static const char *source;       /* of the latest connect */

int connect(int fd, const struct sockaddr *to, socklen_t size)
{
    (void)fd;
    source = NULL;
    for (const struct path *path = paths; path->to != NULL; path++) {
        const struct address address = make(path->to, 443);
        if (size == address.size && memcmp(&address.any, to, size) == 0)
            source = path->from;
    }
    errno = ENETUNREACH;
    return source != NULL ? 0 : -1;
}

int getsockname(int fd, struct sockaddr *own, socklen_t *size)
{
    (void)fd;
    const struct address address = make(source, 1024);
    assert_true(*size >= address.size);
    memcpy(own, &address.any, address.size);
    *size = address.size;
    return 0;
}

static int has_both_protocols(void **state)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)state;
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : -1;
}

static bool is_at(const struct address *address, const char *text)
{
    const struct address wanted = make(text, 443);
    return address->size == wanted.size && memcmp(&address->any, &wanted.any, address->size) == 0;
}

static void check_order(const char *const *given, size_t count, const char *expected)
{
    struct address_list list = { .count = 0 };
    char text[512] = "";
    for (size_t i = 0; i < count; i++)
        list.items[list.count++] = make(given[i], 443);
    resolve_sort(&list);
    assert_int_equal(list.count, count);
    for (size_t i = 0; i < count; i++) {
        size_t which = 0;
        while (which < count && !is_at(&list.items[i], given[which]))
            which++;
        assert_true(which < count);
        strcat(text, given[which]);
        strcat(text, i + 1 < count ? " " : "");
    }
    assert_string_equal(text, expected);
}

/* --- two addresses ---------------------------------------------------------------------------- */

#define GLOBAL_V6 "2001:db8:1::2"

/* The first is to be tried before the second. */
static const struct {
    const char *why;
    struct path paths[3];
} pairs[] = {
    { "only one has a route",
      { { "198.51.100.121", "198.51.100.117" }, { "2001:db8:1::1", NULL } } },
    { "a route counts more than the policy", { { "fec0::1", "fec0::2" }, { "::1", NULL } } },
    { "the scope of the source",
      { { "2001:db8:1::1", GLOBAL_V6 }, { "198.51.100.121", "169.254.13.78" } } },
    { "the scope of the source",
      { { "198.51.100.121", "198.51.100.117" }, { "2001:db8:1::1", "fe80::1" } } },
    { "precedence", { { "2001:db8:1::1", GLOBAL_V6 }, { "10.1.2.3", "10.1.2.4" } } },
    { "the smaller scope", { { "fe80::1", "fe80::2" }, { "2001:db8:1::1", GLOBAL_V6 } } },
    { "the label",
      { { "2002:c633:6401::1", "2002:c633:6401::2" }, { "2001:db8:1::1", "2002:c633:6401::2" } } },
    { "precedence: 6to4",
      { { "2001:db8:1::1", GLOBAL_V6 }, { "2002:c633:6401::1", "2002:c633:6401::2" } } },
    { "IPv4 before 6to4",
      { { "10.1.2.3", "10.1.2.4" }, { "2002:c633:6401::1", "2002:c633:6401::2" } } },
    { "6to4 before Teredo",
      { { "2002:c633:6401::1", "2002:c633:6401::2" }, { "2001:0:1::1", "2001:0:1::2" } } },
    { "Teredo before unique local",
      { { "2001:0:1::1", "2001:0:1::2" }, { "fc00::1", "fc00::2" } } },
    { "fd00::, too, is unique local", { { "10.1.2.3", "10.1.2.4" }, { "fd12::1", "fd12::2" } } },
    { "unique local before the 6bone", { { "fdff::1", "fdff::2" }, { "3ffe::1", "3ffe::2" } } },
    { "2001:1:: is no Teredo", { { "2001:1::1", "2001:1::2" }, { "10.1.2.3", "10.1.2.4" } } },
    { "unique local before IPv4-compatible", { { "fc00::1", "fc00::2" }, { "::5", "::6" } } },
    { "a mapped address is as IPv4",
      { { "::ffff:10.1.2.3", "::ffff:10.1.2.4" }, { "2002:c633:6401::1", "2002:c633:6401::2" } } },
    { "loopback first", { { "::1", "::1" }, { "2001:db8:1::1", GLOBAL_V6 } } },
    { "loopback is of its link", { { "127.0.0.1", "127.0.0.1" }, { "10.1.2.3", "10.1.2.4" } } },
    { "link-local IPv4", { { "169.254.1.1", "169.254.1.2" }, { "10.1.2.3", "10.1.2.4" } } },
    { "169.253 is global", { { "169.254.1.1", "169.254.1.2" }, { "169.253.1.1", "169.253.1.2" } } },
    { "10.254 is global", { { "169.254.1.1", "169.254.1.2" }, { "10.254.1.1", "10.254.1.2" } } },
    { "a prefix ends where it does",
      { { "10.1.2.3", "10.1.2.4" }, { "2001:0:ff::1", "2001:0:ff::2" } } },
    { "a prefix ends where it does",
      { { "10.1.2.3", "10.1.2.4" }, { "2001:0:8000::1", "2001:0:8000::2" } } },
    { "a prefix ends where it does",
      { { "10.1.2.3", "10.1.2.4" }, { "3ffe:8000::1", "3ffe:8000::2" } } },
    { "a prefix ends where it does", { { "3fff::1", "3fff::2" }, { "10.1.2.3", "10.1.2.4" } } },
    { "a prefix ends where it does", { { "2003::1", "2003::2" }, { "10.1.2.3", "10.1.2.4" } } },
    { "a prefix ends where it does", { { "10.1.2.3", "10.1.2.4" }, { "fee0::1", "fee0::2" } } },
    { "a prefix ends where it does",
      { { GLOBAL_V6, GLOBAL_V6 }, { "::ffff:200.1.2.3", "::ffff:200.1.2.4" } } },
    { "a prefix ends where it does",
      { { "fc00::1", "fc00::2" }, { "::200.1.2.3", "::200.1.2.4" } } },
    { "site-local is smaller than global", { { "fec0::1", "fec0::2" }, { "3ffe::1", "3ffe::2" } } },
    { "febf:: is link-local, too", { { "febf::1", "fe80::2" }, { "2001:db8:1::1", GLOBAL_V6 } } },
};

static void the_better_one_comes_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *const best = pairs[i].paths[0].to, *const other = pairs[i].paths[1].to;
        char expected[128] = "";
        strcat(strcat(strcat(expected, best), " "), other);
        paths = pairs[i].paths;
        check_order((const char *const[]){ best, other }, 2, expected);
        check_order((const char *const[]){ other, best }, 2, expected);
    }
}

static void three_come_in_their_order_however_they_came(void **state)
{
    static const char *const best_first[] = { "2001:db8::1", "fc00::1", "3ffe::1" };
    (void)state;
    static const struct path table[] = { { "2001:db8::1", GLOBAL_V6 },
                                         { "fc00::1", "fc00::2" },
                                         { "3ffe::1", "3ffe::2" },
                                         { NULL, NULL } };
    paths = table;
    for (size_t i = 0; i < 3; i++) {
        const char *a = best_first[i], *b = best_first[(i + 1) % 3], *c = best_first[(i + 2) % 3];
        check_order((const char *const[]){ a, b, c }, 3, "2001:db8::1 fc00::1 3ffe::1");
        check_order((const char *const[]){ a, c, b }, 3, "2001:db8::1 fc00::1 3ffe::1");
    }
}

static void equals_keep_their_order(void **state)
{
    (void)state;
    static const struct path table[] = { { "10.0.0.9", "10.1.2.4" },
                                         { "10.0.0.1", "10.1.2.4" },
                                         { "10.0.0.5", "10.1.2.4" },
                                         { NULL, NULL } };
    paths = table;
    check_order((const char *const[]){ "10.0.0.9", "10.0.0.1", "10.0.0.5" }, 3,
                "10.0.0.9 10.0.0.1 10.0.0.5");
    check_order((const char *const[]){ "10.0.0.5" }, 1, "10.0.0.5");
}

/* So that one protocol that does not work costs one try; but what has no route comes last. */
static void families_take_turns(void **state)
{
    (void)state;
    static const struct path table[] = { { "2001:db8::1", GLOBAL_V6 }, { "2001:db8::2", GLOBAL_V6 },
                                         { "2001:db8::3", GLOBAL_V6 }, { "10.0.0.1", "10.1.2.4" },
                                         { "10.0.0.2", "10.1.2.4" },   { NULL, NULL } };
    paths = table;
    check_order((const char *const[]){ "10.0.0.1", "2001:db8::1", "2001:db8::2", "10.0.0.2",
                                       "2001:db8::3" },
                5, "2001:db8::1 10.0.0.1 2001:db8::2 10.0.0.2 2001:db8::3");
    check_order((const char *const[]){ "10.0.0.3", "2001:db8::1", "2001:db8::2", "2001:db8::4" }, 4,
                "2001:db8::1 2001:db8::2 2001:db8::4 10.0.0.3");
}

/* And no descriptor is left open. */
static void routes(void **state)
{
    static const struct path table[] = { { "10.0.0.1", "10.1.2.4" }, { NULL, NULL } };
    const struct address known = make("10.0.0.1", 443), unknown = make("10.0.0.2", 443);
    const int before = open_descriptors();
    (void)state;
    paths = table;
    assert_true(resolve_has_route(&known));
    assert_false(resolve_has_route(&unknown));
    assert_int_equal(open_descriptors(), before);
}

/* --- addresses -------------------------------------------------------------------------------- */

static void addresses_are_written_as_people_do(void **state)
{
    char text[ADDRESS_TEXT_BYTES];
    const struct address v4 = make("10.0.0.1", 443), v6 = make("2001:db8::1", 65535);
    (void)state;
    address_text(&v4, text);
    assert_string_equal(text, "10.0.0.1:443");
    address_text(&v6, text);
    assert_string_equal(text, "[2001:db8::1]:65535");
    assert_int_equal(v4.size, sizeof(struct sockaddr_in));
    assert_int_equal(v6.size, sizeof(struct sockaddr_in6));
}

static void a_full_list_takes_no_more(void **state)
{
    static struct {
        struct address_list list;
        char behind[sizeof(struct address)];
    } full;
    static const char zeros[sizeof full.behind];
    const struct ip ip = { { 10, 0, 0, 1 }, IP_V4_BYTES };
    (void)state;
    for (uint16_t i = 0; i < ADDRESS_LIST_MAX + 2; i++)
        address_list_add(&full.list, &ip, i);
    assert_int_equal(full.list.count, ADDRESS_LIST_MAX);
    assert_int_equal(ntohs(full.list.items[ADDRESS_LIST_MAX - 1].v4.sin_port),
                     ADDRESS_LIST_MAX - 1);
    assert_memory_equal(full.behind, zeros, sizeof zeros);
}

int main(void)
{
    const struct CMUnitTest sorting[] = {
        cmocka_unit_test(the_better_one_comes_first),
        cmocka_unit_test(three_come_in_their_order_however_they_came),
        cmocka_unit_test(equals_keep_their_order),
        cmocka_unit_test(families_take_turns),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(routes),
        cmocka_unit_test(addresses_are_written_as_people_do),
        cmocka_unit_test(a_full_list_takes_no_more),
    };
    int failed = 0;
    if (has_both_protocols(NULL) == 0) /* else all of IPv6 is without a route */
        failed = cmocka_run_group_tests_name("resolve order", sorting, NULL, NULL);
    return failed + cmocka_run_group_tests_name("addresses", others, NULL, NULL);
}
