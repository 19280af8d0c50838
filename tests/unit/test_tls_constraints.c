/* net/tls_constraints: which names an authority with name constraints may give out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "net/tls_constraints.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define S(text) SLICE_LITERAL(text)

enum { PERMITTED = 0xa0, EXCLUDED = 0xa1 };

/* nameConstraints with one subtree; returns its content. */
static slice make(char *bytes, int list, unsigned char kind, slice base)
{
    size_t len = base.len;
    const char head[] = {
        (char)list, (char)(len + 4), 0x30, (char)(len + 2), (char)kind, (char)len
    };
    memcpy(bytes, head, sizeof head);
    if (len > 0)
        memcpy(bytes + sizeof head, base.ptr, len);
    return (slice){ bytes, sizeof head + len };
}

static bool allows(slice constraints, unsigned char kind, slice name)
{
    char names[128];
    struct der_certificate certificate = { .subject = S("\x30\x00") };
    size_t budget = 100;
    names[0] = (char)kind;
    names[1] = (char)name.len;
    if (name.len > 0)
        memcpy(names + 2, name.ptr, name.len);
    certificate.alt_names = (slice){ names, name.len + 2 };
    slice copy = guard_copy(constraints.ptr, constraints.len);
    bool allowed = tls_constraints_allow(copy, &certificate, &budget);
    guard_free(copy);
    return allowed;
}

#define DNS DER_NAME_DNS
#define ADDRESS DER_NAME_ADDRESS
#define MAIL DER_NAME_MAIL
#define URI DER_NAME_URI

#define V6(byte) "\x20\x01\x0d" byte "\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6_MASK "\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0"

static const struct {
    unsigned char kind;
    slice base, name;
    bool within;          /* permitted allows it */
    bool not_excluded_by; /* and excluded does, too: only for what is neither in nor out */
} cases[] = {
    { DNS, S("a.test"), S("a.test"), true, false },
    { DNS, S("A.Test"), S("b.a.tEST"), true, false },
    { DNS, S("a.test"), S("c.b.a.test"), true, false },
    { DNS, S("a.test"), S("xa.test"), false, true },
    { DNS, S("a.test"), S("test"), false, true },
    { DNS, S(".a.test"), S("a.test"), false, true },
    { DNS, S(".a.test"), S("b.a.test"), true, false },
    { DNS, S(".a.test"), S(".a.test"), false, true }, /* no host */
    { DNS, S("b.test"), S("*"), false, true },
    { DNS, S("b.a"), S("*.a"), false, false },
    { DNS, S(""), S("a.test"), true, false },
    { DNS, S("a.test"), S("*.a.test"), true, false },
    { DNS, S("b.a.test"), S("*.a.test"), false, false }, /* not all of them; but one */
    { DNS, S("c.b.a.test"), S("*.a.test"), false, true },
    { ADDRESS, S("\x0a\0\0\0\xff\0\0\0"), S("\x0a\x01\x02\x03"), true, false },
    { ADDRESS, S("\x0a\0\0\0\xff\0\0\0"), S("\x0b\x01\x02\x03"), false, true },
    { ADDRESS, S("\0\0\0\0\0\0\0\0"), S("\x0b\x01\x02\x03"), true, false },
    { ADDRESS, S("\x0a\0\0\0\xff\0\0\0"), S("\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"), false, true },
    { ADDRESS, S("\x0a\0\0\0"), S("\x0a\x01\x02\x03"), false, false }, /* malformed */
    { ADDRESS, S(V6("\xb8") V6_MASK), S(V6("\xb8")), true, false },
    { ADDRESS, S(V6("\xb8") V6_MASK), S(V6("\xb9")), false, true },
    { MAIL, S(""), S("me@a.test"), true, false },
    { MAIL, S(".a.test"), S("me@.a.test"), false, true },
    { MAIL, S("Me@a.test"), S("Me@b.test"), false, true },
    { MAIL, S("Me@a.test"), S("xMe@a.test"), false, true },
    { MAIL, S("a.test"), S("me@a.test"), true, false },
    { MAIL, S("a.test"), S("me@b.a.test"), false, true },
    { MAIL, S(".a.test"), S("me@b.a.test"), true, false },
    { MAIL, S("Me@a.test"), S("Me@A.test"), true, false },
    { MAIL, S("Me@a.test"), S("me@a.test"), false, true },
    { MAIL, S("a.test"), S("nobody"), false, false }, /* malformed */
    { URI, S("a.test"), S("https://me@a.test:8443/x@b.test"), true, false },
    { URI, S("a.test"), S("spiffe://b.test/a.test"), false, true },
    { URI, S(".a.test"), S("spiffe://b.a.test"), true, false },
    { URI, S(".a.test"), S("spiffe://.a.test"), false, true },
    { URI, S(""), S("https://a.test"), true, false },
    { URI, S("a.test"), S("https://a.test?b@c"), true, false },
    { URI, S("a.test"), S("https://a.test#b@c"), true, false },
    { URI, S("a.test"), S("urn:a.test"), false, false }, /* no host: cannot be decided */
    { URI, S("a.test"), S("https:///a.test"), false, false },
    { URI, S("a.test"), S("https://[::1]/"), false, false }, /* no name */
    { 0x88, S("\x2a"), S("\x2a"), false, false },            /* a form unknown here */
};

static void one_subtree(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char bytes[128];
        assert_int_equal(allows(make(bytes, PERMITTED, cases[i].kind, cases[i].base), cases[i].kind,
                                cases[i].name),
                         cases[i].within);
        assert_int_equal(allows(make(bytes, EXCLUDED, cases[i].kind, cases[i].base), cases[i].kind,
                                cases[i].name),
                         cases[i].not_excluded_by);
    }
}

static void other_forms_are_not_limited(void **state)
{
    (void)state;
    char bytes[128];
    assert_true(allows(make(bytes, PERMITTED, DNS, S("a.test")), ADDRESS, S("\x7f\0\0\x01")));
    assert_true(allows(make(bytes, PERMITTED, MAIL, S("a.test")), DNS, S("b.test")));
    assert_true(allows(make(bytes, PERMITTED, 0x88, S("\x2a")), DNS, S("b.test")));
}

static void excluded_wins(void **state)
{
    (void)state;
    char bytes[256];
    slice permitted = make(bytes, PERMITTED, DNS, S("test"));
    slice excluded = make(bytes + permitted.len, EXCLUDED, DNS, S("b.test"));
    const slice both = { bytes, permitted.len + excluded.len };
    assert_true(allows(both, DNS, S("a.test")));
    assert_false(allows(both, DNS, S("b.test")));
    assert_false(allows(both, DNS, S("a.example")));
}

static void malformed_constraints_allow_nothing(void **state)
{
    (void)state;
    assert_false(allows(S("\xa0\x02\x30\x00"), DNS, S("a.test")));
    assert_false(allows(S("\xa0\x05\x30\x03\x82\x05x"), DNS, S("a.test")));
    assert_false(allows(S("\x30\x00"), DNS, S("a.test")));
    /* a minimum, which RFC 5280 does not use */
    assert_false(allows(S("\xa0\x0b\x30\x09\x82\x04test\x80\x01\x01"), DNS, S("a.test")));
}

static void the_subject_counts_as_a_name(void **state)
{
    (void)state;
#define NAME(text) "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x0a\x0c\x01" text
    char bytes[128];
    struct der_certificate certificate = { .subject = S(NAME("a")) };
    size_t budget = 100;
    slice constraints = make(bytes, PERMITTED, DER_NAME_DIRECTORY, S(NAME("A")));
    assert_true(tls_constraints_allow(constraints, &certificate, &budget));
    certificate.subject = S(NAME("b"));
    assert_false(tls_constraints_allow(constraints, &certificate, &budget));
    constraints = make(bytes, EXCLUDED, DER_NAME_DIRECTORY, S(NAME("A")));
    assert_true(tls_constraints_allow(constraints, &certificate, &budget));
    assert_int_equal(budget, 97);
}

static void the_work_is_limited(void **state)
{
    (void)state;
    char bytes[128];
    struct der_certificate certificate = { .subject = S("\x30\x00"),
                                           .alt_names = S("\x82\x01"
                                                          "a\x82\x01"
                                                          "b\x82\x01"
                                                          "c") };
    slice constraints = make(bytes, EXCLUDED, DNS, S("test"));
    size_t budget = 3;
    assert_true(tls_constraints_allow(constraints, &certificate, &budget));
    budget = 2;
    assert_false(tls_constraints_allow(constraints, &certificate, &budget));
    assert_int_equal(budget, 0);
}

/* Each 64 bytes of them count as one more. */
static void long_names_are_more_work(void **state)
{
    (void)state;
    char bytes[128], names[128];
    memset(names, 'n', sizeof names);
    for (size_t len = 39; len <= 40; len++) {
        struct der_certificate certificate = { .subject = S("\x30\x00"),
                                               .alt_names = { names, len + 2 } };
        size_t budget = 2;
        names[0] = (char)DNS;
        names[1] = (char)len;
        slice constraints = make(bytes, EXCLUDED, DNS, S("a-host-with-24-bytes.net"));
        assert_true(tls_constraints_allow(constraints, &certificate, &budget));
        assert_int_equal(budget, len == 39 ? 1 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_subtree),
        cmocka_unit_test(other_forms_are_not_limited),
        cmocka_unit_test(excluded_wins),
        cmocka_unit_test(malformed_constraints_allow_nothing),
        cmocka_unit_test(the_subject_counts_as_a_name),
        cmocka_unit_test(the_work_is_limited),
        cmocka_unit_test(long_names_are_more_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
