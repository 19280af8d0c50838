/* What a browser says of the page that makes it send a request; whose name is the host. */
#include <string.h>

#include "codec/byte_class.h"
#include "codec/http1.h"
#include "codec/ip.h"

/* What stands behind "http://" or "https://"; the whole of anything else. */
static slice without_scheme(slice origin)
{
    static const slice schemes[] = { SLICE_LITERAL("https://"), SLICE_LITERAL("http://") };
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (origin.len > schemes[i].len && memcmp(origin.ptr, schemes[i].ptr, schemes[i].len) == 0)
            return slice_skip(origin, schemes[i].len);
    return origin;
}

bool http1_request_is_same_origin(const struct http1_request *request)
{
    slice origin, site;
    if (http1_request_field(request, "Origin", &origin))
        return request->host.ptr != NULL && slice_equal(without_scheme(origin), request->host);
    /* A GET of an image, say. */
    return !http1_request_field(request, "Sec-Fetch-Site", &site) ||
           slice_is(site, "same-origin") || slice_is(site, "none");
}

/* The host of "host:port" or "[v6]:port", without a dot at its end; the whole of anything else. */
static slice host_name(slice host)
{
    if (host.len > 0 && host.ptr[0] == '[') {
        slice inner = { host.ptr + 1, byte_class_until(slice_skip(host, 1), "]") };
        slice rest = slice_skip(host, 1 + inner.len);
        bool closed = rest.len > 0 && (rest.len == 1 || rest.ptr[1] == ':');
        return closed ? inner : host;
    }
    return slice_trim_end((slice){ host.ptr, byte_class_until(host, ":") }, '.');
}

static bool is_below_localhost(slice name)
{
    return slice_ends_nocase(name, SLICE_LITERAL(".localhost"));
}

bool http1_request_has_own_name(const struct http1_request *request, slice own)
{
    struct ip address;
    if (request->host.ptr == NULL)
        return request->minor_version == 0;
    slice name = host_name(request->host);
    return byte_class_until(name, ".") == name.len || is_below_localhost(name) ||
           (name.len == own.len && slice_ends_nocase(name, own)) || ip_parse(name, &address);
}

bool http1_request_is_local_origin(const struct http1_request *request)
{
    static const unsigned char v6_loopback[IP_V6_BYTES] = { [IP_V6_BYTES - 1] = 1 };
    slice origin, site;
    struct ip address;
    if (!http1_request_field(request, "Origin", &origin)) /* of the Host's pages on other ports */
        return http1_request_field(request, "Sec-Fetch-Site", &site) &&
               slice_is(site, "same-site") && http1_request_has_own_name(request, (slice){ 0 });
    slice rest = without_scheme(origin);
    if (rest.len == origin.len)
        return false;
    slice name = host_name(rest);
    if (slice_is_nocase(name, "localhost") || is_below_localhost(name))
        return true;
    return ip_parse(name, &address) &&
           (address.size == IP_V4_BYTES ? address.bytes[0] == 127
                                        : memcmp(address.bytes, v6_loopback, IP_V6_BYTES) == 0);
}

bool http1_request_is_navigation(const struct http1_request *request)
{
    slice mode, dest;
    return (slice_is(request->method, "GET") || slice_is(request->method, "HEAD")) &&
           http1_request_field(request, "Sec-Fetch-Mode", &mode) && slice_is(mode, "navigate") &&
           http1_request_field(request, "Sec-Fetch-Dest", &dest) && slice_is(dest, "document");
}
