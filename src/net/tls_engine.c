#include "net/tls_engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "net/tls_crypto.h"
#include "net/tls_errors.h"

#define RECORD_HEADER_BYTES 5
#define RECORD_TYPE_FIRST 20 /* change_cipher_spec; then alert, handshake */
#define RECORD_TYPE_LAST 23  /* application_data */
#define RECORD_MAJOR 3       /* first byte of the version, from SSL 3 to TLS 1.3 */
#define FLIGHT_BYTES 512     /* a client's flights: a hello of some 250 bytes; 130 at the end */

static br_ssl_engine_context *core(struct tls_engine *engine)
{
    return &engine->client.eng;
}

/* From the system call: an image need not have a /dev. BearSSL's own seeder may add more. */
static int seed(struct tls_engine *engine, struct err *err)
{
    unsigned char bytes[32];
    for (size_t have = 0; have < sizeof bytes;) {
        ssize_t count = getrandom(bytes + have, sizeof bytes - have, 0);
        if (count < 0 && errno != EINTR)
            return err_system(err, ERR_RETRY, errno, "random bytes for TLS");
        have += count > 0 ? (size_t)count : 0;
    }
    br_ssl_engine_inject_entropy(core(engine), bytes, sizeof bytes);
    explicit_bzero(bytes, sizeof bytes);
    return 0;
}

int tls_engine_init(struct tls_engine *engine, struct transport *under, const char *host,
                    struct err *err)
{
    engine->under = under;
    engine->broken = false;
    snprintf(engine->host, sizeof engine->host, "%s", host);
    br_ssl_client_zero(&engine->client);
    tls_crypto_client(&engine->client);
    br_ssl_engine_set_buffers_bidi(core(engine), engine->in, sizeof engine->in, engine->out,
                                   sizeof engine->out);
    return seed(engine, err);
}

/* --- what went wrong --- */

/* True where these bytes cannot be a record header: the peer speaks another protocol. */
static bool is_not_tls(const struct tls_engine *engine)
{
    return engine->in[0] < RECORD_TYPE_FIRST || engine->in[0] > RECORD_TYPE_LAST ||
           engine->in[1] != RECORD_MAJOR;
}

static int handshake_failed(struct tls_engine *engine, struct err *err)
{
    int number = br_ssl_engine_last_error(core(engine));
    if (number == BR_ERR_UNSUPPORTED_VERSION && is_not_tls(engine))
        return err_set(err, ERR_PEER,
                       "%.100s answered with something that is not TLS; is it an http:// port?",
                       engine->host);
    return tls_handshake_error(err, engine->host, number);
}

/* Sets err for the state BearSSL has failed in. */
static int failed(struct tls_engine *engine, struct err *err)
{
    engine->broken = true;
    return tls_error(err, engine->host, br_ssl_engine_last_error(core(engine)));
}

/* --- records --- */

/*
 * Sends the records that are ready; where `yields` and the peer takes no more but has sent
 * something, less than that. What is left stays in BearSSL's buffer for the next call.
 */
static int send_ready(struct tls_engine *engine, bool yields, deadline_ms deadline, struct err *err)
{
    size_t count;
    const unsigned char *record;
    while ((record = br_ssl_engine_sendrec_buf(core(engine), &count)) != NULL) {
        const slice part = { (const char *)record, count };
        ptrdiff_t sent = engine->under->ops->write_some(engine->under, &part, 1, yields, deadline,
                                                        err);
        if (sent < 0)
            return (int)sent;
        br_ssl_engine_sendrec_ack(core(engine), (size_t)sent);
        if (yields && (size_t)sent < count)
            return 0;
    }
    return 0;
}

/* As send_ready, for the end of a message: half a record makes the connection useless. */
static int send_records(struct tls_engine *engine, deadline_ms deadline, struct err *err)
{
    int rc = send_ready(engine, false, deadline, err);
    engine->broken |= rc != 0;
    return rc;
}

/* As send_records, for the short records of a handshake: they leave together, in one packet. */
static int send_flight(struct tls_engine *engine, deadline_ms deadline, struct err *err)
{
    char flight[FLIGHT_BYTES];
    slice part = { flight, 0 };
    size_t count;
    const unsigned char *record;
    while ((record = br_ssl_engine_sendrec_buf(core(engine), &count)) != NULL) {
        if (count > sizeof flight - part.len)
            break;
        memcpy(flight + part.len, record, count);
        part.len += count;
        br_ssl_engine_sendrec_ack(core(engine), count);
    }
    int rc = engine->under->ops->write(engine->under, &part, 1, deadline, err);
    engine->broken |= rc != 0;
    return rc == 0 ? send_records(engine, deadline, err) : rc;
}

/*
 * Receives some bytes of a record. Returns 1, 0 at the end of the stream, or an error. A read that
 * was ended from outside loses nothing: the next one goes on.
 */
static int receive(struct tls_engine *engine, deadline_ms deadline, struct err *err)
{
    size_t room;
    unsigned char *into = br_ssl_engine_recvrec_buf(core(engine), &room);
    ptrdiff_t count = engine->under->ops->read(engine->under, into, room, deadline, err);
    engine->broken |= count <= 0 && count != ERR_TIMEOUT && count != ERR_CANCELLED;
    if (count <= 0)
        return (int)count;
    br_ssl_engine_recvrec_ack(core(engine), (size_t)count);
    return 1;
}

static bool has_state(struct tls_engine *engine, unsigned state)
{
    return (br_ssl_engine_current_state(core(engine)) & state) != 0;
}

/* --- handshake --- */

static int shake_hands(struct tls_engine *engine, deadline_ms deadline, struct err *err)
{
    for (;;) {
        if (has_state(engine, BR_SSL_CLOSED))
            return handshake_failed(engine, err);
        int rc = 0;
        if (has_state(engine, BR_SSL_SENDREC))
            rc = send_flight(engine, deadline, err);
        else if (has_state(engine, BR_SSL_SENDAPP))
            return 0;
        else if ((rc = receive(engine, deadline, err)) == 0)
            rc = err_set(err, ERR_RETRY, "the server closed the connection");
        if (rc < 0) {
            err_wrap(err, "TLS handshake with %.100s", engine->host);
            return rc;
        }
    }
}

int tls_engine_handshake(struct tls_engine *engine, const br_x509_class **chain,
                         const char *server_name, const br_ssl_session_parameters *resume,
                         deadline_ms deadline, struct err *err)
{
    br_ssl_engine_set_x509(core(engine), chain);
    if (resume != NULL)
        br_ssl_engine_set_session_parameters(core(engine), resume);
    int rc = br_ssl_client_reset(&engine->client, server_name, resume != NULL)
                 ? shake_hands(engine, deadline, err)
                 : handshake_failed(engine, err);
    br_ssl_engine_set_x509(core(engine), NULL); /* a second handshake is never done */
    return rc;
}

/* --- application data --- */

/* BearSSL takes no more records once it has seen the server's close_notify. */
static bool was_ended(struct tls_engine *engine)
{
    if (has_state(engine, BR_SSL_CLOSED))
        return br_ssl_engine_last_error(core(engine)) == BR_ERR_OK;
    return !has_state(engine, BR_SSL_RECVREC | BR_SSL_RECVAPP);
}

static int refuse_broken(struct tls_engine *engine, struct err *err)
{
    return err_set(err, ERR_RETRY, "TLS with %.100s: the connection broke before", engine->host);
}

ptrdiff_t tls_engine_read(struct tls_engine *engine, void *bytes, size_t size, deadline_ms deadline,
                          struct err *err)
{
    for (;;) {
        size_t count;
        const unsigned char *plain = br_ssl_engine_recvapp_buf(core(engine), &count);
        if (plain != NULL) {
            count = count < size ? count : size;
            memcpy(bytes, plain, count);
            br_ssl_engine_recvapp_ack(core(engine), count);
            return (ptrdiff_t)count;
        }
        if (was_ended(engine))
            return 0;
        if (has_state(engine, BR_SSL_CLOSED))
            return failed(engine, err);
        if (engine->broken)
            return refuse_broken(engine, err);
        /* The rest of a request, or an answer to a renegotiation. */
        int rc = send_ready(engine, true, deadline, err);
        if (rc == 0)
            rc = receive(engine, deadline, err);
        if (rc == 0)
            return err_set(err, ERR_RETRY,
                           "connection cut off: %.100s closed it without ending TLS", engine->host);
        if (rc < 0)
            return rc;
    }
}

/* Puts as much of the part as there is room for into the record at work. */
static size_t fill_record(struct tls_engine *engine, slice part)
{
    size_t room;
    unsigned char *record = br_ssl_engine_sendapp_buf(core(engine), &room);
    if (record == NULL)
        return 0;
    size_t count = part.len < room ? part.len : room;
    memcpy(record, part.ptr, count);
    br_ssl_engine_sendapp_ack(core(engine), count); /* a full record gets ready to be sent */
    return count;
}

/* Encrypts and sends the parts. *taken: how many of their bytes were. May end early by itself. */
static int write_parts(struct tls_engine *engine, const slice *parts, size_t count, bool yields,
                       deadline_ms deadline, size_t *taken, struct err *err)
{
    if (engine->broken)
        return refuse_broken(engine, err);
    for (size_t i = 0; i < count; i++) {
        for (slice rest = parts[i]; rest.len > 0;) {
            int rc = send_ready(engine, yields, deadline, err);
            if (rc != 0)
                return rc;
            if (has_state(engine, BR_SSL_SENDREC))
                return 0;
            size_t filled = fill_record(engine, rest);
            if (filled == 0)
                return has_state(engine, BR_SSL_CLOSED) && !was_ended(engine)
                           ? failed(engine, err)
                           : refuse_broken(engine, err);
            *taken += filled;
            rest = slice_skip(rest, filled);
        }
    }
    br_ssl_engine_flush(core(engine), 0);
    return send_ready(engine, yields, deadline, err);
}

int tls_engine_write(struct tls_engine *engine, const slice *parts, size_t count,
                     deadline_ms deadline, struct err *err)
{
    size_t taken = 0;
    int rc = write_parts(engine, parts, count, false, deadline, &taken, err);
    engine->broken |= rc != 0;
    return rc;
}

ptrdiff_t tls_engine_write_some(struct tls_engine *engine, const slice *parts, size_t count,
                                bool yields, deadline_ms deadline, struct err *err)
{
    size_t taken = 0;
    int rc = write_parts(engine, parts, count, yields, deadline, &taken, err);
    engine->broken |= rc != 0 && rc != ERR_TIMEOUT;
    return rc == 0 || (rc == ERR_TIMEOUT && taken > 0) ? (ptrdiff_t)taken : rc;
}

/* Idle and sound: nothing half sent, nothing half received, nothing unread, and no end seen. */
static bool is_idle(struct tls_engine *engine)
{
    size_t room;
    const unsigned char *into = br_ssl_engine_recvrec_buf(core(engine), &room);
    return !engine->broken && into == engine->in && room == RECORD_HEADER_BYTES &&
           br_ssl_engine_current_state(core(engine)) == (BR_SSL_SENDAPP | BR_SSL_RECVREC);
}

bool tls_engine_usable(struct tls_engine *engine)
{
    /* Whatever waits on the socket makes it useless: close_notify, an alert, a stray answer. */
    return is_idle(engine) && engine->under->ops->usable(engine->under);
}

void tls_engine_say_goodbye(struct tls_engine *engine)
{
    /* After half a record, a proper end would make a truncated message look complete. */
    if (engine->broken || has_state(engine, BR_SSL_CLOSED) ||
        !has_state(engine, BR_SSL_SENDAPP | BR_SSL_SENDREC))
        return;
    struct err ignored;
    if (has_state(engine, BR_SSL_SENDAPP))
        br_ssl_engine_close(core(engine));
    send_records(engine, clock_deadline(1), &ignored);
}
