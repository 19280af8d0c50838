#include "conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <openssl/err.h>

enum state { HANDSHAKE, HEAD, BODY, HELD, SENDING };

enum { HEAD_ROOM = 256 }; /* bytes kept free before a body for the answer's head */

struct conn {
    int fd;
    SSL *ssl; /* NULL: plain */
    enum state state;
    bool wants_write;
    bool close_after; /* the client asked for it */
    int64_t read_ns;  /* when the last bytes came */
    int64_t handshake_ns;
    uint64_t body_left;
    size_t in_len;
    char *out; /* grows to the largest answer and is kept */
    size_t out_cap, out_pos, out_end;
    struct conn_owner owner;
    struct conn_request request;
    char in[CONN_HEAD_MAX];
};

static char scratch[256 * 1024]; /* where bodies go: shared, as nobody reads them */

static long full_handshakes;

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct conn *conn_new(int fd, SSL_CTX *tls)
{
    static const int one = 1;
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        goto fail;
    c->fd = fd;
    c->state = tls == NULL ? HEAD : HANDSHAKE;
    c->owner.job = -1;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        goto fail;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (tls != NULL) {
        c->ssl = SSL_new(tls);
        if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1)
            goto fail;
    }
    return c;
fail:
    if (c != NULL)
        SSL_free(c->ssl);
    free(c);
    close(fd);
    return NULL;
}

void conn_free(struct conn *c)
{
    if (c == NULL)
        return;
    if (c->ssl != NULL) {
        if (c->state != HANDSHAKE)
            (void)SSL_shutdown(c->ssl); /* best effort: the alert goes out or it does not */
        ERR_clear_error();
        SSL_free(c->ssl);
    }
    close(c->fd);
    free(c->out);
    free(c);
}

/* Turns OpenSSL's verdict into read()'s conventions: 0 closed, -1 try later, -2 broken. */
static long tls_verdict(struct conn *c, int ret)
{
    switch (SSL_get_error(c->ssl, ret)) {
    case SSL_ERROR_WANT_READ: return -1;
    case SSL_ERROR_WANT_WRITE: c->wants_write = true; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    default: ERR_clear_error(); return -2;
    }
}

static long sys_verdict(long ret)
{
    if (ret >= 0)
        return ret;
    return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -2;
}

/* Bytes read (> 0), 0 at the end of the stream, -1 try later, -2 broken. */
static long conn_read(struct conn *c, char *buf, size_t len)
{
    long n;
    if (c->ssl != NULL) {
        int got = SSL_read(c->ssl, buf, (int)len);
        n = got > 0 ? got : tls_verdict(c, got);
    } else {
        do
            n = read(c->fd, buf, len);
        while (n < 0 && errno == EINTR);
        n = sys_verdict(n);
    }
    if (n > 0)
        c->read_ns = now_ns();
    return n;
}

/* Bytes written (> 0), -1 try later, otherwise broken. */
static long conn_write(struct conn *c, const char *buf, size_t len)
{
    if (c->ssl != NULL) {
        int chunk = len > 1 << 20 ? 1 << 20 : (int)len;
        int put = SSL_write(c->ssl, buf, chunk);
        return put > 0 ? put : tls_verdict(c, put);
    }
    long n;
    do
        n = send(c->fd, buf, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return sys_verdict(n);
}

/* Whether the head line [line, end) is the field `name`; then its value goes to `value`. */
static bool field(const char *line, const char *end, const char *name, char *value, size_t cap)
{
    size_t name_len = strlen(name);
    if ((size_t)(end - line) <= name_len || line[name_len] != ':' ||
        strncasecmp(line, name, name_len) != 0)
        return false;
    line += name_len + 1;
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    size_t len = (size_t)(end - line);
    if (len >= cap)
        len = cap - 1;
    memcpy(value, line, len);
    value[len] = '\0';
    return true;
}

/* Reads the request line's target. 0 or -1. */
static int parse_request_line(struct conn *c, const char *line, const char *end)
{
    const char *space = memchr(line, ' ', (size_t)(end - line));
    if (space == NULL)
        return -1;
    const char *target = space + 1;
    space = memchr(target, ' ', (size_t)(end - target));
    if (space == NULL || space - target >= CONN_TARGET_MAX || end - space < 9 ||
        memcmp(space, " HTTP/1.", 8) != 0)
        return -1;
    memcpy(c->request.target, target, (size_t)(space - target));
    c->request.target[space - target] = '\0';
    c->close_after = space[8] == '0';
    return 0;
}

static int parse_field(struct conn *c, const char *line, const char *end)
{
    char value[64];
    if (field(line, end, "content-length", value, sizeof value)) {
        char *rest;
        errno = 0;
        c->request.body_len = strtoull(value, &rest, 10);
        if (errno != 0 || rest == value || *rest != '\0' || value[0] == '-')
            return -1;
    } else if (field(line, end, "transfer-encoding", value, sizeof value)) {
        return -1; /* a worker always gives the length */
    } else if (field(line, end, "connection", value, sizeof value)) {
        c->close_after = strcasecmp(value, "close") == 0;
    }
    return 0;
}

/* Parses the head of `len` bytes, blank line included, in c->in. 0 or -1. */
static int parse_head(struct conn *c, size_t len)
{
    const char *line = c->in, *stop = c->in + len - 2;
    c->request = (struct conn_request){ .head_ns = c->read_ns, .end_ns = c->read_ns };
    for (bool first = true; line < stop; first = false) {
        const char *end = memmem(line, (size_t)(c->in + len - line), "\r\n", 2);
        if (end == NULL)
            return -1;
        if ((first ? parse_request_line(c, line, end) : parse_field(c, line, end)) != 0)
            return -1;
        line = end + 2;
    }
    c->body_left = c->request.body_len;
    return 0;
}

/* Notes that `len` more bytes of the body came. */
static void take_body(struct conn *c, const char *bytes, size_t len)
{
    struct conn_request *r = &c->request;
    size_t keep = sizeof r->body_kept - r->body_kept_len;
    if (keep > len)
        keep = len;
    memcpy(r->body_kept + r->body_kept_len, bytes, keep);
    r->body_kept_len += keep;
    r->end_ns = c->read_ns;
    c->body_left -= len;
}

static enum conn_event stalled(long verdict)
{
    return verdict == -1 ? CONN_WAIT : CONN_CLOSED;
}

/* Fills c->in. CONN_WAIT, CONN_CLOSED, or CONN_SENT for "some bytes came". */
static enum conn_event fill(struct conn *c)
{
    if (c->in_len == sizeof c->in)
        return CONN_CLOSED;
    long n = conn_read(c, c->in + c->in_len, sizeof c->in - c->in_len);
    if (n <= 0)
        return stalled(n);
    c->in_len += (size_t)n;
    return CONN_SENT;
}

static enum conn_event pump_head(struct conn *c)
{
    char *blank;
    while ((blank = memmem(c->in, c->in_len, "\r\n\r\n", 4)) == NULL) {
        enum conn_event e = fill(c);
        if (e != CONN_SENT)
            return e;
    }
    size_t head_len = (size_t)(blank + 4 - c->in);
    if (parse_head(c, head_len) != 0)
        return CONN_CLOSED;
    size_t body = c->in_len - head_len;
    if (body > c->body_left)
        body = (size_t)c->body_left;
    take_body(c, c->in + head_len, body);
    c->in_len -= head_len + body;
    memmove(c->in, c->in + head_len + body, c->in_len);
    c->state = BODY;
    return CONN_SENT;
}

static enum conn_event pump_body(struct conn *c)
{
    while (c->body_left > 0) {
        size_t want = c->body_left < sizeof scratch ? (size_t)c->body_left : sizeof scratch;
        long n = conn_read(c, scratch, want);
        if (n <= 0)
            return stalled(n);
        take_body(c, scratch, (size_t)n);
    }
    c->state = HELD;
    return CONN_REQUEST;
}

/* Nothing is expected here but the client's leaving; early bytes of a next request are kept. */
static enum conn_event pump_held(struct conn *c)
{
    enum conn_event e;
    while ((e = fill(c)) == CONN_SENT)
        ;
    return e;
}

static enum conn_event pump_out(struct conn *c)
{
    while (c->out_pos < c->out_end) {
        long n = conn_write(c, c->out + c->out_pos, c->out_end - c->out_pos);
        if (n <= 0) {
            c->wants_write = n == -1;
            return stalled(n);
        }
        c->out_pos += (size_t)n;
    }
    if (c->close_after)
        return CONN_CLOSED;
    c->state = HEAD;
    return CONN_SENT;
}

static enum conn_event pump_handshake(struct conn *c)
{
    int64_t begin = now_ns();
    int ret = SSL_accept(c->ssl);
    c->handshake_ns += now_ns() - begin;
    if (ret != 1)
        return stalled(tls_verdict(c, ret));
    full_handshakes += SSL_session_reused(c->ssl) == 0;
    c->state = HEAD;
    return CONN_SENT;
}

enum conn_event conn_pump(struct conn *c)
{
    c->wants_write = false;
    for (;;) {
        enum conn_event e;
        switch (c->state) {
        case HANDSHAKE: e = pump_handshake(c); break;
        case HEAD: e = pump_head(c); break;
        case BODY: return pump_body(c);
        case HELD: return pump_held(c);
        case SENDING:
        default: return pump_out(c);
        }
        if (e != CONN_SENT)
            return e;
    }
}

bool conn_is_drained(const struct conn *c)
{
    return c->ssl == NULL && c->state == HEAD && c->in_len == 0;
}

bool conn_wants_write(const struct conn *c)
{
    return c->wants_write;
}

const struct conn_request *conn_request(const struct conn *c)
{
    return &c->request;
}

static const char *reason(int status)
{
    switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 404: return "Not Found";
    default: return status >= 500 ? "Internal Server Error" : "Refused";
    }
}

char *conn_answer_begin(struct conn *c, int status, size_t len)
{
    if (c->out_cap < HEAD_ROOM + len) {
        free(c->out);
        c->out_cap = HEAD_ROOM + len;
        c->out = malloc(c->out_cap);
        if (c->out == NULL) {
            c->out_cap = 0;
            return NULL;
        }
    }
    char length[48] = "";
    if (status != 204)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", len);
    int head = snprintf(
        c->out, HEAD_ROOM,
        "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n%sConnection: %s\r\n\r\n", status,
        reason(status), length, c->close_after ? "close" : "keep-alive");
    c->out_pos = 0;
    c->out_end = (size_t)head + len;
    c->state = SENDING;
    return c->out + head;
}

int conn_answer(struct conn *c, int status, const char *body, size_t len)
{
    char *room = conn_answer_begin(c, status, len);
    if (room == NULL)
        return -1;
    memcpy(room, body, len);
    return 0;
}

int conn_fd(const struct conn *c)
{
    return c->fd;
}

int64_t conn_handshake_ns(const struct conn *c)
{
    return c->handshake_ns;
}

bool conn_resumed(const struct conn *c)
{
    return c->ssl != NULL && SSL_session_reused(c->ssl) == 1;
}

long conn_full_handshakes(void)
{
    return full_handshakes;
}

struct conn_owner *conn_owner(struct conn *c)
{
    return &c->owner;
}
