#include "codec/proxy.h"

#include "codec/base64.h"
#include "codec/byte_class.h"
#include "codec/ip.h"

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

/* --- NO_PROXY --- */

/* One entry: everything ("*"), a range of addresses, or a name and all names below it. */
struct exemption {
    bool all;
    bool is_range;
    struct ip_range range;
    slice name;      /* without dots around it */
    bool below_only; /* "*.example.org": not the name itself */
    uint64_t port;   /* 0: any */
};

#define PORT_MAX 65535

/* Cuts ":PORT" off. False where what follows the host is not a port. */
static bool cut_port(slice *host, uint64_t *port)
{
    bool bracketed = host->len > 0 && host->ptr[0] == '[';
    size_t len = byte_class_until(*host, bracketed ? "]" : ":") + bracketed;
    if (len >= host->len)
        return len == host->len; /* longer where a bracket is not closed */
    slice rest = slice_skip(*host, len);
    host->len = len;
    return rest.ptr[0] == ':' && byte_class_decimal(slice_skip(rest, 1), PORT_MAX, port) &&
           *port > 0;
}

/* Reads an address; an IPv6 one is in brackets here. */
static bool parse_address(slice host, struct ip_range *range)
{
    bool bracketed = host.len > 2 && host.ptr[0] == '[';
    if (bracketed)
        host = (slice){ host.ptr + 1, host.len - 2 };
    range->bits = bracketed ? IP_V6_BYTES * 8 : IP_V4_BYTES * 8;
    return ip_parse(host, &range->start) && range->start.size * 8 == range->bits;
}

/* A name whose last label is a number is a mistyped address, "10.0.0" (RFC 1123, section 2.1). */
static bool parse_name(slice text, struct exemption *entry)
{
    entry->below_only = text.len > 2 && text.ptr[0] == '*' && text.ptr[1] == '.';
    if (entry->below_only)
        text = slice_skip(text, 2);
    else if (text.len > 1 && text.ptr[0] == '.')
        text = slice_skip(text, 1);
    entry->name = slice_trim_end(text, '.');
    size_t last = entry->name.len;
    while (last > 0 && entry->name.ptr[last - 1] != '.')
        last--;
    slice label = slice_skip(entry->name, last);
    return byte_class_all(entry->name, BYTE_CLASS_HOST) && entry->name.ptr[0] != '.' &&
           label.len > 0 && !byte_class_all(label, BYTE_CLASS_DIGIT);
}

static bool parse_entry(slice text, struct exemption *entry)
{
    *entry = (struct exemption){ .all = slice_is(text, "*") };
    if (entry->all)
        return true;
    entry->is_range = ip_parse_range(text, &entry->range);
    if (entry->is_range)
        return true;
    if (!cut_port(&text, &entry->port))
        return false;
    entry->is_range = parse_address(text, &entry->range);
    return entry->is_range || parse_name(text, entry);
}

static bool name_matches(const struct exemption *entry, slice host)
{
    slice name = entry->name;
    host = slice_trim_end(host, '.');
    if (!slice_ends_nocase(host, name))
        return false;
    if (host.len == name.len)
        return !entry->below_only;
    return host.ptr[host.len - name.len - 1] == '.';
}

static bool entry_matches(const struct exemption *entry, const struct url *origin)
{
    struct ip ip;
    if (entry->all)
        return true;
    if (entry->port != 0 && entry->port != origin->port)
        return false;
    bool is_address = ip_parse_host(origin->host, &ip);
    if (entry->is_range)
        return is_address && ip_in_range(&ip, &entry->range);
    return !is_address && name_matches(entry, origin->host);
}

static const char separators[] = ", \t\r\n";

static bool is_exempt(const char *no_proxy, const struct url *origin)
{
    slice rest = slice_from(no_proxy), text;
    struct exemption entry;
    while (byte_class_next_word(&rest, separators, &text))
        if (parse_entry(text, &entry) && entry_matches(&entry, origin))
            return true;
    return false;
}

static int check_exemptions(const char *no_proxy, struct err *err)
{
    slice rest = slice_from(no_proxy), text;
    struct exemption entry;
    while (byte_class_next_word(&rest, separators, &text))
        if (!parse_entry(text, &entry))
            return err_set(err, ERR_CONFIG,
                           "NO_PROXY: \"%.*s\" is not understood; write each entry as NAME, "
                           "*.DOMAIN, ADDRESS, any of these with :PORT, RANGE (10.0.0.0/8), or *",
                           text.len < 64 ? (int)text.len : 64, text.ptr);
    return 0;
}

int proxy_check(const struct proxy_config *config, struct err *err)
{
    int rc = check_one("HTTPS_PROXY", config->https_proxy, err);
    if (rc == 0)
        rc = check_one("HTTP_PROXY", config->http_proxy, err);
    return rc != 0 ? rc : check_exemptions(config->no_proxy, err);
}

bool proxy_for(const struct proxy_config *config, const struct url *origin, struct url *proxy)
{
    const char *text = origin->tls ? config->https_proxy : config->http_proxy;
    if (!is_set(text) || is_exempt(config->no_proxy, origin))
        return false;
    return parse_proxy(text, proxy, NULL) == 0;
}

int proxy_put_credentials(struct buf *out, const struct url *proxy, struct err *err)
{
    struct buf plain;
    buf_init(&plain, URL_MAX_BYTES, "proxy user and password");
    int rc = url_decode(&plain, proxy->user, err);
    if (rc == 0) {
        buf_add_text(out, "Basic ", NULL);
        rc = base64_put(out, buf_slice(&plain), err);
    }
    if (plain.ptr != NULL)
        explicit_bzero(plain.ptr, plain.len);
    buf_free(&plain);
    return rc;
}
