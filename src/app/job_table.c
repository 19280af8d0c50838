#include "app/job_table.h"

#include "base/flag.h"
#include "base/hash.h"
#include "base/random.h"
#include "codec/url.h"

void job_table_init(struct job_table *table)
{
    *table = (struct job_table){ .seed = random_u32() };
    table->queue_end = &table->queue_first;
    pthread_mutex_init(&table->lock, NULL);
    flag_cond_init(&table->changed);
}

static struct job **bucket_of(struct job_table *table, slice id)
{
    return &table->by_id[hash_bytes(id, table->seed) % JOB_TABLE_BUCKETS];
}

/* The first with that id from `job` on, in its bucket. */
static struct job *find_from(struct job *job, slice id)
{
    while (job != NULL && !slice_equal(job->id, id))
        job = job->same_hash;
    return job;
}

static struct job *find(struct job_table *table, slice id)
{
    return find_from(*bucket_of(table, id), id);
}

/* The taker waits for room, a shutdown for the end. Most of the time, nobody waits. */
static void notify_watchers(struct job_table *table)
{
    if (table->watchers > 0)
        pthread_cond_broadcast(&table->changed);
}

static bool wait_for_change(struct job_table *table, deadline_ms deadline)
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
    struct job **bucket = bucket_of(table, job->id);
    job->same_hash = *bucket;
    *bucket = job;
}

static void unhold(struct job_table *table, struct job *job)
{
    *job->held_link = job->held_next;
    if (job->held_next != NULL)
        job->held_next->held_link = job->held_link;
    table->held_count--;
    table->sealed_count -= job->sealed;
    struct job **link = bucket_of(table, job->id);
    while (*link != job)
        link = &(*link)->same_hash;
    *link = job->same_hash;
}

static void enqueue(struct job_table *table, struct job *job)
{
    job->next = NULL;
    job->taken_ms = clock_now_ms();
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
 * Gives the next job to the slot that began to wait last, whose memory is still in the cache. NULL
 * if no slot waits or there is no job. A woken slot serves the next one, so that jobs reach all
 * waiting slots, while a slot that finishes a job takes the next without being woken.
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

/* Called without the lock, which the woken thread takes first. */
static void wake_up(struct job_waiter *served)
{
    if (served != NULL)
        sem_post(&served->served);
}

/* Under the lock: holds and queues the new jobs of the list. Returns the others, as a list. */
static struct job *add_new(struct job_table *table, struct job *jobs, struct job_added *added)
{
    struct job *duplicates = NULL, **end = &duplicates;
    for (struct job *job = jobs, *next; job != NULL; job = next) {
        next = job->next;
        if (job->client_chose_id || find(table, job->id) == NULL) {
            hold(table, job);
            enqueue(table, job);
            added->accepted++;
            continue;
        }
        *end = job;
        end = &job->next;
        added->duplicates++;
    }
    *end = NULL;
    return duplicates;
}

static void release_duplicates(struct job *jobs, size_t count, struct log_repeat *repeat)
{
    if (jobs != NULL) {
        const struct log_tag tag = job_tag(jobs);
        if (count == 1)
            log_write_repeated(repeat, LOG_WARN, &tag,
                               "Duplicate job ignored: it is still running.");
        else
            log_write_repeated(
                repeat, LOG_WARN, &tag,
                "%zu duplicate jobs ignored, starting with this one: they are still running.",
                count);
    }
    for (struct job *next; jobs != NULL; jobs = next) {
        next = jobs->next;
        job_release(jobs);
    }
}

struct job_added job_table_add(struct job_table *table, struct job *jobs, struct log_repeat *repeat)
{
    struct job_added added = { 0 };
    pthread_mutex_lock(&table->lock);
    struct job *duplicates = add_new(table, jobs, &added);
    size_t waiting = table->waiting;
    added.unserved = table->queue_count > waiting ? table->queue_count - waiting : 0;
    struct job_waiter *served = serve_one(table);
    pthread_mutex_unlock(&table->lock);
    wake_up(served);
    release_duplicates(duplicates, added.duplicates, repeat);
    return added;
}

void job_waiter_init(struct job_waiter *waiter)
{
    *waiter = (struct job_waiter){ 0 };
    sem_init(&waiter->served, 0, 0);
}

struct job *job_table_next(struct job_table *table, struct job_waiter *waiter)
{
    pthread_mutex_lock(&table->lock);
    bool recalled = atomic_load(&waiter->recalled);
    struct job *job = recalled ? NULL : dequeue(table);
    bool waits = !recalled && job == NULL && !table->ended;
    if (waits) {
        waiter->next = table->waiters;
        table->waiters = waiter;
        table->waiting++;
    }
    pthread_mutex_unlock(&table->lock);
    if (!waits)
        return job;
    while (sem_wait(&waiter->served) != 0)
        continue; /* interrupted by a signal */
    pthread_mutex_lock(&table->lock);
    struct job_waiter *served = serve_one(table);
    pthread_mutex_unlock(&table->lock);
    wake_up(served);
    return waiter->job;
}

void job_table_recall(struct job_table *table, struct job_waiter *waiter)
{
    struct job_waiter **link = &table->waiters;
    pthread_mutex_lock(&table->lock);
    atomic_store(&waiter->recalled, true);
    while (*link != NULL && *link != waiter)
        link = &(*link)->next;
    bool waits = *link != NULL;
    if (waits) {
        *link = waiter->next;
        table->waiting--;
        waiter->job = NULL;
    }
    pthread_mutex_unlock(&table->lock);
    if (waits)
        wake_up(waiter);
}

struct job *job_table_next_stopped(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    struct job **link = &table->queue_first;
    while (*link != NULL && !flag_is_raised(&(*link)->stop))
        link = &(*link)->next;
    struct job *job = *link;
    if (job != NULL) {
        *link = job->next;
        if (table->queue_end == &job->next)
            table->queue_end = link;
        table->queue_count--;
        job->next = NULL;
        job->begun_ms = clock_now_ms();
    }
    pthread_mutex_unlock(&table->lock);
    return job;
}

void job_table_seal(struct job_table *table, struct job *job)
{
    pthread_mutex_lock(&table->lock);
    job->begun_ms = 0;
    job->sealed = true;
    table->sealed_count++;
    notify_watchers(table);
    pthread_mutex_unlock(&table->lock);
}

void job_table_remove(struct job_table *table, struct job *job)
{
    pthread_mutex_lock(&table->lock);
    unhold(table, job);
    notify_watchers(table);
    pthread_mutex_unlock(&table->lock);
    job_release(job);
}

/* Jobs that have a slot, or wait for one. */
static size_t unsealed(const struct job_table *table)
{
    return table->held_count - table->sealed_count;
}

bool job_table_wait_room(struct job_table *table, size_t slots, deadline_ms deadline, size_t *room)
{
    pthread_mutex_lock(&table->lock);
    while (unsealed(table) >= slots && !table->closed)
        if (!wait_for_change(table, deadline))
            break;
    bool open = !table->closed;
    *room = open && unsealed(table) < slots ? slots - unsealed(table) : 0;
    pthread_mutex_unlock(&table->lock);
    return open;
}

size_t job_table_room(struct job_table *table, size_t slots)
{
    pthread_mutex_lock(&table->lock);
    size_t held = unsealed(table);
    size_t room = !table->closed && held < slots ? slots - held : 0;
    pthread_mutex_unlock(&table->lock);
    return room;
}

void job_table_close(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    table->closed = true;
    notify_watchers(table);
    pthread_mutex_unlock(&table->lock);
}

void job_table_end(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    table->closed = table->ended = true;
    struct job_waiter *served = serve_one(table);
    notify_watchers(table);
    pthread_mutex_unlock(&table->lock);
    wake_up(served);
}

bool job_table_wait_empty(struct job_table *table, deadline_ms deadline)
{
    pthread_mutex_lock(&table->lock);
    while (table->held_count > 0 || !table->ended)
        if (!wait_for_change(table, deadline))
            break;
    bool empty = table->held_count == 0 && table->ended;
    pthread_mutex_unlock(&table->lock);
    return empty;
}

size_t job_table_queued(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    size_t count = table->queue_count;
    pthread_mutex_unlock(&table->lock);
    return count;
}

size_t job_table_count(struct job_table *table)
{
    pthread_mutex_lock(&table->lock);
    size_t count = table->held_count;
    pthread_mutex_unlock(&table->lock);
    return count;
}

bool job_table_is_busy(struct job_table *table)
{
    return job_table_count(table) > 0;
}

enum job_stopped job_table_stop(struct job_table *table, slice id)
{
    enum job_stopped outcome = JOB_NOT_HELD;
    pthread_mutex_lock(&table->lock);
    for (struct job *job = find(table, id); job != NULL; job = find_from(job->same_hash, id)) {
        if (outcome == JOB_NOT_HELD)
            outcome = JOB_STOPPED_BEFORE;
        if (!job_is_stopped(job))
            outcome = JOB_STOPPED_NOW;
        job_stop(job, JOB_STOPPED);
    }
    pthread_mutex_unlock(&table->lock);
    return outcome;
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

/* The job at that place, counted around. */
static struct job *job_at(const struct job_table *table, size_t place)
{
    struct job *job = table->held;
    for (size_t i = 0; job != NULL && i < place % table->held_count; i++)
        job = job->held_next;
    return job;
}

#define COMMA_BYTES 3 /* "%2C" */

size_t job_table_ids(struct job_table *table, size_t max_bytes, size_t *first, struct buf *out)
{
    size_t named = 0, bytes = 0;
    pthread_mutex_lock(&table->lock);
    const size_t count = table->held_count;
    const struct job *job = count > 0 ? job_at(table, *first) : NULL;
    for (; named < count; named++) {
        size_t more = url_encoded_bytes(job->id) + (named > 0 ? COMMA_BYTES : 0);
        if (more > max_bytes - bytes)
            break;
        bytes += more;
        buf_add_text(out, named > 0 ? "," : "", NULL);
        buf_add_slice(out, job->id, NULL);
        job = job->held_next != NULL ? job->held_next : table->held;
    }
    *first = named == count ? 0 : (*first + named) % count;
    pthread_mutex_unlock(&table->lock);
    return count - named;
}
