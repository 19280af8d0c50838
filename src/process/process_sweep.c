/*
 * What processes leave behind: descendants that have left the group. They carry a mark in their
 * environment; those that have cleared it are found by their descent, since orphans of a subreaper
 * become its children.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/slice.h"
#include "process/process_private.h"

#define DESCENT_MAX 64 /* generations */
#define FLAG_EXITING 4 /* PF_EXITING of the kernel's include/linux/sched.h */

enum mark_found { NO, YES, UNKNOWN };

/* Reads a piece at a time, with an overlap for a text that lies across two. */
static enum mark_found file_contains(const char *path, const char *text)
{
    char piece[4096];
    size_t text_len = strlen(text), kept = 0;
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? UNKNOWN : NO;
    for (;;) {
        ssize_t count = read(fd, piece + kept, sizeof piece - kept);
        if (count <= 0)
            break;
        size_t len = kept + (size_t)count;
        found = memmem(piece, len, text, text_len) != NULL;
        if (found)
            break;
        kept = len < text_len ? len : text_len;
        memmove(piece, piece + len - kept, kept);
    }
    close(fd);
    return found ? YES : NO;
}

static enum mark_found has_mark(pid_t pid, const char *mark)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    return file_contains(path, mark);
}

/* --- who is whose child --------------------------------------------------------------------- */

struct relative {
    pid_t pid, parent, group, session;
    uint64_t started; /* in clock ticks since the system's boot */
    unsigned flags;   /* PF_EXITING and others of the kernel's */
    char state;
};

/* The fields after the name, which is in parentheses and may hold anything: proc(5). */
static bool read_relative(pid_t pid, struct relative *relative)
{
    char path[64], text[1024];
    unsigned long long started;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    const char *after = strrchr(text, ')');
    *relative = (struct relative){ .pid = pid };
    // NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers
    if (after == NULL ||
        sscanf(after + 1, // NOLINT(cert-err34-c)
               " %c %d %d %d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &relative->state, &relative->parent, &relative->group, &relative->session,
               &relative->flags, &started) != 6)
        return false;
    relative->started = started;
    return true;
}

bool process_is_ending(pid_t pid)
{
    struct relative relative;
    return read_relative(pid, &relative) &&
           (relative.state == 'Z' || (relative.flags & FLAG_EXITING) != 0);
}

/*
 * The chain from a process to the child of this one that it descends from; its length, 0 if it is
 * no descendant, a dead one, or further away than can be seen.
 */
static size_t read_descent(pid_t pid, struct relative *chain)
{
    const pid_t self = getpid();
    for (size_t count = 0; count < DESCENT_MAX && pid > 1; count++) {
        if (!read_relative(pid, &chain[count]) || chain[0].state == 'Z')
            return 0;
        pid = chain[count].parent;
        if (pid == self)
            return count + 1;
    }
    return 0;
}

/* True for a running program, and what belongs to it by its group, its session or its mark. */
static bool is_of_running(const struct relative *relative)
{
    for (const struct process *process = process_list_first(); process != NULL;
         process = process->next)
        if (process->pid == relative->pid || process->pid == relative->group ||
            process->pid == relative->session || has_mark(relative->pid, process->mark) != NO)
            return true;
    return false;
}

/* What was a child of this process before it became the reaper was started by the handler. */
static bool is_left_behind(pid_t pid)
{
    struct relative chain[DESCENT_MAX];
    process_list_lock();
    size_t count = read_descent(pid, chain);
    bool left = count > 0 && chain[count - 1].started >= process_list_since();
    for (size_t i = 0; left && i < count; i++)
        left = !is_of_running(&chain[i]);
    process_list_unlock();
    return left;
}

/* --- ending them ------------------------------------------------------------------------------ */

struct sweep {
    const char *mark;
    enum process_sweep_kind kind;
    bool found; /* any, in the last pass */
};

static bool is_wanted(const struct sweep *sweep, pid_t pid)
{
    struct relative chain[DESCENT_MAX];
    if (has_mark(pid, sweep->mark) == YES)
        return true;
    return sweep->kind == SWEEP_ALL ? read_descent(pid, chain) > 0 : is_left_behind(pid);
}

/*
 * By a descriptor, opened before the process is looked at: its number may be another's by the time
 * of the kill. Before Linux 5.3 there are only numbers.
 */
static bool end_if_wanted(const struct sweep *sweep, pid_t pid)
{
    bool killed;
#if defined SYS_pidfd_open && defined SYS_pidfd_send_signal
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0) {
        killed = is_wanted(sweep, pid) && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
        close(fd);
        return killed;
    }
    if (errno == ESRCH)
        return false;
#endif
    killed = is_wanted(sweep, pid) && kill(pid, SIGKILL) == 0;
    return killed;
}

/* One pass over /proc. */
static void sweep_once(void *argument)
{
    struct sweep *sweep = argument;
    DIR *proc = opendir("/proc");
    sweep->found = false;
    if (proc == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 1 && pid != getpid())
            sweep->found |= end_if_wanted(sweep, pid);
    }
    closedir(proc);
}

void process_sweep(const char *mark, enum process_sweep_kind kind)
{
    struct sweep sweep = { mark, kind, true };
    /* A fork during one pass is found by the next. A killed process keeps its environment for a
     * moment, so it may be found again. */
    for (int pass = 0; pass < LIMIT_CHILD_LOOKS; pass++) {
        process_starter_run(STARTER_SWEEPS, sweep_once, &sweep);
        if (!sweep.found)
            break;
        clock_sleep(clock_deadline(1));
        process_reap_orphans();
    }
    process_reap_orphans();
}
