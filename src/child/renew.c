#include "child/renew.h"

#include <pthread.h>

#include "base/log.h"
#include "child/edition.h"
#include "child/idle.h"
#include "process/file_watch.h"

/* Logged last: whoever has read it gives jobs to the new program. */
static void note_change(const char *path, void *owner)
{
    (void)owner;
    child_edition_change();
    log_write(LOG_INFO, NULL, "%s has changed: the handler is restarted between jobs (--watch).",
              path);
}

static int start(const struct child_setting *setting, struct err *err)
{
    char *paths[LIMIT_CHILD_WORDS + 1] = { setting->command.path };
    size_t count = 1;
    if (setting->program != NULL) /* else the arguments are the worker's own */
        for (char **word = setting->command.argv + 1; word[-1] != NULL && *word != NULL; word++)
            paths[count++] = *word;
    int rc = file_watch_start(paths, count, note_change, NULL, err);
    if (rc != 0)
        err_wrap(err, "--watch");
    return rc;
}

int child_renew_start(const struct child_setting *setting, struct err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool started;
    if (!setting->watches || setting->mode == CHILD_ONCE)
        return 0;
    pthread_mutex_lock(&lock);
    int rc = started ? 0 : start(setting, err);
    started |= rc == 0;
    pthread_mutex_unlock(&lock);
    return rc;
}

void child_renew(struct child *child)
{
    if (!child_is_outdated(child))
        return;
    if (child->process.pid != 0)
        child_end_gently(child);
    child->edition = child_edition();
    child->halted = false;
    child->lost = (struct err){ 0 };
    child->start_after = child->ready_by = child->next_note = 0;
    child->notes = 0;
    child_reset_deaths(child);
}
