#include "job/result.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "json/json.h"

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

static void add_piece(struct result *result, slice part)
{
    result->pieces[result->count++] = part;
    result->bytes += part.len;
}

static bool is_error_name(slice name)
{
    return json_name_is(name, SLICE_LITERAL("error"));
}

static bool is_refresh_name(slice name)
{
    return json_name_is(name, SLICE_LITERAL("refresh_worker"));
}

/* The members of an output object that are not output. */
struct verdict {
    slice error; /* ptr NULL if there is none */
    bool refresh;
    bool has_special; /* "error" or "refresh_worker": the object is rewritten without them */
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
            verdict.refresh = !json_is_falsy(value);
        verdict.has_special |= special;
        verdict.has_ordinary |= !special;
    }
    if (verdict.error.ptr != NULL && json_is_falsy(verdict.error))
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

/* Copies the other members, as written, into scratch. */
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

static int seal_verdict(struct result *result, slice output, struct verdict verdict, bool stop_pod,
                        struct err *err)
{
    start(result);
    if (verdict.has_special && verdict.has_ordinary) {
        int rc = copy_ordinary(result, output, err);
        if (rc != 0)
            return rc;
        output = buf_slice(&result->scratch);
    }
    result->is_error = verdict.error.ptr != NULL;
    result->stop_pod = stop_pod || verdict.refresh;
    add_piece(result, verdict.has_ordinary ? SLICE_LITERAL("{\"output\": ") : SLICE_LITERAL("{"));
    if (verdict.has_ordinary)
        add_piece(result, output);
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
    /* Only now, as scratch does not move any more. */
    if (verdict.has_special && verdict.has_ordinary)
        result->pieces[1].ptr = result->scratch.ptr;
    add_piece(result, slice_skip(buf_slice(&result->scratch), at));
    if (result->bytes <= result->scratch.max)
        return 0;
    return err_set(err, ERR_LIMIT,
                   "The result has %zu bytes, over the limit of %zu (RP_MAX_RESULT_MB). Store it "
                   "elsewhere, in a bucket for example, and return a link to it.",
                   result->bytes, result->scratch.max);
}

bool result_lies_in(const struct result *result, slice bytes)
{
    for (size_t i = 0; i < result->count; i++)
        if ((uintptr_t)result->pieces[i].ptr - (uintptr_t)bytes.ptr < bytes.len)
            return true;
    return false;
}

int result_seal_output(struct result *result, slice output, bool stop_pod, struct err *err)
{
    struct verdict verdict = { .has_ordinary = true };
    output = json_trim(output);
    if (json_type(output) == RP_OBJECT)
        verdict = read_verdict(output);
    return seal_verdict(result, output, verdict, stop_pod, err);
}

int result_seal_opaque(struct result *result, slice output, bool stop_pod, struct err *err)
{
    const struct verdict verdict = { .has_ordinary = true };
    return seal_verdict(result, json_trim(output), verdict, stop_pod, err);
}

/* Posted when there is not even memory for the error's text. */
static void seal_constant(struct result *result)
{
    start(result);
    result->is_error = true;
    add_piece(
        result,
        SLICE_LITERAL(
            "{\"error\": \"The job failed, and the worker had no memory left to say why.\"}"));
}

static void seal_error(struct result *result, slice text, bool stop_pod)
{
    struct buf *scratch = &result->scratch;
    start(result);
    buf_add_text(scratch, "{\"error\": ", NULL);
    json_put_lossy(scratch, text, NULL);
    buf_add_slice(scratch, closing(true, stop_pod), NULL);
    if (buf_error(scratch, NULL) != 0) {
        seal_constant(result);
        return;
    }
    result->is_error = true;
    result->stop_pod = stop_pod;
    add_piece(result, buf_slice(scratch));
}

void result_seal_error_text(struct result *result, slice text, bool stop_pod)
{
    seal_error(result, utf8_head(text, LIMIT_ERROR_BYTES), stop_pod);
}

/* Escapes can make a text up to six times as long. */
#define OBJECT_BYTES (16u * LIMIT_ERROR_BYTES + 6u * LIMIT_CAPTURE_BYTES)

static slice or_unknown(slice text)
{
    return text.len > 0 ? text : SLICE_LITERAL("unknown");
}

static void put_member(struct buf *buf, const char *before, slice text)
{
    buf_add_text(buf, before, NULL);
    json_put_lossy(buf, text, NULL);
}

void result_seal_failure(struct result *result, const struct failure *failure,
                         const struct config *config, bool stop_pod)
{
    struct buf object;
    slice message = utf8_head(failure->message, LIMIT_ERROR_BYTES);
    slice worker = config->has_pod_id ? config->worker_id : (slice){ 0 };
    buf_init(&object, OBJECT_BYTES, "error");
    buf_add_text(&object, "{", NULL);
    if (failure->hook != NULL)
        buf_add_text(&object, "\"event\": \"prestart_failed\", ", NULL);
    put_member(&object, "\"error_type\": ", slice_from(failure->type));
    put_member(&object, ", \"error_message\": ", message);
    put_member(&object, ", \"error_traceback\": ", failure->traceback);
    if (failure->hook == NULL)
        put_member(&object, ", \"hostname\": ", or_unknown(config->pod_hostname));
    put_member(&object, ", \"worker_id\": ", or_unknown(worker));
    put_member(&object, ", \"runpod_version\": ", config->contract_version);
    if (failure->hook != NULL)
        put_member(&object, ", \"hook\": ", slice_from(failure->hook));
    if (failure->logs.len > 0)
        put_member(&object, ", \"logs\": ", utf8_tail(failure->logs, LIMIT_CAPTURE_BYTES));
    buf_add_text(&object, "}", NULL);
    bool whole = buf_error(&object, NULL) == 0;
    seal_error(result, whole ? buf_slice(&object) : message, stop_pod);
    buf_free(&object);
}
