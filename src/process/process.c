#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "process/process_private.h"

/* --- starting ----------------------------------------------------------------------------- */

void process_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Three pipes, our ends at [i][0]. None is a standard descriptor: dup2 will replace those. */
static int make_pipes(int ends[3][2], struct err *err)
{
    for (int i = 0; i < 3; i++)
        ends[i][0] = ends[i][1] = -1;
    for (int i = 0; i < 3; i++) {
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) != 0)
            return err_system(err, ERR_MEMORY, errno, "cannot create a pipe");
        int ours = i == 0 ? 1 : 0;
        for (int k = 0; k < 2; k++) {
            int *end = &ends[i][k == ours ? 0 : 1];
            *end = pair[k] > 2 ? pair[k] : fcntl(pair[k], F_DUPFD_CLOEXEC, 3);
            if (*end != pair[k])
                close(pair[k]);
        }
        if (ends[i][0] < 0 || ends[i][1] < 0)
            return err_set(err, ERR_MEMORY, "cannot create a pipe");
        fcntl(ends[i][0], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static void close_pipes(int ends[3][2], int which)
{
    for (int i = 0; i < 3; i++)
        process_close(&ends[i][which]);
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
static int start_listed(struct process *process, const struct process_plan *plan,
                        const int stdio[3], struct err *err)
{
    pid_t pid;
    if (process_list_is_closed())
        return err_set(err, ERR_CANCELLED, "the worker is shutting down");
    int rc = process_launch(plan, process->mark, stdio, &pid, err);
    if (rc != 0)
        return rc;
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
    int rc = make_pipes(ends, err);
    if (rc == 0) {
        const int stdio[3] = { ends[0][1], ends[1][1], ends[plan->one_output ? 1 : 2][1] };
        process_list_lock();
        rc = start_listed(process, plan, stdio, err);
        process_list_unlock();
    }
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
    /* Before it is reaped: until then no other group can get its number. */
    process_signal(process, SIGKILL);
    process_wait(process, clock_deadline(LIMIT_CHILD_KILL_MS));
    process_list_lock();
    if (waitpid(process->pid, &status, WNOHANG) != process->pid)
        status = -1;
    process_list_remove(process);
    process_list_reap_orphans();
    process_list_unlock();
    if (!process_has_no_children())
        process_sweep(process->mark, SWEEP_LEFT);
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
        { SIGILL, "SIGILL" },   { SIGKILL, "SIGKILL, possibly out of memory" },
        { SIGTERM, "SIGTERM" }, { SIGINT, "SIGINT" },
        { SIGHUP, "SIGHUP" },   { SIGPIPE, "SIGPIPE" },
        { SIGSYS, "SIGSYS" },   { SIGTRAP, "SIGTRAP" },
        { SIGXCPU, "SIGXCPU" }, { SIGXFSZ, "SIGXFSZ" },
        { SIGQUIT, "SIGQUIT" }, { SIGALRM, "SIGALRM" },
        { SIGUSR1, "SIGUSR1" }, { SIGUSR2, "SIGUSR2" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == number)
            return names[i].name;
    return NULL;
}

void process_describe(int status, char *text, size_t size)
{
    if (status == -1)
        snprintf(text, size, "could not be killed");
    else if (!WIFSIGNALED(status))
        snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
    else if (signal_name(WTERMSIG(status)) == NULL)
        snprintf(text, size, "was killed by signal %d", WTERMSIG(status));
    else
        snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
                 signal_name(WTERMSIG(status)));
}

/* --- the worker's end --------------------------------------------------------------------- */

bool process_all_are_ending(void)
{
    process_list_lock();
    bool closed = process_list_is_closed();
    process_list_unlock();
    return closed;
}

static void signal_all(int signal_number)
{
    process_list_lock();
    for (const struct process *process = process_list_first(); process != NULL;
         process = process->next)
        process_signal(process, signal_number);
    process_list_unlock();
}

static bool all_have_ended(void)
{
    bool all = true;
    process_list_lock();
    for (const struct process *process = process_list_first(); process != NULL;
         process = process->next)
        all = all && process_has_ended(process);
    process_list_unlock();
    return all;
}

void process_end_all(int64_t grace_ms)
{
    const char *mark = process_list_close();
    if (mark == NULL)
        return;
    signal_all(SIGTERM);
    deadline_ms deadline = clock_deadline(grace_ms);
    while (!all_have_ended() && clock_left_ms(deadline) > 0)
        clock_sleep(clock_earlier(deadline, clock_deadline(LIMIT_CHILD_LOOK_MS / 10)));
    signal_all(SIGKILL);
    process_sweep(mark, SWEEP_ALL);
}

void process_reap_all(void)
{
    deadline_ms deadline = clock_deadline(LIMIT_CHILD_KILL_MS);
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0 || (ended == 0 && clock_left_ms(deadline) > 0))
        if (ended == 0)
            clock_sleep(clock_deadline(1));
}

void process_finish(int64_t grace_ms)
{
    process_end_all(grace_ms);
    process_reap_all();
}
