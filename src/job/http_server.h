/*
 * job/http_server.h - inside of job/http_handler: is the server there, and does it work? One for
 * all slots. A thread asks the health route until the server is ready; where the worker runs the
 * server's program, another one starts it, passes what it says to the log and starts it again when
 * it has died.
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

/* Starts the threads, at the first call. Blocks for a moment. ERR_MEMORY, ERR_CONFIG. */
int http_server_start(struct http_setting *setting, struct err *err);

/*
 * Waits until the server is ready: 0. ERR_CANCELLED once `stop` is raised (NULL: never);
 * ERR_CONFIG where there is no hope left, which stays so. The wake is lowered, but for a stop.
 */
int http_server_wait(struct http_waiter *waiter, const struct flag *stop, struct err *err);

/* Is there no hope left? err, where not NULL, says why. */
bool http_server_is_lost(struct err *err);

/* A count that changes whenever the server ends or comes back. */
unsigned http_server_life(void);

/* A job was answered: deaths before it are no longer in a row. */
void http_server_succeeded(void);

/*
 * A connection to the server of that life could not be had, or broke. Waits a moment for the end
 * that may be behind it, and puts what is known of it, with the server's last words, into `told`:
 * empty where it goes on. One that goes on but cannot be connected to has its health asked anew. A
 * raised `stop` ends the waiting.
 */
void http_server_suspect(struct http_waiter *waiter, const struct flag *stop, unsigned life,
                         bool connected, struct buf *told);

#endif
