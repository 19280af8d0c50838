/* The list of the worker's running processes, and the orphans that they leave. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "process/process_private.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct process *list_first;
static bool list_closed;
static char own_mark[PROCESS_MARK_BYTES]; /* "RP_PROCESS=" and what is unique to this worker */
static unsigned mark_count;
static uint64_t reaper_since; /* when orphans began to come here, as boot_ticks tells */

void process_list_lock(void)
{
    pthread_mutex_lock(&list_lock);
}

void process_list_unlock(void)
{
    pthread_mutex_unlock(&list_lock);
}

bool process_list_is_closed(void)
{
    return list_closed;
}

const char *process_list_close(void)
{
    process_list_lock();
    list_closed = true;
    const char *mark = own_mark[0] != '\0' ? own_mark : NULL;
    process_list_unlock();
    return mark;
}

struct process *process_list_first(void)
{
    return list_first;
}

void process_list_add(struct process *process)
{
    process->next = list_first;
    list_first = process;
}

void process_list_remove(struct process *process)
{
    struct process **link = &list_first;
    while (*link != NULL && *link != process)
        link = &(*link)->next;
    if (*link != NULL)
        *link = process->next;
}

/* Now, in the unit of the start times in /proc/PID/stat. */
static uint64_t boot_ticks(void)
{
    struct timespec now = { 0 };
    const uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * ticks + (uint64_t)now.tv_nsec * ticks / 1000000000u;
}

uint64_t process_list_since(void)
{
    return reaper_since;
}

void process_make_mark(char mark[PROCESS_MARK_BYTES])
{
    process_list_lock();
    if (own_mark[0] == '\0') {
        snprintf(own_mark, sizeof own_mark, "RP_PROCESS=%d-%08x%08x-", (int)getpid(), random_u32(),
                 random_u32());
        reaper_since = boot_ticks();
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    /* The dot at the end keeps 1 from being found in 10. */
    snprintf(mark, PROCESS_MARK_BYTES, "%.48s%u.", own_mark, ++mark_count);
    process_list_unlock();
}

/* --- orphans ------------------------------------------------------------------------------ */

static bool is_listed(pid_t pid)
{
    for (const struct process *process = list_first; process != NULL; process = process->next)
        if (process->pid == pid)
            return true;
    return false;
}

void process_list_reap_orphans(void)
{
    for (;;) {
        siginfo_t info = { 0 };
        int rc = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
        /* One that is listed is for its owner, who reaps orphans next. */
        if (rc != 0 || info.si_pid == 0 || is_listed(info.si_pid))
            return;
        waitpid(info.si_pid, NULL, WNOHANG);
    }
}

void process_reap_orphans(void)
{
    process_list_lock();
    process_list_reap_orphans();
    process_list_unlock();
}

bool process_has_no_children(void)
{
    siginfo_t info = { 0 };
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}
