/*
 * net/tls_sessions.h - sessions to resume, by host and port, so that only the first handshake
 * with a server is a full one.
 *
 * BearSSL resumes by session id (RFC 5246, section 7.3), not by ticket: with a server that hands
 * out no ids every handshake is full, and nothing is remembered here.
 *
 * Several threads may connect to one server at the same moment. Then one of them does the full
 * handshake and the others wait for its session, but only while that handshake is under way, at
 * most TLS_SESSION_WAIT_MS, and never past their own deadline.
 *
 * A session holds key material. Copies are wiped by whoever holds them. All functions may be
 * called from any thread; only tls_sessions_begin may wait.
 */
#ifndef NET_TLS_SESSIONS_H
#define NET_TLS_SESSIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <bearssl.h>

#include "base/clock.h"

#define TLS_HOST_BYTES 256 /* a DNS name or an address as text, NUL included */
#define TLS_SESSIONS 6     /* hosts remembered: platform, a proxy, a few of a handler's */
#define TLS_SESSION_WAIT_MS 3000
#define TLS_SESSION_LIFE_MS (24ll * 60 * 60 * 1000) /* RFC 5246, appendix F.1.4 */

struct tls_session {
    char host[TLS_HOST_BYTES]; /* empty: a free place */
    uint16_t port;
    bool first_under_way;  /* a thread does the first handshake; the place is not reused */
    unsigned firsts_ended; /* tells one first handshake from the next */
    int64_t made_ms;       /* when the full handshake was; for the session's age */
    uint64_t last_use;     /* counts up; the smallest makes room */
    br_ssl_session_parameters parameters; /* session_id_len 0: no session */
};

struct tls_sessions {
    pthread_mutex_t lock;
    pthread_cond_t first_ended;
    uint64_t uses;
    struct tls_session all[TLS_SESSIONS];
};

/* What the caller of tls_sessions_begin is to do. */
enum tls_session_role {
    TLS_SESSION_RESUME, /* the session found */
    TLS_SESSION_FIRST,  /* a full handshake that others may wait for */
    TLS_SESSION_ALONE,  /* a full handshake */
};

/* Returns false where the system has no room for a condition variable. */
bool tls_sessions_init(struct tls_sessions *sessions);

/* Wipes everything. No thread may be inside another function. */
void tls_sessions_free(struct tls_sessions *sessions);

/*
 * Decides how to do the next handshake with host and port. Waits for another thread's first
 * handshake there to end. With TLS_SESSION_RESUME *found is a copy of the session. Every call must
 * be followed by tls_sessions_end.
 */
enum tls_session_role tls_sessions_begin(struct tls_sessions *sessions, const char *host,
                                         uint16_t port, deadline_ms deadline,
                                         br_ssl_session_parameters *found);

/*
 * Reports how that handshake ended: with this session, copied and remembered if it has an id, or,
 * where `made` is NULL, without one. A session that could not be resumed is forgotten. Ends the
 * wait of others.
 */
void tls_sessions_end(struct tls_sessions *sessions, const char *host, uint16_t port,
                      enum tls_session_role role, const br_ssl_session_parameters *made);

#endif
