/* codec/dns: messages, resolv.conf, hosts, and the names that are asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "codec/dns.h"
#include "guard.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ID 0xbeef

/* --- a reply, put together --- */

struct wire {
    unsigned char bytes[DNS_MESSAGE_MAX_BYTES];
    size_t len;
};

static void put(struct wire *wire, const void *bytes, size_t count)
{
    assert_true(count <= sizeof wire->bytes - wire->len);
    memcpy(wire->bytes + wire->len, bytes, count);
    wire->len += count;
}

static void put_u16(struct wire *wire, unsigned value)
{
    put(wire, (const unsigned char[]){ (unsigned char)(value >> 8), (unsigned char)value }, 2);
}

static void put_name(struct wire *wire, const char *name)
{
    while (*name != '\0') {
        unsigned char len = (unsigned char)strcspn(name, ".");
        put(wire, &len, 1);
        put(wire, name, len);
        name += len + (name[len] == '.');
    }
    put(wire, "", 1);
}

/* A header that answers the query, and the question as it was asked. flags: QR, RD, RA and more. */
static void begin(struct wire *wire, slice query, unsigned flags, unsigned answers)
{
    wire->len = 0;
    put(wire, query.ptr, 2);
    put_u16(wire, 0x8180 | flags);
    put_u16(wire, 1);
    put_u16(wire, answers);
    put_u16(wire, 0);
    put_u16(wire, 0);
    put(wire, query.ptr + 12, query.len - 12);
}

static void put_fixed(struct wire *wire, unsigned type, size_t len)
{
    put_u16(wire, type);
    put_u16(wire, 1);
    put(wire, "\0\0\0\x3c", 4);
    put_u16(wire, (unsigned)len);
}

/* A record of the name asked for, by a pointer to the question. */
static void put_record(struct wire *wire, unsigned type, const void *data, size_t len)
{
    put(wire, "\xc0\x0c", 2);
    put_fixed(wire, type, len);
    put(wire, data, len);
}

static void put_cname(struct wire *wire, const char *owner, const char *target)
{
    struct wire data = { .len = 0 };
    put_name(&data, target);
    put_name(wire, owner);
    put_fixed(wire, 5, data.len);
    put(wire, data.bytes, data.len);
}

static slice bytes_of(const struct wire *wire)
{
    return (slice){ (const char *)wire->bytes, wire->len };
}

static uint8_t query_bytes[DNS_QUERY_MAX_BYTES];

static slice query_for(const char *name, enum dns_type type)
{
    size_t size = dns_write_query(query_bytes, ID, slice_from(name), type);
    assert_true(size > 0);
    return (slice){ (const char *)query_bytes, size };
}

/* Reads bytes that end where an unreadable page starts. */
static struct dns_reply read_reply(slice message, slice query)
{
    static struct dns_reply reply;
    slice copy = guard_copy(message.ptr, message.len), asked = guard_copy(query.ptr, query.len);
    dns_read_reply(copy, asked, &reply);
    guard_free(copy);
    guard_free(asked);
    return reply;
}

/* --- queries --- */

static void a_query_is_a_header_a_name_and_a_type(void **state)
{
    static const char expected[] = "\xbe\xef\1\0\0\1\0\0\0\0\0\0\3www\7example\0\0\34\0\1";
    (void)state;
    slice query = query_for("www.example.", DNS_AAAA);
    assert_int_equal(query.len, sizeof expected - 1);
    assert_memory_equal(query.ptr, expected, query.len);
    assert_int_equal(query_for("www.example", DNS_AAAA).len, sizeof expected - 1);
}

static void names_have_their_limits(void **state)
{
    uint8_t query[DNS_QUERY_MAX_BYTES];
    char name[300];
    (void)state;
    memset(name, 'a', sizeof name);
    assert_true(dns_write_query(query, ID, (slice){ name, 63 }, DNS_A) > 0);
    assert_int_equal(dns_write_query(query, ID, (slice){ name, 64 }, DNS_A), 0);
    for (size_t i = 63; i < sizeof name; i += 64)
        name[i] = '.';
    assert_int_equal(dns_write_query(query, ID, (slice){ name, 253 }, DNS_A), 12 + 255 + 4);
    assert_int_equal(dns_write_query(query, ID, (slice){ name, 254 }, DNS_A), 0);
    static const char *const bad[] = { "", ".", "..", "a..b", ".a", "a.." };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(dns_write_query(query, ID, slice_from(bad[i]), DNS_A), 0);
    assert_true(dns_write_query(query, ID, slice_from("_my_host-1.a"), DNS_A) > 0);
}

/* --- replies --- */

static void addresses_come_in_their_order(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    begin(&wire, query, 0, 4);
    put_record(&wire, DNS_A, "\1\2\3\4", 4);
    put_record(&wire, 16, "\4text", 5);
    put_record(&wire, DNS_A, "\1\2\3", 3); /* no address has three bytes */
    put_record(&wire, DNS_A, "\5\6\7\10", 4);
    struct dns_reply reply = read_reply(bytes_of(&wire), query);
    assert_int_equal(reply.outcome, DNS_ADDRESSES);
    assert_int_equal(reply.count, 2);
    assert_int_equal(reply.addresses[0].size, IP_V4_BYTES);
    assert_memory_equal(reply.addresses[0].bytes, "\1\2\3\4", 4);
    assert_memory_equal(reply.addresses[1].bytes, "\5\6\7\10", 4);
}

static void the_type_asked_for_counts(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_AAAA);
    begin(&wire, query, 0, 2);
    put_record(&wire, DNS_A, "\1\2\3\4", 4);
    put_record(&wire, DNS_AAAA, "0123456789abcdef", 16);
    struct dns_reply reply = read_reply(bytes_of(&wire), query);
    assert_int_equal(reply.count, 1);
    assert_int_equal(reply.addresses[0].size, IP_V6_BYTES);
}

/* The same bytes as another type, or of another class than the internet's. */
static void other_types_and_classes_are_no_addresses(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    begin(&wire, query, 0, 3);
    put_record(&wire, 16, "\3abc", 4);
    size_t chaos = wire.len;
    put_record(&wire, DNS_A, "\1\2\3\4", 4);
    wire.bytes[chaos + 5] = 3;
    chaos = wire.len;
    put_record(&wire, 5, "\1b\0", 3);
    wire.bytes[chaos + 5] = 3;
    struct dns_reply reply = read_reply(bytes_of(&wire), query);
    assert_int_equal(reply.outcome, DNS_NO_DATA);
    assert_int_equal(reply.count, 0);
}

/* The name of an alias is all of its record, and can be read. */
static void an_alias_fills_its_record(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } cases[] = { { "\1b\0\0", 4 }, { "\1b", 2 }, { "\1b\xc0\xff", 4 }, { "", 0 }, { "\x40", 1 } };
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    for (size_t i = 0; i < COUNT(cases); i++) {
        begin(&wire, query, 0, 2);
        put_record(&wire, 5, cases[i].data, cases[i].len);
        put_name(&wire, "b");
        put_fixed(&wire, DNS_A, 4);
        put(&wire, "\1\2\3\4", 4);
        if (read_reply(bytes_of(&wire), query).outcome != DNS_FAILED)
            fail_msg("case %zu", i);
    }
    begin(&wire, query, 0, 2);
    put_record(&wire, 5, "\1b\0", 3);
    put_name(&wire, "b");
    put_fixed(&wire, DNS_A, 4);
    put(&wire, "\1\2\3\4", 4);
    assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_ADDRESSES);
}

static void a_chain_of_aliases_is_followed_in_any_order(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("A.Example", DNS_A);
    begin(&wire, query, 0, 5);
    put_name(&wire, "c.EXAMPLE");
    put_fixed(&wire, DNS_A, 4);
    put(&wire, "\1\2\3\4", 4);
    put_cname(&wire, "b.example", "C.example");
    put_cname(&wire, "a.example", "b.example");
    put_name(&wire, "stranger.example");
    put_fixed(&wire, DNS_A, 4);
    put(&wire, "\6\6\6\6", 4);
    put_record(&wire, DNS_A, "\7\7\7\7", 4); /* an alias has no records of its own */
    struct dns_reply reply = read_reply(bytes_of(&wire), query);
    assert_int_equal(reply.outcome, DNS_ADDRESSES);
    assert_int_equal(reply.count, 1);
    assert_memory_equal(reply.addresses[0].bytes, "\1\2\3\4", 4);
}

static void an_alias_of_nothing_has_no_data_and_a_circle_is_a_failure(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    begin(&wire, query, 0, 1);
    put_cname(&wire, "a.example", "b.example");
    assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_NO_DATA);
    begin(&wire, query, 0, 2);
    put_cname(&wire, "a.example", "b.example");
    put_cname(&wire, "b.example", "a.example");
    assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_FAILED);
}

static const struct code {
    unsigned flags;
    enum dns_outcome outcome;
    unsigned rcode;
} codes[] = {
    { 0, DNS_NO_DATA, 0 }, { 1, DNS_FAILED, 1 }, { 2, DNS_FAILED, 2 },
    { 3, DNS_NO_NAME, 3 }, { 4, DNS_FAILED, 4 }, { 5, DNS_FAILED, 5 },
};

static void the_code_tells_the_outcome(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    for (size_t i = 0; i < COUNT(codes); i++) {
        begin(&wire, query, codes[i].flags, 0);
        struct dns_reply reply = read_reply(bytes_of(&wire), query);
        assert_int_equal(reply.outcome, codes[i].outcome);
        assert_int_equal(reply.rcode, codes[i].rcode);
    }
}

static void a_failure_may_leave_the_question_out_but_nothing_else(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    for (size_t i = 0; i < COUNT(codes); i++) {
        begin(&wire, query, codes[i].flags, 0);
        wire.bytes[5] = 0; /* questions */
        wire.len = 12;
        enum dns_outcome expected = codes[i].outcome == DNS_FAILED ? DNS_FAILED : DNS_FOREIGN;
        assert_int_equal(read_reply(bytes_of(&wire), query).outcome, expected);
    }
}

static void a_referral_is_a_failure(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    begin(&wire, query, 0, 0);
    wire.bytes[3] = 0; /* no recursion */
    assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_FAILED);
    wire.bytes[2] |= 4; /* but an authority */
    assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_NO_DATA);
    begin(&wire, query, 0x200, 0);
    wire.bytes[3] = 0; /* truncated: the rest may have the answer */
    assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_NO_DATA);
    begin(&wire, query, 0, 0);
    wire.bytes[3] = 0;
    wire.bytes[11] = 1; /* one more record, of the server itself perhaps: no referral */
    assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_NO_DATA);
}

static void a_truncated_answer_says_so_and_gives_what_it_has(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    begin(&wire, query, 0x200, 0);
    assert_true(read_reply(bytes_of(&wire), query).truncated);
    begin(&wire, query, 0x200, 2);
    put_record(&wire, DNS_A, "\1\2\3\4", 4);
    put_record(&wire, DNS_A, "\1\2\3\5", 4);
    wire.len -= 3;
    struct dns_reply reply = read_reply(bytes_of(&wire), query);
    assert_true(reply.truncated);
    assert_int_equal(reply.outcome, DNS_ADDRESSES);
    assert_int_equal(reply.count, 1);
}

/* What is changed in a good reply, and makes it one to somebody else's query. */
static void what_does_not_answer_the_query_is_foreign(void **state)
{
    static struct wire wire;
    static const struct {
        size_t at;
        unsigned char flip;
    } changes[] = {
        { 0, 1 },     /* the id */
        { 1, 0x80 },  /* ... */
        { 2, 0x80 },  /* a query */
        { 2, 0x08 },  /* another operation */
        { 5, 3 },     /* two questions */
        { 13, 1 },    /* another name */
        { 12, 2 },    /* another label */
        { 24, 0x1c }, /* another type */
        { 26, 2 },    /* another class */
    };
    (void)state;
    slice query = query_for("a.example", DNS_A);
    for (size_t i = 0; i < COUNT(changes); i++) {
        begin(&wire, query, 0, 1);
        put_record(&wire, DNS_A, "\1\2\3\4", 4);
        assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_ADDRESSES);
        wire.bytes[changes[i].at] ^= changes[i].flip;
        if (read_reply(bytes_of(&wire), query).outcome != DNS_FOREIGN)
            fail_msg("byte %zu", changes[i].at);
    }
    begin(&wire, query, 2, 0);
    wire.bytes[13] ^= 1; /* a failure, but of another question */
    assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_FOREIGN);
    begin(&wire, query, 0, 0);
    wire.bytes[13] ^= 0x20; /* another case is the same name */
    assert_int_equal(read_reply(bytes_of(&wire), query).outcome, DNS_NO_DATA);
}

static void no_cut_reads_too_far(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    begin(&wire, query, 0, 2);
    put_cname(&wire, "a.example", "b.example");
    put_name(&wire, "b.example");
    put_fixed(&wire, DNS_A, 4);
    put(&wire, "\1\2\3\4", 4);
    for (size_t len = 0; len < wire.len; len++) {
        enum dns_outcome outcome =
            read_reply((slice){ (const char *)wire.bytes, len }, query).outcome;
        assert_int_equal(outcome, len < query.len ? DNS_FOREIGN : DNS_FAILED);
    }
}

static const struct pointer {
    const char *what;
    const char *bytes;
    size_t len;
} pointers[] = {
    { "to itself", "\xc0\x1b", 2 },
    { "forward", "\xc0\x40", 2 },
    { "to a pointer to itself", "\1a\xc0\x1b", 4 },
    { "into the header", "\xc0\x00", 2 },
    { "cut off", "\xc0", 1 },
    { "a label of another kind", "\x41x", 2 },
    { "a label over the end", "\x3fx", 2 },
};

static void pointers_lead_back_or_nowhere(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    assert_int_equal(query.len, 0x1b);
    for (size_t i = 0; i < COUNT(pointers); i++) {
        begin(&wire, query, 0, 1);
        put(&wire, pointers[i].bytes, pointers[i].len);
        if (i != 3 && read_reply(bytes_of(&wire), query).outcome != DNS_FAILED)
            fail_msg("%s", pointers[i].what);
        if (pointers[i].len > 1)
            put_fixed(&wire, DNS_A, 4);
        put(&wire, "\1\2\3\4", 4);
        if (read_reply(bytes_of(&wire), query).outcome == DNS_ADDRESSES)
            fail_msg("%s", pointers[i].what);
    }
}

/* What stands behind a name that cannot be read is not believed. */
static void nothing_is_read_behind_a_broken_name(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    for (size_t i = 0; i < COUNT(pointers); i++) {
        if (i == 3 || pointers[i].len == 1)
            continue;
        begin(&wire, query, 0, 2);
        put(&wire, pointers[i].bytes, pointers[i].len);
        put_fixed(&wire, DNS_A, 4);
        put(&wire, "\1\2\3\4", 4);
        put_record(&wire, DNS_A, "\5\6\7\10", 4);
        if (read_reply(bytes_of(&wire), query).outcome != DNS_FAILED)
            fail_msg("%s", pointers[i].what);
    }
}

/* Names have 255 bytes at most, however they are put together. */
static void a_name_that_is_too_long_is_broken(void **state)
{
    static struct wire wire;
    char label[64];
    (void)state;
    slice query = query_for("a.example", DNS_A);
    memset(label, 'x', sizeof label);
    label[0] = 63;
    for (int last = 61; last <= 62; last++) {
        begin(&wire, query, 0, 2);
        for (int i = 0; i < 3; i++)
            put(&wire, label, 64);
        const char short_label[] = { (char)last };
        put(&wire, short_label, 1);
        put(&wire, label + 1, (size_t)last);
        put(&wire, "", 1);
        put_fixed(&wire, DNS_A, 4);
        put(&wire, "\1\2\3\4", 4);
        put_record(&wire, DNS_A, "\5\6\7\10", 4);
        assert_int_equal(read_reply(bytes_of(&wire), query).outcome,
                         last == 61 ? DNS_ADDRESSES : DNS_FAILED);
    }
}

/* Whatever the one before has said. */
static void each_reply_begins_anew(void **state)
{
    static struct dns_reply reply;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    reply = (struct dns_reply){ DNS_ADDRESSES, .rcode = 5, .truncated = true, .count = 3 };
    dns_read_reply((slice){ "", 0 }, query, &reply);
    assert_int_equal(reply.outcome, DNS_FOREIGN);
    assert_true(reply.rcode == 0 && !reply.truncated && reply.count == 0);
}

static void more_addresses_than_there_is_room_for_are_left_out(void **state)
{
    static struct wire wire;
    (void)state;
    slice query = query_for("a.example", DNS_A);
    begin(&wire, query, 0, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        const unsigned char address[] = { 1, 2, (unsigned char)(i >> 8), (unsigned char)i };
        put_record(&wire, DNS_A, address, 4);
    }
    struct dns_reply reply = read_reply(bytes_of(&wire), query);
    assert_int_equal(reply.count, DNS_ADDRESSES_MAX);
    assert_memory_equal(reply.addresses[DNS_ADDRESSES_MAX - 1].bytes, "\1\2\0\xff", 4);
}

/* --- resolv.conf --- */

static void without_a_file_there_are_defaults(void **state)
{
    struct dns_config config;
    (void)state;
    dns_read_config((slice){ NULL, 0 }, &config);
    assert_int_equal(config.server_count, 0);
    assert_int_equal(config.search_count, 0);
    assert_false(config.has_search);
    assert_int_equal(config.ndots, 1);
    assert_int_equal(config.timeout_s, 5);
    assert_int_equal(config.attempts, 2);
    assert_false(config.rotate || config.use_tcp);
}

static void the_file_is_read_as_its_manual_has_it(void **state)
{
    static const char text[] = "# a comment\n"
                               "; another\n"
                               "nameserver 10.0.0.53\r\n"
                               "\tnameserver\tfe80::1%eth0 # the router\n"
                               "nameserver ;10.0.0.1\n"
                               "nameserver\n"
                               "nameserver 10.0.0.54;x\n"
                               "nameserver 10.0.0.55\n"
                               "nameserver\n"
                               "domain first.example\n"
                               "search a.example b.example.  c.example\n"
                               "options ndots:3 timeout:99 attempts:x unknown:1 edns0 trust-ad\n"
                               "options rotate use-vc attempts:4\n"
                               "sortlist 10.0.0.0/8\n"
                               "options timeout:2";
    struct dns_config config;
    (void)state;
    slice copy = guard_text(text);
    dns_read_config(copy, &config);
    assert_int_equal(config.server_count, 3);
    assert_true(slice_is(config.servers[0], "10.0.0.53"));
    assert_true(slice_is(config.servers[1], "fe80::1%eth0"));
    assert_true(slice_is(config.servers[2], "10.0.0.54"));
    assert_int_equal(config.search_count, 3);
    assert_true(slice_is(config.search[1], "b.example."));
    assert_int_equal(config.ndots, 3);
    assert_int_equal(config.timeout_s, 2);
    assert_int_equal(config.attempts, 4);
    assert_true(config.rotate && config.use_tcp && config.has_search);
    guard_free(copy);
}

static void values_out_of_range_are_bounded(void **state)
{
    struct dns_config config;
    (void)state;
    dns_read_config(slice_from("options timeout:0 attempts:0 ndots:99999999999\n"), &config);
    assert_int_equal(config.timeout_s, 1);
    assert_int_equal(config.attempts, 1);
    assert_int_equal(config.ndots, 1); /* no number that there is */
    dns_read_config(slice_from("options timeout:31 attempts:6 ndots:16\n"), &config);
    assert_int_equal(config.timeout_s, 30);
    assert_int_equal(config.attempts, 5);
    assert_int_equal(config.ndots, 15);
}

static const struct candidates {
    const char *conf, *name, *names;
} all_candidates[] = {
    { "", "api", "api" },
    { "", "api.test", "api.test" },
    { "search a b", "api", "api.a api.b api" },
    { "search a b", "api.test", "api.test api.test.a api.test.b" },
    { "search a b", "api.test.", "api.test." },
    { "search a b\noptions ndots:2", "api.test", "api.test.a api.test.b api.test" },
    { "search a b\noptions ndots:0", "api", "api api.a api.b" },
    { "search a.\n", "api", "api.a. api" },
    { "search .\n", "api", "api api" },
    { "search a\nsearch b", "api", "api.b api" },
    { "search a\ndomain b c", "api", "api.b api" },
    { "search a\nsearch", "api", "api" },
    { "search a", "", "" },
    { "search a", ".", "." },
};

static void names_are_asked_for_in_glibcs_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(all_candidates); i++) {
        char name[DNS_CANDIDATE_BYTES], all[256] = "";
        struct dns_config config;
        size_t len, index = 0;
        dns_read_config(slice_from(all_candidates[i].conf), &config);
        while ((len = dns_candidate(&config, slice_from(all_candidates[i].name), index, name)) > 0)
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s%.*s", index++ > 0 ? " " : "",
                     (int)len, name);
        assert_string_equal(all, all_candidates[i].names);
    }
}

static void a_candidate_that_is_too_long_is_refused_not_cut(void **state)
{
    char name[DNS_CANDIDATE_BYTES], text[600] = "search ";
    uint8_t query[DNS_QUERY_MAX_BYTES];
    struct dns_config config;
    (void)state;
    for (size_t i = 7; i < sizeof text - 1; i++)
        text[i] = i % 50 == 0 ? '.' : 'a';
    dns_read_config(slice_from(text), &config);
    assert_int_equal(config.search_count, 1);
    size_t len = dns_candidate(&config, slice_from("api"), 0, name);
    assert_int_equal(dns_write_query(query, ID, (slice){ name, len }, DNS_A), 0);
    len = dns_candidate(&config, slice_from("api"), 1, name);
    assert_true(dns_write_query(query, ID, (slice){ name, len }, DNS_A) > 0);
}

/* --- hosts --- */

static void hosts_are_found_by_any_of_their_names(void **state)
{
    static const char text[] = "127.0.0.1\tlocalhost\n"
                               "# 10.0.0.9 api.test\n"
                               "10.0.0.1 API.test api # api.commented\n"
                               "\n"
                               "10.0.0.2\n"
                               "fd00::1  other  api.test.\r\n"
                               "10.0.0.3 xapi.test api.test.x";
    slice rest = guard_text(text), all = rest, address;
    (void)state;
    assert_true(dns_next_host(&rest, slice_from("api.test"), &address));
    assert_true(slice_is(address, "10.0.0.1"));
    assert_true(dns_next_host(&rest, slice_from("api.test"), &address));
    assert_true(slice_is(address, "fd00::1"));
    assert_false(dns_next_host(&rest, slice_from("api.test"), &address));
    rest = all;
    assert_false(dns_next_host(&rest, slice_from("api.commented"), &address));
    rest = all;
    assert_true(dns_next_host(&rest, slice_from("api.test.x"), &address));
    guard_free(all);
}

static void localhost_is_a_domain(void **state)
{
    static const char *const yes[] = { "localhost", "LocalHost", "localhost.", "a.localhost",
                                       "a.b.localhost." };
    static const char *const no[] = { "localhosts", "alocalhost", "localhost.example", "local",
                                      "" };
    (void)state;
    for (size_t i = 0; i < COUNT(yes); i++)
        assert_true(dns_is_localhost(slice_from(yes[i])));
    for (size_t i = 0; i < COUNT(no); i++)
        assert_false(dns_is_localhost(slice_from(no[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_is_a_header_a_name_and_a_type),
        cmocka_unit_test(names_have_their_limits),
        cmocka_unit_test(addresses_come_in_their_order),
        cmocka_unit_test(the_type_asked_for_counts),
        cmocka_unit_test(other_types_and_classes_are_no_addresses),
        cmocka_unit_test(an_alias_fills_its_record),
        cmocka_unit_test(a_chain_of_aliases_is_followed_in_any_order),
        cmocka_unit_test(an_alias_of_nothing_has_no_data_and_a_circle_is_a_failure),
        cmocka_unit_test(the_code_tells_the_outcome),
        cmocka_unit_test(a_failure_may_leave_the_question_out_but_nothing_else),
        cmocka_unit_test(a_referral_is_a_failure),
        cmocka_unit_test(a_truncated_answer_says_so_and_gives_what_it_has),
        cmocka_unit_test(what_does_not_answer_the_query_is_foreign),
        cmocka_unit_test(no_cut_reads_too_far),
        cmocka_unit_test(pointers_lead_back_or_nowhere),
        cmocka_unit_test(nothing_is_read_behind_a_broken_name),
        cmocka_unit_test(a_name_that_is_too_long_is_broken),
        cmocka_unit_test(each_reply_begins_anew),
        cmocka_unit_test(more_addresses_than_there_is_room_for_are_left_out),
        cmocka_unit_test(without_a_file_there_are_defaults),
        cmocka_unit_test(the_file_is_read_as_its_manual_has_it),
        cmocka_unit_test(values_out_of_range_are_bounded),
        cmocka_unit_test(names_are_asked_for_in_glibcs_order),
        cmocka_unit_test(a_candidate_that_is_too_long_is_refused_not_cut),
        cmocka_unit_test(hosts_are_found_by_any_of_their_names),
        cmocka_unit_test(localhost_is_a_domain),
    };
    return cmocka_run_group_tests_name("dns", tests, NULL, NULL);
}
