#include "job/job.h"

#include <stdlib.h>

#include "base/limits.h"
#include "codec/url.h"

/*
 * One freed delivery, kept with its memory for the next: one thread allocates deliveries and others
 * free them, for which the allocator would return whole pages to the system and take them again.
 */
static _Atomic(struct delivery *) spare;

int delivery_new(struct delivery **out, size_t max_bytes, struct err *err)
{
    struct delivery *delivery = atomic_exchange(&spare, NULL);
    if (delivery == NULL) {
        delivery = malloc(sizeof *delivery);
        if (delivery == NULL)
            return err_set(err, ERR_MEMORY, "out of memory for a job");
        buf_init(&delivery->body, max_bytes, "job");
        arena_init(&delivery->arena, LIMIT_TAKE_BYTES);
    }
    delivery->body.max = max_bytes;
    atomic_init(&delivery->jobs, 1);
    atomic_init(&delivery->readers, 1);
    *out = delivery;
    return 0;
}

static void release_body(struct delivery *delivery)
{
    if (atomic_fetch_sub(&delivery->readers, 1) == 1)
        buf_reset(&delivery->body, LIMIT_KEEP_BYTES);
}

/* All but the body. */
static void release(struct delivery *delivery)
{
    if (atomic_fetch_sub(&delivery->jobs, 1) != 1)
        return;
    struct delivery *none = NULL;
    arena_reset(&delivery->arena);
    if (atomic_compare_exchange_strong(&spare, &none, delivery))
        return;
    buf_free(&delivery->body);
    arena_free(&delivery->arena);
    free(delivery);
}

void delivery_release(struct delivery *delivery)
{
    release_body(delivery);
    release(delivery);
}

void job_drop_text(struct job *job)
{
    if (job->text.len < LIMIT_KEEP_BYTES)
        return; /* its memory would be kept */
    job->text = job->input = job->s3_config = (slice){ 0 };
    job->has_no_text = true;
    release_body(job->delivery);
}

void job_release(struct job *job)
{
    if (!job->has_no_text)
        release_body(job->delivery);
    release(job->delivery);
}

void job_stop(struct job *job, enum job_stop why)
{
    int before = JOB_GOES_ON;
    if (!atomic_compare_exchange_strong(&job->why, &before, why) && before == JOB_TIMED_OUT)
        atomic_store(&job->why, why);
    flag_raise(&job->stop);
}

bool job_is_stopped(const struct job *job)
{
    return atomic_load(&job->why) == JOB_STOPPED;
}

bool job_wait_stopped(struct job *job, deadline_ms deadline)
{
    if (atomic_load(&job->why) == JOB_TIMED_OUT)
        clock_sleep(deadline); /* the flag is raised, so a wait on it would return at once */
    else
        flag_wait(&job->stop, deadline);
    int why = atomic_load(&job->why);
    return why == JOB_STOPPED || why == JOB_ABANDONED;
}

struct log_tag job_tag(const struct job *job)
{
    return (struct log_tag){ .job_id = job->id, .batch_id = job->batch_id };
}

int job_put_field_id(const struct job *job, struct buf *out, struct err *err)
{
    slice id = job->id;
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] <= 0x20 || id.ptr[i] == 0x7f) /* char is signed: above 0x7f too */
            return url_encode(out, id, err);
    return buf_add_slice(out, id, err);
}

/* An id is a string, or a number taken as its text. False for anything else, or if too long. */
static bool read_id(slice value, struct arena *arena, slice *id)
{
    enum rp_type type = json_type(value);
    if (type == RP_NUMBER)
        *id = json_trim(value);
    else if (type != RP_STRING || json_string(value, arena, id, NULL) != 0)
        return false;
    return id->len > 0 && id->len <= LIMIT_JOB_ID_BYTES;
}

/* The members that the worker itself uses, found in one pass. */
struct envelope {
    slice id, input, batch_id, s3_config; /* raw values; ptr NULL where absent */
    bool names_scratch;
};

static struct envelope read_envelope(slice object)
{
    struct envelope envelope = { 0 };
    slice name, value;
    for (size_t pos = 0; json_next_member(object, &pos, &name, &value);) {
        if (json_name_is(name, SLICE_LITERAL("id")))
            envelope.id = value;
        else if (json_name_is(name, SLICE_LITERAL("input")))
            envelope.input = value;
        else if (json_name_is(name, SLICE_LITERAL("batchId")))
            envelope.batch_id = value;
        else if (json_name_is(name, SLICE_LITERAL("s3Config")))
            envelope.s3_config = value;
        else if (json_name_is(name, SLICE_LITERAL("scratch")))
            envelope.names_scratch = true;
    }
    return envelope;
}

/* Its secret is kept out of log and errors, as the job writes it and as it is meant. */
static void add_secret(slice s3_config, struct arena *arena)
{
    slice secret, text;
    if (!json_member(s3_config, "accessSecret", &secret) || json_type(secret) != RP_STRING)
        return;
    log_add_job_secret((slice){ secret.ptr + 1, secret.len - 2 });
    if (json_string(secret, arena, &text, NULL) == 0 && text.len != secret.len - 2)
        log_add_job_secret(text);
}

/* What outlives a text that may be dropped. False if out of memory. */
static bool keep(slice *text, struct arena *arena)
{
    char *copy = arena_alloc(arena, text->len);
    if (copy != NULL && text->len > 0)
        text->ptr = memcpy(copy, text->ptr, text->len);
    return copy != NULL;
}

/* One element of a delivery. NULL with a reason if it cannot be answered. */
static struct job *read_job(struct delivery *delivery, slice text, const char *local_id,
                            const char **reason)
{
    *reason = "it is not an object";
    if (json_type(text) != RP_OBJECT)
        return NULL;
    struct envelope envelope = read_envelope(text);
    slice id = local_id != NULL ? slice_from(local_id) : (slice){ 0 };
    *reason = "its id is missing or unusable (it must be a string or number of 1 to 512 bytes)";
    if (envelope.id.ptr != NULL ? !read_id(envelope.id, &delivery->arena, &id) : id.len == 0)
        return NULL;
    *reason = "out of memory";
    struct job *job = arena_alloc(&delivery->arena, sizeof *job);
    if (job == NULL)
        return NULL;
    *job = (struct job){ .delivery = delivery, .text = text, .input = envelope.input, .id = id };
    job->lacks_id = envelope.id.ptr == NULL;
    job->names_scratch = envelope.names_scratch;
    if (!json_is_falsy(envelope.s3_config)) {
        job->s3_config = envelope.s3_config;
        add_secret(job->s3_config, &delivery->arena);
    }
    if (envelope.batch_id.ptr != NULL && json_type(envelope.batch_id) == RP_STRING)
        json_string(envelope.batch_id, &delivery->arena, &job->batch_id, NULL);
    if (envelope.input.ptr == NULL)
        job->defect = "Job has missing field(s): input.";
    if (text.len >= LIMIT_KEEP_BYTES &&
        (!keep(&job->id, &delivery->arena) || !keep(&job->batch_id, &delivery->arena)))
        return NULL;
    flag_init(&job->stop);
    atomic_fetch_add(&delivery->jobs, 1);
    atomic_fetch_add(&delivery->readers, 1);
    return job;
}

static void append_job(struct job ***end, struct job *job)
{
    **end = job;
    *end = &job->next;
}

static void log_left_out(size_t skipped, size_t left_out)
{
    if (skipped > LIMIT_SKIPS_LOGGED)
        log_write(LOG_ERROR, NULL, "%zu jobs of this batch were skipped in all.", skipped);
    if (left_out > 0)
        log_write(LOG_ERROR, NULL,
                  "A batch has %zu jobs more than the %d that are taken from one: they are left to "
                  "the platform, which hands out again any job that no heartbeat names.",
                  left_out, LIMIT_JOBS_AN_ANSWER);
}

static void read_array(struct delivery *delivery, slice array, struct job ***end)
{
    slice element;
    size_t index = 0, taken = 0, skipped = 0, left_out = 0;
    for (size_t pos = 0; json_next_element(array, &pos, &element); index++) {
        const char *reason;
        struct job *job = NULL;
        if (taken == LIMIT_JOBS_AN_ANSWER)
            left_out++;
        else if ((job = read_job(delivery, element, NULL, &reason)) != NULL)
            append_job(end, job);
        else if (skipped++ < LIMIT_SKIPS_LOGGED)
            log_write(LOG_ERROR, NULL, "Job %zu of a batch was skipped: %s.", index, reason);
        taken += job != NULL;
    }
    log_left_out(skipped, left_out);
}

int delivery_read(struct delivery *delivery, const char *local_id, struct job **jobs,
                  struct err *err)
{
    struct json_info info;
    slice text = json_trim(buf_slice(&delivery->body));
    struct job **end = jobs;
    const char *reason;
    *jobs = NULL;
    int rc = json_check(text, &info, err);
    if (rc != 0)
        return rc;
    if (info.type == RP_ARRAY) {
        read_array(delivery, text, &end);
        return 0;
    }
    struct job *job = read_job(delivery, text, local_id, &reason);
    if (job == NULL)
        return err_set(err, ERR_INPUT, "Job has missing field(s): %s", reason);
    job->info = info;
    append_job(&end, job);
    return 0;
}
