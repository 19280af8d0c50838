/* Reading /etc/hosts and /etc/resolv.conf, line by line. */
#include <string.h>

#include "codec/byte_class.h"
#include "codec/dns.h"

/* glibc's: RES_MAXNDOTS, RES_TIMEOUT, RES_MAXRETRANS, RES_DFLRETRY, RES_MAXRETRY. */
enum {
    NDOTS = 1,
    NDOTS_MAX = 15,
    TIMEOUT_S = 5,
    TIMEOUT_MAX_S = 30,
    ATTEMPTS = 2,
    ATTEMPTS_MAX = 5,
};

static const char blanks[] = " \t\r\f\v";

/* Cuts the next line, without its line feed, off the text. False at the end. */
static bool next_line(slice *text, slice *line)
{
    if (text->len == 0)
        return false;
    *line = (slice){ text->ptr, byte_class_until(*text, "\n") };
    *text = slice_skip(*text, line->len < text->len ? line->len + 1 : line->len);
    return true;
}

/* --- resolv.conf --- */

/* Reads the number after "name:", at most max; anything else leaves *out as it was. */
static void read_number(slice word, slice name, unsigned max, unsigned *out)
{
    uint64_t number;
    if (!slice_starts(word, name))
        return;
    if (byte_class_decimal(slice_skip(word, name.len), UINT32_MAX, &number))
        *out = number < max ? (unsigned)number : max;
}

static void read_option(struct dns_config *config, slice word)
{
    read_number(word, SLICE_LITERAL("ndots:"), NDOTS_MAX, &config->ndots);
    read_number(word, SLICE_LITERAL("timeout:"), TIMEOUT_MAX_S, &config->timeout_s);
    read_number(word, SLICE_LITERAL("attempts:"), ATTEMPTS_MAX, &config->attempts);
    config->rotate = config->rotate || slice_is(word, "rotate");
    config->use_tcp = config->use_tcp || slice_is(word, "use-vc");
}

static void read_search(struct dns_config *config, slice line, size_t max)
{
    slice word;
    config->has_search = true;
    config->search_count = 0; /* the last line wins */
    while (config->search_count < max && byte_class_next_word(&line, blanks, &word))
        config->search[config->search_count++] = word;
}

static void read_server(struct dns_config *config, slice line)
{
    slice word;
    if (config->server_count == DNS_SERVERS_MAX || !byte_class_next_word(&line, blanks, &word))
        return;
    word.len = byte_class_until(word, ";#");
    if (word.len > 0)
        config->servers[config->server_count++] = word;
}

void dns_read_config(slice text, struct dns_config *config)
{
    slice line, word;
    *config = (struct dns_config){ .ndots = NDOTS, .timeout_s = TIMEOUT_S, .attempts = ATTEMPTS };
    while (next_line(&text, &line)) {
        if (!byte_class_next_word(&line, blanks, &word))
            continue;
        if (slice_is(word, "nameserver"))
            read_server(config, line);
        else if (slice_is(word, "search"))
            read_search(config, line, DNS_SEARCH_MAX);
        else if (slice_is(word, "domain"))
            read_search(config, line, 1);
        else if (slice_is(word, "options"))
            while (byte_class_next_word(&line, blanks, &word))
                read_option(config, word);
    }
    if (config->timeout_s == 0)
        config->timeout_s = 1;
    if (config->attempts == 0)
        config->attempts = 1;
}

/* --- the names that are asked for --- */

static size_t copy_name(slice name, slice domain, char out[DNS_CANDIDATE_BYTES])
{
    size_t len = name.len < DNS_NAME_MAX_CHARS + 1 ? name.len : DNS_NAME_MAX_CHARS + 1;
    memcpy(out, name.ptr, len);
    if (domain.len > DNS_NAME_MAX_CHARS)
        domain.len = DNS_NAME_MAX_CHARS;
    if (domain.len > 0) {
        out[len++] = '.';
        memcpy(out + len, domain.ptr, domain.len);
        len += domain.len;
    }
    return len;
}

size_t dns_candidate(const struct dns_config *config, slice name, size_t index,
                     char out[DNS_CANDIDATE_BYTES])
{
    static const slice none = { NULL, 0 };
    unsigned dots = 0;
    for (size_t i = 0; i < name.len; i++)
        dots += name.ptr[i] == '.';
    bool absolute = name.len > 0 && name.ptr[name.len - 1] == '.';
    bool itself_first = absolute || dots >= config->ndots;
    size_t count = absolute ? 0 : config->search_count;
    if (name.len == 0 || index > count)
        return 0;
    if (index == (itself_first ? 0 : count))
        return copy_name(name, none, out);
    slice domain = config->search[itself_first ? index - 1 : index];
    if (slice_is(domain, ".")) /* the root: the name itself */
        domain = none;
    return copy_name(name, domain, out);
}

/* --- /etc/hosts --- */

static bool same_host(slice a, slice b)
{
    a = slice_trim_end(a, '.');
    b = slice_trim_end(b, '.');
    return a.len == b.len && slice_ends_nocase(a, b);
}

bool dns_next_host(slice *text, slice name, slice *address)
{
    slice line, word;
    while (next_line(text, &line)) {
        line.len = byte_class_until(line, "#");
        if (!byte_class_next_word(&line, blanks, address))
            continue;
        while (byte_class_next_word(&line, blanks, &word))
            if (same_host(word, name))
                return true;
    }
    return false;
}

bool dns_is_localhost(slice name)
{
    static const slice localhost = { "localhost", 9 };
    name = slice_trim_end(name, '.');
    if (!slice_ends_nocase(name, localhost))
        return false;
    return name.len == localhost.len || name.ptr[name.len - localhost.len - 1] == '.';
}
