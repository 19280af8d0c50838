#include "net/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

struct address address_make(const struct ip *ip, uint16_t port)
{
    struct address address = { 0 };
    if (ip->size == IP_V4_BYTES) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
        memcpy(&address.v4.sin_addr, ip->bytes, IP_V4_BYTES);
        address.size = sizeof address.v4;
    } else {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
        memcpy(&address.v6.sin6_addr, ip->bytes, IP_V6_BYTES);
        address.size = sizeof address.v6;
    }
    return address;
}

struct ip address_ip(const struct address *address)
{
    struct ip ip = { .size = IP_V4_BYTES };
    if (address->any.sa_family == AF_INET) {
        memcpy(ip.bytes, &address->v4.sin_addr, IP_V4_BYTES);
        return ip;
    }
    ip.size = IP_V6_BYTES;
    memcpy(ip.bytes, &address->v6.sin6_addr, IP_V6_BYTES);
    return ip;
}

void address_list_add(struct address_list *list, const struct ip *ip, uint16_t port)
{
    if (list->count < ADDRESS_LIST_MAX)
        list->items[list->count++] = address_make(ip, port);
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
