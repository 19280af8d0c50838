#include "audit/filter.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/seccomp.h, linux/audit.h, linux/bpf_common.h: not among musl's headers. */
enum { MODE_FILTER = 1, FLAG_NO_SPECULATION_LIMITS = 4, FLAG_LISTENER = 8 };
enum { LOAD = 0x20, JUMP = 0x05, IF_EQUAL = 0x15, IF_AT_LEAST = 0x35, IF_BITS = 0x45, END = 0x06 };
enum { AT_NUMBER = 0, AT_PROCESSOR = 4, AT_ADDRESS = 8, AT_FIRST_ARGUMENT = 16 };
#define ALLOW 0x7fff0000u
#define TRAP 0x00030000u
#define ASK 0x7fc00000u

/*
 * The steps are put in from the last to the first, since jumps only lead on: what one leads to is
 * there already. A place is the number of steps that were put in before.
 */
struct building {
    struct filter *filter;
    const struct filter_rules *rules;
    struct {
        uint16_t from; /* to the next one's */
        uint8_t verdict;
    } ranges[FILTER_CALLS + 1];
    size_t range_count;
    size_t places[FILTER_VERDICTS]; /* of what carries out a verdict */
};

static uint32_t refusal(const struct filter_rules *rules, uint32_t says)
{
    return rules->asks ? ASK : TRAP | says;
}

static size_t put(struct filter *filter, uint16_t code, uint32_t value, size_t if_true,
                  size_t if_false)
{
    if (filter->count < FILTER_STEPS_MAX)
        filter->steps[filter->count] = (struct filter_step){ code, (uint8_t)if_true,
                                                             (uint8_t)if_false, value };
    return filter->count++;
}

static size_t put_plain(struct filter *filter, uint16_t code, uint32_t value)
{
    return put(filter, code, value, 0, 0);
}

/* A comparison cannot jump far: a jump without one can. */
static size_t bring_near(struct filter *filter, size_t place)
{
    size_t away = filter->count - place;
    return away < UINT8_MAX ? place : put_plain(filter, JUMP, (uint32_t)(away - 1));
}

static size_t put_if(struct filter *filter, uint16_t code, uint32_t value, size_t if_true,
                     size_t if_false)
{
    if_true = bring_near(filter, if_true);
    if_false = bring_near(filter, if_false);
    return put(filter, code, value, filter->count - if_true - 1, filter->count - if_false - 1);
}

static void make_ranges(struct building *building)
{
    size_t count = 0;
    for (size_t number = 0; number <= FILTER_CALLS; number++) {
        uint8_t verdict = number < FILTER_CALLS ? building->rules->verdicts[number]
                                                : (uint8_t)FILTER_REFUSED;
        if (count > 0 && building->ranges[count - 1].verdict == verdict)
            continue;
        building->ranges[count].from = (uint16_t)number;
        building->ranges[count++].verdict = verdict;
    }
    building->range_count = count;
}

/* The ranges [first, last): half of them each time. */
// NOLINTNEXTLINE(misc-no-recursion): as deep as the logarithm of the ranges
static size_t put_search(struct building *building, size_t first, size_t last)
{
    if (last - first == 1)
        return building->places[building->ranges[first].verdict];
    size_t middle = first + (last - first) / 2;
    size_t upper = put_search(building, middle, last), lower = put_search(building, first, middle);
    return put_if(building->filter, IF_AT_LEAST, building->ranges[middle].from, upper, lower);
}

/* Goes on at `own` where the call comes from the worker's own address, which is loaded first. */
static size_t put_address_check(struct filter *filter, uintptr_t address, size_t own, size_t other)
{
    put_if(filter, IF_EQUAL, (uint32_t)((uint64_t)address >> 32), own, other);
    size_t upper_half = put_plain(filter, LOAD, AT_ADDRESS + 4);
    put_if(filter, IF_EQUAL, (uint32_t)address, upper_half, other);
    return put_plain(filter, LOAD, AT_ADDRESS);
}

static size_t put_socket_check(struct filter *filter, const struct filter_rules *rules,
                               size_t allow, size_t refuse)
{
    size_t place = refuse;
    if (rules->unix_sockets)
        place = put_if(filter, IF_EQUAL, AF_UNIX, allow, place);
    place = put_if(filter, IF_EQUAL, AF_INET6, allow, place);
    put_if(filter, IF_EQUAL, AF_INET, allow, place);
    size_t family = put_plain(filter, LOAD, AT_FIRST_ARGUMENT);
    return put_address_check(filter, rules->own_address, family, refuse);
}

static void put_verdicts(struct filter *filter, const struct filter_rules *rules,
                         size_t places[FILTER_VERDICTS])
{
    size_t watch = put_plain(filter, END, refusal(rules, FILTER_SAYS_WATCHED));
    size_t refuse = put_plain(filter, END, refusal(rules, FILTER_SAYS_REFUSED));
    size_t allow = put_plain(filter, END, ALLOW);
    places[FILTER_ALLOWED] = allow;
    places[FILTER_REFUSED] = refuse;
    places[FILTER_WATCHED] = put_address_check(filter, rules->own_address, allow, watch);
    put_if(filter, IF_BITS, CLONE_THREAD, allow, refuse);
    places[FILTER_THREAD] = put_plain(filter, LOAD, AT_FIRST_ARGUMENT);
    places[FILTER_SOCKET] = put_socket_check(filter, rules, allow, refuse);
}

static void turn_round(struct filter *filter)
{
    for (size_t i = 0; i < filter->count / 2; i++) {
        struct filter_step step = filter->steps[i];
        filter->steps[i] = filter->steps[filter->count - 1 - i];
        filter->steps[filter->count - 1 - i] = step;
    }
}

bool filter_build(struct filter *filter, const struct filter_rules *rules)
{
    static struct building building;
    building = (struct building){ .filter = filter, .rules = rules };
    filter->count = 0;
    make_ranges(&building);
    put_verdicts(filter, rules, building.places);
    size_t search = put_search(&building, 0, building.range_count);
    if (search != filter->count - 1) /* it is one verdict's steps, which are not the last */
        put_plain(filter, JUMP, (uint32_t)(filter->count - search - 1));
    size_t number = put_plain(filter, LOAD, AT_NUMBER);
    put_if(filter, IF_EQUAL, FILTER_PROCESSOR, number, building.places[FILTER_REFUSED]);
    put_plain(filter, LOAD, AT_PROCESSOR);
    if (filter->count > FILTER_STEPS_MAX)
        return false;
    turn_round(filter);
    return true;
}

static long install(const struct filter *filter, unsigned flags)
{
    const struct {
        unsigned short count;
        const struct filter_step *steps;
    } program = { (unsigned short)filter->count, filter->steps };
    return syscall(SYS_seccomp, MODE_FILTER, flags, &program);
}

int filter_install(const struct filter *filter)
{
    /* Before Linux 4.17 that flag is an error; without it, all of the process runs slower. */
    if (install(filter, FLAG_NO_SPECULATION_LIMITS) == 0)
        return 0;
    if (errno == EINVAL && install(filter, 0) == 0)
        return 0;
    return errno;
}

int filter_install_asking(const struct filter *filter)
{
    return (int)install(filter, FLAG_NO_SPECULATION_LIMITS | FLAG_LISTENER);
}
