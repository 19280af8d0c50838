/*
 * upstream/route_filter.h - which routes of the handler's server jobs may call (--handler-routes).
 *
 *   list   one or more rules, with commas between them
 *   rule   [METHOD[|METHOD]...] /path/pattern
 *
 * Without a method a rule allows all of them. In a pattern "*" stands for any part of one segment,
 * and at its end for anything, slashes too.
 */
#ifndef UPSTREAM_ROUTE_FILTER_H
#define UPSTREAM_ROUTE_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

#define ROUTE_RULES_MAX 64

struct route_rule {
    slice methods; /* "GET|HEAD"; empty: all */
    slice pattern;
};

/* Its slices point into the list it was read from. */
struct route_filter {
    struct route_rule rules[ROUTE_RULES_MAX];
    size_t count; /* 0: everything is allowed */
};

/* list NULL: everything is allowed. ERR_CONFIG says what is wrong with the list. Pure. */
int route_filter_read(struct route_filter *filter, const char *list, struct err *err);

/* route must have passed route_check; its query does not matter. Pure. */
bool route_filter_allows(const struct route_filter *filter, slice method, slice route);

#endif
