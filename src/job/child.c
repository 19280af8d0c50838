#include "job/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/random.h"
#include "codec/words.h"
#include "job/child_inside.h"
#include "job/child_side.h"

#define KEY_VARIABLE "RUNPOD_AI_API_KEY"
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* --- the setting -------------------------------------------------------------------------- */

static int split(struct child_setting *setting, struct err *err)
{
    slice rest = slice_from(setting->program), word;
    size_t count = 0;
    int rc;
    setting->words = malloc(2 * rest.len + 2); /* each word's NUL stands where a blank was */
    setting->argv = calloc(LIMIT_CHILD_WORDS + 1, sizeof *setting->argv);
    if (setting->words == NULL || setting->argv == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the handler's command line");
    char *to = setting->words;
    while ((rc = words_next(&rest, to, &word, err)) > 0) {
        if (count == LIMIT_CHILD_WORDS)
            return err_set(err, ERR_CONFIG, "the handler's command line has more than %d words",
                           LIMIT_CHILD_WORDS);
        setting->argv[count++] = to;
        to += word.len + 1;
    }
    if (rc < 0) {
        err_wrap(err, "the handler's command line \"%.100s\"", setting->program);
        return err->code = ERR_CONFIG;
    }
    return 0;
}

static bool is_program(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

/* The first of PATH's folders that has it; an empty folder is the current one. */
static bool find_in_path(const char *name, const char *folders, char *path, size_t size)
{
    for (;;) {
        size_t len = strcspn(folders, ":");
        snprintf(path, size, "%.*s%s%s", (int)len, folders, len > 0 ? "/" : "", name);
        if (is_program(path))
            return true;
        if (folders[len] == '\0')
            return false;
        folders += len + 1;
    }
}

static int find_program(struct child_setting *setting, struct err *err)
{
    const char *name = setting->argv[0], *folders = getenv("PATH");
    char path[4096];
    if (folders == NULL || folders[0] == '\0')
        folders = DEFAULT_PATH;
    if (name == NULL)
        return err_set(err, ERR_CONFIG, "the handler's command line is empty");
    snprintf(path, sizeof path, "%s", name);
    if (strchr(name, '/') != NULL && !is_program(path))
        return err_set(err, ERR_CONFIG, "the handler's program %.200s is no file that can be run",
                       name);
    if (strchr(name, '/') == NULL && !find_in_path(name, folders, path, sizeof path))
        return err_set(err, ERR_CONFIG, "the handler's program %.200s is not in PATH (%.100s)",
                       name, folders);
    setting->path = strdup(path);
    return setting->path != NULL ? 0 : err_set(err, ERR_MEMORY, "no memory for a path");
}

int child_prepare(struct child_setting *setting, struct err *err)
{
    int rc = split(setting, err);
    return rc == 0 ? find_program(setting, err) : rc;
}

int child_prepare_isolated(struct child_setting *setting, char **argv, struct err *err)
{
    setting->isolated = setting->ready = true;
    setting->argv = argv;
    setting->path = strdup("/proc/self/exe");
    if (setting->path != NULL && access(setting->path, X_OK) != 0) {
        /* No /proc: the name this program was started by. */
        const char *name = (const char *)getauxval(AT_EXECFN); // NOLINT(performance-no-int-to-ptr)
        free(setting->path);
        setting->path = strdup(name != NULL ? name : argv[0]);
    }
    return setting->path != NULL ? 0 : err_set(err, ERR_MEMORY, "no memory for a path");
}

/* --- one process's life ------------------------------------------------------------------- */

int child_start(struct child *child, struct err *err)
{
    static const char *const key[] = { KEY_VARIABLE, NULL };
    const struct child_setting *setting = child->setting;
    const struct process_plan plan = {
        .path = setting->path,
        .argv = setting->argv,
        .without = setting->pass_api_key ? NULL : key,
        .extra = setting->isolated ? CHILD_SIDE_VARIABLE "=1" : NULL,
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
    while ((rc = child_make_ready(child, NULL, err)) == ERR_RETRY && !child_keeps_dying(child))
        log_write(LOG_WARN, NULL, "%s", err->text);
    if (rc != ERR_RETRY)
        return rc;
    err_wrap(err, "%u times in a row", child->deaths);
    return err->code = ERR_CONFIG;
}

static void free_child(struct child *child)
{
    lines_free(&child->out);
    lines_free(&child->err);
    wake_free(&child->stop);
    free(child);
}

static int open_child(const void *setting, void **state, struct err *err)
{
    int rc = child_watch_init(err);
    struct child *child = rc == 0 ? calloc(1, sizeof *child) : NULL;
    if (child == NULL)
        return rc != 0 ? rc : err_set(err, ERR_MEMORY, "no memory for a child process");
    rc = wake_init(&child->stop, err);
    if (rc != 0) {
        free(child);
        return rc;
    }
    child->setting = setting;
    child->process = (struct process){ .pidfd = -1, .in = -1, .out = -1, .err = -1 };
    child->backoff = (struct backoff){ .first_ms = LIMIT_CHILD_RESTART_MS,
                                       .longest_ms = LIMIT_CHILD_RESTART_MAX_MS };
    lines_init(&child->out, child->setting->output_max_bytes + LIMIT_CHILD_ENVELOPE_BYTES,
               "a line of the handler's program");
    lines_init(&child->err, LIMIT_CHILD_TEXT_BYTES, "a line on standard error");
    if (child->setting->mode == CHILD_LINES)
        rc = open_process(child, err);
    if (rc != 0) {
        free_child(child);
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
    free_child(child);
}

const struct handler_ops child_ops = { open_child, run_child, close_child };

void child_end_all(const struct child_setting *setting)
{
    process_end_all(setting->kill_grace_ms);
}
