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

/*
 * Random bytes come from the system call, for an image need not have a /dev. BearSSL's own seeder
 * may add to them; that it finds nothing does not matter then.
 */
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

/* True where the record header at hand is none: some other protocol talks. */
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

static int send_bytes(struct tls_engine *engine, const void *bytes, size_t count,
                      deadline_ms deadline, struct err *err)
{
    const slice part = { bytes, count };
    int rc = engine->under->ops->write(engine->under, &part, 1, deadline, err);
    engine->broken |= rc != 0;
    return rc;
}

/* Sends the records that are ready. */
static int send_records(struct tls_engine *engine, deadline_ms deadline, struct err *err)
{
    size_t count;
    const unsigned char *record;
    while ((record = br_ssl_engine_sendrec_buf(core(engine), &count)) != NULL) {
        int rc = send_bytes(engine, record, count, deadline, err);
        if (rc != 0)
            return rc;
        br_ssl_engine_sendrec_ack(core(engine), count);
    }
    return 0;
}

/*
 * As send_records, for the short records of a handshake: BearSSL gives them out one by one, and
 * they leave together, in one packet.
 */
static int send_flight(struct tls_engine *engine, deadline_ms deadline, struct err *err)
{
    unsigned char flight[FLIGHT_BYTES];
    size_t used = 0, count;
    const unsigned char *record;
    while ((record = br_ssl_engine_sendrec_buf(core(engine), &count)) != NULL) {
        if (count > sizeof flight - used)
            break;
        memcpy(flight + used, record, count);
        used += count;
        br_ssl_engine_sendrec_ack(core(engine), count);
    }
    int rc = used > 0 ? send_bytes(engine, flight, used, deadline, err) : 0;
    return rc == 0 ? send_records(engine, deadline, err) : rc;
}

/* Receives some bytes of a record. Returns 1, 0 at the end of the stream, or an error. */
static int receive(struct tls_engine *engine, deadline_ms deadline, struct err *err)
{
    size_t room;
    unsigned char *into = br_ssl_engine_recvrec_buf(core(engine), &room);
    ptrdiff_t count = engine->under->ops->read(engine->under, into, room, deadline, err);
    engine->broken |= count <= 0;
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
        int rc = send_records(engine, deadline, err); /* an answer to a renegotiation, say */
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

int tls_engine_write(struct tls_engine *engine, const slice *parts, size_t count,
                     deadline_ms deadline, struct err *err)
{
    if (engine->broken)
        return refuse_broken(engine, err);
    for (size_t i = 0; i < count; i++) {
        for (slice rest = parts[i]; rest.len > 0;) {
            int rc = send_records(engine, deadline, err);
            if (rc != 0)
                return rc;
            size_t taken = fill_record(engine, rest);
            if (taken == 0)
                return has_state(engine, BR_SSL_CLOSED) && !was_ended(engine)
                           ? failed(engine, err)
                           : refuse_broken(engine, err);
            rest = slice_skip(rest, taken);
        }
    }
    br_ssl_engine_flush(core(engine), 0);
    return send_records(engine, deadline, err);
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
    /* Whatever waits on the socket is bad news: close_notify, an alert, or an answer too many. */
    return is_idle(engine) && engine->under->ops->usable(engine->under);
}

void tls_engine_say_goodbye(struct tls_engine *engine)
{
    /* After half a record, a proper end would make a cut-off message look whole. */
    if (engine->broken || has_state(engine, BR_SSL_CLOSED) ||
        !has_state(engine, BR_SSL_SENDAPP | BR_SSL_SENDREC))
        return;
    struct err ignored;
    if (has_state(engine, BR_SSL_SENDAPP))
        br_ssl_engine_close(core(engine));
    send_records(engine, clock_now_ms(), &ignored);
}
