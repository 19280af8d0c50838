/*
 * Loading a program into a new process, as posix_spawn does it: without a copy of the worker's
 * memory.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/process_private.h"

/* --- in the new process, until it is another program -------------------------------------- */

struct launch {
    const struct process_plan *plan;
    char **environment;
    int stdio[3];
    pid_t parent, pid;
    int clone_error;    /* where pid is -1 */
    volatile int error; /* why the program was not loaded; memory is shared until then */
};

static struct rlimit descriptors; /* what programs get, where the worker has raised its own */
static bool raised;

/* exec keeps ignored signals ignored, and the worker ignores SIGPIPE. */
static void reset_signals(void)
{
    const struct sigaction standard = { .sa_handler = SIG_DFL };
    sigset_t none;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) == 0 && now.sa_handler != SIG_DFL)
            sigaction(number, &standard, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Shares its memory with the suspended worker: only system calls, and only its own stack. */
static int child_main(void *argument)
{
    struct launch *launch = argument;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launch->parent)
        _exit(127); /* the worker died before prctl */
    setpgid(0, 0);
    bool good = true;
    for (int i = 0; i < 3; i++)
        good = good && dup2(launch->stdio[i], i) == i;
#ifdef SYS_close_range
    /* Our own close on exec; those that the worker inherited may not. */
    syscall(SYS_close_range, 3u, ~0u, 0u);
#endif
    if (raised)
        prlimit(0, RLIMIT_NOFILE, &descriptors, NULL);
    reset_signals();
    if (good)
        execve(launch->plan->path, launch->plan->argv, launch->environment);
    launch->error = errno;
    _exit(127);
}

/* --- in the worker: limits ---------------------------------------------------------------- */

void process_raise_descriptor_limit(void)
{
    if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0)
        return;
    const struct rlimit wanted = { descriptors.rlim_max, descriptors.rlim_max };
    raised = descriptors.rlim_cur < wanted.rlim_cur &&
             prlimit(0, RLIMIT_NOFILE, &wanted, NULL) == 0;
}

/* --- in the worker: starting ---------------------------------------------------------- */

static bool is_listed_name(const char *variable, const char *const *without)
{
    for (; without != NULL && *without != NULL; without++) {
        size_t len = strlen(*without);
        if (strncmp(variable, *without, len) == 0 && variable[len] == '=')
            return true;
    }
    return false;
}

/* True if a variable of the same name as in "NAME=value" is in the worker's environment. */
static bool is_set(const char *variable)
{
    size_t len = strcspn(variable, "=") + 1;
    for (char **entry = environ; *entry != NULL; entry++)
        if (strncmp(*entry, variable, len) == 0)
            return true;
    return false;
}

/* The mark, then the worker's variables as planned. Only the list itself is new, for free(). */
static char **make_environment(const struct process_plan *plan, char *mark)
{
    size_t count = 0, used = 0;
    while (environ[count] != NULL)
        count++;
    char **list = malloc((count + 5) * sizeof *list);
    if (list == NULL)
        return NULL;
    list[used++] = mark;
    for (size_t i = 0; i < count; i++)
        if (!is_listed_name(environ[i], plan->env_without))
            list[used++] = environ[i];
    for (size_t i = 0; i < sizeof plan->env_extra / sizeof plan->env_extra[0]; i++)
        if (plan->env_extra[i] != NULL)
            memcpy(&list[used++], &plan->env_extra[i], sizeof plan->env_extra[i]);
    if (plan->env_default != NULL && !is_set(plan->env_default))
        memcpy(&list[used++], &plan->env_default, sizeof plan->env_default);
    list[used] = NULL;
    return list;
}

/*
 * ThreadSanitizer cannot follow two processes in one memory. Under it the worker is copied, and a
 * program that cannot be run looks like one that exits with status 127.
 */
#ifdef __SANITIZE_THREAD__
#define LAUNCH_FLAGS (CLONE_VFORK | SIGCHLD)
#endif
#ifndef LAUNCH_FLAGS
#define LAUNCH_FLAGS (CLONE_VM | CLONE_VFORK | SIGCHLD)
#endif

/* Signals are blocked meanwhile: a handler must not run in the new process, on our memory. */
static void clone_child(void *argument)
{
    _Alignas(16) char stack[PROCESS_LAUNCH_STACK_BYTES];
    struct launch *launch = argument;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    launch->pid = clone(child_main, stack + sizeof stack, LAUNCH_FLAGS, launch);
    launch->clone_error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int process_launch(const struct process_plan *plan, char *mark, const int stdio[3], pid_t *pid,
                   struct err *err)
{
    struct launch launch = {
        .plan = plan,
        .environment = make_environment(plan, mark),
        .stdio = { stdio[0], stdio[1], stdio[2] },
        .parent = getpid(),
    };
    if (launch.environment == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a process");
    process_starter_run(STARTER_LAUNCHES, clone_child, &launch);
    *pid = launch.pid;
    free(launch.environment);
    if (*pid < 0)
        return err_system(err, ERR_MEMORY, launch.clone_error, "cannot start a process");
    if (launch.error == 0)
        return 0;
    waitpid(*pid, NULL, 0);
    return err_system(err, ERR_CONFIG, launch.error, "cannot run %s", plan->path);
}
