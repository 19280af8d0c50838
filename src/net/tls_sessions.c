#include "net/tls_sessions.h"

#include <string.h>
#include <time.h>

bool tls_sessions_init(struct tls_sessions *sessions)
{
    memset(sessions, 0, sizeof *sessions);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* base/clock.h's deadlines */
    bool ready = pthread_cond_init(&sessions->first_ended, &attributes) == 0 &&
                 pthread_mutex_init(&sessions->lock, NULL) == 0;
    pthread_condattr_destroy(&attributes);
    return ready;
}

void tls_sessions_free(struct tls_sessions *sessions)
{
    pthread_mutex_destroy(&sessions->lock);
    pthread_cond_destroy(&sessions->first_ended);
    explicit_bzero(sessions, sizeof *sessions);
}

static struct tls_session *find(struct tls_sessions *sessions, const char *host, uint16_t port)
{
    for (size_t i = 0; i < TLS_SESSIONS; i++)
        if (sessions->all[i].port == port && strcmp(sessions->all[i].host, host) == 0)
            return &sessions->all[i];
    return NULL;
}

static bool resumable(const struct tls_session *session)
{
    return session->parameters.session_id_len > 0 &&
           clock_now_ms() - session->made_ms < TLS_SESSION_LIFE_MS;
}

static bool same_id(const br_ssl_session_parameters *a, const br_ssl_session_parameters *b)
{
    return a->session_id_len == b->session_id_len &&
           memcmp(a->session_id, b->session_id, a->session_id_len) == 0;
}

/* The place for a new host: free, or longest unused. NULL where all have a handshake under way. */
static struct tls_session *make_room(struct tls_sessions *sessions, const char *host, uint16_t port)
{
    struct tls_session *place = NULL;
    for (size_t i = 0; i < TLS_SESSIONS; i++) {
        struct tls_session *each = &sessions->all[i];
        if (!each->first_under_way && (place == NULL || each->last_use < place->last_use))
            place = each;
    }
    if (place == NULL || strlen(host) >= sizeof place->host)
        return NULL;
    explicit_bzero(place, sizeof *place);
    memcpy(place->host, host, strlen(host) + 1);
    place->port = port;
    return place;
}

static struct timespec timespec_of(deadline_ms deadline)
{
    return (struct timespec){ .tv_sec = (time_t)(deadline / 1000),
                              .tv_nsec = (long)(deadline % 1000) * 1000000 };
}

static bool can_resume(struct tls_sessions *sessions, const char *host, uint16_t port)
{
    const struct tls_session *session = find(sessions, host, port);
    return session != NULL && resumable(session);
}

/* Waits for the end of the first handshake there. The place may then be another host's. */
static void wait_for_first(struct tls_sessions *sessions, const struct tls_session *session,
                           const char *host, uint16_t port, deadline_ms deadline)
{
    deadline_ms until = clock_earlier(deadline, clock_deadline(TLS_SESSION_WAIT_MS));
    const struct timespec at = timespec_of(until);
    const unsigned ended = session->firsts_ended;
    while (session != NULL && session->first_under_way && session->firsts_ended == ended) {
        if (pthread_cond_timedwait(&sessions->first_ended, &sessions->lock, &at) != 0)
            return;
        session = find(sessions, host, port);
    }
}

/* Makes the caller's handshake the one that others wait for. NULL where there is no room for it. */
static struct tls_session *begin_first(struct tls_sessions *sessions, struct tls_session *session,
                                       const char *host, uint16_t port)
{
    if (session == NULL)
        session = make_room(sessions, host, port);
    if (session != NULL)
        session->first_under_way = true;
    return session;
}

static enum tls_session_role choose_role(struct tls_sessions *sessions, const char *host,
                                         uint16_t port, deadline_ms deadline)
{
    struct tls_session *session = find(sessions, host, port);
    if (session != NULL && session->first_under_way) {
        wait_for_first(sessions, session, host, port, deadline);
        return can_resume(sessions, host, port) ? TLS_SESSION_RESUME : TLS_SESSION_ALONE;
    }
    if (session != NULL && resumable(session))
        return TLS_SESSION_RESUME;
    return begin_first(sessions, session, host, port) != NULL ? TLS_SESSION_FIRST
                                                              : TLS_SESSION_ALONE;
}

enum tls_session_role tls_sessions_begin(struct tls_sessions *sessions, const char *host,
                                         uint16_t port, deadline_ms deadline,
                                         br_ssl_session_parameters *found)
{
    pthread_mutex_lock(&sessions->lock);
    enum tls_session_role role = choose_role(sessions, host, port, deadline);
    struct tls_session *session = find(sessions, host, port);
    if (session != NULL)
        session->last_use = ++sessions->uses;
    if (session != NULL && role == TLS_SESSION_RESUME)
        *found = session->parameters;
    pthread_mutex_unlock(&sessions->lock);
    return role;
}

void tls_sessions_end(struct tls_sessions *sessions, const char *host, uint16_t port,
                      enum tls_session_role role, const br_ssl_session_parameters *made)
{
    pthread_mutex_lock(&sessions->lock);
    struct tls_session *session = find(sessions, host, port);
    if (session == NULL && made != NULL && made->session_id_len > 0)
        session = make_room(sessions, host, port);
    if (session != NULL) {
        if (made != NULL) {
            /* Resumed, it keeps its age: the certificate was checked when it was made. */
            if (!same_id(&session->parameters, made))
                session->made_ms = clock_now_ms();
            session->parameters = *made;
            session->last_use = ++sessions->uses;
        } else if (role == TLS_SESSION_RESUME) {
            explicit_bzero(&session->parameters, sizeof session->parameters);
        }
        if (role == TLS_SESSION_FIRST) {
            session->first_under_way = false;
            session->firsts_ended++;
        }
    }
    if (role == TLS_SESSION_FIRST)
        pthread_cond_broadcast(&sessions->first_ended);
    pthread_mutex_unlock(&sessions->lock);
}
