#include "job/result.h"

#include "base/limits.h"
#include "base/version.h"
#include "codec/json.h"

void result_init(struct result *result, size_t max_bytes)
{
    *result = (struct result){ 0 };
    buf_init(&result->scratch, max_bytes, "result");
}

void result_free(struct result *result)
{
    buf_free(&result->scratch);
}

static void start(struct result *result)
{
    result->count = result->bytes = 0;
    result->is_error = result->stop_pod = result->is_stream = false;
    buf_reset(&result->scratch, LIMIT_KEEP_BYTES);
}

static void add_part(struct result *result, slice part)
{
    result->parts[result->count++] = part;
    result->bytes += part.len;
}

/* What Python calls false: null, false, 0, "", [], {}. */
static bool is_falsy(slice value)
{
    double number;
    size_t pos = 0;
    slice name, element;
    value = json_trim(value);
    switch (json_type(value)) {
    case RP_NONE:
    case RP_NULL: return true;
    case RP_BOOL: return value.ptr[0] == 'f';
    case RP_NUMBER: return json_double(value, &number, NULL) == 0 && !(number > 0) && !(number < 0);
    case RP_STRING: return value.len == 2;
    case RP_ARRAY: return !json_next_element(value, &pos, &element);
    case RP_OBJECT: return !json_next_member(value, &pos, &name, &element);
    }
    return false;
}

static bool is_error_name(slice name)
{
    return json_name_is(name, SLICE_LITERAL("error"));
}

static bool is_refresh_name(slice name)
{
    return json_name_is(name, SLICE_LITERAL("refresh_worker"));
}

/* What an output object says beside its own members. */
struct verdict {
    slice error; /* ptr NULL where there is none */
    bool refresh;
    bool has_special; /* the object has to be rewritten without them */
    bool has_ordinary;
};

static struct verdict read_verdict(slice output)
{
    struct verdict verdict = { 0 };
    slice name, value;
    for (size_t pos = 0; json_next_member(output, &pos, &name, &value);) {
        bool special = is_error_name(name) || is_refresh_name(name);
        if (is_error_name(name))
            verdict.error = value;
        else if (special)
            verdict.refresh = !is_falsy(value);
        verdict.has_special |= special;
        verdict.has_ordinary |= !special;
    }
    if (verdict.error.ptr != NULL && is_falsy(verdict.error))
        verdict.error = (slice){ 0 };
    return verdict;
}

bool result_has_error(slice output, slice *error)
{
    if (json_type(output) != RP_OBJECT)
        return false;
    *error = read_verdict(output).error;
    return error->ptr != NULL;
}

/* Copies the object's ordinary members, as written, into scratch. */
static int copy_ordinary(struct result *result, slice output, struct err *err)
{
    slice name, value;
    const char *before = "{";
    int rc = 0;
    for (size_t pos = 0; rc == 0 && json_next_member(output, &pos, &name, &value);) {
        if (is_error_name(name) || is_refresh_name(name))
            continue;
        rc = json_add(&result->scratch, err, "%s\"%J\": %J", before, &name, &value);
        before = ", ";
    }
    return rc == 0 ? buf_add_text(&result->scratch, "}", err) : rc;
}

static slice closing(bool has_member, bool stop_pod)
{
    if (!stop_pod)
        return SLICE_LITERAL("}");
    return has_member ? SLICE_LITERAL(", \"stopPod\": true}") : SLICE_LITERAL("\"stopPod\": true}");
}

int result_seal_output(struct result *result, slice output, bool stop_pod, struct err *err)
{
    struct verdict verdict = { .has_ordinary = true };
    start(result);
    output = json_trim(output);
    if (json_type(output) == RP_OBJECT)
        verdict = read_verdict(output);
    if (verdict.has_special && verdict.has_ordinary) {
        int rc = copy_ordinary(result, output, err);
        if (rc != 0)
            return rc;
        output = buf_slice(&result->scratch);
    }
    result->is_error = verdict.error.ptr != NULL;
    result->stop_pod = stop_pod || verdict.refresh;
    add_part(result, verdict.has_ordinary ? SLICE_LITERAL("{\"output\": ") : SLICE_LITERAL("{"));
    if (verdict.has_ordinary)
        add_part(result, output);
    size_t at = result->scratch.len;
    int rc = 0;
    if (result->is_error)
        rc = json_add(&result->scratch, err, "%s\"error\": %J", verdict.has_ordinary ? ", " : "",
                      &verdict.error);
    slice end = closing(verdict.has_ordinary || result->is_error, result->stop_pod);
    if (rc == 0)
        rc = buf_add_slice(&result->scratch, end, err);
    if (rc != 0)
        return rc;
    /* Only now: scratch has stopped moving. */
    if (verdict.has_special && verdict.has_ordinary)
        result->parts[1].ptr = result->scratch.ptr;
    add_part(result, slice_skip(buf_slice(&result->scratch), at));
    if (result->bytes <= result->scratch.max)
        return 0;
    return err_set(err, ERR_LIMIT,
                   "The result has %zu bytes, over the limit of %zu (RP_MAX_RESULT_MB). Store it "
                   "elsewhere, in a bucket for example, and return a link to it.",
                   result->bytes, result->scratch.max);
}

/* Posted where there is no memory even for the error's text. */
static void seal_constant(struct result *result)
{
    start(result);
    result->is_error = true;
    add_part(result, SLICE_LITERAL("{\"error\": \"The job failed, and the worker had no memory to "
                                   "say why.\"}"));
}

static void seal_error(struct result *result, slice text, bool stop_pod)
{
    struct buf *scratch = &result->scratch;
    start(result);
    if (buf_add_text(scratch, "{\"error\": ", NULL) != 0 ||
        json_put_lossy(scratch, text, NULL) != 0 ||
        buf_add_slice(scratch, closing(true, stop_pod), NULL) != 0) {
        seal_constant(result);
        return;
    }
    result->is_error = true;
    result->stop_pod = stop_pod;
    add_part(result, buf_slice(scratch));
}

void result_seal_error_text(struct result *result, slice text, bool stop_pod)
{
    if (text.len > LIMIT_ERROR_BYTES)
        text.len = LIMIT_ERROR_BYTES;
    seal_error(result, text, stop_pod);
}

static slice or_unknown(slice text)
{
    return text.len > 0 ? text : SLICE_LITERAL("unknown");
}

static int put_member(struct buf *buf, const char *before, slice text)
{
    int rc = buf_add_text(buf, before, NULL);
    return rc == 0 ? json_put_lossy(buf, text, NULL) : rc;
}

void result_seal_failure(struct result *result, const struct failure *failure,
                         const struct config *config, bool stop_pod)
{
    struct buf object;
    slice message = failure->message,
          worker = config->has_pod_id ? config->worker_id : (slice){ 0 };
    if (message.len > LIMIT_ERROR_BYTES)
        message.len = LIMIT_ERROR_BYTES;
    buf_init(&object, 16u * LIMIT_ERROR_BYTES, "error");
    bool whole = put_member(&object, "{\"error_type\": ", slice_from(failure->type)) == 0 &&
                 put_member(&object, ", \"error_message\": ", message) == 0 &&
                 put_member(&object, ", \"error_traceback\": ", failure->traceback) == 0 &&
                 put_member(&object, ", \"hostname\": ", or_unknown(config->pod_hostname)) == 0 &&
                 put_member(&object, ", \"worker_id\": ", or_unknown(worker)) == 0 &&
                 put_member(&object, ", \"runpod_version\": ", slice_from(WORKER_VERSION)) == 0 &&
                 buf_add_text(&object, "}", NULL) == 0;
    seal_error(result, whole ? buf_slice(&object) : message, stop_pod);
    buf_free(&object);
}
