/* net/tcp: connecting to several addresses, and reads and writes with deadlines and wake-ups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/tcp.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SOON clock_deadline(30) /* for what never happens */
#define PATIENCE clock_deadline(30000)

static struct err err;
static const struct wake *no_wake;

/* --- listeners ------------------------------------------------------------------------------ */

static struct address loopback(const char *host, uint16_t port)
{
    struct address address = { .v4 = { .sin_family = AF_INET, .sin_port = htons(port) },
                               .size = sizeof address.v4 };
    assert_int_equal(inet_pton(AF_INET, host, &address.v4.sin_addr), 1);
    return address;
}

/* A bound socket and its address; it refuses connections until it listens. */
static int bound(const char *host, struct address *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = loopback(host, 0);
    assert_int_equal(bind(fd, &address->any, address->size), 0);
    assert_int_equal(getsockname(fd, &address->any, &address->size), 0);
    return fd;
}

static int listening(const char *host, struct address *address)
{
    int fd = bound(host, address);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

#define FILLERS_MAX 64

/* A listener whose queue is full, so that the kernel answers no further connection. */
struct silent {
    struct address address;
    int listener, fillers[FILLERS_MAX];
    size_t count;
};

static void silent_open(struct silent *silent)
{
    silent->listener = bound("127.0.0.1", &silent->address);
    assert_int_equal(listen(silent->listener, 0), 0);
    for (silent->count = 0; silent->count < FILLERS_MAX;) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        silent->fillers[silent->count++] = fd;
        connect(fd, &silent->address.any, silent->address.size);
        struct pollfd entry = { .fd = fd, .events = POLLOUT };
        if (poll(&entry, 1, 100) == 0)
            return;
    }
    skip(); /* a kernel without such a limit */
}

static void silent_close(struct silent *silent)
{
    while (silent->count > 0)
        close(silent->fillers[--silent->count]);
    close(silent->listener);
}

static int connect_list(struct transport **tcp, const struct address *addresses, size_t count,
                        const struct wake *const *wake, deadline_ms deadline)
{
    struct address_list list = { .count = count };
    memcpy(list.items, addresses, count * sizeof *addresses);
    return tcp_connect_list(tcp, &list, SLICE_LITERAL("two.test"), wake, deadline, &err);
}

/* True where the listener has a connection waiting. */
static bool was_chosen(int listener)
{
    struct pollfd entry = { .fd = listener, .events = POLLIN };
    return poll(&entry, 1, 0) == 1;
}

/* --- connecting ----------------------------------------------------------------------------- */

static void the_next_address_is_tried_after_a_refusal(void **state)
{
    (void)state;
    struct address addresses[3];
    struct transport *tcp;
    int refusing = bound("127.0.0.1", &addresses[0]);
    int second = listening("127.0.0.2", &addresses[1]),
        third = listening("127.0.0.3", &addresses[2]);
    assert_int_equal(connect_list(&tcp, addresses, 3, &no_wake, PATIENCE), 0);
    assert_true(was_chosen(second));
    assert_false(was_chosen(third));
    tcp->ops->close(tcp);
    close(refusing);
    close(second);
    close(third);
}

static void the_next_address_is_tried_beside_a_silent_one(void **state)
{
    (void)state;
    struct silent silent;
    struct address addresses[2];
    struct transport *tcp;
    silent_open(&silent);
    addresses[0] = silent.address;
    int second = listening("127.0.0.2", &addresses[1]);
    assert_int_equal(connect_list(&tcp, addresses, 2, &no_wake, PATIENCE), 0);
    assert_true(was_chosen(second));
    tcp->ops->close(tcp);
    close(second);
    silent_close(&silent);
}

static void refusals_name_the_host_and_the_address(void **state)
{
    (void)state;
    struct address addresses[2];
    struct transport *tcp;
    char text[ADDRESS_TEXT_BYTES];
    int first = bound("127.0.0.1", &addresses[0]), second = bound("127.0.0.2", &addresses[1]);
    assert_int_equal(connect_list(&tcp, addresses, 2, &no_wake, PATIENCE), ERR_RETRY);
    assert_non_null(strstr(err.text, "none of the 2 addresses of two.test: connect to 127.0.0.2:"));
    assert_int_equal(connect_list(&tcp, addresses, 1, &no_wake, PATIENCE), ERR_RETRY);
    address_text(&addresses[0], text);
    assert_non_null(strstr(err.text, text));
    assert_ptr_equal(strstr(err.text, "two.test: connect to "), err.text);
    close(first);
    close(second);
}

static void connecting_ends_at_the_deadline_and_by_the_wake_up(void **state)
{
    (void)state;
    struct silent silent;
    struct transport *tcp;
    struct wake wake;
    const struct wake *chosen = &wake;
    silent_open(&silent);
    assert_int_equal(wake_init(&wake, &err), 0);
    assert_int_equal(connect_list(&tcp, &silent.address, 1, &chosen, SOON), ERR_TIMEOUT);
    wake_signal(&wake);
    assert_int_equal(connect_list(&tcp, &silent.address, 1, &chosen, PATIENCE), ERR_CANCELLED);
    wake_free(&wake);
    silent_close(&silent);
}

struct filter {
    struct address_filter filter; /* first */
    int code;
};

static int judge(const struct address_filter *self, const struct address *address,
                 struct err *error)
{
    const struct filter *filter = (const struct filter *)(const void *)self;
    assert_int_equal(address->any.sa_family, AF_INET);
    return filter->code == 0 ? 0 : err_set(error, filter->code, "not this one");
}

static void a_filter_judges_before_anything_is_connected_to(void **state)
{
    (void)state;
    struct address address;
    struct transport *tcp;
    struct filter filter = { { judge }, ERR_INPUT };
    int listener = listening("127.0.0.1", &address);
    uint16_t port = ntohs(address.v4.sin_port);
    slice host = SLICE_LITERAL("127.0.0.1");
    assert_int_equal(tcp_connect(&tcp, host, port, &filter.filter, &no_wake, PATIENCE, &err),
                     ERR_INPUT);
    assert_false(was_chosen(listener));
    filter.code = 0;
    assert_int_equal(tcp_connect(&tcp, host, port, &filter.filter, &no_wake, PATIENCE, &err), 0);
    assert_true(was_chosen(listener));
    tcp->ops->close(tcp);
    close(listener);
}

static void unix_sockets_are_found_by_their_path(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_tcp.XXXXXX", long_path[UNIX_PATH_MAX_BYTES + 2];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct transport *tcp;
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    assert_int_equal(tcp_connect_unix(&tcp, address.sun_path, &no_wake, &err), ERR_RETRY);
    assert_non_null(strstr(err.text, address.sun_path));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(tcp_connect_unix(&tcp, address.sun_path, &no_wake, &err), 0);
    assert_true(was_chosen(listener));
    tcp->ops->close(tcp);
    close(listener);
    unlink(address.sun_path);
    rmdir(folder);
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(tcp_connect_unix(&tcp, long_path, &no_wake, &err), ERR_INPUT);
}

#define LARGE_BYTES 3000001u /* more than any socket holds */

/* --- streams -------------------------------------------------------------------------------- */

struct pair {
    struct transport *tcp;
    int peer;
    const struct wake *wake;
};

static void pair_open(struct pair *pair)
{
    int fds[2];
    pair->wake = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(tcp_adopt(&pair->tcp, fds[0], &pair->wake, &err), 0);
    pair->peer = fds[1];
}

static void pair_close(struct pair *pair)
{
    pair->tcp->ops->close(pair->tcp);
    if (pair->peer >= 0)
        close(pair->peer);
}

static ptrdiff_t read_some(struct pair *pair, char *bytes, size_t size, deadline_ms deadline)
{
    return pair->tcp->ops->read(pair->tcp, bytes, size, deadline, &err);
}

static void reads_end_with_data_the_stream_or_the_deadline(void **state)
{
    (void)state;
    struct pair pair;
    char bytes[8];
    pair_open(&pair);
    assert_int_equal(read_some(&pair, bytes, sizeof bytes, clock_deadline(0)), ERR_TIMEOUT);
    assert_int_equal(read_some(&pair, bytes, sizeof bytes, SOON), ERR_TIMEOUT);
    assert_int_equal(send(pair.peer, "abc", 3, 0), 3);
    assert_int_equal(read_some(&pair, bytes, 2, PATIENCE), 2);
    assert_int_equal(read_some(&pair, bytes + 2, sizeof bytes, DEADLINE_NEVER), 1);
    assert_memory_equal(bytes, "abc", 3);
    close(pair.peer);
    pair.peer = -1;
    assert_int_equal(read_some(&pair, bytes, sizeof bytes, PATIENCE), 0);
    pair_close(&pair);
}

static void a_wake_up_ends_reads_but_data_wins(void **state)
{
    (void)state;
    struct pair pair;
    struct wake wake;
    char byte;
    pair_open(&pair);
    assert_int_equal(wake_init(&wake, &err), 0);
    pair.wake = &wake;
    wake_signal(&wake);
    assert_int_equal(send(pair.peer, "a", 1, 0), 1);
    assert_int_equal(read_some(&pair, &byte, 1, PATIENCE), 1);
    assert_int_equal(read_some(&pair, &byte, 1, PATIENCE), ERR_CANCELLED);
    pair.wake = NULL;
    assert_int_equal(read_some(&pair, &byte, 1, SOON), ERR_TIMEOUT);
    wake_free(&wake);
    pair_close(&pair);
}

/* A reply that may come soon is waited for before the wake-up is looked at; not past the end. */
static void a_quick_reply_is_read_before_the_wake_up_is_looked_at(void **state)
{
    (void)state;
    struct pair pair;
    struct wake wake;
    char byte;
    const slice part = SLICE_LITERAL("x");
    pair_open(&pair);
    assert_int_equal(wake_init(&wake, &err), 0);
    pair.wake = &wake;
    assert_int_equal(pair.tcp->ops->write(pair.tcp, &part, 1, PATIENCE, &err), 0);
    assert_int_equal(read_some(&pair, &byte, 1, SOON), ERR_TIMEOUT); /* no reply is quick */
    tcp_set_quick(pair.tcp, 10);
    assert_int_equal(pair.tcp->ops->write(pair.tcp, &part, 1, PATIENCE, &err), 0);
    assert_int_equal(send(pair.peer, "a", 1, 0), 1);
    assert_int_equal(read_some(&pair, &byte, 1, PATIENCE), 1);
    assert_int_equal(pair.tcp->ops->write(pair.tcp, &part, 1, PATIENCE, &err), 0);
    assert_int_equal(read_some(&pair, &byte, 1, SOON), ERR_TIMEOUT);
    tcp_set_quick(pair.tcp, 60000);
    assert_int_equal(pair.tcp->ops->write(pair.tcp, &part, 1, PATIENCE, &err), 0);
    assert_int_equal(read_some(&pair, &byte, 1, SOON), ERR_TIMEOUT);
    tcp_set_quick(pair.tcp, 10);
    wake_signal(&wake);
    assert_int_equal(pair.tcp->ops->write(pair.tcp, &part, 1, PATIENCE, &err), 0);
    assert_int_equal(read_some(&pair, &byte, 1, PATIENCE), ERR_CANCELLED);
    wake_free(&wake);
    pair_close(&pair);
}

/* Nothing but the peer ends these, or a time. */
static void bytes_are_received_and_sent_as_they_are_there(void **state)
{
    (void)state;
    struct pair pair;
    struct wake wake;
    char *large = calloc(1, LARGE_BYTES), bytes[8];
    const slice parts[TCP_PARTS_MAX] = { SLICE_LITERAL("ab"), SLICE_LITERAL("cde") };
    const slice part = { large, LARGE_BYTES };
    pair_open(&pair);
    assert_int_equal(wake_init(&wake, &err), 0);
    pair.wake = &wake;
    wake_signal(&wake);
    assert_int_equal(tcp_receive(pair.tcp, bytes, sizeof bytes, 0, &err), ERR_TIMEOUT);
    assert_int_equal(tcp_receive(pair.tcp, bytes, sizeof bytes, 10, &err), ERR_TIMEOUT);
    assert_int_equal(send(pair.peer, "xyz", 3, 0), 3);
    assert_int_equal(tcp_receive(pair.tcp, bytes, 2, 30000, &err), 2);
    assert_int_equal(tcp_receive(pair.tcp, bytes, sizeof bytes, 0, &err), 1);
    assert_int_equal(bytes[0], 'z');
    assert_int_equal(tcp_send_now(pair.tcp, parts, TCP_PARTS_MAX, &err), 5);
    assert_int_equal(recv(pair.peer, bytes, sizeof bytes, 0), 5);
    assert_memory_equal(bytes, "abcde", 5);
    ptrdiff_t sent = tcp_send_now(pair.tcp, &part, 1, &err);
    assert_true(sent > 0 && sent < LARGE_BYTES);
    while (sent > 0)
        sent = tcp_send_now(pair.tcp, &part, 1, &err);
    assert_int_equal(sent, 0);
    close(pair.peer);
    pair.peer = -1;
    assert_int_equal(tcp_send_now(pair.tcp, &part, 1, &err), ERR_RETRY);
    wake_free(&wake);
    free(large);
    pair_close(&pair);
}

static void the_end_of_a_stream_is_received(void **state)
{
    (void)state;
    struct pair pair;
    char byte;
    pair_open(&pair);
    shutdown(pair.peer, SHUT_WR);
    assert_int_equal(tcp_receive(pair.tcp, &byte, 1, 0, &err), 0);
    assert_int_equal(tcp_receive(pair.tcp, &byte, 1, 30000, &err), 0);
    pair_close(&pair);
}

/* However much there is to read, and also where nothing has to be waited for. */
static void reads_end_at_the_deadline_although_data_is_there(void **state)
{
    (void)state;
    struct pair pair;
    char bytes[8];
    pair_open(&pair);
    assert_int_equal(send(pair.peer, "abc", 3, 0), 3);
    assert_int_equal(read_some(&pair, bytes, 1, clock_now_ms()), ERR_TIMEOUT);
    deadline_ms soon = SOON;
    ptrdiff_t count = 1;
    while (count > 0) {
        assert_int_equal(send(pair.peer, "a", 1, 0), 1);
        count = read_some(&pair, bytes, 1, soon);
    }
    assert_int_equal(count, ERR_TIMEOUT);
    assert_int_equal(read_some(&pair, bytes, 1, PATIENCE), 1); /* nothing was lost */
    pair_close(&pair);
}

static void a_wake_up_ends_reads_although_data_goes_on(void **state)
{
    (void)state;
    struct pair pair;
    struct wake wake;
    char byte;
    ptrdiff_t count = 1;
    size_t reads = 0;
    pair_open(&pair);
    assert_int_equal(wake_init(&wake, &err), 0);
    pair.wake = &wake;
    wake_signal(&wake);
    for (; count > 0 && reads < 1000; reads++) {
        assert_int_equal(send(pair.peer, "a", 1, 0), 1);
        count = read_some(&pair, &byte, 1, PATIENCE);
    }
    assert_int_equal(count, ERR_CANCELLED);
    wake_free(&wake);
    pair_close(&pair);
}

static void an_idle_stream_is_usable_until_the_peer_does_something(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    assert_true(pair.tcp->ops->usable(pair.tcp));
    assert_int_equal(send(pair.peer, "a", 1, 0), 1);
    assert_false(pair.tcp->ops->usable(pair.tcp));
    pair_close(&pair);
    pair_open(&pair);
    close(pair.peer);
    pair.peer = -1;
    assert_false(pair.tcp->ops->usable(pair.tcp));
    pair_close(&pair);
}

struct drain {
    int fd;
    size_t bytes;
    bool good;
};

static void *drain_main(void *argument)
{
    struct drain *drain = argument;
    char piece[10007];
    ssize_t count;
    drain->good = true;
    while ((count = recv(drain->fd, piece, sizeof piece, 0)) > 0) {
        for (ssize_t i = 0; i < count; i++)
            drain->good &= piece[i] == (char)((drain->bytes + (size_t)i) % 251);
        drain->bytes += (size_t)count;
    }
    return NULL;
}

/* Twelve parts, some of them empty: more than go into one call, each cut by the socket's size. */
static void all_parts_arrive_in_order(void **state)
{
    (void)state;
    struct pair pair;
    pthread_t thread;
    char *large = malloc(LARGE_BYTES);
    slice parts[12];
    pair_open(&pair);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        large[i] = (char)(i % 251);
    size_t at = 0;
    for (size_t i = 0; i < COUNT(parts); i++) {
        size_t len = i == COUNT(parts) - 1 ? LARGE_BYTES - at : i % 3 == 0 ? 0 : i * 40009;
        parts[i] = (slice){ large + at, len };
        at += len;
    }
    struct drain drain = { .fd = pair.peer };
    assert_int_equal(pthread_create(&thread, NULL, drain_main, &drain), 0);
    assert_int_equal(pair.tcp->ops->write(pair.tcp, parts, COUNT(parts), PATIENCE, &err), 0);
    pair.tcp->ops->finish_writing(pair.tcp);
    pthread_join(thread, NULL);
    assert_int_equal(drain.bytes, LARGE_BYTES);
    assert_true(drain.good);
    assert_int_equal(send(pair.peer, "x", 1, 0), 1); /* the other half is still open */
    char byte;
    assert_int_equal(read_some(&pair, &byte, 1, PATIENCE), 1);
    free(large);
    pair_close(&pair);
}

static void writes_end_at_the_deadline_and_by_the_wake_up(void **state)
{
    (void)state;
    struct pair pair;
    struct wake wake;
    char *large = calloc(1, LARGE_BYTES);
    const slice part = { large, LARGE_BYTES };
    pair_open(&pair);
    assert_int_equal(wake_init(&wake, &err), 0);
    assert_int_equal(pair.tcp->ops->write(pair.tcp, &part, 1, SOON, &err), ERR_TIMEOUT);
    pair.wake = &wake;
    wake_signal(&wake);
    assert_int_equal(pair.tcp->ops->write(pair.tcp, &part, 1, PATIENCE, &err), ERR_CANCELLED);
    close(pair.peer);
    pair.peer = -1;
    assert_int_equal(pair.tcp->ops->write(pair.tcp, &part, 1, PATIENCE, &err), ERR_RETRY);
    wake_free(&wake);
    free(large);
    pair_close(&pair);
}

static ptrdiff_t write_some(struct pair *pair, slice part, bool yields, deadline_ms deadline)
{
    return pair->tcp->ops->write_some(pair->tcp, &part, 1, yields, deadline, &err);
}

static void writes_may_yield_to_what_the_peer_says(void **state)
{
    (void)state;
    struct pair pair;
    char *large = calloc(1, LARGE_BYTES), byte;
    const slice part = { large, LARGE_BYTES }, short_part = SLICE_LITERAL("abc");
    pair_open(&pair);
    assert_int_equal(send(pair.peer, "a", 1, 0), 1);
    assert_int_equal(write_some(&pair, short_part, true, PATIENCE), 3); /* there is room */
    ptrdiff_t sent = write_some(&pair, part, true, PATIENCE);
    assert_true(sent > 0 && sent < LARGE_BYTES);
    assert_int_equal(write_some(&pair, part, true, PATIENCE), 0);
    assert_int_equal(read_some(&pair, &byte, 1, PATIENCE), 1);
    assert_int_equal(write_some(&pair, part, true, SOON), ERR_TIMEOUT);
    assert_int_equal(send(pair.peer, "a", 1, 0), 1);
    assert_int_equal(write_some(&pair, part, false, SOON), ERR_TIMEOUT);
    free(large);
    pair_close(&pair);
}

static void writes_tell_what_they_sent_until_the_deadline(void **state)
{
    (void)state;
    struct pair pair;
    char *large = calloc(1, LARGE_BYTES);
    const slice part = { large, LARGE_BYTES };
    pair_open(&pair);
    ptrdiff_t sent = write_some(&pair, part, false, SOON);
    assert_true(sent > 0 && sent < LARGE_BYTES);
    assert_int_equal(write_some(&pair, part, false, SOON), ERR_TIMEOUT);
    free(large);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_address_is_tried_after_a_refusal),
        cmocka_unit_test(the_next_address_is_tried_beside_a_silent_one),
        cmocka_unit_test(refusals_name_the_host_and_the_address),
        cmocka_unit_test(connecting_ends_at_the_deadline_and_by_the_wake_up),
        cmocka_unit_test(a_filter_judges_before_anything_is_connected_to),
        cmocka_unit_test(unix_sockets_are_found_by_their_path),
        cmocka_unit_test(reads_end_with_data_the_stream_or_the_deadline),
        cmocka_unit_test(a_wake_up_ends_reads_but_data_wins),
        cmocka_unit_test(a_quick_reply_is_read_before_the_wake_up_is_looked_at),
        cmocka_unit_test(bytes_are_received_and_sent_as_they_are_there),
        cmocka_unit_test(the_end_of_a_stream_is_received),
        cmocka_unit_test(reads_end_at_the_deadline_although_data_is_there),
        cmocka_unit_test(a_wake_up_ends_reads_although_data_goes_on),
        cmocka_unit_test(writes_may_yield_to_what_the_peer_says),
        cmocka_unit_test(writes_tell_what_they_sent_until_the_deadline),
        cmocka_unit_test(an_idle_stream_is_usable_until_the_peer_does_something),
        cmocka_unit_test(all_parts_arrive_in_order),
        cmocka_unit_test(writes_end_at_the_deadline_and_by_the_wake_up),
    };
    return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
