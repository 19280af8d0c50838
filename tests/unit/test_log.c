/* base/log, base/log_output: what comes out on standard output. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/log_output.h"
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

/* It is a label: the start of one is enough, and in JSON it needs no mending. */
static void a_batch_id_is_cut_between_characters(void **state)
{
    char id[200], expected[300];
    const struct log_tag batch = { .batch_id = { id, sizeof id } };
    const struct log_tag odd = { .job_id = { "j", 1 }, .batch_id = { "b\n7", 3 } };
    (void)state;
    log_init(LOG_DEBUG, false);
    memset(id, 'b', sizeof id);
    memcpy(id + 127, "\xc3\xbc", 2);
    log_write(LOG_INFO, &batch, "x");
    snprintf(expected, sizeof expected, "INFO   | [batchId=%.127s] x\n", id);
    assert_logged(expected);
    id[127] = id[128] = 'c';
    log_write(LOG_INFO, &batch, "x");
    snprintf(expected, sizeof expected, "INFO   | [batchId=%.128s] x\n", id);
    assert_logged(expected);
    log_init(LOG_DEBUG, true);
    log_write(LOG_INFO, &odd, "x");
    assert_logged("{\"requestId\": \"j\", \"message\": \"[batchId=b\\n7] x\", \"level\": "
                  "\"INFO\"}\n");
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
    log_text(LOG_INFO, NULL, SLICE_LITERAL("\x7f\x80"));
    assert_logged("{\"requestId\": null, \"message\": \"\x7f\\ufffd\", \"level\": \"INFO\"}\n");
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

static int make_line(char line[100], int number)
{
    return snprintf(line, 100, "INFO   | line %06d, which is filled up to have sixty bytes...\n",
                    number);
}

/*
 * What is queued is written in pieces that a pipe takes at once, each of as many whole lines as
 * fit: so those of other processes do not get between. O_DIRECT keeps the pieces apart.
 */
static void queued_lines_are_written_whole(void **state)
{
    enum {
        LINES = 3000,
        DIRECT = 40
    }; /* the first pieces are what was there when there was room */
    char piece[PIPE_BUF + 1], line[100];
    int ends[2], seen = 0;
    (void)state;
    log_init(LOG_DEBUG, false);
    assert_int_equal(pipe2(ends, O_DIRECT), 0);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    for (int i = 0; i < LINES; i++)
        log_write(LOG_INFO, NULL, "line %06d, which is filled up to have sixty bytes...", i);
    for (int pieces = 0; seen < LINES; pieces++) {
        ssize_t len = read(ends[0], piece, sizeof piece);
        int size = make_line(line, seen);
        assert_in_range(len, size, PIPE_BUF);
        assert_int_equal(len % size, 0);
        for (ssize_t at = 0; at < len; at += size) {
            make_line(line, seen++);
            assert_memory_equal(piece + at, line, size);
        }
        assert_true(pieces < DIRECT || seen == LINES || len == PIPE_BUF / size * size);
    }
    assert_true(log_flush(5000));
    close(ends[0]);
}

#define MANY_BYTES 100000 /* more than a pipe takes */

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    (void)number;
    alarms++;
}

/* Reads nothing until the writer has been interrupted a few times. True: it was all there. */
static void *read_late(void *end)
{
    char byte;
    int count = 0;
    sigset_t all;
    FILE *reader = fdopen(*(const int *)end, "r");
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (alarms < 5)
        sched_yield();
    while (reader != NULL && fread(&byte, 1, 1, reader) == 1 && byte == (char)(count * 7919 >> 8))
        count++;
    if (reader != NULL)
        fclose(reader);
    return count == MANY_BYTES ? end : NULL;
}

static void write_many(int flags)
{
    static char bytes[MANY_BYTES];
    const struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
    pthread_t reader;
    void *all;
    int ends[2];
    for (int i = 0; i < MANY_BYTES; i++)
        bytes[i] = (char)(i * 7919 >> 8);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, flags), 0);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
    alarms = 0;
    setitimer(ITIMER_REAL, &often, NULL);
    assert_int_equal(pthread_create(&reader, NULL, read_late, &ends[0]), 0);
    log_banner((slice){ bytes, sizeof bytes });
    setitimer(ITIMER_REAL, &never, NULL);
    dup2(real_stdout, STDOUT_FILENO); /* closes the pipe */
    pthread_join(reader, &all);
    assert_non_null(all);
}

/* By a signal, or by somebody who has made standard output non-blocking. */
static void what_is_interrupted_is_written_whole(void **state)
{
    const struct sigaction action = { .sa_handler = count_alarm };
    (void)state;
    sigaction(SIGALRM, &action, NULL);
    write_many(0);
    write_many(O_NONBLOCK);
    signal(SIGALRM, SIG_DFL);
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

/* What stands in front of a message counts; it is whole. */
static void a_prefix_takes_of_the_first_half(void **state)
{
    enum { HALF = LOG_MESSAGE_MAX_CHARS / 2 };
    static const char prefix[] = "[batchId=\xc3\xbc] ";
    const struct log_tag batch = { .batch_id = { "\xc3\xbc", 2 } };
    char text[LOG_MESSAGE_MAX_CHARS], expected[2 * LOG_MESSAGE_MAX_CHARS];
    (void)state;
    log_init(LOG_DEBUG, false);
    memset(text, 'a', HALF);
    memset(text + HALF, 'z', HALF);
    const int chars = (int)sizeof prefix - 2, fits = LOG_MESSAGE_MAX_CHARS - chars;
    log_text(LOG_INFO, &batch, (slice){ text, (size_t)fits });
    snprintf(expected, sizeof expected, "INFO   | %s%.*s\n", prefix, fits, text);
    assert_logged(expected);
    log_text(LOG_INFO, &batch, (slice){ text, sizeof text });
    snprintf(expected, sizeof expected,
             "INFO   | %s%.*s\n       | ...TRUNCATED %d CHARACTERS...\n       | %.*s\n", prefix,
             HALF - chars, text, chars, HALF, text + HALF);
    assert_logged(expected);
}

/* Around the sizes of what is on the stack, too. */
static void formatted_messages_of_any_length_are_whole(void **state)
{
    char text[3000], expected[3100];
    (void)state;
    memset(text, 'y', sizeof text);
    for (int len = 1000; len < 2100; len = len == 1060 ? 2000 : len + 1) {
        log_write(LOG_INFO, NULL, "<%.*s>", len, text);
        snprintf(expected, sizeof expected, "INFO   | <%.*s>\n", len, text);
        assert_logged(expected);
    }
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
    log_mask(text, 14);
    assert_string_equal(text, "key ********** and secret-key");
    log_mask(text, sizeof text - 1);
    assert_string_equal(text, "key ********** and **********");
    log_init(LOG_DEBUG, false);
    assert_true(log_add_secret(SLICE_LITERAL("sixsix"))); /* the shortest */
    log_write(LOG_INFO, NULL, "sixsix sixsi");
    assert_logged("INFO   | ****** sixsi\n");
}

/* One may be the start of another, whichever is added first. */
static void of_secrets_the_longest_counts(void **state)
{
    (void)state;
    log_init(LOG_DEBUG, false);
    log_add_secret(SLICE_LITERAL("nested-one"));
    log_add_secret(SLICE_LITERAL("nested-one-longer"));
    log_add_secret(SLICE_LITERAL("nested-one-long"));
    log_add_secret(SLICE_LITERAL("nested-"));
    log_write(LOG_INFO, NULL, "nested-one nested-one-longer nested-two");
    assert_logged("INFO   | ********** ***************** *******two\n");
}

/* Those that are there stay. */
static void there_is_a_most_of_secrets(void **state)
{
    static char more[LOG_SECRETS_MAX][16];
    size_t added = 0;
    (void)state;
    log_init(LOG_DEBUG, false);
    for (; added < LOG_SECRETS_MAX; added++) {
        int len = snprintf(more[added], sizeof more[added], "one-more-%zu", added);
        if (!log_add_secret((slice){ more[added], (size_t)len }))
            break;
    }
    assert_in_range(added, 1, LOG_SECRETS_MAX - 1);
    assert_false(log_add_secret(SLICE_LITERAL("one-too-many")));
    log_write(LOG_INFO, NULL, "secret-key one-more-0 %s one-too-many", more[added - 1]);
    slice line = logged();
    assert_null(memmem(line.ptr, line.len, "secret", 6));
    assert_null(memmem(line.ptr, line.len, "one-more", 8));
    assert_non_null(memmem(line.ptr, line.len, " one-too-many\n", 14));
}

/* As those of the worker's own, whoever adds them; the latest LOG_JOB_SECRETS_MAX are known. */
static void secrets_of_jobs_are_in_no_line(void **state)
{
    char secret[32], text[64] = "the first-secret again";
    (void)state;
    log_init(LOG_DEBUG, false);
    log_add_job_secret(SLICE_LITERAL("brief"));  /* ignored */
    log_add_job_secret(SLICE_LITERAL("job-s6")); /* as short as it may be */
    log_write(LOG_INFO, NULL, "brief job-s6 job-s5");
    assert_logged("INFO   | brief ****** job-s5\n");
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

static slice heard_job, heard_text;
static char heard[2][64];
static int heard_count;

static slice keep(char to[64], slice text)
{
    assert_true(text.len < 64);
    memcpy(to, text.ptr, text.len);
    return (slice){ to, text.len };
}

static void hear(enum log_level level, slice job_id, slice message)
{
    assert_int_equal(level, LOG_WARN);
    heard_job = keep(heard[0], job_id);
    heard_text = keep(heard[1], message);
    heard_count++;
}

/* It gets what is written about jobs, and only that. */
static void a_listener_hears_of_jobs(void **state)
{
    const struct log_tag none = { .batch_id = { "b7", 2 } };
    (void)state;
    log_init(LOG_INFO, false);
    log_set_listener(hear);
    log_write(LOG_WARN, NULL, "of no job");
    log_write(LOG_WARN, &none, "of no job");
    log_write(LOG_DEBUG, &job, "not written");
    assert_int_equal(heard_count, 0);
    log_write(LOG_WARN, &job, "of secret-key %d", 7);
    log_set_listener(NULL);
    log_write(LOG_WARN, &job, "later");
    assert_int_equal(heard_count, 1);
    assert_true(slice_is(heard_job, "job-1"));
    assert_true(slice_is(heard_text, "of ********** 7"));
    logged();
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
    log_write_repeated(&repeat, LOG_WARN, NULL, "port %d is closed", 890);
    repeat.written_ms -= LOG_REPEAT_MS;
    log_write_repeated(&repeat, LOG_WARN, NULL, "port %d is closed", 9);
    assert_logged("WARN   | port 9 is closed (repeated 1 more times since this was last logged)\n");
    repeat.written_ms -= LOG_REPEAT_MS;
    log_write_repeated(&repeat, LOG_WARN, NULL, "port %d is closed", 9);
    assert_logged("WARN   | port 9 is closed\n");
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
        CAPTURED(a_batch_id_is_cut_between_characters),
        CAPTURED(no_bytes_can_forge_a_line),
        CAPTURED(no_odd_characters_reach_the_log),
        CAPTURED(long_messages_lose_their_middle),
        CAPTURED(a_message_of_the_limit_is_whole),
        CAPTURED(a_prefix_takes_of_the_first_half),
        CAPTURED(formatted_messages_of_any_length_are_whole),
        CAPTURED(the_secret_is_in_no_line),
        CAPTURED(of_secrets_the_longest_counts),
        CAPTURED(there_is_a_most_of_secrets),
        CAPTURED(secrets_of_jobs_are_in_no_line),
        CAPTURED(a_listener_hears_of_jobs),
        CAPTURED(a_repeated_message_is_written_once),
        cmocka_unit_test(levels_have_names_and_numbers),
        CAPTURED(what_is_interrupted_is_written_whole),
        CAPTURED(a_stalled_reader_holds_up_nobody), /* from here on there is the thread */
        CAPTURED(queued_lines_are_written_whole),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
