/* files/unzip: archives made by hand, what becomes of them, and where each limit is. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/remove_tree.h"
#include "descriptors.h"
#include "files/unzip.h"
#include "files/zip.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define HELLO_PACKED SLICE_LITERAL("\xcb\x48\xcd\xc9\xc9\x07\x00")

static char place[64];
static struct zip_crc crc_table;
static struct buf heads, directory;
static unsigned entries;
static struct unzip_limits limits;
static struct unzip_done done;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    umask(0);
    snprintf(place, sizeof place, "/tmp/test-unzip-XXXXXX");
    if (mkdtemp(place) == NULL || chdir(place) != 0 || mkdir("out", 0700) != 0)
        return 1;
    zip_crc_init(&crc_table);
    buf_init(&heads, 1 << 20, "archive");
    buf_init(&directory, 1 << 20, "directory");
    entries = 0;
    limits = (struct unzip_limits){ .max_bytes = 1000, .max_files = 10, .max_ratio = 100 };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&heads);
    buf_free(&directory);
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

/* --- an archive ------------------------------------------------------------------------------- */

struct entry {
    const char *name;
    slice packed;
    unsigned method;
    uint32_t bytes;      /* unpacked */
    const char *content; /* of which the checksum is */
    unsigned head_extra; /* bytes of an extra field, which are not there */
    int64_t packed_more; /* more than there are, the directory says */
    int64_t offset_more; /* the place that it says is so far behind the right one */
    const char *head_name;
};

static void put(struct buf *out, uint64_t value, unsigned bytes)
{
    for (; bytes > 0; bytes--, value >>= 8) {
        char byte = (char)value;
        assert_int_equal(buf_add(out, &byte, 1, NULL), 0);
    }
}

/* What head and directory have in common, up to the length of the extra field. */
static void put_common(struct buf *out, const struct entry *entry, unsigned extra)
{
    put(out, 20, 2);
    put(out, 0, 2);
    put(out, entry->method, 2);
    put(out, 0, 4);
    put(out, zip_crc_add(&crc_table, 0, slice_from(entry->content)), 4);
    put(out, (uint64_t)((int64_t)entry->packed.len + entry->packed_more), 4);
    put(out, entry->bytes, 4);
    put(out, strlen(entry->name), 2);
    put(out, extra, 2);
}

static void add(const struct entry *entry)
{
    uint64_t offset = heads.len + (uint64_t)entry->offset_more;
    const char *name = entry->head_name != NULL ? entry->head_name : entry->name;
    put(&heads, 0x04034b50, 4);
    put_common(&heads, entry, entry->head_extra);
    buf_add_text(&heads, name, NULL);
    buf_add_slice(&heads, entry->packed, NULL);
    put(&directory, 0x02014b50, 4);
    put(&directory, 20, 2);
    put_common(&directory, entry, 0);
    put(&directory, 0, 2 + 2 + 2 + 4);
    put(&directory, offset, 4);
    buf_add_text(&directory, entry->name, NULL);
    entries++;
}

/* Another archive begins. */
static void forget(void)
{
    buf_clear(&heads);
    buf_clear(&directory);
    entries = 0;
}

static void add_stored(const char *name, const char *content)
{
    const slice bytes = slice_from(content);
    add(&(struct entry){
        .name = name, .packed = bytes, .bytes = (uint32_t)bytes.len, .content = content });
}

/* An entry with nothing in it, which is to have so many bytes. */
static void add_promise(const char *name, uint32_t bytes)
{
    add(&(struct entry){ .name = name, .bytes = bytes, .content = "" });
}

/* Writes the archive and unpacks it into "out". */
static int unpack(void)
{
    struct buf whole;
    buf_init(&whole, 1 << 21, "archive");
    buf_add_slice(&whole, buf_slice(&heads), NULL);
    buf_add_slice(&whole, buf_slice(&directory), NULL);
    put(&whole, 0x06054b50, 4);
    put(&whole, 0, 4);
    put(&whole, entries, 2);
    put(&whole, entries, 2);
    put(&whole, directory.len, 4);
    put(&whole, heads.len, 4);
    put(&whole, 0, 2);
    int fd = open("a.zip", O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(io_write_all(fd, buf_slice(&whole)), 0);
    buf_free(&whole);
    int out = open("out", O_RDONLY | O_DIRECTORY);
    err = (struct err){ 0 };
    int rc = unzip_into(fd, out, &limits, &done, &err);
    close(out);
    close(fd);
    return rc;
}

static void refuses(int code, const char *why)
{
    if (unpack() != code || strstr(err.text, why) == NULL)
        fail_msg("%d %s instead of %d %s", err.code, err.text, code, why);
}

static void has_file(const char *path, const char *content)
{
    char bytes[100];
    struct stat info;
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_mode, S_IFREG | 0600);
    ssize_t size = read(fd, bytes, sizeof bytes);
    close(fd);
    assert_true(slice_is((slice){ bytes, (size_t)size }, content));
}

static void has_folder(const char *path)
{
    struct stat info;
    assert_int_equal(lstat(path, &info), 0);
    assert_int_equal(info.st_mode, S_IFDIR | 0700);
}

/* --- what is unpacked ------------------------------------------------------------------------- */

static void files_and_folders_are_the_owners(void **state)
{
    const int before = open_descriptors();
    (void)state;
    add_stored("empty", "");
    add_stored("in/a/folder", "stored");
    add(&(struct entry){ .name = "packed",
                         .packed = HELLO_PACKED,
                         .method = ZIP_DEFLATED,
                         .bytes = 5,
                         .content = "hello" });
    add_stored("alone/", "");
    add_stored("in/", ""); /* which is there by then */
    assert_int_equal(unpack(), 0);
    has_file("out/empty", "");
    has_file("out/in/a/folder", "stored");
    has_file("out/packed", "hello");
    has_folder("out/in/a");
    has_folder("out/alone");
    assert_int_equal(done.files, 3);
    assert_int_equal(done.bytes, 11);
    assert_int_equal(open_descriptors(), before);
}

static void nothing_is_put_in_the_place_of_anything(void **state)
{
    (void)state;
    add_stored("first", "1");
    add_stored("there", "x");
    assert_int_equal(symlink("elsewhere", "out/there"), 0);
    refuses(ERR_INPUT, "there: two entries have this name");
    assert_int_equal(done.files, 1);
    assert_int_equal(done.bytes, 1);
    assert_int_equal(access("elsewhere", F_OK), -1);
}

static void a_folder_is_one_already_or_an_error(void **state)
{
    (void)state;
    add_stored("name/", "");
    assert_int_equal(symlink("..", "out/name"), 0);
    refuses(ERR_INPUT, "name: creating the folder: File exists");
    assert_int_equal(unlink("out/name"), 0);
    assert_int_equal(close(open("out/name", O_CREAT | O_WRONLY, 0600)), 0);
    refuses(ERR_INPUT, "name: creating the folder: File exists");
    assert_int_equal(unlink("out/name") | mkdir("out/name", 0700), 0);
    assert_int_equal(unpack(), 0);
    assert_int_equal(done.files, 0);
}

static void an_archive_is_a_file(void **state)
{
    int folder = open(".", O_RDONLY | O_DIRECTORY);
    const int before = open_descriptors();
    (void)state;
    assert_int_equal(unzip_into(folder, folder, &limits, &done, &err), ERR_INPUT);
    assert_string_equal(err.text, "the archive is not a regular file");
    assert_int_equal(unzip_into(-1, folder, &limits, &done, &err), ERR_INPUT);
    assert_int_equal(open_descriptors(), before);
    close(folder);
}

static void a_stop_ends_it(void **state)
{
    struct flag stop;
    (void)state;
    flag_init(&stop);
    limits.stop = &stop;
    add_stored("a", "1");
    add_stored("b/", "");
    assert_int_equal(unpack(), 0);
    assert_int_equal(unlink("out/a") | rmdir("out/b"), 0);
    flag_raise(&stop);
    refuses(ERR_CANCELLED, "a: stopped");
    assert_int_equal(done.files, 0);
    forget();
    add_stored("b/", "");
    add_stored("c/", "");
    refuses(ERR_CANCELLED, "stopped");
    has_folder("out/b");
    assert_int_equal(access("out/c", F_OK), -1);
    forget();
    add(&(struct entry){ .name = "d",
                         .method = 8,
                         .packed = SLICE_LITERAL("\x01\x01\x00\xfe\xff\x31"),
                         .bytes = 1,
                         .content = "1" });
    refuses(ERR_CANCELLED, "d: stopped");
    assert_int_equal(unlink("out/d"), 0);
    limits.stop = NULL;
    assert_int_equal(unpack(), 0);
    has_file("out/d", "1");
}

/* --- limits ----------------------------------------------------------------------------------- */

static void files_and_bytes_have_a_limit(void **state)
{
    (void)state;
    add_stored("a", "12345");
    add_stored("b", "123456");
    limits.max_bytes = 10;
    refuses(ERR_LIMIT, "it would take more than the limit of 10 bytes, unpacked");
    limits.max_files = 1;
    refuses(ERR_LIMIT, "the archive has 2 entries, more than the limit of 1");
    assert_int_equal(access("out/a", F_OK), -1);
    limits.max_bytes = 11;
    limits.max_files = 2;
    assert_int_equal(unpack(), 0);
}

/* Sizes whose sum would begin anew. */
static void sizes_do_not_overflow(void **state)
{
    (void)state;
    limits.max_bytes = UINT32_MAX;
    limits.max_ratio = UINT64_MAX;
    add_promise("a", UINT32_MAX - 1);
    add_promise("b", 2);
    refuses(ERR_LIMIT, "more than the limit of 4294967295 bytes");
}

/* A directory of at most 4 KiB for each file that is allowed: here of one entry, and 46 bytes. */
static void the_directory_has_a_limit(void **state)
{
    char name[2 * 4096 - 46 + 2] = "";
    (void)state;
    memset(name, 'n', sizeof name - 1);
    limits.max_files = 2;
    add_promise(name, 0);
    refuses(ERR_LIMIT, "the archive's directory has 8193 bytes, more than 4096 for each of the 2 "
                       "files that are allowed");
    forget();
    name[sizeof name - 2] = '\0';
    add_promise(name, 0);
    refuses(ERR_INPUT, "the name of an entry");
}

/* Only the directory is looked at for that: there are 32 bytes before it. */
static void what_grows_too_much_is_refused(void **state)
{
    static const struct {
        uint32_t bytes;
        uint64_t max_ratio;
        bool is_bomb;
    } cases[] = {
        { 32u << 20, 1u << 20, false },       { 33u << 20, 1u << 20, true },
        { (33u << 20) - 1, 1u << 20, false }, { UNZIP_FREE_BYTES, 1, false },
        { UNZIP_FREE_BYTES + 1, 1, true },
    };
    (void)state;
    limits.max_bytes = 1u << 30;
    for (size_t i = 0; i < COUNT(cases); i++) {
        forget();
        add_promise("ab", cases[i].bytes);
        limits.max_ratio = cases[i].max_ratio;
        if (cases[i].is_bomb) {
            refuses(ERR_LIMIT, " times as large as the archive");
            continue;
        }
        refuses(ERR_INPUT, "ab: its size or checksum differs from the directory's");
        assert_int_equal(unlink("out/ab"), 0);
    }
}

/* Those that are there count, and those of entries of their own, do not. */
static void implied_folders_have_a_limit(void **state)
{
    (void)state;
    limits.max_files = 3;
    add_stored("1/2/3/file", "");
    add_stored("1/other", "");
    assert_int_equal(unpack(), 0);
    add_stored("1/4/file", "");
    assert_int_equal(remove_tree(AT_FDCWD, "out/1", &err), 0);
    refuses(ERR_LIMIT, "its names need more folders than the limit of 3");
}

/* --- damage ----------------------------------------------------------------------------------- */

static void entries_lie_one_after_the_other(void **state)
{
    (void)state;
    add(&(struct entry){ .name = "a", .packed = SLICE_LITERAL("12"), .bytes = 2, .content = "12" });
    add_stored("b", "1");
    assert_int_equal(unpack(), 0);
    assert_int_equal(unlink("out/a") | unlink("out/b"), 0);
    forget();
    add(&(struct entry){ .name = "a",
                         .packed = SLICE_LITERAL("12"),
                         .bytes = 2,
                         .content = "12",
                         .packed_more = 1 }); /* the next one's first byte */
    add_stored("b", "1");
    refuses(ERR_INPUT, "entries of the archive overlap");
    assert_int_equal(access("out/a", F_OK), -1);
}

/* A head may take more than the directory knows of. */
static void an_extra_field_may_not_reach_into_the_next_entry(void **state)
{
    (void)state;
    add(&(struct entry){ .name = "a", .content = "", .head_extra = 4 });
    add_stored("b", "1");
    refuses(ERR_INPUT, "b: it overlaps another entry");
    has_file("out/a", "");
}

/* Four bytes of a field, and what follows it. */
static void an_extra_field_is_passed_over(void **state)
{
    (void)state;
    add(&(struct entry){ .name = "a",
                         .packed = SLICE_LITERAL("\x99\x99\0\0hi"),
                         .bytes = 2,
                         .content = "hi",
                         .head_extra = 4,
                         .packed_more = -4 });
    add_stored("b", "1");
    assert_int_equal(unpack(), 0);
    has_file("out/a", "hi");
    has_file("out/b", "1");
}

static void bytes_lie_before_the_directory(void **state)
{
    (void)state;
    add(&(struct entry){ .name = "a",
                         .packed = SLICE_LITERAL("12"),
                         .bytes = 3,
                         .content = "12P",
                         .packed_more = 1 });
    refuses(ERR_INPUT, "a: its bytes do not lie before the directory");
    forget();
    add(&(struct entry){ .name = "a", .content = "", .head_extra = 1 });
    refuses(ERR_INPUT, "a: its bytes do not lie before the directory");
}

static void what_is_said_is_compared(void **state)
{
    static const struct {
        struct entry entry;
        const char *why;
    } cases[] = {
        { { .name = "a", .packed = { "12", 2 }, .bytes = 1, .content = "12" },
          "a: a file is larger than the directory says" },
        { { .name = "a", .packed = { "12", 2 }, .bytes = 3, .content = "12" },
          "a: its size or checksum differs from the directory's" },
        { { .name = "a", .packed = { "12", 2 }, .bytes = 2, .content = "13" },
          "a: its size or checksum differs from the directory's" },
        { { .name = "a", .packed = { "12", 2 }, .bytes = 2, .content = "12", .method = 9 },
          "a: compression method 9 is not supported" },
        { { .name = "a", .content = "", .head_name = "b" }, "a: its header has another name" },
        { { .name = "a", .content = "", .offset_more = 1 }, "a: the archive is damaged: an entry" },
        { { .name = "../a", .content = "" }, "the name of an entry leads out" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const int before = open_descriptors();
        forget();
        add(&cases[i].entry);
        refuses(ERR_INPUT, cases[i].why);
        assert_int_equal(done.files, 0);
        assert_int_equal(open_descriptors(), before);
        unlink("out/a");
    }
}

static void the_number_of_entries_is_compared(void **state)
{
    (void)state;
    add_stored("a", "1");
    add_stored("b", "1");
    entries = 1;
    refuses(ERR_INPUT, "the archive is damaged: its number of entries");
    buf_add_text(&directory, "padding for an entry that is not there, of 46 bytes", NULL);
    entries = 3;
    refuses(ERR_INPUT, "the archive is damaged: an entry of its directory");
    assert_int_equal(access("out/a", F_OK), -1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_and_folders_are_the_owners),
        TEST(nothing_is_put_in_the_place_of_anything),
        TEST(a_folder_is_one_already_or_an_error),
        TEST(an_archive_is_a_file),
        TEST(a_stop_ends_it),
        TEST(files_and_bytes_have_a_limit),
        TEST(sizes_do_not_overflow),
        TEST(the_directory_has_a_limit),
        TEST(what_grows_too_much_is_refused),
        TEST(implied_folders_have_a_limit),
        TEST(entries_lie_one_after_the_other),
        TEST(an_extra_field_may_not_reach_into_the_next_entry),
        TEST(an_extra_field_is_passed_over),
        TEST(bytes_lie_before_the_directory),
        TEST(what_is_said_is_compared),
        TEST(the_number_of_entries_is_compared),
    };
    return cmocka_run_group_tests_name("unzip", tests, NULL, NULL);
}
