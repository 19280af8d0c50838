/* files/model_cache: the folder that a model's name leads to, and why where it leads to none. */
#include <errno.h>
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

#include "base/io.h"
#include "base/remove_tree.h"
#include "descriptors.h"
#include "files/model_cache.h"
#include "worker.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define PLATFORM "/runpod-volume/huggingface-cache/hub"
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static char place[PATH_MAX], hub[PATH_MAX + 8];
static char found[PATH_MAX];
static struct err err;

static int set_up(void **state)
{
    (void)state;
    umask(022);
    snprintf(place, sizeof place, "/tmp/test-models-XXXXXX");
    if (mkdtemp(place) == NULL || chdir(place) != 0 || mkdir("hub", 0700) != 0)
        return 1;
    snprintf(hub, sizeof hub, "%s/hub", place);
    return setenv("HF_HUB_CACHE", hub, 1) != 0 || unsetenv("HF_HOME") != 0;
}

static int tear_down(void **state)
{
    (void)state;
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, place + strlen("/tmp/"), &err) != 0;
}

/* A file with its folders, by its path below the hub. */
static void put(const char *below, const char *content)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "hub/%s", below);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    io_make_folders(path, 0700);
    *slash = '/';
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, slice_from(content)), 0);
    close(fd);
}

static int find(const char *name)
{
    err = (struct err){ 0 };
    return model_cache_find(slice_from(name), found, sizeof found, &err);
}

/* The name leads to that path below the hub. */
static void leads_to(const char *name, const char *below)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "hub/%s", below);
    if (find(name) != 0)
        fail_msg("%s: %s", name, err.text);
    assert_int_equal(strncmp(found, place, strlen(place)), 0);
    assert_string_equal(found + strlen(place) + 1, path);
}

static void is_missing(const char *name, const char *why)
{
    if (find(name) != ERR_INPUT || strstr(err.text, why) == NULL)
        fail_msg("%s: %s instead of %s", name, err.text, why);
}

/* --- names ------------------------------------------------------------------------------------ */

static void names_that_are_none(void **state)
{
    static const char *const names[] = {
        "",        "/",        "a/",      "/a",        "a/..",      "../a",      "a/b@",
        "a/b@..",  "a/b@/c",   "@main",   "a/@main",   "a/b/",      "a/b//c",    "a/b/..",
        "a/b/./c", "a/b/c\\d", "a/b/\\d", "a/b/\x1f",  "a/b/c\x1f", "a/b/c\x7f", "a b",
        "a/b@c d", "a\\b",     ".",       "a/b@main/", "a@/b",
    };
    (void)state;
    put("models--a--b/snapshots/main/c", "");
    for (size_t i = 0; i < COUNT(names); i++)
        if (find(names[i]) != ERR_CONFIG || strstr(err.text, "is not the name of a model") == NULL)
            fail_msg("%s: %d %s", names[i], err.code, err.text);
}

static void parts_of_a_name_have_a_longest(void **state)
{
    static const char *const starts[] = { "", "a/", "a/b/", "a/b/c/", "a@" };
    (void)state;
    for (size_t i = 0; i < COUNT(starts); i++) {
        char name[300] = "";
        memset(name, 'x', strlen(starts[i]) + 256);
        memcpy(name, starts[i], strlen(starts[i]));
        assert_int_equal(find(name), ERR_CONFIG);
        name[strlen(name) - 1] = '\0';
        assert_int_equal(find(name), ERR_INPUT);
    }
}

static void a_name_that_is_none_is_shown_in_part(void **state)
{
    (void)state;
    assert_int_equal(find("y" X50 X50 "\n"), ERR_CONFIG);
    const char *end = strstr(err.text, "x\" is not the name");
    assert_true(end == err.text + 100);
    assert_int_equal(find(" "), ERR_CONFIG);
    assert_int_equal(strncmp(err.text, "\" \" is not", 10), 0);
}

/* --- models and revisions --------------------------------------------------------------------- */

static void models_are_found_by_their_names(void **state)
{
    int before = open_descriptors();
    (void)state;
    put("models--Org--Name/snapshots/h1/in/file", "");
    put("models--Org--Name/snapshots/h2/other", "");
    put("models--Org--Name/refs/main", " h1\n");
    put("models--Org--Name/refs/v2", "\th2 and more");
    put("models--single/snapshots/h3/file", "");
    leads_to("Org/Name", "models--Org--Name/snapshots/h1");
    leads_to("oRG/nAME", "models--Org--Name/snapshots/h1");
    leads_to("Org/Name@main", "models--Org--Name/snapshots/h1");
    leads_to("Org/Name@v2", "models--Org--Name/snapshots/h2");
    leads_to("Org/Name@h2", "models--Org--Name/snapshots/h2");
    leads_to("Org/Name/in", "models--Org--Name/snapshots/h1/in");
    leads_to("Org/Name/in/file", "models--Org--Name/snapshots/h1/in/file");
    leads_to("Org/Name@v2/other", "models--Org--Name/snapshots/h2/other");
    leads_to("single", "models--single/snapshots/h3");
    leads_to("single@h3/file", "models--single/snapshots/h3/file");
    is_missing("Org/Name@v2/in", "the model Org/Name: it has no file in here, but other");
    is_missing("single@v2", "the model single: it has no revision v2 here; its snapshots: h3");
    is_missing("Org/Name@main/in/file/x", "it has no file in/file/x here, but in");
    assert_int_equal(open_descriptors(), before);
}

/* Of several that differ in case alone the one that is written so, else the first by its bytes. */
static void the_case_of_a_name_matters_last(void **state)
{
    (void)state;
    put("models--b--c/snapshots/1/f", "");
    put("models--B--c/snapshots/2/f", "");
    put("models--b--C/snapshots/3/f", "");
    leads_to("b/c", "models--b--c/snapshots/1");
    leads_to("b/C", "models--b--C/snapshots/3");
    leads_to("B/C", "models--B--c/snapshots/2");
}

/* Without a word of which is main: the first by its bytes, whatever else lies there. */
static void a_snapshot_is_chosen_where_none_is_main(void **state)
{
    (void)state;
    put("models--m/snapshots/h2/f", "");
    put("models--m/snapshots/h1/f", "");
    put("models--m/snapshots/h3/f", "");
    leads_to("m", "models--m/snapshots/h1");
    put("models--m/refs/main", "h3");
    leads_to("m", "models--m/snapshots/h3");
    put("models--m/refs/main", "gone"); /* it names one that is not here */
    leads_to("m", "models--m/snapshots/h1");
    is_missing("m@main", "it has no revision main here; its snapshots: h");
    put("models--m/snapshots/file", "");
    put("models--m/refs/v1", "file");
    is_missing("m@v1", "it has no revision v1 here");
    is_missing("m@file", "it has no revision file here");
}

static void what_a_ref_holds_is_checked(void **state)
{
    static const char *const texts[] = { "", " \n", "..", ".", "a/b", "a b\\", "\x80" };
    char longest[300] = "";
    (void)state;
    put("models--m/snapshots/a/f", "");
    for (size_t i = 0; i < COUNT(texts); i++) {
        put("models--m/refs/main", texts[i]);
        if (strcmp(texts[i], "a b\\") == 0) /* only its first word counts */
            leads_to("m", "models--m/snapshots/a");
        else
            is_missing("m", "the model m: its refs/main holds no revision");
    }
    memset(longest, 'x', 255);
    put("models--m/refs/main", longest);
    leads_to("m", "models--m/snapshots/a"); /* there is no such snapshot */
    longest[255] = 'x';
    put("models--m/refs/main", longest);
    is_missing("m", "its refs/main holds no revision");
    /* A link is not followed: as if there was none. */
    put("text", "..");
    assert_int_equal(unlink("hub/models--m/refs/main"), 0);
    assert_int_equal(symlink("../../text", "hub/models--m/refs/main"), 0);
    leads_to("m", "models--m/snapshots/a");
}

static void a_model_without_snapshots(void **state)
{
    (void)state;
    put("models--m/refs/main", "a");
    is_missing("m", "the model m: its folder snapshots cannot be opened: No such file");
    assert_int_equal(mkdir("hub/models--m/snapshots", 0700), 0);
    is_missing("m", "it has no revision main here; its snapshots: nothing");
    assert_int_equal(mkdir("hub/models--m/snapshots/a", 0700), 0);
    leads_to("m", "models--m/snapshots/a");
    is_missing("m@a/file", "it has no file file here, but nothing");
    put("models--f", "no folder");
    is_missing("f", "the model f: ");
    assert_non_null(strstr(err.text, "/models--f cannot be opened: Not a directory"));
}

/* --- where it is looked for ------------------------------------------------------------------- */

static void hubs_are_in_order(void **state)
{
    char path[PATH_MAX], longest[PATH_MAX];
    (void)state;
    assert_true(model_cache_hub(0, path));
    assert_string_equal(path, hub);
    assert_false(model_cache_hub(1, path));
    assert_true(model_cache_hub(2, path));
    assert_string_equal(path, PLATFORM);
    assert_int_equal(setenv("HF_HUB_CACHE", "", 1) | setenv("HF_HOME", "/home", 1), 0);
    assert_false(model_cache_hub(0, path));
    assert_true(model_cache_hub(1, path));
    assert_string_equal(path, "/home/hub");
    memset(longest, 'x', sizeof longest);
    longest[PATH_MAX - 4] = '\0'; /* with "/hub": PATH_MAX bytes, and NUL */
    assert_int_equal(setenv("HF_HOME", longest, 1), 0);
    assert_false(model_cache_hub(1, path));
    longest[PATH_MAX - 5] = '\0';
    assert_int_equal(setenv("HF_HOME", longest, 1), 0);
    assert_true(model_cache_hub(1, path));
}

static void the_first_hub_that_has_it_counts(void **state)
{
    (void)state;
    put("models--m/snapshots/a/f", "");
    put("hub/models--n/snapshots/c/f", ""); /* of the second one */
    assert_int_equal(setenv("HF_HOME", hub, 1), 0);
    leads_to("m", "models--m/snapshots/a");
    leads_to("n", "hub/models--n/snapshots/c");
    put("hub/models--m/snapshots/b/f", "");
    leads_to("m", "models--m/snapshots/a");
    assert_int_equal(unsetenv("HF_HUB_CACHE"), 0);
    leads_to("m", "hub/models--m/snapshots/b");
}

static void every_hub_is_named_that_lacks_it(void **state)
{
    char wanted[4 * PATH_MAX];
    (void)state;
    put("models--m/snapshots/a/f", "");
    put("hub/models--n/snapshots/c/f", "");
    assert_int_equal(setenv("HF_HOME", hub, 1), 0);
    assert_int_equal(find("o"), ERR_INPUT);
    snprintf(wanted, sizeof wanted,
             "the model o is not in the cache: %s holds m; %s/hub holds n; " PLATFORM
             " does not exist (HF_HUB_CACHE or HF_HOME can name another)",
             hub, hub);
    assert_string_equal(err.text, wanted);
}

static void what_is_there_is_listed(void **state)
{
    (void)state;
    is_missing("m", "/hub holds nothing; ");
    put("datasets--x/f", "");
    put("models--org--a--b/f", "");
    is_missing("m", "/hub holds org/a--b; ");
    for (int i = 1; i < 13; i++) {
        char below[40];
        int commas = 0;
        is_missing("m", "/hub holds ");
        for (const char *at = err.text; (at = strstr(at, ", ")) != NULL; at++)
            commas++;
        assert_int_equal(commas, i - 1);
        snprintf(below, sizeof below, "models--n%d/f", i);
        put(below, "");
    }
    is_missing("m", ", ...; "); /* twelve, and there are more */
    put("file", "");
    assert_int_equal(setenv("HF_HUB_CACHE", "hub/file", 1), 0);
    is_missing("m", "the model m is not in the cache: hub/file cannot be opened; ");
}

/* --- links and room --------------------------------------------------------------------------- */

static void links_stay_in_the_hub(void **state)
{
    (void)state;
    put("models--m/blobs/b", "");
    put("models--m/snapshots/a/f", "");
    put("../outside/f", "");
    put("../hub-too/f", ""); /* its path begins like the hub's */
    assert_int_equal(symlink("../../blobs/b", "hub/models--m/snapshots/a/in"), 0);
    assert_int_equal(symlink("../../../../outside/f", "hub/models--m/snapshots/a/out"), 0);
    assert_int_equal(symlink("../../../../hub-too/f", "hub/models--m/snapshots/a/too"), 0);
    assert_int_equal(symlink("../../..", "hub/models--m/snapshots/a/up"), 0);
    assert_int_equal(symlink("../../../..", "hub/models--m/snapshots/a/above"), 0);
    assert_int_equal(symlink("nowhere", "hub/models--m/snapshots/a/dangling"), 0);
    leads_to("m@a/in", "models--m/snapshots/a/in");
    is_missing("m@a/out", "the model m: it leads out of the cache, to /tmp/test-models-");
    is_missing("m@a/too", "it leads out of the cache, to /tmp/test-models-");
    is_missing("m@a/above", "it leads out of the cache, to /tmp/test-models-");
    is_missing("m@a/dangling", "it has no file dangling here, but ");
    /* The hub's own path may be one. */
    assert_int_equal(symlink("hub", "alias"), 0);
    assert_int_equal(setenv("HF_HUB_CACHE", "alias", 1), 0);
    assert_int_equal(find("m@a/in"), 0);
    assert_string_equal(found, "alias/models--m/snapshots/a/in");
}

static void a_path_has_to_fit(void **state)
{
    char path[PATH_MAX];
    (void)state;
    put("models--m/snapshots/a/f", "");
    assert_int_equal(find("m@a/f"), 0);
    size_t room = strlen(found) + 1;
    assert_int_equal(model_cache_find(SLICE_LITERAL("m@a/f"), path, room, &err), 0);
    assert_string_equal(path, found);
    assert_int_equal(model_cache_find(SLICE_LITERAL("m@a/f"), path, room - 1, &err), ERR_CONFIG);
    char wanted[100];
    snprintf(wanted, sizeof wanted, "the model m: its path is longer than %zu bytes", room - 2);
    assert_string_equal(err.text, wanted);
}

/* As handlers have it: the path or the reason, as much of it as there is room for. */
static void handlers_get_a_path_or_a_reason(void **state)
{
    char path[PATH_MAX];
    (void)state;
    put("models--m/snapshots/a/f", "");
    assert_int_equal(find("m"), 0);
    size_t room = strlen(found) + 1;
    memset(path, '#', sizeof path);
    assert_int_equal(rp_model_path("m", path, room), RP_OK);
    assert_string_equal(path, found);
    assert_int_equal(path[room], '#');
    assert_int_equal(rp_model_path("m", path, room - 1), RP_WRONG);
    assert_int_equal(strncmp(path, "the path of the model m does not fit ", 37), 0);
    assert_int_equal(rp_model_path("m\xc3\xa4", path, 3), RP_WRONG); /* no half of a letter */
    assert_string_equal(path, "\"m");
    assert_int_equal(rp_model_path("m\xc3\xa4", path, 4), RP_WRONG);
    assert_string_equal(path, "\"m");
    assert_int_equal(rp_model_path("m\xc3\xa4", path, 5), RP_WRONG);
    assert_string_equal(path, "\"m\xc3\xa4");
    path[0] = '#';
    assert_int_equal(rp_model_path("n", path, 0), RP_MISSING);
    assert_int_equal(path[0], '#');
    assert_int_equal(rp_model_path("n", path, sizeof path), RP_MISSING);
    assert_int_equal(strncmp(path, "the model n is not in the cache", 31), 0);
}

/* --- words ------------------------------------------------------------------------------------ */

static void words_are_expanded(void **state)
{
    char word[2 * PATH_MAX], wanted[3 * PATH_MAX];
    (void)state;
    put("models--m/snapshots/a/f", "");
    const slice plain = SLICE_LITERAL("--flag={model}:{mode:x}");
    assert_int_equal(model_cache_expand(plain, word, sizeof word, &err), 0);
    assert_string_equal(word, "--flag={model}:{mode:x}");
    assert_int_equal(model_cache_expand(SLICE_LITERAL(""), word, sizeof word, &err), 0);
    assert_string_equal(word, "");
    const slice two = SLICE_LITERAL("a={model:m}b{model:m@a/f}}");
    assert_int_equal(model_cache_expand(two, word, sizeof word, &err), 0);
    snprintf(wanted, sizeof wanted, "a=%s/models--m/snapshots/ab%s/models--m/snapshots/a/f}", hub,
             hub);
    assert_string_equal(word, wanted);
    size_t room = strlen(word) + 1;
    assert_int_equal(model_cache_expand(two, word, room, &err), 0);
    assert_int_equal(model_cache_expand(two, word, room - 1, &err), ERR_CONFIG);
    assert_string_equal(err.text, "a word is too long with its model's path");
}

static void words_that_cannot_be_expanded(void **state)
{
    char word[PATH_MAX];
    (void)state;
    assert_int_equal(model_cache_expand(SLICE_LITERAL("a{model:m"), word, sizeof word, &err),
                     ERR_CONFIG);
    assert_string_equal(err.text, "a \"{model:\" has no closing brace");
    assert_int_equal(model_cache_expand(SLICE_LITERAL("{model:}"), word, sizeof word, &err),
                     ERR_CONFIG);
    assert_int_equal(model_cache_expand(SLICE_LITERAL("{model:m}"), word, sizeof word, &err),
                     ERR_INPUT);
    assert_non_null(strstr(err.text, "the model m is not in the cache"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_that_are_none),
        TEST(parts_of_a_name_have_a_longest),
        TEST(a_name_that_is_none_is_shown_in_part),
        TEST(models_are_found_by_their_names),
        TEST(the_case_of_a_name_matters_last),
        TEST(a_snapshot_is_chosen_where_none_is_main),
        TEST(what_a_ref_holds_is_checked),
        TEST(a_model_without_snapshots),
        TEST(hubs_are_in_order),
        TEST(the_first_hub_that_has_it_counts),
        TEST(every_hub_is_named_that_lacks_it),
        TEST(what_is_there_is_listed),
        TEST(links_stay_in_the_hub),
        TEST(a_path_has_to_fit),
        TEST(handlers_get_a_path_or_a_reason),
        TEST(words_are_expanded),
        TEST(words_that_cannot_be_expanded),
    };
    return cmocka_run_group_tests_name("model_cache", tests, NULL, NULL);
}
