/* net/tls: the whole of it, against BearSSL's server in memory. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/tcp.h"
#include "net/tls.h"
#include "tls_server.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LARGE_BYTES 1000003u /* not a multiple of anything */
#define RECORD_BYTES 16384u

static struct certificate_key root_key, middle_key, server_key;
static const struct certificate_spec root = {
    .issuer = "Root", .signer = &root_key, .subject = "Root", .key = &root_key, .ca = true
};
static const struct certificate_spec middle = {
    .issuer = "Root", .signer = &root_key, .subject = "Middle", .key = &middle_key, .ca = true
};
static const struct certificate_spec leaf = { .issuer = "Middle",
                                              .signer = &middle_key,
                                              .subject = "leaf",
                                              .key = &server_key,
                                              .dns = { "a.test" },
                                              .address = { "\x7f\x00\x00\x01", 4 } };
static const struct certificate_spec expired_leaf = { .issuer = "Middle",
                                                      .signer = &middle_key,
                                                      .subject = "leaf",
                                                      .key = &server_key,
                                                      .dns = { "a.test" },
                                                      .to = "240501120000Z" };

static char bundle[] = "/tmp/test_tls.XXXXXX";
static struct tls_context *context;

/* --- a connection and its two ends ----------------------------------------------------------- */

static struct tls_server server;
static struct transport *client;
static struct err err;

static int connect_to(const char *host)
{
    client = NULL;
    return tls_connect(&client, context, &server.transport, slice_from(host), 443,
                       clock_deadline(10000), &err);
}

/* A sound connection to a new server. */
static void open_connection(br_ssl_session_cache_lru *cache)
{
    tls_server_init(&server, &leaf, &middle, cache);
    if (connect_to("a.test") != 0)
        fail_msg("%s", err.text);
}

static void close_connection(void)
{
    if (client != NULL)
        client->ops->close(client);
    client = NULL;
    tls_server_free(&server);
}

static void assert_read(const char *expected)
{
    char bytes[256];
    ptrdiff_t count = client->ops->read(client, bytes, sizeof bytes, clock_deadline(1000), &err);
    assert_int_equal(count, strlen(expected));
    assert_memory_equal(bytes, expected, strlen(expected));
}

static void assert_read_fails(int code, const char *text)
{
    char byte;
    assert_int_equal(client->ops->read(client, &byte, 1, clock_deadline(1000), &err), code);
    if (code != 0)
        assert_non_null(strstr(err.text, text));
}

static void assert_write(const char *text)
{
    const slice part = slice_from(text);
    assert_int_equal(client->ops->write(client, &part, 1, clock_deadline(1000), &err), 0);
}

static void assert_received(const char *text)
{
    assert_true(slice_is(buf_slice(&server.received), text));
}

static unsigned char *large_bytes(void)
{
    unsigned char *bytes = malloc(LARGE_BYTES);
    assert_non_null(bytes);
    uint32_t x = 1;
    for (size_t i = 0; i < LARGE_BYTES; i++)
        bytes[i] = (unsigned char)((x = x * 1103515245 + 12345) >> 16);
    return bytes;
}

/* --- sound streams --------------------------------------------------------------------------- */

static void bytes_go_both_ways(void **state)
{
    (void)state;
    open_connection(NULL);
    assert_true(client->ops->usable(client));
    assert_write("ping");
    assert_received("ping");
    tls_server_send(&server, "pong", 4);
    assert_read("pong");
    assert_true(client->ops->usable(client));
    client->ops->close(client);
    client = NULL;
    assert_true(server.closed);
    assert_true(tls_server_was_ended(&server));
    close_connection();
}

static void bytes_may_come_one_by_one(void **state)
{
    (void)state;
    tls_server_init(&server, &leaf, &middle, NULL);
    server.read_most = 1;
    assert_int_equal(connect_to("a.test"), 0);
    tls_server_send(&server, "pong", 4);
    assert_read("pong");
    tls_server_end(&server);
    assert_read_fails(0, "");
    close_connection();
}

static void a_handshake_takes_two_packets(void **state)
{
    (void)state;
    open_connection(NULL);
    assert_int_equal(server.writes, 2);
    close_connection();
}

static void parts_are_gathered_into_full_records(void **state)
{
    (void)state;
    unsigned char *bytes = large_bytes();
    slice parts[400];
    size_t used = 0, done = 0;
    for (size_t i = 0; i + 1 < COUNT(parts); i++) {
        size_t count = i % 3 == 0 ? 0 : i % 3 == 1 ? 1 : i * 10;
        parts[used++] = (slice){ (const char *)bytes + done, count };
        done += count;
    }
    parts[used++] = (slice){ (const char *)bytes + done, LARGE_BYTES - done };
    open_connection(NULL);
    size_t before = server.writes;
    assert_int_equal(client->ops->write(client, parts, used, clock_deadline(10000), &err), 0);
    assert_int_equal(server.received.len, LARGE_BYTES);
    assert_memory_equal(server.received.ptr, bytes, LARGE_BYTES);
    assert_int_equal(server.writes - before, (LARGE_BYTES + RECORD_BYTES - 1) / RECORD_BYTES);
    close_connection();
    free(bytes);
}

/* What the peer has not taken of a record waits: the next write and the next read go on with it. */
static void a_write_that_yields_is_gone_on_with(void **state)
{
    (void)state;
    unsigned char *bytes = large_bytes();
    size_t done = 0, calls = 0;
    open_connection(NULL);
    server.write_most = 5000;
    for (; done < 110000 && calls < 1000; calls++) {
        const slice parts[] = { { (const char *)bytes + done, 1 },
                                { (const char *)bytes + done + 1, 109999 - done } };
        ptrdiff_t count = client->ops->write_some(client, parts, 2, true, clock_deadline(1000),
                                                  &err);
        assert_in_range(count, 0, RECORD_BYTES);
        done += (size_t)count;
    }
    assert_int_equal(done, 110000);
    assert_true(calls > 2 * 110000 / RECORD_BYTES);
    assert_false(client->ops->usable(client));
    for (; server.received.len < done && calls < 1000; calls++)
        assert_read_fails(ERR_TIMEOUT, "timed out");
    assert_int_equal(server.received.len, done);
    assert_memory_equal(server.received.ptr, bytes, done);
    assert_true(client->ops->usable(client));
    close_connection();
    free(bytes);
}

static void nothing_to_write_is_no_record(void **state)
{
    (void)state;
    const slice none[] = { { NULL, 0 }, { "", 0 } };
    open_connection(NULL);
    size_t before = server.writes;
    assert_int_equal(client->ops->write(client, none, 2, clock_deadline(1000), &err), 0);
    assert_int_equal(client->ops->write(client, none, 0, clock_deadline(1000), &err), 0);
    assert_int_equal(server.writes, before);
    close_connection();
}

static void large_answers_are_read(void **state)
{
    (void)state;
    unsigned char *bytes = large_bytes(), piece[5000];
    open_connection(NULL);
    server.read_most = 1460;
    tls_server_send(&server, bytes, LARGE_BYTES);
    tls_server_end(&server);
    size_t done = 0;
    ptrdiff_t count;
    while ((count = client->ops->read(client, piece, sizeof piece, clock_deadline(1000), &err)) >
           0) {
        assert_true((size_t)count <= LARGE_BYTES - done);
        assert_memory_equal(piece, bytes + done, (size_t)count);
        done += (size_t)count;
    }
    assert_int_equal(count, 0);
    assert_int_equal(done, LARGE_BYTES);
    close_connection();
    free(bytes);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void close_notify_is_the_end(void **state)
{
    (void)state;
    open_connection(NULL);
    tls_server_send(&server, "last", 4);
    tls_server_end(&server);
    assert_read("last");
    assert_read_fails(0, "");
    assert_read_fails(0, "");
    assert_false(client->ops->usable(client));
    const slice part = slice_from("too late");
    assert_int_equal(client->ops->write(client, &part, 1, clock_deadline(1000), &err), ERR_RETRY);
    close_connection();
}

static void an_end_without_close_notify_is_a_cut(void **state)
{
    (void)state;
    open_connection(NULL);
    tls_server_send(&server, "part", 4);
    server.cut = true;
    assert_read("part");
    assert_read_fails(ERR_RETRY, "cut off");
    assert_read_fails(ERR_RETRY, "broke");
    assert_false(client->ops->usable(client));
    close_connection();
}

static void half_a_record_is_a_cut(void **state)
{
    (void)state;
    open_connection(NULL);
    tls_server_send(&server, "lost", 4);
    server.outgoing.len--;
    server.cut = true;
    assert_read_fails(ERR_RETRY, "cut off");
    close_connection();
}

static void a_stream_is_usable_only_where_nothing_waits(void **state)
{
    (void)state;
    open_connection(NULL);
    tls_server_send(&server, "unasked", 7);
    assert_false(client->ops->usable(client)); /* on the socket */
    char byte;
    assert_int_equal(client->ops->read(client, &byte, 1, clock_deadline(1000), &err), 1);
    assert_false(client->ops->usable(client)); /* in the engine */
    assert_read("nasked");
    assert_true(client->ops->usable(client));
    tls_server_end(&server);
    assert_false(client->ops->usable(client));
    close_connection();
}

static void a_half_read_record_is_not_idle(void **state)
{
    (void)state;
    open_connection(NULL);
    tls_server_send_raw(&server, "\x17\x03\x03", 3);
    assert_read_fails(ERR_TIMEOUT, "timed out");
    assert_false(client->ops->usable(client));
    close_connection();
}

/* As a stream is read that pauses. */
static void a_read_that_timed_out_may_be_repeated(void **state)
{
    (void)state;
    open_connection(NULL);
    assert_read_fails(ERR_TIMEOUT, "timed out");
    tls_server_send(&server, "one", 3);
    size_t whole = server.outgoing.len;
    server.outgoing.len -= 4; /* half of the record, then the rest */
    assert_read_fails(ERR_TIMEOUT, "timed out");
    server.outgoing.len = whole;
    assert_read("one");
    server.fail_at = server.calls + 1;
    assert_read_fails(ERR_CANCELLED, "made to fail");
    tls_server_send(&server, "two", 3);
    assert_read("two");
    assert_write("still");
    assert_received("still");
    close_connection();
}

static void *flood(void *fd)
{
    tls_server_flood(&server, *(const int *)fd);
    return NULL;
}

/* They are valid, carry nothing, and never end: the deadline is looked at between them. */
static void endless_empty_records_outlast_no_deadline(void **state)
{
    (void)state;
    int ends[2];
    char byte;
    pthread_t thread;
    struct transport *under;
    const struct wake *no_wake = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    tls_server_init(&server, &leaf, &middle, NULL);
    assert_int_equal(pthread_create(&thread, NULL, flood, &ends[1]), 0);
    assert_int_equal(tcp_adopt(&under, ends[0], &no_wake, &err), 0);
    assert_int_equal(tls_connect(&client, context, under, SLICE_LITERAL("a.test"), 443,
                                 clock_deadline(60000), &err),
                     0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(client->ops->read(client, &byte, 1, clock_deadline(100), &err),
                         ERR_TIMEOUT);
    client->ops->close(client);
    client = NULL;
    pthread_join(thread, NULL);
    close(ends[1]);
    tls_server_free(&server);
}

static void after_a_failed_write_nothing_more_is_sent(void **state)
{
    (void)state;
    open_connection(NULL);
    const slice part = slice_from("half of a request");
    server.fail_at = server.calls + 1;
    assert_int_equal(client->ops->write(client, &part, 1, clock_deadline(1000), &err),
                     ERR_CANCELLED);
    size_t writes = server.writes;
    assert_int_equal(client->ops->write(client, &part, 1, clock_deadline(1000), &err), ERR_RETRY);
    client->ops->close(client);
    client = NULL;
    assert_int_equal(server.writes, writes); /* no close_notify after half a message */
    assert_true(server.closed && !tls_server_was_ended(&server));
    assert_received("");
    close_connection();
}

/* Nor by one that yields: what the peer has of it is not known. */
static void after_a_failed_write_that_yields_nothing_more_is_sent(void **state)
{
    (void)state;
    open_connection(NULL);
    const slice part = slice_from("half of a request");
    server.fail_at = server.calls + 1;
    assert_int_equal(client->ops->write_some(client, &part, 1, true, clock_deadline(1000), &err),
                     ERR_CANCELLED);
    assert_int_equal(client->ops->write_some(client, &part, 1, true, clock_deadline(1000), &err),
                     ERR_RETRY);
    assert_false(client->ops->usable(client));
    assert_received("");
    close_connection();
}

static void a_damaged_record_is_refused(void **state)
{
    (void)state;
    open_connection(NULL);
    tls_server_send(&server, "tampered", 8);
    server.corrupt_at = server.bytes_to_client + 20;
    assert_read_fails(ERR_PEER, "damaged or tampered with");
    assert_read_fails(ERR_PEER, "damaged or tampered with");
    assert_false(client->ops->usable(client));
    close_connection();
}

/* --- sessions --------------------------------------------------------------------------------- */

static void the_second_handshake_resumes(void **state)
{
    (void)state;
    unsigned char store[2000];
    br_ssl_session_cache_lru cache;
    br_ssl_session_cache_lru_init(&cache, store, sizeof store);
    open_connection(&cache);
    size_t full = server.bytes_to_client;
    close_connection();
    for (int i = 0; i < 3; i++) {
        open_connection(&cache);
        assert_true(server.bytes_to_client < full / 2); /* no certificates */
        assert_write("ping");
        assert_received("ping");
        tls_server_send(&server, "pong", 4);
        assert_read("pong");
        close_connection();
    }
}

static void a_server_that_forgot_gets_a_full_handshake(void **state)
{
    (void)state;
    unsigned char store[2000];
    br_ssl_session_cache_lru cache;
    for (int i = 0; i < 3; i++) {
        br_ssl_session_cache_lru_init(&cache, store, sizeof store);
        open_connection(&cache);
        assert_true(server.bytes_to_client > 600);
        close_connection();
    }
}

/* --- handshakes that fail --------------------------------------------------------------------- */

static void assert_refused(const struct certificate_spec *spec, const char *host, int code,
                           const char *text)
{
    tls_server_init(&server, spec, &middle, NULL);
    assert_int_equal(connect_to(host), code);
    assert_int_equal(err.code, code);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.text);
    assert_null(client);
    assert_false(server.closed); /* it is still the caller's */
    assert_received("");
    close_connection();
}

static void servers_that_cannot_prove_their_name(void **state)
{
    (void)state;
    assert_refused(&leaf, "b.test", ERR_TRUST, "is for a.test, 127.0.0.1, not for b.test");
    assert_refused(&leaf, "127.0.0.2", ERR_TRUST, "not for the address 127.0.0.2");
    assert_refused(&expired_leaf, "a.test", ERR_TRUST, "a.test expired on 2024-05-01");
}

static void names_are_taken_as_they_are_meant(void **state)
{
    (void)state;
    static const char *const hosts[] = { "a.test", "A.Test", "a.test.", "127.0.0.1" };
    for (size_t i = 0; i < COUNT(hosts); i++) {
        tls_server_init(&server, &leaf, &middle, NULL);
        if (connect_to(hosts[i]) != 0)
            fail_msg("%s", err.text);
        const char *name = br_ssl_engine_get_server_name(&server.server.eng);
        assert_string_equal(name, i == 3 ? "" : "a.test"); /* an address is no server name */
        close_connection();
    }
}

/* So that a session is found again, whatever the certificate says then. */
static void a_server_name_is_sent_in_small_letters(void **state)
{
    (void)state;
    tls_server_init(&server, &leaf, &middle, NULL);
    assert_int_equal(connect_to("AZ[.Test"), ERR_TRUST);
    assert_string_equal(br_ssl_engine_get_server_name(&server.server.eng), "az[.test");
    close_connection();
}

static void names_that_are_none(void **state)
{
    (void)state;
    char host[300];
    memset(host, 'h', sizeof host);
    const slice hosts[] = { { "", 0 }, { NULL, 0 }, { host, 256 }, { "a\0b", 3 } };
    for (size_t i = 0; i < COUNT(hosts); i++) {
        tls_server_init(&server, &leaf, &middle, NULL);
        assert_int_equal(tls_connect(&client, context, &server.transport, hosts[i], 443,
                                     clock_deadline(1000), &err),
                         ERR_INPUT);
        assert_int_equal(server.calls, 0);
        close_connection();
    }
}

static void what_is_no_tls_is_said_to_be_none(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t count;
        int code;
        const char *text;
    } cases[] = {
        { "HTTP/1.1 400 Bad Request\r\n\r\n", 28, ERR_PEER, "not TLS; is it an http:// port?" },
        { "SSH-2.0-x\r\n", 11, ERR_PEER, "not TLS" },
        { "\x00\x00\x00\x05\x00\x00", 6, ERR_PEER, "not TLS" },
        { "\x16\x05\x01\x00\x01x", 6, ERR_PEER, "not TLS" },
        { "\x15\x03\x03\x00\x02\x02\x46", 7, ERR_PEER, "may speak only TLS 1.3" },
        { "\x15\x03\x03\x00\x02\x02\x28", 7, ERR_PEER, "did not agree to TLS 1.2" },
        { "\x15\x03\x03\x00\x02\x02\x70", 7, ERR_PEER, "alert unrecognized_name" },
        { "\x15\x03\x03\x00\x02\x02\x50", 7, ERR_RETRY, "alert internal_error" },
        { "\x15\x03\x03\x00\x02\x01\x00", 7, ERR_RETRY, "middle of the handshake" },
        { "\x16\x03\x03\xff\xff", 5, ERR_PEER, "length" },
        { "\x16\x03\x03\x00\x04\x02\x00\x00\x00", 9, ERR_PEER, "a.test" },
        { "\x17\x03\x03\x00\x01x", 6, ERR_PEER, "a.test" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        tls_server_init(&server, &leaf, &middle, NULL);
        tls_server_send_raw(&server, cases[i].bytes, cases[i].count);
        assert_int_equal(connect_to("a.test"), cases[i].code);
        if (strstr(err.text, cases[i].text) == NULL || strstr(err.text, "a.test") == NULL)
            fail_msg("\"%s\" is not in \"%s\"", cases[i].text, err.text);
        close_connection();
    }
}

static void an_old_version_is_named(void **state)
{
    (void)state;
    static const char hello[] = "\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01"
                                "0123456789abcdef0123456789abcdef"
                                "\x00\xc0\x13\x00\x00";
    tls_server_init(&server, &leaf, &middle, NULL);
    tls_server_send_raw(&server, hello, sizeof hello - 1);
    assert_int_equal(connect_to("a.test"), ERR_PEER);
    assert_non_null(strstr(err.text, "before 1.2"));
    close_connection();
}

static void a_handshake_may_fail_at_every_step(void **state)
{
    (void)state;
    size_t step = 1;
    for (;; step++) {
        tls_server_init(&server, &leaf, &middle, NULL);
        server.fail_at = step;
        server.read_most = 100;
        int rc = connect_to("a.test");
        bool done = rc == 0 && server.calls < step;
        if (!done) {
            assert_int_equal(rc, ERR_CANCELLED);
            assert_string_equal(err.text, "TLS handshake with a.test: made to fail");
        }
        close_connection();
        if (done)
            break;
    }
    assert_true(step > 10);
}

static void a_handshake_may_be_cut_off_everywhere(void **state)
{
    (void)state;
    open_connection(NULL);
    size_t whole = server.bytes_to_client;
    close_connection();
    for (size_t kept = 1; kept < whole; kept += 13) {
        tls_server_init(&server, &leaf, &middle, NULL);
        server.cut = true;
        server.cut_after = kept;
        assert_int_equal(connect_to("a.test"), ERR_RETRY);
        assert_string_equal(err.text,
                            "TLS handshake with a.test: the server closed the connection");
        close_connection();
    }
}

static void no_damaged_byte_goes_unnoticed(void **state)
{
    (void)state;
    open_connection(NULL);
    size_t whole = server.bytes_to_client;
    close_connection();
    for (size_t at = 1; at <= whole; at += 17) {
        tls_server_init(&server, &leaf, &middle, NULL);
        server.corrupt_at = at;
        server.cut = true;
        assert_int_not_equal(connect_to("a.test"), 0);
        assert_received("");
        close_connection();
    }
}

/* --- contexts --------------------------------------------------------------------------------- */

static void a_context_without_a_file_has_the_built_in_roots(void **state)
{
    (void)state;
    static const char *const none[] = { NULL, "" };
    for (size_t i = 0; i < COUNT(none); i++) {
        struct tls_context *built_in;
        struct transport *stream;
        assert_int_equal(tls_context_new(&built_in, none[i], &err), 0);
        tls_server_init(&server, &leaf, &middle, NULL);
        assert_int_equal(tls_connect(&stream, built_in, &server.transport, SLICE_LITERAL("a.test"),
                                     443, clock_deadline(1000), &err),
                         ERR_TRUST);
        assert_non_null(strstr(err.text, "unknown authority (Root); set SSL_CERT_FILE"));
        tls_server_free(&server);
        tls_context_free(built_in);
    }
}

static void a_context_needs_its_file(void **state)
{
    (void)state;
    struct tls_context *none;
    assert_int_equal(tls_context_new(&none, "/nonexistent.pem", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "SSL_CERT_FILE: cannot open /nonexistent.pem"));
    tls_context_free(NULL);
}

static int make_bundle(void **state)
{
    (void)state;
    unsigned char bytes[CERTIFICATE_BYTES];
    char text[2 * CERTIFICATE_BYTES];
    certificate_key_make(&root_key, 1);
    certificate_key_make(&middle_key, 2);
    certificate_key_make(&server_key, 3);
    slice made = certificate_make(bytes, &root);
    size_t count = br_pem_encode(text, made.ptr, made.len, "CERTIFICATE", 0);
    int fd = mkstemp(bundle);
    return fd < 0 || write(fd, text, count) != (ssize_t)count ? -1 : close(fd);
}

static int remove_bundle(void **state)
{
    (void)state;
    return unlink(bundle);
}

/* Every test has a context of its own, so that no session comes from another one. */
static int set_up(void **state)
{
    (void)state;
    return tls_context_new(&context, bundle, &err);
}

static int tear_down(void **state)
{
    (void)state;
    tls_context_free(context);
    return 0;
}

#define WITH_CONTEXT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CONTEXT(bytes_go_both_ways),
        WITH_CONTEXT(bytes_may_come_one_by_one),
        WITH_CONTEXT(a_handshake_takes_two_packets),
        WITH_CONTEXT(parts_are_gathered_into_full_records),
        WITH_CONTEXT(a_write_that_yields_is_gone_on_with),
        WITH_CONTEXT(nothing_to_write_is_no_record),
        WITH_CONTEXT(large_answers_are_read),
        WITH_CONTEXT(close_notify_is_the_end),
        WITH_CONTEXT(an_end_without_close_notify_is_a_cut),
        WITH_CONTEXT(half_a_record_is_a_cut),
        WITH_CONTEXT(a_stream_is_usable_only_where_nothing_waits),
        WITH_CONTEXT(a_half_read_record_is_not_idle),
        WITH_CONTEXT(a_read_that_timed_out_may_be_repeated),
        WITH_CONTEXT(endless_empty_records_outlast_no_deadline),
        WITH_CONTEXT(after_a_failed_write_nothing_more_is_sent),
        WITH_CONTEXT(after_a_failed_write_that_yields_nothing_more_is_sent),
        WITH_CONTEXT(a_damaged_record_is_refused),
        WITH_CONTEXT(the_second_handshake_resumes),
        WITH_CONTEXT(a_server_that_forgot_gets_a_full_handshake),
        WITH_CONTEXT(servers_that_cannot_prove_their_name),
        WITH_CONTEXT(names_are_taken_as_they_are_meant),
        WITH_CONTEXT(a_server_name_is_sent_in_small_letters),
        WITH_CONTEXT(names_that_are_none),
        WITH_CONTEXT(what_is_no_tls_is_said_to_be_none),
        WITH_CONTEXT(an_old_version_is_named),
        WITH_CONTEXT(a_handshake_may_fail_at_every_step),
        WITH_CONTEXT(a_handshake_may_be_cut_off_everywhere),
        WITH_CONTEXT(no_damaged_byte_goes_unnoticed),
        WITH_CONTEXT(a_context_without_a_file_has_the_built_in_roots),
        WITH_CONTEXT(a_context_needs_its_file),
    };
    return cmocka_run_group_tests(tests, make_bundle, remove_bundle);
}
