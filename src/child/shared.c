#include "child/shared.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/scratch.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "child/exchange.h"
#include "child/folder.h"
#include "child/outcome.h"
#include "child/renew.h"
#include "child/shared_private.h"
#include "child/text.h"
#include "child/watch.h"
#include "json/json.h"

/* --- a slot's job --------------------------------------------------------------------------- */

/* Hands the job over to the program's thread. */
static void enter(struct seat *seat, rp_job *job)
{
    struct shared_child *shared = seat->shared;
    const char *folder = folder_add(shared->child.folder, job);
    pthread_mutex_lock(&shared->lock);
    seat->task = job->task;
    seat->folder = folder;
    seat->text = exchange_join_lines(rp_job_json(job));
    seat->phase = SEAT_QUEUED;
    seat->number = ++shared->last_number;
    seat->stop_wanted = seat->program_ended = false;
    seat->lost_before = shared->state == SHARED_LOST;
    if (seat->lost_before)
        shared_fail_seat(seat, shared->child.lost.text);
    pthread_mutex_unlock(&shared->lock);
    wake_signal(&shared->work);
}

/* Takes the lines that have come. True if the program has ended: there will be no more. */
static bool collect(struct seat *seat)
{
    struct shared_child *shared = seat->shared;
    struct lines *out = &seat->view.out;
    lines_clear(out, LIMIT_KEEP_BYTES); /* all of them were handled */
    pthread_mutex_lock(&shared->lock);
    struct buf empty = out->buf;
    out->buf = seat->inbox;
    seat->inbox = empty;
    bool ended = seat->program_ended;
    pthread_cond_broadcast(&shared->changed); /* there is room again */
    pthread_mutex_unlock(&shared->lock);
    return ended;
}

static void fail_ended(struct exchange *exchange, struct seat *seat)
{
    memcpy(seat->view.log_tail, seat->tail, seat->tail_len);
    seat->view.log_tail_len = seat->tail_len;
    if (exchange->ending == TIMED_OUT)
        child_fail_late(exchange->child);
    else
        child_fail(exchange->child, "HandlerCrashed", "%s.", seat->end);
    exchange_finish(exchange, RP_FAILED);
}

/* No answer came in the grace period, or the job was never handed over. */
static void give_up(struct exchange *exchange)
{
    if (exchange->ending == TIMED_OUT)
        child_fail_late(exchange->child);
    else
        child_fail(exchange->child, "HandlerError", "The job was stopped.");
    exchange_finish(exchange, RP_FAILED);
}

static void ask_to_end(struct exchange *exchange, struct seat *seat)
{
    struct shared_child *shared = seat->shared;
    bool late = atomic_load(&exchange->job->task->why) == JOB_TIMED_OUT;
    exchange->ending = late ? TIMED_OUT : STOPPED;
    exchange->deadline = clock_deadline(shared->setting->kill_grace_ms);
    pthread_mutex_lock(&shared->lock);
    bool queued = seat->phase == SEAT_QUEUED;
    if (queued)
        seat->phase = SEAT_IDLE;
    seat->stop_wanted = !queued;
    pthread_mutex_unlock(&shared->lock);
    if (queued)
        give_up(exchange);
    else
        wake_signal(&shared->work);
}

static void step(struct exchange *exchange, struct seat *seat)
{
    wake_wait(&seat->view.stop, clock_earlier(exchange->deadline, exchange->hint_at));
    wake_lower(&seat->view.stop);
    bool ended = collect(seat);
    exchange_handle_lines(exchange, false);
    if (exchange->finished)
        return;
    if (clock_left_ms(exchange->hint_at) == 0)
        exchange_hint(exchange);
    if (ended)
        fail_ended(exchange, seat);
    else if (exchange->ending == NOT_ASKED && flag_is_raised(&exchange->job->task->stop))
        ask_to_end(exchange, seat);
    else if (exchange->ending != NOT_ASKED && clock_left_ms(exchange->deadline) == 0) {
        seat->gives_up = true;
        give_up(exchange);
    }
}

/* The job's bytes must not be used any more: a program that does not read them is ended. */
static void wait_sent(struct seat *seat)
{
    struct shared_child *shared = seat->shared;
    deadline_ms deadline = clock_deadline(shared->setting->kill_grace_ms);
    while (seat->phase == SEAT_SENDING)
        if (!flag_cond_wait(&shared->changed, &shared->lock, deadline)) {
            shared->kill = true;
            deadline = DEADLINE_NEVER;
            wake_signal(&shared->work);
        }
}

/* True if the program was lost before it had seen anything of the job. */
static bool leave(struct seat *seat)
{
    struct shared_child *shared = seat->shared;
    pthread_mutex_lock(&shared->lock);
    seat->leaving = true;
    pthread_cond_broadcast(&shared->changed);
    wait_sent(seat);
    while (shared->receiver == seat) /* or the next job would get the message */
        flag_cond_wait(&shared->changed, &shared->lock, DEADLINE_NEVER);
    seat->given_up = seat->gives_up && seat->phase == SEAT_SENT && !seat->program_ended;
    if (seat->given_up) {
        buf_clear(&seat->id);
        buf_add_slice(&seat->id, seat->task->id, NULL);
        if (seat->view.job->scratch != NULL)
            scratch_give_up(seat->view.job->scratch);
    }
    bool lost_before = seat->lost_before;
    seat->task = NULL;
    seat->phase = SEAT_IDLE;
    seat->gives_up = seat->stop_wanted = seat->leaving = false;
    buf_clear(&seat->inbox);
    pthread_cond_broadcast(&shared->changed);
    pthread_mutex_unlock(&shared->lock);
    wake_signal(&shared->work);
    return lost_before;
}

static int run_seat(rp_job *job, void *state)
{
    struct seat *seat = state;
    struct exchange exchange;
    seat->view.job = job;
    seat->view.log_tail_len = 0;
    exchange_init(&exchange, &seat->view, job);
    flag_link(&job->task->stop, &seat->view.stop);
    enter(seat, job);
    while (!exchange.finished)
        step(&exchange, seat);
    bool lost_before = leave(seat);
    flag_link(&job->task->stop, NULL);
    wake_lower(&seat->view.stop);
    exchange_free(&exchange);
    seat->view.job = NULL;
    return lost_before && exchange.rc != RP_OK ? HANDLER_LOST_BEFORE : exchange.rc;
}

/* --- a slot ----------------------------------------------------------------------------------- */

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_size_t seats_opened;
static struct shared_child *filling; /* the program that the next slot joins; NULL: a new one */

static void wake_program(void *owner)
{
    struct shared_child *shared = owner;
    wake_signal(&shared->work);
}

static struct shared_child *new_program(const struct child_setting *setting, struct err *err)
{
    struct shared_child *shared = calloc(1, sizeof *shared);
    if (shared == NULL) {
        err_set(err, ERR_MEMORY, "no memory for a program");
        return NULL;
    }
    shared->setting = setting;
    child_init(&shared->child, setting, setting->output_max_bytes + LIMIT_CHILD_ENVELOPE_BYTES,
               "a line of the handler's program");
    folder_make(&shared->child);
    buf_init(&shared->control, 16u * LIMIT_JOB_ID_BYTES, "a stop");
    pthread_mutex_init(&shared->lock, NULL);
    flag_cond_init(&shared->changed);
    int rc = wake_init(&shared->work, err);
    bool has_wake = rc == 0;
    shared->listener = (struct child_edition_listener){ .changed = wake_program, .owner = shared };
    child_edition_listen(&shared->listener);
    if (rc == 0)
        rc = thread_start(shared_program_main, shared, LIMIT_STACK_SERVICE_BYTES, err);
    if (rc == 0)
        return shared;
    child_edition_unlisten(&shared->listener);
    if (has_wake)
        wake_free(&shared->work);
    folder_remove(&shared->child);
    child_free(&shared->child);
    free(shared);
    return NULL;
}

/* Under open_lock. */
static int join_program(struct seat *seat, const struct child_setting *setting, struct err *err)
{
    if (filling == NULL || filling->seat_count == setting->jobs)
        filling = new_program(setting, err);
    if (filling == NULL)
        return err->code != 0 ? err->code : ERR_MEMORY;
    seat->shared = filling;
    pthread_mutex_lock(&filling->lock);
    seat->next = filling->seats;
    filling->seats = seat;
    filling->seat_count++;
    atomic_fetch_add(&seats_opened, 1);
    pthread_mutex_unlock(&filling->lock);
    return 0;
}

static int new_seat(const struct child_setting *setting, struct seat **made, struct err *err)
{
    const size_t max = setting->output_max_bytes + LIMIT_CHILD_ENVELOPE_BYTES + LIMIT_MIB;
    struct seat *seat = calloc(1, sizeof *seat);
    if (seat == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a slot");
    child_init(&seat->view, setting, max, "the messages for a job");
    buf_init(&seat->inbox, max, "the messages for a job");
    buf_init(&seat->id, LIMIT_JOB_ID_BYTES, "a job's id");
    int rc = wake_init(&seat->view.stop, err);
    if (rc == 0)
        *made = seat;
    else
        free(seat);
    return rc;
}

static void free_seat(struct seat *seat)
{
    wake_free(&seat->view.stop);
    child_free(&seat->view);
    buf_free(&seat->inbox);
    buf_free(&seat->id);
    free(seat);
}

/* The last seat ends the program, and waits for its thread. */
static void leave_program(struct seat *seat)
{
    struct shared_child *shared = seat->shared;
    pthread_mutex_lock(&open_lock);
    pthread_mutex_lock(&shared->lock);
    struct seat **link = &shared->seats;
    while (*link != seat)
        link = &(*link)->next;
    *link = seat->next;
    bool last = shared->seats == NULL;
    shared->ending |= last;
    if (last && filling == shared)
        filling = NULL;
    pthread_mutex_unlock(&open_lock);
    if (last)
        wake_signal(&shared->work);
    while (last && !shared->gone)
        flag_cond_wait(&shared->changed, &shared->lock, DEADLINE_NEVER);
    pthread_mutex_unlock(&shared->lock);
    if (!last)
        return;
    child_edition_unlisten(&shared->listener);
    wake_free(&shared->work);
    folder_remove(&shared->child);
    child_free(&shared->child);
    buf_free(&shared->control);
    free(shared);
}

static void close_seat(void *state)
{
    struct seat *seat = state;
    leave_program(seat);
    free_seat(seat);
}

static int open_seat(const void *setting, void **state, struct err *err)
{
    struct seat *seat = NULL;
    int rc = child_watch_init(err); /* it reaps orphans */
    if (rc == 0)
        rc = child_renew_start(setting, err);
    if (rc == 0)
        rc = new_seat(setting, &seat, err);
    if (rc != 0 || seat == NULL)
        return rc;
    pthread_mutex_lock(&open_lock);
    rc = join_program(seat, setting, err);
    pthread_mutex_unlock(&open_lock);
    if (rc != 0) {
        free_seat(seat);
        return rc;
    }
    struct shared_child *shared = seat->shared;
    pthread_mutex_lock(&shared->lock);
    while (shared->state == SHARED_STARTING && !shared->gone)
        flag_cond_wait(&shared->changed, &shared->lock, DEADLINE_NEVER);
    if (shared->state != SHARED_READY) {
        *err = shared->child.lost;
        rc = err->code;
    }
    pthread_mutex_unlock(&shared->lock);
    if (rc != 0)
        close_seat(seat);
    *state = seat;
    return rc;
}

/* --- between jobs ----------------------------------------------------------------------------- */

static bool has_place(const struct seat *seat)
{
    const struct shared_child *shared = seat->shared;
    return shared->state == SHARED_LOST || (shared->state == SHARED_READY && !seat->given_up);
}

static bool prepare_seat(void *state, deadline_ms until)
{
    struct seat *seat = state;
    struct shared_child *shared = seat->shared;
    pthread_mutex_lock(&shared->lock);
    while (!has_place(seat) && flag_cond_wait(&shared->changed, &shared->lock, until)) {}
    bool ready = has_place(seat);
    pthread_mutex_unlock(&shared->lock);
    return ready;
}

static void set_on_unready(void *state, void (*unready)(void *owner), void *owner)
{
    struct seat *seat = state;
    pthread_mutex_lock(&seat->shared->lock);
    seat->unready = unready;
    seat->unready_owner = owner;
    pthread_mutex_unlock(&seat->shared->lock);
}

/* At most as many as there are seats: one more would start a program more. */
static size_t concurrency(const void *setting, size_t otherwise)
{
    (void)setting;
    size_t wanted = child_concurrency(otherwise), most = atomic_load(&seats_opened);
    return wanted > most && most > 0 ? most : wanted;
}

const struct handler_ops child_shared_ops = {
    .open = open_seat,
    .run = run_seat,
    .close = close_seat,
    .on_loss = child_on_loss,
    .prepare = prepare_seat,
    .concurrency = concurrency,
    .on_unready = set_on_unready,
};
