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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
