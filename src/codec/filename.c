#include "codec/filename.h"

#include "base/utf8_escape.h"
#include "codec/byte_class.h"

#define EXTENSION_MAX_BYTES 16 /* what is longer is not an extension but a name with a dot */

/* --- Content-Disposition ------------------------------------------------------------------- */

/* Bytes of a name under construction. */
struct name {
    char *bytes;
    size_t len;
};

static bool put(struct name *name, char c)
{
    if (name->len == FILENAME_RAW_BYTES)
        return false;
    name->bytes[name->len++] = c;
    return true;
}

/* Cuts a quoted string off the start of *rest. False where it does not end. */
static bool read_quoted(slice *rest, struct name *name)
{
    size_t i = 1;
    for (; i < rest->len && rest->ptr[i] != '"'; i++) {
        if (rest->ptr[i] == '\\' && i + 1 < rest->len)
            i++;
        if (!put(name, rest->ptr[i]))
            return false;
    }
    if (i == rest->len)
        return false;
    *rest = slice_skip(*rest, i + 1);
    return true;
}

/* Everything up to the next semicolon; with spaces in it, which RFC 9110 does not allow. */
static bool read_plain(slice *rest, struct name *name)
{
    slice value = byte_class_trim((slice){ rest->ptr, byte_class_until(*rest, ";") });
    for (size_t i = 0; i < value.len; i++)
        if (!put(name, value.ptr[i]))
            return false;
    return true;
}

static bool put_latin1(struct name *name, unsigned char c)
{
    if (c < 0x80)
        return put(name, (char)c);
    return put(name, (char)(0xc0 | c >> 6)) && put(name, (char)(0x80 | (c & 0x3f)));
}

static bool put_decoded(struct name *name, slice text, bool latin1)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '%') {
            if (text.len - i < 3 || !byte_class_in(text.ptr[i + 1], BYTE_CLASS_HEX) ||
                !byte_class_in(text.ptr[i + 2], BYTE_CLASS_HEX))
                return false;
            c = (unsigned char)(byte_class_hex_value(text.ptr[i + 1]) << 4 |
                                byte_class_hex_value(text.ptr[i + 2]));
            i += 2;
        }
        if (!(latin1 ? put_latin1(name, c) : put(name, (char)c)))
            return false;
    }
    return true;
}

/* charset'language'percent-encoded text (RFC 8187, section 3.2). */
static bool decode_extended(slice text, struct name *name)
{
    slice charset = { text.ptr, byte_class_until(text, "'") };
    slice rest = slice_skip(text, charset.len);
    if (rest.len == 0)
        return false;
    rest = slice_skip(rest, 1);
    size_t language = byte_class_until(rest, "'");
    if (language == rest.len)
        return false;
    bool latin1 = slice_is_nocase(charset, "iso-8859-1");
    if (!latin1 && !slice_is_nocase(charset, "utf-8"))
        return false;
    return put_decoded(name, slice_skip(rest, language + 1), latin1);
}

/* The next "; key = value" of *rest. False at the end. *good: the value could be read. */
static bool next_parameter(slice *rest, slice *key, struct name *value, bool *good)
{
    *rest = slice_skip(*rest, byte_class_until(*rest, ";"));
    if (rest->len == 0)
        return false;
    *rest = slice_skip(*rest, 1);
    *key = byte_class_trim((slice){ rest->ptr, byte_class_until(*rest, "=;") });
    *rest = slice_skip(*rest, byte_class_until(*rest, "=;"));
    value->len = 0;
    *good = rest->len > 0 && rest->ptr[0] == '=';
    if (!*good)
        return true;
    *rest = byte_class_trim(slice_skip(*rest, 1));
    *good = rest->len > 0 && rest->ptr[0] == '"' ? read_quoted(rest, value)
                                                 : read_plain(rest, value);
    return true;
}

bool filename_in_disposition(slice value, char out[FILENAME_RAW_BYTES], size_t *len)
{
    char text[FILENAME_RAW_BYTES];
    struct name parameter = { text, 0 }, name = { out, 0 };
    slice key;
    bool good;
    for (slice rest = value; next_parameter(&rest, &key, &parameter, &good); name.len = 0)
        if (good && slice_is_nocase(key, "filename*") &&
            decode_extended((slice){ text, parameter.len }, &name)) {
            *len = name.len;
            return true;
        }
    for (slice rest = value; next_parameter(&rest, &key, &parameter, &good);)
        if (good && slice_is_nocase(key, "filename")) {
            memcpy(out, text, parameter.len);
            *len = parameter.len;
            return true;
        }
    return false;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written to through `name` */
bool filename_in_target(slice target, char out[FILENAME_RAW_BYTES], size_t *len)
{
    slice path = { target.ptr, byte_class_until(target, "?#") };
    size_t start = path.len;
    while (start > 0 && path.ptr[start - 1] != '/')
        start--;
    struct name name = { out, 0 };
    bool good = start < path.len && put_decoded(&name, slice_skip(path, start), false);
    *len = good ? name.len : 0;
    return good;
}

/* --- a safe name --------------------------------------------------------------------------- */

static slice after_last_separator(slice name)
{
    size_t start = name.len;
    while (start > 0 && name.ptr[start - 1] != '/' && name.ptr[start - 1] != '\\')
        start--;
    return slice_skip(name, start);
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Dots hide a file or go up; dots and blanks at an end are lost by some file systems. */
static slice trim_ends(slice name)
{
    while (name.len > 0 && (name.ptr[0] == '.' || name.ptr[0] == ' ' || is_control(name.ptr[0])))
        name = slice_skip(name, 1);
    while (name.len > 0 && (name.ptr[name.len - 1] == '.' || name.ptr[name.len - 1] == ' ' ||
                            is_control(name.ptr[name.len - 1])))
        name.len--;
    return name;
}

/* Copies the characters of name that fit into out[0..room). */
static size_t copy_safe(slice name, char *out, size_t room)
{
    size_t used = 0;
    while (name.len > 0) {
        size_t size = utf8_sequence(name.ptr, name.len);
        size_t taken = size == 0 ? 1 : size;
        bool bad = size == 0 || memchr("<>:\"|?*", name.ptr[0], 7) != NULL;
        bool dropped = is_control(name.ptr[0]);
        if (!dropped && used + (bad ? 1 : size) > room)
            break;
        if (bad)
            out[used++] = '_';
        else if (!dropped)
            memcpy(out + used, name.ptr, size), used += size;
        name = slice_skip(name, taken);
    }
    return used;
}

/* ".png" of "a.png": kept when a name is cut. */
static slice extension_of(slice name)
{
    for (size_t i = 1; i <= EXTENSION_MAX_BYTES && i < name.len; i++)
        if (name.ptr[name.len - i] == '.')
            return slice_skip(name, name.len - i);
    return (slice){ name.ptr, 0 };
}

bool filename_make_safe(slice name, char out[FILENAME_BYTES])
{
    char tail[EXTENSION_MAX_BYTES];
    name = trim_ends(after_last_separator(name));
    slice extension = extension_of(name);
    size_t tail_len = copy_safe(extension, tail, sizeof tail);
    slice stem = { name.ptr, name.len - extension.len };
    size_t len = copy_safe(stem, out, FILENAME_BYTES - 1 - tail_len);
    if (tail_len > 0)
        memcpy(out + len, tail, tail_len);
    len = trim_ends((slice){ out, len + tail_len }).len; /* it may have been cut there */
    out[len] = '\0';
    if (out[0] == '-')
        out[0] = '_';
    return len > 0;
}
