/* Requests that stay at the server's origin, wherever it redirects. */
#include "codec/url.h"
#include "upstream/upstream_private.h"

static bool allows(const struct route_filter *filter, slice method, slice target)
{
    struct err err;
    return filter->count == 0 ||
           (route_check(target, &err) == 0 && route_filter_allows(filter, method, target));
}

/* Replaces the URL by where the redirect leads. */
static int follow(struct buf *url, slice location, int status, slice method,
                  const struct route_filter *filter, struct err *err)
{
    struct url from, to;
    struct buf target;
    if (location.len == 0)
        return err_set(err, ERR_PEER, "a redirect (status %d) without a Location", status);
    buf_init(&target, URL_MAX_BYTES, "redirect");
    int rc = url_parse(buf_slice(url), &from, err);
    if (rc == 0)
        rc = url_resolve(&from, location, &target, err);
    if (rc == 0)
        rc = url_parse(buf_slice(&target), &to, err);
    if (rc != 0)
        err_wrap(err, "a redirect (status %d) that cannot be followed", status);
    else if (!url_same_origin(&from, &to))
        rc = err_set(err, ERR_PEER,
                     "a redirect (status %d) to another origin (%s://%.*s:%u), which is not "
                     "followed",
                     status, to.tls ? "https" : "http", SLICE_ARG(to.host), to.port);
    else if (filter != NULL && !allows(filter, method, to.target))
        rc = err_set(err, ERR_PEER,
                     "a redirect (status %d) to a route that --handler-routes does not allow: %.*s",
                     status, SLICE_ARG(to.target));
    if (rc == 0) {
        buf_clear(url);
        rc = buf_add_slice(url, buf_slice(&target), err);
    }
    buf_free(&target);
    return rc == 0 || rc == ERR_MEMORY ? rc : (err->code = ERR_PEER);
}

int upstream_open_at_origin(struct http_client *client, const struct http_request *template,
                            const struct route_filter *filter, struct buf *url,
                            struct http_response *response, struct err *err)
{
    char location[ROUTE_MAX_BYTES + 1];
    struct http_capture capture = { "Location", location, sizeof location };
    struct http_request request = *template;
    request.keep_redirects = true;
    request.captures = &capture;
    request.capture_count = 1;
    for (int hops = 0;; hops++) {
        request.url = buf_slice(url);
        location[0] = '\0';
        int rc = http_open(client, &request, response, err);
        response->connected |= hops > 0; /* some of it has reached the server */
        if (rc != 0 || !http_is_redirect(request.method, response->status))
            return rc;
        http_skip(client);
        if (hops == LIMIT_REDIRECTS)
            return err_set(err, ERR_PEER, "more than %d redirects", LIMIT_REDIRECTS);
        rc = follow(url, slice_from(location), response->status, slice_from(request.method), filter,
                    err);
        if (rc != 0)
            return rc;
    }
}
