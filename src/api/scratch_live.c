/* The folders that are there, and that none stays when the process exits. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/scratch_private.h"
#include "base/flag.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/remove_tree.h"

pthread_mutex_t scratch_lock = PTHREAD_MUTEX_INITIALIZER;
static struct scratch *live; /* guarded by scratch_lock */
static unsigned removals;    /* off the list, and not at their end; guarded by scratch_lock */
static pthread_cond_t removals_changed;
/* At exit: not freed, as handlers may still use them. Volatile: only LeakSanitizer reads it. */
static struct scratch *volatile removed;
static pid_t owner; /* the process that made them; a fork of it must not remove them */
static pthread_once_t first = PTHREAD_ONCE_INIT;

int scratch_no_folder(const char *path, int errnum, struct err *err)
{
    return err_system(
        err, ERR_CONFIG, errnum,
        "cannot create a scratch folder in %s (set RP_SCRATCH_DIR to a writable folder)", path);
}

void scratch_add_live(struct scratch *scratch)
{
    pthread_mutex_lock(&scratch_lock);
    scratch->next = live;
    live = scratch;
    pthread_mutex_unlock(&scratch_lock);
}

void scratch_remove_and_close(struct scratch *scratch)
{
    struct err err;
    if (remove_tree(scratch->parent, scratch->name, &err) != 0)
        log_write(LOG_WARN, NULL, "The scratch folder could not be removed: %s", err.text);
    close(scratch->fd);
    close(scratch->parent);
}

bool scratch_take_off(struct scratch *scratch)
{
    pthread_mutex_lock(&scratch_lock);
    struct scratch **at = &live;
    while (*at != NULL && *at != scratch)
        at = &(*at)->next;
    bool found = *at != NULL;
    if (found) {
        *at = scratch->next;
        removals++;
    }
    pthread_mutex_unlock(&scratch_lock);
    return found;
}

void scratch_end_removal(void)
{
    pthread_mutex_lock(&scratch_lock);
    removals--;
    pthread_cond_signal(&removals_changed);
    pthread_mutex_unlock(&scratch_lock);
}

/* The process must not end in the middle of one: its folder would stay. */
static void wait_removals(void)
{
    deadline_ms deadline = clock_deadline(LIMIT_SCRATCH_EXIT_MS);
    pthread_mutex_lock(&scratch_lock);
    while (removals > 0 && flag_cond_wait(&removals_changed, &scratch_lock, deadline)) {}
    pthread_mutex_unlock(&scratch_lock);
}

static void remove_all(void)
{
    struct scratch *each;
    if (getpid() != owner)
        return;
    pthread_mutex_lock(&scratch_lock);
    each = removed = live;
    live = NULL;
    pthread_mutex_unlock(&scratch_lock);
    for (; each != NULL; each = each->next)
        scratch_remove_and_close(each);
    wait_removals();
}

static void register_exit(void)
{
    owner = getpid();
    flag_cond_init(&removals_changed);
    atexit(remove_all);
}

void scratch_remove_at_exit(void)
{
    pthread_once(&first, register_exit);
}
