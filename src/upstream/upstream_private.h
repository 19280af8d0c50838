/*
 * upstream/upstream_private.h - the room from the inside.
 *
 * The server, one for all slots (struct upstream):
 *   upstream/state.c     its state, and the slots that wait for it
 *   upstream/health.c    probes of its health route, on a thread
 *   upstream/program.c   its process, on a thread
 *   upstream/concurrency.c  how many jobs it wants, on a thread
 *   upstream/ask.c       a question of the worker's own
 * A slot, which works on one job at a time (struct upstream_slot):
 *   upstream/handler.c   the handler's operations: open, run, close
 *   upstream/exchange.c  one job's exchange
 *   upstream/model.c     what the server says of its models
 *   upstream/redirect.c  the way to the response, which never leaves the server's origin
 *   upstream/response.c  from a response to the job's output
 *   upstream/stream.c    from a streamed response to parts
 *   upstream/error.c     from a failure to the job's error
 * A load-balancing endpoint, where requests come as they are (no slots, no jobs):
 *   upstream/pass.c      passes them on
 * The other way, from a job's input to a request, is upstream/request.h.
 */
#ifndef UPSTREAM_UPSTREAM_PRIVATE_H
#define UPSTREAM_UPSTREAM_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/flag.h"
#include "base/limits.h"
#include "child/edition.h"
#include "child/life.h"
#include "codec/flush_timer.h"
#include "codec/route.h"
#include "codec/stream_cut.h"
#include "http/client.h"
#include "job/handler.h"
#include "job/rp_job.h"
#include "upstream/request.h"
#include "upstream/setting.h"

/* --- the server ----------------------------------------------------------------------------- */

enum upstream_state {
    UPSTREAM_STARTING,  /* probed until it is ready */
    UPSTREAM_READY,     /* probed now and then */
    UPSTREAM_UNHEALTHY, /* was ready; probed until it is healthy again or its time is up */
    UPSTREAM_DOWN,      /* its program has ended or is being ended, and will be started again */
    UPSTREAM_LOST,      /* given up for good */
};

/* What the end of a job says about the server. */
enum upstream_outcome {
    UPSTREAM_ANSWERED, /* it works: deaths before this are no longer in a row */
    UPSTREAM_NEUTRAL,  /* nothing: the job was stopped, or its request was refused */
    UPSTREAM_SUSPECT   /* no complete response, or a 5xx: a health probe is due */
};

/*
 * Time as the server's state and health see it: upstream_system_clock, or a test's own. `context`
 * is passed to each function. The waits are flag_cond_wait and wake_wait.
 */
struct upstream_clock {
    int64_t (*now_ms)(void *context);
    bool (*wait_cond)(void *context, pthread_cond_t *cond, pthread_mutex_t *lock,
                      deadline_ms deadline);
    bool (*wait_wake)(void *context, const struct wake *wake, deadline_ms deadline);
    void *context;
};

extern const struct upstream_clock upstream_system_clock;

/* A slot that waits for the server. */
struct upstream_waiter {
    struct wake wake; /* signalled when the state changes, and when the slot's job is to end */
    struct upstream_waiter *next;
    struct upstream_waiter *next_active; /* in upstream.active */
};

/* What the server's /v1/models says. */
struct upstream_model {
    struct buf served;    /* --served-model as a JSON string; empty where not given */
    pthread_mutex_t lock; /* held by the slot that asks the server */
    atomic_bool known;    /* it has answered; from then on nothing here changes */
    bool speaks_openai;   /* with a list of models, as the OpenAI API has it */
    struct buf json;      /* the first one's name, a JSON string; empty where there is none */
};

enum upstream_api {
    UPSTREAM_API_UNKNOWN, /* the server was in trouble when it was asked */
    UPSTREAM_API_OPENAI,
    UPSTREAM_API_OTHER
};

/* The server. Lives as long as the worker. */
struct upstream {
    const struct upstream_setting *setting; /* linked */
    struct upstream_clock clock;
    struct upstream_model model;

    pthread_mutex_t lock; /* over all that follows, except the program's pipes and process */
    pthread_cond_t changed;
    bool started;         /* its threads are running */
    size_t concurrency;   /* that suits it; 0: not chosen here, or not yet */
    atomic_size_t polled; /* the same as it says itself, from 1 on; 0: it has not. No lock */
    enum upstream_state state;
    unsigned generation;  /* one more whenever the server comes up or goes down */
    bool getting_ready;   /* has not been ready since since_ms, in one try or several */
    int64_t since_ms;     /* when it first began to start, or became unhealthy */
    deadline_ms deadline; /* for being ready, or healthy again */
    struct upstream_waiter *waiters;
    struct err lost;       /* why it is UPSTREAM_LOST */
    handler_lost *on_lost; /* handler_ops.on_loss; NULL for none */
    void *on_lost_owner;

    unsigned active_jobs;           /* whose requests are under way */
    struct upstream_waiter *active; /* their slots */
    unsigned job_changes;           /* begins and ends of jobs */
    unsigned suspect_jobs;          /* UPSTREAM_SUSPECT since the last UPSTREAM_ANSWERED, */
    unsigned failures;              /* and since the server was last started or counted as dead */
    bool probe_due;                 /* there was one since the last probe */
    bool answers_busy; /* it has answered a probe while it worked: silence is no sign of work */

    /* The program, where the worker runs it. */
    struct child child;
    pid_t pid;               /* its process while that runs and was not reaped; else 0 */
    struct wake end_program; /* to the program's thread: end_reason is set, or its file changed */
    bool renewing;           /* --watch: it is to be replaced; no job begins until it was */
    struct child_edition_listener listener;
    char end_reason[ERR_TEXT_BYTES + 64];    /* why the program is to be ended; "" to let it run */
    char exit_text[ERR_TEXT_BYTES + 96];     /* how the last one ended; "" where none has */
    unsigned exit_generation;                /* its generation */
    char last_words[LIMIT_CHILD_TAIL_BYTES]; /* the end of its output */
    size_t last_words_len;
};

/* True where the worker runs the server's program. */
static inline bool upstream_has_program(const struct upstream *upstream)
{
    return upstream->setting->child.command.path != NULL;
}

/* --- upstream/state.c --- */

/* A server that is about to start. Links the setting, copies the clock. ERR_MEMORY. */
int upstream_init(struct upstream *upstream, const struct upstream_setting *setting,
                  const struct upstream_clock *clock, struct err *err);

/* For a server that was never started (tests). */
void upstream_free(struct upstream *upstream);

int64_t upstream_now_ms(const struct upstream *upstream);
deadline_ms upstream_deadline(const struct upstream *upstream, int64_t timeout_ms);

/*
 * Under the lock. Each puts the server into a state, and wakes all who wait for it.
 *
 * starting: its program was started, or it is to be probed for the first time. All tries to get
 *   ready have one --handler-ready-timeout together.
 * ready: it is healthy; says so in the log.
 * unhealthy: `what` is what the probe or the job met; logged.
 * down: its program ended or is being ended: `how`, with the end of its output; both are copied and
 *   kept for the jobs that this costs. Logged.
 * lost: the three texts are put together into the error of all jobs; logged, and on_lost is called.
 *   A server that is lost stays lost, whatever comes later.
 */
void upstream_mark_starting(struct upstream *upstream);
void upstream_mark_ready(struct upstream *upstream);
void upstream_mark_unhealthy(struct upstream *upstream, const char *what);
void upstream_mark_down(struct upstream *upstream, const char *how, slice last_words);
void upstream_mark_lost(struct upstream *upstream, const char *what, const char *detail,
                        const char *flag);

/*
 * Under the lock, once a program that is DOWN has been reaped and counted: true where it is to be
 * started again, false where the server is lost, now or before.
 */
bool upstream_may_restart(struct upstream *upstream);

/*
 * Waits until the server is ready: 0. ERR_CANCELLED once `stop` is raised (NULL: never);
 * ERR_CONFIG where it is lost, which stays so; then `exit_report`, where not NULL, gets the end of
 * the program's output. Blocks. The waiter's wake is lowered afterwards, except after a stop.
 */
int upstream_wait_ready(struct upstream *upstream, struct upstream_waiter *waiter,
                        const struct flag *stop, struct buf *exit_report, struct err *err);

bool upstream_is_lost(struct upstream *upstream);
enum upstream_state upstream_now(struct upstream *upstream);

/*
 * Around a job's requests. begin returns the server's generation, which end takes back; from begin
 * to end the waiter is also signalled when the server is lost. `what` says what went wrong, in a
 * few words, where the outcome is UPSTREAM_SUSPECT. Any thread.
 */
unsigned upstream_job_begin(struct upstream *upstream, struct upstream_waiter *waiter);
void upstream_job_end(struct upstream *upstream, struct upstream_waiter *waiter,
                      unsigned generation, enum upstream_outcome outcome, const char *what);

/* A connection to the server of that generation was refused: it is unhealthy. */
void upstream_refused(struct upstream *upstream, unsigned generation);

/*
 * After a connection to the server of that generation broke or was closed: waits for the exit that
 * may be the cause, at most patience_ms (LIMIT_SERVER_END_MS where that has begun) or until `stop`
 * is raised, and not at all where the worker does not run the program. Appends how the server ended
 * and the end of its output to `exit_report`, nothing where it goes on.
 */
void upstream_report_exit(struct upstream *upstream, struct upstream_waiter *waiter,
                          const struct flag *stop, unsigned generation, int64_t patience_ms,
                          struct buf *exit_report);

/* --- upstream/handler.c --- */

/* The server of a handler that upstream_handler_init has made. */
struct upstream *upstream_of(const struct handler *handler);

/* --- upstream/ask.c --- */

/* Asks the server outside of any slot. Belongs to one thread. */
struct upstream_asker {
    const struct upstream_setting *setting;
    struct http_client *client;
    struct buf url;
    struct buf body; /* for the caller, of the response */
};

/* Links the setting. An answer has at most max_bytes; `name` is for errors. ERR_MEMORY. */
int upstream_asker_init(struct upstream_asker *asker, const struct upstream_setting *setting,
                        size_t max_bytes, const char *name, struct err *err);
void upstream_asker_free(struct upstream_asker *asker);

/*
 * GET of a path, until the deadline, and LIMIT_READY_ASK_MS for each step: reads the response's
 * head, whatever its status; http_read_all or http_end of asker->client is to follow. Blocks.
 * Errors as upstream_open_at_origin.
 */
int upstream_ask(struct upstream_asker *asker, slice path, deadline_ms deadline,
                 struct http_response *response, struct err *err);

/* --- upstream/concurrency.c --- */

/*
 * Where --handler-concurrency-path is set, starts the thread that asks the server there, for as
 * long as the worker lives: once it is ready, then at the interval. ERR_MEMORY.
 */
int upstream_poll_start(struct upstream *upstream, struct err *err);

/* What the server said last, 1 to LIMIT_CONCURRENCY; `otherwise` where it has not. Any thread. */
size_t upstream_polled(struct upstream *upstream, size_t otherwise);

/* --- upstream/health.c --- */

/* A way to ask the server how it is: over HTTP, or a test's script. One thread. */
struct upstream_probe {
    bool (*ask)(struct upstream_probe *self, deadline_ms deadline); /* true: healthy. Blocks */
    bool answered;  /* by the last ask: there was a response, whatever its status */
    struct err err; /* by the last ask: what was wrong */
};

/*
 * Under the lock, which is given up while it waits or asks: does what the state calls for and
 * returns once the state has changed, or time is up for a server that the program's thread then
 * ends.
 */
void upstream_health_step(struct upstream *upstream, struct upstream_probe *probe);

/* Starts the thread that does so for ever. ERR_MEMORY. */
int upstream_health_start(struct upstream *upstream, struct err *err);

/* --- upstream/program.c --- */

/* Starts the thread that runs the program, again and again. ERR_MEMORY. */
int upstream_program_start(struct upstream *upstream, struct err *err);

/* --- a slot --------------------------------------------------------------------------------- */

struct upstream_slot {
    struct upstream *upstream;
    const struct upstream_setting *setting;
    struct http_client *client;
    struct upstream_waiter waiter;
    struct buf url;
    struct buf request_id;
    struct buf body; /* of the response; of a stream what has not been sent on yet */
    struct buf text; /* JSON made from it */

    /* The job at hand. */
    rp_job *job;
    unsigned generation; /* of the server, when the request was sent */
    struct http_response response;
    bool incomplete;  /* there was no complete response */
    int error_status; /* of an error response, also of one inside a 200; 0: none */
    struct upstream_request request;
};

/* --- upstream/redirect.c --- */

/*
 * As http_open of `template` with the URL in `url`, which is changed where the server redirects:
 * at most LIMIT_REDIRECTS times, and only to routes of its own origin that the filter allows (NULL:
 * all). ERR_PEER for any other redirect, with its status in *response. Blocks; response->connected
 * also once a redirect has come.
 */
int upstream_open_at_origin(struct http_client *client, const struct http_request *template,
                            const struct route_filter *filter, struct buf *url,
                            struct http_response *response, struct err *err);

/* --- upstream/send.c --- */

/* A request; its slices and the body need to live until upstream_send returns. */
struct upstream_message {
    const char *method;
    slice route;
    const slice *body;
    size_t body_count;                 /* 0: no body */
    const struct route_filter *filter; /* of the routes that it may be redirected to; NULL: all */
    deadline_ms until;                 /* bounds all of it; 0: no bound */
};

/* Sends it and reads the response's head into slot->response. As upstream_open_at_origin. */
int upstream_send(struct upstream_slot *slot, const struct upstream_message *message,
                  struct err *err);

/* --- upstream/exchange.c --- */

/*
 * Waits for the server, sends the job's request, takes the response. A request whose connection was
 * refused has not been sent: it waits again, up to --handler-unhealthy-timeout. As handler_ops.run.
 */
int upstream_exchange(struct upstream_slot *slot);

/* --- upstream/model.c: each may ask for the models, once. Blocks; as upstream_send --- */

/* The name for requests that have none, a JSON string; empty where the server names none. */
int upstream_find_model(struct upstream_slot *slot, slice *name, struct err *err);

/* Which API the server speaks: asked until then at most (0: no bound). *api is always set. */
int upstream_ask_api(struct upstream_slot *slot, deadline_ms until, enum upstream_api *api,
                     struct err *err);

/* --- upstream/response.c: as handler_ops.run --- */

/* The response, whose head has been read, becomes the job's output or failure. Blocks. */
int upstream_response_take(struct upstream_slot *slot);

/* The same once all of its body is in slot->body, for a response below 300. */
int upstream_response_return(struct upstream_slot *slot);

/*
 * True where it is passed on as it comes: events, JSON lines without a length, or anything without
 * a length where a stream was asked for.
 */
bool upstream_is_stream(const struct http_response *response,
                        const struct upstream_request *request);

/* --- upstream/stream.c --- */

/* A response that is passed on as it comes: what has come waits in slot->body. */
struct upstream_stream {
    struct upstream_slot *slot;
    struct stream_cut cut;
    size_t seen;              /* bytes of slot->body that have been looked through */
    size_t cut_at;            /* so many of them may be sent on; 0 for none */
    bool mended;              /* bytes that are not UTF-8 were replaced, and the log says so */
    struct flush_timer flush; /* when they are */
};

void upstream_stream_begin(struct upstream_stream *stream, struct upstream_slot *slot,
                           slice content_type);

/*
 * Bytes were appended to slot->body: sends on what is due. Without a border a part is cut at
 * LIMIT_GATHER_BYTES. 0, or the job has failed. May block while too many parts wait.
 */
int upstream_stream_add(struct upstream_stream *stream, int64_t now_ms);

/* How many bytes may be sent on once nothing more is waited for: due at stream->flush.due_ms. */
size_t upstream_stream_ready(const struct upstream_stream *stream);

/* Sends on the first `count` bytes as one part. 0, or the job has failed. */
int upstream_stream_send(struct upstream_stream *stream, size_t count, int64_t now_ms);

/* All of it, from the first byte of the body to its end. As handler_ops.run. Blocks. */
int upstream_stream_take(struct upstream_slot *slot, slice content_type);

/* --- upstream/error.c --- */

/*
 * These fail the job with {"error": {"message", "type", "code"}} as its error, a JSON text (source:
 * the OpenAI API), and return RP_FAILED. A message that is too long says that it was cut.
 *
 * upstream_fail: a failure of the job or the worker itself; code is the closest HTTP status.
 * upstream_fail_exchange: err comes from http_open or http_read. Waits a moment for the server's
 *   exit, and reports it. A job that was stopped gets no error.
 * upstream_fail_lost: the server is lost.
 * upstream_fail_if_ended: for a response that looks complete. RP_OK, unless only the end of the
 *   connection ended it and the server has exited: then it may have been cut off.
 * upstream_fail_status: slot->body has the start of a body that is an error: its message, type and
 *   param are kept. The code is the status, or for one inside a 200 its own. One that is not in the
 *   OpenAI API's form, and a 404 or 405, gets the method and route beside the message.
 */
int upstream_fail(struct upstream_slot *slot, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int upstream_fail_exchange(struct upstream_slot *slot, const struct err *err);
int upstream_fail_lost(struct upstream_slot *slot);
int upstream_fail_if_ended(struct upstream_slot *slot);
int upstream_fail_status(struct upstream_slot *slot);

#endif
