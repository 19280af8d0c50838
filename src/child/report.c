#include "child/report.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/utf8.h"
#include "json/json.h"

static handler_lost *on_lost; /* set before there are slots */
static void *on_lost_owner;
static atomic_size_t concurrency; /* 0: no program has said anything */

void child_on_loss(const void *setting, handler_lost *lost, void *owner)
{
    (void)setting;
    on_lost = lost;
    on_lost_owner = owner;
}

bool child_halt(struct child *child, const char *why)
{
    if (!child->setting->watches)
        return false;
    log_write(LOG_ERROR, NULL, "%s: it will be started again when its file changes (--watch).",
              why);
    child->halted = true;
    child->lost = (struct err){ 0 };
    return true;
}

static void note_lost(struct child *child, const struct err *err)
{
    if (child_halt(child, err->text))
        return;
    child->lost = *err;
    child->lost.code = ERR_CONFIG;
    log_write(LOG_ERROR, NULL, "%s: the worker exits.", err->text);
    if (on_lost != NULL)
        on_lost(on_lost_owner, err->text);
}

void child_name_deaths(const struct child *child, struct err *err)
{
    if (child->deaths == 1)
        err_wrap(err, "the only start that --handler-deaths allows has failed");
    else
        err_wrap(err, "%u starts in a row have failed (--handler-deaths)", child->deaths);
}

void child_report_failure(struct child *child, int rc, struct err *err)
{
    bool slow = child->lost.code != 0;
    if (rc == 0 || rc == ERR_TIMEOUT || rc == ERR_CANCELLED)
        return;
    if (!slow && !child_keeps_dying(child)) {
        log_write(LOG_WARN, NULL, "%s", err->text);
        return;
    }
    if (!slow)
        child_name_deaths(child, err);
    note_lost(child, err);
}

void child_report_deaths(struct child *child)
{
    struct err err;
    err_set(&err, ERR_CONFIG, "The handler's program has died %u times in a row (--handler-deaths)",
            child->deaths);
    note_lost(child, &err);
}

void child_report_concurrency(slice value)
{
    int64_t number;
    struct err err;
    if (json_int(value, &number, &err) == 0 && number >= 1 && number <= LIMIT_CONCURRENCY)
        atomic_store(&concurrency, (size_t)number);
    else
        log_write(LOG_WARN, NULL,
                  "Ignored {\"concurrency\": %.*s} from the handler's program: it must be a whole "
                  "number from 1 to %d.",
                  SLICE_ARG(value), LIMIT_CONCURRENCY);
}

size_t child_concurrency(size_t otherwise)
{
    size_t number = atomic_load(&concurrency);
    return number > 0 ? number : otherwise;
}

/* --- a machine that is not fit -------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    bool reported, asked;
    char name[64], reason[LIMIT_REASON_BYTES];
} unfit = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A string's text, or the JSON text of any other value. */
static void copy_text(char *to, size_t size, slice value)
{
    struct arena arena;
    slice text = value;
    arena_init(&arena, value.len + LIMIT_CHILD_TEXT_BYTES);
    if (json_type(value) == RP_STRING && json_string(value, &arena, &text, NULL) != 0)
        text = value;
    snprintf(to, size, "%.*s", SLICE_ARG(utf8_head(text, size - 1)));
    arena_free(&arena);
}

bool child_report_unfit(const struct child_message *message)
{
    if (message->unfit.ptr == NULL)
        return false;
    pthread_mutex_lock(&unfit.lock);
    bool counts = !unfit.asked;
    if (counts && !unfit.reported) {
        slice name = message->check.ptr != NULL ? message->check : SLICE_LITERAL("\"handler\"");
        copy_text(unfit.name, sizeof unfit.name, name);
        copy_text(unfit.reason, sizeof unfit.reason, message->unfit);
        unfit.reported = true;
    }
    pthread_mutex_unlock(&unfit.lock);
    if (!counts)
        log_write(LOG_ERROR, NULL,
                  "The handler's program was restarted and says that the machine is not fit: %.*s",
                  SLICE_ARG(message->unfit));
    return counts;
}

bool child_unfit_reason(const char **name, char *reason, size_t size)
{
    pthread_mutex_lock(&unfit.lock);
    bool reported = unfit.reported;
    unfit.asked = true;
    *name = unfit.name;
    snprintf(reason, size, "%s", unfit.reason);
    pthread_mutex_unlock(&unfit.lock);
    return reported;
}
