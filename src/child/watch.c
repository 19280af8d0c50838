/*
 * One thread for all children between jobs: reads what they say, so that it reaches the log and no
 * pipe fills up, and notices those that die. Also reaps orphans.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/limits.h"
#include "job/child_inside.h"

static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static struct child *idle_first;
static int epoll_fd = -1;

/* --- the pipes in the epoll: each reports once when armed, so that a busy child's stay quiet --- */

static void change(int operation, int fd, uint32_t events, struct child *child)
{
    struct epoll_event event = { .events = events | EPOLLONESHOT, .data.ptr = child };
    if (fd >= 0)
        epoll_ctl(epoll_fd, operation, fd, &event);
}

static void change_both(int operation, uint32_t events, struct child *child)
{
    change(operation, child->process.out, events, child);
    change(operation, child->process.err, events, child);
}

void child_watch_add(struct child *child)
{
    change_both(EPOLL_CTL_ADD, 0, child);
}

void child_watch_remove(struct child *child)
{
    change_both(EPOLL_CTL_DEL, 0, child);
}

void child_watch_give(struct child *child)
{
    pthread_mutex_lock(&watch_lock);
    child->idle = true;
    child->idle_next = idle_first;
    idle_first = child;
    change_both(EPOLL_CTL_MOD, EPOLLIN, child);
    pthread_mutex_unlock(&watch_lock);
}

void child_watch_take(struct child *child)
{
    struct child **link = &idle_first;
    pthread_mutex_lock(&watch_lock);
    while (*link != NULL && *link != child)
        link = &(*link)->idle_next;
    if (*link != NULL)
        *link = child->idle_next;
    child->idle = false;
    change_both(EPOLL_CTL_MOD, 0, child);
    pthread_mutex_unlock(&watch_lock);
}

/* --- the thread --------------------------------------------------------------------------- */

static void look_at(struct child *child)
{
    struct err err = { 0 };
    if (child->process.pid == 0)
        return;
    child_hear_strays(child);
    if (process_has_ended(&child->process)) {
        if (process_all_are_ending())
            return;
        child_bury(child);
        if (child->deaths == 1 && child->setting->mode == CHILD_LINES &&
            child_start(child, &err) != 0)
            log_write(LOG_ERROR, NULL, "%s", err.text);
    }
    change_both(EPOLL_CTL_MOD, EPOLLIN, child);
}

/* The pointer may be of a child that is busy or gone: only the list knows. */
static void look_if_idle(const struct child *wanted)
{
    for (struct child *child = idle_first; child != NULL; child = child->idle_next)
        if (child == wanted) {
            look_at(child);
            return;
        }
}

static void look_for_dead(int signals_fd)
{
    struct signalfd_siginfo info;
    while (read(signals_fd, &info, sizeof info) > 0) {}
    process_reap_orphans();
    for (struct child *child = idle_first; child != NULL; child = child->idle_next)
        if (child->process.pid != 0 && process_has_ended(&child->process))
            look_at(child);
}

static int watch_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd >= 0)
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN });
    return fd;
}

static void *watch_main(void *argument)
{
    int signals_fd = watch_signals();
    (void)argument;
    for (;;) {
        struct epoll_event events[16];
        int count = epoll_wait(epoll_fd, events, 16, -1);
        pthread_mutex_lock(&watch_lock);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                look_for_dead(signals_fd);
            else
                look_if_idle(events[i].data.ptr);
        }
        pthread_mutex_unlock(&watch_lock);
    }
    return NULL;
}

static int start_watching(struct err *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return err_system(err, ERR_MEMORY, errno, "cannot make an epoll");
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int errnum = pthread_attr_setstacksize(&attr, LIMIT_STACK_WATCH_BYTES);
    if (errnum == 0)
        errnum = pthread_create(&thread, &attr, watch_main, NULL);
    pthread_attr_destroy(&attr);
    if (errnum == 0)
        return 0;
    close(epoll_fd);
    epoll_fd = -1;
    return err_system(err, ERR_MEMORY, errnum, "cannot start a thread");
}

int child_watch_init(struct err *err)
{
    pthread_mutex_lock(&watch_lock);
    int rc = epoll_fd < 0 ? start_watching(err) : 0;
    pthread_mutex_unlock(&watch_lock);
    return rc;
}
