/*
 * job/http_server.h - inside of job/http_handler: is the server there, and does it work? One for
 * all slots. A thread asks the health route until the server is ready, and now and then from there
 * on; where the worker runs the server's program, another one starts it, passes what it says to the
 * log and starts it again when it has died or was ended because it stayed unhealthy.
 */
#ifndef JOB_HTTP_SERVER_H
#define JOB_HTTP_SERVER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/flag.h"
#include "job/http_setting.h"

/* One who waits for the server: a slot. */
struct http_waiter {
    struct wake wake; /* signalled when something changes; beside that, when a job is to end */
    struct http_waiter *next;
};

/* How a job went, as far as that says something of the server. */
enum http_outcome {
    HTTP_WELL,      /* it was answered: deaths before it are no longer in a row */
    HTTP_NOTHING,   /* nothing: the job was stopped, or its request was refused */
    HTTP_SUSPICIOUS /* no whole answer, or a 5xx: a look at the server's health is due */
};

/* Starts the threads, at the first call. Blocks for a moment. ERR_MEMORY, ERR_CONFIG. */
int http_server_start(struct http_setting *setting, struct err *err);

/*
 * Waits until the server is ready and healthy: 0. ERR_CANCELLED once `stop` is raised (NULL:
 * never); ERR_CONFIG where there is no hope left, which stays so; then `told`, where not NULL, gets
 * the last words of the server's program. The wake is lowered, but for a stop.
 */
int http_server_wait(struct http_waiter *waiter, const struct flag *stop, struct buf *told,
                     struct err *err);

/* Is there no hope left? */
bool http_server_is_lost(void);

/* A job's requests begin. Returns a count that changes whenever the server ends or comes back. */
unsigned http_server_enter(void);

/* They have ended. */
void http_server_leave(enum http_outcome outcome);

/*
 * A connection to the server of that life could not be had, broke or was closed. Waits for the end
 * that may be behind it, where the worker runs the server's program: patience_ms at most, or until
 * `stop` is raised. Puts what is known of it, with the server's last words, into `told`: empty where
 * it goes on. One that goes on but could not be connected to counts as unhealthy.
 */
void http_server_suspect(struct http_waiter *waiter, const struct flag *stop, unsigned life,
                         bool connected, int64_t patience_ms, struct buf *told);

#endif
