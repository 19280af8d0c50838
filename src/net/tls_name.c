#include "net/tls_name.h"

#include <stdint.h>

#include "base/hash.h"
#include "net/tls_der.h"

#define SET_MEMBERS 8 /* attributes in one element of a name; more than one is rare */
#define END_OF_TEXT UINT32_MAX
#define CUT_OFF 0x80000000
#define BLANK 0x20

/* --- strings: characters one by one, in the form that is compared --- */

struct name_text {
    slice rest;
    unsigned char tag;
    bool started;  /* a character was given out: blanks count from now on */
    bool has_next; /* one was read ahead */
    uint32_t next;
};

static bool is_text(unsigned char tag)
{
    return tag == DER_UTF8 || tag == DER_PRINTABLE || tag == DER_IA5 || tag == DER_T61 ||
           tag == DER_BMP || tag == DER_UNIVERSAL;
}

/* A character that is cut off equals none that is whole. */
static uint32_t take_bytes(slice *rest, size_t count)
{
    uint32_t value = 0;
    for (; count > 0 && rest->len > 0; count--) {
        value = value << 8 | (unsigned char)rest->ptr[0];
        *rest = slice_skip(*rest, 1);
    }
    return count == 0 ? value : value | CUT_OFF;
}

/* The bytes of a broken sequence come out as they are: it then equals only itself. */
static uint32_t take_utf8(slice *rest)
{
    uint32_t first = take_bytes(rest, 1);
    size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    if (more == 0 || rest->len < more)
        return first;
    uint32_t value = first & (0x3fu >> more);
    for (; more > 0; more--)
        value = value << 6 | (take_bytes(rest, 1) & 0x3f);
    return value;
}

static uint32_t take_raw(struct name_text *text)
{
    if (text->rest.len == 0)
        return END_OF_TEXT;
    switch (text->tag) {
    case DER_UTF8: return take_utf8(&text->rest);
    case DER_BMP: return take_bytes(&text->rest, 2);
    case DER_UNIVERSAL: return take_bytes(&text->rest, 4);
    default: return take_bytes(&text->rest, 1); /* T61String: Latin-1 in practice */
    }
}

static uint32_t take_character(struct name_text *text)
{
    if (text->has_next) {
        text->has_next = false;
        return text->next;
    }
    bool blank = false;
    uint32_t c;
    while ((c = take_raw(text)) == BLANK || c == '\t')
        blank = text->started;
    text->started = true;
    if (c >= 'A' && c <= 'Z')
        c += 'a' - 'A';
    if (!blank || c == END_OF_TEXT)
        return c;
    text->has_next = true;
    text->next = c;
    return BLANK;
}

static bool same_text(unsigned char tag_a, slice a, unsigned char tag_b, slice b)
{
    struct name_text left = { .rest = a, .tag = tag_a }, right = { .rest = b, .tag = tag_b };
    uint32_t c;
    do {
        c = take_character(&left);
        if (c != take_character(&right))
            return false;
    } while (c != END_OF_TEXT);
    return true;
}

/* --- distinguished names --- */

static bool same_attribute(slice a, slice b)
{
    unsigned char tag_a, tag_b;
    slice oid_a, oid_b, value_a, value_b;
    if (slice_equal(a, b))
        return true;
    if (!der_expect(&a, DER_OID, &oid_a) || !der_expect(&b, DER_OID, &oid_b) ||
        !slice_equal(oid_a, oid_b) || !der_next(&a, &tag_a, &value_a) ||
        !der_next(&b, &tag_b, &value_b) || a.len > 0 || b.len > 0)
        return false;
    return is_text(tag_a) && is_text(tag_b) ? same_text(tag_a, value_a, tag_b, value_b)
                                            : tag_a == tag_b && slice_equal(value_a, value_b);
}

static size_t list_attributes(slice set, slice attributes[static SET_MEMBERS])
{
    size_t count = 0;
    while (count < SET_MEMBERS && der_expect(&set, DER_SEQUENCE, &attributes[count]))
        count++;
    return set.len == 0 ? count : 0;
}

/* The order within a set follows the encoding, which case and string type change. */
static bool same_set(slice a, slice b)
{
    slice left[SET_MEMBERS], right[SET_MEMBERS];
    size_t count = list_attributes(a, left);
    if (slice_equal(a, b))
        return true;
    if (count == 0 || list_attributes(b, right) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t j = i;
        while (j < count && !same_attribute(left[i], right[j]))
            j++;
        if (j == count)
            return false;
        right[j] = right[i];
    }
    return true;
}

bool tls_name_within(slice name, slice base)
{
    slice sets, base_sets, set, base_set;
    if (!der_expect(&name, DER_SEQUENCE, &sets) || !der_expect(&base, DER_SEQUENCE, &base_sets))
        return false;
    while (base_sets.len > 0)
        if (!der_expect(&base_sets, DER_SET, &base_set) || !der_expect(&sets, DER_SET, &set) ||
            !same_set(set, base_set))
            return false;
    return true;
}

bool tls_name_equal(slice a, slice b)
{
    return slice_equal(a, b) || (tls_name_within(a, b) && tls_name_within(b, a));
}

/* --- digests: whatever is the same above has the same one --- */

static uint32_t mix(uint32_t hash, uint32_t value)
{
    hash = (hash ^ value) *
           UINT32_C(0x01000193); /* FNV-1a's, of characters in the place of bytes */
    return hash ^ hash >> 15;
}

static uint32_t digest_attribute(slice attribute)
{
    slice rest = attribute, oid, value;
    unsigned char tag;
    if (!der_expect(&rest, DER_OID, &oid) || !der_next(&rest, &tag, &value) || rest.len > 0)
        return hash_bytes(attribute, 0);
    uint32_t hash = hash_bytes(oid, 0), c;
    if (!is_text(tag))
        return hash_bytes(value, mix(hash, tag));
    struct name_text text = { .rest = value, .tag = tag };
    do {
        c = take_character(&text);
        hash = mix(hash, c);
    } while (c != END_OF_TEXT);
    return hash;
}

/* A sum, which is the same in any order. */
static uint32_t digest_set(slice set)
{
    slice attributes[SET_MEMBERS];
    size_t count = list_attributes(set, attributes);
    uint32_t sum = count == 0 ? hash_bytes(set, 0) : 0;
    for (size_t i = 0; i < count; i++)
        sum += digest_attribute(attributes[i]);
    return sum;
}

uint32_t tls_name_digest(slice name)
{
    uint32_t hash = 1;
    slice sets, set;
    if (!der_expect(&name, DER_SEQUENCE, &sets))
        return hash_bytes(name, 0);
    while (der_expect(&sets, DER_SET, &set))
        hash = mix(hash, digest_set(set));
    return hash_bytes(sets, hash);
}

/* --- hosts --- */

bool tls_name_is_host(slice pattern, const char *host)
{
    if (slice_is_nocase(pattern, host))
        return true;
    const char *dot = strchr(host, '.');
    return pattern.len > 2 && pattern.ptr[0] == '*' && pattern.ptr[1] == '.' && dot != NULL &&
           dot != host && slice_is_nocase(slice_skip(pattern, 1), dot);
}
