/*
 * audit/audit.h - what this binary may do with these flags and variables: the hosts it connects to,
 * the ports it listens on, the files it reads and writes, the programs it starts, and the system
 * calls of it all. One table of rules (audit/rules.c) and one of calls (audit/calls.c) say so.
 *
 * It is about the worker's own code. Programs and servers that it starts, a GPU's driver, and the
 * own code of a linked C handler do what they do: an entry names each.
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "config/config.h"
#include "worker.h"

#define AUDIT_ENTRIES_MAX 128
#define AUDIT_WHYS_MAX 8
#define AUDIT_ANY "*" /* as the host of an entry: whatever a job or a handler names */

enum audit_kind {
    AUDIT_CONNECT, /* subject: a host, or the path of a socket */
    AUDIT_LISTEN,  /* subject: an address or a name; "*": every address */
    AUDIT_READ,    /* subject: a file or a folder, as it is opened: maybe relative */
    AUDIT_WRITE,   /* the same */
    AUDIT_START,   /* subject: a program */
    AUDIT_KIND_COUNT,
};

enum { AUDIT_PORT_NONE = -1, AUDIT_PORT_ANY = -2 };

struct audit_entry {
    enum audit_kind kind;
    slice subject; /* of config, of the environment, or kept for as long as the process */
    int port;      /* to connect to or to listen on: 0 takes a free one; or AUDIT_PORT_... */
    bool tree;     /* the folder and everything below it */
    bool early;    /* only at the very start: --confine need not allow it */
    const char *whys[AUDIT_WHYS_MAX];
    size_t why_count;
};

struct audit {
    const struct config *config;
    const rp_config *program;
    unsigned mode; /* one bit of enum audit_mode in audit/rules.h */
    struct audit_entry entries[AUDIT_ENTRIES_MAX];
    size_t count;
    bool is_cut; /* there are more than AUDIT_ENTRIES_MAX */
};

/* What a group of system calls is for, and which. */
struct audit_role {
    const char *name;
    const char *why;
    bool (*applies)(const struct audit *audit);
    const uint16_t *numbers; /* of this processor's kernel */
    size_t count;
    const char *names; /* in the same order, each with a blank after it */
};

extern const struct audit_role audit_roles[];
extern const size_t audit_role_count;

/*
 * Fills in the entries. config is complete (app/start.c); config and program are linked. Looks for
 * programs in PATH as the start does; connects to nothing. Before there are threads.
 */
void audit_collect(struct audit *audit, const struct config *config, const rp_config *program);

/*
 * --audit: prints that to standard output, as text for people or as a JSON object. It names no
 * secret: of URLs the host and port alone, of programs the path without arguments, of one that is
 * not here the first word up to "=". ERR_CONFIG where the format is neither "json" nor "text" or
 * empty; ERR_MEMORY.
 */
int audit_print(const struct config *config, const rp_config *program, const char *format,
                struct err *err);

#endif
