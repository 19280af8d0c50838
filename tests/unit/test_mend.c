/* codec/mend: what becomes of output that is not UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/mend.h"
#include "guard.h"

static const struct row {
    const char *bytes;
    size_t len;
    enum mend_kind kind;
    const char *mended;
} rows[] = {
#define ROW(bytes, kind, mended)              \
    {                                         \
        bytes, sizeof bytes - 1, kind, mended \
    }
    ROW("", MEND_NONE, ""),
    ROW("plain text of some length", MEND_NONE, "plain text of some length"),
    ROW("\xc3\xa4 \xf0\x9f\x98\x80", MEND_NONE, "\xc3\xa4 \xf0\x9f\x98\x80"),
    ROW("a NUL is UTF-8 \x01", MEND_NONE, "a NUL is UTF-8 \x01"),
    ROW("caf\xe9", MEND_TEXT, "caf\xef\xbf\xbd"),
    ROW("\xff", MEND_TEXT, "\xef\xbf\xbd"),
    ROW("cut \xf0\x9f", MEND_TEXT, "cut \xef\xbf\xbd\xef\xbf\xbd"),
    ROW("\xc3\xa4\xe9\xc3\xb6 and more", MEND_TEXT, "\xc3\xa4\xef\xbf\xbd\xc3\xb6 and more"),
    ROW("caf\xe9\0", MEND_BINARY, NULL),
    ROW("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", MEND_BINARY, NULL),
    ROW("\xff\xfe\xfd", MEND_BINARY, NULL),
    ROW("\xff\x01\x02\x03", MEND_BINARY, NULL),
    ROW("\x1f\x8b\x08\x08\xd1\xb2\xc3\x64", MEND_BINARY, NULL),
};

static void text_is_mended_and_binary_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        slice bytes = guard_copy(rows[i].bytes, rows[i].len);
        enum mend_kind kind = mend_kind_of(bytes);
        struct buf buf;
        struct err err;
        if (kind != rows[i].kind)
            fail_msg("row %zu: %d", i, (int)kind);
        buf_init(&buf, 100, "text");
        if (rows[i].mended != NULL) {
            assert_int_equal(mend_put(&buf, bytes, &err), 0);
            assert_int_equal(buf.len, strlen(rows[i].mended));
            if (buf.len > 0)
                assert_memory_equal(buf.ptr, rows[i].mended, buf.len);
        }
        buf_free(&buf);
        guard_free(bytes);
    }
}

static void what_does_not_fit_is_an_error(void **state)
{
    struct buf buf;
    struct err err;
    (void)state;
    buf_init(&buf, 5, "text");
    assert_int_equal(mend_put(&buf, SLICE_LITERAL("\xff\xff"), &err), ERR_LIMIT);
    assert_int_equal(buf.len, 0);
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_mended_and_binary_is_not),
        cmocka_unit_test(what_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
