/*
 * codec/dns.h - the formats of a stub resolver: DNS messages (RFC 1035), /etc/resolv.conf and
 * /etc/hosts, and the names that a search list makes of one.
 *
 * Pure: no I/O, nothing allocated; slices point into the text that was given. Names are text with
 * dots; their case is ignored.
 */
#ifndef CODEC_DNS_H
#define CODEC_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "codec/ip.h"

#define DNS_PORT 53
#define DNS_NAME_MAX_CHARS 253  /* RFC 1035, section 2.3.4, without the root's dot */
#define DNS_LABEL_MAX_CHARS 63  /* the same */
#define DNS_QUERY_MAX_BYTES 272 /* header, longest name, type and class */
#define DNS_ADDRESSES_MAX 256   /* kept of one reply */
#define DNS_MESSAGE_MAX_BYTES 65535

enum dns_type {
    DNS_A = 1,
    DNS_AAAA = 28,
};

/*
 * Writes a query, with recursion desired, for the name, which may end with a dot. Returns its size,
 * or 0 where the name is not valid: a label is empty or too long, or the whole name is.
 */
size_t dns_write_query(uint8_t query[DNS_QUERY_MAX_BYTES], uint16_t id, slice name,
                       enum dns_type type);

enum dns_outcome {
    DNS_FOREIGN,   /* not a reply to this query: ignore it */
    DNS_ADDRESSES, /* at least one */
    DNS_NO_NAME,   /* NXDOMAIN */
    DNS_NO_DATA,   /* the name has no address of this type */
    DNS_FAILED,    /* the server failed, refused, referred to others or sent a broken answer */
};

struct dns_reply {
    enum dns_outcome outcome;
    unsigned
        rcode; /* RFC 1035, section 4.1.1; 0 with DNS_FAILED: a malformed answer or a referral */
    bool truncated; /* TC: the complete answer takes TCP */
    size_t count;
    struct ip addresses[DNS_ADDRESSES_MAX];
};

/*
 * Reads a reply to the query, which dns_write_query wrote. The id and the question must be the
 * query's (RFC 5452, section 9.1). CNAME records are followed from the name asked for; the
 * addresses are those of the last name. A truncated message gives the addresses it holds.
 */
void dns_read_reply(slice message, slice query, struct dns_reply *reply);

/* --- /etc/resolv.conf --- */

#define DNS_SERVERS_MAX 3 /* the first ones of the file, as in glibc */
#define DNS_SEARCH_MAX 32 /* domains of a search list; kubelet allows so many */

struct dns_config {
    slice servers[DNS_SERVERS_MAX]; /* addresses as text; IPv6 ones may have a zone */
    size_t server_count;            /* may be 0 */
    slice search[DNS_SEARCH_MAX];
    size_t search_count;
    bool has_search; /* the file has a search or domain line */
    unsigned ndots;
    unsigned timeout_s;
    unsigned attempts;
    bool rotate;
    bool use_tcp; /* "use-vc" */
};

/*
 * Reads the file's text, as resolv.conf(5) describes it, with glibc's defaults and bounds. Options
 * without a member here are ignored, and so are lines that are not understood. An empty text gives
 * the defaults. *config points into text.
 */
void dns_read_config(slice text, struct dns_config *config);

/*
 * The names to ask for, in glibc's order: writes number `index`, from 0 on, and returns its length,
 * or 0 after the last. A name that ends with a dot is absolute. Otherwise the name comes first as
 * it is if it has at least ndots dots, and last if not; the others have a domain of the search list
 * appended. One that is too long for dns_write_query may be cut, but not so that it is valid.
 */
#define DNS_CANDIDATE_BYTES (2 * DNS_NAME_MAX_CHARS + 4)
size_t dns_candidate(const struct dns_config *config, slice name, size_t index,
                     char out[DNS_CANDIDATE_BYTES]);

/* --- /etc/hosts --- */

/* Cuts lines off *text until one lists `name`; *address is its first word. False at the end. */
bool dns_next_host(slice *text, slice name, slice *address);

/* True for "localhost" and all names below it (RFC 6761, section 6.3); they may end with a dot. */
bool dns_is_localhost(slice name);

#endif
