/*
 * net/resolve_order.h - the order in which the addresses of a name are tried; part of a look-up
 * (resolve.h).
 */
#ifndef NET_RESOLVE_ORDER_H
#define NET_RESOLVE_ORDER_H

#include <stdbool.h>

#include "net/address.h"

/* True where the system knows a way there. Sends nothing. */
bool resolve_has_route(const struct address *address);

/* Puts the addresses in the order that resolve.h promises. */
void resolve_sort(struct address_list *list);

#endif
