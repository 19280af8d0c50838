/* The thread of a program that several slots share: it starts it, sends jobs, routes messages. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "child/idle.h"
#include "child/io.h"
#include "child/message.h"
#include "child/renew.h"
#include "child/shared_private.h"
#include "child/text.h"
#include "json/json.h"

/* --- to the program --------------------------------------------------------------------------- */

static bool has_job(const struct seat *seat)
{
    return seat->phase == SEAT_SENDING || seat->phase == SEAT_SENT;
}

/* True while the program has a job of this id: a second one could not be told from it. */
static bool is_at_work(const struct shared_child *shared, slice id)
{
    for (const struct seat *seat = shared->seats; seat != NULL; seat = seat->next)
        if ((has_job(seat) && slice_equal(seat->task->id, id)) ||
            (seat->given_up && slice_equal(buf_slice(&seat->id), id)))
            return true;
    return false;
}

/* The seat whose job, or whose stop, is to be sent next. Under the lock. */
static struct seat *next_to_send(const struct shared_child *shared)
{
    struct seat *first = NULL;
    bool outdated = child_is_outdated(&shared->child); /* the next program gets what waits */
    for (struct seat *seat = shared->seats; seat != NULL; seat = seat->next) {
        if (seat->phase == SEAT_SENT && seat->stop_wanted)
            return seat;
        if (seat->phase == SEAT_QUEUED && !outdated &&
            (first == NULL || seat->number < first->number) && !is_at_work(shared, seat->task->id))
            first = seat;
    }
    return first;
}

static void send_stop(struct shared_child *shared, struct seat *seat)
{
    static const struct job none;
    seat->stop_wanted = false;
    buf_clear(&shared->control);
    if (json_add(&shared->control, NULL, "{\"id\": %S, \"stop\": true}", &seat->task->id) == 0)
        child_send_job(&shared->child, &none, NULL, buf_slice(&shared->control), false, NULL);
}

static void send_job(struct shared_child *shared, struct seat *seat)
{
    struct err err;
    if (child_send_job(&shared->child, seat->task, seat->folder, seat->text, false, &err) != 0) {
        shared_fail_seat(seat, err.text);
        return;
    }
    seat->phase = SEAT_SENDING;
    shared->sending = seat;
}

/* Once the last line is in the pipe: the next one. */
static void send_next(struct shared_child *shared)
{
    if (child_has_unsent(&shared->child))
        return;
    pthread_mutex_lock(&shared->lock);
    if (shared->sending != NULL) {
        shared->sending->phase = SEAT_SENT;
        shared->sending = NULL;
        pthread_cond_broadcast(&shared->changed);
    }
    struct seat *seat = next_to_send(shared);
    if (seat != NULL && seat->phase == SEAT_SENT)
        send_stop(shared, seat);
    else if (seat != NULL)
        send_job(shared, seat);
    pthread_mutex_unlock(&shared->lock);
}

/* --- from the program ------------------------------------------------------------------------- */

/* The seat with the job of that id, or with the only job where a message names none. */
static struct seat *find_seat(const struct shared_child *shared,
                              const struct child_message *message)
{
    struct seat *found = NULL;
    bool named = message->id.ptr != NULL && json_type(message->id) != RP_NULL;
    for (struct seat *seat = shared->seats; seat != NULL; seat = seat->next) {
        if (!has_job(seat) || !child_message_matches_job(message, seat->task->id))
            continue;
        if (named)
            return seat;
        if (found != NULL)
            return NULL;
        found = seat;
    }
    return found;
}

/* True if the message ends a job that nobody waits for any more: its place is free again. */
static bool frees_place(struct shared_child *shared, const struct child_message *message)
{
    if (message->id.ptr == NULL || !child_message_is_final(message))
        return false;
    for (struct seat *seat = shared->seats; seat != NULL; seat = seat->next)
        if (seat->given_up && child_message_matches_job(message, buf_slice(&seat->id))) {
            seat->given_up = false;
            pthread_cond_broadcast(&shared->changed);
            return true;
        }
    return false;
}

/* Waits while its slot has too much to do: a slow platform slows the program down. */
static void deliver(struct shared_child *shared, struct seat *seat, slice line)
{
    shared->receiver = seat; /* stays meanwhile */
    while (seat->inbox.len > LIMIT_MIB && has_job(seat) && !seat->leaving)
        flag_cond_wait(&shared->changed, &shared->lock, DEADLINE_NEVER);
    shared->receiver = NULL;
    pthread_cond_broadcast(&shared->changed);
    if (!has_job(seat) || seat->leaving)
        return;
    buf_add_slice(&seat->inbox, line, NULL);
    if (buf_add_text(&seat->inbox, "\n", NULL) != 0)
        shared_fail_seat(seat, "The worker has no memory for the program's message");
    wake_signal(&seat->view.stop);
}

/* Outside of any job that runs. */
static void handle_other(struct shared_child *shared, const struct child_message *message,
                         slice line)
{
    struct child *child = &shared->child;
    if (message->log.ptr != NULL)
        child_log_value(child, message->log, message->level);
    if (message->concurrency.ptr != NULL)
        child_report_concurrency(message->concurrency);
    bool known = message->log.ptr != NULL || message->concurrency.ptr != NULL ||
                 message->ready.ptr != NULL;
    if (!known && !frees_place(shared, message))
        log_write(LOG_WARN, NULL,
                  "Ignored a message from the handler's program that names none of its jobs: %.*s",
                  SLICE_ARG(line));
}

/* Under the lock. Returns what of the line is to be read next. */
static slice route(struct shared_child *shared, slice line)
{
    struct child_message message;
    struct err err;
    enum child_message_kind kind = child_message_read(line, &message, &err);
    struct seat *seat = kind != MESSAGE_TEXT ? find_seat(shared, &message) : NULL;
    slice part = { line.ptr, line.len - message.rest.len };
    if (seat != NULL && child_message_is_final(&message))
        child_reset_deaths(&shared->child);
    if (seat != NULL)
        deliver(shared, seat, part);
    else if (kind == MESSAGE_VALID)
        handle_other(shared, &message, part);
    else
        child_log_line(&shared->child, line);
    return message.rest;
}

static void route_lines(struct shared_child *shared)
{
    struct child *child = &shared->child;
    slice line;
    pthread_mutex_lock(&shared->lock);
    while (lines_next(&child->out, &line))
        while (line.len > 0)
            line = route(shared, line);
    pthread_mutex_unlock(&shared->lock);
    if (lines_pending(&child->out) == 0)
        lines_clear(&child->out, LIMIT_KEEP_BYTES);
}

/* --- its end ---------------------------------------------------------------------------------- */

void shared_fail_seat(struct seat *seat, const char *how)
{
    const struct child *child = &seat->shared->child;
    snprintf(seat->end, sizeof seat->end, "%s", how);
    memcpy(seat->tail, child->log_tail, child->log_tail_len);
    seat->tail_len = child->log_tail_len;
    seat->program_ended = true;
    seat->phase = SEAT_IDLE;
    wake_signal(&seat->view.stop);
}

/* All jobs that the program had fail with it; idle slots are no longer ready. */
static void fail_seats(struct shared_child *shared, const char *how)
{
    pthread_mutex_lock(&shared->lock);
    shared->state = shared->child.lost.code != 0 ? SHARED_LOST : SHARED_STARTING;
    shared->sending = NULL;
    shared->kill = false;
    for (struct seat *seat = shared->seats; seat != NULL; seat = seat->next) {
        seat->given_up = false;
        seat->lost_before |= seat->phase == SEAT_QUEUED && shared->state == SHARED_LOST;
        if (has_job(seat) || (seat->phase == SEAT_QUEUED && shared->state == SHARED_LOST))
            shared_fail_seat(seat, how);
        if (seat->unready != NULL)
            seat->unready(seat->unready_owner);
    }
    pthread_cond_broadcast(&shared->changed);
    pthread_mutex_unlock(&shared->lock);
}

static bool has_jobs(struct shared_child *shared)
{
    bool any = false;
    pthread_mutex_lock(&shared->lock);
    for (const struct seat *seat = shared->seats; seat != NULL; seat = seat->next)
        any |= has_job(seat);
    pthread_mutex_unlock(&shared->lock);
    return any;
}

static const char hangs_text[] = "did not end the jobs that it was told to stop";

/* Why it is to be ended, or how it ended; NULL while it goes on. */
static const char *look_at_end(struct shared_child *shared, int events)
{
    struct child *child = &shared->child;
    if (events < 0)
        return "wrote a line over the limit";
    bool closed = child->process.out < 0 || child->process.in < 0;
    /* A process that ends closes its pipes a moment before. */
    if ((events & CHILD_ENDED) != 0 ||
        (closed && process_wait(&child->process, clock_deadline(LIMIT_CHILD_EXIT_MS))))
        return "";
    if (closed)
        return child->process.out < 0 ? "closed its standard output" : "closed its standard input";
    pthread_mutex_lock(&shared->lock);
    bool kill = shared->kill, working = false, hangs = false;
    for (const struct seat *seat = shared->seats; seat != NULL; seat = seat->next) {
        working |= has_job(seat);
        hangs |= seat->given_up;
    }
    pthread_mutex_unlock(&shared->lock);
    return kill || (hangs && !working) ? hangs_text : NULL;
}

static void end_program(struct shared_child *shared, const char *what)
{
    struct child *child = &shared->child;
    char how[96], text[ERR_TEXT_BYTES];
    bool busy = has_jobs(shared);
    child_log_errors(child, true);
    child_end(child);
    if (what != hangs_text) /* which says nothing about the next one */
        child_count_death(child);
    process_describe(child->status, how, sizeof how);
    snprintf(text, sizeof text, "The handler's program %s %s", what[0] != '\0' ? what : how,
             busy ? "before it returned a result" : "while it had no job");
    if (process_all_are_ending()) {
        fail_seats(shared, text);
        return;
    }
    if (!busy)
        log_write(LOG_WARN, NULL, "%s.", text);
    if (child_keeps_dying(child))
        child_report_deaths(child);
    fail_seats(shared, text);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* With --watch: the program has changed, and the old one has no job any more. */
static bool is_to_be_renewed(struct shared_child *shared)
{
    return child_is_outdated(&shared->child) && !has_jobs(shared);
}

/* From ready to its end. */
static void serve(struct shared_child *shared)
{
    struct child *child = &shared->child;
    const char *what = NULL;
    bool ending = false;
    while (what == NULL && !ending && !is_to_be_renewed(shared)) {
        struct err err;
        route_lines(shared);
        send_next(shared);
        int events = child_step(child, &shared->work, DEADLINE_NEVER, &err);
        if (events > 0 && (events & CHILD_WOKEN) != 0)
            wake_lower(&shared->work);
        route_lines(shared);
        what = look_at_end(shared, events);
        pthread_mutex_lock(&shared->lock);
        ending = shared->ending;
        pthread_mutex_unlock(&shared->lock);
    }
    if (what != NULL) {
        end_program(shared, what);
        return;
    }
    child_end_gently(child);
    if (!ending)
        fail_seats(shared, ""); /* which have no jobs, and wait for the next one from now on */
}

static void set_state(struct shared_child *shared, enum shared_state state)
{
    pthread_mutex_lock(&shared->lock);
    shared->state = state;
    pthread_cond_broadcast(&shared->changed);
    pthread_mutex_unlock(&shared->lock);
}

/* The slots that wait for its first start say themselves what was wrong. */
static void note_failure(struct shared_child *shared, int rc, struct err *err)
{
    struct child *child = &shared->child;
    bool last = child->lost.code != 0 || child_keeps_dying(child) || rc != ERR_RETRY;
    if (shared->was_ready || !last || shared->setting->watches) {
        child_report_failure(child, rc, err);
        return;
    }
    if (rc == ERR_RETRY)
        child_name_deaths(child, err);
    child->lost = *err;
    child->lost.code = ERR_CONFIG;
}

/* --watch: the program does not start, or keeps dying. True once it has changed. */
static bool wait_mended(struct shared_child *shared)
{
    bool ending = false;
    while (!ending && !child_is_outdated(&shared->child)) {
        wake_wait(&shared->work, DEADLINE_NEVER);
        wake_lower(&shared->work);
        pthread_mutex_lock(&shared->lock);
        ending = shared->ending;
        pthread_mutex_unlock(&shared->lock);
    }
    return !ending;
}

/* False: the thread has nothing more to do. */
static bool run_program(struct shared_child *shared)
{
    struct child *child = &shared->child;
    struct err err = { 0 };
    child_renew(child);
    if (child->halted)
        return wait_mended(shared);
    deadline_ms until = shared->setting->watches ? clock_deadline(LIMIT_WATCH_MS) : DEADLINE_NEVER;
    int rc = child_make_ready(child, until, &err); /* for a while, if it may change meanwhile */
    if (rc == ERR_CANCELLED)
        return false;
    if (rc != 0) {
        note_failure(shared, rc, &err);
        if (child->lost.code != 0)
            fail_seats(shared, child->lost.text);
        return child->lost.code == 0;
    }
    shared->was_ready = true;
    set_state(shared, SHARED_READY);
    serve(shared);
    pthread_mutex_lock(&shared->lock);
    bool goes_on = !shared->ending && shared->state != SHARED_LOST;
    pthread_mutex_unlock(&shared->lock);
    return goes_on;
}

void *shared_program_main(void *argument)
{
    struct shared_child *shared = argument;
    while (run_program(shared)) {}
    pthread_mutex_lock(&shared->lock);
    shared->gone = true;
    pthread_cond_broadcast(&shared->changed);
    pthread_mutex_unlock(&shared->lock);
    return NULL;
}
