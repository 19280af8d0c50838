/*
 * net/tls_engine.h - moves bytes between BearSSL's state machine and the transport under it.
 *
 * BearSSL does no I/O: its state says whether it has records to send, room for received records,
 * room for plain bytes, or plain bytes to deliver. The engine asks before every step and keeps no
 * state of its own.
 * All functions block only in the transport under the engine. An engine belongs to one thread.
 */
#ifndef NET_TLS_ENGINE_H
#define NET_TLS_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include <bearssl.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"
#include "net/tls_sessions.h"
#include "net/transport.h"

/*
 * Some 41 KB, of which an idle connection has touched about 18: full records must fit both ways,
 * because with a smaller output buffer BearSSL asks the server for small records, too.
 */
struct tls_engine {
    br_ssl_client_context client;
    struct transport *under;   /* linked; must outlive the engine's last call */
    bool broken;               /* an error was returned: no more I/O, not even close_notify */
    char host[TLS_HOST_BYTES]; /* for errors */
    unsigned char in[BR_SSL_BUFSIZE_INPUT];
    unsigned char out[BR_SSL_BUFSIZE_OUTPUT];
};

/* Prepares a handshake. Errors: ERR_RETRY where the system gives no random bytes. */
int tls_engine_init(struct tls_engine *engine, struct transport *under, const char *host,
                    struct err *err);

/*
 * Does the handshake. server_name is sent as SNI, or none where it is NULL. `chain` checks the
 * server's certificates, and is not used afterwards. With resume, the session set in the client
 * is offered. Errors: those of the transport; else a text that names the host.
 */
int tls_engine_handshake(struct tls_engine *engine, const br_x509_class **chain,
                         const char *server_name, const br_ssl_session_parameters *resume,
                         deadline_ms deadline, struct err *err);

/* As the calls of the same name in net/transport.h. */
ptrdiff_t tls_engine_read(struct tls_engine *engine, void *bytes, size_t size, deadline_ms deadline,
                          struct err *err);
int tls_engine_write(struct tls_engine *engine, const slice *parts, size_t count,
                     deadline_ms deadline, struct err *err);
ptrdiff_t tls_engine_write_some(struct tls_engine *engine, const slice *parts, size_t count,
                                bool yields, deadline_ms deadline, struct err *err);
bool tls_engine_usable(struct tls_engine *engine);

/* Sends close_notify, where the stream is sound and that needs no waiting. */
void tls_engine_say_goodbye(struct tls_engine *engine);

#endif
