/*
 * One client's connection to the benchmark platform: plain or TLS socket, HTTP/1.1 requests in,
 * one answer each out, keep-alive.
 *
 * Never blocks: every socket is non-blocking and the caller waits with epoll (level-triggered).
 * Any fault of a client (reset, malformed head, broken handshake) ends that connection and nothing
 * else. Bodies are counted and thrown away but for their first bytes, so a large result costs the
 * platform no memory. One thread only.
 */
#ifndef BENCH_CONN_H
#define BENCH_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

enum {
    CONN_HEAD_MAX = 16 * 1024, /* bytes of a request head; more ends the connection */
    CONN_BODY_KEPT = 128,      /* first bytes of a request body that are kept */
    CONN_TARGET_MAX = 1024, /* bytes of a request target that are kept; more ends the connection */
};

/* What conn_pump() found. */
enum conn_event {
    CONN_WAIT,    /* nothing more until the socket is ready again, see conn_wants_write() */
    CONN_REQUEST, /* a whole request was read: answer it now or later with conn_answer() */
    CONN_SENT,    /* the last byte of an answer was handed to the socket */
    CONN_CLOSED,  /* the peer is gone or at fault: free it */
};

/* The request read last. Valid from CONN_REQUEST until the answer was sent. */
struct conn_request {
    char target[CONN_TARGET_MAX];   /* path and query, ends in NUL */
    char body_kept[CONN_BODY_KEPT]; /* first bytes of the body, not terminated */
    size_t body_kept_len;           /* how many bytes of body_kept are set */
    uint64_t body_len;              /* bytes of the whole body */
    int64_t head_ns;                /* CLOCK_MONOTONIC when the whole head had been read */
    int64_t end_ns;                 /* the same for the whole body; head_ns where there is none */
};

struct conn;

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t now_ns(void);

/* Takes over the accepted socket `fd` (made non-blocking here). `tls` NULL: plain HTTP, else it
 * must outlive the connection. NULL when memory is short or a call fails; `fd` is closed then. */
struct conn *conn_new(int fd, SSL_CTX *tls);

/* Closes the socket, without waiting, and frees. NULL is allowed. */
void conn_free(struct conn *c);

/* Goes on as far as the socket allows. Call again at once after CONN_REQUEST (when it was
 * answered) and after CONN_SENT. */
enum conn_event conn_pump(struct conn *c);

/*
 * True where nothing has been read ahead and epoll tells of whatever comes: no use in another read
 * now. Never of a TLS connection, whose library may hold bytes.
 */
bool conn_is_drained(const struct conn *c);

/* Whether writability must be waited for too. Readability always is. */
bool conn_wants_write(const struct conn *c);

/* The request to answer. */
const struct conn_request *conn_request(const struct conn *c);

/* Starts an answer to the request: head, then `body` (`len` bytes, copied). To be called once for
 * each CONN_REQUEST. Nothing is written yet: conn_pump() does. Returns 0, or -1 out of memory. */
int conn_answer(struct conn *c, int status, const char *body, size_t len);

/* The same in two steps for a body built in place: conn_answer_begin() returns room for `len`
 * bytes of body (NULL: out of memory), which the caller fills completely. */
char *conn_answer_begin(struct conn *c, int status, size_t len);

/* The socket's number. */
int conn_fd(const struct conn *c);

/* Nanoseconds spent by this process in the TLS handshake; 0 for plain HTTP. */
int64_t conn_handshake_ns(const struct conn *c);

/* Whether the TLS session was resumed; false for plain HTTP. */
bool conn_resumed(const struct conn *c);

/* Full TLS handshakes that this process has completed so far, over all connections. */
long conn_full_handshakes(void);

/* Room for the owner: a list of all connections, the first job of the answer being sent (-1: none,
 * what conn_new() sets). Not touched here otherwise. */
struct conn_owner {
    struct conn *prev, *next;
    long job;
    bool watches_write; /* what epoll was last told */
    bool seen;          /* a request came on it */
    bool held;          /* its request has no answer yet */
};
struct conn_owner *conn_owner(struct conn *c);

#endif
