/* worker.h: reading a job and its input. */
#include "base/limits.h"
#include "job/rp_job.h"

rp_str rp_job_id(const rp_job *job)
{
    return job->task->id;
}

rp_str rp_job_json(const rp_job *job)
{
    return job->task->text;
}

rp_str rp_input_json(const rp_job *job)
{
    return job->task->input;
}

bool rp_job_stopped(const rp_job *job)
{
    return flag_is_raised(&job->task->stop);
}

bool rp_job_wait(rp_job *job, uint32_t timeout_ms)
{
    return flag_wait(&job->task->stop, clock_deadline(timeout_ms));
}

void *rp_alloc(rp_job *job, size_t size)
{
    return arena_alloc(&job->arena, size);
}

static const rp_value nothing = { NULL, JSON_NONE };

static rp_value value_at(rp_job *job, uint32_t index)
{
    return index == JSON_NONE ? nothing : (rp_value){ job, index };
}

static bool exists(rp_value value)
{
    return value.job != NULL && value.index != JSON_NONE;
}

rp_value rp_job_object(rp_job *job)
{
    struct job *source = job->task;
    struct err err;
    if (job->doc_made)
        return value_at(job, 0);
    /* The values of a job from a batch are counted only when they are needed. */
    if (source->info.values == 0 && json_check(source->text, &source->info, &err) != 0)
        return nothing;
    if (json_doc_init(&job->doc, source->text, &source->info, &job->arena, &err) != 0) {
        const struct log_tag tag = job_tag(source);
        log_write(LOG_ERROR, &tag, "The input cannot be read: %s", err.text);
        return nothing;
    }
    job->doc_made = true;
    return value_at(job, 0);
}

rp_value rp_input(rp_job *job)
{
    return rp_get(rp_job_object(job), "input");
}

enum rp_type rp_type_of(rp_value value)
{
    return exists(value) ? json_doc_type(&value.job->doc, value.index) : RP_NONE;
}

size_t rp_count(rp_value value)
{
    return exists(value) ? json_doc_count(&value.job->doc, value.index) : 0;
}

rp_value rp_get(rp_value object, const char *name)
{
    if (rp_type_of(object) != RP_OBJECT)
        return nothing;
    return value_at(object.job, json_doc_member(&object.job->doc, object.index, slice_from(name)));
}

rp_value rp_at(rp_value array, size_t position)
{
    if (rp_type_of(array) != RP_ARRAY || position >= rp_count(array))
        return nothing;
    return value_at(array.job, json_doc_element(&array.job->doc, array.index, (uint32_t)position));
}

rp_str rp_json(rp_value value)
{
    return exists(value) ? json_doc_raw(&value.job->doc, value.index) : SLICE_LITERAL("");
}

/* RP_OK if the value has the type, RP_MISSING for RP_NONE and null, else RP_WRONG. */
static int expect(rp_value value, enum rp_type type)
{
    enum rp_type found = rp_type_of(value);
    if (found == RP_NONE || found == RP_NULL)
        return RP_MISSING;
    return found == type ? RP_OK : RP_WRONG;
}

int rp_to_str(rp_value value, rp_str *out)
{
    int rc = expect(value, RP_STRING);
    if (rc == RP_OK && json_string(rp_json(value), &value.job->arena, out, NULL) != 0)
        rc = RP_WRONG;
    return rc;
}

int rp_to_int(rp_value value, int64_t *out)
{
    int rc = expect(value, RP_NUMBER);
    if (rc == RP_OK && json_int(rp_json(value), out, NULL) != 0)
        rc = RP_WRONG;
    return rc;
}

int rp_to_double(rp_value value, double *out)
{
    int rc = expect(value, RP_NUMBER);
    if (rc == RP_OK && json_double(rp_json(value), out, NULL) != 0)
        rc = RP_WRONG;
    return rc;
}

int rp_to_bool(rp_value value, bool *out)
{
    int rc = expect(value, RP_BOOL);
    if (rc == RP_OK)
        *out = rp_json(value).ptr[0] == 't';
    return rc;
}

int rp_get_str(rp_value object, const char *name, rp_str *out)
{
    return rp_to_str(rp_get(object, name), out);
}

int rp_get_int(rp_value object, const char *name, int64_t *out)
{
    return rp_to_int(rp_get(object, name), out);
}

int rp_get_double(rp_value object, const char *name, double *out)
{
    return rp_to_double(rp_get(object, name), out);
}

int rp_get_bool(rp_value object, const char *name, bool *out)
{
    return rp_to_bool(rp_get(object, name), out);
}

rp_iter rp_each(rp_value container)
{
    rp_iter iter = { .container = container, .next = JSON_NONE, .value = nothing };
    enum rp_type type = rp_type_of(container);
    if (type == RP_OBJECT || type == RP_ARRAY)
        iter.next = json_doc_first(&container.job->doc, container.index);
    return iter;
}

bool rp_next(rp_iter *iter)
{
    rp_job *job = iter->container.job;
    if (iter->next == JSON_NONE)
        return false;
    iter->value = value_at(job, iter->next);
    iter->name = SLICE_LITERAL("");
    if (rp_type_of(iter->container) == RP_OBJECT)
        json_string(json_doc_name(&job->doc, iter->next), &job->arena, &iter->name, NULL);
    iter->next = json_doc_next(&job->doc, iter->next);
    return true;
}
