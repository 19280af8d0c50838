/* Walking and reading checked text in place. */
#include "json/json.h"
#include "json/scan.h"

enum rp_type json_type(slice value)
{
    value = json_trim(value);
    if (value.len == 0)
        return RP_NONE;
    switch (value.ptr[0]) {
    case '{': return RP_OBJECT;
    case '[': return RP_ARRAY;
    case '"': return RP_STRING;
    case 't':
    case 'f': return RP_BOOL;
    case 'n': return RP_NULL;
    default: return value.ptr[0] == '-' || json_is_digit(value.ptr[0]) ? RP_NUMBER : RP_NONE;
    }
}

/*
 * Moves *at to the next child of the container that text holds: over its opening bracket, or over
 * the comma after the previous child. False at the end, and where text is not such a container; *at
 * is then at the end, so that the next call returns false, too.
 */
static bool next_child(const char **at, slice text, char opening)
{
    const char *end = text.ptr + text.len;
    bool first = *at == text.ptr;
    *at = json_skip_space(*at, end);
    if (first) {
        if (*at == end || *(*at)++ != opening) {
            *at = end;
            return false;
        }
        *at = json_skip_space(*at, end);
    } else if (*at < end && **at == ',') {
        *at = json_skip_space(*at + 1, end);
    }
    return *at < end && **at != ']' && **at != '}';
}

static slice take_value(const char **at, const char *end)
{
    const char *first = *at;
    *at = json_skip_value(first, end);
    return (slice){ first, (size_t)(*at - first) };
}

bool json_next_member(slice object, size_t *pos, slice *name, slice *value)
{
    if (object.len == 0)
        return false;
    const char *end = object.ptr + object.len, *at = object.ptr + *pos;
    bool found = next_child(&at, object, '{');
    if (found) {
        slice quoted = take_value(&at, end);
        *name = (slice){ quoted.ptr + 1, quoted.len >= 2 ? quoted.len - 2 : 0 };
        at = json_skip_space(at, end);
        at = json_skip_space(at < end ? at + 1 : end, end); /* the colon */
        *value = take_value(&at, end);
    }
    *pos = (size_t)(at - object.ptr);
    return found;
}

size_t json_count_members(slice object)
{
    slice name, value;
    size_t count = 0;
    for (size_t pos = 0; json_next_member(object, &pos, &name, &value);)
        count++;
    return count;
}

bool json_next_element(slice array, size_t *pos, slice *value)
{
    if (array.len == 0)
        return false;
    const char *end = array.ptr + array.len, *at = array.ptr + *pos;
    bool found = next_child(&at, array, '[');
    if (found)
        *value = take_value(&at, end);
    *pos = (size_t)(at - array.ptr);
    return found;
}

bool json_name_is(slice name, slice text)
{
    if (name.len == 0 || memchr(name.ptr, '\\', name.len) == NULL)
        return slice_equal(name, text);
    const char *at = name.ptr, *end = name.ptr + name.len;
    while (at < end) {
        char decoded[4];
        size_t len = json_decode_step(&at, end, decoded);
        if (len > text.len || memcmp(decoded, text.ptr, len) != 0)
            return false;
        text = slice_skip(text, len);
    }
    return text.len == 0;
}

bool json_member(slice object, const char *name, slice *value)
{
    slice wanted = slice_from(name), found, candidate;
    bool any = false;
    for (size_t pos = 0; json_next_member(object, &pos, &found, &candidate);) {
        if (json_name_is(found, wanted)) {
            *value = candidate;
            any = true;
        }
    }
    return any;
}

int json_string(slice string, struct arena *arena, slice *text, struct err *err)
{
    string = json_trim(string);
    if (string.len < 2 || string.ptr[0] != '"' || string.ptr[string.len - 1] != '"')
        return err_set(err, ERR_INPUT, "the JSON value is not a string");
    slice raw = { string.ptr + 1, string.len - 2 };
    if (raw.len == 0 || memchr(raw.ptr, '\\', raw.len) == NULL) {
        *text = raw;
        return 0;
    }
    char *decoded = arena_alloc(arena, raw.len), *to = decoded; /* decoding only ever shortens */
    if (decoded == NULL)
        return err_set(err, ERR_MEMORY, "no memory for a JSON string of %zu bytes", raw.len);
    for (const char *at = raw.ptr, *end = at + raw.len; at < end;) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((escape != NULL ? escape : end) - at);
        memcpy(to, at, plain);
        at += plain;
        to += plain;
        if (at < end)
            to += json_decode_step(&at, end, to);
    }
    *text = (slice){ decoded, (size_t)(to - decoded) };
    return 0;
}

bool json_is_falsy(slice value)
{
    double number = 0;
    size_t pos = 0;
    slice name, element;
    value = value.ptr != NULL ? json_trim(value) : value;
    switch (value.ptr != NULL ? json_type(value) : RP_NONE) {
    case RP_NONE:
    case RP_NULL: return true;
    case RP_BOOL: return value.ptr[0] == 'f';
    case RP_NUMBER: return json_double(value, &number, NULL) == 0 && !(number > 0) && !(number < 0);
    case RP_STRING: return value.len == 2;
    case RP_ARRAY: return !json_next_element(value, &pos, &element);
    case RP_OBJECT: return !json_next_member(value, &pos, &name, &element);
    }
    return false;
}
