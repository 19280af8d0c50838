#include "job/http_server.h"

#include <signal.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "base/version.h"
#include "codec/backoff.h"
#include "job/child_inside.h"

enum state {
    STARTING, /* it is asked whether it is ready */
    READY,
    DOWN, /* it has ended and is to be started again */
    LOST, /* for good */
};

static struct server {
    struct http_setting *setting;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum state state;
    unsigned life;     /* one more with every end and start */
    int64_t begun_ms;  /* when it began to start */
    deadline_ms until; /* it has to be ready by then */
    struct http_waiter *waiters;
    struct err why; /* it is lost, or what it answered last */
    struct child child;
    unsigned end_life;                       /* how the life of that number ended, */
    char end[96];                            /* "" where none has, */
    char last_words[LIMIT_CHILD_TAIL_BYTES]; /* and with what words */
    size_t last_words_len;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- state; under the lock ------------------------------------------------------------------- */

static void change(enum state state)
{
    server.state = state;
    server.life++;
    pthread_cond_broadcast(&server.changed);
    for (struct http_waiter *waiter = server.waiters; waiter != NULL; waiter = waiter->next)
        wake_signal(&waiter->wake);
}

static void begin_start(void)
{
    server.begun_ms = clock_now_ms();
    server.until = clock_deadline(server.setting->config->handler.ready_timeout_ms);
    change(STARTING);
}

static void lose(const char *what, const char *detail, const char *flag)
{
    if (server.state == LOST)
        return;
    err_set(&server.why, ERR_CONFIG, "%s%s%s", what, detail, flag);
    change(LOST);
    log_write(LOG_ERROR, NULL, "%s", server.why.text);
    if (server.setting->lost != NULL)
        server.setting->lost(server.setting->lost_owner);
}

/* --- is it ready? ---------------------------------------------------------------------------- */

static int ask(struct http_client *client, struct buf *url, struct buf *body, deadline_ms until,
               struct err *err)
{
    static const struct http1_field fields[] = {
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
    };
    const struct http_request request = {
        .method = "GET",
        .url = buf_slice(url),
        .fields = fields,
        .field_count = 2,
        .connect_ms = LIMIT_READY_ASK_MS,
        .send_ms = LIMIT_READY_ASK_MS,
        .answer_ms = LIMIT_READY_ASK_MS,
        .body_ms = LIMIT_READY_ASK_MS,
        .until = until,
    };
    struct http_answer answer;
    int rc = http_exchange(client, &request, &answer, body, err);
    if (answer.status >= 200 && answer.status <= 299)
        return 0;
    return answer.status != 0 ? err_set(err, ERR_RETRY, "it answers %d", answer.status) : rc;
}

/* Asks until the server is ready, has ended, or was given enough time. */
static void ask_until_ready(struct http_client *client, struct buf *url, struct buf *body)
{
    struct backoff backoff = { .first_ms = LIMIT_READY_FIRST_MS,
                               .longest_ms = LIMIT_READY_LONGEST_MS };
    struct err err = { 0 }, now = { 0 };
    unsigned life = server.life;
    while (server.state == STARTING && server.life == life) {
        deadline_ms until = server.until;
        pthread_mutex_unlock(&server.lock);
        int rc = ask(client, url, body, until, &now);
        pthread_mutex_lock(&server.lock);
        if (now.code != ERR_TIMEOUT || err.code == 0)
            err = now; /* the last look may be cut off: what was answered before says more */
        if (server.state != STARTING || server.life != life)
            return;
        if (rc == 0) {
            log_write(LOG_INFO, NULL, "The handler's server is ready after %lld ms.",
                      (long long)(clock_now_ms() - server.begun_ms));
            change(READY);
            return;
        }
        deadline_ms next = clock_deadline(backoff_next_ms(&backoff, random_u32()));
        if (next > server.until) {
            err_wrap(&err, "%s", server.setting->ready_path);
            lose("The handler's server was not ready in time: ", err.text,
                 " (--handler-ready-timeout)");
            return;
        }
        while (server.state == STARTING && server.life == life &&
               flag_cond_wait(&server.changed, &server.lock, next))
            continue;
    }
}

static void *readiness_main(void *argument)
{
    struct http_client *client = argument;
    struct buf url, body;
    buf_init(&url, URL_MAX_BYTES, "health URL");
    buf_init(&body, LIMIT_REPLY_BYTES, "answer of the health route");
    buf_add_slice(&url, server.setting->origin, NULL);
    buf_add_text(&url, server.setting->ready_path, NULL);
    pthread_mutex_lock(&server.lock);
    for (;;) {
        while (server.state != STARTING)
            pthread_cond_wait(&server.changed, &server.lock);
        ask_until_ready(client, &url, &body);
    }
    return NULL;
}

/* --- its program ----------------------------------------------------------------------------- */

/* What is known of its end, for the jobs that it costs. */
static void note_end(struct child *child)
{
    slice words = child_last_words(child);
    child_end(child, false); /* leaves the words where they are */
    process_describe(child->status, server.end, sizeof server.end);
    server.end_life = server.life;
    memcpy(server.last_words, words.ptr, words.len);
    server.last_words_len = words.len;
    log_write(LOG_WARN, NULL, "The handler's server %s.", server.end);
}

/* One life of the server. False where it was the last one. */
static bool run_once(struct child *child)
{
    struct err err = { 0 };
    int rc = child_start(child, &err);
    pthread_mutex_lock(&server.lock);
    if (rc == 0)
        begin_start();
    else if (rc != ERR_CANCELLED)
        lose("", err.text, "");
    pthread_mutex_unlock(&server.lock);
    if (rc != 0)
        return false;
    child_attend(child, DEADLINE_NEVER);
    if (process_all_are_ending())
        return false;
    pthread_mutex_lock(&server.lock);
    note_end(child);
    bool lost = server.state == LOST || child_keeps_dying(child);
    if (lost)
        lose("The handler's server keeps dying: the last one ", server.end, " (--handler-deaths)");
    else
        change(DOWN);
    pthread_mutex_unlock(&server.lock);
    return !lost;
}

static void *program_main(void *argument)
{
    struct child *child = argument;
    while (run_once(child))
        clock_sleep(child->start_after);
    return NULL;
}

static int start_program(struct err *err)
{
    struct child *child = &server.child;
    child_init(child, &server.setting->child, LIMIT_CHILD_TEXT_BYTES,
               "a line of the handler's server");
    server.state = DOWN;
    int rc = child_watch_init(err);
    return rc == 0 ? thread_start(program_main, child, LIMIT_STACK_SERVICE_BYTES, err) : rc;
}

/* --- for the slots ----------------------------------------------------------------------------- */

static int start(struct http_setting *setting, struct err *err)
{
    struct http_client *client;
    server.setting = setting;
    flag_cond_init(&server.changed);
    int rc = http_client_new(&client, &setting->net, err);
    if (rc != 0)
        return rc;
    if (setting->child.command.path != NULL)
        rc = start_program(err);
    else
        begin_start();
    return rc == 0 ? thread_start(readiness_main, client, LIMIT_STACK_SERVICE_BYTES, err) : rc;
}

int http_server_start(struct http_setting *setting, struct err *err)
{
    pthread_mutex_lock(&server.lock);
    int rc = server.setting == NULL ? start(setting, err) : 0;
    pthread_mutex_unlock(&server.lock);
    return rc;
}

static void enlist(struct http_waiter *waiter)
{
    waiter->next = server.waiters;
    server.waiters = waiter;
}

/* What was signalled meanwhile is over; a stop is told again to whoever looks next. */
static void delist(struct http_waiter *waiter, const struct flag *stop)
{
    struct http_waiter **link = &server.waiters;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    wake_lower(&waiter->wake);
    if (stop != NULL && flag_is_raised(stop))
        wake_signal(&waiter->wake);
}

int http_server_wait(struct http_waiter *waiter, const struct flag *stop, struct err *err)
{
    pthread_mutex_lock(&server.lock);
    if (server.state == READY) {
        pthread_mutex_unlock(&server.lock);
        return 0;
    }
    enlist(waiter);
    while (server.state != READY && server.state != LOST &&
           (stop == NULL || !flag_is_raised(stop))) {
        pthread_mutex_unlock(&server.lock);
        wake_wait(&waiter->wake, DEADLINE_NEVER);
        wake_lower(&waiter->wake);
        pthread_mutex_lock(&server.lock);
    }
    delist(waiter, stop);
    int rc = 0;
    if (server.state == LOST) {
        *err = server.why;
        rc = err->code;
    } else if (server.state != READY) {
        rc = err_set(err, ERR_CANCELLED, "the job was stopped");
    }
    pthread_mutex_unlock(&server.lock);
    return rc;
}

bool http_server_is_lost(struct err *err)
{
    pthread_mutex_lock(&server.lock);
    bool lost = server.state == LOST;
    if (lost && err != NULL)
        *err = server.why;
    pthread_mutex_unlock(&server.lock);
    return lost;
}

unsigned http_server_life(void)
{
    pthread_mutex_lock(&server.lock);
    unsigned life = server.life;
    pthread_mutex_unlock(&server.lock);
    return life;
}

void http_server_succeeded(void)
{
    pthread_mutex_lock(&server.lock);
    if (server.child.deaths > 0)
        child_succeeded(&server.child);
    pthread_mutex_unlock(&server.lock);
}

/* The server's end, where it has come since that life; else nothing. */
static void tell_end(unsigned life, struct buf *told)
{
    const slice words = { server.last_words, server.last_words_len };
    if (server.end[0] == '\0' || server.end_life < life)
        return;
    buf_add_text(told, "The server ", NULL);
    buf_add_text(told, server.end, NULL);
    buf_add_text(told, words.len > 0 ? ". Its last words:\n" : ".", NULL);
    buf_add_slice(told, words, NULL);
}

void http_server_suspect(struct http_waiter *waiter, const struct flag *stop, unsigned life,
                         bool connected, struct buf *told)
{
    bool has_program = server.setting->child.command.path != NULL;
    deadline_ms deadline = clock_deadline(has_program ? LIMIT_SERVER_END_MS : 0);
    pthread_mutex_lock(&server.lock);
    enlist(waiter);
    while (server.life == life && clock_left_ms(deadline) > 0 && !flag_is_raised(stop)) {
        pthread_mutex_unlock(&server.lock);
        wake_wait(&waiter->wake, deadline);
        wake_lower(&waiter->wake);
        pthread_mutex_lock(&server.lock);
    }
    delist(waiter, stop);
    tell_end(life, told);
    if (server.life == life && server.state == READY && !connected)
        begin_start();
    pthread_mutex_unlock(&server.lock);
}
