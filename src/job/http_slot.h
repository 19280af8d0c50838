/*
 * job/http_slot.h - inside of job/http_handler: a slot's connection to the server, and the job it
 * is used for.
 *
 *   http_handler.c   the handler's operations, sending the request
 *   http_server.c    is the server there? (see http_server_inside.h)
 *   http_call.c      from an input to a request
 *   http_answer.c    from an answer to an output
 *   http_stream.c    from a stream to parts
 *   http_failure.c   from trouble to an error
 */
#ifndef JOB_HTTP_SLOT_H
#define JOB_HTTP_SLOT_H

#include "job/http_call.h"
#include "job/http_server.h"
#include "job/http_setting.h"
#include "job/rp_job.h"

struct http_slot {
    const struct http_setting *setting;
    struct http_client *client;
    struct http_waiter waiter;
    struct buf url;
    struct buf request_id;
    struct buf body; /* the answer, or what of a stream has not been sent on yet */
    struct buf text; /* JSON made of that */

    /* The job of now. */
    rp_job *job;
    unsigned life; /* of the server, when it was asked */
    struct http_answer answer;
};

/* The answer, whose head is there, becomes the job's output or failure. As handler_ops.run. */
int http_answer_take(struct http_slot *slot, const struct http_call *call);

/* The same for an answer that is passed on as it comes. */
int http_stream_take(struct http_slot *slot, slice content_type);

/* True where the answer is one: events, or anything without a length where a stream was wanted. */
bool http_is_stream(const struct http_answer *answer, const struct http_call *call);

/*
 * These fail the job with {"error": {"message", "type", "code"}} as its error, a JSON text (source:
 * the platform's vLLM worker), and return RP_FAILED.
 *
 * http_fail: the job's or the worker's own trouble; code is the HTTP status that says it best.
 * http_fail_exchange: err is what http_open or http_read said; tells of a server that has ended.
 * http_fail_if_ended: the whole answer seems to be there; RP_OK, unless it broke off with the
 * server's end, which looks the same where only the connection's end tells of the answer's.
 * http_fail_status: the server answered 400 or above, with the start of the body in slot->body.
 */
int http_fail(struct http_slot *slot, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int http_fail_exchange(struct http_slot *slot, const struct err *err);
int http_fail_if_ended(struct http_slot *slot);
int http_fail_status(struct http_slot *slot);

#endif
