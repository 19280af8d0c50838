#include "codec/chars.h"
#include "codec/http1.h"

/* Appends pieces, all of them or none. */
static int add_all(struct buf *out, const slice *pieces, size_t count, struct err *err)
{
    size_t before = out->len;
    for (size_t i = 0; i < count; i++) {
        int rc = buf_add_slice(out, pieces[i], err);
        if (rc != 0) {
            out->len = before;
            return rc;
        }
    }
    return 0;
}

int http1_put_request(struct buf *out, const char *method, slice target, slice host_port,
                      struct err *err)
{
    const slice pieces[] = {
        slice_from(method), SLICE_LITERAL(" "),   target, SLICE_LITERAL(" HTTP/1.1\r\nHost: "),
        host_port,          SLICE_LITERAL("\r\n")
    };
    if (!chars_all(slice_from(method), CHARS_TOKEN))
        return err_set(err, ERR_INPUT, "a request's method is no token");
    if (!chars_all(target, CHARS_VISIBLE))
        return err_set(err, ERR_INPUT,
                       "a request's target is empty or holds a byte to be percent-encoded");
    if (!chars_all(host_port, CHARS_VISIBLE))
        return err_set(err, ERR_INPUT, "a request's host is empty or holds an invalid byte");
    return add_all(out, pieces, sizeof pieces / sizeof *pieces, err);
}

int http1_put_field(struct buf *out, const char *name, slice value, struct err *err)
{
    const slice pieces[] = { slice_from(name), SLICE_LITERAL(": "), value, SLICE_LITERAL("\r\n") };
    if (!chars_all(slice_from(name), CHARS_TOKEN))
        return err_set(err, ERR_INPUT, "a request field's name is no token");
    if (chars_span(value, CHARS_FIELD) != value.len)
        return err_set(err, ERR_INPUT,
                       "the value of request field %s holds a line break or control character",
                       name);
    return add_all(out, pieces, sizeof pieces / sizeof *pieces, err);
}

int http1_put_end(struct buf *out, struct err *err)
{
    return buf_add_slice(out, SLICE_LITERAL("\r\n"), err);
}
