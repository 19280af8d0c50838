/* All processes of the worker, and what they leave behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/random.h"
#include "base/slice.h"
#include "job/process_inside.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct process *list_first;
static bool list_closed;
static char own_mark[PROCESS_MARK_BYTES]; /* "RP_PROCESS=" and what only this worker has */
static unsigned mark_count;

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

void process_make_mark(char mark[PROCESS_MARK_BYTES])
{
    process_list_lock();
    if (own_mark[0] == '\0') {
        snprintf(own_mark, sizeof own_mark, "RP_PROCESS=%d-%08x%08x-", (int)getpid(), random_u32(),
                 random_u32());
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
        /* One on the list is its owner's, who comes here next. */
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

bool process_has_no_child(void)
{
    siginfo_t info = { 0 };
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

/* --- descendants that left the group ------------------------------------------------------ */

/* True where the file holds the text; a piece at a time, with an overlap for what lies across. */
static bool file_holds(const char *path, const char *text)
{
    char piece[4096];
    size_t text_len = strlen(text), kept = 0;
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
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
    return found;
}

/* Kills those found in one look at /proc; false where there were none. */
static bool sweep_once(const char *mark)
{
    bool any = false;
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        return false;
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        char path[64];
        int pid = (int)strtol(entry->d_name, NULL, 10);
        snprintf(path, sizeof path, "/proc/%d/environ", pid);
        if (pid > 1 && pid != getpid() && file_holds(path, mark) && kill(pid, SIGKILL) == 0)
            any = true;
    }
    closedir(proc);
    return any;
}

void process_sweep(const char *mark)
{
    /* What forks while it is looked for is found by the next look; one that is killed takes a
     * moment to lose its memory, and with it its environment. */
    for (int look = 0; look < LIMIT_CHILD_LOOKS && sweep_once(mark); look++)
        clock_sleep(clock_deadline(1));
    process_reap_orphans();
}

/* --- the worker's end --------------------------------------------------------------------- */

bool process_all_are_ending(void)
{
    process_list_lock();
    bool closed = list_closed;
    process_list_unlock();
    return closed;
}

static void signal_all(int signal_number)
{
    process_list_lock();
    for (const struct process *process = list_first; process != NULL; process = process->next)
        process_signal(process, signal_number);
    process_list_unlock();
}

static bool all_have_ended(void)
{
    bool all = true;
    process_list_lock();
    for (const struct process *process = list_first; process != NULL; process = process->next)
        all = all && process_has_ended(process);
    process_list_unlock();
    return all;
}

void process_end_all(int64_t grace_ms)
{
    process_list_lock();
    list_closed = true;
    bool any = own_mark[0] != '\0';
    process_list_unlock();
    if (!any)
        return;
    signal_all(SIGTERM);
    deadline_ms deadline = clock_deadline(grace_ms);
    while (!all_have_ended() && clock_left_ms(deadline) > 0)
        clock_sleep(clock_earlier(deadline, clock_deadline(LIMIT_CHILD_LOOK_MS / 10)));
    signal_all(SIGKILL);
    process_sweep(own_mark);
}

void process_reap_all(void)
{
    deadline_ms deadline = clock_deadline(LIMIT_CHILD_KILL_MS);
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0 || (ended == 0 && clock_left_ms(deadline) > 0))
        if (ended == 0)
            clock_sleep(clock_deadline(1));
}
