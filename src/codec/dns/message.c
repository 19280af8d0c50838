/* DNS messages (RFC 1035): a query written, a response read with every length checked. */
#include "codec/dns.h"

#include <string.h>

#define HEADER_BYTES 12
#define CLASS_IN 1
#define TYPE_CNAME 5
#define RECORD_BYTES 10   /* after the owner's name: type, class, time to live, length */
#define CHAIN_MAX 16      /* CNAME records that are followed; glibc and BIND stop there too */
#define WIRE_NAME_MAX 255 /* with the root's empty label */

enum { RCODE_NONE = 0, RCODE_NO_NAME = 3 };

static unsigned get_u16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint8_t *put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

/* Writes the name as labels. Returns the byte after it, or NULL. */
static uint8_t *put_name(uint8_t *at, slice name)
{
    name = slice_trim_end(name, '.');
    if (name.len == 0 || name.len > DNS_NAME_MAX_CHARS)
        return NULL;
    for (;;) {
        const char *dot = memchr(name.ptr, '.', name.len);
        size_t len = dot == NULL ? name.len : (size_t)(dot - name.ptr);
        if (len == 0 || len > DNS_LABEL_MAX_CHARS)
            return NULL;
        *at++ = (uint8_t)len;
        memcpy(at, name.ptr, len);
        at += len;
        if (dot == NULL)
            break;
        name = slice_skip(name, len + 1);
        if (name.len == 0)
            return NULL;
    }
    *at++ = 0;
    return at;
}

size_t dns_write_query(uint8_t query[DNS_QUERY_MAX_BYTES], uint16_t id, slice name,
                       enum dns_type type)
{
    static const uint8_t flags_and_counts[] = { 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 }; /* RD, a question */
    uint8_t *at = put_u16(query, id);
    memcpy(at, flags_and_counts, sizeof flags_and_counts);
    at = put_name(at + sizeof flags_and_counts, name);
    if (at == NULL)
        return 0;
    at = put_u16(at, type);
    at = put_u16(at, CLASS_IN);
    return (size_t)(at - query);
}

/* --- reading --- */

struct message {
    const unsigned char *bytes;
    size_t len;
};

struct wire_name {
    unsigned char bytes[WIRE_NAME_MAX]; /* labels, in small letters, the empty one at the end */
    size_t len;
};

static unsigned char to_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static bool add_label(struct wire_name *name, const unsigned char *label, size_t len)
{
    if (len + 1 > sizeof name->bytes - name->len)
        return false;
    name->bytes[name->len++] = (unsigned char)len;
    for (size_t i = 0; i < len; i++)
        name->bytes[name->len++] = to_lower(label[i]);
    return true;
}

/*
 * Reads the name at *at, and moves *at past it. A compression pointer must point to before the part
 * of the name that it ends (RFC 1035, section 4.1.4: a prior occurrence), so that every chain ends.
 */
static bool read_name(const struct message *message, size_t *at, struct wire_name *name)
{
    size_t from = *at, limit = message->len, first = *at;
    bool jumped = false;
    name->len = 0;
    for (;;) {
        if (from >= limit)
            return false;
        unsigned length = message->bytes[from];
        if (length >= 0xc0) {
            if (from + 2 > limit)
                return false;
            size_t target = get_u16(message->bytes + from) & 0x3fff;
            if (!jumped)
                *at = from + 2;
            if (target >= first)
                return false;
            jumped = true;
            limit = first; /* no byte is read twice */
            first = from = target;
            continue;
        }
        if (length > DNS_LABEL_MAX_CHARS || length + 1 > limit - from ||
            !add_label(name, message->bytes + from + 1, length))
            return false;
        from += length + 1;
        if (length == 0)
            break;
    }
    if (!jumped)
        *at = from;
    return true;
}

static bool same_name(const struct wire_name *a, const struct wire_name *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

struct record {
    struct wire_name owner;
    unsigned type, class;
    size_t data, data_len;
};

/* Reads the record at *at, and moves *at past it. */
static bool read_record(const struct message *message, size_t *at, struct record *record)
{
    if (!read_name(message, at, &record->owner) || message->len - *at < RECORD_BYTES)
        return false;
    const unsigned char *fixed = message->bytes + *at;
    record->type = get_u16(fixed);
    record->class = get_u16(fixed + 2);
    record->data_len = get_u16(fixed + 8);
    record->data = *at + RECORD_BYTES;
    if (record->data_len > message->len - record->data)
        return false;
    *at = record->data + record->data_len;
    return true;
}

/* True where the message repeats the query's question; *end is set to the byte after it. */
static bool echoes(const struct message *message, const struct message *query, size_t *end)
{
    struct wire_name theirs, ours;
    size_t at = HEADER_BYTES;
    *end = HEADER_BYTES;
    if (!read_name(query, &at, &ours) || !read_name(message, end, &theirs) ||
        !same_name(&ours, &theirs) || message->len - *end < 4 ||
        memcmp(message->bytes + *end, query->bytes + at, 4) != 0)
        return false;
    *end += 4;
    return true;
}

struct answers {
    const struct message *message;
    size_t start; /* of the answer section */
    unsigned count;
    bool truncated;
};

/* Replaces the name by its CNAME's target. False where it has none or a record is *broken. */
static bool follow(const struct answers *answers, struct wire_name *name, bool *broken)
{
    size_t at = answers->start;
    struct record record;
    for (unsigned i = 0; i < answers->count; i++) {
        if (!read_record(answers->message, &at, &record)) {
            *broken = !answers->truncated;
            return false;
        }
        if (record.type != TYPE_CNAME || record.class != CLASS_IN ||
            !same_name(&record.owner, name))
            continue;
        size_t target = record.data;
        *broken = !read_name(answers->message, &target, name) || target != at;
        return !*broken;
    }
    return false;
}

static void collect(const struct answers *answers, const struct wire_name *name, unsigned type,
                    struct dns_reply *reply)
{
    const size_t size = type == DNS_A ? IP_V4_BYTES : IP_V6_BYTES;
    size_t at = answers->start;
    struct record record;
    for (unsigned i = 0; i < answers->count && reply->count < DNS_ADDRESSES_MAX; i++) {
        if (!read_record(answers->message, &at, &record))
            return; /* cut off here: a truncated answer */
        if (record.type != type || record.class != CLASS_IN || record.data_len != size ||
            !same_name(&record.owner, name))
            continue;
        struct ip *ip = &reply->addresses[reply->count++];
        *ip = (struct ip){ .size = size };
        memcpy(ip->bytes, answers->message->bytes + record.data, size);
    }
}

static void read_answers(const struct answers *answers, struct wire_name *name, unsigned type,
                         struct dns_reply *reply)
{
    bool broken = false;
    int hops = 0;
    while (hops <= CHAIN_MAX && follow(answers, name, &broken))
        hops++;
    if (broken || hops > CHAIN_MAX) {
        reply->outcome = DNS_FAILED;
        return;
    }
    collect(answers, name, type, reply);
    reply->outcome = reply->count > 0 ? DNS_ADDRESSES : DNS_NO_DATA;
}

/*
 * An empty answer that is not authoritative, from a server without recursion: a referral, or a
 * server that is not set up for the name (a lame delegation). glibc asks the next server then, too.
 */
static bool is_referral(const unsigned char *header)
{
    bool authoritative = header[2] & 4, recursive = header[3] & 0x80;
    return !authoritative && !recursive && get_u16(header + 6) == 0 && get_u16(header + 10) == 0;
}

void dns_read_reply(slice bytes, slice query_bytes, struct dns_reply *reply)
{
    const struct message message = { (const unsigned char *)bytes.ptr, bytes.len };
    const struct message query = { (const unsigned char *)query_bytes.ptr, query_bytes.len };
    const unsigned char *header = message.bytes;
    reply->outcome = DNS_FOREIGN;
    reply->rcode = 0;
    reply->truncated = false;
    reply->count = 0;
    if (message.len < HEADER_BYTES || memcmp(header, query.bytes, 2) != 0 ||
        (header[2] & 0xf8) != 0x80) /* a response to a standard query */
        return;
    unsigned rcode = header[3] & 0xf;
    size_t answers_at;
    bool echoed = get_u16(header + 4) == 1 && echoes(&message, &query, &answers_at);
    if (!echoed && (rcode == RCODE_NONE || rcode == RCODE_NO_NAME || get_u16(header + 4) != 0))
        return; /* only a failure may leave the question out */
    reply->truncated = header[2] & 2;
    reply->rcode = rcode;
    reply->outcome = rcode == RCODE_NO_NAME ? DNS_NO_NAME : DNS_FAILED;
    if (rcode != RCODE_NONE || (is_referral(header) && !reply->truncated))
        return;
    const struct answers answers = { &message, answers_at, get_u16(header + 6), reply->truncated };
    struct wire_name name;
    size_t at = HEADER_BYTES;
    if (read_name(&query, &at, &name))
        read_answers(&answers, &name, get_u16(query.bytes + at), reply);
}
