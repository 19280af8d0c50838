#include "child/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "child/life.h"
#include "child/relay.h"
#include "child/text.h"

/* The last line of its log. */
static slice last_line(const struct child *child)
{
    slice tail = child_log_tail(child);
    const char *feed = tail.len > 0 ? memrchr(tail.ptr, '\n', tail.len) : NULL;
    return feed != NULL ? slice_skip(tail, (size_t)(feed + 1 - tail.ptr)) : tail;
}

static int give_verdict(const struct child *child, bool ended, int64_t timeout_ms, char *reason,
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
    bool ended = child_relay(&child, NULL, deadline) == CHILD_ENDED;
    bool cut_off = process_all_are_ending();
    child_end(&child); /* keeps the tail of its log */
    rc = cut_off ? err_set(err, ERR_CANCELLED, "the worker is shutting down")
                 : give_verdict(&child, ended, timeout_ms, reason, size);
    child_free(&child);
    return rc;
}
