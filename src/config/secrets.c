#include "config/secrets.h"

#include <stdlib.h>

#include "base/log.h"
#include "codec/byte_class.h"
#include "codec/proxy.h"
#include "codec/url.h"

/* A secret in another form, behind `skipped` bytes. They are kept, as the log needs them. */
static void add_made(struct buf *made, int rc, size_t skipped)
{
    if (rc != 0 || !log_add_secret(slice_skip(buf_slice(made), skipped)))
        buf_free(made);
}

/* A proxy's password: as written, decoded, and as the proxy gets it, which may send it back. */
static void add_password(const char *proxy)
{
    struct url url;
    struct buf decoded, sent;
    if (proxy == NULL || url_parse(slice_from(proxy), &url, NULL) != 0)
        return;
    size_t user_len = byte_class_until(url.user, ":");
    if (user_len == url.user.len)
        return;
    slice password = slice_skip(url.user, user_len + 1);
    log_add_secret(password);
    buf_init(&decoded, URL_MAX_BYTES, "password");
    add_made(&decoded, url_decode(&decoded, password, NULL), 0);
    buf_init(&sent, 2 * URL_MAX_BYTES, "proxy user and password");
    add_made(&sent, proxy_put_credentials(&sent, &url, NULL), sizeof "Basic " - 1);
}

void config_add_secrets(const struct config *config)
{
    log_add_secret(config->api_key);
    log_add_secret(config->realtime_token);
    log_add_secret(config->api.key);
    if (config->api.key.len == 0) /* a program without the job API does not read it, but has it */
        log_add_secret(slice_from(secure_getenv("RUNPOD_API_KEY")));
    log_add_secret(slice_from(secure_getenv("BUCKET_SECRET_ACCESS_KEY")));
    add_password(config->proxy.https_proxy);
    add_password(config->proxy.http_proxy);
}
