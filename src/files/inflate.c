#include "files/inflate.h"

#include <string.h>

#define WINDOW INFLATE_WINDOW_BYTES
#define LITERALS 286 /* symbols in use; two more have codes in the fixed table */
#define DISTANCES 30
#define LENGTH_CODES 19
#define END_OF_BLOCK 256
#define LONGEST_MATCH 258
#define PAIR_BITS 48 /* a length, its extra bits, a distance, its extra bits: at most */

static int damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_INPUT, "the compressed data is damaged: %s", what);
}

/* --- bits ------------------------------------------------------------------------------------- */

/* Eight bytes, the first one lowest. */
static uint64_t load(const char *bytes)
{
    uint64_t value = 0;
    memcpy(&value, bytes, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

/* More than PAIR_BITS bits, or all that there are; above them the bits are 0. */
static int refill(struct inflate *self, struct err *err)
{
    while (self->bit_count <= 56) {
        if (self->in.len >= 8) {
            unsigned bytes = (63 - self->bit_count) / 8;
            uint64_t fresh = load(self->in.ptr) & ((UINT64_C(1) << (8 * bytes)) - 1);
            self->bits |= fresh << self->bit_count;
            self->in = slice_skip(self->in, bytes);
            self->bit_count += 8 * bytes;
            return 0;
        }
        if (self->in.len == 0 && !self->ended) {
            int rc = self->read(self, &self->in, err);
            if (rc != 0)
                return rc;
            self->ended = self->in.len == 0;
            continue;
        }
        if (self->in.len == 0)
            return 0;
        self->bits |= (uint64_t)(unsigned char)self->in.ptr[0] << self->bit_count;
        self->in = slice_skip(self->in, 1);
        self->bit_count += 8;
    }
    return 0;
}

static int drop(struct inflate *self, unsigned count, struct err *err)
{
    if (count > self->bit_count)
        return err_set(err, ERR_INPUT, "the compressed data is cut off");
    self->bits >>= count;
    self->bit_count -= count;
    return 0;
}

/* The next `count` bits, at most 16, which refill has provided. */
static int take(struct inflate *self, unsigned count, unsigned *value, struct err *err)
{
    *value = (unsigned)(self->bits & ((1u << count) - 1));
    return drop(self, count, err);
}

/* --- codes ------------------------------------------------------------------------------------ */

static unsigned reversed(unsigned code, unsigned length)
{
    unsigned out = 0;
    for (; length > 0; length--, code >>= 1)
        out = out << 1 | (code & 1);
    return out;
}

static void add_quick(struct inflate_codes *codes, unsigned code, unsigned length, unsigned symbol)
{
    if (length > INFLATE_QUICK_BITS)
        return;
    for (unsigned at = reversed(code, length); at < 1u << INFLATE_QUICK_BITS; at += 1u << length)
        codes->quick[at] = (uint16_t)(symbol << 4 | length);
}

/* Codes that fit `count` lengths; `left` codes of the longest length remain, negative: too many. */
static int count_lengths(struct inflate_codes *codes, const unsigned char *lengths, unsigned count)
{
    int left = 1;
    memset(codes, 0, sizeof *codes);
    for (unsigned i = 0; i < count; i++)
        codes->count[lengths[i]]++;
    for (unsigned length = 1; length <= INFLATE_LONGEST && left >= 0; length++)
        left = 2 * left - codes->count[length];
    return left;
}

/* False where the lengths are not those of a code: too many, or too few but for a single one. */
static bool make_codes(struct inflate_codes *codes, const unsigned char *lengths, unsigned count)
{
    unsigned next_code[INFLATE_LONGEST + 1] = { 0 };
    uint16_t place[INFLATE_LONGEST + 1] = { 0 };
    int left = count_lengths(codes, lengths, count);
    if (left < 0 || (left > 0 && count - codes->count[0] > 1))
        return false;
    codes->count[0] = 0;
    for (unsigned length = 1; length <= INFLATE_LONGEST; length++) {
        next_code[length] = (next_code[length - 1] + codes->count[length - 1]) << 1;
        place[length] = (uint16_t)(place[length - 1] + codes->count[length - 1]);
    }
    for (unsigned symbol = 0; symbol < count; symbol++) {
        unsigned length = lengths[symbol];
        if (length == 0)
            continue;
        codes->symbol[place[length]++] = (uint16_t)symbol;
        add_quick(codes, next_code[length]++, length, symbol);
    }
    return true;
}

/* A code longer than the quick table's, bit by bit. */
static int take_long(struct inflate *self, const struct inflate_codes *codes, unsigned *symbol,
                     struct err *err)
{
    unsigned code = 0, first = 0, index = 0;
    for (unsigned length = 1; length <= INFLATE_LONGEST; length++) {
        code |= (unsigned)(self->bits >> (length - 1)) & 1;
        unsigned count = codes->count[length];
        if (code < first + count) {
            *symbol = codes->symbol[index + code - first];
            return drop(self, length, err);
        }
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return damaged(err, "a code is not in its table");
}

static int take_symbol(struct inflate *self, const struct inflate_codes *codes, unsigned *symbol,
                       struct err *err)
{
    unsigned quick = codes->quick[self->bits & ((1u << INFLATE_QUICK_BITS) - 1)];
    if (quick == 0)
        return take_long(self, codes, symbol, err);
    *symbol = quick >> 4;
    return drop(self, quick & 15, err);
}

/* --- output ----------------------------------------------------------------------------------- */

/* Hands over what is new, and keeps the last window of it. */
static int send(struct inflate *self, struct err *err)
{
    slice fresh = { (const char *)self->window + self->sent, self->at - self->sent };
    int rc = fresh.len > 0 ? self->write(self, fresh, err) : 0;
    if (self->at > WINDOW) {
        memmove(self->window, self->window + self->at - WINDOW, WINDOW);
        self->at = WINDOW;
    }
    self->sent = self->at;
    return rc;
}

static int make_room(struct inflate *self, size_t bytes, struct err *err)
{
    return sizeof self->window - self->at < bytes ? send(self, err) : 0;
}

static int copy_back(struct inflate *self, unsigned length, unsigned distance, struct err *err)
{
    if (distance > self->at)
        return damaged(err, "it refers to data before its beginning");
    int rc = make_room(self, LONGEST_MATCH, err);
    if (rc != 0)
        return rc;
    unsigned char *to = self->window + self->at;
    self->at += length;
    if (distance >= length) {
        memcpy(to, to - distance, length);
        return 0;
    }
    for (; length > 0; length--, to++)
        *to = to[-(ptrdiff_t)distance];
    return 0;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Base and extra bits of lengths and distances: RFC 1951, section 3.2.5. */
static int take_length(struct inflate *self, unsigned symbol, unsigned *length, struct err *err)
{
    unsigned code = symbol - END_OF_BLOCK - 1;
    unsigned extra = code < 8 || code == 28 ? 0 : code / 4 - 1, more;
    if (code > 28)
        return damaged(err, "a length is out of range");
    int rc = take(self, extra, &more, err);
    *length = code < 8 ? code + 3 : code == 28 ? LONGEST_MATCH : ((4 + code % 4) << extra) + 3;
    *length += more;
    return rc;
}

static int take_distance(struct inflate *self, unsigned *distance, struct err *err)
{
    unsigned code, more;
    int rc = take_symbol(self, &self->distances, &code, err);
    if (rc != 0)
        return rc;
    if (code >= DISTANCES)
        return damaged(err, "a distance is out of range");
    unsigned extra = code < 4 ? 0 : code / 2 - 1;
    rc = take(self, extra, &more, err);
    *distance = (code < 4 ? code : (2 + code % 2) << extra) + 1 + more;
    return rc;
}

static int unpack_codes(struct inflate *self, struct err *err)
{
    for (;;) {
        unsigned symbol = 0, length = 0, distance = 0;
        int rc = self->bit_count < PAIR_BITS ? refill(self, err) : 0;
        if (rc == 0)
            rc = take_symbol(self, &self->literals, &symbol, err);
        if (rc == 0 && symbol < END_OF_BLOCK) {
            rc = make_room(self, 1, err);
            self->window[self->at++] = (unsigned char)symbol;
            if (rc == 0)
                continue;
        }
        if (rc != 0 || symbol == END_OF_BLOCK)
            return rc;
        rc = take_length(self, symbol, &length, err);
        if (rc == 0)
            rc = take_distance(self, &distance, err);
        if (rc == 0)
            rc = copy_back(self, length, distance, err);
        if (rc != 0)
            return rc;
    }
}

static int unpack_stored(struct inflate *self, struct err *err)
{
    unsigned length = 0, check = 0;
    int rc = drop(self, self->bit_count % 8, err);
    if (rc == 0)
        rc = refill(self, err);
    if (rc == 0)
        rc = take(self, 16, &length, err);
    if (rc == 0)
        rc = take(self, 16, &check, err);
    if (rc == 0 && length != (check ^ 0xffff))
        rc = damaged(err, "a stored block's length");
    while (rc == 0 && length > 0) {
        unsigned byte = 0;
        rc = self->bit_count < 8 ? refill(self, err) : 0;
        if (rc == 0)
            rc = take(self, 8, &byte, err);
        if (rc == 0)
            rc = make_room(self, 1, err);
        if (rc == 0)
            self->window[self->at++] = (unsigned char)byte;
        length--;
    }
    return rc;
}

static int unpack_fixed(struct inflate *self, struct err *err)
{
    unsigned char lengths[INFLATE_CODES];
    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    memset(lengths + 280, 8, 8);
    make_codes(&self->literals, lengths, INFLATE_CODES);
    memset(lengths, 5, 32);
    make_codes(&self->distances, lengths, 32);
    return unpack_codes(self, err);
}

/* The lengths of the codes of lengths: RFC 1951, section 3.2.7. */
static int take_length_codes(struct inflate *self, unsigned count, struct err *err)
{
    static const unsigned char order[LENGTH_CODES] = { 16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                       11, 4,  12, 3, 13, 2, 14, 1, 15 };
    unsigned char lengths[LENGTH_CODES] = { 0 };
    for (unsigned i = 0; i < count; i++) {
        unsigned length = 0;
        int rc = self->bit_count < 3 ? refill(self, err) : 0;
        if (rc == 0)
            rc = take(self, 3, &length, err);
        if (rc != 0)
            return rc;
        lengths[order[i]] = (unsigned char)length;
    }
    return make_codes(&self->literals, lengths, LENGTH_CODES)
               ? 0
               : damaged(err, "the table of code lengths");
}

/* One length, or a run of one: *count times *length. */
static int take_run(struct inflate *self, unsigned last, unsigned *count, unsigned *length,
                    struct err *err)
{
    unsigned symbol, more = 0;
    int rc = self->bit_count < PAIR_BITS ? refill(self, err) : 0;
    if (rc == 0)
        rc = take_symbol(self, &self->literals, &symbol, err);
    if (rc != 0)
        return rc;
    if (symbol >= 16)
        rc = take(self, symbol == 16 ? 2 : symbol == 17 ? 3 : 7, &more, err);
    *length = symbol < 16 ? symbol : symbol == 16 ? last : 0;
    *count = symbol < 16 ? 1 : more + (symbol == 18 ? 11 : 3);
    return rc == 0 && symbol == 16 && last > INFLATE_LONGEST
               ? damaged(err, "a run of lengths with nothing to repeat")
               : rc;
}

static int take_lengths(struct inflate *self, unsigned char *lengths, unsigned total,
                        struct err *err)
{
    unsigned last = INFLATE_LONGEST + 1;
    for (unsigned at = 0; at < total;) {
        unsigned count = 0;
        int rc = take_run(self, last, &count, &last, err);
        if (rc == 0 && count > total - at)
            rc = damaged(err, "more code lengths than codes");
        if (rc != 0)
            return rc;
        memset(lengths + at, (int)last, count);
        at += count;
    }
    return 0;
}

static int unpack_dynamic(struct inflate *self, struct err *err)
{
    unsigned char lengths[LITERALS + DISTANCES] = { 0 };
    unsigned literals = 0, distances = 0, count = 0;
    int rc = take(self, 5, &literals, err);
    if (rc == 0)
        rc = take(self, 5, &distances, err);
    if (rc == 0)
        rc = take(self, 4, &count, err);
    literals += 257;
    distances += 1;
    if (rc == 0 && (literals > LITERALS || distances > DISTANCES))
        rc = damaged(err, "too many codes");
    if (rc == 0)
        rc = take_length_codes(self, count + 4, err);
    if (rc == 0)
        rc = take_lengths(self, lengths, literals + distances, err);
    if (rc != 0)
        return rc;
    bool good = lengths[END_OF_BLOCK] != 0 && make_codes(&self->literals, lengths, literals) &&
                make_codes(&self->distances, lengths + literals, distances);
    return good ? unpack_codes(self, err) : damaged(err, "a table of codes");
}

int inflate_run(struct inflate *self, struct err *err)
{
    unsigned last = 0, kind = 0;
    self->in = (slice){ 0 };
    self->bits = self->bit_count = 0;
    self->ended = false;
    self->at = self->sent = 0;
    while (last == 0) {
        int rc = refill(self, err);
        if (rc == 0)
            rc = take(self, 1, &last, err);
        if (rc == 0)
            rc = take(self, 2, &kind, err);
        if (rc == 0)
            rc = kind == 0   ? unpack_stored(self, err)
                 : kind == 1 ? unpack_fixed(self, err)
                 : kind == 2 ? unpack_dynamic(self, err)
                             : damaged(err, "a block of unknown kind");
        if (rc != 0)
            return rc;
    }
    return send(self, err);
}
