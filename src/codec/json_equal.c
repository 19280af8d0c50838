#include "codec/json.h"
#include "codec/json_scan.h"

/*
 * No memory is allocated, so two objects whose members stand in different order are compared in
 * blocks of this many members: for each block one walk over the other object finds the partners.
 * Larger blocks cost stack (16 bytes a member and a level), smaller ones more walks.
 */
#define BLOCK 32

static bool equal(slice a, slice b, unsigned depth);

/* What a raw name reads like, byte by byte. */
struct reader {
    const char *at, *end;
    char step[4];
    size_t used, len;
};

/* The next byte, or -1 at the end. */
static int read_byte(struct reader *r)
{
    if (r->used == r->len) {
        if (r->at == r->end)
            return -1;
        r->len = json_decode_step(&r->at, r->end, r->step);
        r->used = 0;
    }
    return (unsigned char)r->step[r->used++];
}

/* 64-bit FNV-1a over the decoded name, folded: only to tell most names apart quickly. */
static uint32_t hash_name(slice name)
{
    struct reader r = { .at = name.ptr, .end = name.ptr + name.len };
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const uint64_t prime = UINT64_C(0x100000001b3);
    while (r.at < r.end && *r.at != '\\') /* mostly that is all of it */
        hash = (hash ^ (unsigned char)*r.at++) * prime;
    for (int byte = read_byte(&r); byte >= 0; byte = read_byte(&r))
        hash = (hash ^ (unsigned)byte) * prime;
    return (uint32_t)(hash ^ hash >> 32);
}

/* True where two raw names, or strings without their quotes, read the same. */
static bool same_name(slice a, slice b)
{
    if (slice_equal(a, b))
        return true;
    struct reader a_reader = { .at = a.ptr, .end = a.ptr + a.len };
    struct reader b_reader = { .at = b.ptr, .end = b.ptr + b.len };
    for (;;) {
        int byte = read_byte(&a_reader);
        if (byte != read_byte(&b_reader))
            return false;
        if (byte < 0)
            return true;
    }
}

/* --- objects --------------------------------------------------------------------------------- */

/* Some members of one object and their partners in another, as byte offsets into these. */
struct block {
    slice object;
    unsigned count;
    struct entry {
        uint32_t hash, name, value, partner; /* partner: the value in the other object, or NONE */
    } entries[BLOCK];
};

static slice name_at(slice object, uint32_t offset)
{
    const char *first = object.ptr + offset;
    const char *after = json_skip_string(first, object.ptr + object.len);
    return (slice){ first, (size_t)(after - first) - 1 };
}

static slice value_at(slice object, uint32_t offset)
{
    const char *first = object.ptr + offset;
    return (slice){ first, (size_t)(json_skip_value(first, object.ptr + object.len) - first) };
}

static struct entry *find(struct block *block, slice name, uint32_t hash)
{
    for (unsigned i = 0; i < block->count; i++)
        if (block->entries[i].hash == hash &&
            same_name(name_at(block->object, block->entries[i].name), name))
            return &block->entries[i];
    return NULL;
}

/*
 * Fills the block with the next members of its object, *pos onwards, leaving out those that a
 * later one of the same name overrides. False where there was none to look at.
 */
static bool fill_block(struct block *block, size_t *pos)
{
    slice name, value;
    bool any = false;
    block->count = 0;
    while (block->count < BLOCK && json_next_member(block->object, pos, &name, &value)) {
        uint32_t hash = hash_name(name);
        struct entry *entry = find(block, name, hash);
        if (entry == NULL)
            entry = &block->entries[block->count++];
        *entry = (struct entry){ hash, (uint32_t)(name.ptr - block->object.ptr),
                                 (uint32_t)(value.ptr - block->object.ptr), JSON_NONE };
        any = true;
    }
    for (size_t later = *pos; json_next_member(block->object, &later, &name, &value);) {
        struct entry *entry = find(block, name, hash_name(name));
        if (entry != NULL)
            *entry = block->entries[--block->count];
    }
    return any;
}

/* NOLINTBEGIN(misc-no-recursion): depth goes down to 0 from JSON_DOC_DEPTH_MAX */

/*
 * True where every member of a has a partner of the same name in b and, unless depth is 0, of
 * equal value. *names is then the number of different names in a.
 */
static bool covers(slice a, slice b, unsigned depth, size_t *names)
{
    struct block block = { .object = a };
    slice name, value;
    *names = 0;
    for (size_t pos = 0; fill_block(&block, &pos);) {
        for (size_t b_pos = 0; json_next_member(b, &b_pos, &name, &value);) {
            struct entry *entry = find(&block, name, hash_name(name));
            if (entry != NULL)
                entry->partner = (uint32_t)(value.ptr - b.ptr);
        }
        *names += block.count;
        for (unsigned i = 0; i < block.count; i++) {
            const struct entry *entry = &block.entries[i];
            if (entry->partner == JSON_NONE)
                return false;
            if (depth > 0 && !equal(value_at(a, entry->value), value_at(b, entry->partner), depth))
                return false;
        }
    }
    return true;
}

/* True where both objects have the same names in the same order. */
static bool same_order(slice a, slice b)
{
    size_t a_pos = 0, b_pos = 0;
    slice a_name, b_name, ignored;
    while (json_next_member(a, &a_pos, &a_name, &ignored))
        if (!json_next_member(b, &b_pos, &b_name, &ignored) || !same_name(a_name, b_name))
            return false;
    return !json_next_member(b, &b_pos, &b_name, &ignored);
}

static size_t count_members(slice object)
{
    slice name, value;
    size_t count = 0;
    for (size_t pos = 0; json_next_member(object, &pos, &name, &value);)
        count++;
    return count;
}

/* True where a member of the same name stands at or after pos. */
static bool comes_again(slice object, size_t pos, slice name)
{
    slice other, ignored;
    while (json_next_member(object, &pos, &other, &ignored))
        if (same_name(name, other))
            return true;
    return false;
}

/* In any order. Where b has as many members as a has names, all of a's in b are all of b's. */
static bool equal_sets(slice a, slice b, unsigned depth)
{
    size_t names;
    return covers(a, b, depth, &names) && (names == count_members(b) || covers(b, a, 0, &names));
}

/* Values are compared at most once on either way: comparing again here would double per level. */
static bool equal_objects(slice a, slice b, unsigned depth)
{
    if (!same_order(a, b))
        return equal_sets(a, b, depth);
    size_t a_pos = 0, b_pos = 0;
    slice name, a_value, b_value;
    while (json_next_member(a, &a_pos, &name, &a_value) &&
           json_next_member(b, &b_pos, &name, &b_value))
        if (!equal(a_value, b_value, depth) && !comes_again(b, b_pos, name))
            return false;
    return true;
}

/* --- other values ---------------------------------------------------------------------------- */

static bool equal_arrays(slice a, slice b, unsigned depth)
{
    size_t a_pos = 0, b_pos = 0;
    slice a_value, b_value;
    while (json_next_element(a, &a_pos, &a_value))
        if (!json_next_element(b, &b_pos, &b_value) || !equal(a_value, b_value, depth))
            return false;
    return !json_next_element(b, &b_pos, &b_value);
}

static bool equal_numbers(slice a, slice b)
{
    int64_t a_int, b_int;
    if (json_int(a, &a_int, NULL) == 0 && json_int(b, &b_int, NULL) == 0)
        return a_int == b_int;
    double a_double, b_double;
    return json_double(a, &a_double, NULL) == 0 && json_double(b, &b_double, NULL) == 0 &&
           a_double == b_double;
}

static slice unquote(slice string)
{
    return (slice){ string.ptr + 1, string.len >= 2 ? string.len - 2 : 0 };
}

/* Both values are trimmed; depth is how many containers deep they may still be. */
static bool equal(slice a, slice b, unsigned depth)
{
    enum rp_type type = json_type(a);
    if (slice_equal(a, b))
        return true;
    if (type != json_type(b) || depth == 0)
        return false;
    switch (type) {
    case RP_OBJECT: return equal_objects(a, b, depth - 1);
    case RP_ARRAY: return equal_arrays(a, b, depth - 1);
    case RP_STRING: return same_name(unquote(a), unquote(b));
    case RP_NUMBER: return equal_numbers(a, b);
    default: return false; /* true, false and null have one way of writing */
    }
}

/* NOLINTEND(misc-no-recursion) */

bool json_equal(slice a, slice b)
{
    return equal(json_trim(a), json_trim(b), JSON_DOC_DEPTH_MAX + 1);
}
