/*
 * audit/trial.h - --confine=log: what the filter and the list would refuse is made all the same,
 * and a line in the log says what it was.
 */
#ifndef AUDIT_TRIAL_H
#define AUDIT_TRIAL_H

#include "audit/filter.h"
#include "base/err.h"

/*
 * Starts the thread that answers a filter's questions; it is to be started before the filter is
 * there, which would hold it too. ERR_MEMORY. Once.
 */
int trial_begin(struct err *err);

/*
 * Installs the filter, which asks, and lets that thread answer: it lets every call through, and
 * writes a line about each kind once. `rules` are those that the filter is of, and stay. 0, or an
 * errno; ENOSYS where the kernel is older than Linux 5.5.
 */
int trial_install(const struct filter *filter, const struct filter_rules *rules);

#endif
