/* base/own_call: at one address that a filter of the kernel sees. What they do: test_io.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit/filter.h"
#include "base/own_call.h"
#include "in_child.h"

/* linux/seccomp.h, linux/bpf_common.h: not among musl's headers. */
enum { LOAD = 0x20, IF_EQUAL = 0x15, END = 0x06 };
enum { AT_NUMBER = 0, AT_ADDRESS = 8 };
#define ALLOW 0x7fff0000u
#define REFUSE (0x00050000u | EPERM)

/* From now on openat and socket fail with EPERM, but at this address. */
static int allow_at(uint64_t address)
{
    const struct filter filter = {
        .steps = {
            { LOAD, 0, 0, AT_NUMBER },
            { IF_EQUAL, 1, 0, SYS_openat },
            { IF_EQUAL, 0, 4, SYS_socket }, /* else to ALLOW */
            { LOAD, 0, 0, AT_ADDRESS },
            { IF_EQUAL, 0, 3, (uint32_t)address }, /* else to REFUSE */
            { LOAD, 0, 0, AT_ADDRESS + 4 },
            { IF_EQUAL, 0, 1, (uint32_t)(address >> 32) },
            { END, 0, 0, ALLOW },
            { END, 0, 0, REFUSE },
        },
        .count = 9,
    };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? filter_install(&filter) : -1;
}

/* 0, or which of it was not so. */
static int only_own_calls_pass(void)
{
    const long getppid_arguments[6] = { 0 };
    if (allow_at(own_call_address()) != 0)
        return 1;
    if (own_socket(AF_INET, SOCK_STREAM, 0) < 0)
        return 2;
    if (own_open("/dev/null", 0) < 0)
        return 3;
    if (own_call(SYS_getppid, getppid_arguments) != getppid())
        return 4;
    errno = 0;
    if (socket(AF_INET, SOCK_STREAM, 0) != -1 || errno != EPERM)
        return 5;
    return 0;
}

static void a_filter_knows_own_calls_by_their_address(void **state)
{
    (void)state;
    assert_int_equal(status_of(only_own_calls_pass), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_knows_own_calls_by_their_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
