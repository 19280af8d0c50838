#include "process/command.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/slice.h"
#include "codec/shell_words.h"
#include "files/model_cache.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* The paths that model_cache_expand puts into a line are longer than their names. */
static size_t room_for_paths(slice line)
{
    size_t room = 0;
    for (size_t i = 0; i < line.len; i++)
        room += line.ptr[i] == '{' ? PATH_MAX : 0;
    return room;
}

/* Cuts the line into words by way of `scratch`, which has room for it. */
static int cut_words(struct command *command, slice rest, char *scratch, size_t size,
                     struct err *err)
{
    slice word;
    size_t used = 0, count = 0;
    int rc;
    while ((rc = shell_words_next(&rest, scratch, &word, err)) > 0) {
        char *to = command->storage + used;
        if (count == LIMIT_CHILD_WORDS)
            return err_set(err, ERR_CONFIG, "the command line has more than %d words",
                           LIMIT_CHILD_WORDS);
        rc = model_cache_expand(word, to, size - used, err);
        if (rc != 0)
            return rc;
        command->argv[count++] = to;
        used += strlen(to) + 1;
    }
    return rc == 0 ? 0 : ERR_CONFIG;
}

static int split_line(struct command *command, const char *line, struct err *err)
{
    slice rest = slice_from(line);
    size_t size = 2 * rest.len + 2 + room_for_paths(rest); /* a NUL after each word */
    char *scratch = malloc(rest.len + 1);
    command->storage = malloc(size);
    command->argv = calloc(LIMIT_CHILD_WORDS + 1, sizeof *command->argv);
    int rc = scratch == NULL || command->storage == NULL || command->argv == NULL
                 ? err_set(err, ERR_MEMORY, "no memory for the command line")
                 : cut_words(command, rest, scratch, size, err);
    free(scratch);
    if (rc == ERR_CONFIG)
        err_wrap(err, "the command line \"%.100s\"", line);
    return err->code = rc;
}

static bool is_executable(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

/* Finds it in the first folder of PATH that has it; an empty one is the current folder. */
static bool find_in_path(const char *name, const char *folders, char *path, size_t size)
{
    for (;;) {
        size_t len = strcspn(folders, ":");
        snprintf(path, size, "%.*s%s%s", (int)len, folders, len > 0 ? "/" : "", name);
        if (is_executable(path))
            return true;
        if (folders[len] == '\0')
            return false;
        folders += len + 1;
    }
}

static int find_program(struct command *command, struct err *err)
{
    const char *name = command->argv[0], *folders = secure_getenv("PATH");
    char path[4096];
    if (folders == NULL || folders[0] == '\0')
        folders = DEFAULT_PATH;
    if (name == NULL)
        return err_set(err, ERR_CONFIG, "the command line is empty");
    snprintf(path, sizeof path, "%s", name);
    if (strchr(name, '/') != NULL && !is_executable(path))
        return err_set(err, ERR_CONFIG, "the program %.200s is not an executable file", name);
    if (strchr(name, '/') == NULL && !find_in_path(name, folders, path, sizeof path))
        return err_set(err, ERR_CONFIG, "the program %.200s is not in PATH (%.100s)", name,
                       folders);
    command->path = strdup(path);
    return command->path != NULL ? 0 : err_set(err, ERR_MEMORY, "no memory for a path");
}

int command_prepare(struct command *command, const char *line, const char *flag, struct err *err)
{
    int rc = split_line(command, line, err);
    if (rc == 0)
        rc = find_program(command, err);
    if (rc != 0) {
        free(command->storage);
        free(command->argv);
        *command = (struct command){ 0 };
        err_wrap(err, "%s", flag);
    }
    return rc;
}
