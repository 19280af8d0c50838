/* app/heartbeat's URLs, and what app/fitness reads of /proc/meminfo. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/fitness.h"
#include "app/heartbeat.h"
#include "app/memory.h"
#include "base/limits.h"
#include "codec/url.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define VERSION "runpod_version=1.12.0"

static struct config config;
static struct job_table table;
static struct heartbeat heartbeat;
static struct log_repeat repeat;
static struct buf url;

static int set_up(void **state)
{
    (void)state;
    log_init(LOG_NOTSET, false);
    config = (struct config){
        .api_key = SLICE_LITERAL("key"),
        .worker_id = SLICE_LITERAL("pod/1 x"),
        .has_pod_id = true,
        .ping_url = SLICE_LITERAL("https://h/ping/$RUNPOD_POD_ID"),
        .contract_version = SLICE_LITERAL("1.12.0"),
    };
    job_table_init(&table);
    heartbeat = (struct heartbeat){ .config = &config, .table = &table };
    buf_init(&url, URL_MAX_BYTES, "URL");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&url);
    return 0;
}

static void add_job(const char *id)
{
    struct delivery *delivery;
    struct job *job;
    struct err err = { 0 };
    assert_int_equal(delivery_new(&delivery, LIMIT_MIB, &err), 0);
    buf_add_text(&delivery->body, "{\"input\": 1, \"id\": \"", NULL);
    buf_add_text(&delivery->body, id, NULL);
    buf_add_text(&delivery->body, "\"}", NULL);
    assert_int_equal(delivery_read(delivery, NULL, &job, &err), 0);
    delivery_release(delivery);
    job_table_add(&table, job, &repeat);
}

static void remove_all(void)
{
    struct job_waiter waiter;
    job_waiter_init(&waiter);
    job_table_end(&table);
    for (struct job *job; (job = job_table_next(&table, &waiter)) != NULL;)
        job_table_remove(&table, job);
}

static void assert_url(const char *expected)
{
    struct err err = { 0 };
    assert_int_equal(heartbeat_put_url(&heartbeat, &url, &err), 0);
    if (!slice_is(buf_slice(&url), expected))
        fail_msg("%.*s, expected %s", SLICE_ARG(buf_slice(&url)), expected);
}

static void the_url_has_worker_version_and_jobs(void **state)
{
    (void)state;
    assert_url("https://h/ping/pod%2F1%20x?" VERSION);
    config.ping_url = SLICE_LITERAL("https://h/ping/$ID?gpu=L4");
    assert_url("https://h/ping/pod%2F1%20x?gpu=L4&" VERSION);
    add_job("a");
    assert_url("https://h/ping/pod%2F1%20x?gpu=L4&job_id=a&" VERSION);
    add_job("b&c");
    assert_url("https://h/ping/pod%2F1%20x?gpu=L4&job_id=b%26c%2Ca&" VERSION);
    remove_all();
    assert_url("https://h/ping/pod%2F1%20x?gpu=L4&" VERSION);
}

/* What does not fit is named by the next ones: over a round, each job is. */
static void ids_that_do_not_fit_take_turns(void **state)
{
    struct err err = { 0 };
    char id[LIMIT_JOB_ID_BYTES + 1];
    bool named[20] = { false };
    (void)state;
    for (int i = 0; i < 20; i++) {
        memset(id, 'a' + i, LIMIT_JOB_ID_BYTES);
        id[LIMIT_JOB_ID_BYTES] = '\0';
        add_job(id);
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(heartbeat_put_url(&heartbeat, &url, &err), 0);
        assert_true(url.len <= URL_MAX_BYTES && url.len > URL_MAX_BYTES - LIMIT_JOB_ID_BYTES);
        assert_non_null(memmem(url.ptr, url.len, VERSION, strlen(VERSION)));
        for (int i = 0; i < 20; i++) {
            memset(id, 'a' + i, LIMIT_JOB_ID_BYTES);
            named[i] |= memmem(url.ptr, url.len, id, LIMIT_JOB_ID_BYTES) != NULL;
        }
    }
    for (int i = 0; i < 20; i++)
        assert_true(named[i]);
    remove_all();
    assert_url("https://h/ping/pod%2F1%20x?" VERSION);
}

static void a_url_without_room_for_any_id_is_sent(void **state)
{
    static char template[URL_MAX_BYTES - sizeof "&" VERSION + 1] = "https://h/ping/";
    struct err err = { 0 };
    (void)state;
    memset(template + strlen(template), 'x', sizeof template - strlen(template));
    config.ping_url = (slice){ template, sizeof template };
    add_job("a");
    assert_int_equal(heartbeat_put_url(&heartbeat, &url, &err), 0);
    assert_int_equal(url.len, URL_MAX_BYTES);
    remove_all();
}

static void the_report_names_check_and_reason(void **state)
{
    struct err err = { 0 };
    (void)state;
    assert_int_equal(heartbeat_put_report_url(&config, "disk_check", "5 % free", &url, &err), 0);
    assert_true(slice_is(buf_slice(&url), "https://h/ping/pod%2F1%20x?status=unhealthy&"
                                          "check=disk_check&reason=5%20%25%20free&" VERSION));
}

static void heartbeats_need_key_pod_and_url(void **state)
{
    (void)state;
    assert_true(heartbeat_wanted(&config));
    config.api_key.len = 0;
    assert_false(heartbeat_wanted(&config));
    set_up(state);
    config.has_pod_id = false;
    assert_false(heartbeat_wanted(&config));
    set_up(state);
    config.ping_url.len = 0;
    assert_false(heartbeat_wanted(&config));
}

static const struct meminfo {
    const char *text;
    int64_t kib; /* of MemAvailable */
} meminfos[] = {
    { "MemTotal:       16384 kB\nMemAvailable:    8192 kB\n", 8192 },
    { "MemAvailable:8192 kB", 8192 },
    { "MemAvailable:\t 0 kB\nMemAvailable: 5 kB\n", 0 },
    { "MemAvailable: 9007199254740991 kB\n", INT64_MAX / 1024 },
    { "MemAvailable: 9007199254740992 kB\n", -1 },
    { "MemAvailable: many kB\n", -1 },
    { "MemAvailable:\n", -1 },
    { "NotMemAvailable: 5 kB\nMemAvailableNot: 6 kB\n", -1 },
    { "MemAvailable\n", -1 },
    { "", -1 },
};

static void meminfo_is_read_by_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(meminfos); i++) {
        int64_t kib = memory_meminfo_kib(slice_from(meminfos[i].text), "MemAvailable");
        if (kib != meminfos[i].kib)
            fail_msg("%s: %lld", meminfos[i].text, (long long)kib);
    }
}

#define BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH(the_url_has_worker_version_and_jobs),   BENCH(ids_that_do_not_fit_take_turns),
        BENCH(a_url_without_room_for_any_id_is_sent), BENCH(the_report_names_check_and_reason),
        BENCH(heartbeats_need_key_pod_and_url),       cmocka_unit_test(meminfo_is_read_by_line),
    };
    return cmocka_run_group_tests_name("heartbeat", tests, NULL, NULL);
}
