/*
 * net/address.h - addresses with their ports, and lists of them.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "codec/ip.h"

#define ADDRESS_LIST_MAX 256  /* of one name; 8 KiB of a list */
#define ADDRESS_TEXT_BYTES 64 /* "[ipv6 address]:port" */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t size;
};

struct address_list {
    struct address items[ADDRESS_LIST_MAX];
    size_t count; /* at least 1 on success */
};

/*
 * Who judges addresses before anything is sent to them: 0 to go on, or an error that says why not
 * (ERR_INPUT by custom). Its owner may put it into a larger struct. Called by the thread that
 * connects.
 */
struct address_filter {
    int (*judge)(const struct address_filter *self, const struct address *address, struct err *err);
};

struct address address_make(const struct ip *ip, uint16_t port);

/* The address without its port. */
struct ip address_ip(const struct address *address);

/* Writes the address and port as people write them: "10.0.0.1:443", "[::1]:443". */
void address_text(const struct address *address, char text[ADDRESS_TEXT_BYTES]);

/* Appends an address; does nothing where the list is full. */
void address_list_add(struct address_list *list, const struct ip *ip, uint16_t port);

#endif
