#include "child/edition.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/flag.h"

static atomic_uint edition;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_once_t changed_made = PTHREAD_ONCE_INIT;
static pthread_mutex_t listeners_lock = PTHREAD_MUTEX_INITIALIZER;
static struct child_edition_listener *listeners;

static void make_changed(void)
{
    flag_cond_init(&changed);
}

unsigned child_edition(void)
{
    return atomic_load(&edition);
}

void child_edition_change(void)
{
    pthread_once(&changed_made, make_changed);
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&edition, 1);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_mutex_lock(&listeners_lock);
    for (struct child_edition_listener *at = listeners; at != NULL; at = at->next)
        at->changed(at->owner);
    pthread_mutex_unlock(&listeners_lock);
}

bool child_edition_wait(unsigned known, deadline_ms deadline)
{
    pthread_once(&changed_made, make_changed);
    pthread_mutex_lock(&lock);
    while (atomic_load(&edition) == known && flag_cond_wait(&changed, &lock, deadline))
        continue;
    bool is_other = atomic_load(&edition) != known;
    pthread_mutex_unlock(&lock);
    return is_other;
}

void child_edition_listen(struct child_edition_listener *listener)
{
    pthread_mutex_lock(&listeners_lock);
    listener->next = listeners;
    listeners = listener;
    pthread_mutex_unlock(&listeners_lock);
}

void child_edition_unlisten(struct child_edition_listener *listener)
{
    struct child_edition_listener **link = &listeners;
    pthread_mutex_lock(&listeners_lock);
    while (*link != NULL && *link != listener)
        link = &(*link)->next;
    if (*link != NULL)
        *link = listener->next;
    pthread_mutex_unlock(&listeners_lock);
}
