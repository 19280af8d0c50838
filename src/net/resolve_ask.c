/*
 * Queries for one name: A and AAAA at the same time, each sent to one server after another while
 * the earlier ones may still answer. Every query has a connected socket of its own. So the source
 * port is random as the id is (RFC 5452), the kernel drops what other hosts send, ICMP errors are
 * reported, and firewalls and NATs that confuse two queries from one port are not met
 * (resolv.conf(5), single-request-reopen).
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own_call.h"
#include "base/random.h"
#include "net/resolve_ask.h"
#include "net/resolve_order.h"

#define TCP_PREFIX_BYTES 2 /* a message's length (RFC 1035, section 4.2.2) */
#define STEPS_DOUBLED 3    /* how often the pause between rounds of queries doubles */

/* A query and its reply over TCP. */
struct tcp_exchange {
    size_t sent, got; /* bytes, with the prefix */
    uint8_t bytes[TCP_PREFIX_BYTES + DNS_MESSAGE_MAX_BYTES];
};

enum attempt_state { UNASKED, ASKED, FAILED, SAYS_NO };

/* One question at one server. */
struct attempt {
    enum attempt_state state;
    int fd;                   /* while ASKED */
    struct tcp_exchange *tcp; /* NULL over UDP */
    enum dns_outcome no;      /* DNS_NO_NAME or DNS_NO_DATA where it SAYS_NO */
};

struct question {
    enum dns_type type;
    uint8_t query[DNS_QUERY_MAX_BYTES];
    size_t query_size;
    struct attempt attempts[DNS_SERVERS_MAX];
    unsigned queries;       /* sent so far */
    deadline_ms next;       /* when to send the next one */
    bool answered;          /* with the addresses in reply; else that holds a truncated answer's */
    struct dns_reply reply; /* only its addresses */
};

#define QUESTIONS 2

struct ask {
    struct resolver *resolver;
    bool patient;
    bool heard[DNS_SERVERS_MAX];
    struct question questions[QUESTIONS];
    struct resolve_failure *failure;
    struct dns_reply scratch;
    uint8_t datagram[DNS_MESSAGE_MAX_BYTES]; /* without EDNS 512 bytes would do; some send more */
};

static void close_attempt(struct attempt *attempt, enum attempt_state state)
{
    if (attempt->fd >= 0)
        close(attempt->fd);
    free(attempt->tcp);
    attempt->fd = -1;
    attempt->tcp = NULL;
    attempt->state = state;
}

/* Gives the server up for this question; the next one is asked at once. */
static void fail(struct ask *ask, struct question *question, size_t server, unsigned rcode,
                 int errnum)
{
    close_attempt(&question->attempts[server], FAILED);
    *ask->failure = (struct resolve_failure){ server, rcode, errnum };
    question->next = clock_now_ms();
}

/* --- sending --- */

static int open_socket(const struct address *server, int type)
{
    int fd = own_socket(server->any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &server->any, server->size) == 0 || errno == EINPROGRESS)
        return fd;
    int errnum = errno;
    close(fd);
    errno = errnum;
    return -1;
}

static void start_tcp(struct ask *ask, struct question *question, size_t server)
{
    struct attempt *attempt = &question->attempts[server];
    close_attempt(attempt, ASKED);
    attempt->tcp = malloc(sizeof *attempt->tcp);
    attempt->fd = open_socket(&ask->resolver->servers[server], SOCK_STREAM);
    if (attempt->tcp == NULL || attempt->fd < 0)
        fail(ask, question, server, 0, attempt->tcp == NULL ? ENOMEM : errno);
    else
        attempt->tcp->sent = attempt->tcp->got = 0;
}

static void send_udp(struct ask *ask, struct question *question, size_t server)
{
    struct attempt *attempt = &question->attempts[server];
    if (attempt->fd < 0)
        attempt->fd = open_socket(&ask->resolver->servers[server], SOCK_DGRAM);
    attempt->state = ASKED;
    if (attempt->fd < 0 ||
        (send(attempt->fd, question->query, question->query_size, MSG_NOSIGNAL) < 0 &&
         errno != EAGAIN))
        fail(ask, question, server, 0, errno);
}

/*
 * The server to ask next: those not asked yet, the silent ones last, then in turn those that have
 * not answered. -1 where every server has.
 */
static int choose_server(const struct ask *ask, const struct question *question)
{
    size_t count = ask->resolver->server_count;
    for (int silent = 0; silent < 2; silent++)
        for (size_t i = 0; i < count; i++)
            if (question->attempts[i].state == UNASKED && ask->resolver->silent[i] == silent)
                return (int)i;
    for (size_t i = 0; i < count; i++) {
        size_t server = (question->queries + i) % count;
        if (question->attempts[server].state == ASKED)
            return (int)server;
    }
    return -1;
}

static void send_due(struct ask *ask, struct question *question)
{
    int server;
    while (clock_left_ms(question->next) == 0 && (server = choose_server(ask, question)) >= 0) {
        unsigned doubled = question->queries / (unsigned)ask->resolver->server_count;
        int64_t step_ms = LIMIT_DNS_STEP_MS << (doubled < STEPS_DOUBLED ? doubled : STEPS_DOUBLED);
        struct attempt *attempt = &question->attempts[server];
        question->queries++;
        question->next = clock_deadline(step_ms);
        if (ask->resolver->config.use_tcp && attempt->state == UNASKED)
            start_tcp(ask, question, (size_t)server);
        else if (attempt->tcp == NULL)
            send_udp(ask, question, (size_t)server);
    }
}

/* --- reading --- */

/* Only the addresses in use: the whole array is larger than a page. */
static void copy_reply(struct dns_reply *to, const struct dns_reply *from)
{
    to->count = from->count;
    memcpy(to->addresses, from->addresses, from->count * sizeof *from->addresses);
}

static void take_message(struct ask *ask, struct question *question, size_t server, slice message)
{
    struct attempt *attempt = &question->attempts[server];
    struct dns_reply *reply = &ask->scratch;
    bool over_tcp = attempt->tcp != NULL;
    dns_read_reply(message, (slice){ (const char *)question->query, question->query_size }, reply);
    if (reply->outcome == DNS_FOREIGN) {
        if (over_tcp)
            fail(ask, question, server, 0, EPROTO);
        return;
    }
    ask->heard[server] = true;
    if (reply->count > 0)
        copy_reply(&question->reply, reply);
    if (reply->truncated && !over_tcp) {
        start_tcp(ask, question, server);
        return;
    }
    switch (reply->outcome) {
    case DNS_ADDRESSES: question->answered = true; break;
    case DNS_NO_NAME:
    case DNS_NO_DATA:
        close_attempt(attempt, SAYS_NO);
        attempt->no = reply->outcome;
        break;
    default: fail(ask, question, server, reply->rcode, reply->rcode == 0 ? EPROTO : 0);
    }
}

/* Reads one datagram; before the next one the deadline is looked at, however many there are. */
static void read_udp(struct ask *ask, struct question *question, size_t server)
{
    const char *bytes = (const char *)ask->datagram;
    ssize_t count = recv(question->attempts[server].fd, ask->datagram, sizeof ask->datagram, 0);
    if (count >= 0)
        take_message(ask, question, server, (slice){ bytes, (size_t)count });
    else if (errno != EAGAIN && errno != EINTR)
        fail(ask, question, server, 0, errno); /* most often ICMP's "port unreachable" */
}

/* Sends the rest of the query. False where it has to wait, or failed. */
static bool finish_sending(struct ask *ask, struct question *question, size_t server)
{
    struct attempt *attempt = &question->attempts[server];
    uint8_t bytes[TCP_PREFIX_BYTES + DNS_QUERY_MAX_BYTES];
    size_t size = TCP_PREFIX_BYTES + question->query_size;
    if (attempt->tcp->sent == size)
        return true;
    bytes[0] = (uint8_t)(question->query_size >> 8);
    bytes[1] = (uint8_t)question->query_size;
    memcpy(bytes + TCP_PREFIX_BYTES, question->query, question->query_size);
    ssize_t count = send(attempt->fd, bytes + attempt->tcp->sent, size - attempt->tcp->sent,
                         MSG_NOSIGNAL);
    if (count >= 0)
        attempt->tcp->sent += (size_t)count;
    else if (errno != EAGAIN && errno != EINTR)
        fail(ask, question, server, 0, errno);
    return count >= 0 && attempt->tcp->sent == size;
}

static void step_tcp(struct ask *ask, struct question *question, size_t server)
{
    struct attempt *attempt = &question->attempts[server];
    if (!finish_sending(ask, question, server))
        return;
    struct tcp_exchange *tcp = attempt->tcp;
    for (;;) {
        size_t size = TCP_PREFIX_BYTES;
        if (tcp->got >= size)
            size += (size_t)tcp->bytes[0] << 8 | tcp->bytes[1];
        if (tcp->got == size && size > TCP_PREFIX_BYTES) {
            const char *message = (const char *)tcp->bytes + TCP_PREFIX_BYTES;
            take_message(ask, question, server, (slice){ message, size - TCP_PREFIX_BYTES });
            return;
        }
        ssize_t count = recv(attempt->fd, tcp->bytes + tcp->got, size - tcp->got, 0);
        if (count <= 0 && (count == 0 || (errno != EAGAIN && errno != EINTR)))
            fail(ask, question, server, 0, count == 0 ? ECONNRESET : errno);
        if (count <= 0)
            return;
        tcp->got += (size_t)count;
    }
}

/* --- judging --- */

/* Which unanswered servers make a later server's "no" provisional. */
enum open_servers { OPEN_COUNT, OPEN_COUNT_UNLESS_SILENT, OPEN_DO_NOT_COUNT };

/* What a question without addresses comes to: the first server that works decides. */
static int verdict_of(const struct ask *ask, const struct question *question,
                      enum open_servers open)
{
    for (size_t i = 0; i < ask->resolver->server_count; i++) {
        const struct attempt *attempt = &question->attempts[i];
        if (attempt->state == SAYS_NO)
            return attempt->no == DNS_NO_NAME ? RESOLVE_NO_NAME : RESOLVE_NO_DATA;
        bool passed_over = open == OPEN_DO_NOT_COUNT ||
                           (open == OPEN_COUNT_UNLESS_SILENT && ask->resolver->silent[i]);
        if (attempt->state != FAILED && !passed_over)
            break;
    }
    return RESOLVE_FAILED;
}

static bool has_open(const struct ask *ask, const struct question *question)
{
    for (size_t i = 0; i < ask->resolver->server_count; i++)
        if (question->attempts[i].state == UNASKED || question->attempts[i].state == ASKED)
            return true;
    return false;
}

static bool says_no(const struct question *question)
{
    for (size_t i = 0; i < DNS_SERVERS_MAX; i++)
        if (question->attempts[i].state == SAYS_NO)
            return true;
    return false;
}

static int verdict_now(const struct ask *ask, const struct question *question)
{
    return verdict_of(ask, question, ask->patient ? OPEN_COUNT : OPEN_COUNT_UNLESS_SILENT);
}

static bool is_over(const struct ask *ask, const struct question *question)
{
    return question->answered || !has_open(ask, question) ||
           verdict_now(ask, question) != RESOLVE_FAILED;
}

static bool any_has_route(const struct question *question)
{
    for (size_t i = 0; i < question->reply.count; i++) {
        const struct address address = address_make(&question->reply.addresses[i], DNS_PORT);
        if (resolve_has_route(&address))
            return true;
    }
    return false;
}

static bool is_decided(const struct ask *ask, const struct question *question)
{
    return question->answered || (!ask->patient && verdict_now(ask, question) != RESOLVE_FAILED);
}

/*
 * True where there is nothing left to wait for. Once one family has an address with a route, the
 * other has LIMIT_DNS_STEP_MS more, or none where any server has said no to it; in an impatient
 * call also once one family does not exist.
 */
static bool is_enough(const struct ask *ask, deadline_ms *grace)
{
    const struct question *a = &ask->questions[0], *b = &ask->questions[1];
    if (is_over(ask, a) && is_over(ask, b))
        return true;
    const struct question *decided = is_decided(ask, a) ? a : b;
    if (!is_decided(ask, decided))
        return false;
    if (*grace == 0)
        *grace = !decided->answered || any_has_route(decided) ? clock_deadline(LIMIT_DNS_STEP_MS)
                                                              : DEADLINE_NEVER;
    if (decided->answered && *grace != DEADLINE_NEVER && says_no(decided == a ? b : a))
        return true;
    return clock_left_ms(*grace) == 0;
}

/* --- the loop --- */

struct waiting {
    struct pollfd entries[QUESTIONS * DNS_SERVERS_MAX + 1]; /* the last is the wake-up's */
    size_t count;
};

/* What still comes for a question that is answered is not waited for, since nobody reads it. */
static void add_entry(struct waiting *waiting, const struct question *question, size_t server)
{
    const struct attempt *attempt = &question->attempts[server];
    bool sending = attempt->tcp != NULL &&
                   attempt->tcp->sent < TCP_PREFIX_BYTES + question->query_size;
    waiting->entries[waiting->count++] = (struct pollfd){ .fd = question->answered ? -1
                                                                                   : attempt->fd,
                                                          .events = sending ? POLLOUT : POLLIN };
}

static void prepare(const struct ask *ask, struct waiting *waiting)
{
    const struct wake *wake = ask->resolver->wake;
    waiting->count = 0;
    for (size_t q = 0; q < QUESTIONS; q++)
        for (size_t i = 0; i < DNS_SERVERS_MAX; i++)
            add_entry(waiting, &ask->questions[q], i);
    waiting->entries[waiting->count++] = (struct pollfd){ .fd = wake != NULL ? wake->fd : -1,
                                                          .events = POLLIN };
}

static void read_replies(struct ask *ask, const struct waiting *waiting)
{
    for (size_t entry = 0; entry + 1 < waiting->count; entry++) {
        struct question *question = &ask->questions[entry / DNS_SERVERS_MAX];
        size_t server = entry % DNS_SERVERS_MAX;
        if (waiting->entries[entry].revents == 0 || question->answered)
            continue;
        if (question->attempts[server].tcp != NULL)
            step_tcp(ask, question, server);
        else
            read_udp(ask, question, server);
    }
}

/* Sends, waits and reads until there is enough or the limit has passed. */
static int run(struct ask *ask, deadline_ms limit, struct err *err)
{
    struct waiting waiting;
    deadline_ms grace = 0;
    for (;;) {
        deadline_ms until = limit;
        for (size_t q = 0; q < QUESTIONS; q++) {
            if (is_over(ask, &ask->questions[q]))
                continue;
            send_due(ask, &ask->questions[q]);
            until = clock_earlier(until, ask->questions[q].next);
        }
        if (is_enough(ask, &grace) || clock_left_ms(limit) == 0)
            return 0;
        if (grace != 0)
            until = clock_earlier(until, grace);
        prepare(ask, &waiting);
        int rc = poll(waiting.entries, waiting.count, clock_left_ms(until));
        if (rc < 0 && errno != EINTR)
            return err_system(err, ERR_RETRY, errno, "poll");
        if (rc > 0 && waiting.entries[waiting.count - 1].revents != 0)
            return err_set(err, ERR_CANCELLED, "given up");
        if (rc > 0)
            read_replies(ask, &waiting);
    }
}

/* Servers that did not answer while another one did are asked last from now on. */
static void note_silence(struct ask *ask)
{
    bool any_heard = false;
    for (size_t i = 0; i < DNS_SERVERS_MAX; i++)
        any_heard = any_heard || ask->heard[i];
    for (size_t i = 0; any_heard && i < ask->resolver->server_count; i++)
        for (size_t q = 0; q < QUESTIONS; q++)
            if (!ask->heard[i] && ask->questions[q].attempts[i].state == ASKED)
                ask->resolver->silent[i] = true;
}

static bool start_question(struct question *question, slice name, enum dns_type type)
{
    question->type = type;
    question->answered = false;
    question->queries = 0;
    question->next = clock_now_ms();
    question->reply.count = 0;
    for (size_t i = 0; i < DNS_SERVERS_MAX; i++)
        question->attempts[i] = (struct attempt){ .state = UNASKED, .fd = -1 };
    question->query_size = dns_write_query(question->query, (uint16_t)random_u32(), name, type);
    return question->query_size > 0;
}

static int conclude(struct ask *ask, uint16_t port, struct address_list *list)
{
    int outcome = RESOLVE_NO_NAME;
    for (size_t q = 0; q < QUESTIONS; q++) {
        const struct question *question = &ask->questions[q];
        for (size_t i = 0; i < question->reply.count; i++)
            address_list_add(list, &question->reply.addresses[i], port);
        int verdict = verdict_of(ask, question, ask->patient ? OPEN_DO_NOT_COUNT : OPEN_COUNT);
        if (verdict == RESOLVE_FAILED || outcome == RESOLVE_NO_NAME)
            outcome = verdict;
    }
    return list->count > 0 ? RESOLVE_FOUND : outcome;
}

int resolve_ask(struct resolver *resolver, slice name, deadline_ms limit, bool patient,
                uint16_t port, struct address_list *list, struct resolve_failure *failure,
                struct err *err)
{
    struct ask *ask = malloc(sizeof *ask);
    if (ask == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a look-up");
    ask->resolver = resolver;
    ask->patient = patient;
    ask->failure = failure;
    *failure = (struct resolve_failure){ 0 };
    memset(ask->heard, 0, sizeof ask->heard);
    bool valid = start_question(&ask->questions[0], name, DNS_AAAA);
    valid = start_question(&ask->questions[1], name, DNS_A) && valid;
    int rc = valid ? run(ask, clock_earlier(limit, resolver->deadline), err) : RESOLVE_NO_NAME;
    if (valid && rc == 0) {
        note_silence(ask);
        rc = conclude(ask, port, list);
    }
    for (size_t q = 0; q < QUESTIONS; q++)
        for (size_t i = 0; i < DNS_SERVERS_MAX; i++)
            close_attempt(&ask->questions[q].attempts[i], FAILED);
    free(ask);
    return rc;
}
