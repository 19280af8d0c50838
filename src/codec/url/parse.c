/* An absolute http or https URL, taken apart. */
#include <string.h>

#include "codec/byte_class.h"
#include "codec/url.h"

#define PORT_MAX 65535
#define IPV6_MAX_BYTES 45 /* the longest text form, with an IPv4 address at its end */

static slice cut(slice *text, size_t len)
{
    slice head = { text->ptr, len };
    *text = slice_skip(*text, len);
    return head;
}

static bool skip_prefix(slice *text, const char *prefix)
{
    slice start = { text->ptr, strlen(prefix) };
    if (text->len < start.len || !slice_is_nocase(start, prefix))
        return false;
    *text = slice_skip(*text, start.len);
    return true;
}

/* "[address]": only whether it may be one; the address itself is checked when it is used. */
static int parse_ipv6(slice *rest, struct url *url, struct err *err)
{
    const char *end = memchr(rest->ptr, ']', rest->len);
    const char *address = rest->ptr + 1;
    size_t len = end == NULL ? 0 : (size_t)(end - address);
    url->host_is_ipv6 = true;
    url->host = (slice){ address, len };
    bool ok = len >= 2 && len <= IPV6_MAX_BYTES && memchr(address, ':', len) != NULL;
    for (size_t i = 0; ok && i < len; i++)
        ok = byte_class_in(address[i], BYTE_CLASS_HEX) || address[i] == ':' || address[i] == '.';
    if (!ok)
        return err_set(err, ERR_INPUT, "the URL's host is not an IPv6 address in brackets");
    *rest = slice_skip(*rest, len + 2);
    return 0;
}

static int parse_host(slice *rest, struct url *url, struct err *err)
{
    if (rest->len > 0 && rest->ptr[0] == '[')
        return parse_ipv6(rest, url, err);
    url->host = cut(rest, byte_class_span(*rest, BYTE_CLASS_HOST));
    if (url->host.len == 0)
        return err_set(err, ERR_INPUT, "the URL has no host");
    if (url->host.len > URL_HOST_MAX_BYTES)
        return err_set(err, ERR_INPUT, "the URL's host is longer than %d bytes",
                       URL_HOST_MAX_BYTES);
    return 0;
}

/* [ userinfo "@" ] host [ ":" port ] */
static int parse_authority(slice authority, struct url *url, struct err *err)
{
    const char *at = authority.len > 0 ? memchr(authority.ptr, '@', authority.len) : NULL;
    if (at != NULL) {
        url->user = cut(&authority, (size_t)(at - authority.ptr));
        authority = slice_skip(authority, 1);
    }
    int rc = parse_host(&authority, url, err);
    if (rc != 0)
        return rc;
    url->port = url->tls ? 443 : 80;
    if (authority.len == 0)
        return 0;
    if (authority.ptr[0] != ':')
        return err_set(err, ERR_INPUT, "the URL's host holds an invalid character");
    slice digits = slice_skip(authority, 1);
    uint64_t port = url->port;
    if (digits.len > 0 && (!byte_class_decimal(digits, PORT_MAX, &port) || port == 0))
        return err_set(err, ERR_INPUT, "the URL's port is not a number from 1 to %d", PORT_MAX);
    url->port = (uint16_t)port;
    return 0;
}

int url_parse(slice text, struct url *url, struct err *err)
{
    *url = (struct url){ 0 };
    if (text.len > URL_MAX_BYTES)
        return err_set(err, ERR_INPUT, "the URL is longer than %d bytes", URL_MAX_BYTES);
    if (byte_class_span(text, BYTE_CLASS_VISIBLE) != text.len)
        return err_set(err, ERR_INPUT,
                       "the URL holds white space, a control character or a byte above 0x7f");
    if (byte_class_until(text, "\\") != text.len) /* which some servers read as a slash */
        return err_set(err, ERR_INPUT, "the URL holds a backslash");
    url->tls = skip_prefix(&text, "https://");
    if (!url->tls && !skip_prefix(&text, "http://"))
        return err_set(err, ERR_INPUT, "the URL does not start with http:// or https://");
    slice authority = cut(&text, byte_class_until(text, "/?#"));
    url->target = cut(&text, byte_class_until(text, "#"));
    return parse_authority(authority, url, err);
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->tls == b->tls && a->port == b->port && a->host_is_ipv6 == b->host_is_ipv6 &&
           a->host.len == b->host.len && strncasecmp(a->host.ptr, b->host.ptr, a->host.len) == 0;
}
