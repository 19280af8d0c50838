/* The forms of input, told apart by their members; large values are linked, not copied. */
#include "upstream/request.h"

#include <string.h>

#include "codec/route.h"
#include "json/json.h"

#define CHAT_ROUTE "/v1/chat/completions"
#define COMPLETIONS_ROUTE "/v1/completions"
#define MEMBERS_MAX 1000 /* of a shorthand, and of its sampling_params: they are compared */

/* The members that tell the forms apart; ptr NULL where absent or null. */
struct members {
    slice openai_route, openai_input;
    slice route, body, method;
    slice messages, prompt, sampling_params, stream;
};

/* --- values ----------------------------------------------------------------------------------- */

static bool is_true(slice value)
{
    return slice_equal(value, SLICE_LITERAL("true"));
}

/* What is between an object's braces, without white space around it. */
static slice inside(slice object)
{
    return json_trim((slice){ object.ptr + 1, object.len - 2 });
}

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
                *known[i].value = json_type(value) == RP_NULL ? (slice){ 0 } : value;
    return members;
}

static bool has_route(slice value)
{
    return value.ptr != NULL && !slice_is(value, "\"\"");
}

static int read_route(slice value, struct arena *arena, slice *route, struct err *err)
{
    if (json_type(value) != RP_STRING)
        return err_set(err, ERR_INPUT, "a route must be a string");
    int rc = json_string(value, arena, route, err);
    return rc == 0 ? route_check(*route, err) : rc;
}

static int read_method(slice value, struct arena *arena, const char **method, struct err *err)
{
    char capitals[8];
    slice text;
    bool fits = json_type(value) == RP_STRING && json_string(value, arena, &text, NULL) == 0 &&
                text.len <= sizeof capitals;
    for (size_t i = 0; fits && i < text.len; i++)
        capitals[i] = text.ptr[i] >= 'a' && text.ptr[i] <= 'z' ? (char)(text.ptr[i] - 'a' + 'A')
                                                               : text.ptr[i];
    if (!fits || !route_method((slice){ capitals, text.len }, method))
        return err_set(err, ERR_INPUT,
                       "the method must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
    return 0;
}

static void set_body(struct upstream_request *request, slice body)
{
    slice stream;
    request->body[0] = body;
    request->body_count = 1;
    request->wants_stream = json_type(body) == RP_OBJECT && json_member(body, "stream", &stream) &&
                            is_true(stream);
}

static bool names_model(slice object)
{
    slice model;
    return json_member(object, "model", &model);
}

/* --- routes with bodies ----------------------------------------------------------------------- */

static int read_openai(struct upstream_request *request, const struct members *members,
                       struct arena *arena, struct err *err)
{
    bool has_body = !json_is_falsy(members->openai_input);
    request->form = UPSTREAM_FORM_OPENAI;
    request->method = has_body ? "POST" : "GET";
    request->route = SLICE_LITERAL(CHAT_ROUTE);
    if (has_body) {
        set_body(request, members->openai_input);
        request->wants_model = json_type(members->openai_input) == RP_OBJECT &&
                               !names_model(members->openai_input);
    }
    return has_route(members->openai_route)
               ? read_route(members->openai_route, arena, &request->route, err)
               : 0;
}

static int read_plain(struct upstream_request *request, const struct members *members,
                      struct arena *arena, struct err *err)
{
    bool has_body = !json_is_falsy(members->body);
    request->form = UPSTREAM_FORM_ROUTE;
    request->method = has_body ? "POST" : "GET";
    int rc = read_route(members->route, arena, &request->route, err);
    if (rc == 0 && members->method.ptr != NULL) {
        rc = read_method(members->method, arena, &request->method, err);
        /* Whoever names a method that has a body means the body as it is. */
        has_body |= rc == 0 && request->method[0] == 'P' && members->body.ptr != NULL;
    }
    if (rc == 0 && has_body)
        set_body(request, members->body);
    return rc;
}

/* --- shorthands ------------------------------------------------------------------------------- */

/* Members that are not part of the request, or have a place of their own in it. */
static bool is_own_name(slice name)
{
    return json_name_is(name, SLICE_LITERAL("messages")) ||
           json_name_is(name, SLICE_LITERAL("prompt")) ||
           json_name_is(name, SLICE_LITERAL("sampling_params")) ||
           json_name_is(name, SLICE_LITERAL("stream"));
}

/* Null counts as absent where it would be the start of another form. */
static bool is_other_form(slice name, slice value)
{
    static const slice names[] = { SLICE_LITERAL("openai_route"), SLICE_LITERAL("openai_input"),
                                   SLICE_LITERAL("route") };
    if (!json_is_falsy(value))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (json_name_is(name, names[i]))
            return true;
    return false;
}

static bool has_name(slice object, slice wanted)
{
    slice name, value;
    for (size_t pos = 0; json_next_member(object, &pos, &name, &value);)
        if (slice_equal(name, wanted))
            return true;
    return false;
}

static void append(struct buf *text, slice piece)
{
    buf_add_slice(text, piece, NULL);
}

/* The members beside the form's own, as written, each with a comma behind it. */
static void put_beside(struct buf *text, slice input, slice parameters)
{
    slice name, value;
    for (size_t pos = 0; json_next_member(input, &pos, &name, &value);) {
        if (is_own_name(name) || is_other_form(name, value) || has_name(parameters, name))
            continue;
        append(text, (slice){ name.ptr - 1, name.len + 2 });
        append(text, SLICE_LITERAL(": "));
        append(text, value);
        append(text, SLICE_LITERAL(", "));
    }
}

/* Copies the text into the arena. */
static int keep(struct buf *text, struct arena *arena, slice *kept, struct err *err)
{
    int rc = buf_error(text, err);
    if (rc != 0)
        return rc;
    char *copy = arena_alloc(arena, text->len);
    if (copy == NULL || text->ptr == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the request");
    *kept = (slice){ memcpy(copy, text->ptr, text->len), text->len };
    return 0;
}

/* Builds {members beside, parameters, "messages": ..., "stream": ...}; the parameter wins. */
static int put_shorthand(struct upstream_request *request, slice input,
                         const struct members *members, slice parameters, bool chat,
                         struct arena *arena, struct err *err)
{
    struct buf head;
    buf_init(&head, input.len + 4 * MEMBERS_MAX + 64, "request");
    append(&head, SLICE_LITERAL("{"));
    put_beside(&head, input, parameters);
    if (parameters.len > 0 && inside(parameters).len > 0) {
        append(&head, inside(parameters));
        append(&head, SLICE_LITERAL(", "));
    }
    append(&head, chat ? SLICE_LITERAL("\"messages\": ") : SLICE_LITERAL("\"prompt\": "));
    int rc = keep(&head, arena, &request->body[0], err);
    request->body[1] = chat ? members->messages : members->prompt;
    buf_clear(&head);
    if (!has_name(parameters, SLICE_LITERAL("stream"))) {
        append(&head, SLICE_LITERAL(", \"stream\": "));
        append(&head, members->stream.ptr != NULL ? members->stream : SLICE_LITERAL("false"));
    }
    append(&head, SLICE_LITERAL("}"));
    if (rc == 0)
        rc = keep(&head, arena, &request->body[2], err);
    request->body_count = 3;
    buf_free(&head);
    return rc;
}

static int read_shorthand(struct upstream_request *request, slice input,
                          const struct members *members, struct arena *arena, struct err *err)
{
    bool chat = members->messages.ptr != NULL;
    slice parameters = members->sampling_params.ptr != NULL ? members->sampling_params
                                                            : SLICE_LITERAL("{}");
    slice stream = members->stream;
    request->form = UPSTREAM_FORM_SHORTHAND;
    request->drops_prompt = chat && members->prompt.ptr != NULL;
    request->route = chat ? SLICE_LITERAL(CHAT_ROUTE) : SLICE_LITERAL(COMPLETIONS_ROUTE);
    if (json_type(parameters) != RP_OBJECT)
        return err_set(err, ERR_INPUT, "sampling_params must be an object");
    if (json_count_members(input) > MEMBERS_MAX || json_count_members(parameters) > MEMBERS_MAX)
        return err_set(err, ERR_INPUT, "there are more than %d members", MEMBERS_MAX);
    request->wants_model = !names_model(input) && !names_model(parameters);
    json_member(parameters, "stream", &stream);
    request->wants_stream = stream.ptr != NULL && is_true(stream);
    return put_shorthand(request, input, members, parameters, chat, arena, err);
}

/* --- all of them ------------------------------------------------------------------------------ */

static void set_post(struct upstream_request *request, enum upstream_form form, slice route,
                     slice input)
{
    request->form = form;
    request->route = route;
    set_body(request, input);
}

int upstream_request_read(struct upstream_request *request, slice input,
                          const struct upstream_forms *forms, struct arena *arena, struct err *err)
{
    struct members members = { 0 };
    slice route;
    *request = (struct upstream_request){ .method = "POST" };
    if (forms->path.len > 0) {
        set_post(request, UPSTREAM_FORM_PATH, forms->path, input);
        return 0;
    }
    if (json_type(input) == RP_OBJECT)
        members = read_members(input);
    if (has_route(members.openai_route) || !json_is_falsy(members.openai_input))
        return read_openai(request, &members, arena, err);
    if (has_route(members.route))
        return read_plain(request, &members, arena, err);
    if (members.messages.ptr != NULL || members.prompt.ptr != NULL)
        return read_shorthand(request, input, &members, arena, err);
    if (route_map_find(&forms->map, input, &route))
        set_post(request, UPSTREAM_FORM_MAPPED, route, input);
    else
        set_post(request, UPSTREAM_FORM_NONE, SLICE_LITERAL("/"), input);
    return 0;
}

void upstream_request_set_model(struct upstream_request *request, slice model)
{
    slice first = request->body[0], rest = { first.ptr + 1, first.len - 1 };
    for (size_t i = request->body_count; i > 1; i--)
        request->body[i + 2] = request->body[i - 1];
    request->body[0] = SLICE_LITERAL("{\"model\": ");
    request->body[1] = model;
    request->body[2] = SLICE_LITERAL(", ");
    request->body[3] = rest;
    request->body_count += 3;
}
