#include "http/server.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/own_call.h"
#include "base/thread.h"
#include "http/server_private.h"
#include "net/resolve.h"

struct server {
    const struct server_setting *setting;
    int listeners[ADDRESS_LIST_MAX];
    size_t listener_count;
    uint16_t port;
    struct wake stopping;
    atomic_bool stopped; /* the same */
    pthread_mutex_t lock;
    pthread_cond_t ended;            /* signalled when a thread has ended */
    size_t connections;              /* those with a thread */
    size_t yielding;                 /* of these, those that were told to give way */
    struct connection_thread *first; /* all of them, newest first; until their fd is closed */
    struct server_memory memory;
    bool is_local;
    bool accepting;                               /* the accepting thread runs */
    struct server_loop *loops[LIMIT_SERVE_LOOPS]; /* with begin_relay: where connections begin */
    size_t loop_count, loops_running;
    size_t next_loop; /* the accepting thread's */
};

/* --- listening ----------------------------------------------------------------------------- */

static int try_bind(struct server *server, const struct address *address)
{
    const int on = 1, off = 0;
    int family = address->any.sa_family;
    int fd = own_socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool any = family == AF_INET6 && server->setting->host.len == 0;
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof on);
    if (bind(fd, &address->any, address->size) != 0) {
        int errnum = errno;
        close(fd);
        errno = errnum;
        return -1;
    }
    server->listeners[server->listener_count++] = fd;
    return 0;
}

static int bind_address(struct server *server, const struct address *address, struct err *err)
{
    char text[ADDRESS_TEXT_BYTES];
    if (try_bind(server, address) == 0)
        return 0;
    int errnum = errno;
    address_text(address, text);
    return err_system(err, ERR_CONFIG, errnum, "cannot listen on %s", text);
}

/* One socket for both protocols, or for IPv4 alone on a system without IPv6. */
static int bind_everywhere(struct server *server, struct err *err)
{
    uint16_t port = htons(server->setting->port);
    const struct address v6 = { .v6 = { .sin6_family = AF_INET6, .sin6_port = port },
                                .size = sizeof(struct sockaddr_in6) };
    const struct address v4 = { .v4 = { .sin_family = AF_INET, .sin_port = port },
                                .size = sizeof(struct sockaddr_in) };
    if (try_bind(server, &v6) == 0)
        return 0;
    return bind_address(server, &v4, err);
}

/* All addresses of a name. One that works is enough: a name may list others' addresses, too. */
static int bind_host(struct server *server, struct err *err)
{
    struct address_list list;
    int rc = address_resolve(&list, server->setting->host, server->setting->port, NULL,
                             clock_deadline(LIMIT_CONNECT_MS), err);
    for (size_t i = 0; rc == 0 && i < list.count; i++)
        bind_address(server, &list.items[i], err);
    if (server->listener_count > 0)
        return 0;
    return err->code = ERR_CONFIG;
}

static uint16_t find_port(const struct server *server)
{
    struct address address = { .size = sizeof address.v6 };
    if (server->listener_count == 0 ||
        getsockname(server->listeners[0], &address.any, &address.size) != 0)
        return server->setting->port;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static bool is_loopback(const struct address *address)
{
    const struct in6_addr *v6 = &address->v6.sin6_addr;
    if (address->any.sa_family != AF_INET6)
        return (ntohl(address->v4.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
    return IN6_IS_ADDR_V4MAPPED(v6) ? v6->s6_addr[12] == IN_LOOPBACKNET : IN6_IS_ADDR_LOOPBACK(v6);
}

static bool is_bound_to_loopback(int fd)
{
    struct address address = { .size = sizeof address.v6 };
    return getsockname(fd, &address.any, &address.size) == 0 && is_loopback(&address);
}

static bool all_loopback(const struct server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        if (!is_bound_to_loopback(server->listeners[i]))
            return false;
    return true;
}

int server_new(struct server **out, const struct server_setting *setting, struct err *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a server");
    server->setting = setting;
    server->memory.max_bytes = setting->memory_max_bytes;
    server->stopping.fd = -1;
    pthread_mutex_init(&server->lock, NULL);
    flag_cond_init(&server->ended);
    int rc = wake_init(&server->stopping, err);
    if (rc == 0)
        rc = setting->host.len > 0 ? bind_host(server, err) : bind_everywhere(server, err);
    if (rc != 0) {
        server_free(server);
        return rc;
    }
    *err = (struct err){ 0 };
    server->port = find_port(server);
    server->is_local = all_loopback(server);
    *out = server;
    return 0;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

bool server_is_local(const struct server *server)
{
    return server->is_local;
}

/* By its address: a loopback one, or the one that it has connected to. */
bool server_client_is_here(const struct server_exchange *exchange)
{
    int fd = ((const struct server_connection *)(const void *)exchange)->fd;
    struct address own = { .size = sizeof own.v6 }, peer = { .size = sizeof peer.v6 };
    if (getsockname(fd, &own.any, &own.size) != 0 || getpeername(fd, &peer.any, &peer.size) != 0)
        return true;
    const struct ip own_ip = address_ip(&own), peer_ip = address_ip(&peer);
    return is_loopback(&peer) ||
           (own_ip.size == peer_ip.size && memcmp(own_ip.bytes, peer_ip.bytes, own_ip.size) == 0);
}

static void close_listeners(struct server *server)
{
    while (server->listener_count > 0)
        close(server->listeners[--server->listener_count]);
}

void server_free(struct server *server)
{
    close_listeners(server);
    while (server->loop_count > 0)
        server_loop_free(server->loops[--server->loop_count]);
    if (server->stopping.fd >= 0)
        wake_free(&server->stopping);
    pthread_cond_destroy(&server->ended);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

/* --- accepting ----------------------------------------------------------------------------- */

/* What a connection's thread works on; its own to free. */
struct connection_thread {
    struct server_connection connection; /* first, so that a connection pointer is a thread's */
    struct server *server;
    struct connection_thread *next;
    bool yields; /* it was told to give way; under the server's lock */
};

static void connection_ended(struct server *server, bool yielded)
{
    pthread_mutex_lock(&server->lock);
    server->connections--;
    server->yielding -= yielded ? 1 : 0;
    pthread_cond_broadcast(&server->ended);
    pthread_mutex_unlock(&server->lock);
}

static void enter(struct connection_thread *thread)
{
    struct server *server = thread->server;
    pthread_mutex_lock(&server->lock);
    thread->next = server->first;
    server->first = thread;
    pthread_mutex_unlock(&server->lock);
}

/* The server_connection's leave: after it, make_room can no longer shut its descriptor down. */
static void leave(struct server_connection *connection)
{
    struct connection_thread *thread = (struct connection_thread *)(void *)connection;
    struct server *server = thread->server;
    pthread_mutex_lock(&server->lock);
    struct connection_thread **link = &server->first;
    while (*link != thread)
        link = &(*link)->next;
    *link = thread->next;
    pthread_mutex_unlock(&server->lock);
}

/*
 * Ends the connection that has been waiting for a request the longest, as its client has to expect
 * of a kept-alive one at any time (RFC 9112, section 9.5). False where all are at work. Under the
 * lock.
 */
static bool make_room(struct server *server)
{
    struct connection_thread *oldest = NULL;
    long long since = 0;
    for (struct connection_thread *at = server->first; at != NULL; at = at->next) {
        long long idle_since = atomic_load(&at->connection.idle_since_ms);
        if (idle_since == 0 || at->yields || (oldest != NULL && idle_since > since))
            continue;
        oldest = at; /* of those of one millisecond, the last in the list came first */
        since = idle_since;
    }
    if (oldest == NULL)
        return false;
    oldest->yields = true;
    server->yielding++;
    shutdown(oldest->connection.fd, SHUT_RDWR);
    return true;
}

/* The connection has been closed. */
static void end_connection(struct connection_thread *thread)
{
    struct server *server = thread->server;
    bool yielded = thread->yields; /* nobody else changes it once it has left the list */
    free(thread);
    connection_ended(server, yielded);
}

static void *connection_main(void *argument)
{
    struct connection_thread *thread = argument;
    server_connection_run(&thread->connection);
    end_connection(thread);
    return NULL;
}

/* The connection shares a loop's thread. False where it cannot. */
static bool join_loop(struct server *server, struct server_connection *connection)
{
    if (server->loop_count == 0 || connection->refused || !server_connection_open(connection))
        return false;
    return server_loop_add(server->loops[server->next_loop++ % server->loop_count], connection);
}

/* Gives the connection a thread, which takes over fd. False where the system has none left. */
static bool start_connection(struct server *server, int fd, bool refused)
{
    struct err err;
    struct connection_thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        return false;
    thread->server = server;
    thread->connection.setting = server->setting;
    thread->connection.stopping = &server->stopping;
    thread->connection.stopped = &server->stopped;
    thread->connection.fd = fd;
    thread->connection.refused = refused;
    thread->connection.memory = &server->memory;
    thread->connection.leave = leave;
    enter(thread);
    if (join_loop(server, &thread->connection) ||
        thread_start(connection_main, thread, LIMIT_STACK_SERVICE_BYTES, &err) == 0)
        return true;
    log_write(LOG_ERROR, NULL, "A connection was closed: %s", err.text);
    if (thread->connection.is_open || thread->connection.fd < 0) { /* fd is closed, or will be */
        server_connection_close(&thread->connection);
        end_connection(thread);
        return true;
    }
    leave(&thread->connection);
    free(thread);
    return false;
}

/* Over the maximum an idle one gives way; where none is idle, a few are told so, others closed. */
static void accept_connection(struct server *server, int fd)
{
    const int on = 1;
    size_t most = server->setting->connections_max;
    pthread_mutex_lock(&server->lock);
    size_t count = server->connections - server->yielding;
    bool room = server->connections < most + LIMIT_SERVER_REFUSALS;
    bool refused = count >= most && (!room || !make_room(server));
    server->connections += room ? 1 : 0;
    pthread_mutex_unlock(&server->lock);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (room && start_connection(server, fd, refused))
        return;
    close(fd);
    if (room)
        connection_ended(server, false);
}

/*
 * Accepts those that wait, as many as the queue holds: clients that come and go for ever must not
 * keep the thread from its end. True where the system is out of descriptors or memory: retry later.
 */
static bool accept_all(struct server *server, int listener)
{
    for (int i = 0; i < LIMIT_SERVER_BACKLOG; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            accept_connection(server, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            return true;
        else if (errno == EAGAIN)
            return false;
        /* Any other error concerns one connection that failed before it was accepted. */
    }
    return false;
}

static void *accept_main(void *argument)
{
    struct server *server = argument;
    struct pollfd entries[ADDRESS_LIST_MAX + 1];
    size_t count = server->listener_count;
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct pollfd){ .fd = server->listeners[i], .events = POLLIN };
    entries[count] = (struct pollfd){ .fd = server->stopping.fd, .events = POLLIN };
    for (;;) {
        bool exhausted = false;
        poll(entries, count + 1, -1);
        if (entries[count].revents != 0)
            break;
        for (size_t i = 0; i < count; i++)
            if (entries[i].revents != 0)
                exhausted |= accept_all(server, entries[i].fd);
        if (exhausted && wake_wait(&server->stopping, clock_deadline(LIMIT_SERVER_PAUSE_MS)))
            break;
    }
    /* Those that the system has accepted may have sent a request already. */
    for (size_t i = 0; i < count && server->setting->drain_ms > 0; i++)
        accept_all(server, entries[i].fd);
    close_listeners(server);
    pthread_mutex_lock(&server->lock);
    server->accepting = false;
    pthread_cond_broadcast(&server->ended);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* --- loops --------------------------------------------------------------------------------- */

/* Without a thread the loop itself does the rest: what has begun comes to its end. */
static void leave_loop(struct server_connection *connection, void *owner)
{
    struct connection_thread *thread = (struct connection_thread *)(void *)connection;
    struct err err;
    (void)owner;
    if (thread_start(connection_main, thread, LIMIT_STACK_SERVICE_BYTES, &err) != 0)
        connection_main(thread);
}

static void closed_in_loop(struct server_connection *connection, void *owner)
{
    (void)owner;
    end_connection((struct connection_thread *)(void *)connection);
}

static void loop_ended(void *owner)
{
    struct server *server = owner;
    pthread_mutex_lock(&server->lock);
    server->loops_running--;
    pthread_cond_broadcast(&server->ended);
    pthread_mutex_unlock(&server->lock);
}

/* One a processor. */
static int start_loops(struct server *server, struct err *err)
{
    const struct server_loop_setting setting = { .stopping = &server->stopping,
                                                 .owner = server,
                                                 .hand_over = leave_loop,
                                                 .closed = closed_in_loop,
                                                 .ended = loop_ended };
    long wanted = sysconf(_SC_NPROCESSORS_ONLN);
    if (wanted > LIMIT_SERVE_LOOPS)
        wanted = LIMIT_SERVE_LOOPS;
    int rc = 0;
    pthread_mutex_lock(&server->lock);
    do {
        rc = server_loop_new(&server->loops[server->loop_count], &setting, err);
        server->loop_count += rc == 0 ? 1 : 0;
    } while (rc == 0 && (long)server->loop_count < wanted);
    server->loops_running = server->loop_count;
    pthread_mutex_unlock(&server->lock);
    return rc;
}

int server_start(struct server *server, struct err *err)
{
    int loops_rc = server->setting->begin_relay != NULL ? start_loops(server, err) : 0;
    if (loops_rc != 0)
        return loops_rc;
    for (size_t i = 0; i < server->listener_count; i++)
        if (listen(server->listeners[i], LIMIT_SERVER_BACKLOG) != 0)
            return err_system(err, ERR_CONFIG, errno, "cannot listen on port %u",
                              (unsigned)server->setting->port);
    server->accepting = true;
    int rc = thread_start(accept_main, server, LIMIT_STACK_SERVICE_BYTES, err);
    if (rc != 0)
        server->accepting = false;
    return rc;
}

void server_stop(struct server *server)
{
    atomic_store(&server->stopped, true);
    wake_signal(&server->stopping);
}

bool server_wait_ended(struct server *server, deadline_ms deadline)
{
    pthread_mutex_lock(&server->lock);
    while (server->connections > 0 || server->accepting || server->loops_running > 0)
        if (!flag_cond_wait(&server->ended, &server->lock, deadline))
            break;
    bool ended = server->connections == 0 && !server->accepting && server->loops_running == 0;
    pthread_mutex_unlock(&server->lock);
    return ended;
}
