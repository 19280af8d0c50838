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
        { "a\x1f", NULL },
        { "\x80", "_" },
        { "x\xc3", "x_" },
        { ":", ":" }, /* no drive */
        { "ab:c", "ab:c" },
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

/* Parts up to 255 bytes, names up to 1024. */
static void names_have_a_longest(void **state)
{
    static const struct {
        size_t len, part;
        int rc;
    } cases[] = { { 255, 255, 0 },          { 256, 256, ERR_INPUT }, { 511, 255, 0 },
                  { 512, 256, ERR_INPUT },  { 1024, 200, 0 },        { 1025, 200, ERR_INPUT },
                  { 2000, 200, ERR_INPUT }, { 4000, 200, ERR_INPUT } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[4000], out[ZIP_NAME_BYTES];
        struct err err = { 0 };
        for (size_t at = 0; at < cases[i].len; at++)
            bytes[at] = at % (cases[i].part + 1) == cases[i].part ? '/' : 'a';
        slice name = guard_copy(bytes, cases[i].len);
        int rc = zip_safe_name(name, out, &err);
        guard_free(name);
        if (rc != cases[i].rc)
            fail_msg("%zu bytes: %d", cases[i].len, rc);
        if (rc == 0)
            assert_int_equal(strlen(out), cases[i].len);
    }
}

static void a_refused_name_is_shown_in_part(void **state)
{
    char bytes[200], out[ZIP_NAME_BYTES];
    struct err err = { 0 };
    (void)state;
    memset(bytes, 'a', sizeof bytes);
    memcpy(bytes, "/\n\x80", 3);
    bytes[99] = 'b';
    assert_int_equal(zip_safe_name((slice){ bytes, sizeof bytes }, out, &err), ERR_INPUT);
    const char *shown = strstr(err.text, "/??a");
    assert_non_null(shown);
    assert_int_equal(strlen(shown), 100);
    assert_int_equal(shown[99], 'b');
}

/* --- the directory ---------------------------------------------------------------------------- */

/* An entry "name" of 5 bytes, packed to 4, at 6; its extra field and comment are to be added. */
static const char entry_bytes[] = "PK\1\2\0\3\0\0\0\0\10\0\0\0\0\0\x78\x56\x34\x12\4\0\0\0\5\0\0\0"
                                  "\4\0\0\0\0\0\0\0\0\0\0\0\0\0\6\0\0\0name";
enum { ENTRY_LEN = sizeof entry_bytes - 1 };

/* What is read of that entry with one more byte changed, and `more` behind it. */
static int next_of(size_t at, unsigned char byte, slice more, struct zip_entry *entry)
{
    char bytes[200];
    struct err err = { 0 };
    memcpy(bytes, entry_bytes, ENTRY_LEN);
    memcpy(bytes + ENTRY_LEN, more.ptr, more.len);
    bytes[at] = (char)byte;
    slice directory = guard_copy(bytes, ENTRY_LEN + more.len), rest = directory;
    int rc = zip_next(&rest, entry, &err);
    if (rc == 1)
        assert_int_equal(rest.len, 0);
    guard_free(directory);
    return rc;
}

static const slice nothing = { "", 0 };

static void entries_are_read(void **state)
{
    struct zip_entry entry;
    struct err err;
    slice end = nothing;
    (void)state;
    assert_int_equal(next_of(0, 'P', nothing, &entry), 1);
    assert_int_equal(entry.name.len, 4);
    assert_int_equal(entry.method, ZIP_DEFLATED);
    assert_int_equal(entry.crc, 0x12345678);
    assert_int_equal(entry.packed, 4);
    assert_int_equal(entry.bytes, 5);
    assert_int_equal(entry.offset, 6);
    assert_false(entry.is_folder || entry.is_special);
    assert_int_equal(zip_next(&end, &entry, &err), 0);
    assert_int_equal(next_of(32, 2, SLICE_LITERAL("hi"), &entry), 1); /* with a comment */
}

static void damaged_entries_are_refused(void **state)
{
    struct zip_entry entry;
    struct err err;
    (void)state;
    assert_int_equal(next_of(2, 3, nothing, &entry), ERR_INPUT);
    for (size_t at = 28; at < 34; at += 2) /* lengths of the name, the extra field, the comment */
        assert_int_equal(next_of(at, 5, nothing, &entry), ERR_INPUT);
    char bytes[ENTRY_LEN + 6];
    memcpy(bytes, entry_bytes, ENTRY_LEN);
    memcpy(bytes + ENTRY_LEN, "\2\0\2\0x", 6);
    bytes[30] = 6;
    bytes[32] = 1; /* a comment that is not there, behind an extra field that is */
    slice commented = { bytes, sizeof bytes };
    assert_int_equal(zip_next(&commented, &entry, &err), ERR_INPUT);
    for (size_t len = 1; len < ENTRY_LEN; len++) {
        slice cut = guard_copy(entry_bytes, len), rest = cut;
        assert_int_equal(zip_next(&rest, &entry, &err), ERR_INPUT);
        guard_free(cut);
    }
}

static void encrypted_entries_are_refused(void **state)
{
    struct zip_entry entry;
    (void)state;
    assert_int_equal(next_of(8, 0x01, nothing, &entry), ERR_INPUT);
    assert_int_equal(next_of(8, 0x40, nothing, &entry), ERR_INPUT);
    assert_int_equal(next_of(9, 0x20, nothing, &entry), ERR_INPUT);
    assert_int_equal(next_of(8, 0x08, nothing, &entry), 1); /* sizes behind the bytes */
    assert_int_equal(next_of(9, 0x08, nothing, &entry), 1); /* a name in UTF-8 */
}

/* From attributes: those of Unix, where it was made there, else those of DOS. */
static void kinds_of_entries(void **state)
{
    static const struct {
        unsigned char host, unix_type, dos, bytes, last;
        bool is_folder, is_special;
    } cases[] = {
        { 3, 0x81, 0, 5, 'e', false, false },    /* a file */
        { 3, 0x41, 0, 0, 'e', false, false },    /* a folder without a slash at its name's end */
        { 3, 0x41, 0x10, 0, '/', true, false },  /* a folder */
        { 3, 0xa1, 0, 5, 'e', false, true },     /* a link */
        { 3, 0x21, 0, 0, 'e', false, true },     /* a device */
        { 3, 0x81, 0x10, 0, 'e', false, false }, /* what Unix says counts */
        { 3, 0, 0x10, 0, 'e', true, false },     /* it says nothing */
        { 0, 0xa1, 0x10, 0, 'e', true, false },  /* not made there */
        { 0, 0, 0x10, 5, 'e', false, false },    /* a folder has no bytes */
        { 0, 0, 0x20, 0, 'e', false, false },    { 0, 0, 0, 0, '/', true, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[ENTRY_LEN];
        struct zip_entry entry;
        struct err err;
        memcpy(bytes, entry_bytes, sizeof bytes);
        bytes[5] = (char)cases[i].host;
        bytes[24] = (char)cases[i].bytes;
        bytes[38] = (char)cases[i].dos;
        bytes[41] = (char)cases[i].unix_type;
        bytes[ENTRY_LEN - 1] = (char)cases[i].last;
        slice directory = { bytes, sizeof bytes };
        assert_int_equal(zip_next(&directory, &entry, &err), 1);
        if (entry.is_folder != cases[i].is_folder || entry.is_special != cases[i].is_special)
            fail_msg("case %zu: folder %d, special %d", i, entry.is_folder, entry.is_special);
    }
}

/* Only values that do not fit 32 bits are in the extra field, in their order. */
static void values_of_64_bits(void **state)
{
    static const char more[] = "\2\0\1\0x\1\0\20\0\1\0\0\0\1\0\0\0\2\0\0\0\2\0\0\0";
    char bytes[ENTRY_LEN + sizeof more - 1];
    struct zip_entry entry;
    struct err err = { 0 };
    (void)state;
    memcpy(bytes, entry_bytes, ENTRY_LEN);
    memcpy(bytes + ENTRY_LEN, more, sizeof more - 1);
    memset(bytes + 24, 0xff, 4); /* the size */
    memset(bytes + 42, 0xff, 4); /* the place */
    bytes[30] = sizeof more - 1;
    slice directory = { bytes, sizeof bytes };
    assert_int_equal(zip_next(&directory, &entry, &err), 1);
    assert_int_equal(directory.len, 0);
    assert_true(entry.bytes == 0x100000001u && entry.offset == 0x200000002u && entry.packed == 4);
    memset(bytes + 20, 0xff, 4); /* a third one, for which there is no room */
    directory = (slice){ bytes, sizeof bytes };
    assert_int_equal(zip_next(&directory, &entry, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "extra field"));
    memset(bytes + 20, 0, 4);
    bytes[ENTRY_LEN + 7] = 17; /* one byte more than there are */
    slice copy = guard_copy(bytes, sizeof bytes);
    directory = copy;
    assert_int_equal(zip_next(&directory, &entry, &err), ERR_INPUT);
    guard_free(copy);
}

/* A field with nothing in it, though a value is to be there, is all that the extra field has. */
static void an_empty_extra_field_lacks_its_values(void **state)
{
    char bytes[ENTRY_LEN + 4];
    struct zip_entry entry;
    struct err err;
    (void)state;
    memcpy(bytes, entry_bytes, ENTRY_LEN);
    memcpy(bytes + ENTRY_LEN, "\1\0\0", 4);
    bytes[30] = 4;
    slice directory = { bytes, sizeof bytes };
    assert_int_equal(zip_next(&directory, &entry, &err), 1);
    memset(bytes + 24, 0xff, 4);
    directory = (slice){ bytes, sizeof bytes };
    assert_int_equal(zip_next(&directory, &entry, &err), ERR_INPUT);
}

/* Its head's last byte is not taken for the end of a name that it does not have. */
static void an_entry_without_a_name(void **state)
{
    char bytes[ENTRY_LEN - 4];
    struct zip_entry entry;
    struct err err;
    (void)state;
    memcpy(bytes, entry_bytes, sizeof bytes);
    bytes[28] = 0;
    bytes[45] = '/';
    slice directory = { bytes, sizeof bytes };
    assert_int_equal(zip_next(&directory, &entry, &err), 1);
    assert_int_equal(entry.name.len, 0);
    assert_false(entry.is_folder);
}

static void heads_agree_with_the_directory(void **state)
{
    const struct zip_entry entry = { .name = { "name", 4 }, .method = ZIP_DEFLATED };
    char head[ZIP_HEAD_BYTES] = "PK\3\4";
    uint64_t skip;
    struct err err;
    (void)state;
    head[8] = ZIP_DEFLATED;
    head[26] = 4;
    head[28] = 7;
    assert_int_equal(zip_check_head(head, &entry, &skip, &err), 0);
    assert_int_equal(skip, 30 + 4 + 7);
    for (const int *at = (const int[]){ 0, 8, 26, -1 }; *at >= 0; at++) {
        head[*at]++;
        assert_int_equal(zip_check_head(head, &entry, &skip, &err), ERR_INPUT);
        head[*at]--;
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

/* 100 bytes, of which the last 22 are the end; a byte of it is changed. */
static int end_with(size_t at, unsigned char byte, size_t tail_bytes, struct zip_end *end)
{
    static const char record[] = "PK\5\6\0\0\0\0\1\0\1\0\56\0\0\0\40\0\0\0\0";
    char bytes[100] = "";
    struct err err;
    memcpy(bytes + 78, record, 22);
    bytes[78 + at] = (char)byte;
    slice tail = guard_copy(bytes + 100 - tail_bytes, tail_bytes);
    int rc = zip_find_end(tail, 100, end, &err);
    guard_free(tail);
    return rc;
}

static void an_end_names_its_directory(void **state)
{
    struct zip_end end;
    (void)state;
    for (size_t tail = 22; tail <= 100; tail += 78) {
        assert_int_equal(end_with(0, 'P', tail, &end), 0);
        assert_true(end.entries == 1 && end.directory_bytes == 46 && end.directory_offset == 32);
        assert_int_equal(end_with(16, 33, tail, &end), ERR_INPUT); /* it reaches into the end */
        assert_int_equal(end_with(16, 79, tail, &end), ERR_INPUT); /* it is behind the end */
        assert_int_equal(end_with(12, 45, tail, &end), ERR_INPUT); /* no room for the entry */
        assert_int_equal(end_with(12, 47, tail, &end), ERR_INPUT);
        assert_int_equal(end_with(4, 1, tail, &end), ERR_INPUT); /* several files */
        assert_int_equal(end_with(8, 2, tail, &end), ERR_INPUT);
    }
}

/* The last record whose comment reaches to the end, though there is another in that comment. */
static void a_comment_may_look_like_an_end(void **state)
{
    static char bytes[22 + 65535 + 1] = "PK\5\6";
    struct zip_end end;
    struct err err;
    (void)state;
    bytes[20] = 24;
    memcpy(bytes + 22, "PK\5\6\0\0\0\0\7\0\7", 11);
    assert_int_equal(zip_find_end((slice){ bytes, 46 }, 46, &end, &err), 0);
    assert_int_equal(end.entries, 0);
    memset(bytes + 22, 0, 11);
    memset(bytes + 20, 0xff, 2); /* the longest comment */
    slice longest = { bytes, 22 + 65535 }, longer = { bytes, 22 + 65536 };
    assert_int_equal(zip_find_end(longest, longest.len, &end, &err), 0);
    assert_int_equal(zip_find_end(longer, longer.len, &end, &err), ERR_INPUT);
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
        { 48, 1, "directory" }, /* it begins within the record */
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
    /* Of a longer file, from its place on; and without the record, from its locator on. */
    char bytes[sizeof records - 1];
    struct zip_end end;
    struct err err = { 0 };
    memcpy(bytes, records, sizeof bytes);
    bytes[49] = 2; /* the directory at 512 */
    bytes[65] = 3; /* the record at 768 */
    for (size_t before = 767; before <= 769; before++) {
        slice tail = guard_copy(bytes, sizeof bytes);
        int rc = zip_find_end(tail, before + sizeof bytes, &end, &err);
        guard_free(tail);
        assert_int_equal(rc, before == 768 ? 0 : ERR_INPUT);
        if (rc == 0)
            assert_int_equal(end.directory_offset, 512);
    }
    slice located = guard_copy(bytes + 56, sizeof bytes - 56);
    assert_int_equal(zip_find_end(located, located.len, &end, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "64-bit end record is not where"));
    guard_free(located);
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

static int unpack(struct run *run, const char *stream, size_t len, struct err *err)
{
    slice copy = guard_copy(stream, len);
    memset(run, 0, sizeof *run);
    run->inflate.read = give;
    run->inflate.write = take;
    run->rest = copy;
    int rc = inflate_run(&run->inflate, err);
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
        struct err err;
        int rc = unpack(run, cases[i].stream, cases[i].len, &err);
        assert_int_equal(rc, cases[i].text != NULL ? 0 : ERR_INPUT);
        if (rc != 0)
            continue;
        assert_int_equal(run->len, strlen(cases[i].text));
        assert_memory_equal(run->out, cases[i].text, run->len);
        for (size_t len = 0; len < cases[i].len; len++)
            assert_int_equal(unpack(run, cases[i].stream, len, &err), ERR_INPUT);
    }
    free(run);
}

/* Tables of codes in the stream itself, and what is wrong with them. */
static void tables_are_checked(void **state)
{
    static const struct {
        const char *stream;
        size_t len;
        const char *text, *why; /* one of them is NULL */
    } cases[] = {
        { "\x0d\xe0\x01\x09\x00\x00\x00\x80\x20\x6c\xf5\xff\x89\xd2\x02", 15, "aaaa",
          NULL }, /* a code for a, one for the end, one for a distance */
        { "\x0d\xe0\x01\x09\x00\x00\x00\x80\x20\x6c\xf5\xff\x89\xd2\x03", 15, NULL,
          "a code is not in its table" },
        { "\x0d\xe0\x01\x09\x00\x00\x00\x80\x20\x6c\xf5\xff\x89\x42", 14, "a",
          NULL }, /* no code for a distance */
        { "\x0d\xe0\x01\x09\x00\x00\x00\x80\x20\x6c\xf5\xff\x89\xc2\x02\x00\x00\x00\x00", 19, NULL,
          "a code is not in its table" }, /* a distance all the same */
        { "\x05\xe0\x01\x09\x00\x00\x00\x80\x20\x6c\xd5\xff\x27\x04\x00\x00\x00\x00", 18, NULL,
          "a table of codes" }, /* no end of the block */
        { "\x05\xe0\x01\x09\x00\x00\x00\x80\x20\x6c\xd5\xff\x23\x14\x00\x00\x00\x00", 18, NULL,
          "a table of codes" }, /* more literals than there is room for */
        { "\x05\xe0\x01\x09\x00\x00\x00\x80\x20\x6c\xed\xff\x89\x04\x00\x00\x00\x00", 18, NULL,
          "a table of codes" }, /* fewer */
        { "\x05\xe2\x01\x09\x00\x00\x00\x80\x20\x6c\xf5\xff\x09\x55\x00\x00\x00\x00", 18, NULL,
          "a table of codes" }, /* more distances */
        { "\x05\xe1\x01\x09\x00\x00\x00\x80\x20\x6c\xf5\xff\x09\x0b\x00\x00\x00\x00", 18, NULL,
          "a table of codes" },                                                   /* fewer */
        { "\x05\xe0\x01\x09\x00\x00\x00\x80\x20\xfc\x7f\xad\x00", 13, "", NULL }, /* a code alone */
        { "\x05\xe0\x01\x04\x00\x00\x00\x40\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00", 18, NULL,
          "the table of code lengths" },
        { "\x05\xe0\x01\x08\x00\x00\x00\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00", 18, NULL,
          "the table of code lengths" },
        { "\x05\xe0\x03\x04\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00", 18, NULL,
          "a run of lengths with nothing to repeat" },
        { "\x05\xe0\x81\x04\x00\x00\x00\x00\x00\xfc\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00", 20,
          NULL, "more code lengths than codes" },
        { "\xf5\xe0\x81\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 18, NULL,
          "too many codes" }, /* 287 literals */
        { "\x05\xfe\x81\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 18, NULL,
          "too many codes" }, /* 31 distances */
        { "\x4b\x1c\x03\x00", 4, NULL, "a length is out of range" },
        { "\x4b\x1c\x07\x00", 4, NULL, "a length is out of range" },
        { "\x4b\x04\x3e\x00\x00\x00", 6, NULL, "a distance is out of range" },
        { "\x4b\x04\x5e\x00\x00\x00", 6, NULL, "it refers to data before its beginning" },
        { "\x4b\x04\x42\x00", 4, NULL, "it refers to data before its beginning" },
    };
    struct run *run = malloc(sizeof *run);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = { 0 };
        int rc = unpack(run, cases[i].stream, cases[i].len, &err);
        if (cases[i].why != NULL ? strstr(err.text, cases[i].why) == NULL : rc != 0)
            fail_msg("case %zu: %s", i, err.text);
        if (cases[i].text != NULL)
            assert_true(slice_is((slice){ run->out, run->len }, cases[i].text));
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
        cmocka_unit_test(names_have_a_longest),
        cmocka_unit_test(a_refused_name_is_shown_in_part),
        cmocka_unit_test(entries_are_read),
        cmocka_unit_test(damaged_entries_are_refused),
        cmocka_unit_test(encrypted_entries_are_refused),
        cmocka_unit_test(kinds_of_entries),
        cmocka_unit_test(values_of_64_bits),
        cmocka_unit_test(an_empty_extra_field_lacks_its_values),
        cmocka_unit_test(an_entry_without_a_name),
        cmocka_unit_test(heads_agree_with_the_directory),
        cmocka_unit_test(an_end_names_its_directory),
        cmocka_unit_test(a_comment_may_look_like_an_end),
        cmocka_unit_test(streams_are_unpacked_or_refused_whole),
        cmocka_unit_test(tables_are_checked),
        cmocka_unit_test(packed_texts_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
