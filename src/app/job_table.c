#include "app/job_table.h"

#include "base/flag.h"

void job_table_init(struct job_table *table)
{
    *table = (struct job_table){ 0 };
    table->queue_end = &table->queue_first;
    pthread_mutex_init(&table->lock, NULL);
    flag_cond_init(&table->changed);
}

static struct job *find(struct job_table *table, slice id)
{
    struct job *job = table->held;
    while (job != NULL && !slice_equal(job->id, id))
        job = job->held_next;
    return job;
}

/* For the taker, which waits for room, and the shutdown. Most jobs are settled with nobody waiting. */
static void tell_change(struct job_table *table)
{
    if (table->watchers > 0)
        pthread_cond_broadcast(&table->changed);
}

static bool wait_change(struct job_table *table, deadline_ms deadline)
{
    table->watchers++;
    bool in_time = flag_cond_wait(&table->changed, &table->lock, deadline);
    table->watchers--;
    return in_time;
}

static void hold(struct job_table *table, struct job *job)
{
    job->held_next = table->held;
    job->held_link = &table->held;
    if (table->held != NULL)
        table->held->held_link = &job->held_next;
    table->held = job;
    table->held_count++;
}

static void let_go(struct job_table *table, struct job *job)
{
    *job->held_link = job->held_next;
    if (job->held_next != NULL)
        job->held_next->held_link = job->held_link;
    table->held_count--;
}

static void enqueue(struct job_table *table, struct job *job)
{
    job->next = NULL;
    *table->queue_end = job;
    table->queue_end = &job->next;
    table->queue_count++;
}

static struct job *dequeue(struct job_table *table)
{
    struct job *job = table->queue_first;
    if (job == NULL)
        return NULL;
    table->queue_first = job->next;
    if (table->queue_first == NULL)
        table->queue_end = &table->queue_first;
    table->queue_count--;
    job->next = NULL;
    job->begun_ms = clock_now_ms();
    return job;
}

/*
 * Takes out the slot that came last, whose memory is still warm, with what there is for it. NULL
 * where none waits or there is nothing. Whoever is woken serves the next, so that jobs reach all
 * waiting slots while a slot that is through takes a job without having to be woken.
 */
static struct job_waiter *serve_one(struct job_table *table)
{
    struct job_waiter *waiter = table->waiters;
    if (waiter == NULL || (table->queue_first == NULL && !table->ended))
        return NULL;
    table->waiters = waiter->next;
    table->waiting--;
    waiter->job = dequeue(table);
    return waiter;
}

/* Not under the lock, which the one that is woken wants next. */
static void wake_up(struct job_waiter *served)
{
    if (served != NULL)
        sem_post(&served->served);
}

size_t job_table_add(struct job_table *table, struct job *jobs)
{
    pthread_mutex_lock(&table->lock);
    for (struct job *job = jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (job->own_id || find(table, job->id) == NULL) {
            hold(table, job);
            enqueue(table, job);
            continue;
        }
        const struct log_tag tag = job_tag(job);
        log_write(LOG_WARN, &tag, "Handed out again while it is still here; it is run once.");
        job_release(job);
    }
    size_t waiting = table->waiting;
    size_t unserved = table->queue_count > waiting ? table->queue_count - waiting : 0;
    struct job_waiter *served = serve_one(table);
    pthread_mutex_unlock(&table->lock);
    wake_up(served);
    return unserved;
}

void job_waiter_init(struct job_waiter *waiter)
{
    *waiter = (struct job_waiter){ 0 };
    sem_init(&waiter->served, 0, 0);
}

struct job *job_table_next(struct job_table *table, struct job_waiter *waiter)
{
    pthread_mutex_lock(&table->lock);
    struct job *job = dequeue(table);
    bool waits = job == NULL && !table->ended;
    if (waits) {
        waiter->next = table->waiters;
        table->waiters = waiter;
        table->waiting++;
    }
    pthread_mutex_unlock(&table->lock);
    if (!waits)
        return job;
    while (sem_wait(&waiter->served) != 0)
        continue; /* a signal came */
    pthread_mutex_lock(&table->lock);
    struct job_waiter *served = serve_one(table);
    pthread_mutex_unlock(&table->lock);
    wake_up(served);
    return waiter->job;
}

void job_table_settle(struct job_table *table, struct job *job)
{
    pthread_mutex_lock(&table->lock);
    let_go(table, job);
    tell_change(table);
    pthread_mutex_unlock(&table->lock);
    job_release(job);
}

bool job_table_wait_room(struct job_table *table, size_t slots, deadline_ms deadline, size_t *room)
{
    pthread_mutex_lock(&table->lock);
    while (table->held_count >= slots && !table->closed)
        if (!wait_change(table, deadline))
            break;
    bool open = !table->closed;
    *room = open && table->held_count < slots ? slots - table->held_count : 0;
    pthread_mutex_unlock(&table->lock);
    return open;
}

void job_table_close(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    table->closed = true;
    tell_change(table);
    pthread_mutex_unlock(&table->lock);
}

void job_table_end(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    table->closed = table->ended = true;
    struct job_waiter *served = serve_one(table);
    tell_change(table);
    pthread_mutex_unlock(&table->lock);
    wake_up(served);
}

bool job_table_wait_empty(struct job_table *table, deadline_ms deadline)
{
    pthread_mutex_lock(&table->lock);
    while (table->held_count > 0 || !table->ended)
        if (!wait_change(table, deadline))
            break;
    bool empty = table->held_count == 0 && table->ended;
    pthread_mutex_unlock(&table->lock);
    return empty;
}

bool job_table_is_busy(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    bool busy = table->held_count > 0;
    pthread_mutex_unlock(&table->lock);
    return busy;
}

bool job_table_stop(struct job_table *table, slice id)
{
    pthread_mutex_lock(&table->lock);
    struct job *job = find(table, id);
    if (job != NULL)
        job_stop(job, JOB_STOPPED);
    pthread_mutex_unlock(&table->lock);
    return job != NULL;
}

void job_table_abandon(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    for (struct job *job = table->held; job != NULL; job = job->held_next)
        job_stop(job, JOB_ABANDONED);
    pthread_mutex_unlock(&table->lock);
}

size_t job_table_stop_begun_before(struct job_table *table, int64_t begun_ms)
{
    size_t count = 0;
    pthread_mutex_lock(&table->lock);
    for (struct job *job = table->held; job != NULL; job = job->held_next) {
        if (job->begun_ms == 0 || job->begun_ms > begun_ms || flag_is_raised(&job->stop))
            continue;
        job_stop(job, JOB_TIMED_OUT);
        count++;
    }
    pthread_mutex_unlock(&table->lock);
    return count;
}

int job_table_ids(struct job_table *table, struct buf *out, struct err *err)
{
    int rc = 0;
    pthread_mutex_lock(&table->lock);
    for (struct job *job = table->held; rc == 0 && job != NULL; job = job->held_next) {
        if (job != table->held)
            rc = buf_add(out, ",", 1, err);
        if (rc == 0)
            rc = buf_add_slice(out, job->id, err);
    }
    pthread_mutex_unlock(&table->lock);
    return rc;
}
