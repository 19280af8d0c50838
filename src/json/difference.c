#include "json/difference.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "json/json.h"

#define ARENA_BYTES ((size_t)1 << 30)
#define NOTHING SLICE_LITERAL("nothing")

static bool is_equal(slice a, slice b)
{
    struct arena arena;
    struct err err;
    bool equal = false;
    arena_init(&arena, ARENA_BYTES);
    int rc = json_equal(a, b, &arena, &equal, &err);
    arena_free(&arena);
    return rc == 0 && equal;
}

static void extend(struct json_difference *found, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void extend(struct json_difference *found, const char *format, ...)
{
    struct text path = { .at = found->path,
                         .size = sizeof found->path,
                         .len = strlen(found->path) };
    va_list args;
    va_start(args, format);
    text_add_args(&path, format, args);
    va_end(args);
}

/* The value of a member by its raw name, escapes aside; "nothing" if absent. */
static slice member(slice object, slice raw_name)
{
    struct arena arena;
    slice name = raw_name, other, value, last = NOTHING;
    arena_init(&arena, ARENA_BYTES);
    json_string((slice){ raw_name.ptr - 1, raw_name.len + 2 }, &arena, &name, NULL);
    for (size_t pos = 0; json_next_member(object, &pos, &other, &value);)
        if (json_name_is(other, name))
            last = value;
    arena_free(&arena);
    return last;
}

static bool differ(struct json_difference *found, slice expected, slice actual)
{
    if (expected.ptr == actual.ptr || is_equal(expected, actual))
        return false;
    found->expected = expected;
    found->actual = actual;
    return true;
}

/* One level down: true, with the values of the child that differs. */
static bool descend_object(struct json_difference *found)
{
    slice expected = found->expected, actual = found->actual, name, value;
    const slice sides[2] = { expected, actual };
    for (int side = 0; side < 2; side++)
        for (size_t pos = 0; json_next_member(sides[side], &pos, &name, &value);)
            if (differ(found, member(expected, name), member(actual, name))) {
                extend(found, "%s%.*s", found->path[0] != '\0' ? "." : "", SLICE_ARG(name));
                return true;
            }
    return false;
}

static bool descend_array(struct json_difference *found)
{
    slice expected = found->expected, actual = found->actual;
    size_t at = 0, pos[2] = { 0 };
    for (;; at++) {
        slice left = NOTHING, right = NOTHING;
        bool more = json_next_element(expected, &pos[0], &left);
        more |= json_next_element(actual, &pos[1], &right);
        if (!more)
            return false;
        if (differ(found, left, right)) {
            extend(found, "[%zu]", at);
            return true;
        }
    }
}

bool json_find_difference(slice expected, slice actual, struct json_difference *found)
{
    *found = (struct json_difference){ 0 };
    if (!differ(found, json_trim(expected), json_trim(actual)))
        return false;
    for (int depth = 0; depth < JSON_DOC_DEPTH_MAX; depth++) {
        enum rp_type type = json_type(found->expected);
        bool deeper = type == json_type(found->actual) &&
                      ((type == RP_OBJECT && descend_object(found)) ||
                       (type == RP_ARRAY && descend_array(found)));
        if (!deeper)
            break;
    }
    return true;
}
