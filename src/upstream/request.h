/*
 * upstream/request.h - from a job's input to the request it stands for.
 *
 * Where the server's URL has a path of its own, every input is a POST to it. Else the first form
 * that fits counts (source: the inputs of the platform's vLLM worker):
 *   {"openai_route", "openai_input"}   POST that body to that route, by default
 *                                      /v1/chat/completions; a route alone: GET
 *   {"route", "body", "method"}        by default POST with a body, else GET
 *   {"messages" or "prompt", "sampling_params", "stream", ...}
 *                                      POST all of that, the parameters spread, to
 *                                      /v1/chat/completions or /v1/completions
 *   what --route names                 POST the input to that route
 * A member that is null counts as absent, and so does an empty route. A body that is empty in any
 * way (null, {}, [], "", false, 0) is no body, unless a method that has one is named.
 */
#ifndef UPSTREAM_REQUEST_H
#define UPSTREAM_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "upstream/route_map.h"

#define UPSTREAM_REQUEST_PARTS 6 /* three, and three for a model's name in front */

enum upstream_form {
    UPSTREAM_FORM_NONE, /* none that is known: POST the input to the root */
    UPSTREAM_FORM_PATH, /* the path of the server's URL */
    UPSTREAM_FORM_OPENAI,
    UPSTREAM_FORM_ROUTE,
    UPSTREAM_FORM_SHORTHAND,
    UPSTREAM_FORM_MAPPED,
};

/* What decides how an input is read. */
struct upstream_forms {
    slice path;           /* of the server's URL; empty where it has none of its own */
    struct route_map map; /* of inputs that are none of the other forms */
};

/* Its slices point into the input, the forms or the arena, or to constants. */
struct upstream_request {
    enum upstream_form form;
    const char *method;
    slice route; /* checked */
    slice body[UPSTREAM_REQUEST_PARTS];
    size_t body_count; /* 0: no body */
    bool wants_stream; /* the body says "stream": true */
    bool wants_model;  /* an OpenAI body that names none: upstream_request_set_model */
    bool drops_prompt; /* there were messages as well */
};

/* input must be checked JSON. ERR_INPUT says what is wrong with it; ERR_MEMORY. Pure. */
int upstream_request_read(struct upstream_request *request, slice input,
                          const struct upstream_forms *forms, struct arena *arena, struct err *err);

/*
 * Where wants_model is set: puts the model's name, a JSON string that is linked, in front of the
 * body's members. There are some: an empty body is none.
 */
void upstream_request_set_model(struct upstream_request *request, slice model);

/* True where the operator chose the route, not the job. */
static inline bool upstream_request_is_operators(const struct upstream_request *request)
{
    return request->form == UPSTREAM_FORM_PATH || request->form == UPSTREAM_FORM_MAPPED;
}

#endif
