#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "base/version.h"
#include "codec/backoff.h"
#include "job/http_server_inside.h"

/* What looking at the health route takes; one thread's. */
struct look {
    struct http_client *client;
    struct buf url;
    struct buf body;
    bool answered;  /* by the last look */
    struct err err; /* what was wrong */
};

/* One look, without the lock. True where the server is well. */
static bool ask(struct look *look, deadline_ms until)
{
    static const struct http1_field fields[] = {
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
    };
    const struct http_request request = {
        .method = "GET",
        .url = buf_slice(&look->url),
        .fields = fields,
        .field_count = 2,
        .connect_ms = LIMIT_READY_ASK_MS,
        .send_ms = LIMIT_READY_ASK_MS,
        .answer_ms = LIMIT_READY_ASK_MS,
        .body_ms = LIMIT_READY_ASK_MS,
        .until = until,
    };
    struct http_answer answer;
    http_exchange(look->client, &request, &answer, &look->body, &look->err);
    look->answered = answer.status != 0;
    if (look->answered)
        err_set(&look->err, ERR_RETRY, "it answers %d", answer.status);
    return answer.status >= 200 && answer.status <= 299;
}

/* True while it is the same server in the same state as before the lock was given up. */
static bool is_still(enum server_state state, unsigned life)
{
    return http_server.state == state && http_server.life == life;
}

static bool look_at(struct look *look, deadline_ms until)
{
    pthread_mutex_unlock(&http_server.lock);
    bool well = ask(look, until);
    pthread_mutex_lock(&http_server.lock);
    return well;
}

/* Sleeps until the deadline, as long as nothing changes. */
static void rest(enum server_state state, unsigned life, deadline_ms deadline)
{
    while (is_still(state, life) &&
           flag_cond_wait(&http_server.changed, &http_server.lock, deadline))
        continue;
}

/* --- until it is ready, or healthy again --------------------------------------------------------- */

static void time_is_up(const struct err *err)
{
    const struct http_setting *setting = http_server.setting;
    struct err what = *err;
    err_wrap(&what, "%s", setting->ready_path);
    if (http_server.state == SERVER_STARTING) {
        http_server_lose("The handler's server was not ready in time: ", what.text,
                         " (--handler-ready-timeout)");
    } else if (setting->child.command.path == NULL) {
        http_server_lose("The handler's server stays unhealthy: ", what.text,
                         " (--handler-unhealthy-timeout)");
    } else {
        memcpy(http_server.illness, what.text, sizeof http_server.illness);
        wake_signal(&http_server.give_up);
        rest(SERVER_UNHEALTHY, http_server.life, DEADLINE_NEVER);
    }
}

static void is_ready(void)
{
    log_write(LOG_INFO, NULL, "The handler's server is %s after %lld ms.",
              http_server.state == SERVER_STARTING ? "ready" : "healthy again",
              (long long)(clock_now_ms() - http_server.begun_ms));
    http_server_set_state(SERVER_READY);
}

/* Asks until the server is well, has ended, or was given enough time. */
static void ask_until_well(struct look *look)
{
    struct backoff backoff = { .first_ms = LIMIT_READY_FIRST_MS,
                               .longest_ms = LIMIT_READY_LONGEST_MS };
    const enum server_state state = http_server.state;
    const unsigned life = http_server.life;
    struct err err = { 0 };
    while (is_still(state, life)) {
        bool well = look_at(look, http_server.until);
        /* The last look may be cut off: what was answered before says more. */
        if (look->err.code != ERR_TIMEOUT || err.code == 0)
            err = look->err;
        if (!is_still(state, life))
            return;
        if (well) {
            is_ready();
            return;
        }
        deadline_ms next = clock_deadline(backoff_next_ms(&backoff, random_u32()));
        if (next > http_server.until) {
            time_is_up(&err);
            return;
        }
        rest(state, life, next);
    }
}

/* --- while it is ready ------------------------------------------------------------------------------ */

/* A look every so often, and soon where a job gives reason to. */
static void wait_for_next_look(unsigned life, int64_t last_ms)
{
    int64_t often_ms = http_server.setting->config->handler.unhealthy_ms / 3;
    if (often_ms > LIMIT_HEALTH_MS)
        often_ms = LIMIT_HEALTH_MS;
    while (is_still(SERVER_READY, life) &&
           flag_cond_wait(&http_server.changed, &http_server.lock,
                          last_ms + (http_server.look_due ? LIMIT_HEALTH_SOON_MS : often_ms)))
        continue;
}

/*
 * A server that answers one request at a time does not answer while it works: silence says
 * something only where it has nothing to do, or jobs have gone wrong since it last did well.
 */
static bool counts(const struct look *look)
{
    return look->answered || http_server.asked == 0 || http_server.suspicions > 0;
}

static void watch(struct look *look)
{
    const unsigned life = http_server.life;
    int64_t last_ms = clock_now_ms();
    while (is_still(SERVER_READY, life)) {
        wait_for_next_look(life, last_ms);
        if (!is_still(SERVER_READY, life))
            return;
        http_server.look_due = false;
        bool well = look_at(look,
                            clock_deadline(http_server.setting->config->handler.unhealthy_ms));
        if (is_still(SERVER_READY, life) && !well && counts(look)) {
            http_server_fall_ill(look->err.text);
            return;
        }
        last_ms = clock_now_ms();
    }
}

static void *health_main(void *argument)
{
    struct look look = { .client = argument };
    buf_init(&look.url, URL_MAX_BYTES, "health URL");
    buf_init(&look.body, LIMIT_REPLY_BYTES, "answer of the health route");
    buf_add_slice(&look.url, http_server.setting->origin, NULL);
    buf_add_text(&look.url, http_server.setting->ready_path, NULL);
    pthread_mutex_lock(&http_server.lock);
    for (;;) {
        if (http_server.state == SERVER_STARTING || http_server.state == SERVER_UNHEALTHY)
            ask_until_well(&look);
        else if (http_server.state == SERVER_READY)
            watch(&look);
        else
            pthread_cond_wait(&http_server.changed, &http_server.lock);
    }
    return NULL;
}

int http_health_start(struct err *err)
{
    struct http_client *client;
    int rc = http_client_new(&client, &http_server.setting->net, err);
    return rc == 0 ? thread_start(health_main, client, LIMIT_STACK_SERVICE_BYTES, err) : rc;
}
