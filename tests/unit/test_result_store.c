/* source/result_store: results kept in a folder, claimed once, and what becomes of them. */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/remove_tree.h"
#include "descriptors.h"
#include "source/result_store.h"
#include "json/json.h"

static char dir[64];
static struct stored_result stored;

static time_t now_s; /* 0: the real time */

/* This program's own: a claim grows old when the test says so. */
time_t time(time_t *at)
{
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    const time_t now = now_s != 0 ? now_s : real.tv_sec;
    if (at != NULL)
        *at = now;
    return now;
}

static int open_before;

static int set_up(void **state)
{
    (void)state;
    open_before = open_descriptors();
    now_s = 0;
    log_init(LOG_NOTSET, false);
    snprintf(dir, sizeof dir, "/tmp/result_store_XXXXXX");
    assert_non_null(mkdtemp(dir));
    stored_result_init(&stored, LIMIT_MIB);
    return 0;
}

/* No test leaves a descriptor open. */
static int tear_down(void **state)
{
    struct err err;
    int open_after = open_descriptors();
    int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)state;
    stored_result_free(&stored);
    remove_tree(parent, dir + strlen("/tmp/"), &err);
    close(parent);
    return open_after == open_before ? 0 : -1;
}

/* The names in the folder that have this ending. */
static size_t count_files(const char *ending)
{
    size_t count = 0;
    DIR *entries = opendir(dir);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        count += entry->d_name[0] != '.' && dot != NULL && strcmp(dot, ending) == 0;
    }
    closedir(entries);
    return count;
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, slice_from(text)), 0);
    close(fd);
}

static int save(const char *id, bool is_stream)
{
    struct err err = { 0 };
    const struct result result = {
        .pieces = { SLICE_LITERAL("{\"output\": "), SLICE_LITERAL("[1, \"\xc3\xbc\"]"),
                    SLICE_LITERAL("}") },
        .count = 3,
        .is_stream = is_stream,
    };
    return result_store_save(dir, slice_from(id), &result, &err);
}

static int claim(void)
{
    struct err err = { 0 };
    return result_store_claim(dir, &stored, &err);
}

static void a_stored_result_comes_back_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(save("job \"1\"\n", true), 0);
    assert_int_equal(count_files(".result"), 1);
    assert_int_equal(claim(), 1);
    assert_true(slice_is(stored.id, "job \"1\"\n"));
    assert_true(slice_is(stored.body, "{\"output\": [1, \"\xc3\xbc\"]}"));
    assert_true(stored.is_stream);
    assert_int_equal(count_files(".claim"), 1);
    result_store_finish(&stored, STORED_DELIVERED);
    assert_int_equal(count_files(".claim"), 0);
    assert_int_equal(claim(), 0);
}

static void only_the_owner_may_read_it(void **state)
{
    struct stat info;
    (void)state;
    assert_int_equal(save("a", false), 0);
    assert_int_equal(claim(), 1);
    assert_false(stored.is_stream);
    assert_int_equal(stat(stored.path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void a_claimed_result_is_nobody_elses(void **state)
{
    (void)state;
    assert_int_equal(save("a", false), 0);
    assert_int_equal(claim(), 1);
    assert_int_equal(claim(), 0);
    result_store_finish(&stored, STORED_LATER);
    assert_int_equal(count_files(".result"), 1);
    assert_int_equal(claim(), 1);
    result_store_finish(&stored, STORED_REFUSED);
    assert_int_equal(count_files(".refused"), 1);
    assert_int_equal(claim(), 0);
}

/* Its worker has ended while it was sending. */
static void an_old_claim_may_be_taken_over(void **state)
{
    char old[sizeof stored.path];
    struct stat info;
    (void)state;
    assert_int_equal(save("a", false), 0);
    assert_int_equal(claim(), 1);
    assert_int_equal(stat(stored.path, &info), 0);
    now_s = info.st_ctime + LIMIT_CLAIM_S - 1;
    assert_int_equal(claim(), 0);
    now_s = info.st_ctime + LIMIT_CLAIM_S;
    memcpy(old, stored.path, sizeof old);
    assert_int_equal(claim(), 1);
    assert_true(slice_is(stored.id, "a"));
    assert_int_equal(access(old, F_OK), -1); /* for another who had found it, too */
    assert_int_equal(count_files(".claim"), 1);
    result_store_finish(&stored, STORED_LATER);
    assert_int_equal(count_files(".claim"), 0);
    assert_int_equal(count_files(".result"), 1);
}

/* A claim's number is taken off again, and nothing else of a name. */
static void a_name_is_the_same_after_a_claim(void **state)
{
    static const char *const names[] = {
        "a.result",          "a.01234567.result",   "a-long-name.claim", "a.0123456.claim",
        "a.012345678.claim", "a-01234567x.claim",   "a.0123456x.claim",  "a.0123456F.claim",
        "aaaaaaaa.claim",    "a.b.01234567.result",
    };
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        write_file(names[i], "{\"id\": \"x\", \"is_stream\": false, \"result\": {}}");
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        now_s = info.st_ctime + LIMIT_CLAIM_S;
        assert_int_equal(claim(), 1);
        result_store_finish(&stored, STORED_LATER);
        snprintf(strrchr(path, '.'), sizeof ".result", ".result");
        if (unlink(path) != 0)
            fail_msg("%s is not %s afterwards", names[i], path);
        assert_int_equal(count_files(".result"), 0);
    }
}

static void all_are_claimed_one_after_the_other(void **state)
{
    unsigned seen = 0;
    (void)state;
    assert_int_equal(save("1", false), 0);
    assert_int_equal(save("2", false), 0);
    assert_int_equal(save("4", false), 0);
    while (claim() == 1) {
        seen += (unsigned)(stored.id.ptr[0] - '0');
        result_store_finish(&stored, STORED_DELIVERED);
    }
    assert_int_equal(seen, 7);
}

/* However many there are: each takes the room of the one before. */
static void ids_may_be_long(void **state)
{
    static char id[20000];
    unsigned count = 0;
    (void)state;
    memset(id, 'i', sizeof id - 1);
    id[0] = '\n'; /* which needs room of its own, as JSON escapes it */
    for (int i = 0; i < 5; i++)
        assert_int_equal(save(id, false), 0);
    for (; claim() == 1; count++)
        assert_true(slice_is(stored.id, id));
    assert_int_equal(count, 5);
}

/* A file of somebody else's making, or damaged: set aside, and the others still come. */
static void unusable_files_are_set_aside(void **state)
{
    (void)state;
    write_file("a.result", "");
    write_file("b.result", "{\"id\": \"x\", \"is_stream\": false, \"result\": ");
    write_file("c.result", "[]");
    write_file("d.result", "{\"id\": 7, \"is_stream\": false, \"result\": {}}");
    write_file("e.result", "{\"id\": \"x\", \"result\": {}}");
    write_file("f.part", "{");
    write_file("readme.txt", "not ours");
    write_file("g.result", "{\"id\": \"good\", \"is_stream\": false, \"result\": {}}");
    assert_int_equal(claim(), 1);
    assert_true(slice_is(stored.id, "good"));
    assert_int_equal(count_files(".bad"), 5);
    assert_int_equal(count_files(".part"), 1);
    assert_int_equal(count_files(".txt"), 1);
}

static void a_link_is_not_followed(void **state)
{
    char path[128], target[128];
    (void)state;
    write_file("target", "{\"id\": \"x\", \"is_stream\": false, \"result\": {}}");
    snprintf(path, sizeof path, "%s/a.result", dir);
    snprintf(target, sizeof target, "%s/target", dir);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(claim(), 0);
    assert_int_equal(count_files(".bad"), 1);
}

/* Opening the one would wait for a writer; another user's may be forged. */
static void what_is_no_file_of_our_own_is_set_aside(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/a.result", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(claim(), 0);
    assert_int_equal(count_files(".bad"), 1);
    snprintf(path, sizeof path, "%s/b.result", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(claim(), 0);
    assert_int_equal(count_files(".bad"), 2);
    write_file("c.result", "{\"id\": \"x\", \"is_stream\": false, \"result\": {}}");
    snprintf(path, sizeof path, "%s/c.result", dir);
    if (chown(path, 4711, (gid_t)-1) != 0)
        return; /* that takes root */
    assert_int_equal(claim(), 0);
    assert_int_equal(count_files(".bad"), 3);
}

static void a_result_over_the_limit_is_set_aside(void **state)
{
    (void)state;
    stored.text.max = 20;
    assert_int_equal(save("a", false), 0);
    assert_int_equal(claim(), 0);
    assert_int_equal(count_files(".bad"), 1);
}

static void a_missing_folder_is_an_error(void **state)
{
    struct err err = { 0 };
    const struct result result = { .pieces = { SLICE_LITERAL("{}") }, .count = 1 };
    (void)state;
    assert_int_equal(result_store_claim("/nowhere/at/all", &stored, &err), ERR_RETRY);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
    assert_int_equal(result_store_save("/nowhere/at/all", SLICE_LITERAL("a"), &result, &err),
                     ERR_RETRY);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

/* --- the folder ------------------------------------------------------------------------------- */

static void check_folder(int expected, const char *text)
{
    struct err err = { 0 };
    assert_int_equal(result_store_check(dir, &err), expected);
    if (expected != 0 && strstr(err.text, text) == NULL)
        fail_msg("%s does not hold %s", err.text, text);
}

/* Whoever can put a file there can have a result sent in the worker's name. */
static void others_must_not_write_to_the_folder(void **state)
{
    static const struct {
        mode_t mode;
        bool good;
    } modes[] = {
        { 0700, true },   { 0755, true },  { 0770, false }, { 0777, false },  { 0702, false },
        { 02770, true },  { 01770, true }, { 02755, true }, { 02777, false }, { 01777, false },
        { 04770, false }, { 0720, false }, { 02720, true },
    };
    (void)state;
    assert_int_equal(chown(dir, (uid_t)-1, getegid()), 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(dir, modes[i].mode), 0);
        check_folder(modes[i].good ? 0 : ERR_CONFIG, "is writable by others");
    }
}

/* What only root can set up: an owner and a group that are not the worker's. */
static void the_folder_is_our_own(void **state)
{
    (void)state;
    if (chown(dir, 4711, (gid_t)-1) != 0)
        skip();
    check_folder(ERR_CONFIG, "belongs to another user");
    assert_int_equal(chown(dir, 0, 4711), 0); /* a group that is not ours */
    assert_int_equal(chmod(dir, 02770), 0);
    check_folder(ERR_CONFIG, "is writable by others");
    assert_int_equal(chmod(dir, 02750), 0);
    check_folder(0, NULL);
    const gid_t groups[] = { 4712, 4711 };
    gid_t before[256];
    int count = getgroups(256, before);
    if (count < 0 || setgroups(2, groups) != 0)
        return;
    assert_int_equal(chmod(dir, 02770), 0); /* now it is, if not our first */
    check_folder(0, NULL);
    assert_int_equal(setgroups((size_t)count, before), 0);
}

static void the_folder_must_be_one(void **state)
{
    char path[4200];
    struct err err = { 0 };
    (void)state;
    write_file("file", "");
    snprintf(path, sizeof path, "%s/file", dir);
    assert_int_equal(result_store_check(path, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "file is not a folder"));
    assert_int_equal(result_store_check("/nowhere/at/all", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
    memset(path, '/', sizeof path); /* "/tmp///..." is the same folder */
    memcpy(path, dir, strlen(dir));
    path[sizeof stored.path - 64] = '\0';
    assert_int_equal(result_store_check(path, &err), 0);
    path[sizeof stored.path - 64] = '/';
    path[sizeof stored.path - 63] = '\0';
    assert_int_equal(result_store_check(path, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "is too long"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_stored_result_comes_back_as_it_was),
        IN_FOLDER(only_the_owner_may_read_it),
        IN_FOLDER(a_claimed_result_is_nobody_elses),
        IN_FOLDER(an_old_claim_may_be_taken_over),
        IN_FOLDER(a_name_is_the_same_after_a_claim),
        IN_FOLDER(all_are_claimed_one_after_the_other),
        IN_FOLDER(ids_may_be_long),
        IN_FOLDER(unusable_files_are_set_aside),
        IN_FOLDER(a_link_is_not_followed),
        IN_FOLDER(what_is_no_file_of_our_own_is_set_aside),
        IN_FOLDER(a_result_over_the_limit_is_set_aside),
        IN_FOLDER(a_missing_folder_is_an_error),
        IN_FOLDER(others_must_not_write_to_the_folder),
        IN_FOLDER(the_folder_is_our_own),
        IN_FOLDER(the_folder_must_be_one),
    };
    return cmocka_run_group_tests_name("result_store", tests, NULL, NULL);
}
