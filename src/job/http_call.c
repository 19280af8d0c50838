#include "job/http_call.h"

#include "codec/json.h"
#include "codec/route.h"

#define CHAT_ROUTE "/v1/chat/completions"
#define COMPLETIONS_ROUTE "/v1/completions"

/* The members that the forms are told by; ptr NULL where absent. */
struct members {
    slice openai_route, openai_input;
    slice route, body, method;
    slice messages, prompt, sampling_params, stream;
};

static struct members read_members(slice object)
{
    struct members members = { 0 };
    const struct {
        slice name;
        slice *value;
    } known[] = {
        { SLICE_LITERAL("openai_route"), &members.openai_route },
        { SLICE_LITERAL("openai_input"), &members.openai_input },
        { SLICE_LITERAL("route"), &members.route },
        { SLICE_LITERAL("body"), &members.body },
        { SLICE_LITERAL("method"), &members.method },
        { SLICE_LITERAL("messages"), &members.messages },
        { SLICE_LITERAL("prompt"), &members.prompt },
        { SLICE_LITERAL("sampling_params"), &members.sampling_params },
        { SLICE_LITERAL("stream"), &members.stream },
    };
    slice name, value;
    for (size_t pos = 0; json_next_member(object, &pos, &name, &value);)
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if (json_name_is(name, known[i].name))
                *known[i].value = value;
    return members;
}

static int read_route(slice value, struct arena *arena, slice *route, struct err *err)
{
    if (json_type(value) != RP_STRING)
        return err_set(err, ERR_INPUT, "a route must be a string");
    int rc = json_string(value, arena, route, err);
    return rc == 0 ? route_check(*route, err) : rc;
}

/* The members between an object's braces, without the blanks around them. */
static slice inside(slice object)
{
    return json_trim((slice){ object.ptr + 1, object.len - 2 });
}

static bool is_true(slice value)
{
    return slice_equal(value, SLICE_LITERAL("true"));
}

static void set_body(struct http_call *call, slice body)
{
    slice stream;
    call->body[0] = body;
    call->body_count = 1;
    call->wants_stream = json_type(body) == RP_OBJECT && json_member(body, "stream", &stream) &&
                         is_true(stream);
}

static bool names_model(slice object)
{
    slice model;
    return json_member(object, "model", &model);
}

static int read_openai(struct http_call *call, const struct members *members, struct arena *arena,
                       struct err *err)
{
    bool has_body = members->openai_input.ptr != NULL;
    call->method = has_body ? "POST" : "GET";
    call->route = SLICE_LITERAL(CHAT_ROUTE);
    if (has_body) {
        set_body(call, members->openai_input);
        call->wants_model = json_type(members->openai_input) == RP_OBJECT &&
                            !names_model(members->openai_input);
    }
    return members->openai_route.ptr != NULL
               ? read_route(members->openai_route, arena, &call->route, err)
               : 0;
}

static int read_plain(struct http_call *call, const struct members *members, struct arena *arena,
                      struct err *err)
{
    slice method;
    bool has_body = members->body.ptr != NULL;
    call->method = has_body ? "POST" : "GET";
    if (has_body)
        set_body(call, members->body);
    int rc = read_route(members->route, arena, &call->route, err);
    if (rc != 0 || members->method.ptr == NULL)
        return rc;
    if (json_type(members->method) != RP_STRING ||
        json_string(members->method, arena, &method, NULL) != 0 ||
        !route_method(method, &call->method))
        return err_set(err, ERR_INPUT,
                       "the method must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
    return 0;
}

static void add(struct http_call *call, slice text)
{
    call->body[call->body_count++] = text;
}

/* {, parameters, "messages": ..., "stream": ...} without any of them being copied. */
static int read_shorthand(struct http_call *call, const struct members *members, struct err *err)
{
    bool chat = members->messages.ptr != NULL;
    slice parameters = members->sampling_params;
    bool has_parameters = parameters.ptr != NULL && json_type(parameters) != RP_NULL;
    call->method = "POST";
    call->route = chat ? SLICE_LITERAL(CHAT_ROUTE) : SLICE_LITERAL(COMPLETIONS_ROUTE);
    call->wants_model = !has_parameters || !names_model(parameters);
    call->wants_stream = members->stream.ptr != NULL && is_true(members->stream);
    if (has_parameters && json_type(parameters) != RP_OBJECT)
        return err_set(err, ERR_INPUT, "sampling_params must be an object");
    bool spread = has_parameters && inside(parameters).len > 0;
    add(call, SLICE_LITERAL("{"));
    if (spread)
        add(call, inside(parameters));
    add(call, spread ? (chat ? SLICE_LITERAL(", \"messages\": ") : SLICE_LITERAL(", \"prompt\": "))
                     : (chat ? SLICE_LITERAL("\"messages\": ") : SLICE_LITERAL("\"prompt\": ")));
    add(call, chat ? members->messages : members->prompt);
    add(call, call->wants_stream ? SLICE_LITERAL(", \"stream\": true}") : SLICE_LITERAL("}"));
    return 0;
}

int http_call_read(struct http_call *call, slice input, struct arena *arena, struct err *err)
{
    struct members members = { 0 };
    *call = (struct http_call){ .method = "POST" };
    if (json_type(input) == RP_OBJECT)
        members = read_members(input);
    if (members.openai_route.ptr != NULL || members.openai_input.ptr != NULL)
        return read_openai(call, &members, arena, err);
    if (members.route.ptr != NULL)
        return read_plain(call, &members, arena, err);
    if (members.messages.ptr != NULL || members.prompt.ptr != NULL)
        return read_shorthand(call, &members, err);
    set_body(call, input);
    return 0;
}

void http_call_set_model(struct http_call *call, slice model)
{
    slice first = call->body[0], rest = { first.ptr + 1, first.len - 1 };
    bool alone = json_trim(rest).len > 0 && json_trim(rest).ptr[0] == '}';
    size_t added = rest.len > 0 ? 3 : 2;
    for (size_t i = call->body_count; i > 1; i--)
        call->body[i - 1 + added] = call->body[i - 1];
    call->body[0] = SLICE_LITERAL("{\"model\": ");
    call->body[1] = model;
    call->body[2] = alone ? SLICE_LITERAL("") : SLICE_LITERAL(", ");
    if (rest.len > 0)
        call->body[3] = rest;
    call->body_count += added;
}
