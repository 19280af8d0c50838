/*
 * source/endpoint_private.h - the job API's source, shared by its files: endpoint.c is the source
 * and its threads, endpoint_route.c admits requests and finds their action, endpoint_jobs.c,
 * endpoint_openai.c, endpoint_events.c, endpoint_info.c and endpoint_files.c are the actions,
 * endpoint_put.c and endpoint_answer.c write what they say, endpoint_webhook.c calls clients back.
 */
#ifndef SOURCE_ENDPOINT_PRIVATE_H
#define SOURCE_ENDPOINT_PRIVATE_H

#include <stdatomic.h>

#include "config/config.h"
#include "http/net.h"
#include "http/server.h"
#include "job/source.h"
#include "source/endpoint_store.h"

struct webhook_call;

struct endpoint {
    struct source source; /* first, so that a source pointer is an endpoint's */
    const struct config *config;
    const struct http_net *net; /* for webhooks; NULL: none is called */
    struct server *server;      /* NULL: it is a part of another source */
    struct server_setting setting;
    struct server_route route; /* the only one: endpoint_route.c does the rest */
    atomic_bool ready;         /* jobs are taken */
    struct store store;

    /* With the store's lock held. */
    void (*arrived)(void *owner); /* source_ops.on_arrival; NULL: not set yet */
    void *arrived_owner;
    bool closed;         /* no more jobs are accepted */
    pthread_cond_t idle; /* fewer jobs run, or fewer calls wait */
    struct webhook_call *calls;
    size_t call_count;
    bool caller_runs; /* the webhooks' thread was started */
    pthread_cond_t called;
};

/* What a request asks for, read from its head. */
struct endpoint_request {
    struct endpoint *endpoint;
    struct server_exchange *exchange;
    slice id;   /* of a job, still encoded as in the path: ids need no encoding */
    slice rest; /* of an OpenAI route: "/v1/..." */
};

/* Answers one request. */
typedef void endpoint_action(struct endpoint_request *request);

/* A job has come into the queue: the worker takes it, if a slot is free. Without a lock. */
void endpoint_tell_arrival(struct endpoint *endpoint);

/* --- endpoint_answer.c --- */

/* Sends JSON; an `out` with an error becomes a 503. */
void endpoint_respond(struct endpoint_request *request, int status, struct buf *out);
void endpoint_refuse(struct endpoint_request *request, int status, const char *message);

/* The same with one field more, which may be NULL. */
void endpoint_refuse_with(struct endpoint_request *request, int status, const char *message,
                          const struct http1_field *field);

/* Sends a body with that type and further fields. */
void endpoint_respond_with(struct endpoint_request *request, int status, const char *type,
                           slice body, const struct http1_field *fields, size_t count);

/* Begins a stream of server-sent events. False where the client has gone. */
bool endpoint_begin_events(struct endpoint_request *request);

/* A number in the query, between least and most; `fallback` where it is missing or no number. */
int64_t endpoint_query_number(const struct endpoint_request *request, const char *name,
                              int64_t fallback, int64_t least, int64_t most);

/* --- endpoint_put.c --- */

/* Appends what /status says about the job. With the store's lock held. */
void endpoint_put_status(const struct endpoint *endpoint, struct buf *out,
                         const struct store_job *job);

/* The same in short, without output and error: an element of a list. */
void endpoint_put_summary(struct buf *out, const struct store_job *job);

/* Appends the newest LIMIT_ENDPOINT_LIST jobs as an array. With the store's lock held. */
void endpoint_put_list(const struct endpoint *endpoint, struct buf *out);

/* Appends the error as a JSON string. */
void endpoint_put_error(struct buf *out, slice error);

/* Parts of the above, each with the store's lock held: {"id", "status"; its times; its error. */
void endpoint_put_name(struct buf *out, const struct store_job *job);
void endpoint_put_times(struct buf *out, const struct store_job *job);
void endpoint_put_error_member(struct buf *out, slice error);

/* --- endpoint_route.c --- */

/*
 * The server's: `refuses`, for requests of those who may not ask, then the handler of all others.
 * owner is the struct endpoint.
 */
bool endpoint_refuses(struct server_exchange *exchange, void *owner);
void endpoint_handle(struct server_exchange *exchange, void *owner);

/* The same for a request that another server has admitted: finds its action. */
void endpoint_dispatch(struct server_exchange *exchange, struct endpoint *endpoint);

/* --- endpoint_jobs.c --- */

endpoint_action endpoint_run, endpoint_runsync, endpoint_status, endpoint_status_sync,
    endpoint_stream, endpoint_cancel, endpoint_retry, endpoint_purge, endpoint_requests;

/*
 * Makes a job out of the request text, which moves out of *body, and adds it to the store. NULL
 * where it has refused the request. The caller has a reference, and gives it back with
 * endpoint_drop.
 */
struct store_job *endpoint_submit(struct endpoint_request *request, struct buf *body, bool is_sync);
void endpoint_drop(struct endpoint *endpoint, struct store_job *job);

/*
 * Waits until `done` says so, which is asked with the store's lock held, or the deadline has
 * passed. False where the client has gone, or there is no memory to wait with.
 */
bool endpoint_wait(struct endpoint_request *request, struct store_job *job,
                   bool (*done)(const struct store_job *job, void *owner), void *owner,
                   deadline_ms deadline);
bool endpoint_job_ended(const struct store_job *job, void *owner);

/* --- the other actions --- */

endpoint_action endpoint_openai;                                   /* endpoint_openai.c */
endpoint_action endpoint_events;                                   /* endpoint_events.c */
endpoint_action endpoint_health, endpoint_metrics, endpoint_ready; /* endpoint_info.c */
endpoint_action endpoint_ping, endpoint_console, endpoint_openapi;

/* Appends the numbers of jobs as Prometheus text. Takes the store's lock. */
void endpoint_put_metrics(struct endpoint *endpoint, struct buf *out);

/* Appends what /health says. With the store's lock held. */
void endpoint_put_health(const struct endpoint *endpoint, struct buf *out);

/* --- endpoint_webhook.c --- */

/* Sends the job's status to its webhook, if it has one. With the store's lock held. */
void endpoint_call_webhook(struct endpoint *endpoint, const struct store_job *job);

#endif
