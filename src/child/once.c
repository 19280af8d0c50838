#include "child/once.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "child/folder.h"
#include "child/io.h"
#include "child/links.h"
#include "child/outcome.h"
#include "child/text.h"
#include "codec/mend.h"
#include "job/rp_job.h"
#include "json/json.h"

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

/* One step; true once it is over. *err stays zero without an error. */
static bool step(struct once *once, struct err *err)
{
    struct child *child = once->child;
    bool asked = once->stopped || once->late;
    const struct wake *wake = asked ? NULL : &child->stop;
    int events = child_step(child, wake, once->deadline, err);
    if (events < 0 || (events & CHILD_ENDED) != 0)
        return true;
    child_release_sent(child);
    if ((events & CHILD_DEADLINE) != 0 && asked)
        return true;
    if (!asked && (events & CHILD_WOKEN) != 0) {
        once->late = atomic_load(&once->job->task->why) == JOB_TIMED_OUT;
        once->stopped = !once->late;
        ask_to_end(once);
    }
    return false;
}

static slice without_line_feeds(slice text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return text;
}

/* Checks that the output is UTF-8, and mends it if it is text. 0, or the job has failed. */
static int mend_output(struct child *child, struct lines *output)
{
    struct lines mended;
    struct err err;
    const struct log_tag tag = child_tag(child);
    enum mend_kind kind = mend_kind_of(buf_slice(&output->buf));
    if (kind == MEND_NONE)
        return 0;
    if (kind == MEND_BINARY) {
        child_fail(child, "ResultError", "The handler's output " MEND_REFUSAL ".");
        return RP_FAILED;
    }
    lines_init(&mended, 3 * output->buf.max, output->buf.what);
    if (mend_put(&mended.buf, buf_slice(&output->buf), &err) != 0) {
        child_fail(child, "ResultError", "%s", err.text);
        return RP_FAILED;
    }
    lines_free(output);
    *output = mended;
    log_write(LOG_WARN, &tag, "The handler's output " MEND_WARNING ".");
    return 0;
}

/* With links in the place of the files that it names. */
static int return_json(struct child *child, struct lines *output, slice json)
{
    struct buf links;
    buf_init(&links, 2 * output->buf.max, "an output with links");
    int rc = links_put(child, json, &links);
    if (rc == 1)
        rp_return_buf(child->job, &links, buf_slice(&links));
    buf_free(&links);
    return rc == 0 ? child_return_json(child, output, json) : rc == 1 ? RP_OK : rc;
}

/* JSON as it is; other text as a string without the line feeds at its end, as a shell's $(...). */
static int return_output(struct child *child, struct lines *output)
{
    struct lines string;
    struct err err;
    slice text = { 0 };
    int rc = mend_output(child, output);
    if (rc != 0)
        return rc;
    lines_rest(output, &text);
    slice json = json_trim(text);
    if (json.len > 0 && json_check(json, NULL, NULL) == 0)
        return return_json(child, output, json);
    lines_init(&string, 6 * output->buf.max, "the handler's output");
    rc = RP_FAILED;
    if (json_put_string(&string.buf, without_line_feeds(text), &err) == 0) {
        string.start = string.buf.len;
        rc = child_return_json(child, &string, buf_slice(&string.buf));
    } else {
        child_fail(child, "ResultError", "%s", err.text);
    }
    lines_free(&string);
    return rc;
}

/* After the process's end: fails the job, if it was not good. Returns whether it failed. */
static bool fail_unless_good(struct once *once, int rc, const struct err *err)
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
    struct lines output;
    struct once once = { .child = child, .job = job, .deadline = DEADLINE_NEVER };
    folder_make_once(child, job);
    int rc = child_start(child, &err);
    if (rc != 0) {
        child_count_death(child);
        child_fail(child, "HandlerCrashed", "%s.", err.text);
        return RP_FAILED;
    }
    if (child_send_job(child, job->task, NULL, rp_job_json(job), true, &err) != 0)
        process_signal(&child->process, SIGKILL);
    while (!step(&once, &err)) {}
    child_log_errors(child, true);
    /* Ending the process would clear its output. */
    output = child->out;
    lines_init(&child->out, output.buf.max, output.buf.what);
    child_end(child);
    bool good = !fail_unless_good(&once, err.code, &err);
    rc = good ? return_output(child, &output) : RP_FAILED;
    lines_free(&output);
    if (!once.stopped && (child->status == -1 || WIFSIGNALED(child->status)))
        child_count_death(child);
    else
        child_reset_deaths(child);
    return rc;
}
