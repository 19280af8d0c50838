#include "net/server.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "net/resolve.h"
#include "net/server_connection.h"

struct server {
    const struct server_setting *setting;
    int listeners[ADDRESS_LIST_MAX];
    size_t listener_count;
    struct wake stopping;
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a thread has ended */
    size_t connections;   /* those with a thread */
    bool accepting;       /* the thread that accepts is there */
};

/* --- listening ----------------------------------------------------------------------------- */

static int try_bind(struct server *server, const struct address *address)
{
    const int on = 1, off = 0;
    int family = address->any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
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

/* One socket for both protocols; for IPv4 alone where the system has no IPv6. */
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

/* All addresses of a name; those that this machine does not have are left out if one is there. */
static int bind_host(struct server *server, struct err *err)
{
    struct address_list list;
    int rc = address_resolve(&list, server->setting->host, server->setting->port, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++)
        bind_address(server, &list.items[i], err);
    if (server->listener_count > 0)
        return 0;
    return err->code = ERR_CONFIG;
}

int server_new(struct server **out, const struct server_setting *setting, struct err *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a server");
    server->setting = setting;
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
    *out = server;
    return 0;
}

uint16_t server_port(const struct server *server)
{
    struct address address = { .size = sizeof address.v6 };
    if (server->listener_count == 0 ||
        getsockname(server->listeners[0], &address.any, &address.size) != 0)
        return server->setting->port;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static void close_listeners(struct server *server)
{
    while (server->listener_count > 0)
        close(server->listeners[--server->listener_count]);
}

void server_free(struct server *server)
{
    close_listeners(server);
    if (server->stopping.fd >= 0)
        wake_free(&server->stopping);
    pthread_cond_destroy(&server->ended);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

/* --- accepting ----------------------------------------------------------------------------- */

struct visitor {
    struct server_connection connection; /* first */
    struct server *server;
};

static void leave(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->connections--;
    pthread_cond_broadcast(&server->ended);
    pthread_mutex_unlock(&server->lock);
}

static void *visitor_main(void *argument)
{
    struct visitor *visitor = argument;
    struct server *server = visitor->server;
    server_connection_run(&visitor->connection);
    free(visitor);
    leave(server);
    return NULL;
}

/* Gives the connection a thread; false where that cannot be had. */
static bool start_visitor(struct server *server, int fd, bool refused)
{
    struct err err;
    struct visitor *visitor = calloc(1, sizeof *visitor);
    if (visitor == NULL)
        return false;
    visitor->server = server;
    visitor->connection.setting = server->setting;
    visitor->connection.stopping = &server->stopping;
    visitor->connection.fd = fd;
    visitor->connection.refused = refused;
    if (thread_start(visitor_main, visitor, LIMIT_STACK_SERVICE_BYTES, &err) == 0)
        return true;
    log_write(LOG_ERROR, NULL, "A connection was closed: %s", err.text);
    free(visitor);
    return false;
}

static void welcome(struct server *server, int fd)
{
    const int on = 1;
    size_t most = server->setting->connections_max;
    pthread_mutex_lock(&server->lock);
    size_t count = server->connections;
    bool room = count < most + LIMIT_SERVER_REFUSALS;
    server->connections += room ? 1 : 0;
    pthread_mutex_unlock(&server->lock);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (room && start_visitor(server, fd, count >= most))
        return;
    close(fd);
    if (room)
        leave(server);
}

/* True where the system is short of something: then it is better to wait a little. */
static bool accept_all(struct server *server, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            welcome(server, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            return true;
        else if (errno == EAGAIN)
            return false;
        /* Else this one connection has failed before it was accepted; the next may be well. */
    }
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
        bool short_of = false;
        poll(entries, count + 1, -1);
        if (entries[count].revents != 0)
            break;
        for (size_t i = 0; i < count; i++)
            if (entries[i].revents != 0)
                short_of |= accept_all(server, entries[i].fd);
        if (short_of && wake_wait(&server->stopping, clock_deadline(LIMIT_SERVER_PAUSE_MS)))
            break;
    }
    close_listeners(server);
    pthread_mutex_lock(&server->lock);
    server->accepting = false;
    pthread_cond_broadcast(&server->ended);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

int server_start(struct server *server, struct err *err)
{
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
    wake_signal(&server->stopping);
}

bool server_wait_ended(struct server *server, deadline_ms deadline)
{
    pthread_mutex_lock(&server->lock);
    while (server->connections > 0 || server->accepting)
        if (!flag_cond_wait(&server->ended, &server->lock, deadline))
            break;
    bool ended = server->connections == 0 && !server->accepting;
    pthread_mutex_unlock(&server->lock);
    return ended;
}
