/*
 * audit/rules.h - one row of the table in audit/rules.c, which says what the worker does and when.
 */
#ifndef AUDIT_RULES_H
#define AUDIT_RULES_H

#include "audit/audit.h"

/* Where jobs come from: config_is_polling and the others of config/config.h. */
enum audit_mode {
    MODE_LOCAL = 1,
    MODE_PLATFORM = 2,
    MODE_REALTIME = 4,
    MODE_API = 8,
    MODE_SERVE = 16,
    MODE_REMOTE = MODE_PLATFORM | MODE_REALTIME | MODE_API | MODE_SERVE,
    MODE_ANY = MODE_LOCAL | MODE_REMOTE,
};

struct audit_rule {
    enum audit_kind kind;
    unsigned modes;                             /* enum audit_mode */
    bool (*applies)(const struct audit *audit); /* and only if this says so; NULL: yes */
    /* Adds the entries: from the subject, from what is at the offset in struct config, or both. */
    void (*add)(struct audit *audit, const struct audit_rule *rule);
    const char *subject; /* a path, or the name of a variable or a flag */
    size_t offset;
    bool tree;
    const char *why;
};

extern const struct audit_rule audit_rules[];
extern const size_t audit_rule_count;

/* Adds an entry, or its reason to one that is there already. */
void audit_add(struct audit *audit, const struct audit_rule *rule, slice subject, int port);

/* The ways to add what a rule stands for, see audit/subjects.c; `rule->offset` is of that type. */
void audit_add_subject(struct audit *audit, const struct audit_rule *rule); /* none */
void audit_add_early(struct audit *audit, const struct audit_rule *rule);   /* none; a path */
void audit_add_path(struct audit *audit, const struct audit_rule *rule);    /* const char * */
void audit_add_paths(struct audit *audit, const struct audit_rule *rule);   /* struct config_list */
void audit_add_url(struct audit *audit, const struct audit_rule *rule);     /* slice */
void audit_add_any_host(struct audit *audit, const struct audit_rule *rule);
void audit_add_bucket(struct audit *audit, const struct audit_rule *rule);
void audit_add_server(struct audit *audit, const struct audit_rule *rule);
void audit_add_nameservers(struct audit *audit, const struct audit_rule *rule);
void audit_add_program(struct audit *audit, const struct audit_rule *rule); /* const char * */
void audit_add_itself(struct audit *audit, const struct audit_rule *rule);
void audit_add_listen(struct audit *audit, const struct audit_rule *rule); /* a port */
void audit_add_scratch(struct audit *audit, const struct audit_rule *rule);
void audit_add_hubs(struct audit *audit, const struct audit_rule *rule);
void audit_add_volume(struct audit *audit, const struct audit_rule *rule);
void audit_add_library(struct audit *audit, const struct audit_rule *rule);

/* What rules depend on. */
bool audit_is_linked(const struct audit *audit);    /* the handler is a C function of this binary */
bool audit_is_isolated(const struct audit *audit);  /* and runs in a process of its own */
bool audit_has_child(const struct audit *audit);    /* it is a program of the worker's, no server */
bool audit_has_programs(const struct audit *audit); /* any program is started */
bool audit_has_files(const struct audit *audit);    /* jobs have folders, downloads, uploads */
bool audit_has_models(const struct audit *audit);   /* cached ones are asked for by a flag */
bool audit_connects(const struct audit *audit);     /* some entry is a connection */
bool audit_listens(const struct audit *audit);
bool audit_looks_up(const struct audit *audit); /* some host is a name that servers are asked for */
bool audit_writes(const struct audit *audit);
bool audit_watches(const struct audit *audit);
bool audit_has_gpu(const struct audit *audit);

#endif
