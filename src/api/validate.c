/* worker.h: checks an input against a table and reports all errors at once. */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/utf8.h"
#include "job/rp_job.h"

#define NESTED_MAX 8   /* levels of structs in structs */
#define SHOWN_BYTES 40 /* of a wrong value or name, quoted in the error */
#define PATH_BYTES 256 /* of a field's name with its parents' names */

static const char report_start[] = "Invalid input: ";
#define REPORT_BYTES (sizeof report_start + LIMIT_ERROR_BYTES)
#define REPORT_TAIL_BYTES 32 /* kept free in it for "; and 4294967295 more" */

/* The message with all errors. */
struct report {
    rp_job *job;
    struct text text; /* ends REPORT_TAIL_BYTES before its array does */
    unsigned errors;
    unsigned omitted; /* errors that did not fit */
};

/* The object being checked, and the prefix of its fields in errors: "" or "lora.". */
struct scope {
    rp_value object;
    const rp_field *fields;
    size_t count;
    unsigned options;
    unsigned depth;
    char path[PATH_BYTES];
};

static const rp_value nothing = { NULL, JSON_NONE };

static const char *const type_names[] = {
    [RP_NONE] = "nothing",     [RP_NULL] = "null",       [RP_BOOL] = "a boolean",
    [RP_NUMBER] = "a number",  [RP_STRING] = "a string", [RP_ARRAY] = "an array",
    [RP_OBJECT] = "an object",
};

/* --- errors -------------------------------------------------------------------------------- */

static void add_error(struct report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_error(struct report *report, const char *format, ...)
{
    size_t before = report->text.len;
    va_list args;
    va_start(args, format);
    bool fits = report->omitted == 0 &&
                text_add(&report->text, "%s", report->errors == 0 ? "" : "; ") &&
                text_add_args(&report->text, format, args);
    va_end(args);
    report->errors++;
    if (!fits) {
        text_truncate(&report->text, before);
        report->omitted++;
    }
}

/* A value as quoted in an error: its JSON, cut if it is long. */
struct shown {
    char text[SHOWN_BYTES + 8];
};

static struct shown show(slice json)
{
    struct shown shown;
    if (json.len <= SHOWN_BYTES) {
        snprintf(shown.text, sizeof shown.text, "%.*s", SLICE_ARG(json));
        return shown;
    }
    snprintf(shown.text, sizeof shown.text, "%.*s...", SLICE_ARG(utf8_head(json, SHOWN_BYTES)));
    return shown;
}

static void wrong(struct report *report, const struct scope *scope, const rp_field *field,
                  const char *what, rp_value value)
{
    add_error(report, "%s%s must be %s, not %s", scope->path, field->name, what,
              show(rp_json(value)).text);
}

/* --- rules --------------------------------------------------------------------------------- */

static bool is_in_range(struct report *report, const struct scope *scope, const rp_field *field,
                        rp_value value, double number)
{
    char text[96];
    if (!field->has_range || (number >= field->min && number <= field->max))
        return true;
    if (isinf(field->max))
        snprintf(text, sizeof text, "at least %.15g", field->min);
    else if (isinf(field->min))
        snprintf(text, sizeof text, "at most %.15g", field->max);
    else
        snprintf(text, sizeof text, "from %.15g to %.15g", field->min, field->max);
    wrong(report, scope, field, text, value);
    return false;
}

/* Characters of checked UTF-8. */
static size_t characters(slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += utf8_starts(text.ptr[i]);
    return count;
}

static bool has_length(struct report *report, const struct scope *scope, const rp_field *field,
                       size_t length, const char *unit)
{
    bool too_short = length < field->min_length;
    if (!too_short && (field->max_length == 0 || length <= field->max_length))
        return true;
    add_error(report, "%s%s must have at %s %zu %s, not %zu", scope->path, field->name,
              too_short ? "least" : "most", too_short ? field->min_length : field->max_length, unit,
              length);
    return false;
}

static bool is_listed(rp_value value, const char *const *allowed)
{
    rp_str text;
    bool is_string = rp_to_str(value, &text) == RP_OK, same = false;
    for (; *allowed != NULL && !same; allowed++) {
        if (is_string)
            same = slice_is(text, *allowed);
        else
            json_equal(rp_json(value), slice_from(*allowed), &value.job->arena, &same, NULL);
    }
    return same;
}

static bool is_allowed(struct report *report, const struct scope *scope, const rp_field *field,
                       rp_value value)
{
    char names[512];
    struct text text = TEXT_OVER(names);
    if (field->allowed == NULL || is_listed(value, field->allowed))
        return true;
    text_add(&text, "one of ");
    for (const char *const *each = field->allowed; *each != NULL; each++)
        text_add(&text, "%s%s", each == field->allowed ? "" : ", ", *each);
    wrong(report, scope, field, names, value);
    return false;
}

static bool passes_check(struct report *report, const struct scope *scope, const rp_field *field,
                         rp_value value)
{
    const char *what = field->check != NULL ? field->check(value) : NULL;
    if (what != NULL)
        wrong(report, scope, field, what, value);
    return what == NULL;
}

/* --- reading ------------------------------------------------------------------------------- */

/* The struct's member to set, by its type. */
union member {
    void *any;
    int *int_;
    int64_t *int64;
    float *float_;
    double *number;
    bool *boolean;
    rp_str *str;
    const char **text;
    rp_value *value;
};

static void take_fallback(const rp_field *field, union member to)
{
    const char *string = field->fallback.string != NULL ? field->fallback.string : "";
    switch (field->kind) {
    case RP_KIND_INT: *to.int_ = (int)field->fallback.integer; break;
    case RP_KIND_INT64: *to.int64 = field->fallback.integer; break;
    case RP_KIND_FLOAT: *to.float_ = (float)field->fallback.number; break;
    case RP_KIND_DOUBLE: *to.number = field->fallback.number; break;
    case RP_KIND_BOOL: *to.boolean = field->fallback.boolean; break;
    case RP_KIND_STR: *to.str = slice_from(string); break;
    case RP_KIND_TEXT: *to.text = string; break;
    case RP_KIND_VALUE: *to.value = nothing; break;
    case RP_KIND_STRUCT: break;
    }
}

static void read_integer(struct report *report, const struct scope *scope, const rp_field *field,
                         rp_value value, union member to)
{
    int64_t number;
    bool fits = rp_to_int(value, &number) == RP_OK;
    if (!fits || (field->kind == RP_KIND_INT && (number < INT_MIN || number > INT_MAX))) {
        bool is_number = rp_type_of(value) == RP_NUMBER;
        wrong(report, scope, field, is_number && fits ? "a 32-bit integer" : "an integer", value);
        return;
    }
    if (!is_in_range(report, scope, field, value, (double)number))
        return;
    if (field->kind == RP_KIND_INT)
        *to.int_ = (int)number;
    else
        *to.int64 = number;
}

static void read_number(struct report *report, const struct scope *scope, const rp_field *field,
                        rp_value value, union member to)
{
    double number;
    if (rp_to_double(value, &number) != RP_OK) {
        wrong(report, scope, field, "a number", value);
        return;
    }
    if (!is_in_range(report, scope, field, value, number))
        return;
    if (field->kind == RP_KIND_DOUBLE)
        *to.number = number;
    else if (isinf((float)number))
        wrong(report, scope, field, "within the range of a float", value);
    else
        *to.float_ = (float)number;
}

static void read_string(struct report *report, const struct scope *scope, const rp_field *field,
                        rp_value value, union member to)
{
    rp_str text;
    if (rp_to_str(value, &text) != RP_OK) {
        wrong(report, scope, field, "a string", value);
        return;
    }
    if (!has_length(report, scope, field, characters(text), "characters"))
        return;
    if (field->kind == RP_KIND_STR) {
        *to.str = text;
        return;
    }
    char *copy = rp_alloc(report->job, text.len + 1);
    if (copy == NULL || memchr(text.ptr, '\0', text.len) != NULL) {
        wrong(report, scope, field, copy == NULL ? "shorter" : "without NUL characters", value);
        return;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *to.text = copy;
}

static void read_value(struct report *report, const struct scope *scope, const rp_field *field,
                       rp_value value, union member to)
{
    enum rp_type type = rp_type_of(value);
    rp_str text;
    *to.value = value;
    if (field->type != RP_NONE && field->type != type)
        wrong(report, scope, field, type_names[field->type], value);
    else if (type == RP_ARRAY)
        has_length(report, scope, field, rp_count(value), "elements");
    else if (rp_to_str(value, &text) == RP_OK)
        has_length(report, scope, field, characters(text), "characters");
}

static void check_object(struct report *report, const struct scope *scope, char *out);

/* NOLINTBEGIN(misc-no-recursion): at most NESTED_MAX deep */
static void read_struct(struct report *report, const struct scope *scope, const rp_field *field,
                        rp_value value, char *out)
{
    enum rp_type type = rp_type_of(value);
    if (type != RP_OBJECT && type != RP_NONE && type != RP_NULL) {
        wrong(report, scope, field, "an object", value);
        return;
    }
    if (scope->depth == NESTED_MAX) {
        add_error(report, "%s%s is more than %d structs deep", scope->path, field->name,
                  NESTED_MAX);
        return;
    }
    struct scope inner = { .object = type == RP_OBJECT ? value : nothing,
                           .fields = field->fields,
                           .count = field->field_count,
                           .options = scope->options,
                           .depth = scope->depth + 1 };
    snprintf(inner.path, sizeof inner.path, "%s%s.", scope->path, field->name);
    check_object(report, &inner, out);
}

static void read_kind(struct report *report, const struct scope *scope, const rp_field *field,
                      rp_value value, union member to)
{
    switch (field->kind) {
    case RP_KIND_INT:
    case RP_KIND_INT64: read_integer(report, scope, field, value, to); break;
    case RP_KIND_FLOAT:
    case RP_KIND_DOUBLE: read_number(report, scope, field, value, to); break;
    case RP_KIND_STR:
    case RP_KIND_TEXT: read_string(report, scope, field, value, to); break;
    case RP_KIND_VALUE: read_value(report, scope, field, value, to); break;
    case RP_KIND_BOOL:
        if (rp_to_bool(value, to.boolean) != RP_OK)
            wrong(report, scope, field, "true or false", value);
        break;
    case RP_KIND_STRUCT: break;
    }
}

/* The rules for the whole value are checked last, and only if there is no other error. */
static void check_field(struct report *report, const struct scope *scope, const rp_field *field,
                        char *out)
{
    rp_value value = rp_get(scope->object, field->name);
    union member to = { .any = out + field->offset };
    unsigned before = report->errors;
    enum rp_type type = rp_type_of(value);
    bool missing = type == RP_NONE || type == RP_NULL;
    if (missing && field->required)
        add_error(report, "%s%s is required", scope->path, field->name);
    else if (field->kind == RP_KIND_STRUCT)
        read_struct(report, scope, field, value, out + field->offset);
    else if (missing)
        take_fallback(field, to);
    else
        read_kind(report, scope, field, value, to);
    if (report->errors == before && !missing && is_allowed(report, scope, field, value))
        passes_check(report, scope, field, value);
}

static void check_unknown(struct report *report, const struct scope *scope)
{
    for (rp_iter it = rp_each(scope->object); rp_next(&it);) {
        bool known = false;
        for (size_t i = 0; !known && i < scope->count; i++)
            known = slice_is(it.name, scope->fields[i].name);
        if (!known)
            add_error(report, "%s%s is unknown", scope->path, show(it.name).text);
    }
}

static void check_object(struct report *report, const struct scope *scope, char *out)
{
    for (size_t i = 0; i < scope->count; i++)
        check_field(report, scope, &scope->fields[i], out);
    if ((scope->options & RP_IGNORE_UNKNOWN) == 0)
        check_unknown(report, scope);
}
/* NOLINTEND(misc-no-recursion) */

int rp_validate_fields(rp_job *job, rp_value object, const rp_field *fields, size_t count,
                       void *out, unsigned options)
{
    char message[REPORT_BYTES];
    struct report report = { .job = job,
                             .text = text_over(message, sizeof message - REPORT_TAIL_BYTES) };
    struct scope scope = { .object = object, .fields = fields, .count = count, .options = options };
    enum rp_type type = rp_type_of(object);
    text_add(&report.text, "%s", report_start);
    if (type == RP_NONE && !job->doc_made)
        return rp_job_fail(job, "The input cannot be read; the reason is in the log.");
    if (type == RP_OBJECT || type == RP_NONE || type == RP_NULL)
        check_object(&report, &scope, out);
    else
        add_error(&report, "it must be an object, not %s", show(rp_json(object)).text);
    if (report.errors == 0)
        return RP_OK;
    report.text.size = sizeof message;
    if (report.omitted > 0)
        text_add(&report.text, "%sand %u more", report.omitted < report.errors ? "; " : "",
                 report.omitted);
    return rp_job_fail(job, message);
}
