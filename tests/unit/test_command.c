/* process/command: a command line becomes a program and its arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/limits.h"
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
        cmocka_unit_test(what_cannot_be_used_names_the_flag),
        cmocka_unit_test(words_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
