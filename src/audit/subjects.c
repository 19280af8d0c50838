/* From what is set to the hosts, ports and paths that it stands for. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/rules.h"
#include "base/limits.h"
#include "codec/byte_class.h"
#include "codec/dns.h"
#include "codec/ip.h"
#include "codec/shell_words.h"
#include "codec/url.h"
#include "config/environment.h"
#include "files/model_cache.h"
#include "process/command.h"

#define HTTPS_PORT 443
#define NAMESERVERS "the nameservers of /etc/resolv.conf"

static const void *field(const struct audit *audit, const struct audit_rule *rule)
{
    return (const char *)audit->config + rule->offset;
}

static void add_why(struct audit_entry *entry, const char *why)
{
    for (size_t i = 0; i < entry->why_count; i++)
        if (strcmp(entry->whys[i], why) == 0)
            return;
    if (entry->why_count < AUDIT_WHYS_MAX)
        entry->whys[entry->why_count++] = why;
}

void audit_add(struct audit *audit, const struct audit_rule *rule, slice subject, int port)
{
    if (subject.len == 0)
        return;
    for (size_t i = 0; i < audit->count; i++) {
        struct audit_entry *entry = &audit->entries[i];
        if (entry->kind == rule->kind && entry->port == port && entry->tree == rule->tree &&
            slice_equal(entry->subject, subject)) {
            add_why(entry, rule->why);
            entry->early = false; /* unless audit_add_early says so */
            return;
        }
    }
    audit->is_cut |= audit->count == AUDIT_ENTRIES_MAX;
    if (audit->is_cut)
        return;
    struct audit_entry *entry = &audit->entries[audit->count++];
    *entry = (struct audit_entry){
        .kind = rule->kind,
        .subject = subject,
        .port = port,
        .tree = rule->tree,
    };
    add_why(entry, rule->why);
}

static void add_text(struct audit *audit, const struct audit_rule *rule, const char *path)
{
    audit_add(audit, rule, slice_from(path), AUDIT_PORT_NONE);
}

/* --- files ------------------------------------------------------------------------------------ */

void audit_add_subject(struct audit *audit, const struct audit_rule *rule)
{
    add_text(audit, rule, rule->subject);
}

/* Not of one that is there already: that is needed later, too. */
void audit_add_early(struct audit *audit, const struct audit_rule *rule)
{
    size_t before = audit->count;
    audit_add_subject(audit, rule);
    if (audit->count > before)
        audit->entries[before].early = true;
}

/* "-" is standard output. */
void audit_add_path(struct audit *audit, const struct audit_rule *rule)
{
    const char *path = *(const char *const *)field(audit, rule);
    if (path != NULL && strcmp(path, "-") != 0)
        add_text(audit, rule, path);
}

static void add_list(struct audit *audit, const struct audit_rule *rule, slice list)
{
    slice path;
    while (byte_class_next_word(&list, ":", &path))
        audit_add(audit, rule, path, AUDIT_PORT_NONE);
}

void audit_add_paths(struct audit *audit, const struct audit_rule *rule)
{
    const struct config_list *list = field(audit, rule);
    for (size_t i = 0; i < list->count; i++)
        add_list(audit, rule, slice_from(list->texts[i]));
}

void audit_add_scratch(struct audit *audit, const struct audit_rule *rule)
{
    bool is_chosen;
    add_text(audit, rule, environment_scratch_folder(&is_chosen));
}

void audit_add_hubs(struct audit *audit, const struct audit_rule *rule)
{
    char path[PATH_MAX];
    for (int i = 0; i < MODEL_CACHE_HUBS; i++)
        if (model_cache_hub(i, path))
            add_text(audit, rule, strdup(path)); /* kept, as the entry is */
}

void audit_add_volume(struct audit *audit, const struct audit_rule *rule)
{
    if (audit->config->cache.folders.count > 0)
        add_text(audit, rule, config_cache_volume(audit->config));
}

/* Where loader/find.c looks. */
void audit_add_library(struct audit *audit, const struct audit_rule *rule)
{
    static const char *const folders[] = {
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/usr/local/nvidia",
        "/run/opengl-driver/lib",
        "/etc/ld.so.cache",
        "/proc",
        "/sys",
        "/dev",
    };
    audit_add_path(audit, rule);
    add_list(audit, rule, slice_from(secure_getenv("LD_LIBRARY_PATH")));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        add_text(audit, rule, folders[i]);
}

/* --- hosts ------------------------------------------------------------------------------------ */

static void add_peer(struct audit *audit, const struct audit_rule *rule, const struct url *url)
{
    struct url proxy;
    bool is_proxied = proxy_for(&audit->config->proxy, url, &proxy);
    audit_add(audit, rule, is_proxied ? proxy.host : url->host,
              is_proxied ? proxy.port : url->port);
}

/* Plain http may lead to https on the same host (http/client.c). */
static void add_origin(struct audit *audit, const struct audit_rule *rule, slice text)
{
    struct audit_rule redirect = *rule;
    struct url url;
    if (text.len == 0 || url_parse(text, &url, NULL) != 0)
        return;
    add_peer(audit, rule, &url);
    if (url.tls)
        return;
    url.tls = true;
    url.port = HTTPS_PORT;
    redirect.why = "if http redirects to https";
    add_peer(audit, &redirect, &url);
}

void audit_add_url(struct audit *audit, const struct audit_rule *rule)
{
    add_origin(audit, rule, *(const slice *)field(audit, rule));
}

void audit_add_any_host(struct audit *audit, const struct audit_rule *rule)
{
    audit_add(audit, rule, slice_from(AUDIT_ANY), AUDIT_PORT_ANY);
}

void audit_add_bucket(struct audit *audit, const struct audit_rule *rule)
{
    add_origin(audit, rule, slice_from(secure_getenv("BUCKET_ENDPOINT_URL")));
}

/* A server is reached without a proxy. */
void audit_add_server(struct audit *audit, const struct audit_rule *rule)
{
    slice text = slice_from(audit->config->handler.http), scheme = SLICE_LITERAL(URL_UNIX_SCHEME);
    struct url url;
    if (text.len > scheme.len && memcmp(text.ptr, scheme.ptr, scheme.len) == 0)
        audit_add(audit, rule, slice_skip(text, scheme.len), AUDIT_PORT_NONE);
    else if (text.len > 0 && url_parse(text, &url, NULL) == 0)
        audit_add(audit, rule, url.host, url.port);
}

/* A host that is neither an address nor this machine. To listen on any is no name. */
static bool is_looked_up(const struct audit_entry *entry)
{
    struct ip ip;
    bool is_host = entry->kind == AUDIT_CONNECT || entry->kind == AUDIT_LISTEN;
    return is_host && entry->port != AUDIT_PORT_NONE && !ip_parse_host(entry->subject, &ip) &&
           !dns_is_localhost(entry->subject) &&
           !(entry->kind == AUDIT_LISTEN && slice_is(entry->subject, AUDIT_ANY));
}

bool audit_looks_up(const struct audit *audit)
{
    for (size_t i = 0; i < audit->count; i++)
        if (is_looked_up(&audit->entries[i]))
            return true;
    return false;
}

void audit_add_nameservers(struct audit *audit, const struct audit_rule *rule)
{
    audit_add(audit, rule, slice_from(NAMESERVERS), DNS_PORT);
}

/* --- ports ------------------------------------------------------------------------------------ */

/* The host that goes with a port of config; empty: every address. */
static slice host_of(const struct config *config, size_t offset)
{
    const slice here = SLICE_LITERAL("localhost");
    if (offset == offsetof(struct config, api.port))
        return config->api.host.len > 0 ? config->api.host : here;
    if (offset == offsetof(struct config, metrics.port))
        return config->metrics.host.len > 0 ? config->metrics.host : here;
    if (offset == offsetof(struct config, realtime_port))
        return config->realtime_host;
    return config->serve.host;
}

/* The ports of --serve are read from texts, the others are numbers; -1: off. */
void audit_add_listen(struct audit *audit, const struct audit_rule *rule)
{
    bool is_checked = rule->offset == offsetof(struct config, serve.port) ||
                      rule->offset == offsetof(struct config, serve.health_port);
    int port = is_checked ? *(const uint16_t *)field(audit, rule)
                          : (int)*(const int64_t *)field(audit, rule);
    slice host = host_of(audit->config, rule->offset);
    if (port >= 0)
        audit_add(audit, rule, host.len > 0 ? host : slice_from(AUDIT_ANY), port);
}

/* --- programs --------------------------------------------------------------------------------- */

/*
 * The program of a line that names none that is here: it may be there where the worker runs. What
 * stands behind "=" may be a secret (TOKEN=... program): it is cut off. The flag, where there is no
 * such word.
 */
static slice name_of_absent(const struct audit_rule *rule, const char *line)
{
    slice rest = slice_from(line), word = { 0 };
    char *room = malloc(rest.len + 1); /* kept, as the entry is */
    if (room != NULL && shell_words_next(&rest, room, &word, NULL) > 0)
        word.len = byte_class_until(word, "=");
    if (word.len > 0)
        return word;
    free(room);
    return slice_from(rule->subject);
}

void audit_add_program(struct audit *audit, const struct audit_rule *rule)
{
    const char *line = *(const char *const *)field(audit, rule);
    struct command command = { 0 };
    struct err err = { 0 };
    if (line == NULL)
        return;
    if (command_prepare(&command, line, rule->subject, &err) == 0)
        add_text(audit, rule, command.path);
    else
        audit_add(audit, rule, name_of_absent(rule, line), AUDIT_PORT_NONE);
}

void audit_add_itself(struct audit *audit, const struct audit_rule *rule)
{
    static char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path);
    add_text(audit, rule, rule->subject);
    if (len > 0)
        audit_add(audit, rule, (slice){ path, (size_t)len }, AUDIT_PORT_NONE);
}
