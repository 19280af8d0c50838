#include "job/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "job/process_inside.h"

/* --- the new process, before it is another program ---------------------------------------- */

struct launch {
    const struct process_plan *plan;
    char **environment;
    int stdio[3];
    pid_t parent;
    volatile int error; /* memory is shared until exec: what kept the program from being loaded */
};

/* Ignored signals stay ignored over an exec, and the worker ignores SIGPIPE. */
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

/* Runs beside suspended code of the same memory: system calls and its own stack, nothing else. */
static int child_main(void *argument)
{
    struct launch *launch = argument;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launch->parent)
        _exit(127); /* the worker died before the request was made */
    setpgid(0, 0);
    bool good = true;
    for (int i = 0; i < 3; i++)
        good = good && dup2(launch->stdio[i], i) == i;
#ifdef SYS_close_range
    syscall(SYS_close_range, 3u, ~0u,
            0u); /* ours are close-on-exec; those we inherited may not be */
#endif
    reset_signals();
    if (good)
        execve(launch->plan->path, launch->plan->argv, launch->environment);
    launch->error = errno;
    _exit(127);
}

/* --- preparing one ------------------------------------------------------------------------ */

void process_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Three pipes, ours at [i][0]; all of them above the standard descriptors, which dup2 replaces. */
static int make_pipes(int ends[3][2], struct err *err)
{
    for (int i = 0; i < 3; i++)
        ends[i][0] = ends[i][1] = -1;
    for (int i = 0; i < 3; i++) {
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) != 0)
            return err_system(err, ERR_MEMORY, errno, "cannot make a pipe");
        int ours = i == 0 ? 1 : 0;
        for (int k = 0; k < 2; k++) {
            int *end = &ends[i][k == ours ? 0 : 1];
            *end = pair[k] > 2 ? pair[k] : fcntl(pair[k], F_DUPFD_CLOEXEC, 3);
            if (*end != pair[k])
                close(pair[k]);
        }
        if (ends[i][0] < 0 || ends[i][1] < 0)
            return err_set(err, ERR_MEMORY, "cannot make a pipe");
        fcntl(ends[i][0], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static void close_pipes(int ends[3][2], int which)
{
    for (int i = 0; i < 3; i++)
        process_close(&ends[i][which]);
}

static bool is_left_out(const char *variable, const char *const *without)
{
    for (; without != NULL && *without != NULL; without++) {
        size_t len = strlen(*without);
        if (strncmp(variable, *without, len) == 0 && variable[len] == '=')
            return true;
    }
    return false;
}

/* The worker's variables, without some, the mark first. Only the list is new; free() ends it. */
static char **make_environment(const struct process_plan *plan, char *mark)
{
    size_t count = 0, used = 0;
    while (environ[count] != NULL)
        count++;
    char **list = malloc((count + 3) * sizeof *list);
    if (list == NULL)
        return NULL;
    list[used++] = mark;
    for (size_t i = 0; i < count; i++)
        if (!is_left_out(environ[i], plan->without))
            list[used++] = environ[i];
    if (plan->extra != NULL)
        memcpy(&list[used++], &plan->extra, sizeof plan->extra);
    list[used] = NULL;
    return list;
}

/*
 * ThreadSanitizer cannot follow two processes in one memory: for it the worker is copied, and a
 * program that cannot be run is one that exits with status 127.
 */
#ifdef __SANITIZE_THREAD__
#define LAUNCH_FLAGS (CLONE_VFORK | SIGCHLD)
#endif
#ifndef LAUNCH_FLAGS
#define LAUNCH_FLAGS (CLONE_VM | CLONE_VFORK | SIGCHLD)
#endif

/* --- starting ----------------------------------------------------------------------------- */

/* No handler of ours may run in the new process, which has our memory. */
static pid_t launch_child(struct launch *launch)
{
    _Alignas(16) char stack[32 * 1024];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(child_main, stack + sizeof stack, LAUNCH_FLAGS, launch);
    int errnum = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = errnum;
    return pid;
}

static int open_pidfd(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    return -1;
#endif
}

/* Under the list's lock. */
static int launch_listed(struct process *process, struct launch *launch, struct err *err)
{
    if (process_list_is_closed())
        return err_set(err, ERR_CANCELLED, "the worker is ending");
    pid_t pid = launch_child(launch);
    if (pid < 0)
        return err_system(err, ERR_MEMORY, errno, "cannot start a process");
    if (launch->error != 0) {
        waitpid(pid, NULL, 0);
        return err_system(err, ERR_CONFIG, launch->error, "cannot run %s", launch->plan->path);
    }
    process->pid = pid;
    process->pidfd = open_pidfd(pid);
    process_list_add(process);
    return 0;
}

int process_start(struct process *process, const struct process_plan *plan, struct err *err)
{
    int ends[3][2];
    *process = (struct process){ .pidfd = -1, .in = -1, .out = -1, .err = -1 };
    process_make_mark(process->mark);
    struct launch launch = { .plan = plan, .parent = getpid() };
    int rc = make_pipes(ends, err);
    if (rc == 0) {
        launch.environment = make_environment(plan, process->mark);
        for (int i = 0; i < 3; i++)
            launch.stdio[i] = ends[i == 2 && plan->one_output ? 1 : i][1];
        if (launch.environment == NULL)
            rc = err_set(err, ERR_MEMORY, "no memory for a process");
    }
    if (rc == 0) {
        process_list_lock();
        rc = launch_listed(process, &launch, err);
        process_list_unlock();
    }
    free(launch.environment);
    close_pipes(ends, 1);
    if (rc != 0) {
        close_pipes(ends, 0);
        return rc;
    }
    process->in = ends[0][0];
    process->out = ends[1][0];
    process->err = ends[2][0];
    return 0;
}

/* --- watching and ending ------------------------------------------------------------------ */

void process_signal(const struct process *process, int signal_number)
{
    if (process->pid > 0)
        kill(-process->pid, signal_number);
}

bool process_has_ended(const struct process *process)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
}

bool process_wait(const struct process *process, deadline_ms deadline)
{
    struct pollfd entry = { .fd = process->pidfd, .events = POLLIN };
    while (!process_has_ended(process)) {
        int left_ms = clock_left_ms(deadline);
        if (left_ms == 0)
            return false;
        if (process->pidfd < 0 && left_ms > LIMIT_CHILD_LOOK_MS)
            left_ms = LIMIT_CHILD_LOOK_MS;
        poll(&entry, 1, left_ms);
    }
    return true;
}

int process_end(struct process *process)
{
    int status = -1;
    if (process->pid == 0)
        return status;
    process_close(&process->in);
    /* Before it is reaped: until then nobody else's group can have its number. */
    process_signal(process, SIGKILL);
    process_wait(process, clock_deadline(LIMIT_CHILD_KILL_MS));
    process_list_lock();
    if (waitpid(process->pid, &status, WNOHANG) != process->pid)
        status = -1;
    process_list_remove(process);
    process_list_reap_orphans();
    process_list_unlock();
    if (!process_has_no_child())
        process_sweep(process->mark);
    process_close(&process->out);
    process_close(&process->err);
    process_close(&process->pidfd);
    process->pid = 0;
    return status;
}

static const char *signal_name(int number)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        { SIGSEGV, "SIGSEGV" }, { SIGABRT, "SIGABRT" },
        { SIGBUS, "SIGBUS" },   { SIGFPE, "SIGFPE" },
        { SIGILL, "SIGILL" },   { SIGKILL, "SIGKILL, maybe for want of memory" },
        { SIGTERM, "SIGTERM" }, { SIGINT, "SIGINT" },
        { SIGHUP, "SIGHUP" },   { SIGPIPE, "SIGPIPE" },
        { SIGSYS, "SIGSYS" },   { SIGTRAP, "SIGTRAP" },
        { SIGXCPU, "SIGXCPU" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == number)
            return names[i].name;
    return "another one";
}

void process_describe(int status, char *text, size_t size)
{
    if (status == -1)
        snprintf(text, size, "cannot be ended");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
                 signal_name(WTERMSIG(status)));
    else
        snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
}
