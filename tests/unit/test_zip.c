/* files/zip, files/inflate: names, checksums, and no byte read past the end of what is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "files/inflate.h"
#include "files/packed.h"
#include "files/zip.h"
#include "guard.h"

static void names_stay_in_their_folder(void **state)
{
    static const char *const cases[][2] = {
        { "a", "a" },
        { "a/b.c", "a/b.c" },
        { "folder/", "folder" },
        { "...", "..." },
        { ".hidden", ".hidden" },
        { "a..b", "a..b" },
        { "\xc3\xa4", "\xc3\xa4" },
        { "\x81 x", "_ x" },
        { "x\xc3\xa4", "x\xc3\xa4" },
        { "x\x81", "x_" },
        { "..", NULL },
        { "../a", NULL },
        { "a/..", NULL },
        { "/a", NULL },
        { "a//b", NULL },
        { "a/./b", NULL },
        { "", NULL },
        { "/", NULL },
        { "a\\b", NULL },
        { "c:a", NULL },
        { "a\nb", NULL },
        { "a//", NULL },
        { "a\x7f", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[ZIP_NAME_BYTES];
        struct err err = { 0 };
        slice name = guard_text(cases[i][0]);
        int rc = zip_safe_name(name, out, &err);
        guard_free(name);
        if (rc != (cases[i][1] != NULL ? 0 : ERR_INPUT))
            fail_msg("\"%s\": %d %s", cases[i][0], rc, err.text);
        if (rc == 0)
            assert_string_equal(out, cases[i][1]);
    }
}

/* The check value of CRC-32, and sums that are added up in pieces. */
static void checksums_are_those_of_crc_32(void **state)
{
    static struct zip_crc crc;
    const slice digits = SLICE_LITERAL("123456789"), text = SLICE_LITERAL("The quick brown fox");
    (void)state;
    zip_crc_init(&crc);
    assert_int_equal(zip_crc_add(&crc, 0, digits), 0xcbf43926);
    uint32_t whole = zip_crc_add(&crc, 0, text);
    for (size_t cut = 0; cut <= text.len; cut++) {
        uint32_t first = zip_crc_add(&crc, 0, (slice){ text.ptr, cut });
        assert_int_equal(zip_crc_add(&crc, first, slice_skip(text, cut)), whole);
    }
}

static void every_start_of_an_end_is_refused(void **state)
{
    static const char archive[] = "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0hi";
    struct zip_end end;
    struct err err;
    (void)state;
    for (size_t len = 0; len < sizeof archive; len++) {
        slice tail = guard_copy(archive, len);
        int rc = zip_find_end(tail, len, &end, &err);
        guard_free(tail);
        assert_int_equal(rc, len == sizeof archive - 1 ? 0 : ERR_INPUT);
    }
    assert_int_equal(end.entries, 0);
}

/* The three records of an archive that needs 64 bits, and what is refused in them. */
static void an_end_of_64_bits_is_one_file_s_and_where_it_says(void **state)
{
    static const char records[] =
        "PK\6\6\54\0\0\0\0\0\0\0\55\0\55\0\0\0\0\0\0\0\0\0" /* up to its disks */
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"                  /* entries, twice */
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"                  /* the directory */
        "PK\6\7\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0"            /* its disk, its place, disks */
        "PK\5\6\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0";
    static const struct {
        size_t at;
        char byte;
        const char *error; /* NULL: nothing */
    } cases[] = {
        { 0, 'P', NULL },
        { 60, 1, "several files" },
        { 72, 2, "several files" },
        { 64, 1, "64-bit end record is not where" },
        { 3, 7, "64-bit end record" },
        { 32, 1, "directory" }, /* an entry for which there are no bytes */
        { 48, 77, "directory" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[sizeof records - 1];
        struct zip_end end;
        struct err err = { 0 };
        memcpy(bytes, records, sizeof bytes);
        bytes[cases[i].at] = cases[i].byte;
        slice tail = guard_copy(bytes, sizeof bytes);
        int rc = zip_find_end(tail, sizeof bytes, &end, &err);
        guard_free(tail);
        if (rc != (cases[i].error != NULL ? ERR_INPUT : 0))
            fail_msg("byte %zu: %d %s", cases[i].at, rc, err.text);
        if (cases[i].error != NULL && strstr(err.text, cases[i].error) == NULL)
            fail_msg("byte %zu: %s", cases[i].at, err.text);
    }
}

/* --- inflate: the stream is given byte by byte ------------------------------------------------ */

struct run {
    struct inflate inflate;
    slice rest;
    char out[64];
    size_t len;
};

static int give(struct inflate *inflate, slice *more, struct err *err)
{
    struct run *run = (void *)inflate;
    (void)err;
    *more = (slice){ run->rest.ptr, run->rest.len > 0 };
    run->rest = slice_skip(run->rest, more->len);
    return 0;
}

static int take(struct inflate *inflate, slice bytes, struct err *err)
{
    struct run *run = (void *)inflate;
    if (bytes.len > sizeof run->out - run->len)
        return err_set(err, ERR_LIMIT, "too much");
    memcpy(run->out + run->len, bytes.ptr, bytes.len);
    run->len += bytes.len;
    return 0;
}

static int unpack(struct run *run, const char *stream, size_t len)
{
    struct err err = { 0 };
    slice copy = guard_copy(stream, len);
    memset(run, 0, sizeof *run);
    run->inflate.read = give;
    run->inflate.write = take;
    run->rest = copy;
    int rc = inflate_run(&run->inflate, &err);
    guard_free(copy);
    return rc;
}

static void streams_are_unpacked_or_refused_whole(void **state)
{
    static const struct {
        const char *stream;
        size_t len;
        const char *text; /* NULL: refused */
    } cases[] = {
        { "\x01\x05\x00\xfa\xffhello", 10, "hello" },   /* stored */
        { "\xcb\x48\xcd\xc9\xc9\x07\x00", 7, "hello" }, /* fixed codes */
        { "\x4b\x04\x02\x00", 4, "aaaa" },              /* a match over itself */
        { "\x01\x05\x00\xfb\xffhello", 10, NULL },      /* a length and its complement */
        { "\x07", 1, NULL },                            /* a block of kind 3 */
        { "\x03\x02\x00", 3, NULL },                    /* a distance before the start */
    };
    struct run *run = malloc(sizeof *run);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = unpack(run, cases[i].stream, cases[i].len);
        assert_int_equal(rc, cases[i].text != NULL ? 0 : ERR_INPUT);
        if (rc != 0)
            continue;
        assert_int_equal(run->len, strlen(cases[i].text));
        assert_memory_equal(run->out, cases[i].text, run->len);
        for (size_t len = 0; len < cases[i].len; len++)
            assert_int_equal(unpack(run, cases[i].stream, len), ERR_INPUT);
    }
    free(run);
}

/* --- texts of the program, as "gzip -n" packs them -------------------------------------------- */

static void packed_texts_are_read_or_refused(void **state)
{
    static const char hello[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07"
                                "\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
    struct buf out;
    struct err err = { 0 };
    (void)state;
    buf_init(&out, 5, "a greeting");
    assert_int_equal(packed_read((slice){ hello, sizeof hello - 1 }, &out, &err), 0);
    assert_true(slice_is(buf_slice(&out), "hello"));
    assert_int_equal(packed_read((slice){ hello, sizeof hello - 1 }, &out, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "a greeting"));
    buf_clear(&out);
    for (size_t len = 0; len < 17; len++) { /* without the end of the stream */
        slice cut = guard_copy(hello, len);
        assert_int_equal(packed_read(cut, &out, &err), ERR_INPUT);
        guard_free(cut);
    }
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stay_in_their_folder),
        cmocka_unit_test(checksums_are_those_of_crc_32),
        cmocka_unit_test(every_start_of_an_end_is_refused),
        cmocka_unit_test(an_end_of_64_bits_is_one_file_s_and_where_it_says),
        cmocka_unit_test(streams_are_unpacked_or_refused_whole),
        cmocka_unit_test(packed_texts_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
