#include "app/loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "app/fitness.h"
#include "app/parts.h"
#include "app/worker_private.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/thread.h"
#include "codec/backoff.h"
#include "job/stats.h"
#include "linked/linked.h"
#include "process/process.h"
#include "source/local.h"
#include "source/platform.h"

static void stop_taking(void *owner)
{
    worker_stop_taking(owner);
}

static void end_after_jobs(void *owner)
{
    worker_end_after_jobs(owner);
}

/* True on the platform: only there are fitness checks, a stop channel, and somebody to be told. */
static bool is_polling(const struct worker *worker)
{
    return config_is_polling(worker->config);
}

/*
 * A handler_lost: no job can be run any more, or the handler could not be started. On the platform
 * the taker tells what there is to tell.
 */
static void lose_handler(void *owner, const char *why)
{
    struct worker *worker = owner;
    bool in_service = flag_is_raised(&worker->opened);
    if (process_all_are_ending())
        return;
    if (!in_service && !is_polling(worker)) {
        worker_finish(worker, 1);
        return;
    }
    if (is_polling(worker) && !failed_start_set(&worker->failed, why, in_service))
        return;
    log_write(LOG_ERROR, NULL, "No handler is left: exiting, so that the worker is replaced.");
    atomic_store(&worker->handler_lost, true);
    atomic_store(&worker->exit_status, 1);
    flag_raise(&worker->opened);
    worker_end_after_jobs(worker);
}

static void count_undelivered(void *owner)
{
    struct worker *worker = owner;
    atomic_fetch_add(&worker->undelivered, 1);
}

static void slot_opened(void *owner)
{
    struct worker *worker = owner;
    if (atomic_fetch_sub(&worker->slots_to_open, 1) == 1)
        flag_raise(&worker->opened);
}

/* --- the taker ------------------------------------------------------------------------------ */

static bool asks_concurrency(const struct worker *worker)
{
    return worker->program->modify_concurrency != NULL ||
           worker->slots.handler->ops->concurrency != NULL;
}

static size_t ask_concurrency(const struct worker *worker, size_t concurrency)
{
    const struct handler *handler = worker->slots.handler;
    int answer = (int)concurrency;
    if (worker->program->modify_concurrency != NULL)
        answer = worker->program->modify_concurrency(answer, worker->program->user);
    else if (handler->ops->concurrency != NULL)
        answer = (int)handler->ops->concurrency(handler->setting, concurrency);
    if (answer < 1 || answer > LIMIT_CONCURRENCY)
        answer = answer < 1 ? 1 : LIMIT_CONCURRENCY;
    stats_set_slots((size_t)answer);
    if ((size_t)answer != concurrency)
        log_write(LOG_DEBUG, NULL, "The concurrency is now %d.", answer);
    return (size_t)answer;
}

static size_t usable_slots(const struct worker *worker, size_t concurrency)
{
    bool fewer = worker->slots_exhausted && concurrency > worker->slots_started;
    return fewer ? worker->slots_started : concurrency;
}

/*
 * Waits for a free slot. modify_concurrency is called before each job-take, and regularly while all
 * slots are busy, since that may be why it wants more of them. False once the table is closed.
 */
static bool wait_room(struct worker *worker, size_t *concurrency, size_t *room)
{
    bool asks = asks_concurrency(worker);
    bool open = true;
    for (*room = 0; open && *room == 0;) {
        *concurrency = ask_concurrency(worker, *concurrency);
        deadline_ms deadline = asks ? clock_deadline(LIMIT_ASK_MS) : DEADLINE_NEVER;
        open = job_table_wait_room(&worker->table, usable_slots(worker, *concurrency), deadline,
                                   room);
    }
    return open;
}

/* Slots are started when there are jobs for them: an idle worker has one. */
static void start_slots(struct worker *worker, size_t unserved, size_t concurrency)
{
    struct err err;
    for (; unserved > 0 && worker->slots_started < concurrency; unserved--) {
        if (slot_start(&worker->slots, &err) != 0) {
            log_write(LOG_ERROR, NULL, "%s; continuing with the %zu slots already running.",
                      err.text, worker->slots_started);
            worker->slots_exhausted = true;
            return;
        }
        worker->slots_started++;
    }
}

static void lose_slow_setup(struct worker *worker)
{
    struct err err;
    err_set(&err, ERR_CONFIG,
            "The handler's setup has not returned within %g s (RUNPOD_INIT_TIMEOUT)",
            (double)worker->config->handler.ready_timeout_ms / 1000);
    log_write(LOG_ERROR, NULL, "%s", err.text);
    lose_handler(worker, err.text);
}

/*
 * Programs and servers say themselves what they wait for, and for how long; a C function's setup
 * cannot. False once its time is over.
 */
static bool wait_opened(struct worker *worker)
{
    bool is_linked = worker->slots.handler->ops == &linked_ops;
    int64_t budget_ms = worker->config->handler.ready_timeout_ms;
    deadline_ms end = is_linked && budget_ms > 0 ? clock_deadline(budget_ms) : DEADLINE_NEVER;
    deadline_ms next = clock_deadline(LIMIT_STILL_WAITING_MS);
    for (int notes = 1; !flag_wait(&worker->opened, clock_earlier(next, end)); notes++) {
        if (clock_left_ms(end) == 0) {
            lose_slow_setup(worker);
            return false;
        }
        if (is_linked)
            log_write(LOG_INFO, NULL, "Waiting for the handler's setup (%d s so far).",
                      notes * (LIMIT_STILL_WAITING_MS / 1000));
        next = clock_deadline(LIMIT_STILL_WAITING_MS);
    }
    return true;
}

/* The slots that are to be ready before the first job. */
static int start_first_slots(struct worker *worker)
{
    struct err err = { 0 };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < worker->slots_started; i++)
        rc = slot_start(&worker->slots, &err);
    if (rc != 0)
        log_write(LOG_ERROR, NULL, "%s", err.text);
    return rc;
}

/*
 * The handler is lost: says so with a ping, and where no job was ever taken, takes the one that the
 * platform started this worker for, so that its client learns why instead of waiting for a day.
 */
static void tell_loss(struct worker *worker, struct log_repeat *repeat)
{
    struct taken taken = { 0 };
    if (!failed_start_is_set(&worker->failed) || atomic_load(&worker->shutting_down))
        return;
    failed_start_report(&worker->failed);
    if (worker->took_any || atomic_load(&worker->shutting_down) ||
        worker->source->ops->take_last == NULL)
        return;
    worker->source->ops->take_last(worker->source, &taken);
    job_table_add(&worker->table, taken.jobs, repeat);
    atomic_store(&worker->source->answering, false);
}

static int check_machine(struct worker *worker, struct start_times *times)
{
    int64_t begun_ms = clock_now_ms();
    int status = is_polling(worker) ? fitness_check_machine(worker->config, worker->net,
                                                            worker->program, &worker->taking)
                                    : 0;
    times->machine_ms = worker->config->fitness.skip ? -1 : clock_now_ms() - begun_ms;
    return status;
}

/*
 * The folders of --cache. Not 0 where the worker's end cut that short: nothing more is started,
 * except for clients of the worker's own who wait for results.
 */
static int restore_cache(struct worker *worker, struct start_times *times)
{
    int64_t begun_ms = clock_now_ms();
    times->restore_ms = -1;
    if (worker->config->cache.folders.count == 0)
        return 0;
    bool goes_on = worker->program->storage->restore(worker->config, &worker->taking) ||
                   worker->source->ops->drain != NULL;
    times->restore_ms = clock_now_ms() - begun_ms;
    return goes_on ? 0 : 1;
}

/* The machine first: a bad one is found before minutes of loading, and measured without a load. */
static int open_handler(struct worker *worker, struct start_times *times)
{
    int status = check_machine(worker, times);
    if (status == 0)
        status = restore_cache(worker, times);
    if (status == 0 && start_first_slots(worker) != 0)
        status = 1;
    if (status != 0)
        return status;
    int64_t begun_ms = clock_now_ms();
    if (!wait_opened(worker))
        return 1;
    times->open_ms = clock_now_ms() - begun_ms;
    times->init_ms = clock_now_ms() - worker->config->started_ms;
    return 0;
}

static int check_program(struct worker *worker, struct start_times *times)
{
    int64_t begun_ms = clock_now_ms();
    int status = fitness_check_program(worker->config, worker->net, worker->program,
                                       &worker->taking);
    bool any = worker->program->check_count > 0 || worker->config->fitness.program != NULL;
    times->checks_ms = any ? clock_now_ms() - begun_ms : -1;
    return status;
}

/* Before the first job: the handler is open and, on the platform, the machine is fit. */
static bool get_ready(struct worker *worker, struct log_repeat *repeat)
{
    struct start_times times = { 0 };
    int status = open_handler(worker, &times);
    if (status == 0 && !failed_start_is_set(&worker->failed) && is_polling(worker))
        status = check_program(worker, &times);
    if (failed_start_is_set(&worker->failed)) {
        tell_loss(worker, repeat);
        job_table_end(&worker->table);
        return false;
    }
    if (status != 0) {
        worker_finish(worker, status);
        return false;
    }
    flag_raise(&worker->ready);
    if (!is_polling(worker))
        flag_raise(&worker->asked);
    stats_set_ready(true);
    if (worker->program->storage != NULL)
        worker->program->storage->save(worker->config);
    if (is_polling(worker))
        worker_log_ready(worker, &times);
    return true;
}

/* A platform that only hands out jobs that are running already is asked less often. */
static void pace(struct worker *worker, bool any, size_t accepted, struct backoff *idle)
{
    if (accepted > 0)
        backoff_reset(idle);
    else if (any)
        wake_wait(&worker->taking, clock_deadline(backoff_next_ms(idle, random_u32())));
}

/* Jobs of a source that has to be asked for them. True once it has ended. */
static bool take_all(struct worker *worker, struct log_repeat *repeat)
{
    struct source *source = worker->source;
    struct taken taken = { 0 };
    struct backoff idle = { .first_ms = LIMIT_EMPTY_MS / 16, .longest_ms = LIMIT_EMPTY_MS };
    size_t concurrency = (size_t)worker->config->concurrency, room;
    while (!taken.ended && wait_room(worker, &concurrency, &room)) {
        source->ops->take(source, room, job_table_is_busy(&worker->table), &taken);
        if (!flag_is_raised(&worker->asked))
            flag_raise(&worker->asked);
        bool any = taken.jobs != NULL;
        worker->took_any |= any;
        struct job_added added = job_table_add(&worker->table, taken.jobs, repeat);
        start_slots(worker, added.unserved, concurrency);
        atomic_store(&source->answering, false);
        pace(worker, any, added.accepted, &idle);
    }
    return taken.ended;
}

/*
 * Takes what waits for a free slot, on the thread that has brought a job or ended one: a job then
 * costs one wake-up, that of its slot. `ending` slots are about to ask for a job themselves.
 */
static void take_now(struct worker *worker, size_t ending)
{
    struct log_repeat repeat = { 0 };
    pthread_mutex_lock(&worker->take_lock);
    size_t slots = worker->takes ? usable_slots(worker, worker->concurrency) : 0;
    size_t room = job_table_room(&worker->table, slots);
    if (room > 0) {
        struct job *jobs = worker->source->ops->take_now(worker->source, room);
        if (jobs != NULL) {
            size_t unserved = job_table_add(&worker->table, jobs, &repeat).unserved;
            start_slots(worker, unserved > ending ? unserved - ending : 0, worker->concurrency);
        }
    }
    pthread_mutex_unlock(&worker->take_lock);
}

static void job_arrived(void *owner)
{
    take_now(owner, 0);
}

static void slot_freed(void *owner)
{
    take_now(owner, 1);
}

static void set_taking(struct worker *worker, bool takes)
{
    pthread_mutex_lock(&worker->take_lock);
    worker->takes = takes;
    pthread_mutex_unlock(&worker->take_lock);
}

/* The concurrency may change with time; until that, or the end, there is nothing to do here. */
static void take_as_they_come(struct worker *worker)
{
    bool asks = asks_concurrency(worker), stopped = false;
    set_taking(worker, true);
    worker->source->ops->on_arrival(worker->source, job_arrived, worker);
    while (!stopped) {
        size_t concurrency = ask_concurrency(worker, worker->concurrency);
        pthread_mutex_lock(&worker->take_lock);
        worker->concurrency = concurrency;
        pthread_mutex_unlock(&worker->take_lock);
        take_now(worker, 0);
        stopped = wake_wait(&worker->taking, asks ? clock_deadline(LIMIT_ASK_MS) : DEADLINE_NEVER);
    }
    set_taking(worker, false);
}

static void *taker_main(void *argument)
{
    struct worker *worker = argument;
    struct log_repeat repeat = { 0 };
    bool ended = false;
    if (!get_ready(worker, &repeat))
        return NULL;
    if (worker->source->ops->take_now != NULL)
        take_as_they_come(worker);
    else
        ended = take_all(worker, &repeat);
    tell_loss(worker, &repeat);
    job_table_end(&worker->table);
    /* A worker that takes no more jobs from the platform stays until the platform ends it. */
    if (!config_is_local(worker->config) && !ended)
        return NULL;
    job_table_wait_empty(&worker->table, DEADLINE_NEVER);
    worker_finish(worker, worker->source->exit_status);
    return NULL;
}

/* --- heartbeat and stop channel -------------------------------------------------------------- */

/*
 * Until the first job-take is on its way: what else there is to connect to must not delay that, and
 * over TLS it resumes that session. A job-take that does not come that far holds nothing up for
 * longer than twice LIMIT_GO_FIRST_MS: once until its readiness is noticed, once for its request.
 */
static void wait_turn(struct worker *worker)
{
    while (!flag_is_raised(&worker->ready) &&
           !flag_wait(&worker->asked, clock_deadline(LIMIT_GO_FIRST_MS)))
        continue;
    flag_wait(&worker->asked, clock_deadline(LIMIT_GO_FIRST_MS));
}

static void *heartbeat_main(void *argument)
{
    struct worker *worker = argument;
    wait_turn(worker);
    heartbeat_run(&worker->heartbeat);
    return NULL;
}

static void *stop_channel_main(void *argument)
{
    struct worker *worker = argument;
    wait_turn(worker);
    stop_channel_run(&worker->stop_channel);
    return NULL;
}

/* Stops jobs that exceed the execution timeout. */
static void *watchdog_main(void *argument)
{
    struct worker *worker = argument;
    int64_t timeout_ms = worker->config->execution_timeout_ms;
    for (;;) {
        job_table_stop_begun_before(&worker->table, clock_now_ms() - timeout_ms);
        clock_sleep(clock_deadline(LIMIT_WATCH_MS));
    }
    return NULL;
}

/* --- main ---------------------------------------------------------------------------------- */

static int start_threads(struct worker *worker, struct err *err)
{
    const size_t stack = LIMIT_STACK_SERVICE_BYTES;
    bool remote = is_polling(worker) || config_is_realtime(worker->config);
    int rc = thread_start(taker_main, worker, stack, err);
    if (rc == 0 && remote && heartbeat_wanted(worker->config))
        rc = thread_start(heartbeat_main, worker, stack, err);
    if (rc == 0 && is_polling(worker))
        rc = thread_start(stop_channel_main, worker, stack, err);
    if (rc == 0 && worker->config->execution_timeout_ms > 0)
        rc = thread_start(watchdog_main, worker, stack, err);
    return rc;
}

static int run(struct worker *worker, struct err *err)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int signals_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (signals_fd < 0) {
        err_system(err, ERR_MEMORY, errno, "cannot make a signalfd");
        return 1;
    }
    if (start_threads(worker, err) != 0)
        return 1;
    int signal_number;
    while (!worker_wait_for_end(worker, signals_fd, DEADLINE_NEVER, &signal_number))
        continue;
    return signal_number != 0 ? worker_shut_down(worker, signals_fd, signal_number)
                              : atomic_load(&worker->exit_status);
}

static void fill_in(struct worker *worker, const struct config *config, const struct http_net *net,
                    const rp_config *program, const struct handler *handler)
{
    /* A realtime worker is not replaced on request: it reports stopPod and goes on (as the SDK). */
    bool goes_on = !config_is_polling(config) && !config_is_local(config) &&
                   !config->refresh_worker;
    worker->config = config;
    worker->program = program;
    worker->net = net;
    worker->heartbeat = (struct heartbeat){ .config = config, .net = net, .table = &worker->table };
    worker->stop_channel = (struct stop_channel){ config, net, &worker->table };
    worker->outbox = (struct outbox){
        .config = config, .table = &worker->table, .owner = worker, .undelivered = count_undelivered
    };
    worker->slots = (struct slot_context){ .config = config,
                                           .table = &worker->table,
                                           .outbox = &worker->outbox,
                                           .handler = handler,
                                           .stack_bytes = config_stack_bytes(program),
                                           .owner = worker,
                                           .opened = slot_opened,
                                           .stop_taking = goes_on ? NULL : stop_taking,
                                           .end_after_jobs = end_after_jobs,
                                           .finish = worker_finish,
                                           .lost = lose_handler,
                                           .failed = &worker->failed };
    if (handler->ops->on_loss != NULL)
        handler->ops->on_loss(handler->setting, lose_handler, worker);
    worker->slots_started = handler->opens_all && !config_is_local(config)
                                ? (size_t)config->concurrency
                                : 1;
    atomic_init(&worker->slots_to_open, worker->slots_started);
    stats_set_slots((size_t)config->concurrency);
    pthread_mutex_init(&worker->take_lock, NULL);
    worker->concurrency = (size_t)config->concurrency;
    job_table_init(&worker->table);
    failed_start_init(&worker->failed, config, net);
    outbox_init(&worker->outbox);
    flag_init(&worker->opened);
    flag_init(&worker->ready);
    flag_init(&worker->asked);
}

static int make_source(struct worker *worker, struct err *err)
{
    const struct config *config = worker->config;
    const rp_config *program = worker->program;
    const struct wake *wake = &worker->taking;
    bool varies = program->modify_concurrency != NULL || config->handler.concurrency_path != NULL;
    size_t slots = varies ? LIMIT_CONCURRENCY : (size_t)config->concurrency;
    if (config_is_local(config))
        return source_local_new(&worker->source, config, err);
    if (config_is_endpoint(config))
        return program->job_api->serve(&worker->source, config, worker->net, slots, err);
    if (config_is_serving(config) && config->handler.http != NULL)
        return program->servers->pass(&worker->source, config, worker->slots.handler, wake, err);
    if (config_is_serving(config))
        return program->realtime->serve(&worker->source, config, slots, wake, err);
    if (config_is_realtime(config))
        return program->realtime->realtime(
            &worker->source, config, slots, wake,
            program->job_api != NULL ? program->job_api->beside : NULL, err);
    return source_platform_new(&worker->source, config, worker->net, wake, err);
}

int worker_run(const struct config *config, const struct http_net *net, const rp_config *program,
               const struct handler *handler, struct err *err)
{
    static struct worker the_worker; /* threads may use it until the process exits */
    struct worker *worker = &the_worker;
    fill_in(worker, config, net, program, handler);
    int rc = wake_init(&worker->taking, err);
    if (rc == 0)
        rc = wake_init(&worker->finished, err);
    if (rc == 0)
        rc = make_source(worker, err);
    if (rc == 0)
        worker->source->asked = &worker->asked;
    worker->outbox.source = worker->source;
    if (rc == 0 && worker->source->ops->take_now != NULL)
        worker->slots.freed = slot_freed;
    worker->metrics = (struct metrics){ .table = &worker->table, .source = worker->source };
    if (rc == 0 && config->metrics.port >= 0 && !config_is_local(config))
        rc = program->realtime->serve_metrics(&worker->metrics, config, err);
    /* Nothing is freed: threads may use it until the process exits, which is next. */
    return rc == 0 ? run(worker, err) : 1;
}
