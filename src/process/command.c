#include "job/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/slice.h"
#include "codec/words.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

static int split(struct command *command, const char *line, struct err *err)
{
    slice rest = slice_from(line), word;
    size_t count = 0;
    int rc;
    command->words = malloc(2 * rest.len + 2); /* each word's NUL stands where a blank was */
    command->argv = calloc(LIMIT_CHILD_WORDS + 1, sizeof *command->argv);
    if (command->words == NULL || command->argv == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the command line");
    char *to = command->words;
    while ((rc = words_next(&rest, to, &word, err)) > 0) {
        if (count == LIMIT_CHILD_WORDS)
            return err_set(err, ERR_CONFIG, "the command line has more than %d words",
                           LIMIT_CHILD_WORDS);
        command->argv[count++] = to;
        to += word.len + 1;
    }
    if (rc < 0) {
        err_wrap(err, "the command line \"%.100s\"", line);
        return err->code = ERR_CONFIG;
    }
    return 0;
}

static bool is_program(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

/* The first of PATH's folders that has it; an empty folder is the current one. */
static bool find_in_path(const char *name, const char *folders, char *path, size_t size)
{
    for (;;) {
        size_t len = strcspn(folders, ":");
        snprintf(path, size, "%.*s%s%s", (int)len, folders, len > 0 ? "/" : "", name);
        if (is_program(path))
            return true;
        if (folders[len] == '\0')
            return false;
        folders += len + 1;
    }
}

static int find_program(struct command *command, struct err *err)
{
    const char *name = command->argv[0], *folders = getenv("PATH");
    char path[4096];
    if (folders == NULL || folders[0] == '\0')
        folders = DEFAULT_PATH;
    if (name == NULL)
        return err_set(err, ERR_CONFIG, "the command line is empty");
    snprintf(path, sizeof path, "%s", name);
    if (strchr(name, '/') != NULL && !is_program(path))
        return err_set(err, ERR_CONFIG, "the program %.200s is no file that can be run", name);
    if (strchr(name, '/') == NULL && !find_in_path(name, folders, path, sizeof path))
        return err_set(err, ERR_CONFIG, "the program %.200s is not in PATH (%.100s)", name,
                       folders);
    command->path = strdup(path);
    return command->path != NULL ? 0 : err_set(err, ERR_MEMORY, "no memory for a path");
}

int command_prepare(struct command *command, const char *line, const char *flag, struct err *err)
{
    int rc = split(command, line, err);
    if (rc == 0)
        rc = find_program(command, err);
    if (rc != 0)
        err_wrap(err, "%s", flag);
    return rc;
}
