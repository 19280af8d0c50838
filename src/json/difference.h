/*
 * json/difference.h - where two JSON texts differ, for people. Pure; copies nothing.
 */
#ifndef JSON_DIFFERENCE_H
#define JSON_DIFFERENCE_H

#include <stdbool.h>

#include "base/slice.h"

#define JSON_PATH_BYTES 256

struct json_difference {
    char path[JSON_PATH_BYTES]; /* "output.images[2].url", cut where it is longer; "": the top */
    slice expected, actual;     /* raw values in the texts, or "nothing" */
};

/*
 * Finds the first place, in the order of `expected`, where two checked texts of at most
 * JSON_DOC_DEPTH_MAX levels differ, by the meaning that json_equal gives them. False where they do
 * not. Time grows with the square of the members of an object.
 */
bool json_find_difference(slice expected, slice actual, struct json_difference *found);

#endif
