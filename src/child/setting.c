#include "child/setting.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

int child_prepare(struct child_setting *setting, struct err *err)
{
    return command_prepare(&setting->command, setting->program,
                           setting->mode == CHILD_ONCE ? "--handler-once" : "--handler", err);
}

/* Where this binary lies, and maybe its successor; NULL: unknown. */
static char *own_path(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0)
        return NULL;
    path[len] = '\0';
    return strdup(path);
}

int child_prepare_isolated(struct child_setting *setting, char **argv, const char *env_extra,
                           struct err *err)
{
    struct command *command = &setting->command;
    setting->isolated = setting->ready = true;
    setting->env_extra = env_extra;
    command->argv = argv;
    command->path = setting->watches ? own_path() : NULL;
    if (command->path == NULL)
        command->path = strdup("/proc/self/exe");
    if (command->path != NULL && access(command->path, X_OK) != 0) {
        /* Without /proc: the name this program was started by. */
        const char *name = (const char *)getauxval(AT_EXECFN); // NOLINT(performance-no-int-to-ptr)
        free(command->path);
        command->path = strdup(name != NULL ? name : argv[0]);
    }
    return command->path != NULL ? 0 : err_set(err, ERR_MEMORY, "no memory for a path");
}
