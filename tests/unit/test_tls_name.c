/* net/tls_name: distinguished names that are the same, and hosts that a certificate stands for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "net/tls_name.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Names of one attribute, commonName or organization, with a string of up to 20 bytes. */
#define UTF8 "\x0c"
#define PRINTABLE "\x13"
#define T61 "\x14"
#define IA5 "\x16"
#define BMP "\x1e"
#define UNIVERSAL "\x1c"
#define INTEGER "\x02"

static size_t make_set(char *to, char attribute, slice string)
{
    size_t value = string.len - 1;
    const char head[] = {
        0x31, (char)(value + 9), 0x30,          (char)(value + 7), 0x06, 0x03, 0x55,
        0x04, attribute,         string.ptr[0], (char)value
    };
    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, string.ptr + 1, value);
    return sizeof head + value;
}

struct name {
    char bytes[128];
    size_t len;
};

/* A name of up to two elements: common name, organization. */
static slice make(struct name *name, slice common, slice organization)
{
    size_t len = 2;
    len += make_set(name->bytes + len, 3, common);
    if (organization.len > 0)
        len += make_set(name->bytes + len, 10, organization);
    name->bytes[0] = 0x30;
    name->bytes[1] = (char)(len - 2);
    return (slice){ name->bytes, len };
}

#define S(text) SLICE_LITERAL(text)

static void names_are_compared_by_their_characters(void **state)
{
    (void)state;
    static const struct {
        slice a, b;
        bool same;
    } cases[] = {
        { S(UTF8 "Root"), S(UTF8 "Root"), true },
        { S(UTF8 "Root"), S(PRINTABLE "Root"), true },
        { S(UTF8 "ROOT x"), S(PRINTABLE "root X"), true },
        { S(UTF8 "Root"), S(UTF8 "Roots"), false },
        { S(UTF8 "Root"), S(UTF8 "Roo"), false },
        { S(UTF8 ""), S(PRINTABLE "  "), true },
        { S(UTF8 "  The \t Root "), S(PRINTABLE "the root"), true },
        { S(UTF8 "The Root"), S(UTF8 "TheRoot"), false },
        { S(UTF8 "ab"), S(BMP "\0a\0B"), true },
        { S(UTF8 "ab"), S(BMP "\0ab"), false },
        { S(UTF8 "a"), S(UNIVERSAL "\0\0\0A"), true },
        { S(UTF8 "\xc5\xbe"), S(BMP "\x01\x7e"), true },
        { S(UTF8 "\xc3\xa9"), S(T61 "\xe9"), true },
        { S(UTF8 "\xc3\xa9"), S(UTF8 "\xc3\x89"), false }, /* case: ASCII letters only */
        { S(UTF8 "\xf0\x9f\x98\x80"), S(UNIVERSAL "\0\x01\xf6\0"), true },
        { S(UTF8 "AZ"), S(UTF8 "az"), true },
        { S(IA5 "root"), S(UTF8 "ROOT"), true },
        { S(UTF8 "\xe0\xa0\x80"), S(BMP "\x08\0"), true },
        { S(UTF8 "\xe2\x82\xac"), S(BMP "\x20\xac"), true },
        { S(UTF8 "\xff"), S(UTF8 "\xff"), true },
        { S(INTEGER "A"), S(INTEGER "a"), false },
        { S(INTEGER "a"), S(UTF8 "a"), false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct name a, b;
        slice left = make(&a, cases[i].a, S("")), right = make(&b, cases[i].b, S(""));
        slice guarded = guard_copy(left.ptr, left.len);
        assert_int_equal(tls_name_equal(guarded, right), cases[i].same);
        assert_int_equal(tls_name_digest(guarded) == tls_name_digest(right), cases[i].same);
        assert_int_equal(tls_name_equal(right, guarded), cases[i].same);
        guard_free(guarded);
    }
}

static void a_name_is_within_its_beginning(void **state)
{
    (void)state;
    struct name one, two, other;
    slice short_name = make(&one, S(UTF8 "Org"), S(""));
    slice long_name = make(&two, S(PRINTABLE "ORG"), S(UTF8 "Unit"));
    slice stranger = make(&other, S(UTF8 "Else"), S(""));
    assert_true(tls_name_within(long_name, short_name));
    assert_true(tls_name_within(short_name, short_name));
    assert_true(tls_name_within(long_name, S("\x30\x00")));
    assert_false(tls_name_within(short_name, long_name));
    assert_false(tls_name_within(stranger, short_name));
    assert_false(tls_name_equal(long_name, short_name));
    assert_false(tls_name_within(long_name, S("")));
    assert_false(tls_name_within(S(""), short_name));
}

/* In a set of two attributes the order says nothing; in a name it does. */
static void attributes_of_a_set_may_change_places(void **state)
{
    (void)state;
#define ATTRIBUTE(number, text) "\x30\x08\x06\x03\x55\x04" number "\x0c\x01" text
#define SET(first, second) "\x30\x16\x31\x14" first second
    assert_true(tls_name_equal(S(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x0a", "b"))),
                               S(SET(ATTRIBUTE("\x0a", "B"), ATTRIBUTE("\x03", "A")))));
    assert_false(tls_name_equal(S(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x0a", "b"))),
                                S(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x03", "b")))));
    assert_false(tls_name_equal(S(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x0a", "b"))),
                                S(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x03", "a")))));
}

static void a_set_is_not_within_a_part_of_it(void **state)
{
    (void)state;
#define ONE "\x30\x0c\x31\x0a" ATTRIBUTE("\x03", "a")
    assert_false(tls_name_within(S(ONE), S(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x0a", "b")))));
    assert_false(tls_name_within(S(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x0a", "b"))), S(ONE)));
}

/* One set of `count` attributes, the first one first or the last one. */
static slice make_set_of(struct name *name, size_t count, bool reversed)
{
    const char head[] = { 0x30, (char)(10 * count + 2), 0x31, (char)(10 * count) };
    memcpy(name->bytes, head, sizeof head);
    for (size_t i = 0; i < count; i++) {
        char *at = name->bytes + sizeof head + 10 * i;
        memcpy(at, ATTRIBUTE("\x03", "?"), 10);
        at[9] = (char)('a' + (reversed ? count - 1 - i : i));
    }
    return (slice){ name->bytes, sizeof head + 10 * count };
}

/* More attributes than are looked at one by one: then only the same bytes are the same name. */
static void sets_have_at_most_eight_attributes(void **state)
{
    (void)state;
    for (size_t count = 8; count <= 9; count++) {
        struct name one, other, again;
        slice name = make_set_of(&one, count, false), same = make_set_of(&again, count, false);
        slice reversed = make_set_of(&other, count, true);
        assert_true(tls_name_within(name, same));
        assert_int_equal(tls_name_equal(name, reversed), count == 8);
        assert_int_equal(tls_name_digest(name) == tls_name_digest(reversed), count == 8);
    }
}

/* It equals only itself. */
static void an_attribute_has_one_value(void **state)
{
    (void)state;
#define MORE(text) "\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x01" text "\x05\x00"
    assert_true(tls_name_equal(S(MORE("a")), S(MORE("a"))));
    assert_false(tls_name_equal(S(MORE("a")), S(MORE("A"))));
    assert_false(tls_name_equal(S(MORE("a")), S(ONE)));
    assert_false(tls_name_equal(S(ONE), S(MORE("a"))));
    assert_int_not_equal(tls_name_digest(S(MORE("a"))), tls_name_digest(S(MORE("A"))));
    assert_int_not_equal(tls_name_digest(S(MORE("a"))), tls_name_digest(S(ONE)));
}

static void digests_tell_names_apart(void **state)
{
    (void)state;
    static const slice names[] = {
        SLICE_LITERAL(""),
        SLICE_LITERAL("\x30"),
        SLICE_LITERAL("\x30\x00"),
        SLICE_LITERAL("\x30\x02\x31\x00"),
        SLICE_LITERAL("\x30\x02\x31\x01"), /* cut off */
        SLICE_LITERAL(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x0a", "b"))),
        SLICE_LITERAL(SET(ATTRIBUTE("\x03", "b"), ATTRIBUTE("\x0a", "a"))),
        SLICE_LITERAL(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x03", "b"))),
        SLICE_LITERAL("\x30\x18\x31\x0a" ATTRIBUTE("\x03", "a") "\x31\x0a" ATTRIBUTE("\x0a", "b")),
        SLICE_LITERAL("\x30\x18\x31\x0a" ATTRIBUTE("\x0a", "b") "\x31\x0a" ATTRIBUTE("\x03", "a")),
        SLICE_LITERAL("\x30\x0c\x31\x0a" ATTRIBUTE("\x0a", "b")),
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        slice guarded = guard_copy(names[i].ptr, names[i].len);
        uint32_t digest = tls_name_digest(guarded);
        guard_free(guarded);
        for (size_t j = 0; j < COUNT(names); j++)
            assert_int_equal(digest == tls_name_digest(names[j]), i == j);
    }
    assert_int_equal(tls_name_digest(S(SET(ATTRIBUTE("\x03", "a"), ATTRIBUTE("\x0a", "b")))),
                     tls_name_digest(S(SET(ATTRIBUTE("\x0a", "B"), ATTRIBUTE("\x03", "A")))));
}

static void hosts(void **state)
{
    (void)state;
    static const struct {
        slice pattern;
        const char *host;
        bool matches;
    } cases[] = {
        { S("a.test"), "a.test", true },
        { S("A.Test"), "a.TEST", true },
        { S("a.test"), "b.a.test", false },
        { S("a.test."), "a.test", false },
        { S("*.a.test"), "b.a.test", true },
        { S("*.A.test"), "b.a.test", true },
        { S("*.a"), "b.a", true },
        { S("*.a.test"), "a.test", false },
        { S("*.a.test"), "c.b.a.test", false },
        { S("*.a.test"), ".a.test", false },
        { S("b*.a.test"), "b1.a.test", false },
        { S("*b.a.test"), "1b.a.test", false },
        { S("b.*.test"), "b.a.test", false },
        { S("*"), "a", false },
        { S("*"), "a.test", false },
        { S("*."), "a.", false },
        { S("*.*.test"), "b.a.test", false },
        { S(""), "a.test", false },
        { S("a.test\0"), "a.test", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(tls_name_is_host(cases[i].pattern, cases[i].host), cases[i].matches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_compared_by_their_characters),
        cmocka_unit_test(a_name_is_within_its_beginning),
        cmocka_unit_test(attributes_of_a_set_may_change_places),
        cmocka_unit_test(a_set_is_not_within_a_part_of_it),
        cmocka_unit_test(sets_have_at_most_eight_attributes),
        cmocka_unit_test(an_attribute_has_one_value),
        cmocka_unit_test(digests_tell_names_apart),
        cmocka_unit_test(hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
