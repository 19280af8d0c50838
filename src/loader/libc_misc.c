#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gpu/libc_own.h"

char libc_single_threaded = 0; /* false: libstdc++ then always uses atomic instructions */

/* glibc returns the text, which need not lie in the caller's room. */
char *libc_strerror_r(int number, char *text, size_t size)
{
    const char *words = strerror(number); /* of musl: constants */
    if (size > 0) {
        size_t len = strnlen(words, size - 1);
        memcpy(text, words, len);
        text[len] = '\0';
    }
    return text;
}

/* --- walking a tree ------------------------------------------------------------------------------- */

static _Thread_local int (*visitor)(const char *, const struct stat *, int, struct FTW *);

/* musl counts its kinds of file (FTW_F to FTW_SLN) from 1, glibc from 0, in the same order. */
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

/* --- memory --------------------------------------------------------------------------------------- */

void *libc_realloc(void *block, size_t size)
{
    if (block != NULL && size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, size);
}

void *libc_reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return libc_realloc(block, bytes);
}

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
    return 1; /* as if it had been heeded */
}

int libc_malloc_trim(size_t keep)
{
    (void)keep;
    return 0; /* nothing was given back */
}

/* --- what glibc says of itself -------------------------------------------------------------------- */

/* A release whose names the table has all of those that drivers use. */
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
    return 0; /* no frame could be found */
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

/* --- conversions of character sets: none -------------------------------------------------------- */

/*
 * Drivers' copies of libstdc++ import iconv for streams in foreign encodings. musl's tables of them
 * would be a fifth of the whole binary: all a caller learns is that there is no such conversion.
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

/* --- macros of glibc's headers --------------------------------------------------------------------- */

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

/* --- versions of structs: there has been one on 64-bit systems -------------------------------------- */

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

int libc_xmknodat(int version, int fd, const char *path, mode_t mode, const dev_t *device)
{
    (void)version;
    return mknodat(fd, path, mode, *device);
}

/* --- system calls that musl 1.2.3 has no function for ------------------------------------------------ */

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
