#include "child/life.h"

#include <stdlib.h>

#include "api/scratch.h"
#include "base/limits.h"
#include "base/random.h"
#include "child/edition.h"
#include "job/stats.h"

#define KEY_VARIABLE "RUNPOD_AI_API_KEY"
#define FOLDER_VARIABLE "RP_SCRATCH"
#define TOKEN_VARIABLE "RP_REALTIME_TOKEN" /* the worker's own door */
#define JOBS_VARIABLE "RP_HANDLER_JOBS"    /* setting->env_extra has the number that holds */

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
    free(child->head);
    free(child->folder_variable);
    child->head = child->folder_variable = NULL;
}

int child_start(struct child *child, struct err *err)
{
    const struct child_setting *setting = child->setting;
    const char *without[6] = { TOKEN_VARIABLE, JOBS_VARIABLE };
    size_t count = 2;
    if (!setting->pass_api_key)
        without[count++] = KEY_VARIABLE;
    if (setting->scratch)
        without[count++] = FOLDER_VARIABLE; /* somebody else's */
    if (setting->env_replaced != NULL)
        without[count] = setting->env_replaced;
    const struct process_plan plan = {
        .path = setting->command.path,
        .argv = setting->command.argv,
        .env_without = without,
        .env_extra = { setting->env_extra, child->folder_variable },
        .env_default = "PYTHONUNBUFFERED=1", /* or what it prints comes late, or never */
        .one_output = setting->one_output,
    };
    child->log_tail_len = 0;
    child->knows = child->hinted = false;
    child->edition = child_edition();
    if (child->ready_by == 0)
        child->ready_by = setting->ready_timeout_ms > 0 ? clock_deadline(setting->ready_timeout_ms)
                                                        : DEADLINE_NEVER;
    return process_start(&child->process, &plan, err);
}

bool child_is_outdated(const struct child *child)
{
    return child->edition != child_edition();
}

void child_count_death(struct child *child)
{
    uint32_t pause_ms = 0;
    stats_handler_died();
    child->deaths++;
    if (child->deaths > 1)
        pause_ms = backoff_next_ms(&child->backoff, random_u32());
    child->start_after = clock_deadline(pause_ms);
}

void child_end(struct child *child)
{
    child->status = process_end(&child->process);
    if (child->folder != NULL)
        scratch_clean(child->folder);
    lines_clear(&child->out, LIMIT_KEEP_BYTES);
    lines_clear(&child->err, LIMIT_KEEP_BYTES);
    child->input = child->head_left = (slice){ 0 };
    child->input_newline = child->input_close = child->input_refused = child->ready = false;
    child->input_sent = 0;
}

void child_reset_deaths(struct child *child)
{
    child->deaths = 0;
    backoff_reset(&child->backoff);
}

bool child_keeps_dying(const struct child *child)
{
    return child->deaths >= child->setting->max_deaths;
}
