/*
 * audit/confine.h - --confine: the worker's threads are held to what --audit prints, by a filter of
 * system calls (audit/filter.h) and a list of files and ports (audit/landlock.h).
 */
#ifndef AUDIT_CONFINE_H
#define AUDIT_CONFINE_H

#include "audit/audit.h"
#include "audit/filter.h"

/*
 * 1 if --confine asks for it, 0 if not; ERR_CONFIG if it cannot be used as it is set, or if this
 * process has other threads already: they could not be confined. Blocks on the file system.
 */
int confine_check(const struct config *config, const rp_config *program, struct err *err);

/*
 * Confines the calling thread and those that it starts from then on, for good. What is to have more
 * is started before, or by a thread from before (process_begin_starter). Without Landlock only the
 * system calls are held. Makes the scratch folder, those of --cache and the file of --test_result,
 * which the worker would make later. Blocks on the file system. ERR_CONFIG where the kernel has no
 * filters.
 */
int confine(const struct config *config, const rp_config *program, struct err *err);

/* Says so in the log, and what this kernel cannot do. */
void confine_tell(void);

/* The filter's rules, for that version of Landlock, 0: none. */
void confine_rules(struct filter_rules *rules, const struct audit *audit, int landlock);

#endif
