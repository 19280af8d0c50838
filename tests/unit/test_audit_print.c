/* audit/print: --audit as text for people and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/rules.h"
#include "in_child.h"
#include "json/json.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define LINE_CHARS 100

static struct config config;
static rp_config program;
static int output = -1; /* of the child */
static char text[64 * 1024];
static const char *format;

static int handle(rp_job *job, void *user)
{
    (void)job;
    (void)user;
    return 0;
}

static int begin(void **state)
{
    static const char *const variables[] = { "BUCKET_ENDPOINT_URL", "HF_HUB_CACHE", "HF_HOME" };
    (void)state;
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    if (output < 0)
        output = memfd_create("output", MFD_CLOEXEC);
    config = (struct config){ .metrics.port = -1, .fitness.skip = true };
    config.take_url = SLICE_LITERAL("https://jobs.example:8443/key");
    program = (rp_config){ .handler = NULL };
    return output < 0;
}

/* In a child, since texts of entries are kept for good. */
static int print(void)
{
    struct err err = { 0 };
    dup2(output, STDOUT_FILENO);
    return audit_print(&config, &program, format, &err) == 0 ? 0 : 1;
}

static const char *printed(const char *as)
{
    format = as;
    assert_int_equal(ftruncate(output, 0), 0);
    lseek(output, 0, SEEK_SET);
    assert_int_equal(status_of(print), 0);
    ssize_t len = pread(output, text, sizeof text - 1, 0);
    assert_in_range(len, 1, sizeof text - 2);
    text[len] = '\0';
    return text;
}

static void has(const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in\n%s", part, text);
}

static void has_not(const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("\"%s\" is in\n%s", part, text);
}

/* --- text ------------------------------------------------------------------------------------ */

static void reasons_stand_below_each_other(void **state)
{
    (void)state;
    config.output_url = config.stream_url = SLICE_LITERAL("https://results.example/");
    config.result_dir = "/results";
    printed("");
    /*    0123456789012345678901234567890123456789 */
    has("\nConnects to:\n"
        "  jobs.example:8443                   takes jobs, asks which to stop, checks the network\n"
        "  results.example:443                 posts results\n"
        "                                      posts the parts of streams\n"
        "  the nameservers of /etc/resolv.conf:53\n"
        "                                      looks up the names of hosts\n"
        "\nListens on:\n"
        "  nothing\n"
        "\nReads (DIR/...: everything below):\n"
        "  /etc/hosts                          names of hosts\n");
    has("\n  /results/...                        results that cannot be delivered\n");
    has("\nStarts programs (their own actions are not listed):\n  nothing\n\n"
        "System calls:\n  core (");
    has_not("Not listed");
}

/* The longest that has its reason beside it, and one that is longer. */
static void long_subjects_have_a_line(void **state)
{
    (void)state;
    config.confine.read = (struct config_list){
        .texts = { "/1234567890123456789012345678901:/12345678901234567890123456789012" },
        .count = 1
    };
    printed("text");
    has("\n  /1234567890123456789012345678901/..."
        "\n                                      the handler's own (--confine-read)"
        "\n  /12345678901234567890123456789012/..."
        "\n                                      the handler's own (--confine-read)\n");
    config.confine.read.texts[0] = "/123456789012345678901234567890";
    printed("text");
    has("\n  /123456789012345678901234567890/... the handler's own (--confine-read)\n");
}

static void hosts_and_ports_are_as_in_urls(void **state)
{
    (void)state;
    config.realtime_port = 8000;
    config.realtime_host = SLICE_LITERAL("::1");
    config.handler.http = "http+unix:/run/a:b";
    printed("text");
    has("\n  [::1]:8000                          realtime requests");
    has("\n  /run/a:b                            the handler's server");
    config.realtime_host = (slice){ 0 };
    config.handler.http = NULL;
    config.realtime_port = 0;
    config.api.serve = true;
    printed("text");
    has("\n  *:*                                 calls the webhooks that jobs name\n");
    has("\n  localhost:0                         the job API");
    config.api.host = SLICE_LITERAL("::1");
    printed("text");
    has("\n  [::1]:0                             the job API");
}

static void control_bytes_become_question_marks(void **state)
{
    (void)state;
    config.result_dir = "/a\x1b[2J\n\x7f\x1f ~\xc3\xa4";
    printed("text");
    has("\n  /a?[2J??? ~\xc3\xa4/... ");
}

/* Lines of names are as full as they can be. */
static void names_of_calls_are_wrapped(void **state)
{
    size_t wrapped = 0;
    (void)state;
    printed("text");
    const char *line = strstr(text, "\nSystem calls:\n");
    assert_non_null(line);
    for (line += 15; *line != '\0';) {
        const char *end = strchr(line, '\n'), *next = end + 1;
        size_t len = (size_t)(end - line);
        assert_in_range(len, 5, LINE_CHARS);
        if (strncmp(line, "    ", 4) == 0 && strncmp(next, "    ", 4) == 0) {
            assert_true(len + 1 + strcspn(next + 4, " \n") > LINE_CHARS);
            wrapped++;
        }
        assert_true(line[0] == ' ' && line[1] == ' ' && line[4] != ' ');
        line = next;
    }
    assert_true(wrapped > 3);
    for (size_t i = 0; i < audit_role_count; i++) {
        char head[200];
        snprintf(head, sizeof head, "\n  %s (%s):\n    ", audit_roles[i].name, audit_roles[i].why);
        if (i < 2) /* "core" and "client", which are all that apply */
            has(head);
        else
            has_not(head);
    }
}

static void the_first_line_says_what_it_is_about(void **state)
{
    (void)state;
    printed("text");
    has(" with these flags and variables; jobs: platform, handler: none\n\nConnects to:\n");
    program.handler = handle;
    printed("text");
    has("; jobs: platform, handler: linked\nNot listed: what the handler's own code does, ");
    config.handler.isolate = true;
    config.test_input = SLICE_LITERAL("{}");
    printed("text");
    has("; jobs: local, handler: linked, in a process of its own\n");
    config.handler.once = "no-such-program";
    config.test_input = (slice){ 0 };
    config.realtime_port = 8000;
    printed("text");
    has("; jobs: realtime, handler: program\n\n");
    config.handler.http = "http://127.0.0.1:1";
    config.serve.on = true;
    printed("text");
    has("; jobs: serve, handler: server\n");
    config.api.serve = true;
    printed("text");
    has("; jobs: job-api, handler: server\n");
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void json_has_the_same(void **state)
{
    (void)state;
    config.output_url = config.stream_url = SLICE_LITERAL("https://results.example/");
    config.result_dir = "/re\"sults\xff";
    config.handler.once = "no-such-program";
    config.handler.http = "http+unix:/run/socket";
    printed("json");
    assert_int_equal(json_check(slice_from(text), NULL, NULL), 0);
    assert_memory_equal(text, "{\"worker\": \"slim-worker/", 24);
    has(", \"jobs\": \"platform\", \"handler\": \"server\",\n\"note\": \"\",\n");
    has("\n\"connects\": [\n  {");
    has("\n  {\"host\": \"jobs.example\", \"port\": 8443, \"why\": [\"takes jobs, ");
    has("\n  {\"host\": \"results.example\", \"port\": 443, \"why\": [");
    has(": [\"posts results\", \"posts the parts of streams\"]},\n");
    has("\n  {\"path\": \"/run/socket\", \"why\": [\"the handler's server (--handler-http)\"]}");
    has("],\n\"listens\": [],\n\"reads\": [\n");
    has("\n  {\"path\": \"/re\\\"sults\xef\xbf\xbd\", \"below\": true, \"why\": [\"results that ");
    has("\n  {\"path\": \"/etc/hosts\", \"below\": false, \"why\": [\"names of hosts\"]}");
    has("\"starts\": [\n  {\"path\": \"no-such-program\", \"why\": [");
    has("\"system_calls\": [\n  {\"role\": \"core\", \"why\": \"");
    has(", \"calls\": [\"read\", \"write\", ");
    has("\"]},\n  {\"role\": \"client\", ");
    has_not("\"role\": \"watch\"");
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void json_has_any_host_and_the_note(void **state)
{
    (void)state;
    program.handler = handle;
    printed("json");
    assert_int_equal(json_check(slice_from(text), NULL, NULL), 0);
    has("\n  {\"host\": \"*\", \"port\": \"*\", \"why\": [");
    has("\"note\": \"Not listed: what the handler's own code does");
}

/* --- errors ---------------------------------------------------------------------------------- */

static struct err error;

static int print_to_nothing(void)
{
    close(STDOUT_FILENO);
    return audit_print(&config, &program, "", &error) == ERR_CONFIG &&
                   strcmp(error.text, "--audit: standard output cannot be written to") == 0
               ? 0
               : 1;
}

static int print_too_much(void)
{
    static char paths[AUDIT_ENTRIES_MAX * 8];
    dup2(output, STDOUT_FILENO);
    for (size_t i = 0; i < AUDIT_ENTRIES_MAX; i++)
        snprintf(paths + strlen(paths), 8, "%zu:", i);
    config.confine.read = (struct config_list){ .texts = { paths }, .count = 1 };
    return audit_print(&config, &program, "", &error) == ERR_CONFIG &&
                   strcmp(error.text, "--audit: there are more than 128 hosts, ports and files") ==
                       0
               ? 0
               : 1;
}

static void errors_say_what_is_wrong(void **state)
{
    static const char *const words[] = { "yaml", "JSON", "json ", "texts" };
    char expected[100];
    (void)state;
    for (size_t i = 0; i < COUNT(words); i++) {
        assert_int_equal(audit_print(&config, &program, words[i], &error), ERR_CONFIG);
        snprintf(expected, sizeof expected, "--audit=%s: it must be text or json", words[i]);
        assert_string_equal(error.text, expected);
    }
    assert_int_equal(status_of(print_to_nothing), 0);
    assert_int_equal(status_of(print_too_much), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reasons_stand_below_each_other, begin),
        cmocka_unit_test_setup(long_subjects_have_a_line, begin),
        cmocka_unit_test_setup(hosts_and_ports_are_as_in_urls, begin),
        cmocka_unit_test_setup(control_bytes_become_question_marks, begin),
        cmocka_unit_test_setup(names_of_calls_are_wrapped, begin),
        cmocka_unit_test_setup(the_first_line_says_what_it_is_about, begin),
        cmocka_unit_test_setup(json_has_the_same, begin),
        cmocka_unit_test_setup(json_has_any_host_and_the_note, begin),
        cmocka_unit_test_setup(errors_say_what_is_wrong, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
