/* codec/words: command lines cut into words as a shell does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/shell_words.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct cutting {
    const char *line;
    const char *words; /* each in brackets; NULL: an error */
} cuttings[] = {
    { "", "" },
    { " \t\n\r ", "" },
    { "a\r\nb\r", "[a][b]" },
    { "a", "[a]" },
    { "  one   two\tthree\n", "[one][two][three]" },
    { "'a b' \"c d\"", "[a b][c d]" },
    { "a'b'\"c\"d", "[abcd]" },
    { "''", "[]" },
    { "a '' \"\" b", "[a][][][b]" },
    { "'a\\b\"'", "[a\\b\"]" },
    { "\"a\\\"b\\\\c\\$d\\`e\"", "[a\"b\\c$d`e]" },
    { "\"a\\nb\"", "[a\\nb]" },
    { "\"a\\\nb\"", "[ab]" },
    { "a\\ b", "[a b]" },
    { "\\'", "[']" },
    { "a\\\nb", "[ab]" },
    { "\\n", "[n]" },
    { "$HOME * ~ ; | & # `x` > y", "[$HOME][*][~][;][|][&][#][`x`][>][y]" },
    { "--name='it'\\''s'", "[--name=it's]" },
    { "\xc3\xa4 \xff", "[\xc3\xa4][\xff]" },
    { "'open", NULL },
    { "\"open", NULL },
    { "\"open\\\"", NULL },
    { "\"open\\", NULL },
    { "a 'b' c'", NULL },
    { "end\\", NULL },
};

/* All words of a line in brackets; the last return value of shell_words_next. */
static int cut(slice line, char *words, size_t size, struct err *err)
{
    char *to = malloc(line.len + 1); /* exactly what is asked for: a byte too many is noticed */
    slice word;
    int rc;
    words[0] = '\0';
    while ((rc = shell_words_next(&line, to, &word, err)) > 0) {
        size_t used = strlen(words);
        assert_int_equal(to[word.len], '\0');
        snprintf(words + used, size - used, "[%s]", word.ptr);
    }
    free(to);
    return rc;
}

static void lines_are_cut_as_by_a_shell(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cuttings); i++) {
        char words[256];
        struct err err = { 0 };
        int rc = cut(slice_from(cuttings[i].line), words, sizeof words, &err);
        if ((rc == 0) != (cuttings[i].words != NULL))
            fail_msg("%s: %d (%s)", cuttings[i].line, rc, err.text);
        if (rc == 0)
            assert_string_equal(words, cuttings[i].words);
        else
            assert_int_equal(rc, ERR_INPUT);
    }
}

static void a_nul_byte_is_refused(void **state)
{
    char words[64];
    struct err err;
    (void)state;
    assert_int_equal(cut((slice){ "a\0b", 3 }, words, sizeof words, &err), ERR_INPUT);
    assert_int_equal(cut((slice){ NULL, 0 }, words, sizeof words, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cut_as_by_a_shell),
        cmocka_unit_test(a_nul_byte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
