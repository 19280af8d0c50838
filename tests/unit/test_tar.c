/* files/tar: what is written is read again, and heads of other programs are understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "files/tar.h"
#include "guard.h"

/* A head with these fields, its checksum as it should be. */
static void make_head(char head[TAR_BLOCK_BYTES], const char *name, char type, const char *size,
                      const char *mtime, const char *prefix)
{
    unsigned sum = 8 * ' ';
    memset(head, 0, TAR_BLOCK_BYTES);
    memcpy(head, name, strlen(name));
    memcpy(head + 100, "0000644", 7);
    memcpy(head + 124, size, strlen(size));
    memcpy(head + 136, mtime, strlen(mtime));
    head[156] = type;
    memcpy(head + 257,
           "ustar\0"
           "00",
           8);
    memcpy(head + 345, prefix, strlen(prefix));
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    head[155] = ' ';
}

static void what_is_written_is_read_again(void **state)
{
    static const size_t lengths[] = { 1, 99, 100, 101, 255, 511, 512, 513, 4000 };
    char path[4096];
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct buf out;
        struct err err = { 0 };
        struct tar_entry entry;
        struct tar_more *more = calloc(1, sizeof *more);
        memset(path, 'a' + (int)i, lengths[i]);
        path[lengths[i]] = '\0';
        buf_init(&out, 1 << 20, "archive");
        assert_int_equal(tar_put(&out, slice_from(path), 12345, 1700000000, 0640, &err), 0);
        assert_int_equal(out.len % TAR_BLOCK_BYTES, 0);
        slice rest = buf_slice(&out);
        assert_int_equal(tar_read(rest.ptr, more, &entry, &err), 0);
        rest = slice_skip(rest, TAR_BLOCK_BYTES);
        if (lengths[i] > 100) {
            assert_int_equal(entry.kind, TAR_EXTENSION);
            slice data = { rest.ptr, (size_t)entry.bytes };
            assert_int_equal(tar_extend(more, &entry, data, &err), 0);
            rest = slice_skip(rest, data.len + tar_padding(data.len));
            assert_int_equal(tar_read(rest.ptr, more, &entry, &err), 0);
        }
        assert_int_equal(entry.kind, TAR_FILE);
        assert_string_equal(entry.path, path);
        assert_int_equal(entry.bytes, 12345);
        assert_int_equal(entry.mtime_s, 1700000000);
        assert_int_equal(entry.mode, 0640);
        buf_free(&out);
        free(more);
    }
}

static void heads_are_read(void **state)
{
    static const struct {
        const char *name, *size, *mtime, *prefix, *path;
        char type;
        enum tar_kind kind;
        uint64_t bytes;
    } cases[] = {
        { "a", "00000000017", "00000000010", "", "a", '0', TAR_FILE, 15 },
        { "a", "         17 ", "10", "", "a", '\0', TAR_FILE, 15 },
        { "a", "17", "10", "dir/ectory", "dir/ectory/a", '7', TAR_FILE, 15 },
        { "a", "\x80\0\0\0\0\0\0\0\0\0\x01", "10", "", "a", '0', TAR_FILE, 0 }, /* cut by strlen */
        { "a/", "0", "10", "", "a/", '5', TAR_OTHER, 0 },
        { "a", "0", "10", "", "a", '2', TAR_OTHER, 0 },
        { "a", "0", "10", "", "a", '1', TAR_OTHER, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char head[TAR_BLOCK_BYTES];
        struct tar_more more = { 0 };
        struct tar_entry entry;
        struct err err = { 0 };
        make_head(head, cases[i].name, cases[i].type, cases[i].size, cases[i].mtime,
                  cases[i].prefix);
        if (tar_read(head, &more, &entry, &err) != 0)
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(entry.kind, cases[i].kind);
        assert_string_equal(entry.path, cases[i].path);
        assert_int_equal(entry.bytes, cases[i].bytes);
    }
}

static void damaged_heads_are_refused(void **state)
{
    char head[TAR_BLOCK_BYTES];
    struct tar_more more = { 0 };
    struct tar_entry entry;
    struct err err = { 0 };
    (void)state;
    memset(head, 0, sizeof head);
    assert_int_equal(tar_read(head, &more, &entry, &err), 0);
    assert_int_equal(entry.kind, TAR_END);
    make_head(head, "a", '0', "17", "10", "");
    head[0] = 'b';
    assert_int_equal(tar_read(head, &more, &entry, &err), ERR_INPUT);
    make_head(head, "a", '0', "1x", "10", "");
    assert_int_equal(tar_read(head, &more, &entry, &err), ERR_INPUT);
    make_head(head, "a", 'x', "00000777777", "10", "");
    assert_int_equal(tar_read(head, &more, &entry, &err), ERR_INPUT);
    make_head(head, "a", '0', "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "10", "");
    assert_int_equal(tar_read(head, &more, &entry, &err), ERR_INPUT);
}

/* What is wrong with one field of a head, its checksum being right. */
static int read_with(size_t at, const char *field, size_t len, struct tar_entry *entry)
{
    char head[TAR_BLOCK_BYTES];
    static struct tar_more more;
    struct err err;
    unsigned sum = 8 * ' ';
    more = (struct tar_more){ 0 };
    make_head(head, "a", '0', "17", "10", "");
    memcpy(head + at, field, len);
    memset(head + 148, 0, 8);
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    return tar_read(head, &more, entry, &err);
}

static void every_number_is_checked(void **state)
{
    struct tar_entry entry;
    (void)state;
    for (const size_t *at = (const size_t[]){ 100, 124, 136, 0 }; *at != 0; at++) {
        assert_int_equal(read_with(*at, "8", 1, &entry), ERR_INPUT);
        assert_int_equal(read_with(*at, "-1", 2, &entry), ERR_INPUT);
        assert_int_equal(read_with(*at, "\x81\0\0\0", 4, &entry), ERR_INPUT);
    }
    assert_int_equal(read_with(100, "0106755 ", 8, &entry), 0);
    assert_int_equal(entry.mode, 0755);
    assert_int_equal(read_with(124, "   77777777\0", 12, &entry), 0);
    assert_int_equal(entry.bytes, 077777777);
    assert_int_equal(read_with(124, "777777777777", 12, &entry), 0); /* all of the field */
    assert_int_equal(entry.bytes, 0777777777777);
    assert_int_equal(read_with(124, "\0\0\0\0\0\0\0\0\0\0\0\0", 12, &entry), 0);
    assert_int_equal(entry.bytes, 0);
    assert_int_equal(read_with(124, "                        ", 24, &entry), 0); /* and the time */
    assert_true(entry.bytes == 0 && entry.mtime_s == 0);
    assert_int_equal(read_with(136, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12, &entry), 0);
    assert_true(entry.mtime_s == INT64_MAX);
    assert_int_equal(read_with(0, "\xff\xfe", 2, &entry), 0); /* bytes are summed unsigned */
    assert_string_equal(entry.path, "\xff\xfe");
    assert_int_equal(read_with(0, "", 1, &entry), 0);
    assert_string_equal(entry.path, "");
}

static void numbers_in_binary(void **state)
{
    static const struct {
        const char *field;
        uint64_t bytes;
        int rc;
    } cases[] = {
        { "\x80\0\0\0\0\0\0\0\0\0\x01\x02", 258, 0 },
        { "\x80\0\0\0\x00\x7f\xff\xff\xff\xff\xff\xff", 0x7fffffffffffff, 0 },
        { "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xfd\xff", INT64_MAX - 512, 0 },
        { "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xfe\x00", 0, ERR_INPUT }, /* with its padding */
        { "\x80\0\0\0\x80\0\0\0\0\0\0\0", 0, ERR_INPUT },
        { "\x80\0\0\x01\0\0\0\0\0\0\0\0", 0, ERR_INPUT },
        { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, ERR_INPUT }, /* negative */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tar_entry entry;
        assert_int_equal(read_with(124, cases[i].field, 12, &entry), cases[i].rc);
        if (cases[i].rc == 0)
            assert_true(entry.bytes == cases[i].bytes);
    }
}

/* What stands there in GNU's form is something else. */
static void a_prefix_counts_in_the_posix_form_alone(void **state)
{
    struct tar_entry entry;
    char name[100], prefix[155];
    (void)state;
    assert_int_equal(read_with(345, "prefix", 7, &entry), 0);
    assert_string_equal(entry.path, "prefix/a");
    memset(name, 'n', sizeof name);
    memset(prefix, 'p', sizeof prefix);
    static char both[TAR_BLOCK_BYTES];
    make_head(both, "", '0', "0", "0", "");
    memcpy(both, name, sizeof name);
    memcpy(both + 345, prefix, sizeof prefix);
    assert_int_equal(read_with(0, both, TAR_BLOCK_BYTES, &entry), 0);
    assert_int_equal(strlen(entry.path), 256);
    memcpy(both + 257, "ustar  ", 8);
    assert_int_equal(read_with(0, both, TAR_BLOCK_BYTES, &entry), 0);
    assert_int_equal(strlen(entry.path), 100);
}

static void kinds_of_heads(void **state)
{
    (void)state;
    for (int type = 1; type < 128; type++) {
        const char field[] = { (char)type };
        struct tar_entry entry;
        enum tar_kind kind = strchr("07", type) != NULL     ? TAR_FILE
                             : strchr("xgLK", type) != NULL ? TAR_EXTENSION
                                                            : TAR_OTHER;
        assert_int_equal(read_with(156, field, 1, &entry), 0);
        assert_int_equal(entry.kind, kind);
    }
}

/* Of 64 KiB at most. What is no extension may be longer. */
static void extensions_have_a_longest(void **state)
{
    char head[TAR_BLOCK_BYTES];
    static struct tar_more more;
    struct tar_entry entry;
    struct err err;
    (void)state;
    make_head(head, "a", 'x', "200000", "10", "");
    assert_int_equal(tar_read(head, &more, &entry, &err), 0);
    assert_int_equal(entry.bytes, TAR_EXTENSION_BYTES);
    make_head(head, "a", 'x', "200001", "10", "");
    assert_int_equal(tar_read(head, &more, &entry, &err), ERR_INPUT);
    make_head(head, "a", '5', "200001", "10", "");
    assert_int_equal(tar_read(head, &more, &entry, &err), 0);
}

/* A path that does not fit, or has a NUL, makes nothing of the entry. */
static void paths_that_do_not_fit_are_empty(void **state)
{
    static const struct {
        size_t len;
        bool has_nul;
        size_t read;
    } cases[] = { { 4095, false, 4095 }, { 4096, false, 0 }, { 9000, false, 0 }, { 20, true, 0 } };
    static char path[9000];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char head[TAR_BLOCK_BYTES];
        static struct tar_more more;
        struct tar_entry entry = { .kind = TAR_EXTENSION, .type = 'L' };
        struct err err;
        memset(path, 'a', sizeof path);
        if (cases[i].has_nul)
            path[10] = '\0';
        assert_int_equal(tar_extend(&more, &entry, (slice){ path, cases[i].len }, &err), 0);
        make_head(head, "short", '0', "17", "10", "");
        assert_int_equal(tar_read(head, &more, &entry, &err), 0);
        assert_int_equal(strlen(entry.path), cases[i].read);
    }
}

static void extensions_hold_for_the_next_file(void **state)
{
    char head[TAR_BLOCK_BYTES];
    static struct tar_more more;
    const struct tar_entry pax = { .type = 'x' }, global = { .type = 'g' }, link = { .type = 'K' };
    struct tar_entry entry;
    struct err err;
    (void)state;
    assert_int_equal(tar_extend(&more, &pax, SLICE_LITERAL("18 size=123456789\n"), &err), 0);
    assert_int_equal(tar_extend(&more, &global, SLICE_LITERAL("12 path=new\n"), &err), 0);
    assert_int_equal(tar_extend(&more, &link, SLICE_LITERAL("target"), &err), 0);
    make_head(head, "long", 'L', "4", "10", ""); /* another extension changes nothing of it */
    assert_int_equal(tar_read(head, &more, &entry, &err), 0);
    assert_int_equal(entry.bytes, 4);
    make_head(head, "a", '0', "17", "10", "");
    assert_int_equal(tar_read(head, &more, &entry, &err), 0);
    assert_int_equal(entry.bytes, 123456789);
    assert_string_equal(entry.path, "a");
    assert_int_equal(entry.mtime_s, 8);
    assert_int_equal(tar_read(head, &more, &entry, &err), 0);
    assert_int_equal(entry.bytes, 15);
    /* An earlier time does not stay, nor a size that is none. */
    assert_int_equal(tar_extend(&more, &pax, SLICE_LITERAL("13 mtime=777\n13 mtime=-77\n"), &err),
                     0);
    assert_int_equal(tar_read(head, &more, &entry, &err), 0);
    assert_int_equal(entry.mtime_s, 0);
    static const char *const sizes[] = { "28 size=9223372036854775296\n", "11 size=-1\n",
                                         "12 mtime=1x\n" };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(tar_extend(&more, &pax, slice_from(sizes[i]), &err), ERR_INPUT);
    assert_int_equal(tar_extend(&more, &pax, SLICE_LITERAL("28 size=9223372036854775295\n"), &err),
                     0);
}

/* What does not fit becomes the nearest that does; of a mode the permissions are written. */
static void times_and_modes_are_written_within_bounds(void **state)
{
    static const int64_t times[][2] = { { -1, 0 },
                                        { INT64_MIN, 0 },
                                        { 077777777777, 077777777777 },
                                        { 0100000000000, 077777777777 },
                                        { INT64_MAX, 077777777777 } };
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        static struct tar_more more;
        struct tar_entry entry;
        struct buf out;
        struct err err = { 0 };
        buf_init(&out, 1 << 20, "archive");
        assert_int_equal(tar_put(&out, SLICE_LITERAL("a"), 1, times[i][0], 0104711, &err), 0);
        assert_int_equal(out.len, TAR_BLOCK_BYTES);
        assert_memory_equal(out.ptr + 100, "0000711", 8);
        assert_memory_equal(out.ptr + 108, "0000000\0000000000", 16);
        assert_memory_equal(out.ptr + 257, "ustar  ", 8);
        assert_int_equal(tar_read(out.ptr, &more, &entry, &err), 0);
        assert_true(entry.mtime_s == times[i][1]);
        buf_free(&out);
    }
}

static void an_archive_that_is_too_large_is_an_error(void **state)
{
    struct buf out;
    struct err err = { 0 };
    (void)state;
    buf_init(&out, TAR_BLOCK_BYTES - 1, "the archive");
    assert_int_equal(tar_put(&out, SLICE_LITERAL("a"), 1, 0, 0600, &err), ERR_LIMIT);
    buf_free(&out);
}

/* A block with one byte is not the end, whichever it is. */
static void the_end_is_all_zeros(void **state)
{
    (void)state;
    for (size_t at = 0; at < TAR_BLOCK_BYTES; at += TAR_BLOCK_BYTES - 1) {
        char head[TAR_BLOCK_BYTES] = { 0 };
        static struct tar_more more;
        struct tar_entry entry;
        struct err err;
        head[at] = 1;
        assert_int_equal(tar_read(head, &more, &entry, &err), ERR_INPUT);
    }
}

/* Pax records right before an unreadable page: NULL for damaged ones, else what they say. */
static void pax_records_are_read(void **state)
{
    static const struct {
        const char *data, *path;
        int64_t mtime_s;
    } cases[] = {
        { "12 path=new\n", "new", 8 },
        { "20 mtime=1700000.75\n", "a", 1700000 },
        { "12 path=new\n20 mtime=1700000.75\n10 uid=12\n", "new", 1700000 },
        { "12 mtime=-5\n", "a", 0 },
        { "8 uid=1\n", "a", 8 },
        { "12 path=new", NULL, 0 },
        { "99 path=new\n", NULL, 0 },
        { "12path=new\n", NULL, 0 },
        { "3 \n", NULL, 0 },
        { "0 path=new\n", NULL, 0 },
        { "12 pathxnew\n", NULL, 0 },
        { "9 size=x\n", NULL, 0 },
        { "x", NULL, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char head[TAR_BLOCK_BYTES];
        struct tar_more more = { 0 };
        struct tar_entry entry = { .kind = TAR_EXTENSION, .type = 'x' };
        struct err err = { 0 };
        slice data = guard_text(cases[i].data);
        int rc = tar_extend(&more, &entry, data, &err);
        if ((rc == 0) != (cases[i].path != NULL))
            fail_msg("%s: %d", cases[i].data, rc);
        make_head(head, "a", '0', "17", "10", "");
        assert_int_equal(tar_read(head, &more, &entry, &err), 0);
        if (rc == 0) {
            assert_string_equal(entry.path, cases[i].path);
            assert_int_equal(entry.mtime_s, cases[i].mtime_s);
            make_head(head, "b", '0', "17", "10", "");
            assert_int_equal(tar_read(head, &more, &entry, &err), 0);
            assert_string_equal(entry.path, "b"); /* it held for one entry */
        }
        guard_free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(heads_are_read),
        cmocka_unit_test(damaged_heads_are_refused),
        cmocka_unit_test(pax_records_are_read),
        cmocka_unit_test(every_number_is_checked),
        cmocka_unit_test(numbers_in_binary),
        cmocka_unit_test(a_prefix_counts_in_the_posix_form_alone),
        cmocka_unit_test(kinds_of_heads),
        cmocka_unit_test(extensions_have_a_longest),
        cmocka_unit_test(paths_that_do_not_fit_are_empty),
        cmocka_unit_test(extensions_hold_for_the_next_file),
        cmocka_unit_test(times_and_modes_are_written_within_bounds),
        cmocka_unit_test(an_archive_that_is_too_large_is_an_error),
        cmocka_unit_test(the_end_is_all_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
