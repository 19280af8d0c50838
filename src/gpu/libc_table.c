/*
 * The table costs 13 bytes of code a name and the name itself. An array of pointers would cost 60:
 * a static-pie relocates each pointer at start, by 24 bytes of relocation, touching every page of it.
 */
#include "gpu/libc_table.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <getopt.h>
#include <grp.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <langinfo.h>
#include <libgen.h>
#include <libintl.h>
#include <locale.h>
#include <malloc.h>
#include <math.h>
#include <mntent.h>
#include <net/if.h>
#include <netdb.h>
#include <pwd.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>
#include <wctype.h>

#include "gpu/dl.h"
#include "gpu/libc_own.h"
#include "gpu/tls.h"

#ifdef __GLIBC__
/* A build of the tests: names alone. The addresses would be glibc's, whose declarations differ. */
#define ADDRESS(what) NULL
#else
#define ADDRESS(what) (void *)(uintptr_t)&what

/* What musl has for programs made for glibc, and does not declare. */
const unsigned short **__ctype_b_loc(void);
const int32_t **__ctype_tolower_loc(void);
const int32_t **__ctype_toupper_loc(void);
int *__h_errno_location(void);
int __cxa_atexit(void (*handler)(void *), void *argument, void *library);
void __cxa_finalize(void *library);
_Noreturn void __stack_chk_fail(void);
int __xpg_strerror_r(int number, char *text, size_t size);
int __sigsetjmp(sigjmp_buf where, int save);
extern char **__environ, *__progname, *__progname_full;
#endif

/*
 * Each pass over the list says anew what its lines mean. No macro may hand a name on to another one: musl
 * has macros of some of the names.
 */

/* The names in one piece, each with its NUL; a member for each, to know where it lies. */
#define SAME(name) char name_##name[sizeof #name];
#define FROM(name, what) char name_##name[sizeof #name];
#define OWN(name, what) char name_##name[sizeof #name];
static const struct names {
#include "gpu/libc_names.def"
} names = {
#undef SAME
#undef FROM
#undef OWN
#define SAME(name) #name,
#define FROM(name, what) #name,
#define OWN(name, what) #name,
#include "gpu/libc_names.def"
};
#undef SAME
#undef FROM
#undef OWN

#define SAME(name) offsetof(struct names, name_##name),
#define FROM(name, what) offsetof(struct names, name_##name),
#define OWN(name, what) offsetof(struct names, name_##name),
static const uint16_t places[] = {
#include "gpu/libc_names.def"
};
#undef SAME
#undef FROM
#undef OWN

#define SAME(name) NUMBER_##name,
#define FROM(name, what) NUMBER_##name,
#define OWN(name, what) NUMBER_##name,
enum number {
#include "gpu/libc_names.def"
};
#undef SAME
#undef FROM
#undef OWN

// clang-format off
#define SAME(name) case NUMBER_##name: return ADDRESS(name);
#define FROM(name, what) case NUMBER_##name: return ADDRESS(what);
#define OWN(name, what) case NUMBER_##name: return ADDRESS(what);
// clang-format on
static void *address_of(enum number number)
{
    switch (number) {
#include "gpu/libc_names.def"
    }
    return NULL;
}

size_t libc_name_count(void)
{
    return sizeof places / sizeof *places;
}

const char *libc_name(size_t index)
{
    return (const char *)&names + places[index];
}

void *libc_symbol(const char *name)
{
    size_t from = 0, to = libc_name_count();
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strcmp(name, libc_name(middle));
        if (order == 0)
            return address_of((enum number)middle);
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}
