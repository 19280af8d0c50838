/* app/failed_start: what the platform and the clients of jobs are told of a start that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/failed_start.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/log_tail.h"
#include "json/json.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define REASON_MAX (LIMIT_REASON_BYTES - 1)

static const struct http_net net;
static struct config config;
static struct failed_start start;

static int set_up(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    log_tail_clear(&log_tail_of_handlers);
    log_tail_clear(&log_tail_of_errors);
    config = (struct config){ .contract_version = SLICE_LITERAL("1.12.0") };
    failed_start_init(&start, &config, &net);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&start.last_words);
    buf_free(&start.logs);
    return 0;
}

static void print_line(const char *line)
{
    log_tail_add(&log_tail_of_handlers, slice_from(line));
    log_tail_add(&log_tail_of_errors, slice_from(line));
}

/* --- the error of a job ----------------------------------------------------------------------- */

/* A member of the error object that a job gets, until the next call; NULL: it has none. */
static const char *told(const char *name)
{
    static char text[4096];
    struct result result;
    struct arena arena;
    slice error, object, value, found = { 0 };
    arena_init(&arena, LIMIT_MIB);
    result_init(&result, LIMIT_MIB);
    failed_start_seal(&start, &result, false);
    assert_true(result.is_error);
    assert_false(result.stop_pod);
    assert_int_equal(result.count, 1);
    assert_true(json_member(result.pieces[0], "error", &error));
    assert_int_equal(json_string(error, &arena, &object, NULL), 0);
    bool has = json_member(object, name, &value);
    if (has)
        assert_int_equal(json_string(value, &arena, &found, NULL), 0);
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(found));
    result_free(&result);
    arena_free(&arena);
    return has ? text : NULL;
}

static void the_first_reason_counts(void **state)
{
    (void)state;
    assert_false(failed_start_is_set(&start));
    assert_false(failed_start_is_total(&start));
    assert_true(failed_start_set(&start, "no model\nand more", false));
    assert_true(failed_start_is_set(&start));
    assert_true(failed_start_is_total(&start));
    print_line("too late");
    assert_false(failed_start_set(&start, "another", true));
    assert_true(failed_start_is_total(&start));
    assert_string_equal(told("error_message"), "no model");
    assert_string_equal(told("error_type"), "StartError");
    assert_string_equal(told("error_traceback"), "");
}

static void a_handler_that_was_ready_is_lost(void **state)
{
    (void)state;
    assert_true(failed_start_set(&start, "it died", true));
    assert_true(failed_start_is_set(&start));
    assert_false(failed_start_is_total(&start));
    assert_string_equal(told("error_type"), "HandlerLost");
}

static void the_worker_can_be_stopped_with_it(void **state)
{
    struct result result;
    (void)state;
    failed_start_set(&start, "no model", false);
    result_init(&result, LIMIT_MIB);
    failed_start_seal(&start, &result, true);
    assert_true(result.stop_pod);
    result_free(&result);
}

static void secrets_are_not_told(void **state)
{
    (void)state;
    log_add_secret(SLICE_LITERAL("TOPSECRET"));
    failed_start_set(&start, "the key TOPSECRET is wrong", false);
    assert_null(strstr(told("error_message"), "TOPSECRET"));
    assert_non_null(strstr(told("error_message"), "is wrong"));
}

/* What stands on standard error says why; without any, all that was printed. */
static void its_last_words_are_its_errors(void **state)
{
    (void)state;
    log_tail_add(&log_tail_of_handlers, SLICE_LITERAL("loading"));
    print_line("no such file");
    log_tail_add(&log_tail_of_handlers, SLICE_LITERAL("bye"));
    failed_start_set(&start, "no model", false);
    assert_string_equal(told("error_traceback"), "no such file");
    assert_string_equal(told("logs"), "loading\nno such file\nbye");
}

static void without_errors_all_that_was_printed_counts(void **state)
{
    (void)state;
    log_tail_add(&log_tail_of_handlers, SLICE_LITERAL("loading"));
    failed_start_set(&start, "no model", false);
    assert_string_equal(told("error_traceback"), "loading");
}

/* Once it was ready, its log may be about other clients' jobs. */
static void logs_are_told_where_they_are_wanted(void **state)
{
    static const struct {
        enum log_capture capture;
        bool in_service, logs, words;
    } cases[] = {
        { LOG_CAPTURE_AUTO, false, true, true },  { LOG_CAPTURE_AUTO, true, false, true },
        { LOG_CAPTURE_ALL, false, true, true },   { LOG_CAPTURE_ALL, true, true, true },
        { LOG_CAPTURE_OFF, false, false, false }, { LOG_CAPTURE_OFF, true, false, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        set_up(state);
        print_line("why");
        config.log_capture = cases[i].capture;
        failed_start_set(&start, "no model", cases[i].in_service);
        if ((told("logs") != NULL) != cases[i].logs)
            fail_msg("case %zu: logs %s", i, cases[i].logs ? "missing" : "told");
        assert_string_equal(told("error_traceback"), cases[i].words ? "why" : "");
        tear_down(state);
    }
    set_up(state);
}

static void the_hook_is_what_could_not_be_started(void **state)
{
    static const struct {
        const char *program, *once, *http, *hook;
    } cases[] = {
        { NULL, NULL, NULL, "setup" },
        { "a", NULL, NULL, "handler" },
        { NULL, "a", NULL, "handler" },
        { NULL, NULL, "http://h", "handler_http" },
        { "a", NULL, "http://h", "handler_http" },
    };
    (void)state;
    failed_start_set(&start, "no model", false);
    for (size_t i = 0; i < COUNT(cases); i++) {
        config.handler.program = cases[i].program;
        config.handler.once = cases[i].once;
        config.handler.http = cases[i].http;
        assert_string_equal(told("hook"), cases[i].hook);
    }
}

/* --- the report ------------------------------------------------------------------------------- */

static struct {
    int listener;
    char head[4096]; /* of the request */
} platform;

/* Answers one request. */
static void *platform_main(void *argument)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    size_t len = 0;
    int fd = accept(platform.listener, NULL, NULL);
    for (ssize_t count = 1; count > 0 && strstr(platform.head, "\r\n\r\n") == NULL;) {
        count = recv(fd, platform.head + len, sizeof platform.head - 1 - len, 0);
        len += count > 0 ? (size_t)count : 0;
        platform.head[len] = '\0';
    }
    send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    close(fd);
    return argument;
}

static void decode(const char *from, const char *end, char *to)
{
    for (; from < end; to++) {
        unsigned byte = (unsigned char)*from;
        from += *from == '%' && sscanf(from + 1, "%2x", &byte) == 1 ? 3 : 1;
        *to = (char)byte;
    }
    *to = '\0';
}

/* The reason as the platform gets it, until the next call. */
static const char *report(void)
{
    static char reason[4096];
    char url[64];
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof address;
    pthread_t thread;
    memset(&platform, 0, sizeof platform);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    platform.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(platform.listener, (void *)&address, size), 0);
    assert_int_equal(listen(platform.listener, 1), 0);
    assert_int_equal(getsockname(platform.listener, (void *)&address, &size), 0);
    assert_int_equal(pthread_create(&thread, NULL, platform_main, NULL), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/ping", ntohs(address.sin_port));
    config.ping_url = slice_from(url);
    config.api_key = SLICE_LITERAL("key");
    failed_start_report(&start);
    pthread_join(thread, NULL);
    close(platform.listener);
    const char *at = strstr(platform.head, "&reason="), *end = strstr(platform.head, "&runpod");
    assert_true(at != NULL && end != NULL && at < end);
    assert_non_null(strstr(platform.head, "status=unhealthy&check=setup&"));
    decode(at + strlen("&reason="), end, reason);
    return reason;
}

static void the_report_ends_with_the_last_line(void **state)
{
    (void)state;
    print_line("first");
    print_line("last");
    failed_start_set(&start, "no model", false);
    assert_string_equal(report(), "no model: last");
}

static void a_message_alone_is_reported_as_it_is(void **state)
{
    (void)state;
    failed_start_set(&start, "no model", false);
    assert_string_equal(report(), "no model");
}

/* The platform takes REASON_MAX bytes: what is told of message and last words, by their lengths. */
static void a_long_report_loses_the_ends_of_its_parts(void **state)
{
    static const size_t lengths[][2] = {
        { 900, 0 },
        { 900, 1 },
        { 900, REASON_MAX / 2 - 1 },
        { 900, REASON_MAX / 2 },
        { 900, 900 },
        { 100, 900 },
        { 3, 900 },
    };
    char message[1001], words[1001];
    for (size_t i = 0; i < COUNT(lengths); i++) {
        size_t message_len = lengths[i][0], words_len = lengths[i][1];
        set_up(state);
        memset(message, 'm', message_len);
        memset(words, 'w', words_len);
        message[message_len] = words[words_len] = '\0';
        print_line(words);
        failed_start_set(&start, message, false);
        const char *reason = report();
        size_t messages = strspn(reason, "m");
        size_t found = words_len > 0 ? strlen(reason) - messages - strlen(": ") : 0;
        assert_in_range(strlen(reason), message_len < 256 && words_len < 256 ? 0 : REASON_MAX - 4,
                        REASON_MAX);
        /* Neither takes more than half from the other. */
        assert_true(messages >= (message_len < REASON_MAX / 2 ? message_len : REASON_MAX / 2 - 2));
        assert_true(found >= (words_len < REASON_MAX / 2 ? words_len : REASON_MAX / 2 - 2));
        assert_int_equal(strspn(reason + strlen(reason) - found, "w"), found);
        tear_down(state);
    }
    set_up(state);
}

/* Each place at which the cuts can fall in characters of two bytes. */
static void a_report_is_cut_between_characters(void **state)
{
    for (size_t i = 0; i < 4; i++) {
        char message[300] = "m", words[300] = "w";
        size_t message_at = i & 1, words_at = i >> 1;
        set_up(state);
        for (size_t n = 0; n < 140; n++) {
            memcpy(message + message_at + 2 * n, "\xc3\xa9", 3);
            memcpy(words + words_at + 2 * n, "\xc3\xa9", 3);
        }
        print_line(words);
        failed_start_set(&start, message, false);
        const char *reason = report();
        char quoted[LIMIT_REASON_BYTES + 2];
        int len = snprintf(quoted, sizeof quoted, "\"%s\"", reason);
        assert_int_equal(json_check((slice){ quoted, (size_t)len }, NULL, NULL), 0);
        tear_down(state);
    }
    set_up(state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_reason_counts),
        TEST(a_handler_that_was_ready_is_lost),
        TEST(the_worker_can_be_stopped_with_it),
        TEST(secrets_are_not_told),
        TEST(its_last_words_are_its_errors),
        TEST(without_errors_all_that_was_printed_counts),
        TEST(logs_are_told_where_they_are_wanted),
        TEST(the_hook_is_what_could_not_be_started),
        TEST(the_report_ends_with_the_last_line),
        TEST(a_message_alone_is_reported_as_it_is),
        TEST(a_long_report_loses_the_ends_of_its_parts),
        TEST(a_report_is_cut_between_characters),
    };
    return cmocka_run_group_tests_name("failed_start", tests, NULL, NULL);
}
