/*
 * upstream/route_map.h - routes for inputs that say nothing of a route (--route).
 *
 *   rule   MEMBER[,MEMBER]...=/route   an object with all of these members goes there
 *          *=/route                    anything goes there
 *
 * The first rule that fits counts.
 */
#ifndef UPSTREAM_ROUTE_MAP_H
#define UPSTREAM_ROUTE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

#define ROUTE_MAP_MAX 32

/* Its slices point into the texts it was read from. */
struct route_map {
    struct {
        slice members; /* "query,docs", or "*" */
        slice route;   /* checked */
    } rules[ROUTE_MAP_MAX];
    size_t count;
};

/* Adds the rules of a text, which have white space between them. ERR_CONFIG. Pure. */
int route_map_add(struct route_map *map, const char *text, struct err *err);

/* Where a checked JSON value goes. A member that is null counts as absent. False: nowhere. Pure. */
bool route_map_find(const struct route_map *map, slice input, slice *route);

#endif
