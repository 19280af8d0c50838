/*
 * upstream/state.c and health.c: when the server counts as ready, unhealthy, down and lost, on a
 * clock of the test's own and with probes from a script. Nothing here waits for real time.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "upstream/upstream_private.h"

#define READY_MS 10000     /* --handler-ready-timeout */
#define UNHEALTHY_MS 60000 /* --handler-unhealthy-timeout */
#define NEVER_MS INT64_MAX

enum { SILENT = 0, SLOW = 1, REFUSED = -1 }; /* instead of a status; SLOW: 200 after 5 s */

/* What the health route does from a point in time on. */
struct behaviour {
    int64_t from_ms;
    int status;
};

struct world;

struct event {
    int64_t at_ms;
    void (*run)(struct world *world);
};

struct world {
    struct upstream_probe probe; /* first: ask() casts back */
    struct config config;
    struct upstream_setting setting;
    struct upstream upstream;
    struct upstream_waiter waiter;
    struct upstream_waiter slots[32]; /* that have a job */
    unsigned begun, ended;            /* jobs; those of the first slots end first */
    struct flag stop;
    int64_t now_ms;
    const struct behaviour *behaviour; /* the last one from NEVER_MS */
    const struct event *events;        /* in order; the last one at NEVER_MS */
    unsigned probes;
    int64_t probed_ms; /* the last one */
    unsigned lost_calls;
};

/* --- time and probes -------------------------------------------------------------------------- */

/* Runs the next event up to then: true; else it is then. Without the lock. */
static bool advance(struct world *world, int64_t to_ms)
{
    if (world->events != NULL && world->events->at_ms <= to_ms &&
        world->events->at_ms != NEVER_MS) {
        const struct event *event = world->events++;
        if (event->at_ms > world->now_ms)
            world->now_ms = event->at_ms;
        event->run(world);
        return true;
    }
    if (to_ms == NEVER_MS)
        fail_msg("waits for ever at %lld ms", (long long)world->now_ms);
    if (to_ms > world->now_ms)
        world->now_ms = to_ms;
    return false;
}

static int64_t fake_now_ms(void *context)
{
    return ((struct world *)context)->now_ms;
}

static bool fake_wait_cond(void *context, pthread_cond_t *cond, pthread_mutex_t *lock,
                           deadline_ms deadline)
{
    (void)cond;
    pthread_mutex_unlock(lock);
    bool woken = advance(context, deadline);
    pthread_mutex_lock(lock);
    return woken;
}

static bool fake_wait_wake(void *context, const struct wake *wake, deadline_ms deadline)
{
    (void)wake;
    return advance(context, deadline);
}

static bool ask(struct upstream_probe *self, deadline_ms deadline)
{
    struct world *world = (struct world *)self;
    const struct behaviour *now = world->behaviour;
    world->probes++;
    world->probed_ms = world->now_ms;
    while (now[1].from_ms <= world->now_ms)
        now++;
    self->answered = now->status > 0;
    if (now->status == SILENT || now->status == SLOW) {
        int64_t until_ms = world->now_ms + LIMIT_READY_ASK_MS;
        until_ms = until_ms < deadline ? until_ms : deadline;
        while (advance(world, until_ms))
            continue;
        err_set(&self->err, ERR_TIMEOUT, "timed out");
    } else if (now->status == REFUSED) {
        err_set(&self->err, ERR_RETRY, "connection refused");
    } else {
        err_set(&self->err, ERR_RETRY, "status %d", now->status);
    }
    return now->status == 200 || now->status == SLOW;
}

/* --- a world ---------------------------------------------------------------------------------- */

static void on_lost(void *owner, const char *why)
{
    assert_true(why[0] != '\0');
    ((struct world *)owner)->lost_calls++;
}

static void begin(struct world *world, bool has_program)
{
    static char path[] = "/server";
    struct err err;
    *world = (struct world){ .now_ms = 1000000 };
    world->config.handler.ready_timeout_ms = READY_MS;
    world->config.handler.unhealthy_ms = UNHEALTHY_MS;
    world->setting.config = &world->config;
    world->setting.ready.name = "/health";
    world->setting.child.max_deaths = 3;
    world->setting.child.command.path = has_program ? path : NULL;
    world->probe.ask = ask;
    flag_init(&world->stop);
    const struct upstream_clock clock = { fake_now_ms, fake_wait_cond, fake_wait_wake, world };
    assert_int_equal(upstream_init(&world->upstream, &world->setting, &clock, &err), 0);
    assert_int_equal(wake_init(&world->waiter.wake, &err), 0);
    for (int i = 0; i < 32; i++)
        assert_int_equal(wake_init(&world->slots[i].wake, &err), 0);
    world->upstream.on_lost = on_lost;
    world->upstream.on_lost_owner = world;
    world->now_ms = 0;
    upstream_mark_starting(&world->upstream);
}

static void end(struct world *world)
{
    for (int i = 0; i < 32; i++)
        wake_free(&world->slots[i].wake);
    wake_free(&world->waiter.wake);
    upstream_free(&world->upstream);
}

static enum upstream_state step(struct world *world)
{
    pthread_mutex_lock(&world->upstream.lock);
    upstream_health_step(&world->upstream, &world->probe);
    pthread_mutex_unlock(&world->upstream.lock);
    return world->upstream.state;
}

/* In a world whose server is ready at 0 ms. */
static void begin_ready(struct world *world, bool has_program)
{
    begin(world, has_program);
    upstream_mark_ready(&world->upstream);
}

static bool is_signalled(const struct wake *wake)
{
    return wake_wait(wake, 0);
}

static const struct behaviour always_200[] = { { 0, 200 }, { NEVER_MS, 0 } };
static const struct behaviour always_503[] = { { 0, 503 }, { NEVER_MS, 0 } };
static const struct behaviour always_silent[] = { { 0, SILENT }, { NEVER_MS, 0 } };

/* --- getting ready ---------------------------------------------------------------------------- */

static void it_is_ready_soon_after_its_first_200(void **state)
{
    static const struct behaviour loading[] = {
        { 0, REFUSED }, { 500, 503 }, { 4000, 200 }, { NEVER_MS, 0 }
    };
    struct world world;
    (void)state;
    begin(&world, false);
    world.behaviour = loading;
    assert_int_equal(step(&world), UPSTREAM_READY);
    assert_in_range(world.now_ms, 4000, 4000 + LIMIT_READY_LONGEST_MS);
    assert_true(world.probes > 5);
    assert_int_equal(world.lost_calls, 0);
    end(&world);
}

static void one_that_is_not_ready_in_time_is_lost(void **state)
{
    struct world world;
    struct err err;
    (void)state;
    begin(&world, false);
    world.behaviour = always_503;
    assert_int_equal(step(&world), UPSTREAM_LOST);
    assert_in_range(world.now_ms, READY_MS - LIMIT_READY_LONGEST_MS, READY_MS);
    assert_int_equal(world.lost_calls, 1);
    assert_true(upstream_is_lost(&world.upstream));
    assert_int_equal(upstream_wait_ready(&world.upstream, &world.waiter, NULL, NULL, &err),
                     ERR_CONFIG);
    assert_non_null(
        strstr(err.text, "/health: status 503 (RUNPOD_INIT_TIMEOUT or --handler-ready-timeout)"));
    end(&world);
}

/* The last probe is cut short by the end of the time: what came before says more. */
static void the_error_is_the_last_one_that_says_something(void **state)
{
    static const struct behaviour stuck[] = { { 0, 503 }, { 8000, SILENT }, { NEVER_MS, 0 } };
    struct world world;
    (void)state;
    begin(&world, false);
    world.behaviour = stuck;
    assert_int_equal(step(&world), UPSTREAM_LOST);
    assert_int_equal(world.now_ms, READY_MS);
    assert_non_null(strstr(world.upstream.lost.text, "status 503"));
    end(&world);
}

static void one_that_never_says_anything_timed_out(void **state)
{
    struct world world;
    (void)state;
    begin(&world, false);
    world.behaviour = always_silent;
    assert_int_equal(step(&world), UPSTREAM_LOST);
    assert_non_null(strstr(world.upstream.lost.text, "timed out"));
    end(&world);
}

/* --- becoming unhealthy, and healthy again ---------------------------------------------------- */

static void an_idle_one_is_probed_every_10_s(void **state)
{
    static const struct behaviour sick_later[] = { { 0, 200 }, { 35000, 503 }, { NEVER_MS, 0 } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = sick_later;
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.probes, 4);
    assert_int_equal(world.now_ms, 4 * LIMIT_HEALTH_MS);
    end(&world);
}

/* A short limit: it is looked at often enough to notice within it. */
static void a_short_limit_makes_probes_frequent(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.config.handler.unhealthy_ms = 3000;
    world.behaviour = always_503;
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.now_ms, 1000);
    end(&world);
}

static void it_may_recover(void **state)
{
    static const struct behaviour ill[] = {
        { 0, 200 }, { 5000, 503 }, { 30000, 200 }, { NEVER_MS, 0 }
    };
    struct world world;
    struct err err;
    (void)state;
    begin_ready(&world, false);
    unsigned generation = world.upstream.generation;
    world.behaviour = ill;
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(step(&world), UPSTREAM_READY);
    assert_in_range(world.now_ms, 30000, 30000 + LIMIT_READY_LONGEST_MS);
    assert_int_equal(world.upstream.generation, generation);
    assert_int_equal(upstream_wait_ready(&world.upstream, &world.waiter, NULL, NULL, &err), 0);
    end(&world);
}

static void one_of_somebody_elses_that_stays_unhealthy_is_lost(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = always_503;
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    int64_t since_ms = world.now_ms;
    assert_int_equal(step(&world), UPSTREAM_LOST);
    assert_in_range(world.now_ms - since_ms, UNHEALTHY_MS - LIMIT_READY_LONGEST_MS, UNHEALTHY_MS);
    assert_non_null(
        strstr(world.upstream.lost.text, "/health: status 503 (--handler-unhealthy-timeout)"));
    assert_int_equal(world.lost_calls, 1);
    end(&world);
}

/* The program's thread, told to end it. */
static void end_program(struct world *world)
{
    assert_true(is_signalled(&world->upstream.end_program));
    assert_string_equal(world->upstream.end_reason, "it stayed unhealthy (/health: status 503)");
    pthread_mutex_lock(&world->upstream.lock);
    upstream_mark_down(&world->upstream, "was ended", SLICE_LITERAL("boom"));
    pthread_mutex_unlock(&world->upstream.lock);
}

static void our_own_that_stays_unhealthy_is_ended(void **state)
{
    static const struct event events[] = { { 90000, end_program }, { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, true);
    unsigned generation = world.upstream.generation;
    world.behaviour = always_503;
    world.events = events;
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(step(&world), UPSTREAM_DOWN);
    assert_int_equal(world.now_ms, 90000);
    assert_true(world.upstream.generation != generation);
    assert_int_equal(world.lost_calls, 0);
    upstream_mark_starting(&world.upstream);
    assert_string_equal(world.upstream.end_reason, "");
    world.behaviour = always_200;
    assert_int_equal(step(&world), UPSTREAM_READY);
    end(&world);
}

/* --- jobs and health -------------------------------------------------------------------------- */

static struct upstream_waiter *slot_of(struct world *world, unsigned number)
{
    return &world->slots[number % 32];
}

static void begin_job(struct world *world)
{
    upstream_job_begin(&world->upstream, slot_of(world, world->begun++));
}

static void end_job(struct world *world, enum upstream_outcome outcome)
{
    upstream_job_end(&world->upstream, slot_of(world, world->ended++), world->upstream.generation,
                     outcome, "status 500");
}

static void answer_job(struct world *world)
{
    end_job(world, UPSTREAM_ANSWERED);
}

static void suspect_job(struct world *world)
{
    end_job(world, UPSTREAM_SUSPECT);
}

static void refuse_job(struct world *world)
{
    end_job(world, UPSTREAM_NEUTRAL);
}

static void a_busy_one_may_be_silent(void **state)
{
    static const struct event events[] = { { 203000, answer_job }, { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = always_silent;
    world.events = events;
    begin_job(&world);
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_true(world.now_ms > 203000);
    assert_true(world.probes > 10);
    end(&world);
}

static void a_busy_one_may_not_answer_that_it_is_ill(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = always_503;
    begin_job(&world);
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.probes, 1);
    end(&world);
}

static void a_suspect_job_makes_a_probe_due(void **state)
{
    static const struct event events[] = { { 1000, suspect_job }, { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = always_503;
    world.events = events;
    begin_job(&world);
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.probed_ms, 1000);
    end(&world);
}

static void a_probe_that_was_due_is_done_once(void **state)
{
    static const struct event events[] = { { 1000, suspect_job }, { NEVER_MS, NULL } };
    static const struct behaviour sick_later[] = { { 0, 200 }, { 5000, 503 }, { NEVER_MS, 0 } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = sick_later;
    world.events = events;
    begin_job(&world);
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.probes, 2);
    assert_int_equal(world.now_ms, 1000 + LIMIT_HEALTH_MS);
    end(&world);
}

/* Right after the last probe it waits a little: many failures are not many probes. */
static void probes_that_are_due_keep_a_distance(void **state)
{
    static const struct event events[] = {
        { 10, suspect_job }, { 20, suspect_job }, { 30, suspect_job }, { NEVER_MS, NULL }
    };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = always_503;
    world.events = events;
    for (int i = 0; i < 3; i++)
        begin_job(&world);
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.probes, 1);
    assert_int_equal(world.probed_ms, LIMIT_HEALTH_SOON_MS);
    end(&world);
}

static void a_refused_request_is_no_sign(void **state)
{
    static const struct event events[] = { { 1000, refuse_job }, { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = always_503;
    world.events = events;
    begin_job(&world);
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.probed_ms, LIMIT_HEALTH_MS);
    end(&world);
}

static void silence_counts_after_a_suspect_job(void **state)
{
    static const struct event events[] = { { 1000, suspect_job }, { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = always_silent;
    world.events = events;
    begin_job(&world);
    begin_job(&world);
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.now_ms, 1000 + LIMIT_READY_ASK_MS);
    assert_int_equal(world.upstream.active_jobs, 1);
    end(&world);
}

/* ... until one is answered again. */
static void an_answered_job_clears_suspicion(void **state)
{
    static const struct event events[] = {
        { 1000, suspect_job }, { 1010, answer_job }, { 50000, answer_job }, { NEVER_MS, NULL }
    };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = always_silent;
    world.events = events;
    for (int i = 0; i < 3; i++)
        begin_job(&world);
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_true(world.now_ms > 50000);
    end(&world);
}

static void answered_jobs_give_an_unhealthy_one_more_time(void **state)
{
    static const struct event events[] = { { 60000, answer_job },
                                           { 110000, answer_job },
                                           { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = always_503;
    world.events = events;
    begin_job(&world);
    begin_job(&world);
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(step(&world), UPSTREAM_LOST);
    assert_in_range(world.now_ms, 110000 + UNHEALTHY_MS - LIMIT_READY_LONGEST_MS,
                    110000 + UNHEALTHY_MS);
    end(&world);
}

/* --- the program's deaths --------------------------------------------------------------------- */

/* What the program's thread does when its process has ended. */
static bool die(struct world *world, const char *how)
{
    pthread_mutex_lock(&world->upstream.lock);
    child_count_death(&world->upstream.child);
    upstream_mark_down(&world->upstream, how, SLICE_LITERAL("boom"));
    bool again = upstream_may_restart(&world->upstream);
    if (again)
        upstream_mark_starting(&world->upstream);
    pthread_mutex_unlock(&world->upstream.lock);
    return again;
}

static void deaths_in_a_row_have_a_limit(void **state)
{
    struct world world;
    struct err err;
    struct buf report;
    (void)state;
    begin_ready(&world, true);
    buf_init(&report, 1000, "report");
    assert_true(die(&world, "exited with status 1"));
    assert_true(die(&world, "exited with status 2"));
    assert_false(die(&world, "exited with status 3"));
    assert_int_equal(world.lost_calls, 1);
    assert_int_equal(upstream_wait_ready(&world.upstream, &world.waiter, NULL, &report, &err),
                     ERR_CONFIG);
    assert_non_null(strstr(err.text, "exited with status 3 (--handler-deaths)"));
    assert_non_null(memmem(report.ptr, report.len, "\nboom", 5));
    buf_free(&report);
    end(&world);
}

/* One that ends again and again may never live to be probed. */
static void one_that_ends_when_its_time_is_up_is_not_started_again(void **state)
{
    struct world world;
    (void)state;
    begin(&world, true);
    world.now_ms = READY_MS - 1;
    assert_true(die(&world, "exited with status 1"));
    world.now_ms = READY_MS;
    assert_false(die(&world, "exited with status 2"));
    assert_string_equal(world.upstream.lost.text,
                        "The handler's server was not ready in time; the last one exited with "
                        "status 2 (RUNPOD_INIT_TIMEOUT or --handler-ready-timeout)");
    end(&world);
    begin_ready(&world, true);
    world.now_ms = READY_MS; /* it was ready: a new one has as much time again */
    assert_true(die(&world, "exited with status 1"));
    end(&world);
}

static void without_a_limit_it_may_take_any_time(void **state)
{
    static const struct behaviour slow[] = { { 0, REFUSED }, { 10000000, 200 }, { NEVER_MS, 0 } };
    struct world world;
    (void)state;
    begin(&world, true);
    upstream_mark_ready(&world.upstream);
    world.config.handler.ready_timeout_ms = 0;
    assert_true(die(&world, "exited with status 1"));
    world.behaviour = slow;
    assert_int_equal(step(&world), UPSTREAM_READY);
    assert_true(world.now_ms >= 10000000);
    end(&world);
}

/* However many there are. */
static void last_words_have_a_limit(void **state)
{
    char words[LIMIT_CHILD_TAIL_BYTES + 1], expected[LIMIT_CHILD_TAIL_BYTES + 100];
    struct world world;
    struct buf report;
    struct err err;
    (void)state;
    memset(words, 'x', sizeof words);
    begin(&world, true);
    upstream_mark_down(&world.upstream, "was ended", (slice){ words, sizeof words });
    upstream_mark_lost(&world.upstream, "It ", "ended", ".");
    buf_init(&report, sizeof expected, "report");
    assert_int_equal(upstream_wait_ready(&world.upstream, &world.waiter, NULL, &report, &err),
                     ERR_CONFIG);
    snprintf(expected, sizeof expected, ". Its last lines:\n%.*s", (int)LIMIT_CHILD_TAIL_BYTES,
             words);
    assert_true(slice_is(buf_slice(&report), expected));
    buf_free(&report);
    end(&world);
}

static void an_answered_job_ends_the_row(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, true);
    for (int i = 0; i < 10; i++) {
        assert_true(die(&world, "exited with status 1"));
        assert_true(die(&world, "exited with status 1"));
        begin_job(&world);
        answer_job(&world);
    }
    assert_int_equal(world.lost_calls, 0);
    end(&world);
}

static void exit_with_1(struct world *world)
{
    assert_true(die(world, "exited with status 1"));
}

/* The probe was under way when the program died, and another one is starting. */
static void a_probe_of_one_that_is_gone_does_not_count(void **state)
{
    static const struct event events[] = { { 2000, exit_with_1 }, { NEVER_MS, NULL } };
    static const struct behaviour slow[] = { { 0, SLOW }, { NEVER_MS, 0 } };
    struct world world;
    (void)state;
    begin(&world, true);
    world.behaviour = slow;
    world.events = events;
    assert_int_equal(step(&world), UPSTREAM_STARTING);
    assert_int_equal(world.now_ms, 5000);
    assert_int_equal(step(&world), UPSTREAM_READY);
    assert_int_equal(world.now_ms, 10000);
    end(&world);
}

/* Neither a due probe nor suspicion is handed down. */
static void a_new_one_starts_without_suspicion(void **state)
{
    static const struct event events[] = { { 50000, answer_job }, { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, true);
    begin_job(&world);
    begin_job(&world);
    suspect_job(&world);
    assert_true(die(&world, "exited with status 1"));
    upstream_mark_ready(&world.upstream);
    world.behaviour = always_silent;
    world.events = events;
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.probes, 4); /* 10 s apart, 5 s of silence each; none was due */
    assert_int_equal(world.now_ms, 60000);
    end(&world);
}

static void lost_is_for_good(void **state)
{
    struct world world;
    (void)state;
    begin(&world, true);
    world.behaviour = always_503;
    assert_int_equal(step(&world), UPSTREAM_LOST);
    struct err before = world.upstream.lost;
    for (int i = 0; i < 4; i++)
        assert_false(die(&world, "exited with status 1"));
    assert_int_equal(world.upstream.state, UPSTREAM_LOST);
    assert_string_equal(world.upstream.lost.text, before.text);
    assert_int_equal(world.lost_calls, 1);
    end(&world);
}

/* --- slots that wait -------------------------------------------------------------------------- */

static void step_event(struct world *world)
{
    step(world);
}

static void raise_stop(struct world *world)
{
    flag_raise(&world->stop);
}

static void a_slot_waits_until_it_is_ready(void **state)
{
    static const struct event events[] = { { 100, step_event }, { NEVER_MS, NULL } };
    struct world world;
    struct err err;
    (void)state;
    begin(&world, false);
    world.behaviour = always_200;
    world.events = events;
    assert_int_equal(upstream_wait_ready(&world.upstream, &world.waiter, NULL, NULL, &err), 0);
    assert_int_equal(world.now_ms, 100);
    assert_null(world.upstream.waiters);
    assert_false(is_signalled(&world.waiter.wake));
    end(&world);
}

static void a_stopped_job_waits_no_longer(void **state)
{
    static const struct event events[] = { { 100, raise_stop }, { NEVER_MS, NULL } };
    struct world world;
    struct err err;
    (void)state;
    begin(&world, false);
    world.events = events;
    flag_link(&world.stop, &world.waiter.wake);
    assert_int_equal(upstream_wait_ready(&world.upstream, &world.waiter, &world.stop, NULL, &err),
                     ERR_CANCELLED);
    assert_null(world.upstream.waiters);
    assert_true(is_signalled(&world.waiter.wake)); /* for the request that would come next */
    end(&world);
}

static void no_signal_is_left_behind(void **state)
{
    struct world world;
    struct err err;
    (void)state;
    begin(&world, false);
    world.behaviour = always_503;
    assert_int_equal(step(&world), UPSTREAM_LOST);
    wake_signal(&world.waiter.wake);
    assert_int_equal(upstream_wait_ready(&world.upstream, &world.waiter, NULL, NULL, &err),
                     ERR_CONFIG);
    assert_false(is_signalled(&world.waiter.wake));
    end(&world);
}

struct waiting {
    pthread_t thread;
    struct upstream *upstream;
    struct upstream_waiter waiter;
    int rc;
};

static void *wait_main(void *argument)
{
    struct waiting *waiting = argument;
    struct err err;
    waiting->rc = upstream_wait_ready(waiting->upstream, &waiting->waiter, NULL, NULL, &err);
    return NULL;
}

static int count_waiters(struct upstream *upstream)
{
    int count = 0;
    pthread_mutex_lock(&upstream->lock);
    for (struct upstream_waiter *waiter = upstream->waiters; waiter != NULL; waiter = waiter->next)
        count++;
    pthread_mutex_unlock(&upstream->lock);
    return count;
}

/* With threads and the system's clock: each is woken. */
static void all_that_wait_are_woken(void **state)
{
    struct world world;
    struct waiting waiting[4];
    struct err err;
    (void)state;
    begin(&world, false);
    world.upstream.clock = upstream_system_clock;
    for (int i = 0; i < 4; i++) {
        waiting[i] = (struct waiting){ .upstream = &world.upstream, .rc = 1 };
        assert_int_equal(wake_init(&waiting[i].waiter.wake, &err), 0);
        assert_int_equal(pthread_create(&waiting[i].thread, NULL, wait_main, &waiting[i]), 0);
    }
    while (count_waiters(&world.upstream) < 4)
        sched_yield();
    pthread_mutex_lock(&world.upstream.lock);
    upstream_mark_ready(&world.upstream);
    pthread_mutex_unlock(&world.upstream.lock);
    for (int i = 0; i < 4; i++) {
        pthread_join(waiting[i].thread, NULL);
        assert_int_equal(waiting[i].rc, 0);
        wake_free(&waiting[i].waiter.wake);
    }
    end(&world);
}

/* --- a broken connection, and the exit behind it ---------------------------------------------- */

static void exit_with_9(struct world *world)
{
    die(world, "exited with status 9");
}

/* What a job learns whose connection broke at this time of the world, as text. */
static void check_report_within(struct world *world, unsigned generation, int64_t patience_ms,
                                const char *expected)
{
    struct buf report;
    buf_init(&report, 1000, "report");
    upstream_report_exit(&world->upstream, &world->waiter, &world->stop, generation, patience_ms,
                         &report);
    buf_add(&report, "", 1, NULL);
    assert_string_equal(report.ptr, expected);
    buf_free(&report);
    assert_null(world->upstream.waiters);
}

static void check_report(struct world *world, unsigned generation, const char *expected)
{
    check_report_within(world, generation, 1000, expected);
}

/* A process that has ended stays until it is reaped; one that the kernel ends looks the same. */
static void an_exit_that_has_begun_is_waited_for(void **state)
{
    static const struct event events[] = { { 300, exit_with_9 }, { NEVER_MS, NULL } };
    struct world world;
    siginfo_t info;
    (void)state;
    pid_t ended = fork();
    if (ended == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT), 0);
    begin_ready(&world, true);
    world.events = events;
    world.upstream.pid = getpid();
    check_report_within(&world, world.upstream.generation, 20, "");
    assert_int_equal(world.now_ms, 20);
    world.upstream.pid = ended;
    check_report_within(&world, world.upstream.generation, 20,
                        "The server exited with status 9. Its last lines:\nboom");
    assert_int_equal(world.now_ms, 300);
    assert_int_equal(waitpid(ended, NULL, 0), ended);
    end(&world);
}

static void an_exit_that_follows_is_reported(void **state)
{
    static const struct event events[] = { { 300, exit_with_9 }, { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, true);
    world.events = events;
    check_report(&world, world.upstream.generation,
                 "The server exited with status 9. Its last lines:\nboom");
    assert_int_equal(world.now_ms, 300);
    end(&world);
}

static void an_exit_that_came_before_is_reported_at_once(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, true);
    unsigned generation = world.upstream.generation;
    die(&world, "exited with status 9");
    check_report(&world, generation, "The server exited with status 9. Its last lines:\nboom");
    assert_int_equal(world.now_ms, 0);
    end(&world);
}

/* The exit of one before is not this job's. */
static void without_an_exit_patience_runs_out(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, true);
    die(&world, "exited with status 9");
    upstream_mark_ready(&world.upstream);
    check_report(&world, world.upstream.generation, "");
    assert_int_equal(world.now_ms, 1000);
    assert_int_equal(world.upstream.state, UPSTREAM_READY);
    end(&world);
}

static void a_stopped_job_does_not_wait_for_an_exit(void **state)
{
    static const struct event events[] = { { 200, raise_stop }, { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, true);
    world.events = events;
    check_report(&world, world.upstream.generation, "");
    assert_int_equal(world.now_ms, 200);
    end(&world);
}

static void one_that_refuses_connections_is_unhealthy(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, false);
    upstream_refused(&world.upstream, world.upstream.generation + 1); /* of another one */
    assert_int_equal(world.upstream.state, UPSTREAM_READY);
    upstream_refused(&world.upstream, world.upstream.generation);
    assert_int_equal(world.upstream.state, UPSTREAM_UNHEALTHY);
    check_report(&world, world.upstream.generation, "");
    assert_int_equal(world.now_ms, 0); /* nobody here would learn of its exit */
    end(&world);
}

/* --- one that fails every job ----------------------------------------------------------------- */

static void fail_jobs(struct world *world, int count)
{
    for (int i = 0; i < count; i++) {
        begin_job(world);
        suspect_job(world);
    }
}

static void our_own_that_fails_every_job_is_ended(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, true);
    world.config.handler.failures = 3;
    fail_jobs(&world, 2);
    begin_job(&world);
    refuse_job(&world); /* says nothing, neither way */
    assert_false(is_signalled(&world.upstream.end_program));
    fail_jobs(&world, 1);
    assert_true(is_signalled(&world.upstream.end_program));
    assert_int_equal(world.upstream.state, UPSTREAM_UNHEALTHY);
    assert_string_equal(world.upstream.end_reason,
                        "3 jobs in a row failed, the last one with status 500");
    fail_jobs(&world, 5); /* those that were under way */
    assert_true(die(&world, "was ended"));
    assert_int_equal(world.upstream.state, UPSTREAM_STARTING);
    assert_string_equal(world.upstream.end_reason, "");
    assert_int_equal(world.upstream.failures, 0);
    end(&world);
}

static void mark_down_now(struct world *world)
{
    pthread_mutex_lock(&world->upstream.lock);
    upstream_mark_down(&world->upstream, "was ended", SLICE_LITERAL(""));
    pthread_mutex_unlock(&world->upstream.lock);
}

/* Several tries have one budget; a new one starts once it has been ready. */
static void all_tries_to_get_ready_have_one_budget(void **state)
{
    static const struct event events[] = { { 4000, exit_with_1 },
                                           { 8000, exit_with_1 },
                                           { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin(&world, true);
    world.behaviour = always_503;
    world.events = events;
    assert_int_equal(step(&world), UPSTREAM_STARTING);
    assert_int_equal(step(&world), UPSTREAM_STARTING);
    assert_int_equal(step(&world), UPSTREAM_LOST);
    assert_in_range(world.now_ms, READY_MS - LIMIT_READY_LONGEST_MS, READY_MS);
    end(&world);
    begin(&world, true);
    world.now_ms = 5000;
    upstream_mark_ready(&world.upstream);
    exit_with_1(&world);
    world.behaviour = always_503;
    assert_int_equal(step(&world), UPSTREAM_LOST);
    assert_in_range(world.now_ms, 5000 + READY_MS - LIMIT_READY_LONGEST_MS, 5000 + READY_MS);
    end(&world);
}

/* Its health route goes on to say 200: that does not save it. */
static void health_does_not_save_one_that_fails_every_job(void **state)
{
    static const struct event events[] = { { 5000, mark_down_now }, { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, true);
    world.config.handler.failures = 3;
    world.behaviour = always_200;
    world.events = events;
    fail_jobs(&world, 3);
    assert_int_equal(step(&world), UPSTREAM_DOWN);
    assert_int_equal(world.probes, 0);
    end(&world);
}

static void an_answered_job_ends_the_row_of_failures(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, true);
    world.config.handler.failures = 3;
    for (int i = 0; i < 5; i++) {
        fail_jobs(&world, 2);
        begin_job(&world);
        answer_job(&world);
    }
    assert_false(is_signalled(&world.upstream.end_program));
    world.config.handler.failures = 0;
    fail_jobs(&world, 1000);
    assert_false(is_signalled(&world.upstream.end_program));
    end(&world);
}

static void jobs_of_one_that_is_gone_do_not_count(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, true);
    world.config.handler.failures = 1;
    unsigned old = upstream_job_begin(&world.upstream, &world.waiter);
    die(&world, "exited with status 1");
    upstream_mark_ready(&world.upstream);
    upstream_job_end(&world.upstream, &world.waiter, old, UPSTREAM_SUSPECT, "no answer");
    assert_int_equal(world.upstream.state, UPSTREAM_READY);
    end(&world);
}

/* It cannot be replaced: it counts as dead, and as often as one of ours. */
static void one_of_somebody_elses_that_fails_every_job_is_lost(void **state)
{
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.config.handler.failures = 4;
    fail_jobs(&world, 11);
    assert_int_equal(world.upstream.state, UPSTREAM_READY);
    begin_job(&world);
    begin_job(&world); /* another one that is under way */
    suspect_job(&world);
    assert_int_equal(world.upstream.state, UPSTREAM_LOST);
    assert_true(is_signalled(&slot_of(&world, world.ended)->wake));
    assert_int_equal(world.lost_calls, 1);
    assert_non_null(strstr(world.upstream.lost.text, "--handler-deaths"));
    end(&world);
}

static void begin_and_answer(struct world *world)
{
    begin_job(world);
    answer_job(world);
}

/* Probes were answered while a job ran: silence is not its way of working. */
static void silence_of_one_that_answers_while_it_works_counts(void **state)
{
    static const struct behaviour hangs[] = { { 0, 200 }, { 15000, SILENT }, { NEVER_MS, 0 } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    begin_job(&world);
    world.behaviour = hangs;
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_int_equal(world.probes, 2);
    end(&world);
}

/* The probe may have been answered between two jobs. */
static void a_probe_answered_between_jobs_proves_nothing(void **state)
{
    static const struct behaviour one_at_a_time[] = {
        { 0, 200 }, { 5000, SLOW }, { 15000, SILENT }, { NEVER_MS, 0 }
    };
    static const struct event events[] = { { 12000, begin_and_answer },
                                           { 100000, answer_job },
                                           { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    begin_job(&world);
    world.behaviour = one_at_a_time;
    world.events = events;
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_true(world.now_ms > 100000);
    end(&world);
}

/* Nor does one that was answered before the job had come. */
static void a_probe_that_a_job_came_into_proves_nothing(void **state)
{
    static const struct behaviour one_at_a_time[] = {
        { 0, 200 }, { 5000, SLOW }, { 15000, SILENT }, { NEVER_MS, 0 }
    };
    static const struct event events[] = { { 12000, begin_job },
                                           { 100000, answer_job },
                                           { NEVER_MS, NULL } };
    struct world world;
    (void)state;
    begin_ready(&world, false);
    world.behaviour = one_at_a_time;
    world.events = events;
    assert_int_equal(step(&world), UPSTREAM_UNHEALTHY);
    assert_true(world.now_ms > 100000);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_ready_soon_after_its_first_200),
        cmocka_unit_test(one_that_is_not_ready_in_time_is_lost),
        cmocka_unit_test(the_error_is_the_last_one_that_says_something),
        cmocka_unit_test(one_that_never_says_anything_timed_out),
        cmocka_unit_test(an_idle_one_is_probed_every_10_s),
        cmocka_unit_test(a_short_limit_makes_probes_frequent),
        cmocka_unit_test(it_may_recover),
        cmocka_unit_test(one_of_somebody_elses_that_stays_unhealthy_is_lost),
        cmocka_unit_test(our_own_that_stays_unhealthy_is_ended),
        cmocka_unit_test(a_busy_one_may_be_silent),
        cmocka_unit_test(a_busy_one_may_not_answer_that_it_is_ill),
        cmocka_unit_test(a_suspect_job_makes_a_probe_due),
        cmocka_unit_test(a_probe_that_was_due_is_done_once),
        cmocka_unit_test(probes_that_are_due_keep_a_distance),
        cmocka_unit_test(a_refused_request_is_no_sign),
        cmocka_unit_test(silence_counts_after_a_suspect_job),
        cmocka_unit_test(an_answered_job_clears_suspicion),
        cmocka_unit_test(answered_jobs_give_an_unhealthy_one_more_time),
        cmocka_unit_test(deaths_in_a_row_have_a_limit),
        cmocka_unit_test(one_that_ends_when_its_time_is_up_is_not_started_again),
        cmocka_unit_test(without_a_limit_it_may_take_any_time),
        cmocka_unit_test(last_words_have_a_limit),
        cmocka_unit_test(an_answered_job_ends_the_row),
        cmocka_unit_test(a_probe_of_one_that_is_gone_does_not_count),
        cmocka_unit_test(a_new_one_starts_without_suspicion),
        cmocka_unit_test(lost_is_for_good),
        cmocka_unit_test(a_slot_waits_until_it_is_ready),
        cmocka_unit_test(a_stopped_job_waits_no_longer),
        cmocka_unit_test(no_signal_is_left_behind),
        cmocka_unit_test(all_that_wait_are_woken),
        cmocka_unit_test(an_exit_that_follows_is_reported),
        cmocka_unit_test(an_exit_that_has_begun_is_waited_for),
        cmocka_unit_test(an_exit_that_came_before_is_reported_at_once),
        cmocka_unit_test(without_an_exit_patience_runs_out),
        cmocka_unit_test(a_stopped_job_does_not_wait_for_an_exit),
        cmocka_unit_test(one_that_refuses_connections_is_unhealthy),
        cmocka_unit_test(all_tries_to_get_ready_have_one_budget),
        cmocka_unit_test(our_own_that_fails_every_job_is_ended),
        cmocka_unit_test(health_does_not_save_one_that_fails_every_job),
        cmocka_unit_test(an_answered_job_ends_the_row_of_failures),
        cmocka_unit_test(jobs_of_one_that_is_gone_do_not_count),
        cmocka_unit_test(one_of_somebody_elses_that_fails_every_job_is_lost),
        cmocka_unit_test(silence_of_one_that_answers_while_it_works_counts),
        cmocka_unit_test(a_probe_answered_between_jobs_proves_nothing),
        cmocka_unit_test(a_probe_that_a_job_came_into_proves_nothing),
    };
    log_init(LOG_NOTSET, false);
    return cmocka_run_group_tests_name("upstream state", tests, NULL, NULL);
}
