#include "job/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/random.h"
#include "job/child_inside.h"
#include "job/child_side.h"

#define KEY_VARIABLE "RUNPOD_AI_API_KEY"

/* --- the setting -------------------------------------------------------------------------- */

int child_prepare(struct child_setting *setting, struct err *err)
{
    return command_prepare(&setting->command, setting->program,
                           setting->mode == CHILD_ONCE ? "--handler-once" : "--handler", err);
}

int child_prepare_isolated(struct child_setting *setting, char **argv, struct err *err)
{
    struct command *command = &setting->command;
    setting->isolated = setting->ready = true;
    command->argv = argv;
    command->path = strdup("/proc/self/exe");
    if (command->path != NULL && access(command->path, X_OK) != 0) {
        /* No /proc: the name this program was started by. */
        const char *name = (const char *)getauxval(AT_EXECFN); // NOLINT(performance-no-int-to-ptr)
        free(command->path);
        command->path = strdup(name != NULL ? name : argv[0]);
    }
    return command->path != NULL ? 0 : err_set(err, ERR_MEMORY, "no memory for a path");
}

/* --- one process's life ------------------------------------------------------------------- */

int child_start(struct child *child, struct err *err)
{
    static const char *const key[] = { KEY_VARIABLE, NULL };
    const struct child_setting *setting = child->setting;
    const struct process_plan plan = {
        .path = setting->command.path,
        .argv = setting->command.argv,
        .without = setting->pass_api_key ? NULL : key,
        .extra = setting->isolated ? CHILD_SIDE_VARIABLE "=1" : NULL,
        .one_output = setting->one_output,
    };
    child->tail_len = 0;
    int rc = process_start(&child->process, &plan, err);
    if (rc == 0)
        child_watch_add(child);
    return rc;
}

void child_count_death(struct child *child)
{
    uint32_t pause_ms = 0;
    child->deaths++;
    if (child->deaths > 1)
        pause_ms = backoff_next_ms(&child->backoff, random_u32());
    child->start_after = clock_deadline(pause_ms);
}

void child_end(struct child *child, bool ours)
{
    child_watch_remove(child);
    child->status = process_end(&child->process);
    lines_clear(&child->out, LIMIT_KEEP_BYTES);
    lines_clear(&child->err, LIMIT_KEEP_BYTES);
    child->input = (slice){ 0 };
    child->input_feed = child->input_close = child->ready = false;
    if (!ours)
        child_count_death(child);
}

void child_succeeded(struct child *child)
{
    child->deaths = 0;
    backoff_reset(&child->backoff);
}

bool child_keeps_dying(const struct child *child)
{
    return child->deaths >= child->setting->max_deaths;
}

/* --- the handler's operations ------------------------------------------------------------- */

/* Deaths before the first job are told in the log, the last one ends the worker. */
static int open_process(struct child *child, struct err *err)
{
    int rc;
    while ((rc = child_make_ready(child, err)) == ERR_RETRY && !child_keeps_dying(child))
        log_write(LOG_WARN, NULL, "%s", err->text);
    if (rc != ERR_RETRY)
        return rc;
    err_wrap(err, "%u times in a row", child->deaths);
    return err->code = ERR_CONFIG;
}

void child_init(struct child *child, const struct child_setting *setting, size_t line_max_bytes,
                const char *line)
{
    *child = (struct child){
        .setting = setting,
        .process = { .pidfd = -1, .in = -1, .out = -1, .err = -1 },
        .backoff = { .first_ms = LIMIT_CHILD_RESTART_MS, .longest_ms = LIMIT_CHILD_RESTART_MAX_MS },
    };
    lines_init(&child->out, line_max_bytes, line);
    lines_init(&child->err, LIMIT_CHILD_TEXT_BYTES, "a line on standard error");
}

void child_free(struct child *child)
{
    lines_free(&child->out);
    lines_free(&child->err);
}

static void free_slot(struct child *child)
{
    child_free(child);
    wake_free(&child->stop);
    free(child);
}

static int open_child(const void *setting, void **state, struct err *err)
{
    const struct child_setting *how = setting;
    int rc = child_watch_init(err);
    struct child *child = rc == 0 ? malloc(sizeof *child) : NULL;
    if (child == NULL)
        return rc != 0 ? rc : err_set(err, ERR_MEMORY, "no memory for a child process");
    child_init(child, how, how->output_max_bytes + LIMIT_CHILD_ENVELOPE_BYTES,
               "a line of the handler's program");
    rc = wake_init(&child->stop, err);
    if (rc != 0) {
        free(child);
        return rc;
    }
    if (how->mode == CHILD_LINES)
        rc = open_process(child, err);
    if (rc != 0) {
        free_slot(child);
        return rc;
    }
    child_watch_give(child);
    *state = child;
    return 0;
}

/* The next process loads what it needs while nobody waits; a dying one gets its pause first. */
static void replace(struct child *child)
{
    struct err err = { 0 };
    bool useless = child->process.pid != 0 && (child->process.in < 0 || child->process.out < 0);
    if (child->setting->mode == CHILD_ONCE)
        return;
    if (useless)
        child_end(child, true);
    if (child->process.pid == 0 && child->deaths <= 1 && child_start(child, &err) != 0)
        log_write(LOG_ERROR, NULL, "%s", err.text);
}

static int run_child(rp_job *job, void *state)
{
    struct child *child = state;
    const struct child_setting *setting = child->setting;
    unsigned before = child->deaths;
    child_watch_take(child);
    child_hear_strays(child);
    child->job = job;
    flag_link(&job->job->stop, &child->stop);
    int rc = setting->mode == CHILD_ONCE ? child_run_once(child, job) : child_run_line(child, job);
    flag_link(&job->job->stop, NULL);
    if (flag_is_raised(&job->job->stop))
        wake_lower(&child->stop);
    child->job = NULL;
    if (child->deaths > before && child_keeps_dying(child)) {
        log_write(LOG_ERROR, NULL, "The handler's program has died %u times in a row.",
                  child->deaths);
        rc = HANDLER_LOST;
    }
    replace(child);
    child_watch_give(child);
    return rc;
}

/* The end of its input tells a child to go; one that does not listen is told twice more. */
static void close_child(void *state)
{
    struct child *child = state;
    child_watch_take(child);
    if (child->process.pid != 0) {
        process_close(&child->process.in);
        process_signal(&child->process, SIGTERM);
        process_wait(&child->process, clock_deadline(child->setting->kill_grace_ms));
        child_hear_strays(child);
        child_end(child, true);
    }
    free_slot(child);
}

const struct handler_ops child_ops = {
    .open = open_child,
    .run = run_child,
    .close = close_child,
};
