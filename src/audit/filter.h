/*
 * audit/filter.h - a seccomp filter out of a list of system calls: seccomp(2), in the instructions
 * of the classic BPF. A binary search over the numbers, so that its length costs next to nothing.
 */
#ifndef AUDIT_FILTER_H
#define AUDIT_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_CALLS 512 /* numbers from here on are refused */
#define FILTER_STEPS_MAX 768

/* The processor whose calls these are; si_arch of the signal. */
#ifdef __x86_64__
#define FILTER_PROCESSOR 0xc000003eu /* x32 has the same, and numbers from 2^30 on */
#else
#define FILTER_PROCESSOR 0xc00000b7u
#endif

/*
 * What happens to a system call; refused and watched ones raise SIGSYS, or, where the filter asks,
 * wait for an answer.
 */
enum filter_verdict {
    FILTER_REFUSED,
    FILTER_ALLOWED,
    FILTER_WATCHED, /* allowed from own_address alone: whoever handles the signal makes it there */
    FILTER_THREAD,  /* clone: allowed for a thread of the process */
    FILTER_SOCKET,  /* socket: allowed from own_address, for the families below */
    FILTER_VERDICTS,
};

/* si_errno of the signal. */
enum { FILTER_SAYS_REFUSED = 0, FILTER_SAYS_WATCHED = 1 };

struct filter_rules {
    uint8_t verdicts[FILTER_CALLS]; /* by number; enum filter_verdict */
    uintptr_t own_address;          /* base/own_call.h */
    bool unix_sockets;              /* beside those of IPv4 and IPv6 */
    bool asks;                      /* nothing is refused: filter_install_asking */
};

/* As struct sock_filter. */
struct filter_step {
    uint16_t code;
    uint8_t if_true, if_false;
    uint32_t value;
};

struct filter {
    struct filter_step steps[FILTER_STEPS_MAX];
    size_t count;
};

/* Makes the filter. False if it has more than FILTER_STEPS_MAX steps. */
bool filter_build(struct filter *filter, const struct filter_rules *rules);

/*
 * The calling thread, and those that it starts from then on, are held to it; for good. It needs
 * no_new_privs (prctl(2)). 0, or an errno.
 */
int filter_install(const struct filter *filter);

/*
 * The same of a filter that asks. Returns a descriptor of the caller's, which the questions are
 * read from (seccomp_unotify(2), from Linux 5.5 on), or -1 with errno set: EBUSY where somebody
 * outside does so already. Once it is closed everywhere, calls that ask fail with ENOSYS.
 */
int filter_install_asking(const struct filter *filter);

#endif
