#include "base/limits.h"
#include "base/log.h"
#include "job/http_server_inside.h"

struct server http_server = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- state; under the lock ------------------------------------------------------------------- */

static bool is_alive(enum server_state state)
{
    return state == SERVER_STARTING || state == SERVER_READY || state == SERVER_UNHEALTHY;
}

void http_server_set_state(enum server_state state)
{
    if (is_alive(state) != is_alive(http_server.state))
        http_server.life++;
    http_server.state = state;
    pthread_cond_broadcast(&http_server.changed);
    for (struct http_waiter *waiter = http_server.waiters; waiter != NULL; waiter = waiter->next)
        wake_signal(&waiter->wake);
}

static void give_time(int64_t timeout_ms)
{
    http_server.begun_ms = clock_now_ms();
    http_server.until = clock_deadline(timeout_ms);
}

void http_server_begin(void)
{
    http_server.suspicions = 0;
    http_server.look_due = false;
    http_server.illness[0] = '\0';
    give_time(http_server.setting->config->handler.ready_timeout_ms);
    http_server_set_state(SERVER_STARTING);
}

void http_server_fall_ill(const char *what)
{
    log_write(LOG_WARN, NULL, "The handler's server is unhealthy: %s: %s",
              http_server.setting->ready_path, what);
    give_time(http_server.setting->config->handler.unhealthy_ms);
    http_server_set_state(SERVER_UNHEALTHY);
}

void http_server_lose(const char *what, const char *detail, const char *flag)
{
    if (http_server.state == SERVER_LOST)
        return;
    err_set(&http_server.why, ERR_CONFIG, "%s%s%s", what, detail, flag);
    http_server_set_state(SERVER_LOST);
    log_write(LOG_ERROR, NULL, "%s", http_server.why.text);
    if (http_server.setting->lost != NULL)
        http_server.setting->lost(http_server.setting->lost_owner);
}

static int start(struct http_setting *setting, struct err *err)
{
    int rc = 0;
    http_server.setting = setting;
    flag_cond_init(&http_server.changed);
    if (setting->child.command.path != NULL)
        rc = http_program_start(err);
    else
        http_server_begin();
    return rc == 0 ? http_health_start(err) : rc;
}

int http_server_start(struct http_setting *setting, struct err *err)
{
    pthread_mutex_lock(&http_server.lock);
    int rc = http_server.setting == NULL ? start(setting, err) : 0;
    pthread_mutex_unlock(&http_server.lock);
    return rc;
}

/* --- those who wait ------------------------------------------------------------------------------ */

static void enlist(struct http_waiter *waiter)
{
    waiter->next = http_server.waiters;
    http_server.waiters = waiter;
}

/* What was signalled meanwhile is over; a stop is told again to whoever looks next. */
static void delist(struct http_waiter *waiter, const struct flag *stop)
{
    struct http_waiter **link = &http_server.waiters;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    wake_lower(&waiter->wake);
    if (stop != NULL && flag_is_raised(stop))
        wake_signal(&waiter->wake);
}

/* Gives up the lock until something changes, the deadline has passed, or a job is to end. */
static void wait_for_change(struct http_waiter *waiter, deadline_ms deadline)
{
    pthread_mutex_unlock(&http_server.lock);
    wake_wait(&waiter->wake, deadline);
    wake_lower(&waiter->wake);
    pthread_mutex_lock(&http_server.lock);
}

static void add_last_words(struct buf *told)
{
    buf_add_text(told, http_server.last_words_len > 0 ? ". Its last words:\n" : ".", NULL);
    buf_add(told, http_server.last_words, http_server.last_words_len, NULL);
}

int http_server_wait(struct http_waiter *waiter, const struct flag *stop, struct buf *told,
                     struct err *err)
{
    int rc = 0;
    pthread_mutex_lock(&http_server.lock);
    if (http_server.state == SERVER_READY) {
        pthread_mutex_unlock(&http_server.lock);
        return 0;
    }
    enlist(waiter);
    while (http_server.state != SERVER_READY && http_server.state != SERVER_LOST &&
           (stop == NULL || !flag_is_raised(stop)))
        wait_for_change(waiter, DEADLINE_NEVER);
    delist(waiter, stop);
    if (http_server.state == SERVER_LOST) {
        *err = http_server.why;
        rc = err->code;
        if (told != NULL)
            add_last_words(told);
    } else if (http_server.state != SERVER_READY) {
        rc = err_set(err, ERR_CANCELLED, "the job was stopped");
    }
    pthread_mutex_unlock(&http_server.lock);
    return rc;
}

bool http_server_is_lost(void)
{
    pthread_mutex_lock(&http_server.lock);
    bool lost = http_server.state == SERVER_LOST;
    pthread_mutex_unlock(&http_server.lock);
    return lost;
}

/* --- jobs ------------------------------------------------------------------------------------------ */

unsigned http_server_enter(void)
{
    pthread_mutex_lock(&http_server.lock);
    http_server.asked++;
    unsigned life = http_server.life;
    pthread_mutex_unlock(&http_server.lock);
    return life;
}

static void did_well(void)
{
    http_server.suspicions = 0;
    if (http_server.child.deaths > 0)
        child_succeeded(&http_server.child);
    if (http_server.state == SERVER_UNHEALTHY) /* it works, whatever it says of its health */
        http_server.until = clock_deadline(http_server.setting->config->handler.unhealthy_ms);
}

void http_server_leave(enum http_outcome outcome)
{
    pthread_mutex_lock(&http_server.lock);
    http_server.asked--;
    if (outcome == HTTP_WELL)
        did_well();
    if (outcome == HTTP_SUSPICIOUS) {
        http_server.suspicions++;
        http_server.look_due = true;
        pthread_cond_broadcast(&http_server.changed);
    }
    pthread_mutex_unlock(&http_server.lock);
}

/* The server's end, where it has come since that life; else nothing. */
static void tell_end(unsigned life, struct buf *told)
{
    if (http_server.end[0] == '\0' || http_server.end_life < life)
        return;
    buf_add_text(told, "The server ", NULL);
    buf_add_text(told, http_server.end, NULL);
    add_last_words(told);
}

void http_server_suspect(struct http_waiter *waiter, const struct flag *stop, unsigned life,
                         bool connected, int64_t patience_ms, struct buf *told)
{
    bool has_program = http_server.setting->child.command.path != NULL;
    deadline_ms deadline = clock_deadline(has_program ? patience_ms : 0);
    pthread_mutex_lock(&http_server.lock);
    enlist(waiter);
    while (http_server.life == life && clock_left_ms(deadline) > 0 && !flag_is_raised(stop))
        wait_for_change(waiter, deadline);
    delist(waiter, stop);
    tell_end(life, told);
    if (http_server.life == life && http_server.state == SERVER_READY && !connected)
        http_server_fall_ill("a job could not connect");
    pthread_mutex_unlock(&http_server.lock);
}
