/* The order in which the addresses of a name are tried. */
#include <string.h>
#include <unistd.h>

#include "base/own_call.h"
#include "net/resolve_order.h"

/* The policy table of RFC 6724, section 2.1; the first match counts. */
static const struct policy {
    struct ip_range range;
    unsigned char precedence, label;
} policies[] = {
    { { { { [15] = 1 }, IP_V6_BYTES }, 128 }, 50, 0 },
    { { { { [10] = 0xff, [11] = 0xff }, IP_V6_BYTES }, 96 }, 35, 4 },
    { { { { 0 }, IP_V6_BYTES }, 96 }, 1, 3 },
    { { { { 0x20, 0x01 }, IP_V6_BYTES }, 32 }, 5, 5 },
    { { { { 0x20, 0x02 }, IP_V6_BYTES }, 16 }, 30, 2 },
    { { { { 0x3f, 0xfe }, IP_V6_BYTES }, 16 }, 1, 12 },
    { { { { 0xfe, 0xc0 }, IP_V6_BYTES }, 10 }, 1, 11 },
    { { { { 0xfc }, IP_V6_BYTES }, 7 }, 3, 13 },
    { { { { 0 }, IP_V6_BYTES }, 0 }, 40, 1 },
};

static const struct policy *policy_of(const struct ip *ip)
{
    static const struct policy v4 = { .precedence = 35, .label = 4 };
    const struct policy *policy = policies;
    if (ip->size == IP_V4_BYTES)
        return &v4;
    while (!ip_in_range(ip, &policy->range))
        policy++;
    return policy;
}

/* RFC 4291's scopes of unicast addresses, and RFC 6724, section 3.2, for IPv4. */
static unsigned scope_of(const struct ip *ip)
{
    enum { LINK = 2, SITE = 5, GLOBAL = 14 };
    const unsigned char *b = ip->bytes;
    if (ip->size == IP_V4_BYTES)
        return b[0] == 127 || (b[0] == 169 && b[1] == 254) ? LINK : GLOBAL;
    if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
        return LINK;
    if (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0)
        return SITE;
    return policy_of(ip)->precedence == policies[0].precedence ? LINK : GLOBAL; /* ::1 */
}

/* The source address the system would use (connect on UDP sends nothing). False without a route. */
static bool find_source(const struct address *to, struct ip *source)
{
    struct address from = { .size = sizeof from.v6 };
    int fd = own_socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool found = connect(fd, &to->any, to->size) == 0 &&
                 getsockname(fd, &from.any, &from.size) == 0;
    close(fd);
    if (found)
        *source = address_ip(&from);
    return found;
}

bool resolve_has_route(const struct address *address)
{
    struct ip source;
    return find_source(address, &source);
}

#define RANK_ROUTE 0x10000u

/* Higher is better: the rules of RFC 6724, section 6, the first one in the highest bit. */
static unsigned rank_of(const struct address *address)
{
    const struct ip to = address_ip(address);
    const struct policy *policy = policy_of(&to);
    unsigned scope = scope_of(&to), rank = (unsigned)policy->precedence << 4 | (15 - scope);
    struct ip from;
    if (!find_source(address, &from))
        return rank;
    bool same_scope = scope_of(&from) == scope,
         same_label = policy_of(&from)->label == policy->label;
    return rank | RANK_ROUTE | (unsigned)same_scope << 15 | (unsigned)same_label << 14;
}

static void move(struct address *items, size_t from, size_t to)
{
    struct address item = items[from];
    memmove(&items[to + 1], &items[to], (from - to) * sizeof *items);
    items[to] = item;
}

/* Makes the families alternate in items[0..count), beginning with the first item's. */
static void take_turns(struct address *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        size_t next = i;
        while (next < count && items[next].any.sa_family == items[i - 1].any.sa_family)
            next++;
        if (next == count)
            return;
        move(items, next, i);
    }
}

void resolve_sort(struct address_list *list)
{
    unsigned ranks[ADDRESS_LIST_MAX] = { 0 };
    size_t with_route = 0;
    if (list->count < 2)
        return;
    for (size_t i = 0; i < list->count; i++) {
        unsigned rank = rank_of(&list->items[i]);
        size_t to = i;
        while (to > 0 && ranks[to - 1] < rank)
            to--;
        memmove(&ranks[to + 1], &ranks[to], (i - to) * sizeof *ranks);
        ranks[to] = rank;
        move(list->items, i, to);
        with_route += rank >= RANK_ROUTE;
    }
    take_turns(list->items, with_route);
}
