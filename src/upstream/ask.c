/* Questions of the worker's own to the server, outside of any slot. */
#include "base/version.h"
#include "codec/url.h"
#include "upstream/upstream_private.h"

int upstream_asker_init(struct upstream_asker *asker, const struct upstream_setting *setting,
                        size_t max_bytes, const char *name, struct err *err)
{
    asker->setting = setting;
    asker->client = NULL;
    buf_init(&asker->url, URL_MAX_BYTES, "URL of the handler's server");
    buf_init(&asker->body, max_bytes, name);
    return http_client_new(&asker->client, &setting->net, err);
}

void upstream_asker_free(struct upstream_asker *asker)
{
    http_client_free(asker->client);
    buf_free(&asker->url);
    buf_free(&asker->body);
}

int upstream_ask(struct upstream_asker *asker, slice path, deadline_ms deadline,
                 struct http_response *response, struct err *err)
{
    static const struct http1_field fields[] = {
        { SLICE_LITERAL("User-Agent"), SLICE_LITERAL(WORKER_USER_AGENT) },
        { SLICE_LITERAL("Accept-Encoding"), SLICE_LITERAL("identity") },
    };
    const struct http_request request = {
        .method = "GET",
        .fields = fields,
        .field_count = 2,
        .connect_ms = LIMIT_READY_ASK_MS,
        .send_ms = LIMIT_READY_ASK_MS,
        .first_byte_ms = LIMIT_READY_ASK_MS,
        .body_ms = LIMIT_READY_ASK_MS,
        .until = deadline,
        .keep_origin = true,
    };
    buf_clear(&asker->url);
    buf_add_slice(&asker->url, asker->setting->origin, NULL);
    buf_add_slice(&asker->url, path, NULL);
    int rc = buf_error(&asker->url, err);
    return rc == 0
               ? upstream_open_at_origin(asker->client, &request, NULL, &asker->url, response, err)
               : rc;
}
