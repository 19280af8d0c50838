/* Wrappers for which glibc and musl differ in small things, and functions that musl lacks. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loader/libc_private.h"

char libc_single_threaded = 0; /* false, so libstdc++ always uses atomic instructions */

/* The GNU version returns the text, which need not be the caller's buffer. */
char *libc_strerror_r(int number, char *text, size_t size)
{
    const char *message = strerror(number); /* a constant of musl */
    if (size > 0) {
        size_t len = strnlen(message, size - 1);
        memcpy(text, message, len);
        text[len] = '\0';
    }
    return text;
}

/* --- walking a tree ------------------------------------------------------------------------- */

static _Thread_local int (*visitor)(const char *, const struct stat *, int, struct FTW *);

/* FTW_F to FTW_SLN start at 1 in musl and at 0 in glibc, in the same order. */
static int visit_as_glibc(const char *path, const struct stat *info, int type, struct FTW *where)
{
    int (*mine)(const char *, const struct stat *, int, struct FTW *) = visitor;
    int rc = mine(path, info, type - FTW_F, where);
    visitor = mine; /* a visitor may walk another tree */
    return rc;
}

int libc_nftw(const char *path, int (*visit)(const char *, const struct stat *, int, struct FTW *),
              int descriptors, int flags)
{
    int (*before)(const char *, const struct stat *, int, struct FTW *) = visitor;
    visitor = visit;
    int rc = nftw(path, visit_as_glibc, descriptors, flags);
    visitor = before;
    return rc;
}

/* --- memory --------------------------------------------------------------------------------- */

struct libc_mallinfo libc_mallinfo(void)
{
    return (struct libc_mallinfo){ { 0 } };
}

struct libc_mallinfo2 libc_mallinfo2(void)
{
    return (struct libc_mallinfo2){ { 0 } };
}

int libc_mallopt(int name, int value)
{
    (void)name;
    (void)value;
    return 1; /* success, although it has no effect */
}

int libc_malloc_trim(size_t keep)
{
    (void)keep;
    return 0; /* no memory was released */
}

/* --- glibc's version and back traces -------------------------------------------------------- */

/* The table has all names of this release that drivers use. */
const char *libc_version(void)
{
    return "2.31";
}

const char *libc_release(void)
{
    return "stable";
}

int libc_backtrace(void **frames, int size)
{
    (void)frames;
    (void)size;
    return 0; /* no frames found */
}

char **libc_backtrace_symbols(void *const *frames, int size)
{
    (void)frames;
    (void)size;
    return calloc(1, sizeof(char *));
}

void libc_backtrace_symbols_fd(void *const *frames, int size, int fd)
{
    (void)frames;
    (void)size;
    (void)fd;
}

/* --- character set conversion --------------------------------------------------------------- */

/*
 * Drivers' copies of libstdc++ import iconv for streams in other encodings. musl's tables for that
 * would be a fifth of the whole binary, so every conversion is reported as unsupported.
 */
void *libc_iconv_open(const char *to, const char *from)
{
    (void)to;
    (void)from;
    errno = EINVAL;
    return (void *)-1; // NOLINT(performance-no-int-to-ptr): iconv_open(3)'s error
}

// NOLINTNEXTLINE(readability-non-const-parameter): as iconv(3) is declared
size_t libc_iconv(void *conversion, char **from, size_t *from_bytes, char **to, size_t *to_bytes)
{
    (void)conversion;
    (void)from;
    (void)from_bytes;
    (void)to;
    (void)to_bytes;
    errno = EBADF;
    return (size_t)-1;
}

int libc_iconv_close(void *conversion)
{
    (void)conversion;
    errno = EBADF;
    return -1;
}

/* --- what macros in glibc's headers call ---------------------------------------------------- */

cpu_set_t *libc_cpualloc(size_t count)
{
    size_t bytes = CPU_ALLOC_SIZE(count);
    return calloc(1, bytes);
}

void *libc_rawmemchr(const void *bytes, int byte)
{
    const char *at = bytes;
    while (*at != (char)byte)
        at++;
    return (void *)(uintptr_t)at;
}

struct cmsghdr *libc_cmsg_nxthdr(struct msghdr *message, struct cmsghdr *header)
{
    size_t size = CMSG_ALIGN((size_t)header->cmsg_len);
    char *end = (char *)message->msg_control + message->msg_controllen;
    if (header->cmsg_len < sizeof *header || size + sizeof *header > (size_t)(end - (char *)header))
        return NULL;
    return (struct cmsghdr *)(void *)((char *)header + size);
}

/* --- struct versions: 64-bit systems have only had one -------------------------------------- */

int libc_xstat(int version, const char *path, struct stat *info)
{
    (void)version;
    return stat(path, info);
}

int libc_fxstat(int version, int fd, struct stat *info)
{
    (void)version;
    return fstat(fd, info);
}

int libc_lxstat(int version, const char *path, struct stat *info)
{
    (void)version;
    return lstat(path, info);
}

int libc_fxstatat(int version, int fd, const char *path, struct stat *info, int flags)
{
    (void)version;
    return fstatat(fd, path, info, flags);
}

int libc_xmknod(int version, const char *path, mode_t mode, const dev_t *device)
{
    (void)version;
    return mknod(path, mode, *device);
}

/* --- system calls without a function in musl 1.2.3 ------------------------------------------ */

int libc_statx(int fd, const char *path, int flags, unsigned mask, void *info)
{
    return (int)syscall(SYS_statx, fd, path, flags, mask, info);
}

int libc_close_range(unsigned first, unsigned last, int flags)
{
#ifndef SYS_close_range
    enum { SYS_close_range = 436 };
#endif
    return (int)syscall(SYS_close_range, first, last, flags);
}

void libc_closefrom(int first)
{
    libc_close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}

int libc_tgkill(pid_t group, pid_t thread, int number)
{
    return (int)syscall(SYS_tgkill, group, thread, number);
}

int libc_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int libc_pidfd_open(pid_t process, unsigned flags)
{
#ifndef SYS_pidfd_open
    enum { SYS_pidfd_open = 434 };
#endif
    return (int)syscall(SYS_pidfd_open, process, flags);
}

int libc_getcpu(unsigned *cpu, unsigned *node)
{
    return (int)syscall(SYS_getcpu, cpu, node, NULL);
}

int libc_iopl(int level)
{
#ifdef SYS_iopl
    return (int)syscall(SYS_iopl, level);
#else
    (void)level;
    errno = ENOSYS;
    return -1;
#endif
}

/* --- processors ----------------------------------------------------------------------------- */

/*
 * glibc counts the machine's processors, musl those that this process may run on. A library that
 * has a slot for each processor and picks one by sched_getcpu needs the machine's: in a container
 * that is bound to processors 8 to 11, the count of 4 is too small for their numbers.
 */
static int count_list(const char *path)
{
    char text[1024], *at = text;
    int count = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[len > 0 ? len : 0] = '\0';
    while (*at >= '0' && *at <= '9') { /* "0-3,8,10-11" */
        long first = strtol(at, &at, 10), last = first;
        if (*at == '-')
            last = strtol(at + 1, &at, 10);
        count += (int)(last - first) + 1;
        at += *at == ',';
    }
    return count;
}

int libc_nprocs(void)
{
    int count = count_list("/sys/devices/system/cpu/online");
    return count > 0 ? count : (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int libc_nprocs_conf(void)
{
    int count = count_list("/sys/devices/system/cpu/possible");
    return count > 0 ? count : libc_nprocs();
}

long libc_sysconf(int name)
{
    switch (name) {
    case _SC_NPROCESSORS_ONLN: return libc_nprocs();
    case _SC_NPROCESSORS_CONF: return libc_nprocs_conf();
    default: return sysconf(name);
    }
}

/* --- more that musl lacks ------------------------------------------------------------------- */

/* The kernel's pool is ready when a container runs; without it the process ends, as in glibc. */
unsigned libc_arc4random(void)
{
    unsigned value;
    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
        abort();
    return value;
}

int libc_isnan(double value)
{
    return isnan(value);
}

/* The GNU version changes nothing and yields "" for a path that ends with a slash. */
char *libc_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return (char *)(uintptr_t)(slash == NULL ? path : slash + 1);
}

/* System V's signal(2): the handler runs once, and its own signal is not blocked meanwhile. */
void (*libc_sysv_signal(int number, void (*handler)(int)))(int)
{
    struct sigaction before, after = { .sa_handler = handler };
    after.sa_flags = (int)SA_RESETHAND | SA_NODEFER;
    return sigaction(number, &after, &before) == 0 ? before.sa_handler : SIG_ERR;
}
