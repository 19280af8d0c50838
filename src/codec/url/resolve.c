#include <stdio.h>
#include <string.h>

#include "codec/chars.h"
#include "codec/url.h"

/* A reference's parts (RFC 3986, section 4.1), each empty where it has none. */
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
    size_t colon = chars_until(text, ":/?#");
    if (colon == text.len || text.ptr[colon] != ':')
        return 0;
    return chars_in(text.ptr[0], CHARS_ALPHA) ? colon + 1 : 0;
}

/* The fragment is left out: it is never sent. */
static struct reference split(slice text)
{
    struct reference parts = { 0 };
    text.len = chars_until(text, "#");
    parts.scheme = cut(&text, scheme_bytes(text));
    parts.authority = (slice){ text.ptr, 0 };
    if (text.len >= 2 && memcmp(text.ptr, "//", 2) == 0)
        parts.authority = cut(&text, 2 + chars_until(slice_skip(text, 2), "/?"));
    parts.path = cut(&text, chars_until(text, "?"));
    parts.query = text;
    return parts;
}

static int add_authority(struct buf *out, const struct url *url, struct err *err)
{
    char port[sizeof ":65535"];
    int rc = buf_add_text(out, url->host_is_ipv6 ? "//[" : "//", err);
    if (rc == 0)
        rc = buf_add_slice(out, url->host, err);
    if (rc == 0 && url->host_is_ipv6)
        rc = buf_add_text(out, "]", err);
    if (rc != 0 || url->port == (url->tls ? 443 : 80))
        return rc;
    snprintf(port, sizeof port, ":%u", (unsigned)url->port);
    return buf_add_text(out, port, err);
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
        slice segment = { rest.ptr, chars_until(rest, "/") };
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

static int add_path(struct buf *out, slice folder, slice path, struct err *err)
{
    size_t start = out->len;
    int rc = buf_add_slice(out, folder, err);
    if (rc == 0)
        rc = buf_add_slice(out, path, err);
    if (rc == 0 && out->len > start && out->ptr[start] == '/')
        out->len = start + remove_dot_segments(out->ptr + start, out->len - start);
    return rc;
}

/* RFC 3986, section 5.2.2, with a base that always has a scheme and an authority. */
static int compose(struct buf *out, const struct url *base, const struct reference *to,
                   struct err *err)
{
    slice base_query = base->target;
    slice base_path = cut(&base_query, chars_until(base_query, "?"));
    bool own_origin = to->scheme.len > 0 || to->authority.len > 0;
    bool same_path = !own_origin && to->path.len == 0;
    bool relative = !own_origin && !same_path && to->path.ptr[0] != '/';
    int rc = to->scheme.len > 0 ? buf_add_slice(out, to->scheme, err)
                                : buf_add_text(out, base->tls ? "https:" : "http:", err);
    if (rc == 0)
        rc = own_origin ? buf_add_slice(out, to->authority, err) : add_authority(out, base, err);
    if (rc == 0)
        rc = add_path(out, relative ? folder_of(base_path) : (slice){ 0 },
                      same_path ? base_path : to->path, err);
    if (rc == 0)
        rc = buf_add_slice(out, same_path && to->query.len == 0 ? base_query : to->query, err);
    return rc;
}

int url_resolve(const struct url *base, slice location, struct buf *out, struct err *err)
{
    size_t start = out->len;
    if (location.len > URL_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "the redirect's URL is longer than %d bytes", URL_MAX_BYTES);
    struct reference to = split(location);
    int rc = compose(out, base, &to, err);
    if (rc == 0 && out->len - start > URL_MAX_BYTES)
        rc = err_set(err, ERR_LIMIT, "the redirect's URL is longer than %d bytes", URL_MAX_BYTES);
    struct url checked;
    if (rc == 0)
        rc = url_parse((slice){ out->ptr + start, out->len - start }, &checked, err);
    if (rc != 0)
        out->len = start;
    return rc;
}
