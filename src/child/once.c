#include <signal.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "job/child_inside.h"

struct once {
    struct child *child;
    rp_job *job;
    bool stopped;
    bool late;
    deadline_ms deadline;
};

static void ask_to_end(struct once *once)
{
    once->deadline = clock_deadline(once->child->setting->kill_grace_ms);
    process_signal(&once->child->process, SIGTERM);
}

/* One step; true once it is over. */
static bool step(struct once *once, struct err *err)
{
    struct child *child = once->child;
    bool asked = once->stopped || once->late;
    const struct wake *wake = asked ? NULL : &child->stop;
    int events = child_step(child, wake, once->deadline, err);
    if (events < 0 || (events & CHILD_ENDED) != 0)
        return true;
    child_drop_sent(child);
    if ((events & CHILD_LATE) != 0 && asked)
        return true;
    if (!asked && (events & CHILD_STOPPED) != 0) {
        once->late = atomic_load(&once->job->job->why) == JOB_TIMED_OUT;
        once->stopped = !once->late;
        ask_to_end(once);
    }
    return false;
}

/* JSON as it is, other text as a string without the line feeds at its end, as a shell's $(...). */
static int answer(struct child *child, struct lines *said)
{
    struct lines string;
    struct err err;
    slice text = { 0 };
    lines_rest(said, &text);
    slice json = json_trim(text);
    if (json.len > 0 && json_check(json, NULL, NULL) == 0)
        return child_answer(child, said, json);
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    lines_init(&string, 6 * said->buf.max, "the handler's output");
    int rc = RP_FAILED;
    if (json_put_lossy(&string.buf, text, &err) == 0) {
        string.start = string.buf.len;
        rc = child_answer(child, &string, buf_slice(&string.buf));
    } else {
        child_fail(child, "ResultError", "%s", err.text);
    }
    lines_free(&string);
    return rc;
}

/* What the job's error is, where it is one; the process is gone. False where it did well. */
static bool failed(struct once *once, int rc, const struct err *err)
{
    struct child *child = once->child;
    char how[96];
    process_describe(child->status, how, sizeof how);
    if (once->late)
        child_fail_late(child);
    else if (rc != 0)
        child_fail(child, "ResultError", "The handler's program wrote too much: %s", err->text);
    else if (child->status == -1 || WIFSIGNALED(child->status))
        child_fail(child, "HandlerCrashed", "The handler's program %s.", how);
    else if (child->status != 0)
        child_fail(child, "HandlerError", "The handler's program %s.", how);
    else
        return false;
    return true;
}

int child_run_once(struct child *child, rp_job *job)
{
    struct err err = { 0 };
    struct lines said;
    struct once once = { .child = child, .job = job, .deadline = DEADLINE_NEVER };
    int rc = child_start(child, &err);
    if (rc != 0) {
        child_count_death(child);
        child_fail(child, "HandlerCrashed", "%s.", err.text);
        return RP_FAILED;
    }
    child_send(child, rp_job_json(job), true);
    while (!step(&once, &err)) {}
    child_log_errors(child, true);
    /* Ending the process clears what it said. */
    said = child->out;
    lines_init(&child->out, said.buf.max, said.buf.what);
    child_end(child, true);
    bool good = !failed(&once, err.code, &err);
    rc = good ? answer(child, &said) : RP_FAILED;
    lines_free(&said);
    if (!once.stopped && (child->status == -1 || WIFSIGNALED(child->status)))
        child_count_death(child);
    else
        child_succeeded(child);
    return rc;
}
