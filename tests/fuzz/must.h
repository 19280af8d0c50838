/* must.h - for fuzz targets: what has to hold of a result, whatever the input was. */
#ifndef FUZZ_MUST_H
#define FUZZ_MUST_H

#include <stdbool.h>
#include <stdlib.h>

/* Aborts, which is a finding, unless it holds. */
static inline void must(bool holds)
{
    if (!holds)
        abort();
}

#endif
