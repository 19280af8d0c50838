#include "config/environment.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/version.h"
#include "codec/byte_class.h"
#include "codec/ip.h"
#include "codec/url.h"
#include "config/options.h"
#include "json/json.h"

static int read_contract_version(struct config *config, struct err *err)
{
    slice *version = &config->contract_version;
    if (version->len == 0)
        *version = SLICE_LITERAL(CONTRACT_VERSION);
    if (version->len <= LIMIT_VERSION_BYTES)
        return 0;
    return err_set(err, ERR_CONFIG, "RP_CONTRACT_VERSION is longer than %d bytes",
                   LIMIT_VERSION_BYTES);
}

static int read_log_capture(struct config *config, struct err *err)
{
    static const char *const names[] = {
        [LOG_CAPTURE_AUTO] = "auto", [LOG_CAPTURE_ALL] = "all", [LOG_CAPTURE_OFF] = "off"
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!slice_is_nocase(config->log_capture_name, names[i]))
            continue;
        config->log_capture = (enum log_capture)i;
        return 0;
    }
    if (config->log_capture_name.len == 0)
        return 0; /* auto */
    return err_set(err, ERR_CONFIG, "RUNPOD_LOG_CAPTURE is \"%.32s\"; it must be auto, all or off",
                   config->log_capture_name.ptr);
}

int config_from_environment(struct config *config, struct err *err)
{
    int rc = options_from_environment(config, err);
    if (rc == 0)
        rc = read_contract_version(config, err);
    if (rc == 0)
        rc = read_log_capture(config, err);
    config->started_ms = clock_now_ms();
    const char *older = getenv("RUNPOD_DEBUG_LEVEL"); /* the name before RUNPOD_LOG_LEVEL */
    if (rc == 0 && getenv("RUNPOD_LOG_LEVEL") == NULL && older != NULL && older[0] != '\0')
        rc = option_set(config, option_find("--rp_log_level"), "RUNPOD_DEBUG_LEVEL", older, err);
    config->has_pod_id = config->worker_id.len > 0;
    if (!config->has_pod_id) {
        random_uuid(config->random_id);
        config->worker_id = slice_from(config->random_id);
    }
    config->log_json_lines = config->endpoint_id.len > 0;
    return rc;
}

static int check_url(const char *name, slice text, struct err *err)
{
    struct url url;
    if (text.len == 0 || url_parse(text, &url, err) == 0)
        return 0;
    err_wrap(err, "%s", name);
    return err->code = ERR_CONFIG;
}

/* The key is sent as a header field. A control character in it is often a trailing newline. */
static int check_api_key(slice key, struct err *err)
{
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.ptr[i] < 0x20 || key.ptr[i] == 0x7f)
            return err_set(err, ERR_CONFIG,
                           "RUNPOD_AI_API_KEY has a control character at byte "
                           "%zu (a line break at its end?)",
                           i);
    return 0;
}

static int check_denied_downloads(const struct config *config, struct err *err)
{
    if (ip_check_ranges(config->denied_downloads, err) == 0)
        return 0;
    err_wrap(err, "--deny-downloads, RP_DENY_DOWNLOADS");
    return ERR_CONFIG;
}

int config_read_files(struct config *config, struct err *err)
{
    static struct buf key;
    if (!config_is_endpoint(config) || config->api.key_file == NULL)
        return 0;
    buf_init(&key, 4096, "the key");
    int rc = io_read_file(config->api.key_file, 0, &key, err);
    config->api.key = rc == 0 ? json_trim(buf_slice(&key)) : (slice){ 0 };
    if (rc == 0 && config->api.key.len == 0)
        rc = err_set(err, ERR_CONFIG, "%s holds no key", config->api.key_file);
    if (rc == 0)
        return 0;
    err_wrap(err, "--api-key-file");
    return err->code = ERR_CONFIG;
}

/* The token is copied, as the text of the file is not kept. */
static int read_token(struct config *config, struct err *err)
{
    struct buf text;
    buf_init(&text, sizeof config->token_text, "--realtime-token-file, RP_REALTIME_TOKEN_FILE");
    int rc = io_read_file(config->realtime_token_file, 0, &text, err);
    slice rest = buf_slice(&text), token = { 0 }, more;
    if (rc == 0 && (!byte_class_next_word(&rest, " \t\r\n", &token) ||
                    byte_class_next_word(&rest, " \t\r\n", &more)))
        rc = err_set(err, ERR_CONFIG, "the file must hold one token and nothing else");
    if (rc == 0)
        config->realtime_token = (slice){ memcpy(config->token_text, token.ptr, token.len),
                                          token.len };
    buf_free(&text);
    if (rc == 0)
        return 0;
    err_wrap(err, "--realtime-token-file, RP_REALTIME_TOKEN_FILE");
    return err->code = ERR_CONFIG;
}

/* What a client can send in a header field. */
static int check_token(slice token, struct err *err)
{
    size_t visible = byte_class_span(token, BYTE_CLASS_VISIBLE);
    return visible == token.len
               ? 0
               : err_set(err, ERR_CONFIG,
                         "RP_REALTIME_TOKEN or its file has a character at byte %zu that is not "
                         "printable ASCII: clients could not send it",
                         visible);
}

/* In realtime mode only heartbeats go to the platform. */
static int check_realtime(struct config *config, struct err *err)
{
    int rc = config->realtime_token_file != NULL ? read_token(config, err) : 0;
    if (rc == 0)
        rc = check_token(config->realtime_token, err);
    if (rc != 0)
        return rc;
    if (config->endpoint_id.len == 0)
        return err_set(err, ERR_CONFIG,
                       "RUNPOD_REALTIME_PORT is set, but RUNPOD_ENDPOINT_ID, which is part of the "
                       "path to serve, is not");
    rc = check_url("RUNPOD_WEBHOOK_PING", config->ping_url, err);
    return rc == 0 ? proxy_check(&config->proxy, err) : rc;
}

static bool is_loopback(slice host)
{
    static const char *const names[] = { "", "localhost", "::1", "[::1]", "ip6-localhost" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_is_nocase(host, names[i]))
            return true;
    struct ip address;
    return ip_parse(host, &address) && address.size == IP_V4_BYTES && address.bytes[0] == 127;
}

static int check_endpoint(const struct config *config, struct err *err)
{
    slice key = config->api.key;
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.ptr[i] <= 0x20 || (unsigned char)key.ptr[i] >= 0x7f)
            return err_set(err, ERR_CONFIG,
                           "the key of the job API (RUNPOD_API_KEY, --api-key-file) has a byte at "
                           "%zu that is not a visible ASCII character",
                           i);
    if (key.len == 0 && !config->api.open && !is_loopback(config->api.host))
        return err_set(err, ERR_CONFIG,
                       "--rp_api_host %.*s lets other machines run jobs here: set a key "
                       "(RUNPOD_API_KEY or --api-key-file), or allow it with --rp_api_open",
                       SLICE_ARG(config->api.host));
    return proxy_check(&config->proxy, err);
}

static int check_watch(const struct config *config, struct err *err)
{
    if (!config->watch)
        return 0;
    if (!config_is_endpoint(config))
        return err_set(err, ERR_CONFIG,
                       "--watch is for a worker that serves the job API: add --rp_serve_api");
    if (config->handler.http != NULL && config->handler.program == NULL)
        return err_set(err, ERR_CONFIG,
                       "--watch: the server of --handler-http was started by somebody else; let "
                       "the worker start it (--handler PROGRAM)");
    return 0;
}

/* A port; not set: `otherwise`. */
static int read_port(const char *name, const char *text, uint16_t otherwise, uint16_t *port,
                     struct err *err)
{
    uint64_t number = otherwise;
    if (text != NULL && !byte_class_decimal(slice_from(text), 65535, &number))
        return err_set(err, ERR_CONFIG, "%s is \"%.32s\"; it must be a port, 0 to 65535", name,
                       text);
    *port = (uint16_t)number;
    return 0;
}

static int check_serve(struct config *config, struct err *err)
{
    const char *path = config->serve.health_path;
    int rc = read_port("PORT", config->serve.port_text, LIMIT_SERVE_PORT, &config->serve.port, err);
    if (rc == 0)
        rc = read_port("PORT_HEALTH", config->serve.health_text, config->serve.port,
                       &config->serve.health_port, err);
    if (path == NULL)
        config->serve.health_path = "/ping";
    else if (rc == 0 && (path[0] != '/' || !byte_class_all(slice_from(path), BYTE_CLASS_VISIBLE) ||
                         strpbrk(path, "?#*") != NULL))
        rc = err_set(
            err, ERR_CONFIG,
            "HEALTH_CHECK_PATH is \"%.64s\"; it must be a path like /ping, without a query", path);
    return rc;
}

int config_check(struct config *config, struct err *err)
{
    int rc = check_api_key(config->api_key, err);
    if (rc == 0)
        rc = check_denied_downloads(config, err);
    if (rc == 0)
        rc = check_watch(config, err);
    if (rc != 0 || config_is_local(config))
        return rc;
    if (config_is_endpoint(config) && config->serve.on)
        return err_set(err, ERR_CONFIG, "--serve and --rp_serve_api exclude each other");
    if (config_is_endpoint(config))
        return check_endpoint(config, err);
    if (config_is_serving(config))
        return check_serve(config, err);
    if (config_is_realtime(config))
        return check_realtime(config, err);
    rc = check_url("RUNPOD_WEBHOOK_GET_JOB", config->take_url, err);
    if (rc == 0)
        rc = check_url("RUNPOD_WEBHOOK_POST_OUTPUT", config->output_url, err);
    if (rc == 0)
        rc = check_url("RUNPOD_WEBHOOK_POST_STREAM", config->stream_url, err);
    if (rc == 0)
        rc = check_url("RUNPOD_WEBHOOK_PING", config->ping_url, err);
    if (rc == 0 && config->output_url.len == 0)
        rc = err_set(err, ERR_CONFIG,
                     "RUNPOD_WEBHOOK_POST_OUTPUT is not set: results could "
                     "not be delivered");
    return rc == 0 ? proxy_check(&config->proxy, err) : rc;
}

const char *environment_scratch_folder(bool *is_chosen)
{
    const char *chosen = secure_getenv("RP_SCRATCH_DIR"), *usual = secure_getenv("TMPDIR");
    *is_chosen = chosen != NULL && chosen[0] != '\0';
    return *is_chosen ? chosen : usual != NULL && usual[0] != '\0' ? usual : "/tmp";
}
