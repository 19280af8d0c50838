/* audit/refused_call, base/signal_line: the line on a call that --confine refuses. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/refused_call.h"
#include "base/signal_line.h"

static struct refused_call named(int number)
{
    struct refused_call call = { .number = number, .arguments = { 7, 8, 9 } };
    refused_call_name(&call);
    return call;
}

static void check_line(const struct signal_line *line, const char *text)
{
    if (line->len != strlen(text) || memcmp(line->bytes, text, line->len) != 0)
        fail_msg("\"%.*s\" instead of \"%s\"", (int)line->len, line->bytes, text);
}

static void says(const struct refused_call *call, const char *path, int port, const char *text)
{
    struct signal_line line = { 0 };
    refused_call_put(&line, call, path, port);
    check_line(&line, text);
}

static void arguments_are_found_by_the_form(void **state)
{
    struct refused_call at = named(SYS_openat), path = named(SYS_truncate);
    struct refused_call address = named(SYS_connect), other = named(SYS_clone);
    struct refused_call unknown = named(SYS_getpid);
    (void)state;
    assert_true(refused_call_has_path(&at) && refused_call_has_path(&path));
    assert_false(refused_call_has_path(&address) || refused_call_has_path(&other));
    assert_false(refused_call_has_path(&unknown));
    assert_int_equal(refused_call_path(&at), 8);
    assert_int_equal(refused_call_path(&path), 7);
    assert_int_equal(refused_call_folder(&at), 7);
    assert_int_equal(refused_call_folder(&path), AT_FDCWD);
    assert_true(refused_call_is_open(&at));
    assert_false(refused_call_is_open(&path));
    assert_int_equal(refused_call_open_flags(&at), 9);
#ifdef SYS_open
    struct refused_call open = named(SYS_open);
    assert_true(refused_call_is_open(&open));
    assert_int_equal(refused_call_open_flags(&open), 8);
    assert_int_equal(refused_call_path(&open), 7);
#endif
}

static void flags_ask_for_modes(void **state)
{
    (void)state;
    assert_int_equal(refused_call_open_mode(O_RDONLY | O_CREAT), R_OK);
    assert_int_equal(refused_call_open_mode(O_WRONLY), W_OK);
    assert_int_equal(refused_call_open_mode(O_RDWR | O_TRUNC), R_OK | W_OK);
    assert_int_equal(refused_call_open_mode(O_RDONLY | O_TRUNC), R_OK | W_OK);
    assert_int_equal(refused_call_open_mode(O_WRONLY | O_TRUNC), W_OK);
}

static void calls_have_their_names(void **state)
{
    struct refused_call openat = named(SYS_openat), connect = named(SYS_connect);
    struct refused_call last = named(SYS_ptrace), unknown = named(SYS_getpid);
    struct refused_call foreign = { .number = SYS_openat, .is_foreign = true };
    (void)state;
    says(&openat, "/etc/passwd", -1, "openat of '/etc/passwd'");
    says(&openat, NULL, -1, "openat");
    says(&openat, "x", 443, "openat of 'x'");
    says(&connect, "/not/shown", 443, "connect to port 443");
    says(&connect, NULL, 0, "connect to port 0");
    says(&connect, NULL, -1, "connect");
    says(&last, "x", 1, "ptrace");
    char text[40] = "system call ";
    size_t len = strlen(text);
    struct signal_line line = { 0 };
    signal_line_add_number(&line, SYS_getpid, 10);
    memcpy(text + len, line.bytes, line.len);
    says(&unknown, "x", 1, text);
    /* Its number means something else. */
    refused_call_name(&foreign);
    assert_null(foreign.kind);
    assert_false(refused_call_has_path(&foreign));
    line.len = 0;
    refused_call_put(&line, &foreign, NULL, -1);
    assert_memory_equal(line.bytes, "another processor's system call ", 32);
}

/* What would change the line, or the terminal that shows it, does not get into it. */
static void paths_are_made_plain_and_cut(void **state)
{
    struct refused_call call = named(SYS_openat);
    char path[300], text[300] = "openat of '";
    (void)state;
    says(&call, "a'\"\\\n\x1b\x7f\xc3\xa4~ b", -1, "openat of 'a'???????~ b'");
    memset(path, 'p', sizeof path);
    path[299] = '\0';
    size_t len = strlen(text);
    memset(text + len, 'p', 200);
    text[len + 200] = '\'';
    says(&call, path, -1, text);
}

static void numbers_in_both_bases(void **state)
{
    struct signal_line line = { 0 };
    (void)state;
    signal_line_add_number(&line, 0, 10);
    signal_line_add(&line, " ");
    signal_line_add_number(&line, 9075, 10);
    signal_line_add(&line, " ");
    signal_line_add_number(&line, 0xbeef10, 16);
    signal_line_add(&line, " ");
    signal_line_add_number(&line, UINT64_MAX, 10);
    check_line(&line, "0 9075 beef10 18446744073709551615");
}

static void lines_begin_as_those_of_the_log(void **state)
{
    const slice job = SLICE_LITERAL("job\"1"), none = { "", 0 };
    struct signal_line line = { .len = 3 };
    (void)state;
    signal_line_begin(&line, "ERROR", job);
    check_line(&line, "ERROR  | job?1 | ");
    signal_line_begin(&line, "WARN", none);
    check_line(&line, "WARN   | ");
    signal_line_begin(&line, "LONGEST", none);
    check_line(&line, "LONGEST | ");
    signal_line_set_form(true);
    signal_line_begin(&line, "ERROR", job);
    check_line(&line, "{\"requestId\": \"job?1\", \"message\": \"");
    signal_line_begin(&line, "ERROR", none);
    check_line(&line, "{\"requestId\": null, \"message\": \"");
    signal_line_set_form(false);
}

/* Room for what ends a line stays free. */
static void long_lines_are_cut(void **state)
{
    struct signal_line line = { 0 };
    (void)state;
    for (int i = 0; i < SIGNAL_LINE_BYTES; i++)
        signal_line_add(&line, "xyz");
    assert_int_equal(line.len, SIGNAL_LINE_BYTES - 32);
    signal_line_add_plain(&line, SLICE_LITERAL("more"));
    assert_int_equal(line.len, SIGNAL_LINE_BYTES - 32);
}

static void written(bool json_lines, const char *text)
{
    char bytes[200];
    struct signal_line line = { 0 };
    int ends[2], kept = dup(STDOUT_FILENO);
    assert_int_equal(pipe(ends), 0);
    signal_line_set_form(json_lines);
    signal_line_begin(&line, "ERROR", (slice){ "", 0 });
    signal_line_add(&line, "told");
    fflush(stdout);
    dup2(ends[1], STDOUT_FILENO);
    signal_line_write(&line, "ERROR");
    dup2(kept, STDOUT_FILENO);
    close(ends[1]);
    ssize_t len = read(ends[0], bytes, sizeof bytes);
    close(ends[0]);
    close(kept);
    signal_line_set_form(false);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void lines_end_in_their_form(void **state)
{
    (void)state;
    written(false, "ERROR  | told\n");
    written(true, "{\"requestId\": null, \"message\": \"told\", \"level\": \"ERROR\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_found_by_the_form),
        cmocka_unit_test(flags_ask_for_modes),
        cmocka_unit_test(calls_have_their_names),
        cmocka_unit_test(paths_are_made_plain_and_cut),
        cmocka_unit_test(numbers_in_both_bases),
        cmocka_unit_test(lines_begin_as_those_of_the_log),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(lines_end_in_their_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
