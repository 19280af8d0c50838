/* process/file_watch.h: every way in which a file comes to be another one, and none that is not. */
#include "process/file_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/remove_tree.h"

static char folder[PATH_MAX];

/* What the watching thread has said; it lives as long as the process, and so do these. */
struct news {
    sem_t count;
    char path[PATH_MAX];
};

static void note(const char *path, void *owner)
{
    struct news *news = owner;
    snprintf(news->path, sizeof news->path, "%s", path);
    sem_post(&news->count);
}

static const char *in_folder(const char *name)
{
    static char paths[4][PATH_MAX + 16];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct news *watch(const char *name, const char *other)
{
    struct err err = { 0 };
    struct news *news = calloc(1, sizeof *news);
    assert_non_null(news);
    sem_init(&news->count, 0, 0);
    char *paths[] = { strdup(in_folder(name)), strdup(in_folder(other)) };
    assert_int_equal(file_watch_start(paths, 2, note, news, &err), 0);
    free(paths[0]);
    free(paths[1]);
    return news;
}

/* Waits for the next news, which have to be of that path. */
static void expect_path(struct news *news, const char *path)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    while (sem_timedwait(&news->count, &until) != 0)
        assert_true(time(NULL) < until.tv_sec);
    assert_string_equal(news->path, path);
}

static void expect(struct news *news, const char *name)
{
    expect_path(news, in_folder(name));
}

/* Whether any of this process's inotify instances watches that folder, as proc(5) tells. */
static bool is_watched(const char *path)
{
    char name[64], line[256], number[32];
    struct stat info;
    bool found = false;
    assert_int_equal(stat(path, &info), 0);
    snprintf(number, sizeof number, " ino:%llx ", (unsigned long long)info.st_ino);
    for (int fd = 3; fd < 100 && !found; fd++) {
        snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
        FILE *file = fopen(name, "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            found |= strncmp(line, "inotify wd:", 11) == 0 && strstr(line, number) != NULL;
        if (file != NULL)
            fclose(file);
    }
    return found;
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/file-watch-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int end(void **state)
{
    struct err err;
    (void)state;
    int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = remove_tree(parent, folder + strlen("/tmp/"), &err);
    close(parent);
    return rc;
}

static void test_written_and_replaced(void **state)
{
    (void)state;
    put("a", "1");
    put("b", "1");
    struct news *news = watch("a", "b");
    put("a", "22");
    expect(news, "a");
    put("new", "333");
    rename(in_folder("new"), in_folder("b"));
    expect(news, "b");
    chmod(in_folder("a"), 0755);
    expect(news, "a");
}

static void set_date(const char *name, time_t seconds, long nanoseconds)
{
    const struct timespec dates[2] = { { seconds, nanoseconds }, { seconds, nanoseconds } };
    assert_int_equal(utimensat(AT_FDCWD, in_folder(name), dates, 0), 0);
}

/* Each trait by itself makes it another file: its number and its date, down to the nanosecond. */
static void test_one_trait_is_enough(void **state)
{
    (void)state;
    put("a", "1");
    put("b", "1");
    set_date("a", 1000000, 5);
    struct news *news = watch("a", "b");
    put("new", "2");
    set_date("new", 1000000, 5);
    rename(in_folder("new"), in_folder("a"));
    expect(news, "a");
    set_date("a", 1000001, 5);
    expect(news, "a");
    set_date("a", 1000001, 6);
    expect(news, "a");
}

/* Names without a folder are those of the current one. */
static void test_current_folder(void **state)
{
    struct err err = { 0 };
    struct news *news = calloc(1, sizeof *news);
    char *name = strdup("plain");
    (void)state;
    assert_non_null(news);
    sem_init(&news->count, 0, 0);
    assert_int_equal(chdir(folder), 0);
    put("plain", "1");
    assert_int_equal(file_watch_start(&name, 1, note, news, &err), 0);
    memset(name, 'x', strlen(name)); /* it has been copied */
    put("plain", "22");
    expect_path(news, "plain");
    assert_true(is_watched(folder));
    free(name);
    assert_int_equal(chdir("/"), 0);
}

static void test_deleted_counts_once_it_is_back(void **state)
{
    (void)state;
    put("a", "1");
    put("b", "1");
    put("c", "1");
    struct news *news = watch("a", "b"), *beside = watch("b", "c");
    unlink(in_folder("a"));
    put("b", "22"); /* while the other one is missing: nothing can be started */
    expect(beside, "b");
    assert_int_equal(sem_trywait(&news->count), -1);
    put("a", "22");
    expect(news, "a");
}

static void test_symbolic_link(void **state)
{
    (void)state;
    put("one", "1");
    put("two", "2");
    put("b", "");
    assert_int_equal(symlink("one", in_folder("a")), 0);
    struct news *news = watch("a", "b");
    put("one", "11"); /* the file behind it */
    expect(news, "a");
    assert_int_equal(symlink("two", in_folder("new")), 0);
    rename(in_folder("new"), in_folder("a"));
    expect(news, "a");
}

/* Without events it would look only now and then: the file's folder, and that of what it is. */
static void test_folders_are_watched(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_folder("one"), 0755), 0);
    assert_int_equal(mkdir(in_folder("two"), 0755), 0);
    assert_int_equal(mkdir(in_folder("three"), 0755), 0);
    put("one/a", "1");
    put("two/b", "1");
    assert_int_equal(symlink("../two/b", in_folder("three/b")), 0);
    assert_false(is_watched(in_folder("one")));
    struct news *news = watch("one/a", "three/b");
    put("one/a", "22");
    expect(news, "one/a");
    assert_true(is_watched(in_folder("one")));
    assert_true(is_watched(in_folder("two")));
    assert_true(is_watched(in_folder("three")));
    assert_false(is_watched(folder));
}

/* As by a build that removes its folder first. */
static void test_folder_that_is_replaced(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_folder("out"), 0755), 0);
    put("out/a", "1");
    put("b", "");
    struct news *news = watch("out/a", "b");
    rename(in_folder("out"), in_folder("old"));
    assert_int_equal(mkdir(in_folder("out"), 0755), 0);
    put("out/a", "2");
    expect(news, "out/a");
    put("out/a", "33");
    expect(news, "out/a");
}

static void test_what_is_no_file_is_left_out(void **state)
{
    (void)state;
    put("a", "1");
    struct news *news = watch("a", "."); /* a folder, in which everything changes */
    put("other", "1");
    put("a", "22");
    expect(news, "a");
    assert_int_equal(sem_trywait(&news->count), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_written_and_replaced, begin, end),
        cmocka_unit_test_setup_teardown(test_one_trait_is_enough, begin, end),
        cmocka_unit_test_setup_teardown(test_current_folder, begin, end),
        cmocka_unit_test_setup_teardown(test_deleted_counts_once_it_is_back, begin, end),
        cmocka_unit_test_setup_teardown(test_symbolic_link, begin, end),
        cmocka_unit_test_setup_teardown(test_folders_are_watched, begin, end),
        cmocka_unit_test_setup_teardown(test_folder_that_is_replaced, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_no_file_is_left_out, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
