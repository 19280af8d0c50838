#include "child/outcome.h"

#include <stdarg.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "child/text.h"
#include "job/rp_job.h"

int child_return_json(struct child *child, struct lines *lines, slice json)
{
    struct err err;
    if (rp_return_lines(child->job, lines, json, &err) == 0)
        return RP_OK;
    child_fail(child, "ResultError", "%s", err.text);
    return RP_FAILED;
}

void child_fail(struct child *child, const char *type, const char *format, ...)
{
    char message[LIMIT_ERROR_BYTES];
    struct text text = text_over(message, sizeof message / 2);
    slice tail = child_log_tail(child);
    va_list args;
    if (child->job == NULL)
        return;
    va_start(args, format);
    text_add_args(&text, format, args);
    va_end(args);
    text.size = sizeof message; /* the other half is for the tail */
    if (tail.len > 0)
        text_add(&text, "\nThe last lines on its standard error:\n%.*s", SLICE_ARG(tail));
    rp_fail_text(child->job, type, text_slice(&text), SLICE_LITERAL(""));
}

void child_fail_late(struct child *child)
{
    child_fail(child, rp_timeout_error, RP_TIMEOUT_FORMAT,
               (double)child->job->config->execution_timeout_ms / 1000);
}
