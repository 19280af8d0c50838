/* audit/rules, audit/subjects: what is listed for a configuration, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/rules.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define NONE AUDIT_PORT_NONE

static struct config config;
static rp_config program;

/* Kept, as the texts of entries are. */
static struct audit *collect(void)
{
    static struct audit audits[64];
    static size_t used;
    assert_true(used < COUNT(audits));
    audit_collect(&audits[used], &config, &program);
    return &audits[used++];
}

static int begin(void **state)
{
    static const char *const variables[] = { "BUCKET_ENDPOINT_URL", "HF_HUB_CACHE", "HF_HOME",
                                             "LD_LIBRARY_PATH" };
    (void)state;
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    config = (struct config){ .metrics.port = -1, .fitness.skip = true };
    program = (rp_config){ .handler = NULL };
    return 0;
}

static int handle(rp_job *job, void *user)
{
    (void)job;
    (void)user;
    return 0;
}

static int begin_linked(void **state)
{
    begin(state);
    program.handler = handle;
    return 0;
}

static const struct audit_entry *find(const struct audit *audit, enum audit_kind kind,
                                      const char *subject, int port)
{
    for (size_t i = 0; i < audit->count; i++) {
        const struct audit_entry *entry = &audit->entries[i];
        if (entry->kind == kind && entry->port == port && slice_is(entry->subject, subject))
            return entry;
    }
    return NULL;
}

/* But for what every worker has. */
static size_t count_of(const struct audit *audit, enum audit_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < audit->count; i++)
        count += audit->entries[i].kind == kind && !audit->entries[i].early;
    return count;
}

/* --- entries ---------------------------------------------------------------------------------- */

static void entries_are_one_for_what_is_the_same(void **state)
{
    static struct audit audit;
    struct audit_rule rule = { .kind = AUDIT_READ, .why = "one" };
    (void)state;
    audit_add(&audit, &rule, SLICE_LITERAL(""), NONE);
    assert_int_equal(audit.count, 0);
    audit_add(&audit, &rule, SLICE_LITERAL("a"), NONE);
    audit_add(&audit, &rule, SLICE_LITERAL("a"), NONE);
    assert_int_equal(audit.count, 1);
    assert_int_equal(audit.entries[0].why_count, 1);
    rule.why = "two";
    audit_add(&audit, &rule, SLICE_LITERAL("a"), NONE);
    assert_int_equal(audit.count, 1);
    assert_int_equal(audit.entries[0].why_count, 2);
    assert_string_equal(audit.entries[0].whys[1], "two");
    audit_add(&audit, &rule, SLICE_LITERAL("b"), NONE);
    audit_add(&audit, &rule, SLICE_LITERAL("a"), 1);
    rule.tree = true;
    audit_add(&audit, &rule, SLICE_LITERAL("a"), NONE);
    rule.kind = AUDIT_WRITE;
    audit_add(&audit, &rule, SLICE_LITERAL("a"), NONE);
    assert_int_equal(audit.count, 5);
    assert_true(audit.entries[3].tree && !audit.entries[2].tree);
}

static void reasons_and_entries_have_a_most(void **state)
{
    static const char letters[] = "1\0002\0003\0004\0005\0006\0007\0008\0009";
    static struct audit audit;
    struct audit_rule rule = { .kind = AUDIT_READ };
    static char names[AUDIT_ENTRIES_MAX + 1][8];
    (void)state;
    for (size_t i = 0; i < 9; i++) {
        rule.why = letters + 2 * i;
        audit_add(&audit, &rule, SLICE_LITERAL("a"), NONE);
    }
    assert_int_equal(audit.entries[0].why_count, AUDIT_WHYS_MAX);
    assert_string_equal(audit.entries[0].whys[AUDIT_WHYS_MAX - 1], "8");
    for (size_t i = 1; i <= AUDIT_ENTRIES_MAX; i++) {
        assert_int_equal(audit.count, i);
        assert_false(audit.is_cut);
        snprintf(names[i], sizeof names[i], "%zu", i);
        audit_add(&audit, &rule, slice_from(names[i]), NONE);
    }
    assert_true(audit.is_cut);
    assert_int_equal(audit.count, AUDIT_ENTRIES_MAX);
}

/* --- where jobs come from --------------------------------------------------------------------- */

static void urls_are_hosts_and_ports(void **state)
{
    (void)state;
    config.take_url = SLICE_LITERAL("https://secret@jobs.example:8443/key");
    config.output_url = SLICE_LITERAL("http://results.example/key");
    config.stream_url = SLICE_LITERAL("http://results.example/stream");
    const struct audit *audit = collect();
    assert_int_equal(audit->mode, MODE_PLATFORM);
    assert_non_null(find(audit, AUDIT_CONNECT, "jobs.example", 8443));
    assert_null(find(audit, AUDIT_CONNECT, "jobs.example", 443)); /* https leads nowhere else */
    const struct audit_entry *plain = find(audit, AUDIT_CONNECT, "results.example", 80);
    const struct audit_entry *redirect = find(audit, AUDIT_CONNECT, "results.example", 443);
    assert_non_null(plain);
    assert_non_null(redirect);
    assert_int_equal(plain->why_count, 2);
    assert_string_equal(plain->whys[0], "posts results");
    assert_int_equal(redirect->why_count, 1);
    assert_string_equal(redirect->whys[0], "if http redirects to https");
    assert_int_equal(count_of(audit, AUDIT_CONNECT), 4); /* with the nameservers */
    assert_int_equal(count_of(audit, AUDIT_LISTEN), 0);
}

static void a_proxy_takes_the_place_of_hosts(void **state)
{
    (void)state;
    config.take_url = SLICE_LITERAL("https://jobs.example/");
    config.output_url = SLICE_LITERAL("https://results.example/");
    config.proxy.https_proxy = "http://proxy.example:3128";
    config.proxy.no_proxy = "results.example";
    const struct audit *audit = collect();
    assert_non_null(find(audit, AUDIT_CONNECT, "proxy.example", 3128));
    assert_non_null(find(audit, AUDIT_CONNECT, "results.example", 443));
    assert_null(find(audit, AUDIT_CONNECT, "jobs.example", 443));
}

/* --confine need not allow what the very start has behind it, unless it is asked for later, too. */
static void closed_streams_are_opened_before_all_else(void **state)
{
    (void)state;
    config.test_input = SLICE_LITERAL("{}");
    const struct audit_entry *entry = find(collect(), AUDIT_WRITE, "/dev/null", NONE);
    assert_non_null(entry);
    assert_true(entry->early);
    assert_false(entry->tree);
    config.test_result = "/dev/null";
    entry = find(collect(), AUDIT_WRITE, "/dev/null", NONE);
    assert_false(entry->early);
    assert_int_equal(entry->why_count, 2);
}

static void modes_have_their_own(void **state)
{
    (void)state;
    config.take_url = config.ping_url = SLICE_LITERAL("https://jobs.example/");
    config.test_result = "result.json";
    config.realtime_port = 8000;
    struct audit *audit = collect();
    assert_int_equal(audit->mode, MODE_REALTIME);
    assert_non_null(find(audit, AUDIT_LISTEN, AUDIT_ANY, 8000));
    assert_int_equal(find(audit, AUDIT_CONNECT, "jobs.example", 443)->why_count, 1);
    config.realtime_host = SLICE_LITERAL("10.0.0.1");
    assert_non_null(find(collect(), AUDIT_LISTEN, "10.0.0.1", 8000));
    config.test_input = SLICE_LITERAL("{}");
    audit = collect();
    assert_int_equal(audit->mode, MODE_LOCAL);
    assert_int_equal(audit->count, 3); /* with /dev/null */
    assert_non_null(find(audit, AUDIT_READ, "test_input.json", NONE));
    assert_non_null(find(audit, AUDIT_WRITE, "result.json", NONE));
    config.test_result = "-"; /* standard output */
    assert_int_equal(count_of(collect(), AUDIT_WRITE), 0);
    config.serve.on = true;
    config.serve.port = config.serve.health_port = 80;
    audit = collect();
    assert_int_equal(audit->mode, MODE_SERVE);
    assert_int_equal(find(audit, AUDIT_LISTEN, AUDIT_ANY, 80)->why_count, 2);
    config.serve.host = SLICE_LITERAL("::1");
    config.serve.health_port = 65535;
    audit = collect();
    assert_non_null(find(audit, AUDIT_LISTEN, "::1", 80));
    assert_non_null(find(audit, AUDIT_LISTEN, "::1", 65535));
    config.api.serve = true;
    config.api.port = 8001;
    audit = collect();
    assert_int_equal(audit->mode, MODE_API);
    assert_int_equal(count_of(audit, AUDIT_LISTEN), 1);
    assert_non_null(find(audit, AUDIT_LISTEN, "localhost", 8001));
    assert_non_null(find(audit, AUDIT_CONNECT, AUDIT_ANY, AUDIT_PORT_ANY)); /* webhooks */
    assert_null(find(audit, AUDIT_CONNECT, "jobs.example", 443));
    assert_non_null(find(audit, AUDIT_READ, "/proc/self/statm", NONE));
    config.api.host = SLICE_LITERAL("0.0.0.0");
    assert_non_null(find(collect(), AUDIT_LISTEN, "0.0.0.0", 8001));
}

static void metrics_have_a_port_unless_they_are_off(void **state)
{
    (void)state;
    config.take_url = SLICE_LITERAL("https://jobs.example/");
    const struct audit *audit = collect();
    assert_int_equal(count_of(audit, AUDIT_LISTEN), 0);
    assert_null(find(audit, AUDIT_READ, "/proc/self/statm", NONE));
    config.metrics.port = 0; /* a free one */
    audit = collect();
    assert_non_null(find(audit, AUDIT_LISTEN, "localhost", 0));
    assert_non_null(find(audit, AUDIT_READ, "/proc/self/statm", NONE));
    config.metrics.host = SLICE_LITERAL("10.0.0.1");
    assert_non_null(find(collect(), AUDIT_LISTEN, "10.0.0.1", 0));
}

static void the_machine_is_looked_at_unless_that_is_skipped(void **state)
{
    (void)state;
    config.take_url = SLICE_LITERAL("https://jobs.example/");
    assert_null(find(collect(), AUDIT_READ, "/proc/meminfo", NONE));
    config.fitness.skip = false;
    assert_non_null(find(collect(), AUDIT_READ, "/proc/meminfo", NONE));
    assert_null(find(collect(), AUDIT_READ, "/proc/cpuinfo", NONE));
    config.debugger = true;
    assert_non_null(find(collect(), AUDIT_READ, "/proc/cpuinfo", NONE));
}

/* --- names of hosts --------------------------------------------------------------------------- */

static void names_alone_are_looked_up(void **state)
{
    static const struct {
        const char *server;
        bool is_looked_up;
    } cases[] = {
        { "http://127.0.0.1:8000", false },     { "http://[::1]:8000", false },
        { "http://localhost:8000", false },     { "http+unix:/run/server.sock", false },
        { "http://server.example:8000", true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        config.handler.http = cases[i].server;
        const struct audit *audit = collect();
        if (audit_looks_up(audit) != cases[i].is_looked_up)
            fail_msg("%s", cases[i].server);
        assert_int_equal(find(audit, AUDIT_READ, "/etc/resolv.conf", NONE) != NULL,
                         cases[i].is_looked_up);
        assert_int_equal(find(audit, AUDIT_CONNECT, "the nameservers of /etc/resolv.conf", 53) !=
                             NULL,
                         cases[i].is_looked_up);
        assert_non_null(find(audit, AUDIT_READ, "/etc/hosts", NONE));
        assert_int_equal(audit->entries[0].port, i == 3 ? NONE : 8000);
    }
    assert_non_null(find(collect(), AUDIT_CONNECT, "server.example", 8000));
    config.handler.http = "http+unix:/run/server.sock";
    assert_non_null(find(collect(), AUDIT_CONNECT, "/run/server.sock", NONE));
    config.handler.http = NULL;
    struct audit *audit = collect();
    assert_null(find(audit, AUDIT_READ, "/etc/hosts", NONE)); /* nothing is connected to */
    assert_false(audit_connects(audit) || audit_listens(audit) || audit_looks_up(audit));
}

static void to_listen_on_a_name_looks_it_up(void **state)
{
    (void)state;
    config.realtime_port = 80;
    const struct audit *audit = collect();
    assert_true(audit_listens(audit) && !audit_connects(audit));
    assert_false(audit_looks_up(audit)); /* every address */
    assert_non_null(find(audit, AUDIT_READ, "/etc/hosts", NONE));
    config.realtime_host = SLICE_LITERAL("pod.example");
    assert_true(audit_looks_up(collect()));
}

/* --- files and programs ----------------------------------------------------------------------- */

static void lists_are_cut_at_colons(void **state)
{
    (void)state;
    config.confine.read = (struct config_list){ .texts = { "/a:/b", ":/c:" }, .count = 2 };
    config.confine.write = (struct config_list){ .texts = { "/w" }, .count = 1 };
    const struct audit *audit = collect();
    static const char *const read[] = { "/a", "/b", "/c", "/w" };
    for (size_t i = 0; i < COUNT(read); i++)
        assert_true(find(audit, AUDIT_READ, read[i], NONE)->tree);
    assert_int_equal(count_of(audit, AUDIT_READ), 5); /* and the job's file */
    assert_non_null(find(audit, AUDIT_WRITE, "/w", NONE));
    assert_int_equal(count_of(audit, AUDIT_WRITE), 1);
    assert_true(audit_writes(audit));
}

static void a_volume_is_used_for_folders_alone(void **state)
{
    (void)state;
    config.cache.volume = "/volume";
    struct audit *audit = collect();
    assert_null(find(audit, AUDIT_READ, "/volume", NONE));
    assert_false(audit_writes(audit));
    config.cache.folders = (struct config_list){ .texts = { "/models" }, .count = 1 };
    audit = collect();
    for (enum audit_kind kind = AUDIT_READ; kind <= AUDIT_WRITE; kind++) {
        assert_non_null(find(audit, kind, "/volume", NONE));
        assert_non_null(find(audit, kind, "/models", NONE));
    }
    config.cache.volume = NULL;
    assert_non_null(find(collect(), AUDIT_WRITE, "/runpod-volume", NONE));
}

/* A value that stands before the program may be a secret. */
static void a_program_that_is_not_here_has_its_first_word(void **state)
{
    static const char *const cases[][2] = {
        { "no-such-program --key=secret", "no-such-program" },
        { "/no/such/program x", "/no/such/program" },
        { "TOKEN=secret no-such-program", "TOKEN" },
        { "'no such program' x", "no such program" },
        { "=secret", "--handler" },
        { "", "--handler" },
        { "'secret", "--handler" },
    };
    (void)state;
    assert_int_equal(count_of(collect(), AUDIT_START), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        config.handler.program = cases[i][0];
        const struct audit *audit = collect();
        assert_int_equal(count_of(audit, AUDIT_START), 1);
        if (find(audit, AUDIT_START, cases[i][1], NONE) == NULL)
            fail_msg("%s", cases[i][0]);
    }
}

/* In a child, since the words of a program that is here are kept for good. */
static void a_program_that_is_here_has_its_path(void **state)
{
    int status;
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        config.handler.program = "sh --key=secret";
        const struct audit *audit = collect();
        const struct audit_entry *last = &audit->entries[audit->count - 1];
        slice name = SLICE_LITERAL("/sh");
        bool is_path = last->kind == AUDIT_START && last->subject.ptr[0] == '/' &&
                       slice_ends_nocase(last->subject, name);
        _exit(is_path ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_driver_reads_its_folders(void **state)
{
    static const char part = 0;
    (void)state;
    assert_null(find(collect(), AUDIT_READ, "/dev", NONE));
    program.gpu = (const void *)&part;
    setenv("LD_LIBRARY_PATH", "/one::/two", 1);
    struct audit *audit = collect();
    assert_true(audit_has_gpu(audit));
    static const char *const folders[] = { "/one", "/two", "/usr/lib", "/lib64", "/sys", "/dev" };
    for (size_t i = 0; i < COUNT(folders); i++)
        assert_true(find(audit, AUDIT_READ, folders[i], NONE)->tree);
    size_t count = audit->count;
    config.gpu.libcuda = "/opt/libcuda.so";
    audit = collect();
    assert_int_equal(audit->count, count + 1);
    assert_non_null(find(audit, AUDIT_READ, "/opt/libcuda.so", NONE));
    unsetenv("LD_LIBRARY_PATH");
}

/* --- handlers --------------------------------------------------------------------------------- */

static void a_linked_handler_has_files_and_downloads(void **state)
{
    (void)state;
    setenv("BUCKET_ENDPOINT_URL", "https://bucket.example", 1);
    setenv("HF_HOME", "/cached", 1);
    setenv("HF_HUB_CACHE", "/hub", 1);
    struct audit *audit = collect();
    assert_true(audit_is_linked(audit) && audit_has_files(audit));
    assert_false(audit_is_isolated(audit) || audit_has_programs(audit) || audit_has_child(audit));
    assert_non_null(find(audit, AUDIT_CONNECT, AUDIT_ANY, AUDIT_PORT_ANY));
    assert_non_null(find(audit, AUDIT_CONNECT, "bucket.example", 443));
    assert_non_null(find(audit, AUDIT_READ, "/cached/hub", NONE));
    assert_non_null(find(audit, AUDIT_READ, "/hub", NONE));
    assert_non_null(find(audit, AUDIT_READ, "/proc", NONE));
    assert_non_null(find(audit, AUDIT_WRITE, "local_upload", NONE));
    assert_null(find(audit, AUDIT_READ, "/dev/null", NONE));
    assert_int_equal(count_of(audit, AUDIT_START), 0);
    program.handler = NULL;
    audit = collect();
    assert_false(audit_is_linked(audit) || audit_has_files(audit));
    assert_null(find(audit, AUDIT_CONNECT, "bucket.example", 443));
    assert_null(find(audit, AUDIT_READ, "/cached/hub", NONE));
    assert_null(find(audit, AUDIT_READ, "/proc", NONE));
    config.fitness.models = (struct config_list){ .texts = { "a/b" }, .count = 1 };
    assert_non_null(find(collect(), AUDIT_READ, "/cached/hub", NONE));
    config.upload_above_kb = 1;
    assert_non_null(find(collect(), AUDIT_CONNECT, "bucket.example", 443));
}

static void an_isolated_handler_is_this_binary_again(void **state)
{
    (void)state;
    for (int watched = 0; watched < 2; watched++) {
        config.watch = watched;
        config.handler.isolate = !watched;
        struct audit *audit = collect();
        assert_true(audit_is_isolated(audit) && audit_has_programs(audit));
        assert_int_equal(audit_watches(audit), watched);
        assert_non_null(find(audit, AUDIT_START, "/proc/self/exe", NONE));
        assert_int_equal(count_of(audit, AUDIT_START), 2); /* and its path */
        assert_non_null(find(audit, AUDIT_READ, "/dev/null", NONE));
    }
    program.handler = NULL; /* there is nothing to isolate */
    assert_false(audit_is_isolated(collect()));
}

/* Which handler there is, where several are named, and what goes with it. */
static void handlers_exclude_each_other(void **state)
{
    static const struct {
        const char *program, *once, *http, *fitness;
        bool is_linked, has_child, has_programs;
    } cases[] = {
        { NULL, NULL, NULL, NULL, true, false, false },
        { "x", NULL, NULL, NULL, false, true, true },
        { NULL, "x", NULL, NULL, false, true, true },
        { NULL, NULL, "http://[::1]:1", NULL, false, false, false },
        { "x", NULL, "http://[::1]:1", NULL, false, false, true }, /* the server's program */
        { NULL, NULL, NULL, "x", true, false, true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct audit audit = { .config = &config, .program = &program };
        config.handler.program = cases[i].program;
        config.handler.once = cases[i].once;
        config.handler.http = cases[i].http;
        config.fitness.program = cases[i].fitness;
        if (audit_is_linked(&audit) != cases[i].is_linked ||
            audit_has_child(&audit) != cases[i].has_child ||
            audit_has_programs(&audit) != cases[i].has_programs)
            fail_msg("case %zu", i);
        assert_int_equal(audit_has_files(&audit), cases[i].is_linked || cases[i].has_child);
    }
}

/* --- system calls ----------------------------------------------------------------------------- */

static bool has_role(const struct audit *audit, const char *name)
{
    for (size_t i = 0; i < audit_role_count; i++)
        if (strcmp(audit_roles[i].name, name) == 0)
            return audit_roles[i].applies(audit);
    fail_msg("no role %s", name);
    return false;
}

static void calls_go_with_what_is_done(void **state)
{
    static const char part = 0;
    (void)state;
    program.handler = NULL;
    struct audit *audit = collect();
    for (size_t i = 0; i < audit_role_count; i++)
        assert_int_equal(has_role(audit, audit_roles[i].name), i == 0); /* the core alone */
    config.confine.mode = "";
    audit = collect();
    assert_true(has_role(audit, "confine") && !has_role(audit, "handler"));
    program.handler = handle;
    audit = collect();
    assert_true(has_role(audit, "handler") && has_role(audit, "files"));
    assert_true(has_role(audit, "client") && !has_role(audit, "server"));
    config.confine.mode = "off";
    audit = collect();
    assert_false(has_role(audit, "handler") || has_role(audit, "confine"));
    program.handler = NULL;
    config.fitness.models = (struct config_list){ .texts = { "a/b" }, .count = 1 };
    assert_true(has_role(collect(), "files"));
    config.fitness.models.count = 0;
    config.test_result = "written";
    assert_true(has_role(collect(), "files"));
    config.test_result = NULL;
    config.fitness.program = "no-such-program";
    audit = collect();
    assert_true(has_role(audit, "programs") && has_role(audit, "files"));
    config.watch = true;
    program.gpu = (const void *)&part;
    config.realtime_port = 80;
    audit = collect();
    assert_true(has_role(audit, "watch") && has_role(audit, "gpu") && has_role(audit, "server"));
}

/* As many names as numbers, in the same order: the first and the last of each role. */
static void calls_have_as_many_names_as_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < audit_role_count; i++) {
        size_t names = 0;
        for (const char *at = audit_roles[i].names; *at != '\0'; at++)
            names += *at == ' ';
        assert_int_equal(names, audit_roles[i].count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_one_for_what_is_the_same),
        cmocka_unit_test(reasons_and_entries_have_a_most),
        cmocka_unit_test_setup(urls_are_hosts_and_ports, begin),
        cmocka_unit_test_setup(a_proxy_takes_the_place_of_hosts, begin),
        cmocka_unit_test_setup(closed_streams_are_opened_before_all_else, begin),
        cmocka_unit_test_setup(modes_have_their_own, begin),
        cmocka_unit_test_setup(metrics_have_a_port_unless_they_are_off, begin),
        cmocka_unit_test_setup(the_machine_is_looked_at_unless_that_is_skipped, begin),
        cmocka_unit_test_setup(names_alone_are_looked_up, begin),
        cmocka_unit_test_setup(to_listen_on_a_name_looks_it_up, begin),
        cmocka_unit_test_setup(lists_are_cut_at_colons, begin),
        cmocka_unit_test_setup(a_volume_is_used_for_folders_alone, begin),
        cmocka_unit_test_setup(a_program_that_is_not_here_has_its_first_word, begin),
        cmocka_unit_test_setup(a_program_that_is_here_has_its_path, begin),
        cmocka_unit_test_setup(a_driver_reads_its_folders, begin),
        cmocka_unit_test_setup(a_linked_handler_has_files_and_downloads, begin_linked),
        cmocka_unit_test_setup(an_isolated_handler_is_this_binary_again, begin_linked),
        cmocka_unit_test_setup(handlers_exclude_each_other, begin_linked),
        cmocka_unit_test_setup(calls_go_with_what_is_done, begin_linked),
        cmocka_unit_test(calls_have_as_many_names_as_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
