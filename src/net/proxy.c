#include "net/proxy.h"

#include "codec/base64.h"

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static int parse_proxy(const char *text, struct url *proxy, struct err *err)
{
    int rc = url_parse(slice_from(text), proxy, err);
    if (rc == 0 && proxy->tls)
        return err_set(err, ERR_CONFIG, "only http:// proxies are supported");
    return rc;
}

static int check_one(const char *name, const char *text, struct err *err)
{
    struct url proxy;
    if (!is_set(text) || parse_proxy(text, &proxy, err) == 0)
        return 0;
    err_wrap(err, "%s: write it as http://HOST:PORT", name);
    err->code = ERR_CONFIG;
    return ERR_CONFIG;
}

int proxy_check(const struct proxy_config *config, struct err *err)
{
    int rc = check_one("HTTPS_PROXY", config->https_proxy, err);
    return rc != 0 ? rc : check_one("HTTP_PROXY", config->http_proxy, err);
}

static bool ends_with_nocase(slice text, slice end)
{
    return text.len >= end.len &&
           strncasecmp(text.ptr + (text.len - end.len), end.ptr, end.len) == 0;
}

/* An address has no domains above it. (No top-level domain ends in a digit.) */
static bool is_address(slice host)
{
    char last = host.ptr[host.len - 1];
    return (last >= '0' && last <= '9') || memchr(host.ptr, ':', host.len) != NULL;
}

/* One entry of NO_PROXY against the host: the name itself or a domain above it. */
static bool entry_matches(slice entry, slice host)
{
    if (entry.len == 1 && entry.ptr[0] == '*')
        return true;
    if (entry.len > 2 && entry.ptr[0] == '[' && entry.ptr[entry.len - 1] == ']')
        entry = (slice){ entry.ptr + 1, entry.len - 2 };
    if (entry.len > 0 && entry.ptr[0] == '.')
        entry = slice_skip(entry, 1);
    if (entry.len == 0 || !ends_with_nocase(host, entry))
        return false;
    if (host.len == entry.len)
        return true;
    return host.ptr[host.len - entry.len - 1] == '.' && !is_address(host);
}

static bool is_exempt(const char *no_proxy, slice host)
{
    if (!is_set(no_proxy))
        return false;
    for (const char *at = no_proxy; *at != '\0';) {
        size_t len = strcspn(at, ", \t");
        if (entry_matches((slice){ at, len }, host))
            return true;
        at += len;
        at += strspn(at, ", \t");
    }
    return false;
}

bool proxy_for(const struct proxy_config *config, const struct url *origin, struct url *proxy)
{
    const char *text = origin->tls ? config->https_proxy : config->http_proxy;
    if (!is_set(text) || is_exempt(config->no_proxy, origin->host))
        return false;
    return parse_proxy(text, proxy, NULL) == 0;
}

int proxy_put_credentials(struct buf *out, const struct url *proxy, struct err *err)
{
    struct buf plain;
    buf_init(&plain, URL_MAX_BYTES, "proxy user and password");
    int rc = url_decode(&plain, proxy->user, err);
    if (rc == 0)
        rc = buf_add_text(out, "Basic ", err);
    if (rc == 0)
        rc = base64_put(out, buf_slice(&plain), err);
    if (plain.ptr != NULL)
        explicit_bzero(plain.ptr, plain.len);
    buf_free(&plain);
    return rc;
}
