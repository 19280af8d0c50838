#include "codec/route.h"

#include <string.h>

#include "codec/byte_class.h"

/* The byte at *pos, percent-decoded; *pos moves behind it. -1 for a broken escape. */
static int next_byte(slice text, size_t *pos)
{
    char c = text.ptr[(*pos)++];
    if (c != '%')
        return (unsigned char)c;
    if (text.len - *pos < 2 || !byte_class_in(text.ptr[*pos], BYTE_CLASS_HEX) ||
        !byte_class_in(text.ptr[*pos + 1], BYTE_CLASS_HEX))
        return -1;
    unsigned value = byte_class_hex_value(text.ptr[*pos]) * 16 +
                     byte_class_hex_value(text.ptr[*pos + 1]);
    *pos += 2;
    return (int)value;
}

/* NULL, or what kind of byte this is that a route may not hold, plain or encoded. */
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
    return byte_class_in(written, BYTE_CLASS_VISIBLE) ? NULL : "a character that a URL cannot hold";
}

/* Decodes once, in place; an invalid escape stays. Returns the new length. */
static size_t decode(char *text, size_t len)
{
    size_t to = 0;
    for (size_t from = 0; from < len;) {
        size_t next = from;
        int byte = next_byte((slice){ text, len }, &next);
        text[to++] = byte < 0 ? text[from] : (char)byte;
        from = byte < 0 ? from + 1 : next;
    }
    return to;
}

/* "." and "..", and with parameters as well ("..;a=1"): some servers drop those first. */
static bool is_dot_segment(slice segment)
{
    size_t len = byte_class_until(segment, ";");
    return (len == 1 || len == 2) && segment.ptr[0] == '.' && segment.ptr[len - 1] == '.';
}

/*
 * Dot segments lead elsewhere, also those that only show once the path has been decoded, by a proxy
 * and then by a server behind it: as often as there is anything to decode.
 */
static bool has_dot_segment(slice path)
{
    char text[ROUTE_MAX_BYTES];
    size_t len = path.len, before;
    memcpy(text, path.ptr, len);
    do {
        for (size_t at = 0; at < len;) {
            slice rest = { text + at, len - at };
            size_t segment = byte_class_until(rest, "/\\");
            if (is_dot_segment((slice){ rest.ptr, segment }))
                return true;
            at += segment + 1;
        }
        before = len;
        len = decode(text, len);
    } while (len < before);
    return false;
}

int route_check(slice route, struct err *err)
{
    slice path = { route.ptr, byte_class_until(route, "?") };
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

size_t route_decode_path(slice route, char path[ROUTE_MAX_BYTES])
{
    size_t len = byte_class_until(route, "?");
    len = len < ROUTE_MAX_BYTES ? len : ROUTE_MAX_BYTES;
    memcpy(path, route.ptr, len);
    return decode(path, len);
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
