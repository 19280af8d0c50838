/* Whether two JSON texts are equal, for tests that compare what was written with what should be. */
#ifndef TEST_JSON_SAME_H
#define TEST_JSON_SAME_H

#include "json/json.h"

static inline bool json_same(slice a, slice b)
{
    struct arena arena;
    bool same;
    arena_init(&arena, (size_t)1 << 30);
    int rc = json_equal(a, b, &arena, &same, NULL);
    arena_free(&arena);
    return rc == 0 && same;
}

#endif
