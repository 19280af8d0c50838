/* audit/filter.c: the steps are carried out here as the kernel does it, for every number. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "audit/filter.h"

#ifdef __x86_64__
#define PROCESSOR 0xc000003eu
#else
#define PROCESSOR 0xc00000b7u
#endif
#define ALLOW 0x7fff0000u
#define TRAP 0x00030000u
#define ASK 0x7fc00000u
#define OWN 0x123456789abcu

/* struct seccomp_data */
struct call {
    uint32_t number, processor;
    uint64_t address, arguments[6];
};

static struct filter filter;
static struct filter_rules rules;

static uint32_t word_at(const struct call *call, uint32_t offset)
{
    uint32_t word;
    assert_true(offset % sizeof word == 0 && offset < sizeof *call);
    memcpy(&word, (const char *)call + offset, sizeof word);
    return word;
}

static uint32_t carry_out(const struct call *call)
{
    uint32_t word = 0;
    for (size_t at = 0; at < filter.count; at++) {
        const struct filter_step *step = &filter.steps[at];
        bool is = false;
        switch (step->code) {
        case 0x20: word = word_at(call, step->value); continue;
        case 0x05: at += step->value; continue;
        case 0x06: return step->value;
        case 0x15: is = word == step->value; break;
        case 0x35: is = word >= step->value; break;
        case 0x45: is = (word & step->value) != 0; break;
        default: fail_msg("step %zu has the unknown code %x", at, step->code);
        }
        at += is ? step->if_true : step->if_false;
    }
    fail_msg("the steps have no end");
    return 0;
}

static uint32_t says(uint32_t number, uint64_t address, uint64_t first)
{
    const struct call call = { number, PROCESSOR, address, { first } };
    return carry_out(&call);
}

static void build(void)
{
    assert_true(filter_build(&filter, &rules));
}

static int begin(void **state)
{
    (void)state;
    rules = (struct filter_rules){ .own_address = OWN };
    return 0;
}

static void every_number(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < FILTER_CALLS; number++)
        rules.verdicts[number] = number * 7919 % 11 < 5 ? FILTER_ALLOWED : FILTER_REFUSED;
    build();
    for (uint32_t number = 0; number < FILTER_CALLS; number++)
        assert_int_equal(says(number, 1, 0),
                         rules.verdicts[number] == FILTER_ALLOWED ? ALLOW : TRAP);
    for (uint32_t number = FILTER_CALLS; number != 0; number *= 2)
        assert_int_equal(says(number, 1, 0), TRAP); /* those of x32 are among them */
    assert_int_equal(says(UINT32_MAX, 1, 0), TRAP);
}

static void all_or_nothing(void **state)
{
    (void)state;
    build();
    assert_int_equal(says(0, OWN, 0), TRAP);
    memset(rules.verdicts, FILTER_ALLOWED, sizeof rules.verdicts);
    build();
    assert_int_equal(says(0, 1, 0), ALLOW);
    assert_int_equal(says(FILTER_CALLS - 1, 1, 0), ALLOW);
    assert_int_equal(says(FILTER_CALLS, 1, 0), TRAP);
}

static void another_processor(void **state)
{
    (void)state;
    memset(rules.verdicts, FILTER_ALLOWED, sizeof rules.verdicts);
    build();
    const struct call call = { 0, 0x40000003, 1, { 0 } }; /* i386 */
    assert_int_equal(carry_out(&call), TRAP);
}

static void watched_calls(void **state)
{
    (void)state;
    rules.verdicts[SYS_openat] = FILTER_WATCHED;
    build();
    assert_int_equal(says(SYS_openat, OWN, 0), ALLOW);
    assert_int_equal(says(SYS_openat, OWN + 1, 0), TRAP | FILTER_SAYS_WATCHED);
    assert_int_equal(says(SYS_openat, OWN + (1ull << 32), 0), TRAP | FILTER_SAYS_WATCHED);
    assert_int_equal(says(SYS_openat + 1, OWN, 0), TRAP);
}

static void threads_but_no_processes(void **state)
{
    (void)state;
    rules.verdicts[SYS_clone] = FILTER_THREAD;
    build();
    assert_int_equal(says(SYS_clone, 1, CLONE_VM | CLONE_THREAD), ALLOW);
    assert_int_equal(says(SYS_clone, OWN, CLONE_VM | CLONE_VFORK), TRAP);
}

static void sockets(void **state)
{
    (void)state;
    rules.verdicts[SYS_socket] = FILTER_SOCKET;
    build();
    assert_int_equal(says(SYS_socket, OWN, AF_INET), ALLOW);
    assert_int_equal(says(SYS_socket, OWN, AF_INET6), ALLOW);
    assert_int_equal(says(SYS_socket, OWN, AF_UNIX), TRAP);
    assert_int_equal(says(SYS_socket, OWN, AF_NETLINK), TRAP);
    assert_int_equal(says(SYS_socket, 1, AF_INET), TRAP);
    rules.unix_sockets = true;
    build();
    assert_int_equal(says(SYS_socket, OWN, AF_UNIX), ALLOW);
    assert_int_equal(says(SYS_socket, OWN, AF_NETLINK), TRAP);
}

/* More steps than one comparison can jump over. */
static void far_ranges(void **state)
{
    (void)state;
    for (size_t number = 0; number < 320; number++)
        rules.verdicts[number] = number % 2 ? FILTER_ALLOWED : FILTER_REFUSED;
    build();
    assert_in_range(filter.count, UINT8_MAX + 64, FILTER_STEPS_MAX);
    for (uint32_t number = 0; number < FILTER_CALLS; number++)
        assert_int_equal(says(number, 1, 0), number < 320 && number % 2 ? ALLOW : TRAP);
}

/* Whatever would raise a signal asks; the rest is as it was. */
static void asking(void **state)
{
    (void)state;
    rules.asks = true;
    rules.verdicts[SYS_read] = FILTER_ALLOWED;
    rules.verdicts[SYS_openat] = FILTER_WATCHED;
    rules.verdicts[SYS_clone] = FILTER_THREAD;
    rules.verdicts[SYS_socket] = FILTER_SOCKET;
    build();
    assert_int_equal(says(SYS_read, 1, 0), ALLOW);
    assert_int_equal(says(SYS_write, OWN, 0), ASK);
    assert_int_equal(says(UINT32_MAX, 1, 0), ASK);
    assert_int_equal(says(SYS_openat, OWN, 0), ALLOW);
    assert_int_equal(says(SYS_openat, 1, 0), ASK);
    assert_int_equal(says(SYS_clone, 1, CLONE_THREAD), ALLOW);
    assert_int_equal(says(SYS_clone, 1, CLONE_VFORK), ASK);
    assert_int_equal(says(SYS_socket, OWN, AF_INET), ALLOW);
    assert_int_equal(says(SYS_socket, 1, AF_INET), ASK);
    assert_int_equal(says(SYS_socket, OWN, AF_NETLINK), ASK);
    const struct call call = { 0, 0x40000003, 1, { 0 } };
    assert_int_equal(carry_out(&call), ASK);
}

/* Ranges as short as they can be: more than a filter of this form can tell apart. */
static void too_many_ranges(void **state)
{
    (void)state;
    for (size_t number = 0; number < FILTER_CALLS; number++)
        rules.verdicts[number] = number % 2 ? FILTER_ALLOWED : FILTER_REFUSED;
    assert_false(filter_build(&filter, &rules));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_number, begin),
        cmocka_unit_test_setup(all_or_nothing, begin),
        cmocka_unit_test_setup(another_processor, begin),
        cmocka_unit_test_setup(watched_calls, begin),
        cmocka_unit_test_setup(threads_but_no_processes, begin),
        cmocka_unit_test_setup(sockets, begin),
        cmocka_unit_test_setup(far_ranges, begin),
        cmocka_unit_test_setup(asking, begin),
        cmocka_unit_test_setup(too_many_ranges, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
