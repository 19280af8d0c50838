#include "model/unicode.h"

#include <stdbool.h>

#include "model/unicode_table.inc"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Unicode 3.12, "Conjoining Jamo Behavior": the arithmetic decomposition of syllables. */
enum { HANGUL = 0xac00, LEADS = 0x1100, VOWELS = 0x1161, TAILS = 0x11a7 };
enum { HANGUL_COUNT = 11172, VOWEL_COUNT = 21, TAIL_COUNT = 28 };

/* Index of the last element that is at most `key`, or `count`. */
#define LAST_AT_MOST(name, type)                                                                \
    static size_t name(const type *array, size_t count, uint32_t key, uint32_t mask, int shift) \
    {                                                                                           \
        size_t low = 0, high = count;                                                           \
        while (low < high) {                                                                    \
            size_t middle = low + (high - low) / 2;                                             \
            if ((((uint32_t)array[middle] & mask) >> shift) <= key)                             \
                low = middle + 1;                                                               \
            else                                                                                \
                high = middle;                                                                  \
        }                                                                                       \
        return low == 0 ? count : low - 1;                                                      \
    }
LAST_AT_MOST(last_u16, uint16_t)
LAST_AT_MOST(last_u32, uint32_t)

static enum unicode_class class_of(uint32_t point)
{
    size_t at = last_u32(class_starts, COUNT(class_starts), point, UINT32_MAX, 2);
    return (enum unicode_class)(class_starts[at] & 3);
}

static bool map_run(uint32_t point, uint32_t *out)
{
    size_t at = last_u32(run_firsts, COUNT(run_firsts), point, INT32_MAX, 0);
    if (at == COUNT(run_firsts))
        return false;
    uint32_t offset = point - (run_firsts[at] & INT32_MAX);
    uint32_t odd = run_firsts[at] >> 31; /* every second code point */
    if (offset > run_lengths[at] || (offset & odd) != 0)
        return false;
    *out = point + (uint32_t)run_distances[at];
    return true;
}

static bool map_one(uint32_t point, uint32_t *out)
{
    size_t at = last_u16(pair_points, COUNT(pair_points), point, UINT32_MAX, 0);
    if (at < COUNT(pair_points) && pair_points[at] == point) {
        *out = pair_targets[at];
        return true;
    }
    at = last_u32(wide_points, COUNT(wide_points), point, UINT32_MAX, 0);
    if (at < COUNT(wide_points) && wide_points[at] == point) {
        *out = wide_targets[at];
        return true;
    }
    return map_run(point, out);
}

static size_t map_hangul(uint32_t syllable, uint32_t out[UNICODE_MAX])
{
    uint32_t tail = syllable % TAIL_COUNT;
    out[0] = LEADS + syllable / (VOWEL_COUNT * TAIL_COUNT);
    out[1] = VOWELS + syllable / TAIL_COUNT % VOWEL_COUNT;
    out[2] = TAILS + tail;
    return tail == 0 ? 2 : 3;
}

static size_t map_several(uint32_t point, uint32_t out[UNICODE_MAX])
{
    size_t at = last_u32(several_points, COUNT(several_points), point, UINT32_MAX, 0);
    if (at == COUNT(several_points) || several_points[at] != point)
        return 0;
    const uint32_t *targets = several_targets + at * UNICODE_MAX;
    size_t count = 0;
    while (count < UNICODE_MAX && targets[count] != 0) {
        out[count] = targets[count];
        count++;
    }
    return count;
}

enum unicode_class unicode_map(uint32_t point, uint32_t out[UNICODE_MAX], size_t *count)
{
    enum unicode_class class = class_of(point);
    *count = class == UNICODE_WORD || class == UNICODE_ISOLATE ? 1 : 0;
    if (*count == 0)
        return class;
    out[0] = point;
    if (point - HANGUL < HANGUL_COUNT)
        *count = map_hangul(point - HANGUL, out);
    else if (!map_one(point, out)) {
        size_t several = map_several(point, out);
        *count = several > 0 ? several : 1;
    }
    return class;
}
