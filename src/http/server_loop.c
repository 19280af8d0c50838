/*
 * Connections that share a thread: each waits in an epoll set for its next request, and a request
 * for whatever its handler waits for. Where there is anything to it but a step that does not block
 * (half a head, a large body, a slow response, the end of the server), the connection gets a thread
 * of its own and keeps it: server_connection.c does the rest, from where it stands.
 *
 * The client's descriptor is watched for edges, so that what it sends ahead does not wake the loop
 * again and again; a request's for its level, from begin to step.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/thread.h"
#include "http/server_private.h"
#include "net/tcp.h"

#define EVENTS_MAX 64
#define LOOK_MS 1000 /* between looks for what has waited too long */

struct server_loop {
    struct server_loop_setting setting;
    int epoll;
    int64_t looked_ms;
    struct epoll_event events[EVENTS_MAX]; /* the thread's: those at hand, */
    int event_count, event_at;             /* and the one at work */

    pthread_mutex_t lock;            /* over all that follows */
    struct server_connection *first; /* all in the loop, newest first */
    bool ended;
};

/* Events carry the connection, and whether they are of its request. */
#define OF_REQUEST 1u

static struct epoll_event event_for(uint32_t events, const struct server_connection *c,
                                    uintptr_t of_request)
{
    return (struct epoll_event){ .events = events, .data.u64 = (uintptr_t)c | of_request };
}

static struct server_connection *connection_of(const struct epoll_event *event)
{
    uintptr_t address = (uintptr_t)event->data.u64 & ~(uintptr_t)OF_REQUEST;
    return (struct server_connection *)address; // NOLINT(performance-no-int-to-ptr)
}

/* --- leaving ---------------------------------------------------------------------------------- */

/* Nothing that has happened to it counts any more. */
static void forget_events(struct server_loop *loop, const struct server_connection *c)
{
    for (int i = loop->event_at; i < loop->event_count; i++)
        if (connection_of(&loop->events[i]) == c)
            loop->events[i].data.u64 = 0;
}

static void take_out(struct server_loop *loop, struct server_connection *c)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    if (c->pending != NULL && c->pending->fd >= 0)
        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, c->pending->fd, NULL);
    forget_events(loop, c);
    pthread_mutex_lock(&loop->lock);
    *c->loop_link = c->loop_next;
    if (c->loop_next != NULL)
        c->loop_next->loop_link = c->loop_link;
    pthread_mutex_unlock(&loop->lock);
}

static void hand_over(struct server_loop *loop, struct server_connection *c)
{
    take_out(loop, c);
    loop->setting.hand_over(c, loop->setting.owner);
}

static void end_connection(struct server_loop *loop, struct server_connection *c)
{
    take_out(loop, c);
    server_connection_close(c);
    loop->setting.closed(c, loop->setting.owner);
}

/* --- requests --------------------------------------------------------------------------------- */

/* Begins the request in c->in. False where the connection has left the loop. */
static bool begin_request(struct server_loop *loop, struct server_connection *c)
{
    struct err err;
    ptrdiff_t size = http1_parse_request(c->in.ptr, c->in.len, &c->request, &err);
    if (size > 0) {
        server_connection_begin(c, (size_t)size);
        if (server_find_route(c) == NULL)
            c->pending = c->setting->begin_relay(&c->exchange, c->setting->owner);
    }
    if (c->pending != NULL && c->pending->fd >= 0) {
        struct epoll_event event = event_for(EPOLLIN | EPOLLRDHUP, c, OF_REQUEST);
        c->pending_ms = clock_now_ms();
        if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, c->pending->fd, &event) == 0)
            return true;
        c->pending->fd = -1;
    }
    hand_over(loop, c);
    return false;
}

/* Reads what the client has sent. False where the connection has left the loop. */
static bool read_client(struct server_loop *loop, struct server_connection *c)
{
    size_t room = SERVER_HEAD_ROOM_BYTES - c->in.len;
    ptrdiff_t count = tcp_receive(c->stream, c->in.ptr + c->in.len, room, 0, NULL);
    c->readable = c->half_closed || count == (ptrdiff_t)room; /* there may be more, or its end */
    if (count == ERR_TIMEOUT)
        return true;
    if (count <= 0) {
        end_connection(loop, c);
        return false;
    }
    c->is_used = true;
    c->in.len += (size_t)count;
    atomic_store(&c->idle_since_ms, 0);
    return begin_request(loop, c);
}

/* The request's descriptor can be read. */
static void step_request(struct server_loop *loop, struct server_connection *c)
{
    struct server_pending *pending = c->pending;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, pending->fd, NULL);
    if (!pending->step(pending)) {
        pending->fd = -1;
        hand_over(loop, c);
        return;
    }
    c->pending = NULL;
    server_connection_end(c);
    if (c->closing) {
        end_connection(loop, c);
        return;
    }
    if (c->in.len > 0) {
        begin_request(loop, c);
        return;
    }
    atomic_store(&c->idle_since_ms, clock_now_ms());
    if (c->readable)
        read_client(loop, c);
}

/* A client that leaves while its request waits is the thread's to deal with. */
static void hear_client(struct server_loop *loop, struct server_connection *c, uint32_t events)
{
    c->half_closed |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (c->pending == NULL)
        read_client(loop, c);
    else if (c->half_closed)
        hand_over(loop, c);
    else
        c->readable = true;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* What has waited too long leaves: an idle connection for good, a request for a thread. */
static void look_at_time(struct server_loop *loop, int64_t now_ms)
{
    struct server_connection *next;
    loop->looked_ms = now_ms;
    pthread_mutex_lock(&loop->lock);
    struct server_connection *c = loop->first;
    pthread_mutex_unlock(&loop->lock);
    for (; c != NULL; c = next) {
        int64_t most_ms = c->is_used ? LIMIT_SERVER_IDLE_MS : LIMIT_SERVER_FIRST_BYTE_MS;
        int64_t idle_ms = atomic_load(&c->idle_since_ms);
        next = c->loop_next; /* only this thread takes any out, and new ones come in front */
        if (c->pending != NULL && now_ms - c->pending_ms > LIMIT_SERVE_LOOP_MS)
            hand_over(loop, c);
        else if (c->pending == NULL && idle_ms > 0 && now_ms - idle_ms > most_ms)
            end_connection(loop, c);
    }
}

/* The server stops: threads do what is left to do. */
static void end_loop(struct server_loop *loop)
{
    struct server_connection *next;
    loop->event_count = 0;
    pthread_mutex_lock(&loop->lock);
    loop->ended = true;
    struct server_connection *c = loop->first;
    pthread_mutex_unlock(&loop->lock);
    for (; c != NULL; c = next) {
        next = c->loop_next;
        hand_over(loop, c);
    }
}

/* False at the end. */
static bool turn(struct server_loop *loop)
{
    int count = epoll_wait(loop->epoll, loop->events, EVENTS_MAX, LOOK_MS);
    loop->event_count = count > 0 ? count : 0;
    for (loop->event_at = 0; loop->event_at < loop->event_count; loop->event_at++) {
        const struct epoll_event *event = &loop->events[loop->event_at];
        struct server_connection *c = connection_of(event);
        if (event->data.u64 == OF_REQUEST)
            return false; /* the server's wake-up */
        if (c != NULL && (event->data.u64 & OF_REQUEST) != 0)
            step_request(loop, c);
        else if (c != NULL)
            hear_client(loop, c, event->events);
    }
    int64_t now_ms = clock_now_ms();
    if (now_ms - loop->looked_ms >= LOOK_MS)
        look_at_time(loop, now_ms);
    return true;
}

static void *loop_main(void *argument)
{
    struct server_loop *loop = argument;
    while (turn(loop))
        continue;
    end_loop(loop);
    loop->setting.ended(loop->setting.owner);
    return NULL;
}

/* --- coming in -------------------------------------------------------------------------------- */

bool server_loop_add(struct server_loop *loop, struct server_connection *c)
{
    struct epoll_event event = event_for(EPOLLIN | EPOLLRDHUP | EPOLLET, c, 0);
    atomic_store(&c->idle_since_ms, clock_now_ms());
    pthread_mutex_lock(&loop->lock);
    bool added = !loop->ended && epoll_ctl(loop->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0;
    if (added) {
        c->loop_next = loop->first;
        c->loop_link = &loop->first;
        if (c->loop_next != NULL)
            c->loop_next->loop_link = &c->loop_next;
        loop->first = c;
    }
    pthread_mutex_unlock(&loop->lock);
    return added;
}

int server_loop_new(struct server_loop **out, const struct server_loop_setting *setting,
                    struct err *err)
{
    struct server_loop *loop = calloc(1, sizeof *loop);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = OF_REQUEST };
    if (loop == NULL)
        return err_set(err, ERR_MEMORY, "no memory for connections");
    loop->setting = *setting;
    loop->looked_ms = clock_now_ms();
    pthread_mutex_init(&loop->lock, NULL);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    int rc = 0;
    if (loop->epoll < 0 ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, setting->stopping->fd, &event) != 0)
        rc = err_set(err, ERR_MEMORY, "the system has no room for an epoll set");
    if (rc == 0)
        rc = thread_start(loop_main, loop, LIMIT_STACK_SERVICE_BYTES, err);
    if (rc == 0) {
        *out = loop;
        return 0;
    }
    server_loop_free(loop);
    return rc;
}

void server_loop_free(struct server_loop *loop)
{
    if (loop->epoll >= 0)
        close(loop->epoll);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}
