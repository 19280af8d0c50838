/*
 * source/realtime_private.h - jobs that are requests, shared by three files: realtime.c is the
 * source and its ports, realtime_request.c reads requests and answers them, realtime_events.c
 * answers with events.
 */
#ifndef SOURCE_REALTIME_PRIVATE_H
#define SOURCE_REALTIME_PRIVATE_H

#include <stdatomic.h>

#include "http/server.h"
#include "source/front.h"
#include "source/realtime.h"

#define REALTIME_ROUTES_MAX 32

/* What a request's body is, and what its answer. */
enum realtime_form {
    REALTIME_FORM_RESULT, /* a job; its result object */
    REALTIME_FORM_STATUS, /* a job; the same with id and status, as /runsync of the job API does */
    REALTIME_FORM_PLAIN,  /* the input; the output, or a failure's result object with status 500 */
};

/* How a request is answered that asks for server-sent events. */
struct realtime_events {
    bool wanted;
    struct buf waiting; /* not sent yet; under the lock, and so are the next two */
    bool had_parts;
    size_t counted_bytes; /* the most that waited; twice that is held of the server */
    struct buf out;       /* being sent; the connection's own, and so is the next one */
    bool begun;           /* the head is sent */
};

/*
 * A request with a job. It is on the stack of its connection's thread, which waits until there is a
 * result or the client has gone, and holds a reference to the job's delivery that long.
 */
struct pending_request {
    struct pending_request *next; /* in the list of all, oldest first */
    struct job *job;
    int64_t arrived_ms; /* when it came into the list */
    struct server_exchange *exchange;
    enum realtime_form form;
    bool taken;       /* by a slot, which will release the job */
    bool rejected;    /* there will be no result */
    bool answering;   /* a slot is writing body */
    bool answered;    /* body is the result */
    bool is_error;    /* a failure's */
    bool is_stream;   /* the parts are the output, even if there were none */
    struct wake done; /* signalled when answered or rejected is set, and when an event waits */
    struct buf body;
    struct realtime_events events;
};

struct realtime {
    struct source source; /* first, so that a source pointer is a realtime pointer */
    const struct config *config;
    const struct wake *wake;
    struct server *server; /* of realtime mode */
    struct server_setting setting;
    struct server_route routes[REALTIME_ROUTES_MAX];
    const struct endpoint_beside *beside; /* the job API on the same port; NULL: none */
    struct endpoint *api;
    struct buf path;
    bool serving;        /* the server was started; used by the taker alone */
    struct wake arrival; /* a request may be waiting; lowered by the taker */
    bool asks;           /* the concurrency may change: a take ends after LIMIT_ASK_MS */
    bool has_front;      /* a load-balancing endpoint: front instead of server */
    struct front front;
    atomic_bool ready; /* the first take has begun */

    pthread_mutex_t lock;
    pthread_cond_t copied; /* some request is no longer `answering`, or its events were taken */
    struct pending_request *pending_requests;
    struct pending_request **pending_end;
    size_t waiting;      /* requests not taken yet */
    size_t running;      /* ... and those taken, without a result yet */
    size_t requests_max; /* of both together, with a front */
    bool closed;         /* no more requests are accepted */
};

/* A server_admit: with a token set, requests must carry "Authorization: Bearer TOKEN". */
bool realtime_admit(const struct http1_request *request, void *owner);

/*
 * A server_setting's `refuses`, in realtime mode: what a web page elsewhere makes a browser on this
 * machine send, where only this machine reaches the port and no token is asked for.
 */
bool realtime_refuses(struct server_exchange *exchange, void *owner);

/* Makes a job of the request, waits for its result and responds. Blocks. */
void realtime_serve(struct realtime *realtime, struct server_exchange *exchange,
                    enum realtime_form form);

/* The request of that job, or NULL. Under the lock. */
struct pending_request *realtime_find(struct realtime *realtime, const struct job *job);

/* --- realtime_events.c --- */

/* True where the request asks for events by its Accept. */
bool realtime_wants_events(const struct http1_request *request);

/*
 * By the slots: a part (name NULL) or another event for the job's client, if that wants events. A
 * part waits while LIMIT_STREAM_BYTES of them have not been sent; an update is dropped then.
 * ERR_CANCELLED where the client has gone; ERR_TIMEOUT where the job is stopped while a part waits;
 * ERR_MEMORY.
 */
int realtime_add_event(struct realtime *realtime, const struct job *job, const char *name,
                       slice json, struct err *err);

/*
 * On the connection's thread: sends events as they come until there is a result, or none will
 * come. False where the client has gone. Blocks.
 */
bool realtime_send_events(struct realtime *realtime, struct server_exchange *exchange,
                          struct pending_request *pending_request);

/* Then, with the request removed: the rest, the result or why there is none, and the end. */
void realtime_end_events(struct server_exchange *exchange, struct pending_request *pending_request);

#endif
