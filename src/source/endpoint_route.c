/*
 * Admits requests and finds their action. Every one needs the key, where there is one, but for the
 * console's page, which a browser has to load before it can ask for it.
 *
 * A web page elsewhere must not drive the worker through a browser on this machine. What it sends
 * by itself carries its Origin; a name of its own that it lets point here (DNS rebinding) stands in
 * Host. Neither helps where a key is asked for, so names are checked only without one.
 */
#include <stdio.h>

#include "base/limits.h"
#include "codec/byte_class.h"
#include "source/endpoint_private.h"

/* --- who may ask ------------------------------------------------------------------------------ */

static bool has_key(const struct endpoint_request *request)
{
    slice key = request->endpoint->config->api.key, given;
    const struct http1_request *head = request->exchange->request;
    if (key.len == 0)
        return true;
    return (http1_request_bearer(head, &given) ||
            http1_request_field(head, "Authorization", &given)) &&
           slice_equal_secret(given, key);
}

static bool is_own_name(const struct endpoint_request *request)
{
    const struct config *config = request->endpoint->config;
    return config->api.key.len > 0 ||
           http1_request_has_own_name(request->exchange->request, config->api.host);
}

/* A browser's request comes from a page of the worker's own, or one that the user allows. */
static bool is_own_page(const struct endpoint_request *request)
{
    slice origin, cors = request->endpoint->config->api.cors;
    const struct http1_request *head = request->exchange->request;
    if (slice_is(cors, "*"))
        return true;
    if (cors.len > 0 && http1_request_field(head, "Origin", &origin) && slice_equal(cors, origin))
        return true;
    return http1_request_is_same_origin(head);
}

/* --- routes ----------------------------------------------------------------------------------- */

enum shape {
    ALONE,   /* /name */
    WITH_ID, /* /name/ID */
    EITHER,  /* both */
    TAIL,    /* /name/... */
};

#define PREFIXED 1 /* also as /ENDPOINT/name and /v2/ENDPOINT/name */

static const struct action {
    const char *name;
    const char *methods;
    enum shape shape;
    int where;
    endpoint_action *act;
} actions[] = {
    { "run", "POST", ALONE, PREFIXED, endpoint_run },
    { "runsync", "POST", ALONE, PREFIXED, endpoint_runsync },
    { "status", "GET, HEAD, POST", WITH_ID, PREFIXED, endpoint_status },
    { "status-sync", "GET, HEAD, POST", WITH_ID, PREFIXED, endpoint_status_sync },
    { "stream", "GET, POST", WITH_ID, PREFIXED, endpoint_stream },
    { "cancel", "GET, POST", WITH_ID, PREFIXED, endpoint_cancel },
    { "retry", "POST", WITH_ID, PREFIXED, endpoint_retry },
    { "purge-queue", "GET, POST", ALONE, PREFIXED, endpoint_purge },
    { "health", "GET, HEAD, POST", ALONE, PREFIXED, endpoint_health },
    { "requests", "GET, HEAD, POST", ALONE, PREFIXED, endpoint_requests },
    { "metrics", "GET, HEAD", ALONE, 0, endpoint_metrics },
    { "metrics", "GET, HEAD, POST", ALONE, PREFIXED, endpoint_ready },
    { "openai", "GET, POST", TAIL, PREFIXED, endpoint_openai },
    { "events", "GET", EITHER, PREFIXED, endpoint_events },
    { "ping", "GET, HEAD", ALONE, PREFIXED, endpoint_ping },
    { "openapi.json", "GET, HEAD", ALONE, 0, endpoint_openapi },
};
#define ACTION_COUNT (sizeof actions / sizeof actions[0])

/* Cuts the next segment off a path; both may be empty. */
static slice cut_segment(slice *path)
{
    slice segment = { path->ptr, byte_class_until(*path, "/") };
    *path = slice_skip(*path, segment.len < path->len ? segment.len + 1 : segment.len);
    return segment;
}

static bool fits(const struct action *action, slice path, struct endpoint_request *request)
{
    slice whole = path, name = cut_segment(&path), id;
    if (!slice_is(name, action->name))
        return false;
    if (action->shape == TAIL) {
        request->rest = slice_skip(whole, name.len);
        return path.len > 0;
    }
    id = cut_segment(&path);
    if (path.len > 0 || (action->shape == ALONE && id.len > 0) ||
        (action->shape == WITH_ID && id.len == 0))
        return false;
    request->id = id;
    return true;
}

/* The path after a first segment, or after "v2" and a second. */
static slice without_endpoint(slice path)
{
    slice first = cut_segment(&path);
    if (slice_is(first, "v2") && path.len > 0)
        cut_segment(&path);
    return path;
}

static const struct action *find_action(slice path, struct endpoint_request *request)
{
    slice inner = without_endpoint(path);
    for (size_t i = 0; i < ACTION_COUNT; i++)
        if (fits(&actions[i], path, request))
            return &actions[i];
    for (size_t i = 0; i < ACTION_COUNT; i++)
        if (actions[i].where == PREFIXED && fits(&actions[i], inner, request))
            return &actions[i];
    return NULL;
}

static bool allows(const char *methods, slice method)
{
    slice list = slice_from(methods), one;
    while (byte_class_next(&list, ',', &one))
        if (slice_equal(one, method))
            return true;
    return false;
}

/* A browser asks before it sends another page's request with a key or JSON. */
static void respond_preflight(struct endpoint_request *request)
{
    const struct http1_field fields[] = {
        { SLICE_LITERAL("Access-Control-Allow-Methods"), SLICE_LITERAL("GET, POST") },
        { SLICE_LITERAL("Access-Control-Allow-Headers"),
          SLICE_LITERAL("Authorization, Content-Type") },
        { SLICE_LITERAL("Access-Control-Max-Age"), SLICE_LITERAL("600") },
    };
    endpoint_respond_with(request, 204, NULL, (slice){ 0 }, fields, 3);
}

static void dispatch(struct endpoint_request *request, slice path)
{
    slice method = request->exchange->request->method;
    const struct action *action = find_action(path, request);
    if (path.len == 0) {
        const struct http1_field allow = { SLICE_LITERAL("Allow"), SLICE_LITERAL("GET, HEAD") };
        endpoint_refuse_with(request, 405, "This path does not support this method.", &allow);
    } else if (action == NULL) {
        endpoint_refuse(request, 404, "There is nothing at this path; see /openapi.json.");
    } else if (!allows(action->methods, method)) {
        const struct http1_field allow = { SLICE_LITERAL("Allow"), slice_from(action->methods) };
        endpoint_refuse_with(request, 405, "This path does not support this method.", &allow);
    } else {
        action->act(request);
    }
}

void endpoint_dispatch(struct server_exchange *exchange, struct endpoint *endpoint)
{
    struct endpoint_request request = { .endpoint = endpoint, .exchange = exchange };
    if (endpoint->config->realtime_token.len == 0 && !is_own_page(&request))
        endpoint_refuse(&request, 403,
                        "Web pages of another origin may not use this API without a token "
                        "(--realtime-token-file).");
    else
        dispatch(&request, slice_skip(exchange->request->path, 1));
}

static bool is_console(slice path, slice method)
{
    return path.len == 0 && (slice_is(method, "GET") || slice_is(method, "HEAD"));
}

bool endpoint_refuses(struct server_exchange *exchange, void *owner)
{
    struct endpoint_request request = { .endpoint = owner, .exchange = exchange };
    slice method = exchange->request->method;
    const struct http1_field scheme = { SLICE_LITERAL("WWW-Authenticate"),
                                        SLICE_LITERAL("Bearer") };
    bool is_named = is_own_name(&request);
    if (is_named && is_console(exchange->args[0], method))
        return false;
    if (!is_named)
        endpoint_refuse(
            &request, 421,
            "Requests must name this worker by its address, localhost or "
            "--rp_api_host (a protection against DNS rebinding), or a key must be set.");
    else if (!is_own_page(&request))
        endpoint_refuse(&request, 403,
                        "Web pages of another origin may not use this API; --rp_api_cors allows "
                        "them to.");
    else if (slice_is(method, "OPTIONS") && request.endpoint->config->api.cors.len > 0)
        respond_preflight(&request);
    else if (!has_key(&request))
        endpoint_refuse_with(&request, 401,
                             "The key is missing or wrong. Send \"Authorization: Bearer KEY\".",
                             &scheme);
    else
        return false;
    return true;
}

void endpoint_handle(struct server_exchange *exchange, void *owner)
{
    struct endpoint_request request = { .endpoint = owner, .exchange = exchange };
    if (is_console(exchange->args[0], exchange->request->method))
        endpoint_console(&request);
    else
        dispatch(&request, exchange->args[0]);
}
