/* files/volume_cache: folders and a volume, and what is copied from one to the other. */
#include <fcntl.h>
#include <limits.h>
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

#include "base/io.h"
#include "base/remove_tree.h"
#include "descriptors.h"
#include "files/tar.h"
#include "files/volume_cache_private.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define OLD 1700000000
#define ROOT "volume/.cache/name/"

static char place[64];
static struct volume_cache_setting setting;
static struct volume_cache_done done;
static struct err err;
static int open_before;
static int asked, ends_when; /* is_ending is true from that question on; 0: never */

static bool is_ending(void)
{
    return ends_when != 0 && ++asked >= ends_when;
}

static int set_up(void **state)
{
    (void)state;
    umask(022);
    snprintf(place, sizeof place, "/tmp/test-cache-XXXXXX");
    if (mkdtemp(place) == NULL || chdir(place) != 0 || mkdir("volume", 0700) != 0)
        return 1;
    setting = (struct volume_cache_setting){ .volume = "volume",
                                             .name = SLICE_LITERAL("name"),
                                             .folders = { SLICE_LITERAL("in") },
                                             .folder_count = 1,
                                             .is_ending = is_ending };
    asked = ends_when = 0;
    open_before = open_descriptors();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(open_descriptors(), open_before);
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

/* --- files ------------------------------------------------------------------------------------ */

/* A file of so many bytes with its folders, all of them `byte`. */
static void put(const char *path, char byte, size_t size, int64_t mtime_s)
{
    static char content[2 * VOLUME_SMALL_BYTES];
    const struct timespec times[2] = { { .tv_sec = mtime_s }, { .tv_sec = mtime_s } };
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    char *slash = strrchr(copy, '/');
    *slash = '\0';
    io_make_folders(copy, 0700);
    memset(content, byte, size);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, (slice){ content, size }), 0);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

/* The first byte of the file, its size and its time are these. */
static void is_file(const char *path, char byte, size_t size, int64_t mtime_s)
{
    struct stat info;
    char first = byte;
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    if (fd < 0)
        fail_msg("%s is not there", path);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_size, size);
    assert_int_equal(info.st_mtim.tv_sec, mtime_s);
    assert_int_equal(read(fd, &first, 1), size > 0);
    assert_int_equal(first, byte);
    close(fd);
}

static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static void remove_all(const char *name)
{
    assert_int_equal(remove_tree(AT_FDCWD, name, &err), 0);
}

/* --- a cache ---------------------------------------------------------------------------------- */

typedef int direction(struct volume_cache *cache, struct volume_cache_done *done, struct err *err);

static int run(direction *what)
{
    struct volume_cache *cache;
    err = (struct err){ 0 };
    int rc = volume_cache_open(&cache, &setting, &err);
    if (rc == 0) {
        rc = what(cache, &done, &err);
        volume_cache_close(cache);
    }
    return rc;
}

/* It is done without a failure, and that many files are copied. */
static void copies(direction *what, size_t files, uint64_t bytes)
{
    if (run(what) != 0 || done.failed != 0)
        fail_msg("%s%s", err.text, done.first.text);
    assert_int_equal(done.files, files);
    assert_int_equal(done.bytes, bytes);
}

#define SAVE volume_cache_save
#define RESTORE volume_cache_restore

/* What the manifest says, with "@" for the folder's path. */
static void manifest_is(const char *expected)
{
    char text[4096], found[4096], folder[PATH_MAX];
    int fd = open(ROOT VOLUME_MANIFEST, O_RDONLY);
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(size >= 0);
    text[size] = '\0';
    snprintf(folder, sizeof folder, "%s/in", place);
    size_t len = 0;
    for (const char *at = text; *at != '\0';) {
        bool is_folder = strncmp(at, folder, strlen(folder)) == 0;
        found[len++] = is_folder ? '@' : *at;
        at += is_folder ? strlen(folder) : 1;
    }
    found[len] = '\0';
    assert_string_equal(found, expected);
}

static void set_manifest(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void set_manifest(const char *format, ...)
{
    char text[2 * PATH_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int fd = open(ROOT VOLUME_MANIFEST, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_equal(io_write_all(fd, slice_from(text)), 0);
    close(fd);
}

/* --- both ways -------------------------------------------------------------------------------- */

static void what_is_saved_is_restored(void **state)
{
    struct stat info;
    (void)state;
    put("in/one", '1', 1, OLD);
    put("in/deep/er/empty", ' ', 0, OLD + 1);
    put("in/under", 'u', VOLUME_SMALL_BYTES - 1, OLD + 2);
    put("in/at", 'a', VOLUME_SMALL_BYTES, OLD + 3);
    put("in/deep/above", 'b', VOLUME_SMALL_BYTES + 1, OLD + 4);
    assert_int_equal(chmod("in/one", 0644) | chmod("in/at", 0755) | chmod("in/under", 0444), 0);
    copies(SAVE, 5, 3 * VOLUME_SMALL_BYTES + 1);
    copies(SAVE, 0, 0);
    copies(RESTORE, 0, 0);
    remove_all("in");
    copies(RESTORE, 5, 3 * VOLUME_SMALL_BYTES + 1);
    is_file("in/one", '1', 1, OLD);
    is_file("in/deep/er/empty", ' ', 0, OLD + 1);
    is_file("in/under", 'u', VOLUME_SMALL_BYTES - 1, OLD + 2);
    is_file("in/at", 'a', VOLUME_SMALL_BYTES, OLD + 3);
    is_file("in/deep/above", 'b', VOLUME_SMALL_BYTES + 1, OLD + 4);
    assert_int_equal(stat("in/one", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644);
    assert_int_equal(stat("in/at", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0755);
    assert_int_equal(stat("in/under", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644); /* the next one has to be able to write it */
    assert_int_equal(stat("in/deep", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0755);
    copies(RESTORE, 0, 0);
}

static void the_volume_has_three_things(void **state)
{
    char path[PATH_MAX];
    (void)state;
    put("in/b", 'b', 2, OLD);
    put("in/a", 'a', 1, OLD);
    put("in/large", 'l', VOLUME_SMALL_BYTES, OLD);
    put("in/larger", 'l', VOLUME_SMALL_BYTES + 1, OLD);
    const struct timespec times[2] = { { OLD, 0 }, { OLD, 750000000 } };
    assert_int_equal(utimensat(AT_FDCWD, "in/larger", times, 0), 0);
    copies(SAVE, 4, 2 * VOLUME_SMALL_BYTES + 4);
    manifest_is("{\"version\": 1, \"threshold\": 262144, \"small\": ["
                "{\"path\": \"@/a\", \"size\": 1, \"mtime\": 1700000000.000000}, "
                "{\"path\": \"@/b\", \"size\": 2, \"mtime\": 1700000000.000000}], \"big\": ["
                "{\"path\": \"@/large\", \"size\": 262144, \"mtime\": 1700000000.000000}, "
                "{\"path\": \"@/larger\", \"size\": 262145, \"mtime\": 1700000000.750000}]}");
    snprintf(path, sizeof path, ROOT VOLUME_BIG "%s/in/large", place);
    is_file(path, 'l', VOLUME_SMALL_BYTES, OLD);
    struct stat info;
    assert_int_equal(stat(ROOT VOLUME_SMALL, &info), 0);
    assert_int_equal(info.st_size, (2 + 2 + 2) * TAR_BLOCK_BYTES); /* heads, data, the end */
}

static void a_volume_without_a_cache_is_no_trouble(void **state)
{
    (void)state;
    copies(RESTORE, 0, 0);
    assert_true(exists("in") && !exists("volume/.cache"));
    copies(SAVE, 0, 0);
    manifest_is("{\"version\": 1, \"threshold\": 262144, \"small\": [], \"big\": []}");
    assert_false(exists(ROOT VOLUME_SMALL) || exists(ROOT VOLUME_BIG));
    copies(RESTORE, 0, 0);
}

static void more_folders_than_one(void **state)
{
    (void)state;
    setting.folders[1] = SLICE_LITERAL("in-more");
    setting.folder_count = 2;
    put("in/a", '1', 1, OLD);
    put("in-more/a", '2', 1, OLD);
    put("in-more/b", '3', VOLUME_SMALL_BYTES, OLD);
    copies(SAVE, 3, VOLUME_SMALL_BYTES + 2);
    remove_all("in");
    remove_all("in-more");
    setting.folder_count = 1;
    copies(RESTORE, 1, 1);
    is_file("in/a", '1', 1, OLD);
    assert_false(exists("in-more"));
    setting.folder_count = 2;
    copies(RESTORE, 2, VOLUME_SMALL_BYTES + 1);
    is_file("in-more/a", '2', 1, OLD);
    is_file("in-more/b", '3', VOLUME_SMALL_BYTES, OLD);
}

/* More than a list has room for at first. */
static void many_files(void **state)
{
    (void)state;
    for (int i = 0; i < 520; i++) {
        char path[32];
        snprintf(path, sizeof path, "in/%d", i);
        put(path, 'x', 1, OLD);
    }
    copies(SAVE, 520, 520);
    copies(SAVE, 0, 0);
    remove_all("in");
    copies(RESTORE, 520, 520);
}

static void list_small(struct volume_list *list, const char *name, uint64_t bytes)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/in/%s", place, name);
    assert_int_equal(volume_list_add(list, slice_from(path), bytes, 1, &err), 0);
}

/* Between the walk and the archive: what is gone or large by then is in neither list. */
static void files_that_change_meanwhile(void **state)
{
    struct volume_cache *cache;
    struct volume_list list;
    (void)state;
    put("in/grown", 'g', VOLUME_SMALL_BYTES, OLD);
    put("in/other", 'o', 700, OLD);
    put("in/same", 's', 3, OLD);
    assert_int_equal(volume_cache_open(&cache, &setting, &err), 0);
    volume_list_init(&list);
    list_small(&list, "gone", 1);
    list_small(&list, "grown", 1);
    list_small(&list, "other", 1);
    list_small(&list, "same", 3);
    int root = open("volume", O_RDONLY | O_DIRECTORY);
    done = (struct volume_cache_done){ 0 };
    assert_int_equal(volume_small_save(cache, root, &list, &done, &err), 0);
    assert_int_equal(done.files, 2);
    assert_int_equal(done.bytes, 703);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.files[0].bytes, 700);
    assert_true(list.files[0].mtime_s == OLD);
    assert_int_equal(list.files[1].bytes, 3);
    remove_all("in");
    assert_int_equal(mkdir("in", 0700), 0);
    volume_list_free(&list);
    volume_cache_close(cache);
    assert_int_equal(volume_cache_open(&cache, &setting, &err), 0);
    done = (struct volume_cache_done){ 0 };
    assert_int_equal(volume_small_restore(cache, root, &done, &err), 0);
    assert_int_equal(done.files, 2);
    is_file("in/other", 'o', 700, OLD);
    is_file("in/same", 's', 3, OLD);
    volume_cache_close(cache);
    close(root);
}

/* --- what is left out ------------------------------------------------------------------------- */

static void what_the_sdk_leaves_out(void **state)
{
    (void)state;
    put("in/.lock", 'x', 1, OLD);
    put("in/a.lock", 'x', VOLUME_SMALL_BYTES, OLD);
    put("in/a.rpvc.tmp", 'x', 1, OLD);
    put("in/m/refs/main", 'x', 1, OLD);
    put("in/m/.no_exist/x/y", 'x', 1, OLD);
    assert_int_equal(symlink("refs", "in/link"), 0);
    assert_int_equal(mkfifo("in/pipe", 0600), 0);
    assert_int_equal(mkdir("in/empty", 0700), 0);
    put("in/lock", 'x', 1, OLD);
    put("in/lock.d/a.lock.", 'x', 1, OLD);
    put("in/n/refs", 'x', 1, OLD);
    put("in/n/.no_exist", 'x', 1, OLD);
    put("in/xrefs/y", 'x', 1, OLD);
    put("in/\xff", 'x', 1, OLD); /* no text of JSON */
    put("in/\xff\xff", 'x', VOLUME_SMALL_BYTES, OLD);
    copies(SAVE, 7, 6 + VOLUME_SMALL_BYTES);
    manifest_is("{\"version\": 1, \"threshold\": 262144, \"small\": ["
                "{\"path\": \"@/lock\", \"size\": 1, \"mtime\": 1700000000.000000}, "
                "{\"path\": \"@/lock.d/a.lock.\", \"size\": 1, \"mtime\": 1700000000.000000}, "
                "{\"path\": \"@/n/.no_exist\", \"size\": 1, \"mtime\": 1700000000.000000}, "
                "{\"path\": \"@/n/refs\", \"size\": 1, \"mtime\": 1700000000.000000}, "
                "{\"path\": \"@/xrefs/y\", \"size\": 1, \"mtime\": 1700000000.000000}], "
                "\"big\": []}");
}

/* 64 folders in one another, that of the cache among them. */
static void folders_that_are_too_deep_are_left_out(void **state)
{
    char path[200] = "in";
    (void)state;
    for (int depth = 1; depth < 64; depth++)
        strcat(path, "/d");
    strcat(path, "/f");
    put(path, 'x', 1, OLD);
    copies(SAVE, 1, 1);
    strcpy(path + strlen(path) - 1, "d/f");
    put(path, 'x', 1, OLD);
    copies(SAVE, 0, 0);
}

/* --- what is current -------------------------------------------------------------------------- */

/* Copies a small and a large file to the volume, and the change of both in the folder. */
static void change(char byte, size_t more, int64_t newer_s)
{
    put("in/small", byte, 10 + more, OLD + newer_s);
    put("in/big", byte, VOLUME_SMALL_BYTES + more, OLD + newer_s);
}

static void newer_files_are_saved(void **state)
{
    (void)state;
    change('1', 0, 0);
    copies(SAVE, 2, VOLUME_SMALL_BYTES + 10);
    change('2', 0, 2); /* coarse clocks */
    copies(SAVE, 0, 0);
    change('2', 0, 5);
    copies(SAVE, 2, VOLUME_SMALL_BYTES + 10);
    change('2', 0, 8);
    copies(SAVE, 2, VOLUME_SMALL_BYTES + 10);
    change('3', 0, -100);
    copies(SAVE, 0, 0);
    change('4', 1, -100); /* of another size, whatever its time is */
    copies(SAVE, 2, VOLUME_SMALL_BYTES + 12);
    remove_all("in");
    copies(RESTORE, 2, VOLUME_SMALL_BYTES + 12);
    is_file("in/small", '4', 11, OLD - 100);
    is_file("in/big", '4', VOLUME_SMALL_BYTES + 1, OLD - 100);
}

static void older_files_are_restored(void **state)
{
    (void)state;
    change('1', 0, 0);
    copies(SAVE, 2, VOLUME_SMALL_BYTES + 10);
    change('2', 0, -2);
    copies(RESTORE, 0, 0);
    is_file("in/small", '2', 10, OLD - 2);
    change('2', 0, 100);
    copies(RESTORE, 0, 0);
    change('2', 1, 3); /* of another size, but newer */
    copies(RESTORE, 0, 0);
    is_file("in/big", '2', VOLUME_SMALL_BYTES + 1, OLD + 3);
    change('2', 1, 2);
    copies(RESTORE, 2, VOLUME_SMALL_BYTES + 10);
    is_file("in/small", '1', 10, OLD);
    is_file("in/big", '1', VOLUME_SMALL_BYTES, OLD);
    change('2', 0, -3);
    copies(RESTORE, 2, VOLUME_SMALL_BYTES + 10);
    is_file("in/small", '1', 10, OLD);
    is_file("in/big", '1', VOLUME_SMALL_BYTES, OLD);
}

static void links_are_replaced(void **state)
{
    (void)state;
    change('1', 0, 0);
    copies(SAVE, 2, VOLUME_SMALL_BYTES + 10);
    remove_all("in");
    put("out/small", '2', 10, OLD);
    put("out/big", '2', VOLUME_SMALL_BYTES, OLD);
    assert_int_equal(mkdir("in", 0700), 0);
    assert_int_equal(symlink("../out/small", "in/small") | symlink("../out/big", "in/big"), 0);
    copies(RESTORE, 2, VOLUME_SMALL_BYTES + 10);
    is_file("in/small", '1', 10, OLD);
    is_file("in/big", '1', VOLUME_SMALL_BYTES, OLD);
    is_file("out/small", '2', 10, OLD);
}

static void what_is_gone_is_forgotten(void **state)
{
    (void)state;
    put("in/a", '1', 1, OLD);
    put("in/b", '2', 1, OLD);
    put("in/big", '3', VOLUME_SMALL_BYTES, OLD);
    copies(SAVE, 3, VOLUME_SMALL_BYTES + 2);
    assert_int_equal(unlink("in/a") | unlink("in/big"), 0);
    copies(SAVE, 1, 1); /* the archive as a whole */
    assert_int_equal(unlink("in/b"), 0);
    copies(RESTORE, 1, 1);
    assert_false(exists("in/a") || exists("in/big"));
    assert_int_equal(unlink("in/b"), 0);
    copies(SAVE, 0, 0);
    assert_false(exists(ROOT VOLUME_SMALL));
    copies(RESTORE, 0, 0);
    put("in/c", '4', 1, OLD);
    copies(SAVE, 1, 1);
}

static void a_lost_archive_is_written_anew(void **state)
{
    (void)state;
    put("in/a", '1', 1, OLD);
    copies(SAVE, 1, 1);
    assert_int_equal(unlink(ROOT VOLUME_SMALL), 0);
    assert_int_equal(run(RESTORE), ERR_INPUT);
    assert_string_equal(err.text, "small.tar: No such file or directory");
    copies(SAVE, 1, 1);
    copies(SAVE, 0, 0);
    assert_int_equal(unlink(ROOT VOLUME_MANIFEST), 0);
    remove_all("in");
    copies(RESTORE, 0, 0); /* it is the manifest that counts */
    put("in/a", '1', 1, OLD);
    copies(SAVE, 1, 1);
}

/* --- what a volume may hold ------------------------------------------------------------------- */

static void paths_that_are_nobodys_are_passed_over(void **state)
{
    char longest[PATH_MAX] = "";
    (void)state;
    put("in/big", '1', VOLUME_SMALL_BYTES, OLD);
    copies(SAVE, 1, VOLUME_SMALL_BYTES);
    memset(longest, 'x', sizeof longest - 1);
    assert_int_equal(unlink("in/big"), 0);
    set_manifest("{\"version\": 1, \"big\": ["
                 "{\"path\": \"\", \"size\": 1, \"mtime\": 1}, "
                 "{\"path\": \"/\", \"size\": 1, \"mtime\": 1}, "
                 "{\"path\": \"in/big\", \"size\": 1, \"mtime\": 1}, "
                 "{\"path\": \"/elsewhere\", \"size\": 0, \"mtime\": 1}, "
                 "{\"path\": \"%s/in\", \"size\": 1, \"mtime\": 1}, "
                 "{\"path\": \"%s/in-more/x\", \"size\": 1, \"mtime\": 1}, "
                 "{\"path\": \"%s/in/a\\u0000\", \"size\": 1, \"mtime\": 1}, "
                 "{\"path\": \"/%s\", \"size\": 1, \"mtime\": 1}, "
                 "{\"path\": \"%s/in/b\\u0069g\", \"size\": 1, \"mtime\": 1}]}",
                 place, place, place, longest, place);
    copies(RESTORE, 1, 1); /* counted as the manifest has it */
    is_file("in/big", '1', VOLUME_SMALL_BYTES, OLD);
}

static void manifests_of_another_kind(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "{\"version\": 1}", true },
        { "{\"version\": 1.0, \"small\": [], \"big\": []}", true },
        { "{\"version\": 2}", false },
        { "{\"version\": 0}", false },
        { "{\"version\": \"1\"}", false },
        { "{}", false },
        { "[]", false },
        { "{\"version\": 1", false },
        { "{\"version\": 1, \"small\": {}}", false },
        { "{\"version\": 1, \"big\": null}", false },
        { "{\"version\": 1, \"big\": [1]}", false },
        { "{\"version\": 1, \"big\": [{\"path\": \"/x\", \"size\": 0, \"mtime\": 0}]}", true },
        { "{\"version\": 1, \"big\": [{\"path\": \"/x\", \"size\": -1, \"mtime\": 0}]}", false },
        { "{\"version\": 1, \"big\": [{\"path\": \"/x\", \"size\": 0.5, \"mtime\": 0}]}", false },
        { "{\"version\": 1, \"big\": [{\"path\": \"/x\", \"size\": 0, \"mtime\": \"\"}]}", false },
        { "{\"version\": 1, \"big\": [{\"path\": 1, \"size\": 0, \"mtime\": 0}]}", false },
        { "{\"version\": 1, \"big\": [{\"size\": 0, \"mtime\": 0}]}", false },
        { "{\"version\": 1, \"big\": [{\"path\": \"/x\", \"mtime\": 0}]}", false },
        { "{\"version\": 1, \"big\": [{\"path\": \"/x\", \"size\": 0}]}", false },
    };
    (void)state;
    put("in/big", '1', VOLUME_SMALL_BYTES, OLD);
    copies(SAVE, 1, VOLUME_SMALL_BYTES);
    for (size_t i = 0; i < COUNT(cases); i++) {
        set_manifest("%s", cases[i].text);
        if (run(RESTORE) != (cases[i].good ? 0 : ERR_INPUT))
            fail_msg("%s: %s", cases[i].text, err.text);
        if (!cases[i].good)
            assert_string_equal(err.text, "manifest.json is not one of version 1");
    }
}

/* The archive that holds those, each with its data. */
static void set_archive(const char *const names[], size_t count, size_t size, size_t cut)
{
    static char data[2 * VOLUME_SMALL_BYTES];
    struct buf out;
    buf_init(&out, 1 << 22, "archive");
    memset(data, 't', sizeof data);
    for (size_t i = 0; i < count; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", place + 1, names[i]);
        assert_int_equal(tar_put(&out, slice_from(path), size, OLD, 0600, &err), 0);
        buf_add(&out, data, size, NULL);
        memset(data, 0, tar_padding(size));
        buf_add(&out, data, tar_padding(size), NULL);
        memset(data, 't', sizeof data);
    }
    memset(data, 0, 2 * TAR_BLOCK_BYTES);
    buf_add(&out, data, 2 * TAR_BLOCK_BYTES, NULL);
    int fd = open(ROOT VOLUME_SMALL, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_equal(io_write_all(fd, (slice){ out.ptr, out.len - cut }), 0);
    close(fd);
    buf_free(&out);
}

static const char some[] = "{\"version\": 1, \"small\": [{\"path\": \"/x\", \"size\": 0, "
                           "\"mtime\": 0}]}";

/* Longer than what is read at once, and with no rest in its last block. */
static void entries_of_any_size_are_restored(void **state)
{
    static const char *const names[] = { "in/a", "in/b" };
    static const size_t sizes[] = { 0, 1, 511, 512, 513, VOLUME_SMALL_BYTES + 700 };
    (void)state;
    copies(SAVE, 0, 0);
    set_manifest("%s", some);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        set_archive(names, COUNT(names), sizes[i], 0);
        copies(RESTORE, 2, 2 * sizes[i]);
        is_file("in/a", 't', sizes[i], OLD);
        is_file("in/b", 't', sizes[i], OLD);
        remove_all("in");
    }
    set_archive(names, COUNT(names), 10, 0);
    set_manifest("{\"version\": 1, \"small\": []}");
    copies(RESTORE, 0, 0); /* it is not looked at */
}

static void an_archive_that_is_cut_off(void **state)
{
    static const char *const names[] = { "in/a", "in/b" };
    (void)state;
    copies(SAVE, 0, 0);
    set_manifest("%s", some);
    set_archive(names, COUNT(names), 10, TAR_BLOCK_BYTES); /* one block of zeros is an end */
    copies(RESTORE, 2, 20);
    remove_all("in");
    set_archive(names, COUNT(names), 10, 2 * TAR_BLOCK_BYTES);
    assert_int_equal(run(RESTORE), ERR_INPUT);
    assert_string_equal(err.text, "small.tar is cut off");
    is_file("in/b", 't', 10, OLD);
    remove_all("in");
    set_archive(names, COUNT(names), 10, 3 * TAR_BLOCK_BYTES - 9);
    assert_int_equal(run(RESTORE), ERR_INPUT);
    assert_int_equal(done.files, 1);
    is_file("in/a", 't', 10, OLD);
    assert_false(exists("in/b"));
    assert_int_equal(unlink("in/a") | rmdir("in"), 0); /* and nothing else is there */
}

static void what_cannot_be_written_is_counted(void **state)
{
    (void)state;
    put("in/a/small", '1', 1, OLD);
    put("in/b/big", '1', VOLUME_SMALL_BYTES, OLD);
    put("in/small", '1', 1, OLD);
    put("in/big", '1', VOLUME_SMALL_BYTES, OLD);
    copies(SAVE, 4, 2 * VOLUME_SMALL_BYTES + 2);
    remove_all("in");
    put("in/a", '2', 1, OLD);
    put("in/small/in/its/place", '2', 1, OLD);
    assert_int_equal(run(RESTORE), 0);
    assert_int_equal(done.files, 2);
    assert_int_equal(done.bytes, 2 * VOLUME_SMALL_BYTES);
    assert_int_equal(done.failed, 2);
    assert_false(done.is_cut);
    assert_string_equal(done.first.text, "the folder a: Not a directory");
    assert_false(exists("in/small.tmp"));
    is_file("in/b/big", '1', VOLUME_SMALL_BYTES, OLD);
    remove_all("in");
    put("in/b", '2', 1, OLD);
    put("in/big/in/its/place", '2', 1, OLD);
    assert_int_equal(run(RESTORE), 0);
    assert_int_equal(done.files, 2);
    assert_int_equal(done.bytes, 2);
    assert_int_equal(done.failed, 2);
    assert_false(done.is_cut);
}

static void what_is_not_saved_is_not_in_the_manifest(void **state)
{
    char path[PATH_MAX];
    (void)state;
    put("in/big", '1', VOLUME_SMALL_BYTES, OLD);
    put("in/other", '1', VOLUME_SMALL_BYTES, OLD);
    snprintf(path, sizeof path, ROOT VOLUME_BIG "%s/in/big/in/its/place", place);
    put(path, '2', 1, OLD);
    assert_int_equal(run(SAVE), 0);
    assert_int_equal(done.files, 1);
    assert_int_equal(done.failed, 1);
    assert_string_equal(done.first.text, "big cannot be named: Is a directory");
    manifest_is("{\"version\": 1, \"threshold\": 262144, \"small\": [], \"big\": ["
                "{\"path\": \"@/other\", \"size\": 262144, \"mtime\": 1700000000.000000}]}");
}

static void an_archive_that_cannot_be_written(void **state)
{
    (void)state;
    put("in/a", '1', 1, OLD);
    put(ROOT VOLUME_SMALL "/in its place", '2', 1, OLD);
    assert_int_equal(run(SAVE), ERR_INPUT);
    assert_string_equal(err.text, "small.tar cannot be named: Is a directory");
    assert_int_equal(done.files, 0);
    assert_false(exists(ROOT VOLUME_MANIFEST));
}

static void a_manifest_that_cannot_be_written(void **state)
{
    (void)state;
    put("in/a", '1', 1, OLD);
    put(ROOT VOLUME_MANIFEST "/in its place", '2', 1, OLD);
    assert_int_equal(run(SAVE), ERR_INPUT);
    assert_string_equal(err.text, "manifest.json cannot be named: Is a directory");
}

static void the_volumes_own_folders_are_no_links(void **state)
{
    (void)state;
    put("in/big", '1', VOLUME_SMALL_BYTES, OLD);
    copies(SAVE, 1, VOLUME_SMALL_BYTES);
    assert_int_equal(rename(ROOT VOLUME_BIG, "elsewhere"), 0);
    assert_int_equal(symlink("../../../elsewhere", ROOT VOLUME_BIG), 0);
    remove_all("in");
    assert_int_equal(run(RESTORE), ERR_INPUT);
    assert_non_null(strstr(err.text, "its folder big"));
    put("in/big", '2', VOLUME_SMALL_BYTES + 1, OLD);
    assert_int_equal(run(SAVE), ERR_INPUT);
    assert_non_null(strstr(err.text, "its folder big"));
}

/* --- opening, and ending ---------------------------------------------------------------------- */

static void a_cache_needs_a_volume_and_folders(void **state)
{
    struct volume_cache *cache;
    static char longest[PATH_MAX + 1];
    (void)state;
    put("file/file", 'x', 1, OLD);
    setting.volume = "nowhere";
    assert_int_equal(volume_cache_open(&cache, &setting, &err), ERR_INPUT);
    assert_string_equal(err.text, "no volume is mounted at nowhere");
    setting.volume = "file/file";
    assert_int_equal(volume_cache_open(&cache, &setting, &err), ERR_INPUT);
    assert_false(exists("in"));
    setting.volume = "volume";
    setting.folder_count = 2;
    setting.folders[1] = SLICE_LITERAL("file/file");
    assert_int_equal(volume_cache_open(&cache, &setting, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "the folder file/file: Not a directory"));
    setting.folders[1] = SLICE_LITERAL("");
    assert_int_equal(volume_cache_open(&cache, &setting, &err), ERR_INPUT);
    assert_string_equal(err.text, "the name of a folder is empty or too long");
    memset(longest, '/', PATH_MAX);
    setting.folders[1] = (slice){ longest, PATH_MAX };
    assert_int_equal(volume_cache_open(&cache, &setting, &err), ERR_INPUT);
    assert_string_equal(err.text, "the name of a folder is empty or too long");
    memcpy(longest, "volume", 6);
    setting.volume = longest; /* with what is behind it */
    setting.folder_count = 1;
    assert_int_equal(volume_cache_open(&cache, &setting, &err), ERR_INPUT);
}

/* Wherever it is noticed: the files that are there are whole. */
static void the_end_of_the_worker_ends_it(void **state)
{
    (void)state;
    put("in/a", '1', 1, OLD);
    put("in/b", '1', 1, OLD);
    put("in/big", '1', VOLUME_SMALL_BYTES, OLD);
    for (ends_when = 1; ends_when < 4; ends_when++) {
        asked = 0;
        assert_int_equal(run(SAVE), ERR_CANCELLED);
        assert_string_equal(err.text, "the worker is shutting down");
        assert_false(exists(ROOT VOLUME_MANIFEST));
    }
    ends_when = 0;
    copies(SAVE, 3, VOLUME_SMALL_BYTES + 2);
    for (ends_when = 1; ends_when < 5; ends_when++) {
        remove_all("in");
        asked = 0;
        assert_int_equal(run(RESTORE), ERR_CANCELLED);
        assert_string_equal(err.text, "the worker is shutting down");
        assert_false(exists("in/big"));
    }
    ends_when = 0;
    remove_all("in");
    copies(RESTORE, 3, VOLUME_SMALL_BYTES + 2);
}

/* --- its name --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool good;
} names[] = {
    { "a", true },       { "Model-1.5_x", true }, { "...", true },   { ".hidden", true },
    { "a b", true },     { "\xc3\xa9", true },    { "", false },     { ".", false },
    { "..", false },     { "/", false },          { "a/b", false },  { "a/", false },
    { "a\\b", false },   { "\\", false },         { "a\nb", false }, { "\x1f", false },
    { "\tname", false }, { "name/..", false },
};

static void a_name_is_one_part_of_a_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        int rc = volume_cache_check_name(slice_from(names[i].name), &err);
        assert_int_equal(rc, names[i].good ? 0 : ERR_CONFIG);
        assert_true(names[i].good || strstr(err.text, "must be a single path component") != NULL);
    }
}

static void a_name_has_255_bytes_at_the_most(void **state)
{
    char name[256];
    (void)state;
    memset(name, 'n', sizeof name);
    assert_int_equal(volume_cache_check_name((slice){ name, 255 }, &err), 0);
    assert_int_equal(volume_cache_check_name((slice){ name, 256 }, &err), ERR_CONFIG);
    assert_int_equal(volume_cache_check_name(SLICE_LITERAL("a\0b"), &err), ERR_CONFIG);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_saved_is_restored),
        TEST(the_volume_has_three_things),
        TEST(a_volume_without_a_cache_is_no_trouble),
        TEST(more_folders_than_one),
        TEST(many_files),
        TEST(files_that_change_meanwhile),
        TEST(what_the_sdk_leaves_out),
        TEST(folders_that_are_too_deep_are_left_out),
        TEST(newer_files_are_saved),
        TEST(older_files_are_restored),
        TEST(links_are_replaced),
        TEST(what_is_gone_is_forgotten),
        TEST(a_lost_archive_is_written_anew),
        TEST(paths_that_are_nobodys_are_passed_over),
        TEST(manifests_of_another_kind),
        TEST(entries_of_any_size_are_restored),
        TEST(an_archive_that_is_cut_off),
        TEST(what_cannot_be_written_is_counted),
        TEST(what_is_not_saved_is_not_in_the_manifest),
        TEST(an_archive_that_cannot_be_written),
        TEST(a_manifest_that_cannot_be_written),
        TEST(the_volumes_own_folders_are_no_links),
        TEST(a_cache_needs_a_volume_and_folders),
        TEST(the_end_of_the_worker_ends_it),
        cmocka_unit_test(a_name_is_one_part_of_a_path),
        cmocka_unit_test(a_name_has_255_bytes_at_the_most),
    };
    return cmocka_run_group_tests_name("volume_cache", tests, NULL, NULL);
}
