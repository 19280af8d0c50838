#include "net/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/own_call.h"
#include "base/random.h"
#include "codec/byte_class.h"
#include "net/resolve_ask.h"
#include "net/resolve_order.h"

#define CONF_PATH "/etc/resolv.conf"
#define HOSTS_PATH "/etc/hosts"
#define HOST_TEXT_BYTES 256 /* with the NUL; names end at DNS_NAME_MAX_CHARS */

/* if_nametoindex, by a socket of the worker's own; libc's is one that --confine refuses. */
static uint32_t interface_number(slice name)
{
    struct ifreq request = { 0 };
    int fd = own_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fd = own_socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    memcpy(request.ifr_name, name.ptr, name.len);
    int rc = ioctl(fd, SIOCGIFINDEX, &request);
    close(fd);
    return rc == 0 ? (uint32_t)request.ifr_ifindex : 0;
}

/* A zone is an interface's name or number (RFC 4007, section 11). 0 where it is neither. */
static uint32_t parse_zone(slice zone)
{
    uint64_t number;
    if (byte_class_decimal(zone, UINT32_MAX, &number))
        return (uint32_t)number;
    return zone.len > 0 && zone.len < IF_NAMESIZE ? interface_number(zone) : 0;
}

/* An address written as text: no files, no blocking. */
static bool parse_literal(slice text, uint16_t port, struct address *address)
{
    struct ip ip;
    slice plain = { text.ptr, byte_class_until(text, "%") };
    if (!ip_parse_host(plain, &ip))
        return false;
    *address = address_make(&ip, port);
    if (plain.len == text.len)
        return true;
    if (ip.size != IP_V6_BYTES)
        return false;
    address->v6.sin6_scope_id = parse_zone(slice_skip(text, plain.len + 1));
    return address->v6.sin6_scope_id != 0;
}

/* --- files --- */

/* Its mode lets us read it, and yet it cannot be opened: --confine allows the file before it. */
static void tell_replaced(const char *path)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if (errno == EACCES && access(path, R_OK) == 0 && !atomic_flag_test_and_set(&told))
        log_write(
            LOG_WARN, NULL,
            "%s cannot be read any more. With --confine that is a file which was replaced after "
            "the start: write into the file that is there, or restart the worker.",
            path);
}

/* A file that is missing or cannot be read counts as empty, as in every resolver. */
static slice read_file(const char *path, size_t max_bytes, struct buf *out)
{
    buf_init(out, max_bytes, path);
    errno = 0;
    if (io_read_file(path, 0, out, NULL) != 0) {
        tell_replaced(path);
        buf_clear(out);
    }
    return buf_slice(out);
}

static void look_into_hosts(struct address_list *list, slice host, uint16_t port)
{
    struct buf file;
    slice address, rest = read_file(HOSTS_PATH, LIMIT_HOSTS_BYTES, &file);
    while (list->count < ADDRESS_LIST_MAX && dns_next_host(&rest, host, &address))
        if (parse_literal(address, port, &list->items[list->count]))
            list->count++;
    buf_free(&file);
}

static void add_loopback(struct address_list *list, uint16_t port)
{
    static const struct ip v6 = { { [15] = 1 }, IP_V6_BYTES },
                           v4 = { { 127, 0, 0, 1 }, IP_V4_BYTES };
    address_list_add(list, &v6, port);
    address_list_add(list, &v4, port);
}

/* Without a search or domain line, the search list is the domain in the host's own name. */
static void search_own_domain(struct dns_config *config, char own_name[HOST_TEXT_BYTES])
{
    own_name[0] = '\0';
    if (config->has_search || gethostname(own_name, HOST_TEXT_BYTES) != 0)
        return;
    own_name[HOST_TEXT_BYTES - 1] = '\0';
    const char *dot = strchr(own_name, '.');
    if (dot != NULL && dot[1] != '\0')
        config->search[config->search_count++] = slice_from(dot + 1);
}

static void choose_servers(struct resolver *resolver)
{
    static const struct ip loopback = { { 127, 0, 0, 1 }, IP_V4_BYTES };
    const struct dns_config *config = &resolver->config;
    size_t first = config->rotate && config->server_count > 0 ? random_u32() % config->server_count
                                                              : 0;
    for (size_t i = 0; i < config->server_count; i++) {
        slice text = config->servers[(first + i) % config->server_count];
        if (parse_literal(text, DNS_PORT, &resolver->servers[resolver->server_count]))
            resolver->server_count++;
    }
    if (resolver->server_count == 0) /* as resolv.conf(5) has it */
        resolver->servers[resolver->server_count++] = address_make(&loopback, DNS_PORT);
}

/* --- asking --- */

struct lookup {
    struct resolver resolver;
    slice host;
    uint16_t port;
    struct address_list *list;
    bool settled[DNS_SEARCH_MAX + 1]; /* candidates that need not be asked for again */
    bool exists;                      /* one of these has no address, but exists */
    struct resolve_failure failure;   /* of the last candidate that failed */
};

/* One round over all candidates: RESOLVE_FOUND, RESOLVE_FAILED, RESOLVE_NO_NAME, or an error. */
static int ask_once(struct lookup *lookup, bool patient, struct err *err)
{
    char name[DNS_CANDIDATE_BYTES];
    size_t len;
    int outcome = RESOLVE_NO_NAME;
    const struct dns_config *config = &lookup->resolver.config;
    int64_t limit_ms = patient ? (int64_t)config->timeout_s * 1000 : LIMIT_DNS_IMPATIENT_MS;
    for (size_t i = 0; (len = dns_candidate(config, lookup->host, i, name)) > 0; i++) {
        if (lookup->settled[i])
            continue;
        int rc = resolve_ask(&lookup->resolver, (slice){ name, len }, clock_deadline(limit_ms),
                             patient, lookup->port, lookup->list, &lookup->failure, err);
        if (rc < 0 || rc == RESOLVE_FOUND)
            return rc;
        lookup->settled[i] = rc != RESOLVE_FAILED;
        lookup->exists = lookup->exists || rc == RESOLVE_NO_DATA;
        if (rc == RESOLVE_FAILED)
            outcome = RESOLVE_FAILED;
        if (clock_left_ms(lookup->resolver.deadline) == 0)
            return RESOLVE_FAILED;
    }
    return outcome;
}

static int explain(const struct lookup *lookup, int outcome, struct err *err)
{
    static const char *const rcodes[] = {
        [1] = "FORMERR", [2] = "SERVFAIL", [4] = "NOTIMP", [5] = "REFUSED"
    };
    const struct resolve_failure *failure = &lookup->failure;
    char server[ADDRESS_TEXT_BYTES];
    address_text(&lookup->resolver.servers[failure->server], server);
    if (outcome != RESOLVE_FAILED)
        return err_set(err, ERR_RETRY, "cannot resolve host %.*s: %s", SLICE_ARG(lookup->host),
                       lookup->exists ? "the name has no address" : "there is no such name");
    if (failure->errnum != 0)
        return err_system(err, ERR_RETRY, failure->errnum,
                          "cannot resolve host %.*s: nameserver %s", SLICE_ARG(lookup->host),
                          server);
    if (failure->rcode != 0) {
        const char *text = failure->rcode < sizeof rcodes / sizeof *rcodes ? rcodes[failure->rcode]
                                                                           : NULL;
        return err_set(err, ERR_RETRY, "cannot resolve host %.*s: nameserver %s answered %s (%u)",
                       SLICE_ARG(lookup->host), server, text != NULL ? text : "an error",
                       failure->rcode);
    }
    return err_set(err, ERR_TIMEOUT,
                   "cannot resolve host %.*s: no nameserver of " CONF_PATH
                   " gave an answer in time",
                   SLICE_ARG(lookup->host));
}

/*
 * With several candidates the first round gives each only LIMIT_DNS_IMPATIENT_MS, so that one
 * without an answer leaves time for the rest; later rounds wait as long as resolv.conf says.
 */
static int ask(struct lookup *lookup, struct err *err)
{
    const struct dns_config *config = &lookup->resolver.config;
    char name[DNS_CANDIDATE_BYTES];
    bool several = dns_candidate(config, lookup->host, 1, name) > 0;
    unsigned rounds = config->attempts + several;
    int outcome = RESOLVE_FAILED;
    for (unsigned i = 0; i < rounds && outcome == RESOLVE_FAILED; i++) {
        if (i > 0 && clock_left_ms(lookup->resolver.deadline) == 0)
            break;
        outcome = ask_once(lookup, !several || i > 0, err);
    }
    if (outcome < 0)
        return err_wrap(err, "cannot resolve host %.*s", SLICE_ARG(lookup->host));
    return outcome == RESOLVE_FOUND ? 0 : explain(lookup, outcome, err);
}

static int ask_servers(struct address_list *list, slice host, uint16_t port,
                       const struct wake *wake, deadline_ms deadline, struct err *err)
{
    struct buf file;
    char own_name[HOST_TEXT_BYTES];
    struct lookup lookup = { .host = host, .port = port, .list = list };
    lookup.resolver.wake = wake;
    lookup.resolver.deadline = deadline;
    dns_read_config(read_file(CONF_PATH, LIMIT_RESOLV_CONF_BYTES, &file), &lookup.resolver.config);
    search_own_domain(&lookup.resolver.config, own_name);
    choose_servers(&lookup.resolver);
    int rc = ask(&lookup, err);
    buf_free(&file);
    return rc;
}

int address_resolve(struct address_list *list, slice host, uint16_t port, const struct wake *wake,
                    deadline_ms deadline, struct err *err)
{
    uint8_t query[DNS_QUERY_MAX_BYTES];
    list->count = 0;
    if (parse_literal(host, port, &list->items[0])) {
        list->count = 1;
        return 0;
    }
    if (dns_write_query(query, 0, host, DNS_A) == 0)
        return err_set(err, ERR_INPUT,
                       "\"%.*s\" is not a host name: a part of it is empty or too long",
                       SLICE_ARG(host));
    look_into_hosts(list, host, port);
    if (list->count == 0 && dns_is_localhost(host))
        add_loopback(list, port);
    int rc = list->count > 0 ? 0 : ask_servers(list, host, port, wake, deadline, err);
    if (rc == 0)
        resolve_sort(list);
    return rc;
}
