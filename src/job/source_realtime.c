#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/random.h"
#include "codec/json.h"
#include "codec/url.h"
#include "job/source.h"
#include "net/server.h"

/*
 * A request that brought a job. It lies on the stack of its connection's thread, which waits there
 * until the result has come or the client has gone; the job's bytes live as long as it holds its
 * share of their delivery.
 */
struct visit {
    struct visit *next; /* in the list of all, oldest first */
    struct job *job;
    bool taken;       /* the job has left the queue: its slot will release it */
    bool turned_away; /* there will be no result */
    bool answering;   /* a slot is at work on body */
    bool answered;    /* body is the result */
    struct wake done; /* one of the two has become true */
    struct buf body;
};

struct realtime {
    struct source source; /* first, so that a source pointer is a realtime pointer */
    const struct config *config;
    const struct wake *wake;
    struct server *server;
    struct server_setting setting;
    struct server_route route;
    struct buf path;
    bool serving;        /* the taker's */
    struct wake arrival; /* there may be somebody in the queue; lowered by the taker */

    pthread_mutex_t lock;
    pthread_cond_t copied; /* some visit is no longer `answering` */
    struct visit *visits;
    struct visit **visits_end;
    size_t waiting; /* visits that are not taken */
    bool closed;    /* no more are taken */
};

static struct realtime *realtime_of(struct source *source)
{
    return (struct realtime *)(void *)source;
}

/* --- reading a request --------------------------------------------------------------------- */

/* Puts an id in front of the members of the job object, which has at least one. */
static int add_id(struct buf *body, const char *id, struct err *err)
{
    char member[RANDOM_UUID_BYTES + 16];
    size_t len = (size_t)snprintf(member, sizeof member, "\"id\": \"%s\", ", id);
    int rc = buf_reserve(body, len, err);
    if (rc != 0)
        return rc;
    const char *brace = memchr(body->ptr, '{', body->len);
    size_t at = (size_t)(brace - body->ptr) + 1;
    memmove(body->ptr + at + len, body->ptr + at, body->len - at);
    memcpy(body->ptr + at, member, len);
    body->len += len;
    return 0;
}

static int check_job(const struct job *job, struct err *err)
{
    if (job->defect != NULL)
        return err_set(err, ERR_INPUT, "%s", job->defect);
    if (json_type(job->input) == RP_NULL)
        return err_set(err, ERR_INPUT, "Job has missing field(s): input is null.");
    return 0;
}

/* Reads the job in the delivery's body, which gets an id where it has none. */
static int read_job(struct delivery *delivery, struct job **job, struct err *err)
{
    char id[RANDOM_UUID_BYTES];
    random_uuid(id);
    *job = NULL;
    if (json_type(buf_slice(&delivery->body)) != RP_OBJECT)
        return err_set(err, ERR_INPUT, "The request is no JSON object like {\"id\", \"input\"}.");
    int rc = delivery_read(delivery, id, job, err);
    if (rc == 0)
        rc = check_job(*job, err);
    if (rc == 0 && (*job)->id.ptr == id) {
        job_release(*job);
        *job = NULL;
        rc = add_id(&delivery->body, id, err);
        if (rc == 0)
            rc = delivery_read(delivery, NULL, job, err);
    }
    if (rc != 0 && *job != NULL) {
        job_release(*job);
        *job = NULL;
    }
    return rc;
}

/* --- visits -------------------------------------------------------------------------------- */

/* Lets a visit into the queue. False where that is full or closed. */
static bool enter(struct realtime *realtime, struct visit *visit)
{
    pthread_mutex_lock(&realtime->lock);
    bool room = !realtime->closed && realtime->waiting < LIMIT_REALTIME_WAITING;
    if (room) {
        *realtime->visits_end = visit;
        realtime->visits_end = &visit->next;
        realtime->waiting++;
        wake_signal(&realtime->arrival);
    }
    pthread_mutex_unlock(&realtime->lock);
    return room;
}

/* Takes a visit out of the list; nobody but its own thread knows it after that. */
static void leave(struct realtime *realtime, struct visit *visit)
{
    pthread_mutex_lock(&realtime->lock);
    while (visit->answering)
        pthread_cond_wait(&realtime->copied, &realtime->lock);
    struct visit **link = &realtime->visits;
    while (*link != visit)
        link = &(*link)->next;
    *link = visit->next;
    if (visit->next == NULL)
        realtime->visits_end = link;
    if (!visit->taken)
        realtime->waiting--;
    pthread_mutex_unlock(&realtime->lock);
}

static void refuse(struct server_exchange *exchange, const char *why)
{
    const struct http1_field retry = { SLICE_LITERAL("Retry-After"), SLICE_LITERAL("1") };
    server_answer_error(exchange, 503, slice_from(why), &retry, 1, NULL);
}

static void send_result(struct server_exchange *exchange, const struct visit *visit)
{
    struct err err = { 0 };
    const struct log_tag tag = job_tag(visit->job);
    const slice body = buf_slice(&visit->body);
    const struct server_answer answer = {
        .status = 200, .content_type = "application/json", .body = &body, .body_count = 1
    };
    int rc = body.len == 0
                 ? server_answer_error(exchange, 500, SLICE_LITERAL("No memory for the result."),
                                       NULL, 0, &err)
                 : server_answer(exchange, &answer, &err);
    if (rc != 0)
        log_write(LOG_WARN, &tag, "The client has not read its result: %s", err.text);
}

/* Waits for the outcome of a visit that is in the queue, and tells it. */
static void stay(struct realtime *realtime, struct server_exchange *exchange, struct visit *visit)
{
    const struct log_tag tag = job_tag(visit->job);
    server_wait(exchange, &visit->done, DEADLINE_NEVER);
    leave(realtime, visit);
    if (visit->answered) {
        send_result(exchange, visit);
        return;
    }
    if (visit->turned_away) {
        refuse(exchange, "The worker is shutting down.");
    } else {
        log_write(LOG_INFO, &tag, "The client has gone; its job is stopped.");
        server_hang_up(exchange);
    }
    if (visit->taken)
        job_stop(visit->job, JOB_STOPPED);
    else
        job_release(visit->job);
}

static void receive(struct realtime *realtime, struct server_exchange *exchange,
                    struct delivery *delivery)
{
    struct err err = { 0 };
    struct visit visit = { 0 };
    delivery->body = exchange->body;
    exchange->body = (struct buf){ 0 };
    int rc = read_job(delivery, &visit.job, &err);
    if (rc == 0 && (rc = wake_init(&visit.done, &err)) != 0)
        job_release(visit.job);
    if (rc != 0) {
        server_answer_error(exchange, rc == ERR_MEMORY ? 503 : 400, slice_from(err.text), NULL, 0,
                            NULL);
        return;
    }
    visit.job->own_id = true;
    buf_init(&visit.body, SIZE_MAX, "result"); /* a result is bounded where it is made */
    if (enter(realtime, &visit)) {
        stay(realtime, exchange, &visit);
    } else {
        refuse(exchange, "Too many requests are waiting for this worker, or it is shutting down.");
        job_release(visit.job);
    }
    wake_free(&visit.done);
    buf_free(&visit.body);
}

/* On the connection's thread; see server_handler. */
static void handle(struct server_exchange *exchange, void *owner)
{
    struct delivery *delivery;
    struct err err = { 0 };
    if (delivery_new(&delivery, LIMIT_REQUEST_BYTES, &err) != 0) {
        refuse(exchange, err.text);
        return;
    }
    receive(owner, exchange, delivery);
    delivery_release(delivery);
}

/* --- the loop's side ----------------------------------------------------------------------- */

/* Serving begins when the worker is ready for its first job. */
static bool serve(struct realtime *realtime)
{
    struct err err = { 0 };
    if (realtime->serving)
        return true;
    if (server_start(realtime->server, &err) != 0) {
        log_write(LOG_ERROR, NULL, "RUNPOD_REALTIME_PORT: %s", err.text);
        realtime->source.exit_status = 1;
        return false;
    }
    log_write(LOG_INFO, NULL, "Serving POST %.*s on port %u.",
              SLICE_ARG(slice_from(realtime->route.path)), (unsigned)realtime->setting.port);
    realtime->serving = true;
    return true;
}

static void wait_for_arrival(struct realtime *realtime)
{
    struct pollfd entries[] = {
        { .fd = realtime->arrival.fd, .events = POLLIN },
        { .fd = realtime->wake->fd, .events = POLLIN },
    };
    while (poll(entries, 2, -1) < 0 && errno == EINTR)
        continue;
    wake_lower(&realtime->arrival);
}

/* The jobs of up to `slots` visits that wait, oldest first. */
static struct job *pop_jobs(struct realtime *realtime, size_t slots)
{
    struct job *jobs = NULL, **end = &jobs;
    pthread_mutex_lock(&realtime->lock);
    bool open = !realtime->closed;
    for (struct visit *visit = realtime->visits; open && visit != NULL; visit = visit->next) {
        if (visit->taken)
            continue;
        if (slots-- == 0) {
            wake_signal(&realtime->arrival); /* for the next take */
            break;
        }
        visit->taken = true;
        realtime->waiting--;
        *end = visit->job;
        end = &visit->job->next;
    }
    pthread_mutex_unlock(&realtime->lock);
    return jobs;
}

static void realtime_take(struct source *source, size_t slots, bool busy, struct taken *taken)
{
    struct realtime *realtime = realtime_of(source);
    (void)busy;
    *taken = (struct taken){ .ended = !serve(realtime) };
    if (taken->ended)
        return;
    wait_for_arrival(realtime);
    taken->jobs = pop_jobs(realtime, slots);
}

static int realtime_open(struct source *source, struct outlet *outlet, struct err *err)
{
    (void)err;
    *outlet = (struct outlet){ .source = source };
    return 0;
}

static void realtime_close(struct outlet *outlet)
{
    (void)outlet;
}

/* The visit of a job, which may not leave until it has been given back; NULL where it has left. */
static struct visit *hold_visit(struct realtime *realtime, const struct job *job)
{
    pthread_mutex_lock(&realtime->lock);
    struct visit *visit = realtime->visits;
    while (visit != NULL && visit->job != job)
        visit = visit->next;
    if (visit != NULL)
        visit->answering = true;
    pthread_mutex_unlock(&realtime->lock);
    return visit;
}

static void give_back(struct realtime *realtime, struct visit *visit)
{
    pthread_mutex_lock(&realtime->lock);
    visit->answering = false;
    visit->answered = true;
    wake_signal(&visit->done);
    pthread_cond_broadcast(&realtime->copied);
    pthread_mutex_unlock(&realtime->lock);
}

/* Hands a copy to the connection, so that a client that reads slowly holds up no slot. */
static int realtime_post(struct outlet *outlet, struct job *job, const struct result *result,
                         struct err *err)
{
    struct realtime *realtime = realtime_of(outlet->source);
    const struct log_tag tag = job_tag(job);
    struct visit *visit = hold_visit(realtime, job);
    if (visit == NULL)
        return err_set(err, ERR_CANCELLED, "the client has gone");
    int rc = buf_reserve(&visit->body, result->bytes, err);
    for (size_t i = 0; rc == 0 && i < result->count; i++)
        rc = buf_add_slice(&visit->body, result->parts[i], err);
    give_back(realtime, visit);
    if (rc == 0)
        log_write(LOG_INFO, &tag, "Finished.");
    return rc;
}

/* The parts are in the result, too: config.aggregate_stream is set in this mode. */
static int realtime_stream(struct outlet *outlet, struct job *job, slice json, struct err *err)
{
    (void)outlet;
    (void)job;
    (void)json;
    (void)err;
    return 0;
}

static int realtime_progress(struct outlet *outlet, const struct job *job, slice json,
                             struct err *err)
{
    const struct log_tag tag = job_tag(job);
    (void)outlet;
    (void)err;
    log_write(LOG_DEBUG, &tag, "Progress, which nobody is told in realtime mode: %.*s",
              SLICE_ARG(json));
    return 0;
}

static void realtime_drain(struct source *source)
{
    struct realtime *realtime = realtime_of(source);
    server_stop(realtime->server);
    pthread_mutex_lock(&realtime->lock);
    realtime->closed = true;
    for (struct visit *visit = realtime->visits; visit != NULL; visit = visit->next) {
        if (visit->taken)
            continue;
        visit->turned_away = true;
        wake_signal(&visit->done);
    }
    pthread_mutex_unlock(&realtime->lock);
    server_wait_ended(realtime->server, DEADLINE_NEVER);
}

static void realtime_free(struct source *source)
{
    struct realtime *realtime = realtime_of(source);
    if (realtime->server != NULL)
        server_free(realtime->server);
    if (realtime->arrival.fd >= 0)
        wake_free(&realtime->arrival);
    buf_free(&realtime->path);
    free(realtime);
}

static const struct source_ops realtime_ops = {
    .take = realtime_take,
    .open = realtime_open,
    .close = realtime_close,
    .post = realtime_post,
    .stream = realtime_stream,
    .progress = realtime_progress,
    .drain = realtime_drain,
    .free = realtime_free,
};

/* "/<endpoint id>/realtime", with its NUL. */
static int put_path(struct realtime *realtime, struct err *err)
{
    struct buf *path = &realtime->path;
    buf_init(path, URL_MAX_BYTES, "RUNPOD_ENDPOINT_ID");
    int rc = buf_add_text(path, "/", err);
    if (rc == 0)
        rc = url_encode(path, realtime->config->endpoint_id, err);
    if (rc == 0)
        rc = buf_add(path, "/realtime", sizeof "/realtime", err);
    return rc;
}

int source_realtime_new(struct source **source, const struct config *config, size_t slots,
                        const struct wake *wake, struct err *err)
{
    struct realtime *realtime = calloc(1, sizeof *realtime);
    if (realtime == NULL)
        return err_set(err, ERR_MEMORY, "no memory for realtime mode");
    realtime->source.ops = &realtime_ops;
    realtime->config = config;
    realtime->wake = wake;
    realtime->visits_end = &realtime->visits;
    realtime->arrival.fd = -1;
    pthread_mutex_init(&realtime->lock, NULL);
    pthread_cond_init(&realtime->copied, NULL);
    int rc = put_path(realtime, err);
    if (rc == 0)
        rc = wake_init(&realtime->arrival, err);
    realtime->route = (struct server_route){ "POST", realtime->path.ptr, handle };
    realtime->setting = (struct server_setting){
        .port = (uint16_t)config->realtime_port,
        .routes = &realtime->route,
        .route_count = 1,
        .owner = realtime,
        .connections_max = slots + LIMIT_REALTIME_WAITING + LIMIT_SERVER_SPARE,
        .body_max_bytes = LIMIT_REQUEST_BYTES,
    };
    if (rc == 0 && (rc = server_new(&realtime->server, &realtime->setting, err)) != 0)
        err_wrap(err, "RUNPOD_REALTIME_PORT");
    if (rc != 0) {
        realtime_free(&realtime->source);
        return rc;
    }
    *source = &realtime->source;
    return 0;
}
