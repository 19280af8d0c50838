/*
 * The functions that _FORTIFY_SOURCE turns calls into when the compiler knows the destination's
 * size ("room"). It is in bytes, but in wide characters for the functions that write those.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <syslog.h>
#include <unistd.h>

#include "loader/libc_private.h"

/* Without stdio: the caller has overrun a buffer, so memory may be damaged. */
void libc_chk_fail(void)
{
    static const char why[] = "a library would overrun its own buffer: the program exits\n";
    ssize_t written = write(2, why, sizeof why - 1);
    (void)written;
    abort();
}

static void require_room(size_t size, size_t room)
{
    if (size > room)
        libc_chk_fail();
}

long libc_fdelt_chk(long fd)
{
    if (fd < 0 || fd >= FD_SETSIZE)
        libc_chk_fail();
    return fd / (long)(8 * sizeof(long));
}

/* --- bytes and texts ------------------------------------------------------------------------ */

void *libc_memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
    require_room(size, room);
    return memmove(to, from, size);
}

void *libc_memmove_chk(void *to, const void *from, size_t size, size_t room)
{
    require_room(size, room);
    return memmove(to, from, size);
}

void *libc_mempcpy_chk(void *to, const void *from, size_t size, size_t room)
{
    require_room(size, room);
    return (char *)memmove(to, from, size) + size;
}

void *libc_memset_chk(void *to, int byte, size_t size, size_t room)
{
    require_room(size, room);
    return memset(to, byte, size);
}

void libc_explicit_bzero_chk(void *to, size_t size, size_t room)
{
    require_room(size, room);
    explicit_bzero(to, size);
}

char *libc_stpcpy_chk(char *to, const char *from, size_t room)
{
    size_t len = strlen(from);
    require_room(len + 1, room);
    memcpy(to, from, len + 1);
    return to + len;
}

char *libc_strcpy_chk(char *to, const char *from, size_t room)
{
    libc_stpcpy_chk(to, from, room);
    return to;
}

char *libc_stpncpy_chk(char *to, const char *from, size_t size, size_t room)
{
    require_room(size, room);
    return stpncpy(to, from, size);
}

char *libc_strncpy_chk(char *to, const char *from, size_t size, size_t room)
{
    libc_stpncpy_chk(to, from, size, room);
    return to;
}

char *libc_strncat_chk(char *to, const char *from, size_t size, size_t room)
{
    size_t before = strlen(to), len = strnlen(from, size);
    require_room(before + len + 1, room);
    memcpy(to + before, from, len);
    to[before + len] = '\0';
    return to;
}

char *libc_strcat_chk(char *to, const char *from, size_t room)
{
    return libc_strncat_chk(to, from, SIZE_MAX, room);
}

/* --- wide characters ------------------------------------------------------------------------ */

wchar_t *libc_wmemcpy_chk(wchar_t *to, const wchar_t *from, size_t size, size_t room)
{
    require_room(size, room);
    return wmemmove(to, from, size);
}

wchar_t *libc_wmemmove_chk(wchar_t *to, const wchar_t *from, size_t size, size_t room)
{
    return libc_wmemcpy_chk(to, from, size, room);
}

wchar_t *libc_wmemset_chk(wchar_t *to, wchar_t wide, size_t size, size_t room)
{
    require_room(size, room);
    return wmemset(to, wide, size);
}

wchar_t *libc_wcscpy_chk(wchar_t *to, const wchar_t *from, size_t room)
{
    return libc_wmemcpy_chk(to, from, wcslen(from) + 1, room);
}

wchar_t *libc_wcsncpy_chk(wchar_t *to, const wchar_t *from, size_t size, size_t room)
{
    require_room(size, room);
    return wcsncpy(to, from, size);
}

wchar_t *libc_wcscat_chk(wchar_t *to, const wchar_t *from, size_t room)
{
    size_t before = wcslen(to);
    require_room(before, room);
    libc_wcscpy_chk(to + before, from, room - before);
    return to;
}

size_t libc_mbstowcs_chk(wchar_t *to, const char *from, size_t size, size_t room)
{
    require_room(size, room);
    return mbstowcs(to, from, size);
}

size_t libc_wcstombs_chk(char *to, const wchar_t *from, size_t size, size_t room)
{
    require_room(size, room);
    return wcstombs(to, from, size);
}

size_t libc_wcrtomb_chk(char *to, wchar_t wide, mbstate_t *state, size_t room)
{
    char all[MB_LEN_MAX];
    if (to == NULL)
        return wcrtomb(NULL, wide, state);
    size_t size = wcrtomb(all, wide, state);
    if (size != (size_t)-1) {
        require_room(size, room);
        memcpy(to, all, size);
    }
    return size;
}

size_t libc_mbsrtowcs_chk(wchar_t *to, const char **from, size_t size, mbstate_t *state,
                          size_t room)
{
    require_room(size, room);
    return mbsrtowcs(to, from, size, state);
}

size_t libc_mbsnrtowcs_chk(wchar_t *to, const char **from, size_t bytes, size_t size,
                           mbstate_t *state, size_t room)
{
    require_room(size, room);
    return mbsnrtowcs(to, from, bytes, size, state);
}

size_t libc_wcsnrtombs_chk(char *to, const wchar_t **from, size_t wides, size_t size,
                           mbstate_t *state, size_t room)
{
    require_room(size, room);
    return wcsnrtombs(to, from, wides, size, state);
}

/* --- printf --------------------------------------------------------------------------------- */

int libc_vprintf_chk(int flag, const char *format, va_list args)
{
    (void)flag;
    return vprintf(format, args);
}

int libc_vfprintf_chk(FILE *file, int flag, const char *format, va_list args)
{
    (void)flag;
    return vfprintf(file, format, args);
}

int libc_vdprintf_chk(int fd, int flag, const char *format, va_list args)
{
    (void)flag;
    return vdprintf(fd, format, args);
}

int libc_vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format,
                       va_list args)
{
    (void)flag;
    require_room(size, room);
    return vsnprintf(to, size, format, args);
}

/* The room is SIZE_MAX if it is not known; musl rejects sizes above INT_MAX. */
int libc_vsprintf_chk(char *to, int flag, size_t room, const char *format, va_list args)
{
    (void)flag;
    int len = vsnprintf(to, room > INT_MAX ? INT_MAX : room, format, args);
    if (len >= 0)
        require_room((size_t)len + 1, room);
    return len;
}

int libc_vasprintf_chk(char **to, int flag, const char *format, va_list args)
{
    (void)flag;
    return vasprintf(to, format, args);
}

/* Calls the variant that takes a va_list: `call` uses `args`. */
#define WITH_ARGS(result, call) \
    va_list args;               \
    va_start(args, format);     \
    result call;                \
    va_end(args)

int libc_printf_chk(int flag, const char *format, ...)
{
    WITH_ARGS(int rc =, libc_vprintf_chk(flag, format, args));
    return rc;
}

int libc_fprintf_chk(FILE *file, int flag, const char *format, ...)
{
    WITH_ARGS(int rc =, libc_vfprintf_chk(file, flag, format, args));
    return rc;
}

int libc_dprintf_chk(int fd, int flag, const char *format, ...)
{
    WITH_ARGS(int rc =, libc_vdprintf_chk(fd, flag, format, args));
    return rc;
}

int libc_sprintf_chk(char *to, int flag, size_t room, const char *format, ...)
{
    WITH_ARGS(int rc =, libc_vsprintf_chk(to, flag, room, format, args));
    return rc;
}

int libc_snprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, ...)
{
    WITH_ARGS(int rc =, libc_vsnprintf_chk(to, size, flag, room, format, args));
    return rc;
}

int libc_asprintf_chk(char **to, int flag, const char *format, ...)
{
    WITH_ARGS(int rc =, libc_vasprintf_chk(to, flag, format, args));
    return rc;
}

void libc_syslog_chk(int priority, int flag, const char *format, ...)
{
    (void)flag;
    WITH_ARGS(, vsyslog(priority, format, args));
}

/* --- reading -------------------------------------------------------------------------------- */

char *libc_fgets_chk(char *to, size_t room, int size, FILE *file)
{
    require_room(size > 0 ? (size_t)size : 0, room);
    return fgets(to, size, file);
}

size_t libc_fread_chk(void *to, size_t room, size_t size, size_t count, FILE *file)
{
    size_t bytes;
    if (__builtin_mul_overflow(size, count, &bytes))
        libc_chk_fail();
    require_room(bytes, room);
    return fread(to, size, count, file);
}

ssize_t libc_read_chk(int fd, void *to, size_t size, size_t room)
{
    require_room(size, room);
    return read(fd, to, size);
}

ssize_t libc_pread_chk(int fd, void *to, size_t size, off_t at, size_t room)
{
    require_room(size, room);
    return pread(fd, to, size, at);
}

ssize_t libc_recv_chk(int fd, void *to, size_t size, size_t room, int flags)
{
    require_room(size, room);
    return recv(fd, to, size, flags);
}

ssize_t libc_recvfrom_chk(int fd, void *to, size_t size, size_t room, int flags,
                          struct sockaddr *peer, socklen_t *peer_size)
{
    require_room(size, room);
    return recvfrom(fd, to, size, flags, peer, peer_size);
}

ssize_t libc_readlink_chk(const char *path, char *to, size_t size, size_t room)
{
    require_room(size, room);
    return readlink(path, to, size);
}

ssize_t libc_readlinkat_chk(int fd, const char *path, char *to, size_t size, size_t room)
{
    require_room(size, room);
    return readlinkat(fd, path, to, size);
}

char *libc_getcwd_chk(char *to, size_t size, size_t room)
{
    require_room(size, room);
    return getcwd(to, size);
}

char *libc_realpath_chk(const char *path, char *to, size_t room)
{
    require_room(PATH_MAX, room);
    return realpath(path, to);
}

int libc_gethostname_chk(char *to, size_t size, size_t room)
{
    require_room(size, room);
    return gethostname(to, size);
}

size_t libc_confstr_chk(int name, char *to, size_t size, size_t room)
{
    require_room(size, room);
    return confstr(name, to, size);
}

/* --- the rest ------------------------------------------------------------------------------- */

int libc_poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room)
{
    require_room(count, room / sizeof *fds);
    return poll(fds, count, timeout_ms);
}

int libc_ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                   const sigset_t *mask, size_t room)
{
    require_room(count, room / sizeof *fds);
    return ppoll(fds, count, timeout, mask);
}

/* Flags that may create a file need a mode, which these calls lack. */
static bool wants_mode(int flags)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

int libc_open_2(const char *path, int flags)
{
    if (wants_mode(flags))
        libc_chk_fail();
    return open(path, flags); // NOLINT(android-cloexec-open): the flags are the caller's
}

int libc_openat_2(int fd, const char *path, int flags)
{
    if (wants_mode(flags))
        libc_chk_fail();
    return openat(fd, path, flags);
}

/* glibc rejects jumps to a deeper stack frame; musl has no such check. */
void libc_longjmp_chk(jmp_buf where, int value)
{
    longjmp(where, value);
}
