#include <stdio.h>
#include <sys/wait.h>

#include "job/child_inside.h"

/* --- listening ---------------------------------------------------------------------------- */

static void hear_line(struct child *child, slice line)
{
    if (line.len > 0)
        child_add_words(child, line);
    child_log_line(child, line);
}

static void hear(struct child *child)
{
    slice line;
    while (lines_next(&child->out, &line))
        hear_line(child, line);
}

static void hear_the_rest(struct child *child)
{
    slice line;
    if (lines_rest(&child->out, &line))
        hear_line(child, line);
    child_log_errors(child, true);
}

int child_attend(struct child *child, const struct wake *wake, deadline_ms deadline)
{
    int why = 0;
    while (why == 0) {
        struct err err;
        int events = child_step(child, wake, deadline, &err);
        if (events < 0)
            lines_clear(&child->out, LIMIT_KEEP_BYTES); /* a line without end */
        hear(child);
        if (events > 0 && (events & CHILD_ENDED) != 0)
            why = CHILD_ENDED;
        else if (events > 0 && (events & CHILD_STOPPED) != 0)
            why = CHILD_STOPPED;
        else if (clock_left_ms(deadline) == 0)
            why = CHILD_LATE;
    }
    if (why != CHILD_STOPPED)
        hear_the_rest(child);
    return why;
}

/* --- a check ------------------------------------------------------------------------------ */

/* The last of its last words. */
static slice last_line(const struct child *child)
{
    slice words = child_last_words(child);
    const char *feed = words.len > 0 ? memrchr(words.ptr, '\n', words.len) : NULL;
    return feed != NULL ? slice_skip(words, (size_t)(feed + 1 - words.ptr)) : words;
}

static int judge(const struct child *child, bool ended, int64_t timeout_ms, char *reason,
                 size_t size)
{
    char how[96];
    slice line = last_line(child);
    if (ended && WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0)
        return 0;
    if (ended)
        process_describe(child->status, how, sizeof how);
    else
        snprintf(how, sizeof how, "took longer than %g s", (double)timeout_ms / 1000);
    snprintf(reason, size, "The program %s%s%.*s", how, line.len > 0 ? ": " : "", SLICE_ARG(line));
    return 1;
}

int child_check(const struct child_setting *setting, int64_t timeout_ms, char *reason, size_t size,
                struct err *err)
{
    struct child child;
    child_init(&child, setting, LIMIT_CHILD_TEXT_BYTES, "a line of a check");
    int rc = child_start(&child, err);
    if (rc != 0)
        return rc;
    process_close(&child.process.in);
    deadline_ms deadline = timeout_ms > 0 ? clock_deadline(timeout_ms) : DEADLINE_NEVER;
    bool ended = child_attend(&child, NULL, deadline) == CHILD_ENDED;
    bool cut_off = process_all_are_ending();
    child_end(&child, true); /* leaves its last words where they are */
    rc = cut_off ? err_set(err, ERR_CANCELLED, "the worker is ending")
                 : judge(&child, ended, timeout_ms, reason, size);
    child_free(&child);
    return rc;
}
