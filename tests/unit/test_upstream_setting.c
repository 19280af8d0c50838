/* upstream/setting: the flags that say where the server is, and when it is ready. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/tcp.h"
#include "upstream/setting.h"

static struct config config;
static struct upstream_setting setting;
static struct err err;

static int begin(void **state)
{
    (void)state;
    config = (struct config){ .handler = { .http = "http://127.0.0.1:8000" } };
    return 0;
}

static void assert_good(void)
{
    err = (struct err){ 0 };
    if (upstream_setting_init(&setting, &config, &err) != 0)
        fail_msg("%s", err.text);
}

static void assert_bad(const char *text)
{
    err = (struct err){ 0 };
    assert_int_equal(upstream_setting_init(&setting, &config, &err), ERR_CONFIG);
    assert_int_equal(err.code, ERR_CONFIG);
    if (strstr(err.text, text) == NULL)
        fail_msg("%s does not hold %s", err.text, text);
}

/* --- the URL ---------------------------------------------------------------------------------- */

static void a_url_is_an_origin_and_maybe_a_path(void **state)
{
    static const struct {
        const char *url, *origin, *path;
    } urls[] = {
        { "http://127.0.0.1:8000", "http://127.0.0.1:8000", "" },
        { "http://127.0.0.1:8000/", "http://127.0.0.1:8000", "" },
        { "http://a.test/generate", "http://a.test", "/generate" },
        { "http://[::1]:8000/x?y=z", "http://[::1]:8000", "/x?y=z" },
        { "http://a.test?q", "http://a.test", "?q" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        config.handler.http = urls[i].url;
        assert_good();
        assert_true(slice_is(setting.origin, urls[i].origin));
        assert_true(slice_is(setting.forms.path, urls[i].path));
        assert_null(setting.net.unix_path);
        assert_null(setting.net.tls);
    }
}

static void urls_that_cannot_be_used(void **state)
{
    static const struct {
        const char *url, *text;
    } urls[] = {
        { "ftp://a.test", "--handler-http" },
        { "http://m@a.test", "a user name in the URL is not supported" },
        { "http://a.test//x", "--handler-http: a route must be a path on the server" },
        { "http://a.test/a/../b", "--handler-http: a route may not hold the segments" },
        { "http+unix:x", "the absolute path of a socket, at most 107 bytes long" },
        { "http+unix:", "the absolute path of a socket" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        config.handler.http = urls[i].url;
        assert_bad(urls[i].text);
    }
}

static void https_needs_its_authorities(void **state)
{
    (void)state;
    config.handler.http = "https://a.test";
    assert_good();
    assert_non_null(setting.net.tls);
    tls_context_free(setting.net.tls);
    config.ca_file = "/nowhere.pem";
    assert_bad("/nowhere.pem");
}

static void a_unix_socket_has_a_longest_path(void **state)
{
    char url[sizeof "http+unix:" + UNIX_PATH_MAX_BYTES + 1] = "http+unix:/";
    (void)state;
    memset(url + strlen("http+unix:/"), 'x', UNIX_PATH_MAX_BYTES - 1);
    config.handler.http = url;
    assert_good();
    assert_ptr_equal(setting.net.unix_path, url + strlen("http+unix:"));
    assert_true(slice_is(setting.origin, "http://localhost"));
    strcat(url, "x");
    assert_bad("at most 107 bytes long");
}

/* --- --serve ---------------------------------------------------------------------------------- */

static void a_server_behind_serve_has_neither_tls_nor_a_path(void **state)
{
    static const char *const urls[] = { "https://a.test", "http://a.test/x" };
    (void)state;
    config.serve.on = true;
    for (size_t i = 0; i < 2; i++) {
        config.handler.http = urls[i];
        assert_bad("with --serve it must be the http: URL of a server, without a path");
    }
    config.handler.http = "http://a.test/";
    assert_good();
}

/* The worker listens on PORT; its server gets the port that the worker expects it on. */
static void the_program_is_told_its_port(void **state)
{
    (void)state;
    config.serve.on = true;
    config.handler.http = "http://127.0.0.1:65535";
    assert_good();
    assert_string_equal(setting.child.env_extra, "PORT=65535");
    assert_string_equal(setting.child.env_replaced, "PORT");
    config.handler.http = "http://127.0.0.1";
    assert_good();
    assert_string_equal(setting.child.env_extra, "PORT=80");
    config.handler.http = "http+unix:/run/x";
    assert_good();
    assert_null(setting.child.env_extra);
    config.serve.on = false;
    config.handler.http = "http://127.0.0.1:8000";
    assert_good();
    assert_null(setting.child.env_extra);
    assert_null(setting.child.env_replaced);
}

/* --- readiness -------------------------------------------------------------------------------- */

static bool accepts(int status)
{
    return upstream_ready_accepts(&setting.ready, status);
}

static void the_health_route_says_ready_with_a_success(void **state)
{
    (void)state;
    assert_good();
    assert_string_equal(setting.ready.name, "/health");
    assert_true(slice_is(setting.ready.path, "/health"));
    assert_true(accepts(200) && accepts(203) && accepts(205) && accepts(299));
    assert_false(accepts(199) || accepts(204) || accepts(300) || accepts(503));
}

static void statuses_may_be_named(void **state)
{
    (void)state;
    config.handler.ready = " /v1/ok?a=b  200, 204 ,599";
    assert_good();
    assert_true(slice_is(setting.ready.path, "/v1/ok?a=b"));
    assert_int_equal(setting.ready.status_count, 3);
    assert_true(accepts(200) && accepts(204) && accepts(599));
    assert_false(accepts(201) || accepts(0) || accepts(503));
    config.handler.ready = "tcp";
    assert_good();
    assert_int_equal(setting.ready.path.len, 0);
    config.handler.ready = "/x 1,2";
    assert_bad("--handler-ready: \"1\" is not a status from 200 to 599");
    config.handler.ready = "/x 199";
    assert_bad("\"199\"");
    config.handler.ready = "/x 600";
    assert_bad("\"600\"");
    config.handler.ready = "/x 200,,201";
    assert_bad("\"\"");
    config.handler.ready = "line";
    assert_bad("--handler-ready must be the path of a health route");
    config.handler.ready = "";
    assert_bad("--handler-ready must be the path of a health route");
}

static void there_may_be_sixteen_statuses(void **state)
{
    char text[200] = "/x 200";
    (void)state;
    for (int i = 1; i < READY_STATUSES_MAX; i++)
        strcat(text, ",201");
    config.handler.ready = text;
    assert_good();
    assert_int_equal(setting.ready.status_count, READY_STATUSES_MAX);
    strcat(text, ",201");
    assert_bad("more than 16");
}

/* --- the rest --------------------------------------------------------------------------------- */

static void every_flag_is_looked_at(void **state)
{
    (void)state;
    config.handler.routes = "/a,GET /b";
    assert_good();
    assert_int_equal(setting.routes.count, 2);
    config.handler.routes = "b";
    assert_bad("--handler-routes: ");
    config.handler.routes = NULL;
    config.handler.concurrency_path = "jobs";
    assert_bad("--handler-concurrency-path must be a path of the server");
    config.handler.concurrency_path = "/jobs";
    assert_good();
    config.handler.once = "x";
    assert_bad("not with --handler-once or --isolate");
    config.handler.once = NULL;
    config.handler.isolate = true;
    assert_bad("not with --handler-once or --isolate");
}

static void answers_have_a_shape(void **state)
{
    (void)state;
    assert_good();
    assert_int_equal(setting.shape, UPSTREAM_SHAPE_BY_FORM);
    config.handler.answer_shape = "plain";
    assert_good();
    assert_int_equal(setting.shape, UPSTREAM_SHAPE_PLAIN);
    config.handler.answer_shape = "list";
    assert_good();
    assert_int_equal(setting.shape, UPSTREAM_SHAPE_LIST);
    config.handler.answer_shape = "Plain";
    assert_bad("--answer-shape is \"Plain\"; it must be plain or list");
}

static void routes_are_chosen_by_inputs_or_by_the_url(void **state)
{
    (void)state;
    config.handler.route_map = (struct config_list){ .texts = { "a=/x", "b=/y" }, .count = 2 };
    assert_good();
    assert_int_equal(setting.forms.map.count, 2);
    config.handler.http = "http://a.test/x";
    assert_bad("--route: the URL of --handler-http has a path");
    config.handler.route_map.texts[1] = "b";
    assert_bad("--route: \"b\" must be MEMBER");
}

static void the_program_is_split_into_words(void **state)
{
    (void)state;
    config.handler.program = "/bin/sh -c 'exit 1'";
    config.handler.deaths = 3;
    config.handler.kill_grace_ms = 7;
    config.handler.pass_api_key = config.watch = true;
    assert_good();
    assert_string_equal(setting.child.command.argv[2], "exit 1");
    assert_int_equal(setting.child.max_deaths, 3);
    assert_int_equal(setting.child.kill_grace_ms, 7);
    assert_true(setting.child.pass_api_key && setting.child.watches);
    free(setting.child.command.path);
    free(setting.child.command.argv);
    free(setting.child.command.storage);
    config.handler.program = "'";
    assert_bad("--handler");
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_url_is_an_origin_and_maybe_a_path),
        TEST(urls_that_cannot_be_used),
        TEST(https_needs_its_authorities),
        TEST(a_unix_socket_has_a_longest_path),
        TEST(a_server_behind_serve_has_neither_tls_nor_a_path),
        TEST(the_program_is_told_its_port),
        TEST(the_health_route_says_ready_with_a_success),
        TEST(statuses_may_be_named),
        TEST(there_may_be_sixteen_statuses),
        TEST(every_flag_is_looked_at),
        TEST(answers_have_a_shape),
        TEST(routes_are_chosen_by_inputs_or_by_the_url),
        TEST(the_program_is_split_into_words),
    };
    return cmocka_run_group_tests_name("upstream setting", tests, NULL, NULL);
}
