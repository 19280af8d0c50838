#include "app/job_table.h"

#include "base/flag.h"

void job_table_init(struct job_table *table)
{
    *table = (struct job_table){ 0 };
    table->queue_end = &table->queue_first;
    pthread_mutex_init(&table->lock, NULL);
    flag_cond_init(&table->queued);
    flag_cond_init(&table->changed);
}

static struct job *find(struct job_table *table, slice id)
{
    struct job *job = table->held;
    while (job != NULL && !slice_equal(job->id, id))
        job = job->held_next;
    return job;
}

static void add_one(struct job_table *table, struct job *job)
{
    job->next = NULL;
    job->held_next = table->held;
    table->held = job;
    table->held_count++;
    *table->queue_end = job;
    table->queue_end = &job->next;
    table->queue_count++;
    pthread_cond_signal(&table->queued);
}

size_t job_table_add(struct job_table *table, struct job *jobs)
{
    pthread_mutex_lock(&table->lock);
    for (struct job *job = jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (job->own_id || find(table, job->id) == NULL) {
            add_one(table, job);
            continue;
        }
        const struct log_tag tag = job_tag(job);
        log_write(LOG_WARN, &tag, "Handed out again while it is still here; it is run once.");
        job_release(job);
    }
    size_t unserved = table->queue_count > table->waiting ? table->queue_count - table->waiting : 0;
    pthread_mutex_unlock(&table->lock);
    return unserved;
}

struct job *job_table_next(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    table->waiting++;
    while (table->queue_first == NULL && !table->ended)
        pthread_cond_wait(&table->queued, &table->lock);
    table->waiting--;
    struct job *job = table->queue_first;
    if (job != NULL) {
        table->queue_first = job->next;
        if (table->queue_first == NULL)
            table->queue_end = &table->queue_first;
        job->next = NULL;
        table->queue_count--;
        job->begun_ms = clock_now_ms();
    }
    pthread_mutex_unlock(&table->lock);
    return job;
}

void job_table_settle(struct job_table *table, struct job *job)
{
    pthread_mutex_lock(&table->lock);
    struct job **link = &table->held;
    while (*link != job)
        link = &(*link)->held_next;
    *link = job->held_next;
    table->held_count--;
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
    job_release(job);
}

bool job_table_wait_room(struct job_table *table, size_t slots, deadline_ms deadline, size_t *room)
{
    pthread_mutex_lock(&table->lock);
    while (table->held_count >= slots && !table->closed)
        if (!flag_cond_wait(&table->changed, &table->lock, deadline))
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
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

void job_table_end(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    table->closed = table->ended = true;
    pthread_cond_broadcast(&table->queued);
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

bool job_table_wait_empty(struct job_table *table, deadline_ms deadline)
{
    pthread_mutex_lock(&table->lock);
    while (table->held_count > 0 || !table->ended)
        if (!flag_cond_wait(&table->changed, &table->lock, deadline))
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
