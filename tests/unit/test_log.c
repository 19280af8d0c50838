/* base/log: what comes out on standard output. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "json/json.h"

static int real_stdout;
static struct buf captured;

/* From here on, standard output goes to a file in memory. */
static int begin_capture(void **state)
{
    (void)state;
    buf_init(&captured, 10u * LIMIT_MIB, "log");
    fflush(stdout);
    real_stdout = dup(STDOUT_FILENO);
    int file = memfd_create("log", MFD_CLOEXEC);
    dup2(file, STDOUT_FILENO);
    close(file);
    return 0;
}

static int end_capture(void **state)
{
    (void)state;
    dup2(real_stdout, STDOUT_FILENO);
    close(real_stdout);
    buf_free(&captured);
    log_init(LOG_DEBUG, false);
    return 0;
}

/* What was logged since the last call. */
static slice logged(void)
{
    buf_clear(&captured);
    assert_int_equal(io_read_file("/proc/self/fd/1", 0, &captured, NULL), 0);
    assert_int_equal(ftruncate(STDOUT_FILENO, 0), 0);
    lseek(STDOUT_FILENO, 0, SEEK_SET);
    return buf_slice(&captured);
}

static void assert_logged(const char *expected)
{
    slice text = logged();
    if (!slice_is(text, expected))
        fail_msg("logged %.*s, expected %s", SLICE_ARG(text), expected);
}

static const struct log_tag job = { .job_id = { "job-1", 5 } };

static void plain_lines_have_level_job_and_message(void **state)
{
    const struct log_tag batch = { .job_id = { "j", 1 }, .batch_id = { "b7", 2 } };
    (void)state;
    log_init(LOG_DEBUG, false);
    log_write(LOG_INFO, &job, "Started %d.", 1);
    log_write(LOG_ERROR, NULL, "broken");
    log_text(LOG_WARN, &batch, SLICE_LITERAL("hello %s"));
    assert_logged("INFO   | job-1 | Started 1.\nERROR  | broken\n"
                  "WARN   | j | [batchId=b7] hello %s\n");
}

static void levels_below_the_threshold_are_not_written(void **state)
{
    (void)state;
    log_init(LOG_WARN, false);
    log_write(LOG_INFO, NULL, "no");
    log_write(LOG_WARN, NULL, "yes");
    assert_logged("WARN   | yes\n");
    assert_false(log_enabled(LOG_INFO));
    log_init(LOG_NOTSET, false);
    log_write(LOG_ERROR, NULL, "no");
    assert_logged("");
}

static void json_lines_are_valid_json(void **state)
{
    const struct log_tag odd = { .job_id = { "j\"\n", 3 } };
    (void)state;
    log_init(LOG_TRACE, true);
    log_write(LOG_TRACE, NULL, "a");
    assert_logged("{\"requestId\": null, \"message\": \"a\", \"level\": \"TRACE\"}\n");
    log_text(LOG_INFO, &odd, SLICE_LITERAL("t\t\"q\" \xc3\xbc \xff\x01"));
    assert_logged("{\"requestId\": \"j\\\"\\n\", \"message\": "
                  "\"t\\t\\\"q\\\" \xc3\xbc \\ufffd\\u0001\", \"level\": \"INFO\"}\n");
}

/* A message may have several lines, as tracebacks do; a job id may not. */
static void no_bytes_can_forge_a_line(void **state)
{
    const struct log_tag forged = { .job_id = { "x\nERROR  | forged", 17 } };
    (void)state;
    log_init(LOG_DEBUG, false);
    log_text(LOG_INFO, &forged, SLICE_LITERAL("two\nlines\r\x1b[1m\x7f\ttab"));
    assert_logged("INFO   | x?ERROR  | forged | two\n       | lines??[1m?\ttab\n");
}

/* C1 controls and the separators end a line for some readers; other bytes may be controls, too. */
static void no_odd_characters_reach_the_log(void **state)
{
    static const char odd[] = "a\xc2\x85"
                              "b\xc2\x9b"
                              "c\xe2\x80\xa8"
                              "d\xe2\x80\xa9"
                              "e\x9b"
                              "f\xc2\xa0\xe2\x80\xaa";
    const struct log_tag batch = { .batch_id = SLICE_LITERAL("b\n\xc2\x85z") };
    (void)state;
    log_init(LOG_DEBUG, false);
    log_text(LOG_INFO, &batch, slice_from(odd));
    assert_logged("INFO   | [batchId=b??z] a?b?c?d?e?f\xc2\xa0\xe2\x80\xaa\n");
    log_text(LOG_INFO, NULL, SLICE_LITERAL("ends in a feed\n"));
    assert_logged("INFO   | ends in a feed\n");
    log_init(LOG_DEBUG, true);
    log_text(LOG_INFO, NULL, slice_from(odd));
    assert_logged("{\"requestId\": null, \"message\": \"a\\u0085b\\u009bc\\u2028d\\u2029e\\ufffd"
                  "f\xc2\xa0\xe2\x80\xaa\", \"level\": \"INFO\"}\n");
}

static int count_threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

/*
 * A reader that stands still: lines beyond the queue are dropped, counted and reported. Only from
 * the first line on that has to wait there is a thread for them.
 */
static void a_stalled_reader_holds_up_nobody(void **state)
{
    int ends[2];
    (void)state;
    log_init(LOG_DEBUG, false);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    int threads = count_threads();
    log_start_writer();
    assert_int_equal(count_threads(), threads);
    size_t lines = 3 * LIMIT_LOG_QUEUE_BYTES / 60;
    for (size_t i = 0; i < lines; i++)
        log_write(LOG_INFO, NULL, "line %06zu, which is filled up to have sixty bytes...", i);
    assert_false(log_flush(50));
    assert_int_equal(count_threads(), threads + 1);
    size_t seen = 0, told = 0, next = 0;
    char line[200];
    FILE *reader = fdopen(ends[0], "r");
    assert_non_null(reader);
    while (seen + told < lines && fgets(line, sizeof line, reader) != NULL) {
        if (sscanf(line, "WARN   | %zu lines dropped", &told) == 1)
            continue;
        assert_int_equal(sscanf(line, "INFO   | line %zu,", &next), 1);
        assert_int_equal(next, seen++); /* whole lines, in order */
    }
    assert_true(told > lines / 2 - 2000 && seen + told == lines);
    assert_true(log_flush(5000));
    log_write(LOG_INFO, NULL, "on again");
    assert_non_null(fgets(line, sizeof line, reader));
    assert_string_equal(line, "INFO   | on again\n");
    fclose(reader);
    log_write(LOG_INFO, NULL, "without a reader");
    assert_true(log_flush(5000));
}

static void long_messages_lose_their_middle(void **state)
{
    enum { CHARS = 10000, HALF = LOG_MESSAGE_MAX_CHARS / 2 };
    struct buf text;
    (void)state;
    buf_init(&text, LIMIT_MIB, "text");
    for (int i = 0; i < CHARS; i++)
        buf_add_text(&text, i < HALF ? "\xc3\xbc" : i < CHARS - HALF ? "-" : "z", NULL);
    log_init(LOG_DEBUG, false);
    log_text(LOG_INFO, NULL, buf_slice(&text));
    slice line = logged();
    const char *note = "\n       | ...TRUNCATED 5904 CHARACTERS...\n       | ";
    assert_int_equal(line.len, strlen("INFO   | \n") + 2 * HALF + strlen(note) + HALF);
    assert_memory_equal(line.ptr, "INFO   | \xc3\xbc", 11);
    assert_non_null(memmem(line.ptr, line.len, note, strlen(note)));
    assert_null(memchr(line.ptr, '-', line.len));
    assert_memory_equal(line.ptr + line.len - 3, "zz\n", 3);
    /* As JSON the line is longer than a pipe takes at once, and still whole and valid. */
    log_init(LOG_DEBUG, true);
    log_text(LOG_INFO, NULL, buf_slice(&text));
    line = logged();
    assert_int_equal(json_check((slice){ line.ptr, line.len - 1 }, NULL, NULL), 0);
    buf_free(&text);
}

static void a_message_of_the_limit_is_whole(void **state)
{
    char text[LOG_MESSAGE_MAX_CHARS + 1];
    (void)state;
    log_init(LOG_DEBUG, false);
    memset(text, 'x', sizeof text);
    log_text(LOG_INFO, NULL, (slice){ text, LOG_MESSAGE_MAX_CHARS });
    assert_int_equal(logged().len, LOG_MESSAGE_MAX_CHARS + strlen("INFO   | \n"));
    log_text(LOG_INFO, NULL, (slice){ text, sizeof text });
    assert_non_null(memmem(logged().ptr, captured.len, "TRUNCATED 1 CHARACTERS", 22));
}

static void formatted_messages_of_any_length_are_whole(void **state)
{
    char text[3000];
    (void)state;
    log_init(LOG_DEBUG, false);
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_write(LOG_INFO, NULL, "<%s>", text);
    slice line = logged();
    assert_int_equal(line.len, strlen("INFO   | <>\n") + sizeof text - 1);
    assert_memory_equal(line.ptr + line.len - 4, "yy>\n", 4);
}

static void the_secret_is_in_no_line(void **state)
{
    char text[] = "key secret-key and secret-key";
    (void)state;
    log_init(LOG_DEBUG, false);
    assert_false(log_add_secret(SLICE_LITERAL("short")));
    log_write(LOG_INFO, NULL, "short");
    assert_logged("INFO   | short\n");
    assert_true(log_add_secret(SLICE_LITERAL("secret-key")));
    log_write(LOG_INFO, NULL, "GET /?k=%s&again=%s", "secret-key", "secret-key");
    assert_logged("INFO   | GET /?k=**********&again=**********\n");
    log_init(LOG_DEBUG, true);
    log_text(LOG_INFO, NULL, SLICE_LITERAL("xsecret-keyx"));
    assert_logged("{\"requestId\": null, \"message\": \"x**********x\", \"level\": \"INFO\"}\n");
    log_mask(text, sizeof text - 1);
    assert_string_equal(text, "key ********** and **********");
    log_add_secret(SLICE_LITERAL("not-in-any-test"));
}

/* As those of the worker's own, whoever adds them; the latest LOG_JOB_SECRETS_MAX are known. */
static void secrets_of_jobs_are_in_no_line(void **state)
{
    char secret[32], text[64] = "the first-secret again";
    (void)state;
    log_init(LOG_DEBUG, false);
    log_add_job_secret(SLICE_LITERAL("brief")); /* ignored */
    snprintf(secret, sizeof secret, "first-secret");
    log_add_job_secret(slice_from(secret));
    memset(secret, 'x', sizeof secret); /* it was copied */
    log_write(LOG_INFO, NULL, "brief first-secret");
    assert_logged("INFO   | brief ************\n");
    log_mask(text, strlen(text));
    assert_string_equal(text, "the ************ again");
    for (int i = 1; i < LOG_JOB_SECRETS_MAX; i++) {
        int len = snprintf(secret, sizeof secret, "secret-%03d", i);
        log_add_job_secret((slice){ secret, (size_t)len });
    }
    log_add_job_secret(SLICE_LITERAL("first-secret")); /* the latest again */
    log_add_job_secret(SLICE_LITERAL("one-more-secret"));
    log_write(LOG_INFO, NULL, "first-secret one-more-secret secret-002 secret-001");
    assert_logged("INFO   | ************ *************** ********** secret-001\n");
}

static void a_repeated_message_is_written_once(void **state)
{
    struct log_repeat repeat = { 0 };
    (void)state;
    log_init(LOG_DEBUG, false);
    for (int i = 0; i < 5; i++)
        log_write_repeated(&repeat, LOG_WARN, NULL, "port %d is closed", i);
    assert_logged("WARN   | port 0 is closed\n");
    log_write_repeated(&repeat, LOG_WARN, NULL, "something else");
    log_write_repeated(&repeat, LOG_WARN, NULL, "port %d is closed", 9);
    assert_logged("WARN   | something else\nWARN   | port 9 is closed\n");
    log_repeat_reset(&repeat);
    log_write_repeated(&repeat, LOG_WARN, NULL, "port %d is closed", 9);
    assert_logged("WARN   | port 9 is closed\n");
    /* Once the time has passed it is written again, with a count. */
    log_write_repeated(&repeat, LOG_WARN, NULL, "port %d is closed", 9);
    repeat.written_ms -= LOG_REPEAT_MS;
    log_write_repeated(&repeat, LOG_WARN, NULL, "port %d is closed", 9);
    assert_logged("WARN   | port 9 is closed (repeated 1 more times since this was last logged)\n");
}

static void levels_have_names_and_numbers(void **state)
{
    enum log_level level;
    (void)state;
    assert_true(log_parse_level(SLICE_LITERAL("warn"), &level));
    assert_int_equal(level, LOG_WARN);
    assert_true(log_parse_level(SLICE_LITERAL("0"), &level));
    assert_int_equal(level, LOG_NOTSET);
    assert_true(log_parse_level(SLICE_LITERAL("5"), &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_parse_level(SLICE_LITERAL("6"), &level));
    assert_false(log_parse_level(SLICE_LITERAL(""), &level));
    assert_false(log_parse_level(SLICE_LITERAL("55"), &level));
    assert_false(log_parse_level(SLICE_LITERAL("WARNING"), &level));
}

#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, begin_capture, end_capture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAPTURED(plain_lines_have_level_job_and_message),
        CAPTURED(levels_below_the_threshold_are_not_written),
        CAPTURED(json_lines_are_valid_json),
        CAPTURED(no_bytes_can_forge_a_line),
        CAPTURED(no_odd_characters_reach_the_log),
        CAPTURED(long_messages_lose_their_middle),
        CAPTURED(a_message_of_the_limit_is_whole),
        CAPTURED(formatted_messages_of_any_length_are_whole),
        CAPTURED(the_secret_is_in_no_line),
        CAPTURED(secrets_of_jobs_are_in_no_line),
        CAPTURED(a_repeated_message_is_written_once),
        cmocka_unit_test(levels_have_names_and_numbers),
        CAPTURED(a_stalled_reader_holds_up_nobody), /* last: the thread stays */
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
