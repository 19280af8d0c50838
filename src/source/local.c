#include "source/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "json/difference.h"
#include "json/json.h"

#define TEST_INPUT_FILE "test_input.json"
#define SHOWN_BYTES 400 /* of each side of a difference */

struct local {
    struct source source; /* first, so that a source pointer is a local pointer */
    const struct config *config;
    int result_fd; /* of --test_result; -1: not asked for */
    bool taken;
};

static struct local *local_of(struct source *source)
{
    return (struct local *)(void *)source;
}

/* The input on the command line, else the file. */
static int find_input(const struct config *config, struct buf *body, struct err *err)
{
    if (config->test_input.len > 0) {
        log_write(LOG_INFO, NULL, "test_input set, using test_input as job input.");
        return buf_add_slice(body, config->test_input, err);
    }
    if (access(TEST_INPUT_FILE, F_OK) != 0)
        return err_set(err, ERR_INPUT,
                       TEST_INPUT_FILE " not found, exiting. Give a job with --test_input JSON, or "
                                       "set RUNPOD_WEBHOOK_GET_JOB to work for the platform.");
    log_write(LOG_INFO, NULL, "Using " TEST_INPUT_FILE " as job input.");
    return io_read_file(TEST_INPUT_FILE, 0, body, err);
}

static int read_test_job(const struct config *config, struct delivery *delivery, struct job **job,
                         struct err *err)
{
    int rc = find_input(config, &delivery->body, err);
    if (rc != 0)
        return rc;
    rc = json_check(buf_slice(&delivery->body), NULL, err);
    if (rc != 0)
        return err_wrap(err, "The test input is not valid JSON");
    if (json_type(buf_slice(&delivery->body)) != RP_OBJECT)
        return err_set(err, ERR_INPUT, "The test input must be an object like {\"input\": ...}.");
    rc = delivery_read(delivery, JOB_LOCAL_ID, job, err);
    if (rc != 0)
        return rc;
    if ((*job)->defect == NULL && json_type((*job)->input) != RP_NULL)
        return 0;
    job_release(*job);
    *job = NULL;
    return err_set(err, ERR_INPUT, "Job has no input parameter. Unable to run.");
}

static void local_take(struct source *source, size_t slots, bool busy, struct taken *taken)
{
    struct local *local = local_of(source);
    struct delivery *delivery;
    struct err err = { 0 };
    (void)slots;
    (void)busy;
    *taken = (struct taken){ .ended = local->taken };
    if (local->taken)
        return;
    local->taken = true;
    int rc = delivery_new(&delivery, LIMIT_TAKE_BYTES, &err);
    if (rc == 0) {
        rc = read_test_job(local->config, delivery, &taken->jobs, &err);
        delivery_release(delivery);
    }
    if (rc != 0) {
        log_write(LOG_ERROR, NULL, "%s", err.text);
        source->exit_status = 1;
    }
}

/* Both sides, where they differ first. */
static void log_difference(slice expected, slice body)
{
    struct json_difference found;
    if (!json_find_difference(expected, body, &found))
        found = (struct json_difference){ .expected = expected, .actual = body };
    log_write(LOG_ERROR, NULL,
              "Job output does not match test_output: at %s: expected %.*s, got %.*s",
              found.path[0] != '\0' ? found.path : "the top",
              SLICE_ARG(utf8_head(found.expected, SHOWN_BYTES)),
              SLICE_ARG(utf8_head(found.actual, SHOWN_BYTES)));
}

static bool matches_test_output(slice expected, slice body)
{
    struct err err;
    struct arena arena;
    bool same;
    if (json_check(expected, NULL, &err) != 0) {
        log_write(LOG_ERROR, NULL, "--test_output is not valid JSON: %s", err.text);
        return false;
    }
    log_write(LOG_INFO, NULL, "test_output set, comparing output to test_output.");
    arena_init(&arena, LIMIT_ARENA_BYTES);
    int rc = json_equal(expected, body, &arena, &same, &err);
    arena_free(&arena);
    if (rc != 0) {
        log_write(LOG_ERROR, NULL, "Cannot compare the output to --test_output: %s", err.text);
        return false;
    }
    if (same)
        log_write(LOG_INFO, NULL, "Job output matches test_output.");
    else
        log_difference(expected, body);
    return same;
}

/* For scripts: the result and a line feed, beside the log. */
static void write_result(struct local *local, slice body)
{
    if (local->result_fd < 0)
        return;
    if (io_write_all(local->result_fd, body) == 0 &&
        io_write_all(local->result_fd, SLICE_LITERAL("\n")) == 0)
        return;
    log_write(LOG_ERROR, NULL, "--test_result: %s: %s", local->config->test_result,
              strerror(errno));
    local->source.exit_status = 1;
}

static int local_post(struct reply_channel *reply_channel, struct job *job,
                      const struct result *result, struct err *err)
{
    struct source *source = reply_channel->source;
    slice expected = local_of(source)->config->test_output;
    struct buf body;
    buf_init(&body, 2u * LIMIT_TAKE_BYTES, "result");
    int rc = buf_add_slices(&body, result->pieces, result->count, err);
    if (rc == 0)
        write_result(local_of(source), buf_slice(&body));
    if (rc == 0 && result->is_error) {
        log_write(LOG_ERROR, NULL, "Job %.*s failed with error: %.*s", SLICE_ARG(job->id),
                  SLICE_ARG(buf_slice(&body)));
        source->exit_status = 1;
    } else if (rc == 0) {
        log_write(LOG_INFO, NULL, "Job %.*s completed successfully.", SLICE_ARG(job->id));
        log_write(LOG_INFO, NULL, "Job result: %.*s", SLICE_ARG(buf_slice(&body)));
        if (expected.len > 0 && !matches_test_output(expected, buf_slice(&body)))
            source->exit_status = 1;
        else
            log_write(LOG_INFO, NULL, "Local testing complete, exiting.");
    }
    buf_free(&body);
    return rc;
}

static int local_stream(struct reply_channel *reply_channel, struct job *job, slice json,
                        struct err *err)
{
    const struct log_tag tag = job_tag(job);
    (void)reply_channel;
    (void)err;
    log_write(LOG_INFO, &tag, "Stream output: %.*s", SLICE_ARG(json));
    return 0;
}

static int local_progress(struct reply_channel *reply_channel, const struct job *job, slice json,
                          struct err *err)
{
    const struct log_tag tag = job_tag(job);
    (void)reply_channel;
    (void)err;
    log_write(LOG_INFO, &tag, "Progress: %.*s", SLICE_ARG(json));
    return 0;
}

static const struct source_ops local_ops = {
    .delivers_at_once = true,
    .take = local_take,
    .post = local_post,
    .stream = local_stream,
    .progress = local_progress,
};

/* Before the test runs: a file that cannot be written is told now, not at its end. */
static int open_result(struct local *local, struct err *err)
{
    const char *name = local->config->test_result;
    if (name == NULL)
        return 0;
    if (strcmp(name, "-") == 0) {
        local->result_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        dup2(STDERR_FILENO, STDOUT_FILENO); /* for the log */
    } else {
        local->result_fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    }
    if (local->result_fd >= 0)
        return 0;
    return err_system(err, ERR_CONFIG, errno, "--test_result: cannot write to %s", name);
}

int source_local_new(struct source **source, const struct config *config, struct err *err)
{
    struct local *local = malloc(sizeof *local);
    if (local == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for a local test");
    *local = (struct local){ .source = { .ops = &local_ops }, .config = config, .result_fd = -1 };
    if (open_result(local, err) != 0) {
        free(local);
        return err->code;
    }
    *source = &local->source;
    return 0;
}
