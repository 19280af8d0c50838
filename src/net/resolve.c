#include "net/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "codec/url.h"

/* An address written as text: no resolver, no files, no blocking. */
static bool parse_literal(struct address *address, const char *host, uint16_t port)
{
    *address = (struct address){ 0 };
    if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        address->size = sizeof address->v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(port);
        address->size = sizeof address->v6;
        return true;
    }
    return false;
}

static int resolve_name(struct address_list *list, const char *host, uint16_t port, struct err *err)
{
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found;
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc == EAI_SYSTEM)
        return err_system(err, ERR_RETRY, errno, "cannot resolve host %s", host);
    if (rc != 0)
        return err_set(err, ERR_RETRY, "cannot resolve host %s: %s", host, gai_strerror(rc));
    for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
        struct address *address = &list->items[list->count];
        if (list->count == ADDRESS_LIST_MAX || each->ai_addrlen > sizeof address->v6)
            continue;
        memcpy(&address->any, each->ai_addr, each->ai_addrlen);
        address->size = each->ai_addrlen;
        list->count++;
    }
    freeaddrinfo(found);
    return list->count > 0 ? 0 : err_set(err, ERR_RETRY, "host %s has no address", host);
}

int address_resolve(struct address_list *list, slice host, uint16_t port, struct err *err)
{
    char name[URL_HOST_MAX_BYTES + 1];
    list->count = 0;
    if (host.len >= sizeof name)
        return err_set(err, ERR_INPUT, "a host name of %zu bytes is too long", host.len);
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    if (parse_literal(&list->items[0], name, port)) {
        list->count = 1;
        return 0;
    }
    return resolve_name(list, name, port, err);
}

void address_text(const struct address *address, char text[ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "%s:%u", host, (unsigned)ntohs(address->v4.sin_port));
    } else {
        inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
        snprintf(text, ADDRESS_TEXT_BYTES, "[%s]:%u", host, (unsigned)ntohs(address->v6.sin6_port));
    }
}
