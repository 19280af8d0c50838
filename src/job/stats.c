#include "job/stats.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/auxv.h>

#include "base/io.h"
#include "codec/byte_class.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stats_jobs all; /* under the lock */
static atomic_uint_least64_t deaths;
static atomic_size_t slots_now;
static atomic_bool is_ready;

void stats_job_began(int64_t wait_ms)
{
    pthread_mutex_lock(&lock);
    all.running++;
    exposition_observe(&all.wait, wait_ms);
    pthread_mutex_unlock(&lock);
}

void stats_job_ended(enum stats_end end, int64_t execution_ms)
{
    pthread_mutex_lock(&lock);
    all.running--;
    all.finished[end]++;
    exposition_observe(&all.execution, execution_ms);
    pthread_mutex_unlock(&lock);
}

void stats_handler_died(void)
{
    atomic_fetch_add(&deaths, 1);
}

void stats_set_slots(size_t slots)
{
    atomic_store(&slots_now, slots);
}

void stats_set_ready(bool ready)
{
    atomic_store(&is_ready, ready);
}

void stats_read_jobs(struct stats_jobs *jobs)
{
    pthread_mutex_lock(&lock);
    *jobs = all;
    pthread_mutex_unlock(&lock);
}

void stats_put_jobs(struct buf *out, const struct stats_jobs *jobs)
{
    static const char *const ends[STATS_ENDS] = { "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT" };
    static const char finished[] = "worker_jobs_finished_total";
    exposition_put_head(out, finished, "counter", "Jobs that have ended, by state.");
    for (size_t i = 0; i < STATS_ENDS; i++)
        exposition_put_sample(out, finished, "state", ends[i], jobs->finished[i]);
    exposition_put_gauge(out, "worker_jobs_queued", "Jobs waiting for a slot.", jobs->queued);
    exposition_put_gauge(out, "worker_jobs_running", "Running jobs.", jobs->running);
    exposition_put_histogram(out, "worker_job_queue_seconds", "From arrival to start.",
                             &jobs->wait);
    exposition_put_histogram(out, "worker_job_execution_seconds", "From start to end.",
                             &jobs->execution);
}

static uint64_t resident_bytes(void)
{
    struct buf statm;
    slice text, word;
    uint64_t pages = 0;
    buf_init(&statm, 4096, "/proc/self/statm");
    if (io_read_file("/proc/self/statm", 0, &statm, NULL) == 0) {
        text = buf_slice(&statm);
        byte_class_next_word(&text, " ", &word);
        byte_class_next_word(&text, " ", &word);
        byte_class_decimal(word, UINT32_MAX, &pages);
    }
    buf_free(&statm);
    return pages * (uint64_t)getauxval(AT_PAGESZ);
}

void stats_put_process(struct buf *out)
{
    exposition_put_counter(out, "worker_handler_deaths_total",
                           "Deaths of the handler's programs, or its server counted as dead.",
                           atomic_load(&deaths));
    exposition_put_gauge(out, "worker_slots", "Jobs that may run at the same time.",
                         atomic_load(&slots_now));
    exposition_put_gauge(out, "worker_ready", "1 once jobs are taken.", atomic_load(&is_ready));
    exposition_put_gauge(out, "process_resident_memory_bytes", "Resident memory of the worker.",
                         resident_bytes());
}
