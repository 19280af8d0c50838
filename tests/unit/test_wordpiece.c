/*
 * model/wordpiece on small vocabularies. That it equals the package "tokenizers" on every code
 * point and on many texts is tested in blackbox/test_tokenizer.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guard.h"
#include "model/wordpiece.h"

/* Ids:                       0      1      2      3      4       5  6    7    8  9    10   11 */
static const char words[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n##bc\n!\nbc\n\xc3\xa9t\ne\n"
    /*                        12            13                14        15        */
    "\xe4\xb8\xad\n\xf0\xa0\x80\x80\nabcdefgh\n##xyzxyz";

static void check(const char *bytes, size_t len, size_t max, const char *wanted)
{
    struct wordpiece tokenizer;
    struct err err;
    uint32_t ids[512];
    char text[4096] = "";
    slice vocabulary = guard_text(words), input = guard_copy(bytes, len);
    assert_int_equal(wordpiece_open(&tokenizer, vocabulary, &err), 0);
    size_t count = wordpiece_encode(&tokenizer, input, ids, max);
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", i == 0 ? "" : " ",
                 ids[i]);
    assert_string_equal(text, wanted);
    wordpiece_close(&tokenizer);
    guard_free(vocabulary);
    guard_free(input);
}

static void check_text(const char *text, const char *wanted)
{
    check(text, strlen(text), 512, wanted);
}

static void test_pieces(void **state)
{
    (void)state;
    check_text("", "2 3");
    check_text("a", "2 5 3");
    check_text("A bc", "2 5 9 3");
    check_text("abc", "2 5 7 3"); /* the longest piece, not the first */
    check_text("abbc", "2 5 6 7 3");
    check_text("abcb", "2 5 7 6 3");
    check_text("b", "2 1 3");
    check_text("a!a", "2 5 8 5 3");
    check_text("E\xcc\x81 \xc3\x89", "2 11 11 3"); /* an accent, apart and within */
    check_text("a[SEP]b[sep]", "2 5 3 1 1 1 1 3");
    check_text("[MASK]", "2 4 3");
    check_text("abx", "2 1 3"); /* no piece of a word that is not known to its end */
    check_text("abcdefgh axyzxyz", "2 14 5 15 3"); /* the longest that there are */
    check_text("abcdefghi", "2 1 3");
    check_text("a\xe4\xb8\xad\xf0\xa0\x80\x80"
               "a",
               "2 5 12 13 5 3"); /* each is a word */
}

static void test_limits(void **state)
{
    char word[101];
    (void)state;
    memset(word, 'b', sizeof word);
    word[0] = 'a';
    check(word, 101, 512, "2 1 3");
    char wanted[1000] = "2 5";
    for (int i = 1; i < 100; i++)
        strcat(wanted, " 6");
    check(word, 100, 512, strcat(wanted, " 3"));
    check("a a a a", 7, 4, "2 5 5 3");
    check("abb", 3, 3, "2 5 3");
    check("a", 1, 2, "2 3");
}

/* Bytes that are not UTF-8 disappear, and nothing is read behind the end. */
static void test_not_utf8(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        { "a\xff", 2 },
        { "a\xc3", 2 },
        { "a\xe2\x82", 3 },
        { "a\xf0\x9f\x98", 4 },
        { "a\xed\xa0\x80", 4 },
        { "a\xc0\xaf", 3 },
        { "a\xf4\x90\x80\x80", 5 },
        { "a\xed\xbf\xbf", 4 },
        { "a\xe0\x9f\xbf", 4 },
        { "a\xf0\x8f\xbf\xbf", 5 },
        { "a\xf5\x80\x80\x80", 5 },
        { "\xc3"
          "a",
          2 }, /* the next byte is no part of it, */
        { "\xe4\xb8"
          "a",
          3 },
        { "\xf0\xa0\x80"
          "a",
          4 },
        { "\x80\x80"
          "a",
          3 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(cases[i].bytes, cases[i].len, 512, "2 5 3");
}

static void test_vocabulary(void **state)
{
    struct wordpiece tokenizer;
    struct err err;
    (void)state;
    assert_int_equal(wordpiece_open(&tokenizer, SLICE_LITERAL("[PAD]\n[UNK]\n[CLS]\n[MASK]"), &err),
                     ERR_INPUT);
    assert_string_equal(err.text, "the token [SEP] is missing");
    assert_int_equal(wordpiece_open(&tokenizer, SLICE_LITERAL(""), &err), ERR_INPUT);
    /* Lines of Windows; of two lines with one token the last counts. */
    assert_int_equal(wordpiece_open(&tokenizer,
                                    SLICE_LITERAL("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\n"
                                                  "x\r\nx\r\n"),
                                    &err),
                     0);
    uint32_t ids[3];
    assert_int_equal(wordpiece_encode(&tokenizer, SLICE_LITERAL("x"), ids, 3), 3);
    assert_int_equal(ids[1], 6);
    wordpiece_close(&tokenizer);
    enum { LINES = (1 << 24) + 1 };
    char *empty = malloc(LINES);
    assert_non_null(empty);
    memset(empty, '\n', LINES);
    assert_int_equal(wordpiece_open(&tokenizer, (slice){ empty, LINES }, &err), ERR_INPUT);
    assert_string_equal(err.text, "it has more than 16777216 lines");
    free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
