/* process/command: a command line becomes a program and its arguments. */
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

#include "base/limits.h"
#include "base/remove_tree.h"
#include "process/command.h"

static void free_command(struct command *command)
{
    free(command->path);
    free(command->argv);
    free(command->storage);
}

static void programs_are_found_as_by_a_shell(void **state)
{
    static const struct {
        const char *path; /* PATH; NULL: not set */
        const char *line;
        const char *program;
    } cases[] = {
        { "/nowhere:/bin", "sh -c 'a b'", "/bin/sh" },
        { "/bin", "/bin/sh -c 'a b'", "/bin/sh" },
        { NULL, "sh -c \"a b\"", "bin/sh" },
        { "", "sh -c a\\ b", "bin/sh" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct command command = { 0 };
        struct err err;
        if (cases[i].path != NULL)
            setenv("PATH", cases[i].path, 1);
        else
            unsetenv("PATH");
        assert_int_equal(command_prepare(&command, cases[i].line, "--flag", &err), 0);
        assert_non_null(strstr(command.path, cases[i].program));
        assert_string_equal(command.argv[1], "-c");
        assert_string_equal(command.argv[2], "a b");
        assert_null(command.argv[3]);
        free_command(&command);
    }
    setenv("PATH", "/usr/bin:/bin", 1);
}

/* Files in a folder of their own, which becomes the current one. */
static char folder[64];

static int enter_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/command-XXXXXX");
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int leave_folder(void **state)
{
    struct err err;
    (void)state;
    setenv("PATH", "/usr/bin:/bin", 1);
    unsetenv("HF_HUB_CACHE");
    return chdir("/tmp") != 0 || remove_tree(AT_FDCWD, folder + strlen("/tmp/"), &err) != 0;
}

static void make_file(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT, mode);
    assert_true(fd >= 0);
    close(fd);
}

/* The first folder in which it is a file that can be run; no name between colons: this folder. */
static void folders_are_tried_in_their_order(void **state)
{
    static const struct {
        const char *path, *program;
    } cases[] = {
        { "one:two:three", "two/tool" },
        { "three:two", "three/tool" },
        { "one::two", "tool" },
        { ":two", "tool" },
        { "one:none:", "tool" },
        { "folder:two", "two/tool" },
        { "one:folder:three", "three/tool" },
        { "t:two", "t/tool" },
    };
    (void)state;
    assert_int_equal(mkdir("one", 0755) | mkdir("two", 0755) | mkdir("three", 0755), 0);
    assert_int_equal(mkdir("folder", 0755) | mkdir("folder/tool", 0755), 0);
    make_file("one/tool", 0644);
    make_file("two/tool", 0755);
    make_file("three/tool", 0755);
    make_file("tool", 0755);
    assert_int_equal(mkdir("t", 0755), 0);
    make_file("t/tool", 0755);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct command command = { 0 };
        struct err err = { 0 };
        setenv("PATH", cases[i].path, 1);
        assert_int_equal(command_prepare(&command, "tool", "--flag", &err), 0);
        assert_string_equal(command.path, cases[i].program);
        assert_string_equal(command.argv[0], "tool");
        free_command(&command);
    }
}

static void without_folders_the_usual_ones_are_named(void **state)
{
    struct command command = { 0 };
    struct err err = { 0 };
    (void)state;
    unsetenv("PATH");
    assert_int_equal(command_prepare(&command, "not-there-at-all", "--flag", &err), ERR_CONFIG);
    assert_string_equal(err.text, "--flag: the program not-there-at-all is not in PATH "
                                  "(/usr/local/bin:/usr/bin:/bin)");
    assert_null(command.path);
    assert_null(command.argv);
    assert_null(command.storage);
}

/* Their paths are longer than their names, and there may be several of them in a line. */
static void models_become_paths(void **state)
{
    char snapshot[PATH_MAX], both[2 * PATH_MAX];
    struct command command = { 0 };
    struct err err = { 0 };
    (void)state;
    setenv("HF_HUB_CACHE", folder, 1);
    assert_int_equal(mkdir("models--a", 0755) | mkdir("models--a/snapshots", 0755), 0);
    snprintf(snapshot, sizeof snapshot, "%s/models--a/snapshots/%0200d", folder, 7);
    assert_int_equal(mkdir(snapshot, 0755), 0);
    assert_int_equal(
        command_prepare(&command, "/bin/sh {model:a} --x={model:a}:{model:a} z", "--flag", &err),
        0);
    snprintf(both, sizeof both, "--x=%s:%s", snapshot, snapshot);
    assert_string_equal(command.argv[0], "/bin/sh");
    assert_string_equal(command.argv[1], snapshot);
    assert_string_equal(command.argv[2], both);
    assert_string_equal(command.argv[3], "z");
    assert_null(command.argv[4]);
    free_command(&command);
}

static void a_model_that_is_not_there_is_another_error(void **state)
{
    struct command command = { 0 };
    struct err err = { 0 };
    (void)state;
    setenv("HF_HUB_CACHE", folder, 1);
    assert_int_equal(command_prepare(&command, "/bin/sh {model:a}", "--flag", &err), ERR_INPUT);
    assert_int_equal(strncmp(err.text, "--flag: ", 8), 0);
    assert_null(strstr(err.text, "the command line"));
    assert_int_equal(command_prepare(&command, "/bin/sh {model:a", "--flag", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "--flag: the command line \"/bin/sh {model:a\": "));
    assert_null(command.argv);
}

static void what_cannot_be_used_names_the_flag(void **state)
{
    static const char *const cases[][2] = {
        { "", "--flag: the command line is empty" },
        { "  ", "--flag: the command line is empty" },
        { "'open", "--flag: the command line \"'open\": " },
        { "/etc/passwd", "--flag: the program /etc/passwd is not an executable file" },
        { "/bin", "--flag: the program /bin is not an executable file" },
        { "not-there-at-all",
          "--flag: the program not-there-at-all is not in PATH (/usr/bin:/bin)" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct command command = { 0 };
        struct err err;
        assert_int_equal(command_prepare(&command, cases[i][0], "--flag", &err), ERR_CONFIG);
        if (strstr(err.text, cases[i][1]) == NULL)
            fail_msg("%s: %s", cases[i][0], err.text);
        free_command(&command);
    }
}

static void words_have_a_limit(void **state)
{
    char line[2 * LIMIT_CHILD_WORDS + 64] = "sh";
    struct command command = { 0 };
    struct err err;
    (void)state;
    for (int i = 1; i < LIMIT_CHILD_WORDS; i++)
        strcat(line, " x");
    assert_int_equal(command_prepare(&command, line, "--flag", &err), 0);
    assert_null(command.argv[LIMIT_CHILD_WORDS]);
    free_command(&command);
    command = (struct command){ 0 };
    strcat(line, " x");
    assert_int_equal(command_prepare(&command, line, "--flag", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "the command line has more than 256 words"));
    free_command(&command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_found_as_by_a_shell),
        cmocka_unit_test_setup_teardown(folders_are_tried_in_their_order, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(without_folders_the_usual_ones_are_named, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(models_become_paths, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_model_that_is_not_there_is_another_error, enter_folder,
                                        leave_folder),
        cmocka_unit_test(what_cannot_be_used_names_the_flag),
        cmocka_unit_test(words_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
