#include "upstream/route_filter.h"

#include "codec/byte_class.h"
#include "codec/route.h"

static int read_rule(struct route_rule *rule, slice text, struct err *err)
{
    size_t path = byte_class_until(text, "/");
    slice methods = byte_class_trim((slice){ text.ptr, path }), rest = methods, method;
    const char *name;
    *rule = (struct route_rule){ methods, { text.ptr + path, text.len - path } };
    while (byte_class_next(&rest, '|', &method))
        if (!route_method(method, &name))
            return err_set(
                err, ERR_CONFIG,
                "\"%.*s\" is not a method (GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS)",
                SLICE_ARG(method));
    if (!byte_class_all(rule->pattern, BYTE_CLASS_VISIBLE) ||
        byte_class_until(rule->pattern, "?#") < rule->pattern.len)
        return err_set(err, ERR_CONFIG, "\"%.*s\" is not a path, or a method and a path",
                       SLICE_ARG(text));
    return 0;
}

int route_filter_read(struct route_filter *filter, const char *list, struct err *err)
{
    slice rest = list != NULL ? slice_from(list) : (slice){ 0 }, text;
    filter->count = 0;
    while (byte_class_next(&rest, ',', &text)) {
        if (text.len == 0)
            continue;
        if (filter->count == ROUTE_RULES_MAX)
            return err_set(err, ERR_CONFIG, "more than %d rules", ROUTE_RULES_MAX);
        int rc = read_rule(&filter->rules[filter->count], text, err);
        if (rc != 0)
            return rc;
        filter->count++;
    }
    if (list != NULL && filter->count == 0)
        return err_set(err, ERR_CONFIG, "the list of routes is empty");
    return 0;
}

static bool matches_method(slice methods, slice method)
{
    slice one;
    if (methods.len == 0)
        return true;
    while (byte_class_next(&methods, '|', &one))
        if (slice_equal(one, method))
            return true;
    return false;
}

/* A "*" that proves too short takes one byte more; only the last one has to. */
static bool matches_path(slice pattern, slice path)
{
    size_t in_pattern = 0, in_path = 0, star = SIZE_MAX, star_path = 0;
    while (in_path < path.len) {
        char wanted = in_pattern < pattern.len ? pattern.ptr[in_pattern] : '\0';
        if (wanted == '*') {
            if (in_pattern + 1 == pattern.len)
                return true;
            star = in_pattern++;
            star_path = in_path;
        } else if (in_pattern < pattern.len && wanted == path.ptr[in_path]) {
            in_pattern++;
            in_path++;
        } else if (star != SIZE_MAX && path.ptr[star_path] != '/') {
            in_pattern = star + 1;
            in_path = ++star_path;
        } else {
            return false;
        }
    }
    while (in_pattern < pattern.len && pattern.ptr[in_pattern] == '*')
        in_pattern++;
    return in_pattern == pattern.len;
}

bool route_filter_allows(const struct route_filter *filter, slice method, slice route)
{
    char decoded[ROUTE_MAX_BYTES];
    slice path = { decoded, route_decode_path(route, decoded) };
    for (size_t i = 0; i < filter->count; i++)
        if (matches_method(filter->rules[i].methods, method) &&
            matches_path(filter->rules[i].pattern, path))
            return true;
    return filter->count == 0;
}
