/* net/tls_sessions: what is remembered, what is forgotten, and who waits for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "net/tls_sessions.h"

#define THREADS 8

static struct tls_sessions sessions;

static br_ssl_session_parameters session_numbered(unsigned char number)
{
    br_ssl_session_parameters session = { .session_id_len = 32, .version = BR_TLS12 };
    memset(session.session_id, number, sizeof session.session_id);
    memset(session.master_secret, number, sizeof session.master_secret);
    return session;
}

static enum tls_session_role begin(const char *host, uint16_t port,
                                   br_ssl_session_parameters *found)
{
    return tls_sessions_begin(&sessions, host, port, DEADLINE_NEVER, found);
}

/* A handshake that makes this session; 0: none with an id. */
static enum tls_session_role connect_once(const char *host, uint16_t port, unsigned char number)
{
    br_ssl_session_parameters found, made = session_numbered(number);
    made.session_id_len = number != 0 ? 32 : 0;
    enum tls_session_role role = begin(host, port, &found);
    tls_sessions_end(&sessions, host, port, role, &made);
    return role;
}

static int set_up(void **state)
{
    (void)state;
    return tls_sessions_init(&sessions) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    tls_sessions_free(&sessions);
    for (size_t i = 0; i < sizeof sessions; i++)
        if (((const unsigned char *)&sessions)[i] != 0)
            return -1; /* key material is left */
    return 0;
}

static void a_session_is_found_by_host_and_port(void **state)
{
    (void)state;
    br_ssl_session_parameters found;
    assert_int_equal(connect_once("a.test", 443, 1), TLS_SESSION_FIRST);
    assert_int_equal(connect_once("a.test", 444, 2), TLS_SESSION_FIRST);
    assert_int_equal(connect_once("b.test", 443, 3), TLS_SESSION_FIRST);
    assert_int_equal(begin("a.test", 443, &found), TLS_SESSION_RESUME);
    assert_int_equal(found.session_id[0], 1);
    assert_int_equal(found.master_secret[47], 1);
    tls_sessions_end(&sessions, "a.test", 443, TLS_SESSION_RESUME, &found);
    assert_int_equal(begin("a.test", 444, &found), TLS_SESSION_RESUME);
    assert_int_equal(found.session_id[0], 2);
    tls_sessions_end(&sessions, "a.test", 444, TLS_SESSION_RESUME, &found);
}

static void a_new_session_replaces_the_old(void **state)
{
    (void)state;
    br_ssl_session_parameters found;
    connect_once("a.test", 443, 1);
    assert_int_equal(connect_once("a.test", 443, 2), TLS_SESSION_RESUME); /* the server refused */
    assert_int_equal(begin("a.test", 443, &found), TLS_SESSION_RESUME);
    assert_int_equal(found.session_id[0], 2);
    tls_sessions_end(&sessions, "a.test", 443, TLS_SESSION_RESUME, &found);
}

static void a_session_without_id_is_none(void **state)
{
    (void)state;
    assert_int_equal(connect_once("a.test", 443, 0), TLS_SESSION_FIRST);
    assert_int_equal(connect_once("a.test", 443, 0), TLS_SESSION_FIRST);
    assert_int_equal(connect_once("a.test", 443, 1), TLS_SESSION_FIRST);
    assert_int_equal(connect_once("a.test", 443, 0), TLS_SESSION_RESUME);
    assert_int_equal(connect_once("a.test", 443, 0), TLS_SESSION_FIRST);
}

static void what_cannot_be_resumed_is_forgotten(void **state)
{
    (void)state;
    br_ssl_session_parameters found;
    connect_once("a.test", 443, 1);
    assert_int_equal(begin("a.test", 443, &found), TLS_SESSION_RESUME);
    tls_sessions_end(&sessions, "a.test", 443, TLS_SESSION_RESUME, NULL);
    assert_int_equal(begin("a.test", 443, &found), TLS_SESSION_FIRST);
    tls_sessions_end(&sessions, "a.test", 443, TLS_SESSION_FIRST, NULL);
    assert_int_equal(begin("a.test", 443, &found), TLS_SESSION_FIRST);
    tls_sessions_end(&sessions, "a.test", 443, TLS_SESSION_FIRST, NULL);
}

static void sessions_grow_old_however_often_they_are_used(void **state)
{
    (void)state;
    connect_once("a.test", 443, 1);
    sessions.all[0].made_ms -= TLS_SESSION_LIFE_MS - 60000;
    assert_int_equal(connect_once("a.test", 443, 1), TLS_SESSION_RESUME);
    sessions.all[0].made_ms -= 60000;
    assert_int_equal(connect_once("a.test", 443, 2), TLS_SESSION_FIRST);
    assert_int_equal(connect_once("a.test", 443, 2), TLS_SESSION_RESUME);
}

static void the_longest_unused_makes_room(void **state)
{
    (void)state;
    char host[16];
    for (unsigned i = 0; i < TLS_SESSIONS; i++) {
        snprintf(host, sizeof host, "%u.test", i);
        connect_once(host, 443, 1);
    }
    assert_int_equal(connect_once("0.test", 443, 1), TLS_SESSION_RESUME);
    assert_int_equal(connect_once("new.test", 443, 1), TLS_SESSION_FIRST);
    assert_int_equal(connect_once("0.test", 443, 1), TLS_SESSION_RESUME);
    assert_int_equal(connect_once("2.test", 443, 1), TLS_SESSION_RESUME);
    assert_int_equal(connect_once("1.test", 443, 1), TLS_SESSION_FIRST);
}

/* From its beginning on: it is not the one that makes room meanwhile. */
static void a_session_that_is_being_resumed_is_in_use(void **state)
{
    (void)state;
    br_ssl_session_parameters found;
    char host[16];
    for (unsigned i = 0; i < TLS_SESSIONS; i++) {
        snprintf(host, sizeof host, "%u.test", i);
        connect_once(host, 443, 1);
    }
    assert_int_equal(begin("0.test", 443, &found), TLS_SESSION_RESUME);
    assert_int_equal(connect_once("new.test", 443, 1), TLS_SESSION_FIRST);
    assert_int_equal(connect_once("0.test", 443, 1), TLS_SESSION_RESUME);
    tls_sessions_end(&sessions, "0.test", 443, TLS_SESSION_RESUME, &found);
}

/* There was no room for it when it began. */
static void a_session_made_alone_is_kept_where_there_is_room(void **state)
{
    (void)state;
    br_ssl_session_parameters found, made = session_numbered(7), none = { 0 };
    char host[16];
    for (unsigned i = 0; i < TLS_SESSIONS; i++) {
        snprintf(host, sizeof host, "%u.test", i);
        assert_int_equal(begin(host, 443, &found), TLS_SESSION_FIRST);
    }
    assert_int_equal(begin("late.test", 443, &found), TLS_SESSION_ALONE);
    assert_int_equal(begin("none.test", 443, &found), TLS_SESSION_ALONE);
    for (unsigned i = 0; i < TLS_SESSIONS; i++) {
        snprintf(host, sizeof host, "%u.test", i);
        tls_sessions_end(&sessions, host, 443, TLS_SESSION_FIRST, &made);
    }
    tls_sessions_end(&sessions, "late.test", 443, TLS_SESSION_ALONE, &made);
    tls_sessions_end(&sessions, "none.test", 443, TLS_SESSION_ALONE, &none);
    assert_int_equal(connect_once("late.test", 443, 7), TLS_SESSION_RESUME);
    assert_int_equal(connect_once("1.test", 443, 7), TLS_SESSION_RESUME); /* 0.test made room */
}

static void a_handshake_under_way_keeps_its_place(void **state)
{
    (void)state;
    br_ssl_session_parameters found, made = session_numbered(7);
    char host[16];
    for (unsigned i = 0; i < TLS_SESSIONS; i++) {
        snprintf(host, sizeof host, "%u.test", i);
        assert_int_equal(begin(host, 443, &found), TLS_SESSION_FIRST);
    }
    assert_int_equal(connect_once("late.test", 443, 1), TLS_SESSION_ALONE);
    assert_int_equal(connect_once("late.test", 443, 1), TLS_SESSION_ALONE);
    for (unsigned i = 0; i < TLS_SESSIONS; i++) {
        snprintf(host, sizeof host, "%u.test", i);
        tls_sessions_end(&sessions, host, 443, TLS_SESSION_FIRST, &made);
        assert_int_equal(connect_once(host, 443, 7), TLS_SESSION_RESUME);
    }
}

static void a_host_too_long_is_not_remembered(void **state)
{
    (void)state;
    char host[TLS_HOST_BYTES + 1];
    memset(host, 'a', TLS_HOST_BYTES);
    host[TLS_HOST_BYTES] = '\0';
    assert_int_equal(connect_once(host, 443, 1), TLS_SESSION_ALONE);
    assert_int_equal(connect_once(host, 443, 1), TLS_SESSION_ALONE);
}

static void nobody_waits_past_the_deadline(void **state)
{
    (void)state;
    br_ssl_session_parameters found;
    assert_int_equal(begin("a.test", 443, &found), TLS_SESSION_FIRST);
    assert_int_equal(tls_sessions_begin(&sessions, "a.test", 443, clock_now_ms(), &found),
                     TLS_SESSION_ALONE);
    tls_sessions_end(&sessions, "a.test", 443, TLS_SESSION_ALONE, NULL);
    assert_int_equal(begin("b.test", 443, &found), TLS_SESSION_FIRST);
    tls_sessions_end(&sessions, "b.test", 443, TLS_SESSION_FIRST, NULL);
    tls_sessions_end(&sessions, "a.test", 443, TLS_SESSION_FIRST, NULL);
}

/* --- several threads ------------------------------------------------------------------------ */

struct client {
    pthread_t thread;
    enum tls_session_role role;
    br_ssl_session_parameters found;
};

static void *client_run(void *argument)
{
    struct client *client = argument;
    client->role = begin("a.test", 443, &client->found);
    tls_sessions_end(&sessions, "a.test", 443, client->role,
                     client->role == TLS_SESSION_RESUME ? &client->found : NULL);
    return NULL;
}

static void start(struct client clients[THREADS])
{
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&clients[i].thread, NULL, client_run, &clients[i]), 0);
}

static void join(struct client clients[THREADS])
{
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
}

/* Whether they come before or after the end of the first handshake: they resume its session. */
static void the_others_get_the_first_ones_session(void **state)
{
    (void)state;
    struct client clients[THREADS];
    br_ssl_session_parameters found, made = session_numbered(9);
    assert_int_equal(begin("a.test", 443, &found), TLS_SESSION_FIRST);
    start(clients);
    tls_sessions_end(&sessions, "a.test", 443, TLS_SESSION_FIRST, &made);
    join(clients);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(clients[i].role, TLS_SESSION_RESUME);
        assert_int_equal(clients[i].found.session_id[31], 9);
    }
}

/* Those that waited go on alone, all at once; of those that come later one is the first again. */
static void when_the_first_fails_the_others_go_on(void **state)
{
    (void)state;
    struct client clients[THREADS];
    br_ssl_session_parameters found;
    assert_int_equal(begin("a.test", 443, &found), TLS_SESSION_FIRST);
    start(clients);
    tls_sessions_end(&sessions, "a.test", 443, TLS_SESSION_FIRST, NULL);
    join(clients);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_not_equal(clients[i].role, TLS_SESSION_RESUME);
}

#define WITH_SESSIONS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SESSIONS(a_session_is_found_by_host_and_port),
        WITH_SESSIONS(a_new_session_replaces_the_old),
        WITH_SESSIONS(a_session_without_id_is_none),
        WITH_SESSIONS(what_cannot_be_resumed_is_forgotten),
        WITH_SESSIONS(sessions_grow_old_however_often_they_are_used),
        WITH_SESSIONS(the_longest_unused_makes_room),
        WITH_SESSIONS(a_session_that_is_being_resumed_is_in_use),
        WITH_SESSIONS(a_session_made_alone_is_kept_where_there_is_room),
        WITH_SESSIONS(a_handshake_under_way_keeps_its_place),
        WITH_SESSIONS(a_host_too_long_is_not_remembered),
        WITH_SESSIONS(nobody_waits_past_the_deadline),
        WITH_SESSIONS(the_others_get_the_first_ones_session),
        WITH_SESSIONS(when_the_first_fails_the_others_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
