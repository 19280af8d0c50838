/* A redirect's Location, resolved against the URL it came from. */
#include <stdio.h>
#include <string.h>

#include "codec/byte_class.h"
#include "codec/url.h"

/* A reference's parts (RFC 3986, section 4.1); a missing one is empty. */
struct reference {
    slice scheme;    /* with its colon */
    slice authority; /* with its two slashes */
    slice path;
    slice query; /* with its question mark */
};

static slice cut(slice *text, size_t len)
{
    slice head = { text->ptr, len };
    *text = slice_skip(*text, len);
    return head;
}

static size_t scheme_bytes(slice text)
{
    size_t colon = byte_class_until(text, ":/?#");
    if (colon == text.len || text.ptr[colon] != ':')
        return 0;
    return byte_class_in(text.ptr[0], BYTE_CLASS_ALPHA) ? colon + 1 : 0;
}

/* The fragment is left out: it is never sent. */
static struct reference split(slice text)
{
    struct reference parts = { 0 };
    text.len = byte_class_until(text, "#");
    parts.scheme = cut(&text, scheme_bytes(text));
    parts.authority = (slice){ text.ptr, 0 };
    if (slice_starts(text, SLICE_LITERAL("//")))
        parts.authority = cut(&text, 2 + byte_class_until(slice_skip(text, 2), "/?"));
    parts.path = cut(&text, byte_class_until(text, "?"));
    parts.query = text;
    return parts;
}

static void add_authority(struct buf *out, const struct url *url)
{
    char port[sizeof ":65535"] = "";
    if (url->port != (url->tls ? 443 : 80))
        snprintf(port, sizeof port, ":%u", (unsigned)url->port);
    buf_add_text(out, url->host_is_ipv6 ? "//[" : "//", NULL);
    buf_add_slice(out, url->host, NULL);
    buf_add_text(out, url->host_is_ipv6 ? "]" : "", NULL);
    buf_add_text(out, port, NULL);
}

/* RFC 3986, section 5.2.3: what stands before a relative path. */
static slice folder_of(slice path)
{
    while (path.len > 0 && path.ptr[path.len - 1] != '/')
        path.len--;
    return path.len > 0 ? path : SLICE_LITERAL("/");
}

/* RFC 3986, section 5.2.4, in place. Returns the new length. */
static size_t remove_dot_segments(char *path, size_t len)
{
    size_t from = 0, to = 0;
    while (from < len && path[from] == '/') {
        slice rest = { path + from + 1, len - from - 1 };
        slice segment = { rest.ptr, byte_class_until(rest, "/") };
        bool up = slice_is(segment, ".."), dots = up || slice_is(segment, ".");
        while (up && to > 0 && path[--to] != '/')
            ;
        size_t count = dots ? 0 : segment.len + 1;
        memmove(path + to, path + from, count);
        to += count;
        from += segment.len + 1;
        if (dots && from == len)
            path[to++] = '/'; /* "/a/.." names the folder, not its file */
    }
    return to;
}

static void add_path(struct buf *out, slice folder, slice path)
{
    size_t start = out->len;
    buf_add_slice(out, folder, NULL);
    buf_add_slice(out, path, NULL);
    if (out->len > start && out->ptr[start] == '/')
        buf_truncate(out, start + remove_dot_segments(out->ptr + start, out->len - start));
}

/* RFC 3986, section 5.2.2, with a base that always has a scheme and an authority. */
static void compose(struct buf *out, const struct url *base, const struct reference *to)
{
    slice base_query = base->target;
    slice base_path = cut(&base_query, byte_class_until(base_query, "?"));
    bool own_origin = to->scheme.len > 0 || to->authority.len > 0;
    bool same_path = !own_origin && to->path.len == 0;
    bool relative = !own_origin && !same_path && to->path.ptr[0] != '/';
    if (to->scheme.len > 0)
        buf_add_slice(out, to->scheme, NULL);
    else
        buf_add_text(out, base->tls ? "https:" : "http:", NULL);
    if (own_origin)
        buf_add_slice(out, to->authority, NULL);
    else
        add_authority(out, base);
    add_path(out, relative ? folder_of(base_path) : (slice){ 0 }, same_path ? base_path : to->path);
    buf_add_slice(out, same_path && to->query.len == 0 ? base_query : to->query, NULL);
}

int url_resolve(const struct url *base, slice location, struct buf *out, struct err *err)
{
    size_t start = out->len;
    if (location.len > URL_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "the redirect's URL is longer than %d bytes", URL_MAX_BYTES);
    struct reference to = split(location);
    compose(out, base, &to);
    int rc = buf_error(out, err);
    if (rc == 0 && out->len - start > URL_MAX_BYTES)
        rc = err_set(err, ERR_LIMIT, "the redirect's URL is longer than %d bytes", URL_MAX_BYTES);
    struct url checked;
    if (rc == 0)
        rc = url_parse((slice){ out->ptr + start, out->len - start }, &checked, err);
    if (rc != 0)
        buf_truncate(out, start);
    return rc;
}
