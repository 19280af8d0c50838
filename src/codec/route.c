#include "codec/route.h"

#include "codec/chars.h"

/* The byte at *pos, percent-decoded; *pos moves behind it. -1 for a broken escape. */
static int next_byte(slice text, size_t *pos)
{
    char c = text.ptr[(*pos)++];
    if (c != '%')
        return (unsigned char)c;
    if (text.len - *pos < 2 || !chars_in(text.ptr[*pos], CHARS_HEX) ||
        !chars_in(text.ptr[*pos + 1], CHARS_HEX))
        return -1;
    unsigned value = chars_hex_value(text.ptr[*pos]) * 16 + chars_hex_value(text.ptr[*pos + 1]);
    *pos += 2;
    return (int)value;
}

/* What a byte may not be, written or encoded. NULL where it may. */
static const char *objection(char written, int byte)
{
    if (byte < 0)
        return "a broken % escape";
    if (byte < 0x20 || byte == 0x7f)
        return "a control character";
    if (byte == '\\')
        return "a backslash";
    if (written == '#')
        return "a fragment (#)";
    return chars_in(written, CHARS_VISIBLE) ? NULL : "a character that a URL cannot hold";
}

/* Segments of nothing but one or two dots lead elsewhere. */
static bool has_dot_segment(slice path)
{
    size_t dots = 0;
    bool only_dots = true;
    for (size_t pos = 0; pos <= path.len;) {
        int byte = pos == path.len ? '/' : next_byte(path, &pos);
        if (byte == '/') {
            if (only_dots && (dots == 1 || dots == 2))
                return true;
            only_dots = true;
            dots = 0;
        } else {
            only_dots = only_dots && byte == '.';
            dots++;
        }
        if (pos == path.len && byte == '/')
            break;
    }
    return false;
}

int route_check(slice route, struct err *err)
{
    slice path = { route.ptr, chars_until(route, "?") };
    if (route.len == 0 || route.ptr[0] != '/')
        return err_set(err, ERR_INPUT, "a route must be a path that starts with /");
    if (route.len > ROUTE_MAX_BYTES)
        return err_set(err, ERR_INPUT, "a route may have %d bytes at most", ROUTE_MAX_BYTES);
    if (route.len > 1 && route.ptr[1] == '/')
        return err_set(err, ERR_INPUT, "a route must be a path on the server, without a host");
    for (size_t pos = 0; pos < route.len;) {
        char written = route.ptr[pos];
        const char *what = objection(written, next_byte(route, &pos));
        if (what != NULL)
            return err_set(err, ERR_INPUT, "a route may not hold %s", what);
    }
    if (has_dot_segment(path))
        return err_set(err, ERR_INPUT, "a route may not hold the segments . or ..");
    return 0;
}

bool route_method(slice method, const char **name)
{
    static const char *const names[] = {
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_equal(method, slice_from(names[i]))) {
            *name = names[i];
            return true;
        }
    }
    return false;
}
