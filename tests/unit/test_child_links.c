/* child/links: what in an output stands for a file. Each text ends at an unreadable page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "child/links.h"
#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct row {
    const char *json;
    const char *found; /* each object in angle brackets, its path behind it */
} rows[] = {
    { "", "" },
    { "1", "" },
    { "\"upload\"", "" },
    { "{}", "" },
    { "{\"upload\": 1}", "" },
    { "{\"upload\": null}", "" },
    { "{\"upload\": {\"upload\": \"a\"}}", "<{\"upload\": \"a\"}>\"a\"" },
    { "{\"uploads\": \"a\"}", "" },
    { "{\"Upload\": \"a\"}", "" },
    { "{\"upload\": \"a\", \"x\": 1}", "" },
    { "{\"x\": 1, \"upload\": \"a\"}", "" },
    { "{\"upload\":\"a\"}", "<{\"upload\":\"a\"}>\"a\"" },
    { " { \"upload\"\t:\n\"a b\" } ", "<{ \"upload\"\t:\n\"a b\" }>\"a b\"" },
    { "{\"upload\": \"a\\\"}\\\\\"}", "<{\"upload\": \"a\\\"}\\\\\"}>\"a\\\"}\\\\\"" },
    { "[{\"upload\": \"a\"}, {\"upload\": \"\"}]",
      "<{\"upload\": \"a\"}>\"a\"<{\"upload\": \"\"}>\"\"" },
    { "\"{\\\"upload\\\": \\\"a\\\"}\"", "" },
    { "{\"a\": \"{\", \"b\": {\"upload\": \"c\"}}", "<{\"upload\": \"c\"}>\"c\"" },
};

static void what_stands_for_a_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char found[256] = "";
        slice json = guard_text(rows[i].json), object, path;
        struct text text = TEXT_OVER(found);
        for (size_t at = 0; links_find(json, &at, &object, &path);)
            text_add(&text, "<%.*s>%.*s", SLICE_ARG(object), SLICE_ARG(path));
        if (strcmp(found, rows[i].found) != 0)
            fail_msg("%s: %s", rows[i].json, found);
        guard_free(json);
    }
}

/* Not what it is called for, but nothing it may read past. */
static void every_start_of_an_object_ends(void **state)
{
    static const char whole[] = "{\"upload\": \"a\\\"b\"}";
    (void)state;
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        slice json = guard_copy(whole, len), object, path;
        size_t at = 0;
        assert_false(links_find(json, &at, &object, &path));
        guard_free(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stands_for_a_file),
        cmocka_unit_test(every_start_of_an_object_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
