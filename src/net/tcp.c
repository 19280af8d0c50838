#include "net/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own_call.h"

/* So many reads in a row may find data before a wake-up wins: a peer that never stops sending. */
#define READS_BETWEEN_LOOKS 16

struct tcp {
    struct transport transport; /* first, so that a transport pointer is a tcp pointer */
    int fd;              /* blocking: a read that nothing else can end is one call, not two */
    int read_ms;         /* how long such a read blocks: the socket's SO_RCVTIMEO */
    bool reply_expected; /* something was written since: waiting first saves a futile recv */
    unsigned reads;      /* since something was written */
    int quick_ms;        /* as long a read of a reply blocks before it looks at the wake-up */
    const struct wake *const *wake;
};

static struct tcp *tcp_of(struct transport *transport)
{
    return (struct tcp *)(void *)transport;
}

/*
 * Waits until fd has one of `events`, which *found then says. Data wins over a wake-up, so that
 * nothing read is lost. After an interrupted wait *found is 0.
 */
static int wait_for(const struct tcp *tcp, short events, int left_ms, short *found, struct err *err)
{
    const struct wake *wake = *tcp->wake;
    struct pollfd entries[2] = {
        { .fd = tcp->fd, .events = events },
        { .fd = wake != NULL ? wake->fd : -1, .events = POLLIN },
    };
    *found = 0;
    int rc = poll(entries, wake != NULL ? 2 : 1, left_ms);
    if (rc < 0 && errno == EINTR)
        return 0;
    if (rc == 0)
        return err_set(err, ERR_TIMEOUT, "timed out");
    if (rc < 0)
        return err_system(err, ERR_RETRY, errno, "poll");
    *found = entries[0].revents;
    return *found != 0 ? 0 : err_set(err, ERR_CANCELLED, "cancelled");
}

/*
 * Makes reads block for left_ms at most. A read that times out early is started again, so the
 * socket's limit is changed only where it is too long, or so short that it costs more calls than a
 * change would.
 */
static int bound_reads(struct tcp *tcp, int left_ms, struct err *err)
{
    if (tcp->read_ms <= left_ms && tcp->read_ms >= left_ms / 2)
        return 0;
    const struct timeval limit = { .tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000 };
    if (setsockopt(tcp->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
        return err_system(err, ERR_RETRY, errno, "cannot set the receive timeout");
    tcp->read_ms = left_ms;
    return 0;
}

/* Sets the flags of a recv that finds data or blocks for left_ms. */
static int prepare_wait(struct tcp *tcp, int left_ms, bool quick, int *flags, struct err *err)
{
    short found;
    *flags = MSG_DONTWAIT;
    if (*tcp->wake != NULL && quick && tcp->quick_ms < left_ms) {
        *flags = 0;
        return bound_reads(tcp, tcp->quick_ms, err);
    }
    if (*tcp->wake != NULL)
        return wait_for(tcp, POLLIN, left_ms, &found, err);
    *flags = 0;
    return bound_reads(tcp, left_ms, err);
}

/* Before every step, also where data is there: a peer that floods us is late like any other. */
static int check_time(struct tcp *tcp, int left_ms, struct err *err)
{
    if (left_ms == 0)
        return err_set(err, ERR_TIMEOUT, "timed out");
    if (*tcp->wake != NULL && ++tcp->reads % READS_BETWEEN_LOOKS == 0 && wake_wait(*tcp->wake, 0))
        return err_set(err, ERR_CANCELLED, "cancelled");
    return 0;
}

static ptrdiff_t tcp_read(struct transport *self, void *bytes, size_t size, deadline_ms deadline,
                          struct err *err)
{
    struct tcp *tcp = tcp_of(self);
    bool wait_first = tcp->reply_expected, quick = wait_first && tcp->quick_ms > 0;
    tcp->reply_expected = false;
    for (;; wait_first = true, quick = false) {
        int flags = MSG_DONTWAIT, left_ms = clock_left_ms(deadline);
        int rc = check_time(tcp, left_ms, err);
        if (rc == 0 && wait_first)
            rc = prepare_wait(tcp, left_ms, quick, &flags, err);
        if (rc != 0)
            return rc;
        ssize_t count = recv(tcp->fd, bytes, size, flags);
        if (count >= 0)
            return count;
        if (errno != EAGAIN && errno != EINTR)
            return err_system(err, ERR_RETRY, errno, "receive");
    }
}

/* Leaves out the first `sent` bytes of the parts; returns how many parts are left. */
static size_t skip_sent(struct iovec *parts, size_t count, size_t sent)
{
    size_t first = 0;
    while (first < count && sent >= parts[first].iov_len)
        sent -= parts[first++].iov_len;
    for (size_t i = first; i < count; i++)
        parts[i - first] = parts[i];
    if (first < count) {
        parts[0].iov_base = (char *)parts[0].iov_base + sent;
        parts[0].iov_len -= sent;
    }
    return count - first;
}

/* True where nothing can be sent now and bytes of the peer are there. */
static bool only_readable(short found)
{
    return (found & POLLIN) != 0 && (found & POLLOUT) == 0;
}

/*
 * Sends the parts, as far as *sent tells: all of them, or less where `yields` and the peer takes
 * no more, but has sent something.
 */
static int send_parts(struct tcp *tcp, struct iovec *parts, size_t count, bool yields,
                      deadline_ms deadline, size_t *sent, struct err *err)
{
    while (count > 0) {
        short found;
        int left_ms = clock_left_ms(deadline);
        if (left_ms == 0)
            return err_set(err, ERR_TIMEOUT, "timed out");
        /* The length is an int in musl and a size_t in glibc; a small unsigned type suits both. */
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = (unsigned char)count };
        ssize_t taken = sendmsg(tcp->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (taken >= 0) {
            *sent += (size_t)taken;
            count = skip_sent(parts, count, (size_t)taken);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return err_system(err, ERR_RETRY, errno, "send");
        int rc = wait_for(tcp, yields ? POLLOUT | POLLIN : POLLOUT, left_ms, &found, err);
        if (rc != 0 || (yields && only_readable(found)))
            return rc;
    }
    return 0;
}

/* A few parts at a time, until one group is cut short. */
static int send_all(struct tcp *tcp, const slice *parts, size_t count, bool yields,
                    deadline_ms deadline, size_t *sent, struct err *err)
{
    struct iovec group[8];
    const size_t group_max = sizeof group / sizeof group[0];
    size_t wanted = 0;
    tcp->reply_expected = true;
    tcp->reads = 0;
    for (size_t done = 0; done < count && *sent == wanted;) {
        size_t used = 0;
        for (; used < group_max && done < count; done++) {
            wanted += parts[done].len;
            if (parts[done].len > 0)
                group[used++] = (struct iovec){ .iov_base = (char *)(uintptr_t)parts[done].ptr,
                                                .iov_len = parts[done].len };
        }
        int rc = send_parts(tcp, group, used, yields, deadline, sent, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int tcp_write(struct transport *self, const slice *parts, size_t count, deadline_ms deadline,
                     struct err *err)
{
    size_t sent = 0;
    return send_all(tcp_of(self), parts, count, false, deadline, &sent, err);
}

static ptrdiff_t tcp_write_some(struct transport *self, const slice *parts, size_t count,
                                bool yields, deadline_ms deadline, struct err *err)
{
    size_t sent = 0;
    int rc = send_all(tcp_of(self), parts, count, yields, deadline, &sent, err);
    return rc == 0 || (rc == ERR_TIMEOUT && sent > 0) ? (ptrdiff_t)sent : rc;
}

int tcp_fd(const struct transport *self)
{
    return ((const struct tcp *)(const void *)self)->fd;
}

void tcp_set_quick(struct transport *self, int quick_ms)
{
    tcp_of(self)->quick_ms = quick_ms;
}

ptrdiff_t tcp_receive(struct transport *self, void *bytes, size_t size, int wait_ms,
                      struct err *err)
{
    struct tcp *tcp = tcp_of(self);
    int rc = wait_ms > 0 ? bound_reads(tcp, wait_ms, err) : 0;
    if (rc != 0)
        return rc;
    tcp->reply_expected = false;
    for (;;) {
        ssize_t count = recv(tcp->fd, bytes, size, wait_ms > 0 ? 0 : MSG_DONTWAIT);
        if (count >= 0)
            return count;
        if (errno == EAGAIN)
            return err_set(err, ERR_TIMEOUT, "nothing has come");
        if (errno != EINTR)
            return err_system(err, ERR_RETRY, errno, "receive");
    }
}

ptrdiff_t tcp_send_now(struct transport *self, const slice *parts, size_t count, struct err *err)
{
    struct tcp *tcp = tcp_of(self);
    struct iovec group[TCP_PARTS_MAX];
    for (size_t i = 0; i < count; i++)
        group[i] = (struct iovec){ .iov_base = (char *)(uintptr_t)parts[i].ptr,
                                   .iov_len = parts[i].len };
    struct msghdr message = { .msg_iov = group, .msg_iovlen = (unsigned char)count };
    tcp->reply_expected = true;
    tcp->reads = 0;
    for (;;) {
        ssize_t taken = sendmsg(tcp->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (taken >= 0)
            return taken;
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR)
            return err_system(err, ERR_RETRY, errno, "send");
    }
}

static bool tcp_usable(struct transport *self)
{
    char byte;
    ssize_t count = recv(tcp_of(self)->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return count < 0 && errno == EAGAIN;
}

static void tcp_finish_writing(struct transport *self)
{
    shutdown(tcp_of(self)->fd, SHUT_WR);
}

static void tcp_close(struct transport *self)
{
    struct tcp *tcp = tcp_of(self);
    close(tcp->fd);
    free(tcp);
}

static const struct transport_ops tcp_ops = {
    .read = tcp_read,
    .write = tcp_write,
    .write_some = tcp_write_some,
    .usable = tcp_usable,
    .finish_writing = tcp_finish_writing,
    .close = tcp_close,
};

int tcp_adopt(struct transport **out, int fd, const struct wake *const *wake, struct err *err)
{
    struct tcp *tcp = malloc(sizeof *tcp);
    if (tcp == NULL) {
        close(fd);
        return err_set(err, ERR_MEMORY, "no memory for a connection");
    }
    fcntl(fd, F_SETFL, 0);
    *tcp = (struct tcp){ .transport = { &tcp_ops }, .fd = fd, .read_ms = -1, .wake = wake };
    *out = &tcp->transport;
    return 0;
}

/* --- connecting: a race between the addresses of one name ------------------------------------ */

struct race {
    const struct address_list *addresses;
    size_t next;               /* index of the address to start next */
    int fds[ADDRESS_LIST_MAX]; /* by address; -1 where not started or lost */
    size_t running;
    struct err *err; /* of the address that failed last */
};

static void race_lose(struct race *race, size_t index, int errnum)
{
    char text[ADDRESS_TEXT_BYTES];
    address_text(&race->addresses->items[index], text);
    err_system(race->err, ERR_RETRY, errnum, "connect to %s", text);
    if (race->fds[index] >= 0) {
        close(race->fds[index]);
        race->fds[index] = -1;
        race->running--;
    }
}

/* Starts the next address. True where it connected at once. */
static bool race_start_next(struct race *race)
{
    size_t index = race->next++;
    const struct address *address = &race->addresses->items[index];
    int fd = own_socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    race->fds[index] = fd;
    if (fd < 0) {
        race_lose(race, index, errno);
        return false;
    }
    race->running++;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (connect(fd, &address->any, address->size) == 0)
        return true;
    if (errno != EINPROGRESS)
        race_lose(race, index, errno);
    return false;
}

/* Takes out the sockets that failed. Returns the index of one that connected, or -1. */
static int race_check(struct race *race, struct pollfd *entries)
{
    for (size_t i = 0; i < race->next; i++) {
        if (race->fds[i] < 0 || entries[i].revents == 0)
            continue;
        int errnum = 0;
        socklen_t size = sizeof errnum;
        getsockopt(race->fds[i], SOL_SOCKET, SO_ERROR, &errnum, &size);
        if (errnum == 0)
            return (int)i;
        race_lose(race, i, errnum);
    }
    return -1;
}

/* So that every address has its turn before the deadline. */
static int64_t race_stagger_ms(const struct race *race, deadline_ms deadline)
{
    size_t turns = race->addresses->count - race->next + 1;
    int64_t share_ms = clock_left_ms(deadline) / (int64_t)turns;
    return share_ms < LIMIT_CONNECT_STAGGER_MS ? share_ms : LIMIT_CONNECT_STAGGER_MS;
}

/*
 * Waits until a socket connects or fails, or it is time to start one more. *winner is the index of
 * one that connected, or -1. ERR_CANCELLED.
 */
static int race_wait(struct race *race, const struct wake *wake, deadline_ms deadline,
                     int64_t stagger_ms, int *winner)
{
    struct pollfd entries[ADDRESS_LIST_MAX + 1];
    for (size_t i = 0; i < race->next; i++)
        entries[i] = (struct pollfd){ .fd = race->fds[i], .events = POLLOUT };
    entries[race->next] = (struct pollfd){ .fd = wake != NULL ? wake->fd : -1, .events = POLLIN };
    deadline_ms until = deadline;
    if (race->next < race->addresses->count)
        until = clock_earlier(deadline, clock_deadline(stagger_ms));
    int rc = poll(entries, race->next + 1, clock_left_ms(until));
    if (rc > 0 && entries[race->next].revents != 0)
        return err_set(race->err, ERR_CANCELLED, "connect: cancelled");
    *winner = rc > 0 ? race_check(race, entries) : -1;
    return 0;
}

/* Runs the race. Returns the connected socket, or a negative error. */
static int race_run(struct race *race, const struct wake *wake, deadline_ms deadline)
{
    int winner = -1;
    bool start = true;
    for (;;) {
        if (start && race->next < race->addresses->count && race_start_next(race))
            winner = (int)race->next - 1;
        if (winner >= 0)
            break;
        start = true;
        if (race->running == 0 && race->next < race->addresses->count)
            continue;
        if (race->running == 0)
            return ERR_RETRY;
        if (clock_left_ms(deadline) == 0)
            return err_set(race->err, ERR_TIMEOUT, "connect: timed out");
        size_t running = race->running;
        int64_t begun_ms = clock_now_ms(), stagger_ms = race_stagger_ms(race, deadline);
        int rc = race_wait(race, wake, deadline, stagger_ms, &winner);
        if (rc != 0)
            return rc;
        /* Start one more where one failed or the stagger is over, not after a spurious wake-up. */
        start = race->running < running || clock_now_ms() - begun_ms >= stagger_ms;
    }
    int fd = race->fds[winner];
    race->fds[winner] = -1;
    return fd;
}

static int connect_any(const struct address_list *addresses, const struct wake *wake,
                       deadline_ms deadline, struct err *err)
{
    struct race race = { .addresses = addresses, .err = err };
    for (size_t i = 0; i < ADDRESS_LIST_MAX; i++)
        race.fds[i] = -1;
    int fd = race_run(&race, wake, deadline);
    for (size_t i = 0; i < ADDRESS_LIST_MAX; i++)
        if (race.fds[i] >= 0)
            close(race.fds[i]);
    return fd;
}

int tcp_connect_list(struct transport **out, const struct address_list *addresses, slice host,
                     const struct wake *const *wake, deadline_ms deadline, struct err *err)
{
    int fd = connect_any(addresses, *wake, deadline, err);
    if (fd < 0 && addresses->count > 1)
        return err_wrap(err, "none of the %zu addresses of %.*s", addresses->count,
                        SLICE_ARG(host));
    if (fd < 0)
        return err_wrap(err, "%.*s", SLICE_ARG(host));
    return tcp_adopt(out, fd, wake, err);
}

int tcp_connect(struct transport **out, slice host, uint16_t port,
                const struct address_filter *filter, const struct wake *const *wake,
                deadline_ms deadline, struct err *err)
{
    /* Not on the stack: a thread that waits for an answer for hours would keep its pages. */
    struct address_list *addresses = malloc(sizeof *addresses);
    if (addresses == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a connection");
    int rc = address_resolve(addresses, host, port, *wake, deadline, err);
    for (size_t i = 0; rc == 0 && filter != NULL && i < addresses->count; i++)
        rc = filter->judge(filter, &addresses->items[i], err);
    if (rc == 0)
        rc = tcp_connect_list(out, addresses, host, wake, deadline, err);
    free(addresses);
    return rc;
}

int tcp_connect_unix(struct transport **out, const char *path, const struct wake *const *wake,
                     struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    if (len > UNIX_PATH_MAX_BYTES)
        return err_set(err, ERR_INPUT, "the socket's path has more than %d bytes",
                       UNIX_PATH_MAX_BYTES);
    memcpy(address.sun_path, path, len);
    int fd = own_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_system(err, ERR_MEMORY, errno, "cannot make a socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        /* EAGAIN: the queue of connections is full. */
        err_system(err, ERR_RETRY, errno, "connect to %s", path);
        close(fd);
        return ERR_RETRY;
    }
    return tcp_adopt(out, fd, wake, err);
}
