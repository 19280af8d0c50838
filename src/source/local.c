#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "codec/json.h"
#include "job/source.h"

#define TEST_INPUT_FILE "test_input.json"
#define LOCAL_JOB_ID "local_test"

struct local {
    struct source source; /* first, so that a source pointer is a local pointer */
    const struct config *config;
    bool taken;
};

static struct local *local_of(struct source *source)
{
    return (struct local *)(void *)source;
}

static int read_file(struct buf *out, const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_system(err, ERR_INPUT, errno, "cannot open %s", path);
    int rc;
    ssize_t count = 1;
    while ((rc = buf_reserve(out, 65536, err)) == 0 && count > 0) {
        count = read(fd, out->ptr + out->len, out->cap - out->len);
        if (count > 0)
            out->len += (size_t)count;
        else if (count < 0 && errno == EINTR)
            count = 1;
    }
    if (rc == 0 && count < 0)
        rc = err_system(err, ERR_INPUT, errno, "cannot read %s", path);
    close(fd);
    return rc;
}

/* The command line's input, else the file's. */
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
    return read_file(body, TEST_INPUT_FILE, err);
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
    rc = delivery_read(delivery, LOCAL_JOB_ID, job, err);
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

static int local_open(struct source *source, struct outlet *outlet, struct err *err)
{
    (void)err;
    *outlet = (struct outlet){ .source = source };
    return 0;
}

static void local_close(struct outlet *outlet)
{
    (void)outlet;
}

/* The body in one piece, for the log and for comparing. */
static int join(struct buf *out, const struct result *result, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < result->count; i++)
        rc = buf_add_slice(out, result->parts[i], err);
    return rc;
}

static bool matches_test_output(slice expected, slice body)
{
    struct err err;
    if (json_check(expected, NULL, &err) != 0) {
        log_write(LOG_ERROR, NULL, "--test_output is not valid JSON: %s", err.text);
        return false;
    }
    log_write(LOG_INFO, NULL, "test_output set, comparing output to test_output.");
    bool same = json_equal(expected, body);
    log_write(same ? LOG_INFO : LOG_ERROR, NULL,
              same ? "Job output matches test_output." : "Job output does not match test_output.");
    return same;
}

static int local_post(struct outlet *outlet, struct job *job, const struct result *result,
                      struct err *err)
{
    struct source *source = outlet->source;
    slice expected = local_of(source)->config->test_output;
    struct buf body;
    buf_init(&body, 2u * LIMIT_TAKE_BYTES, "result");
    int rc = join(&body, result, err);
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

static int local_stream(struct outlet *outlet, struct job *job, slice json, struct err *err)
{
    const struct log_tag tag = job_tag(job);
    (void)outlet;
    (void)err;
    log_write(LOG_INFO, &tag, "Stream output: %.*s", SLICE_ARG(json));
    return 0;
}

static int local_progress(struct outlet *outlet, const struct job *job, slice json, struct err *err)
{
    const struct log_tag tag = job_tag(job);
    (void)outlet;
    (void)err;
    log_write(LOG_INFO, &tag, "Progress: %.*s", SLICE_ARG(json));
    return 0;
}

static void local_free(struct source *source)
{
    free(local_of(source));
}

static const struct source_ops local_ops = {
    .take = local_take,
    .open = local_open,
    .close = local_close,
    .post = local_post,
    .stream = local_stream,
    .progress = local_progress,
    .free = local_free,
};

int source_local_new(struct source **source, const struct config *config, struct err *err)
{
    struct local *local = malloc(sizeof *local);
    if (local == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a local test");
    *local = (struct local){ .source = { .ops = &local_ops }, .config = config };
    *source = &local->source;
    return 0;
}
