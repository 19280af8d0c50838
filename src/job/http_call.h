/*
 * job/http_call.h - inside of job/http_handler: from a job's input to the request that it means.
 *
 * The first form that fits (source: the inputs that the platform's vLLM worker takes):
 *   {"openai_route", "openai_input"}   that body to that route, /v1/chat/completions where it names
 *                                      none; a route alone is a GET
 *   {"route", "body", "method"}        without a method: a POST with a body, else a GET
 *   {"messages" or "prompt", "sampling_params", "stream"}
 *                                      the parameters and the rest to /v1/chat/completions or
 *                                      /v1/completions
 *   anything else                      itself to the path of the server's URL
 */
#ifndef JOB_HTTP_CALL_H
#define JOB_HTTP_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

#define HTTP_CALL_PARTS 7 /* five, and two for a model in front of them */

/* Slices are the input's own, the arena's or constants. */
struct http_call {
    const char *method;
    slice route; /* checked; empty: the path of the server's URL */
    slice body[HTTP_CALL_PARTS];
    size_t body_count; /* 0: no body */
    bool wants_stream; /* the body says "stream": true */
    bool wants_model;  /* it is one of an OpenAI route and names none: http_call_set_model */
};

/* input is checked JSON. ERR_INPUT with what is wrong with it, ERR_MEMORY. Pure. */
int http_call_read(struct http_call *call, slice input, struct arena *arena, struct err *err);

/* Puts the model, a JSON string, in front of the body's members. Linked. */
void http_call_set_model(struct http_call *call, slice model);

#endif
