/*
 * DNS: the input is a message's bytes from the flags on, read as a reply to an A and an AAAA query;
 * and the text of resolv.conf and of hosts, with a name in its first line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/byte_class.h"
#include "codec/dns.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(const uint8_t *data, size_t size, enum dns_type type)
{
    static struct dns_reply reply;
    uint8_t query[DNS_QUERY_MAX_BYTES];
    size_t query_size = dns_write_query(query, 0x1234, slice_from("a.b.c"), type);
    uint8_t *message = malloc(size + 2); /* exactly so large: one byte more is an error */
    if (message == NULL)
        return;
    memcpy(message, query, 2);
    if (size > 0)
        memcpy(message + 2, data, size);
    dns_read_reply((slice){ (const char *)message, size + 2 },
                   (slice){ (const char *)query, query_size }, &reply);
    must(reply.count <= DNS_ADDRESSES_MAX);
    must((reply.outcome == DNS_ADDRESSES) == (reply.count > 0));
    for (size_t i = 0; i < reply.count; i++)
        must(reply.addresses[i].size == (type == DNS_A ? IP_V4_BYTES : IP_V6_BYTES));
    must(reply.outcome != DNS_ADDRESSES || reply.rcode == 0);
    free(message);
}

static bool is_within(slice part, slice whole)
{
    return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

static void check_candidates(const struct dns_config *config, slice name)
{
    char out[DNS_CANDIDATE_BYTES];
    uint8_t query[DNS_QUERY_MAX_BYTES];
    size_t len, index = 0;
    for (; (len = dns_candidate(config, name, index, out)) > 0; index++) {
        must(len <= sizeof out);
        must(dns_write_query(query, 1, (slice){ out, len }, DNS_A) <= sizeof query);
    }
    must(index <= config->search_count + 1);
}

static void check_files(slice text)
{
    struct dns_config config;
    slice name = { text.ptr, byte_class_until(text, "\n") };
    dns_read_config(text, &config);
    must(config.server_count <= DNS_SERVERS_MAX && config.search_count <= DNS_SEARCH_MAX);
    must(config.timeout_s > 0 && config.attempts > 0);
    for (size_t i = 0; i < config.server_count; i++)
        must(config.servers[i].len > 0 && is_within(config.servers[i], text));
    for (size_t i = 0; i < config.search_count; i++)
        must(config.search[i].len > 0 && is_within(config.search[i], text));
    check_candidates(&config, name);
    slice rest = text, address;
    while (dns_next_host(&rest, name, &address))
        must(address.len > 0 && is_within(address, text));
    must(rest.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_reply(data, size, DNS_A);
    check_reply(data, size, DNS_AAAA);
    check_files((slice){ (const char *)data, size });
    return 0;
}
