/* Reads the flags that say where the server is. */
#include "upstream/setting.h"

#include <stdio.h>
#include <string.h>

#include "codec/byte_class.h"
#include "codec/route.h"
#include "codec/url.h"
#include "net/tcp.h"

#define READY_PATH "/health"

static int read_unix(struct upstream_setting *setting, const char *path, struct err *err)
{
    if (path[0] != '/' || strlen(path) > UNIX_PATH_MAX_BYTES)
        return err_set(err, ERR_CONFIG,
                       "--handler-http: " URL_UNIX_SCHEME
                       " must be followed by the absolute path of a "
                       "socket, at most %d bytes long",
                       UNIX_PATH_MAX_BYTES);
    setting->net.unix_path = path;
    setting->origin = SLICE_LITERAL("http://localhost");
    return 0;
}

static int read_url(struct upstream_setting *setting, slice text, struct err *err)
{
    struct url url;
    int rc = url_parse(text, &url, err);
    if (rc == 0 && url.user.len > 0)
        rc = err_set(err, ERR_CONFIG, "a user name in the URL is not supported");
    if (rc == 0 && url.target.len > 0 && url.target.ptr[0] == '/')
        rc = route_check(url.target, err);
    if (rc != 0) {
        err_wrap(err, "--handler-http");
        return err->code = ERR_CONFIG;
    }
    size_t origin = url.target.len > 0 ? (size_t)(url.target.ptr - text.ptr) : text.len;
    setting->origin = (slice){ text.ptr, origin };
    if (url.target.len > 0 && !slice_is(url.target, "/"))
        setting->forms.path = url.target;
    if (config_is_serving(setting->config) && (url.tls || setting->forms.path.len > 0))
        return err_set(err, ERR_CONFIG,
                       "--handler-http: with --serve it must be the http: URL of a server, without "
                       "a path: requests keep their own paths");
    return url.tls ? tls_context_new(&setting->net.tls, setting->config->ca_file, err) : 0;
}

/*
 * A program that is written for load-balancing endpoints listens on PORT. That is the worker's now:
 * the program gets the port where the worker expects it.
 */
static void give_port(struct upstream_setting *setting)
{
    struct url url;
    if (!config_is_serving(setting->config) || setting->net.unix_path != NULL ||
        url_parse(setting->origin, &url, NULL) != 0)
        return;
    snprintf(setting->port_variable, sizeof setting->port_variable, "PORT=%u", (unsigned)url.port);
    setting->child.env_extra = setting->port_variable;
    setting->child.env_replaced = "PORT";
}

/* The server's program, where --handler names one. */
static int prepare_program(struct upstream_setting *setting, struct err *err)
{
    const struct config *config = setting->config;
    setting->child = (struct child_setting){
        .program = config->handler.program,
        .pass_api_key = config->handler.pass_api_key,
        .kill_grace_ms = config->handler.kill_grace_ms,
        .max_deaths = (unsigned)config->handler.deaths,
        .watches = config->watch,
    };
    give_port(setting);
    return setting->child.program != NULL ? child_prepare(&setting->child, err) : 0;
}

/* --- readiness -------------------------------------------------------------------------------- */

static int read_statuses(struct upstream_ready *ready, slice list, struct err *err)
{
    slice text;
    uint64_t status;
    while (byte_class_next(&list, ',', &text)) {
        if (!byte_class_decimal(text, 599, &status) || status < 200 ||
            ready->status_count == READY_STATUSES_MAX)
            return err_set(
                err, ERR_CONFIG,
                "--handler-ready: \"%.*s\" is not a status from 200 to 599, or there are "
                "more than %d",
                SLICE_ARG(text), READY_STATUSES_MAX);
        ready->statuses[ready->status_count++] = (int)status;
    }
    return 0;
}

/* "tcp", a path, or a path and a list of statuses with a space between them. */
static int read_ready(struct upstream_ready *ready, const char *text, struct err *err)
{
    slice all = byte_class_trim(slice_from(text));
    size_t len = byte_class_until(all, " ");
    ready->name = text;
    if (slice_is(all, "tcp"))
        return 0;
    ready->path = (slice){ all.ptr, len };
    if (route_check(ready->path, err) != 0) {
        err_wrap(err, "with --handler-http, --handler-ready must be the path of a health route, "
                      "optionally with statuses after it (/health 200,503), or tcp");
        return err->code = ERR_CONFIG;
    }
    return read_statuses(ready, slice_skip(all, len), err);
}

static int check_concurrency_path(const char *path, struct err *err)
{
    if (path == NULL || route_check(slice_from(path), err) == 0)
        return 0;
    err_wrap(err, "--handler-concurrency-path must be a path of the server");
    return err->code = ERR_CONFIG;
}

bool upstream_ready_accepts(const struct upstream_ready *ready, int status)
{
    for (size_t i = 0; i < ready->status_count; i++)
        if (ready->statuses[i] == status)
            return true;
    /* 204 says "still loading" on this platform. */
    return ready->status_count == 0 && status >= 200 && status <= 299 && status != 204;
}

/* --- inputs and outputs ----------------------------------------------------------------------- */

static int read_shape(enum upstream_shape *shape, const char *text, struct err *err)
{
    *shape = UPSTREAM_SHAPE_BY_FORM;
    if (text != NULL && strcmp(text, "plain") == 0)
        *shape = UPSTREAM_SHAPE_PLAIN;
    else if (text != NULL && strcmp(text, "list") == 0)
        *shape = UPSTREAM_SHAPE_LIST;
    else if (text != NULL)
        return err_set(err, ERR_CONFIG, "--answer-shape is \"%.32s\"; it must be plain or list",
                       text);
    return 0;
}

static int read_map(struct upstream_forms *forms, const struct config_list *list, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        if (route_map_add(&forms->map, list->texts[i], err) != 0) {
            err_wrap(err, "--route");
            return err->code;
        }
    }
    if (forms->map.count > 0 && forms->path.len > 0)
        return err_set(err, ERR_CONFIG,
                       "--route: the URL of --handler-http has a path, so every input goes there; "
                       "leave the path out to choose routes by input");
    return 0;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int read_http(struct upstream_setting *setting, struct err *err)
{
    const char *url = setting->config->handler.http;
    return strncmp(url, URL_UNIX_SCHEME, strlen(URL_UNIX_SCHEME)) == 0
               ? read_unix(setting, url + strlen(URL_UNIX_SCHEME), err)
               : read_url(setting, slice_from(url), err);
}

int upstream_setting_init(struct upstream_setting *setting, const struct config *config,
                          struct err *err)
{
    const char *ready = config->handler.ready;
    *setting = (struct upstream_setting){ .config = config };
    if (config->handler.once != NULL || config->handler.isolate)
        return err_set(err, ERR_CONFIG,
                       "--handler-http can be combined with --handler, but not with --handler-once "
                       "or --isolate");
    if (route_filter_read(&setting->routes, config->handler.routes, err) != 0) {
        err_wrap(err, "--handler-routes");
        return err->code;
    }
    int rc = check_concurrency_path(config->handler.concurrency_path, err);
    if (rc == 0)
        rc = read_ready(&setting->ready, ready != NULL ? ready : READY_PATH, err);
    if (rc == 0)
        rc = read_shape(&setting->shape, config->handler.answer_shape, err);
    if (rc == 0)
        rc = read_http(setting, err);
    if (rc == 0)
        rc = read_map(&setting->forms, &config->handler.route_map, err);
    return rc == 0 ? prepare_program(setting, err) : rc;
}
