/*
 * api/judge.h - which addresses a host that a job names may have: for downloads, and for uploads to
 * a job's own storage.
 */
#ifndef API_JUDGE_H
#define API_JUDGE_H

#include <stdbool.h>

#include "config/config.h"
#include "net/resolve.h"

/* Judges each address before it is connected to. */
struct judge {
    struct address_filter filter; /* first: a pointer to it is one to the whole */
    bool only_public;
    const char *denied; /* ranges that the operator denies; NULL for none */
};

/* Public addresses only, unless allow_private or one of the variables says otherwise. */
void judge_init(struct judge *judge, const struct config *config, bool allow_private);

/*
 * For http_request.filter, valid as long as the judge; NULL where all is allowed, since a request
 * that is judged does not go through a proxy. Its errors are ERR_INPUT and name the variable.
 */
const struct address_filter *judge_filter(const struct judge *judge);

#endif
