#include "child/watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/thread.h"
#include "child/edition.h"
#include "child/idle.h"
#include "child/io.h"

static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER;
static struct child *idle_first;
static int epoll_fd = -1;

/* --- the pipes in the epoll, while the child is under watch ------------------------------- */

/* Armed for one report at a time, so that a child that is taken meanwhile reports no more. */
static void set_epoll(int operation, int fd, uint32_t events, struct child *child)
{
    struct epoll_event event = { .events = events | EPOLLONESHOT, .data.ptr = child };
    if (fd >= 0)
        epoll_ctl(epoll_fd, operation, fd, &event);
}

/* Of standard input only its end is reported (EPOLLERR): a write end whose reader is gone. */
static void set_epoll_all(int operation, struct child *child)
{
    set_epoll(operation, child->process.out, EPOLLIN, child);
    set_epoll(operation, child->process.err, EPOLLIN, child);
    if (child->setting->mode == CHILD_LINES)
        set_epoll(operation, child->process.in, 0, child);
}

void child_watch_give(struct child *child)
{
    pthread_mutex_lock(&watch_lock);
    child->idle_next = idle_first;
    idle_first = child;
    set_epoll_all(EPOLL_CTL_ADD, child);
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
    set_epoll_all(EPOLL_CTL_DEL, child);
    pthread_mutex_unlock(&watch_lock);
}

/* --- the thread --------------------------------------------------------------------------- */

static void tell_slot(const struct child *child)
{
    if (child->unready != NULL)
        child->unready(child->unready_owner);
}

static void serve_idle(struct child *child)
{
    struct err err = { 0 };
    if (child->process.pid == 0)
        return;
    child_read_unsolicited(child);
    if (!process_has_ended(&child->process)) {
        if (child_is_unusable(child)) /* its slot ends it: that may take a while */
            tell_slot(child);
        else
            set_epoll_all(EPOLL_CTL_MOD, child);
        return;
    }
    if (process_all_are_ending())
        return;
    set_epoll_all(EPOLL_CTL_DEL, child);
    child_reap_idle(child);
    if (child->deaths == 1 && child->setting->mode == CHILD_LINES && child_start(child, &err) != 0)
        log_write(LOG_ERROR, NULL, "%s", err.text);
    set_epoll_all(EPOLL_CTL_ADD, child);
    tell_slot(child);
}

/* An event may be older than its child's being taken, or freed: only the list tells. */
static void serve_if_idle(const struct child *wanted)
{
    for (struct child *child = idle_first; child != NULL; child = child->idle_next)
        if (child == wanted) {
            serve_idle(child);
            return;
        }
}

static void serve_dead(int signals_fd)
{
    struct signalfd_siginfo info;
    while (read(signals_fd, &info, sizeof info) > 0) {}
    process_reap_orphans();
    for (struct child *child = idle_first; child != NULL; child = child->idle_next)
        if (child->process.pid != 0 && process_has_ended(&child->process))
            serve_idle(child);
}

static int watch_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    signals_wait_here(&signals); /* a signalfd has its reader's signals, and the process's */
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
                serve_dead(signals_fd);
            else
                serve_if_idle(events[i].data.ptr);
        }
        pthread_mutex_unlock(&watch_lock);
    }
    return NULL;
}

/* The slots whose children are idle; the others look when their job has ended. */
static void tell_slots(void *owner)
{
    (void)owner;
    pthread_mutex_lock(&watch_lock);
    for (const struct child *child = idle_first; child != NULL; child = child->idle_next)
        tell_slot(child);
    pthread_mutex_unlock(&watch_lock);
}

static int start_watching(struct err *err)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return err_system(err, ERR_MEMORY, errno, "cannot create an epoll instance");
    int rc = thread_start(watch_main, NULL, LIMIT_STACK_WATCH_BYTES, err);
    if (rc != 0) {
        close(epoll_fd);
        epoll_fd = -1;
    }
    return rc;
}

int child_watch_init(struct err *err)
{
    static struct child_edition_listener listener = { .changed = tell_slots };
    pthread_mutex_lock(&watch_lock);
    bool is_first = epoll_fd < 0;
    int rc = is_first ? start_watching(err) : 0;
    pthread_mutex_unlock(&watch_lock);
    if (is_first && rc == 0) /* without the lock, which listeners take */
        child_edition_listen(&listener);
    return rc;
}
