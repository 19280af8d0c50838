#include "upstream/route_map.h"

#include "codec/byte_class.h"
#include "codec/route.h"
#include "json/json.h"

static int add_rule(struct route_map *map, slice text, struct err *err)
{
    size_t equals = byte_class_until(text, "=");
    slice members = { text.ptr, equals }, rest = members, member;
    slice route = slice_skip(text, equals < text.len ? equals + 1 : equals);
    if (members.len == 0 || equals == text.len)
        return err_set(err, ERR_CONFIG, "\"%.*s\" must be MEMBER,MEMBER=/route or *=/route",
                       SLICE_ARG(text));
    while (byte_class_next(&rest, ',', &member))
        if (member.len == 0)
            return err_set(err, ERR_CONFIG, "\"%.*s\" has a member without a name",
                           SLICE_ARG(text));
    if (route_check(route, err) != 0) {
        err_wrap(err, "\"%.*s\"", SLICE_ARG(text));
        return err->code = ERR_CONFIG;
    }
    if (map->count == ROUTE_MAP_MAX)
        return err_set(err, ERR_CONFIG, "more than %d rules", ROUTE_MAP_MAX);
    map->rules[map->count].members = members;
    map->rules[map->count].route = route;
    map->count++;
    return 0;
}

int route_map_add(struct route_map *map, const char *text, struct err *err)
{
    slice rest = slice_from(text);
    int rc = 0;
    while (rc == 0 && rest.len > 0) {
        size_t len = byte_class_until(rest, " \t\r\n");
        if (len > 0)
            rc = add_rule(map, (slice){ rest.ptr, len }, err);
        rest = slice_skip(rest, len < rest.len ? len + 1 : len);
    }
    return rc;
}

static bool has_member(slice object, slice wanted)
{
    slice name, value;
    bool found = false;
    for (size_t pos = 0; json_next_member(object, &pos, &name, &value);)
        if (json_name_is(name, wanted))
            found = json_type(value) != RP_NULL;
    return found;
}

static bool fits(slice members, slice input)
{
    slice member;
    if (slice_is(members, "*"))
        return true;
    if (json_type(input) != RP_OBJECT)
        return false;
    while (byte_class_next(&members, ',', &member))
        if (!has_member(input, member))
            return false;
    return true;
}

bool route_map_find(const struct route_map *map, slice input, slice *route)
{
    for (size_t i = 0; i < map->count; i++) {
        if (fits(map->rules[i].members, input)) {
            *route = map->rules[i].route;
            return true;
        }
    }
    return false;
}
