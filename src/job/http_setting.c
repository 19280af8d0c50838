#include "job/http_setting.h"

#include <string.h>

#include "codec/route.h"
#include "codec/url.h"
#include "net/tcp.h"

#define READY_PATH "/health"
#define UNIX_SCHEME "http+unix:"

static int read_unix(struct http_setting *setting, const char *path, struct err *err)
{
    if (path[0] != '/' || strlen(path) > UNIX_PATH_MAX_BYTES)
        return err_set(err, ERR_CONFIG,
                       "--handler-http: after " UNIX_SCHEME " the socket's path from the root "
                       "has to follow, of at most %d bytes",
                       UNIX_PATH_MAX_BYTES);
    setting->net.unix_path = path;
    setting->origin = SLICE_LITERAL("http://localhost");
    setting->path = SLICE_LITERAL("/");
    return 0;
}

static int read_url(struct http_setting *setting, slice text, struct err *err)
{
    struct url url;
    int rc = url_parse(text, &url, err);
    if (rc == 0 && url.user.len > 0)
        rc = err_set(err, ERR_CONFIG, "a user is not supported");
    if (rc == 0 && url.target.len > 0 && url.target.ptr[0] == '/')
        rc = route_check(url.target, err);
    if (rc != 0) {
        err_wrap(err, "--handler-http");
        return err->code = ERR_CONFIG;
    }
    size_t origin = url.target.len > 0 ? (size_t)(url.target.ptr - text.ptr) : text.len;
    setting->origin = (slice){ text.ptr, origin };
    setting->path = url.target.len > 0 ? url.target : SLICE_LITERAL("/");
    return url.tls ? tls_context_new(&setting->net.tls, setting->config->ca_file, err) : 0;
}

int http_setting_init(struct http_setting *setting, const struct config *config, struct err *err)
{
    const char *url = config->handler.http;
    setting->config = config;
    setting->ready_path = config->handler.ready != NULL ? config->handler.ready : READY_PATH;
    if (config->handler.once != NULL || config->handler.isolate)
        return err_set(err, ERR_CONFIG,
                       "--handler-http goes with --handler, not with --handler-once or --isolate");
    if (route_check(slice_from(setting->ready_path), err) != 0) {
        err_wrap(err, "--handler-ready is to be the path of a health route with --handler-http");
        return err->code = ERR_CONFIG;
    }
    return strncmp(url, UNIX_SCHEME, strlen(UNIX_SCHEME)) == 0
               ? read_unix(setting, url + strlen(UNIX_SCHEME), err)
               : read_url(setting, slice_from(url), err);
}
