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

static void add_one(struct job_table *table, struct job *job)
{
    job->next = NULL;
    job->held_next = table->held;
    table->held = job;
    table->held_count++;
    *table->queue_end = job;
    table->queue_end = &job->next;
}

void job_table_add(struct job_table *table, struct job *jobs)
{
    pthread_mutex_lock(&table->lock);
    for (struct job *job = jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (find(table, job->id) == NULL) {
            add_one(table, job);
            continue;
        }
        const struct log_tag tag = job_tag(job);
        log_write(LOG_WARN, &tag, "Handed out again while it is still here; it is run once.");
        job_release(job);
    }
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

struct job *job_table_next(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    while (table->queue_first == NULL && !table->closed)
        pthread_cond_wait(&table->changed, &table->lock);
    struct job *job = table->queue_first;
    if (job != NULL) {
        table->queue_first = job->next;
        if (table->queue_first == NULL)
            table->queue_end = &table->queue_first;
        job->next = NULL;
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

size_t job_table_wait_room(struct job_table *table, size_t slots)
{
    pthread_mutex_lock(&table->lock);
    while (table->held_count >= slots && !table->closed)
        pthread_cond_wait(&table->changed, &table->lock);
    size_t room = table->closed ? 0 : slots - table->held_count;
    pthread_mutex_unlock(&table->lock);
    return room;
}

void job_table_close(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    table->closed = true;
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

bool job_table_wait_empty(struct job_table *table, deadline_ms deadline)
{
    pthread_mutex_lock(&table->lock);
    while (table->held_count > 0)
        if (!flag_cond_wait(&table->changed, &table->lock, deadline))
            break;
    bool empty = table->held_count == 0;
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
        job_stop(job);
    pthread_mutex_unlock(&table->lock);
    return job != NULL;
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
