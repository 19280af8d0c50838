#include "base/own_call.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

/* One copy, in no other function, so that there is one address. clang inlines "noduplicate". */
#ifdef __clang__
#define ONE_COPY __attribute__((noinline, optnone))
#else
#define ONE_COPY __attribute__((noipa))
#endif

ONE_COPY static long call_at(long number, const long arguments[6], uintptr_t *address)
{
    /* Read before the registers are filled: a sanitizer calls a function for each load. */
    const long a = arguments[0], b = arguments[1], c = arguments[2], d = arguments[3],
               e = arguments[4], f = arguments[5];
#ifdef __x86_64__
    uintptr_t next;
    long result = number;
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    register long sixth __asm__("r9") = f;
    __asm__ volatile("lea 1f(%%rip), %[next]\n\tsyscall\n1:"
                     : "+a"(result), [next] "=&r"(next)
                     : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
#else /* aarch64 */
    uintptr_t next;
    register long call __asm__("x8") = number;
    register long result __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    register long fifth __asm__("x4") = e;
    register long sixth __asm__("x5") = f;
    __asm__ volatile("adr %[next], 1f\n\tsvc #0\n1:"
                     : "+r"(result), [next] "=&r"(next)
                     : "r"(call), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "memory", "cc");
#endif
    *address = next;
    return result;
}

long own_call(long number, const long arguments[6])
{
    uintptr_t address;
    return call_at(number, arguments, &address);
}

uintptr_t own_call_address(void)
{
    const long arguments[6] = { 0 };
    uintptr_t address;
    call_at(SYS_getpid, arguments, &address);
    return address;
}

static int settle(long result)
{
    if (result < 0)
        errno = (int)-result;
    return result < 0 ? -1 : (int)result;
}

int own_socket(int domain, int type, int protocol)
{
    const long arguments[6] = { domain, type, protocol };
    return settle(own_call(SYS_socket, arguments));
}

int own_open(const char *path, int flags)
{
    const long arguments[6] = { AT_FDCWD, (long)path, flags };
    return settle(own_call(SYS_openat, arguments));
}
