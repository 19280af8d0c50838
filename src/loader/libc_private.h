/*
 * gpu/libc_own.h - the wrappers that the libc table names OWN, with glibc's contracts.
 *
 * Called by libraries alone, from any thread, with what glibc's functions of the same names are
 * called with; why each is needed stands beside its line in gpu/libc_names.def. "checked" ones are
 * what _FORTIFY_SOURCE turns a call into: the last number is the room there is, and a call that
 * would need more ends the program, as in glibc.
 */
#ifndef GPU_LIBC_OWN_H
#define GPU_LIBC_OWN_H

#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <wchar.h>

/* --- threads: libc_thread.c ------------------------------------------------------------------- */

int libc_mutex_lock(pthread_mutex_t *mutex);
int libc_mutex_trylock(pthread_mutex_t *mutex);
int libc_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until);
int libc_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until);
int libc_mutexattr_settype(pthread_mutexattr_t *attr, int type);
int libc_attr_init(pthread_attr_t *attr);
int libc_attr_setaffinity(pthread_attr_t *attr, size_t size, const cpu_set_t *set);
int libc_thread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                       void *argument);
int libc_yield(void);
int libc_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                        const struct timespec *until);
int libc_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until);
int libc_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until);
int libc_sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until);
int libc_register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                         void *library);
int libc_thread_atexit(void (*destroy)(void *), void *object, void *library);

/* --- locales: libc_locale.c; there is one, "C" ------------------------------------------------- */

struct libc_locale;
struct libc_locale *libc_newlocale(int mask, const char *name, struct libc_locale *base);
struct libc_locale *libc_uselocale(struct libc_locale *locale);
struct libc_locale *libc_duplocale(struct libc_locale *locale);
void libc_freelocale(struct libc_locale *locale);

/* --- the rest: libc_misc.c -------------------------------------------------------------------- */

struct libc_mallinfo {
    int numbers[10];
};
struct libc_mallinfo2 {
    size_t numbers[10];
};
extern char libc_single_threaded;

char *libc_strerror_r(int number, char *text, size_t size);
int libc_nftw(const char *path, int (*visit)(const char *, const struct stat *, int, struct FTW *),
              int descriptors, int flags);
void *libc_realloc(void *block, size_t size);
void *libc_reallocarray(void *block, size_t count, size_t size);
struct libc_mallinfo libc_mallinfo(void);
struct libc_mallinfo2 libc_mallinfo2(void);
int libc_mallopt(int name, int value);
int libc_malloc_trim(size_t keep);
const char *libc_version(void);
const char *libc_release(void);
int libc_backtrace(void **frames, int size);
char **libc_backtrace_symbols(void *const *frames, int size);
void libc_backtrace_symbols_fd(void *const *frames, int size, int fd);
cpu_set_t *libc_cpualloc(size_t count);
void *libc_rawmemchr(const void *bytes, int byte);
struct cmsghdr *libc_cmsg_nxthdr(struct msghdr *message, struct cmsghdr *header);
int libc_xstat(int version, const char *path, struct stat *info);
int libc_fxstat(int version, int fd, struct stat *info);
int libc_lxstat(int version, const char *path, struct stat *info);
int libc_fxstatat(int version, int fd, const char *path, struct stat *info, int flags);
int libc_xmknod(int version, const char *path, mode_t mode, const dev_t *device);
int libc_xmknodat(int version, int fd, const char *path, mode_t mode, const dev_t *device);
int libc_statx(int fd, const char *path, int flags, unsigned mask, void *info);
int libc_close_range(unsigned first, unsigned last, int flags);
void libc_closefrom(int first);
void *libc_iconv_open(const char *to, const char *from);
size_t libc_iconv(void *conversion, char **from, size_t *from_bytes, char **to, size_t *to_bytes);
int libc_iconv_close(void *conversion);
int libc_tgkill(pid_t group, pid_t thread, int number);
int libc_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int libc_pidfd_open(pid_t process, unsigned flags);
int libc_iopl(int level);
int libc_getcpu(unsigned *cpu, unsigned *node);

/* --- checked: libc_checked.c ------------------------------------------------------------------ */

_Noreturn void libc_chk_fail(void);
long libc_fdelt_chk(long fd);
void *libc_memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *libc_memmove_chk(void *to, const void *from, size_t size, size_t room);
void *libc_mempcpy_chk(void *to, const void *from, size_t size, size_t room);
void *libc_memset_chk(void *to, int byte, size_t size, size_t room);
void libc_explicit_bzero_chk(void *to, size_t size, size_t room);
char *libc_strcpy_chk(char *to, const char *from, size_t room);
char *libc_stpcpy_chk(char *to, const char *from, size_t room);
char *libc_strncpy_chk(char *to, const char *from, size_t size, size_t room);
char *libc_stpncpy_chk(char *to, const char *from, size_t size, size_t room);
char *libc_strcat_chk(char *to, const char *from, size_t room);
char *libc_strncat_chk(char *to, const char *from, size_t size, size_t room);
wchar_t *libc_wcscpy_chk(wchar_t *to, const wchar_t *from, size_t room);
wchar_t *libc_wcsncpy_chk(wchar_t *to, const wchar_t *from, size_t size, size_t room);
wchar_t *libc_wcscat_chk(wchar_t *to, const wchar_t *from, size_t room);
wchar_t *libc_wmemcpy_chk(wchar_t *to, const wchar_t *from, size_t size, size_t room);
wchar_t *libc_wmemmove_chk(wchar_t *to, const wchar_t *from, size_t size, size_t room);
wchar_t *libc_wmemset_chk(wchar_t *to, wchar_t wide, size_t size, size_t room);
size_t libc_mbstowcs_chk(wchar_t *to, const char *from, size_t size, size_t room);
size_t libc_wcstombs_chk(char *to, const wchar_t *from, size_t size, size_t room);
size_t libc_wcrtomb_chk(char *to, wchar_t wide, mbstate_t *state, size_t room);
size_t libc_mbsrtowcs_chk(wchar_t *to, const char **from, size_t size, mbstate_t *state,
                          size_t room);
size_t libc_mbsnrtowcs_chk(wchar_t *to, const char **from, size_t bytes, size_t size,
                           mbstate_t *state, size_t room);
size_t libc_wcsrtombs_chk(char *to, const wchar_t **from, size_t size, mbstate_t *state,
                          size_t room);
size_t libc_wcsnrtombs_chk(char *to, const wchar_t **from, size_t wides, size_t size,
                           mbstate_t *state, size_t room);

/* flag: whether to refuse %n in memory that is written; not looked at. */
int libc_printf_chk(int flag, const char *format, ...) __attribute__((format(printf, 2, 3)));
int libc_fprintf_chk(FILE *file, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int libc_dprintf_chk(int fd, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int libc_sprintf_chk(char *to, int flag, size_t room, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int libc_snprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
int libc_asprintf_chk(char **to, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void libc_syslog_chk(int priority, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int libc_vprintf_chk(int flag, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
int libc_vfprintf_chk(FILE *file, int flag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
int libc_vdprintf_chk(int fd, int flag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
int libc_vsprintf_chk(char *to, int flag, size_t room, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
int libc_vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format,
                       va_list args) __attribute__((format(printf, 5, 0)));
int libc_vasprintf_chk(char **to, int flag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
void libc_vsyslog_chk(int priority, int flag, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

char *libc_fgets_chk(char *to, size_t room, int size, FILE *file);
size_t libc_fread_chk(void *to, size_t room, size_t size, size_t count, FILE *file);
ssize_t libc_read_chk(int fd, void *to, size_t size, size_t room);
ssize_t libc_pread_chk(int fd, void *to, size_t size, off_t at, size_t room);
ssize_t libc_recv_chk(int fd, void *to, size_t size, size_t room, int flags);
ssize_t libc_recvfrom_chk(int fd, void *to, size_t size, size_t room, int flags,
                          struct sockaddr *peer, socklen_t *peer_size);
ssize_t libc_readlink_chk(const char *path, char *to, size_t size, size_t room);
ssize_t libc_readlinkat_chk(int fd, const char *path, char *to, size_t size, size_t room);
char *libc_getcwd_chk(char *to, size_t size, size_t room);
char *libc_realpath_chk(const char *path, char *to, size_t room);
int libc_gethostname_chk(char *to, size_t size, size_t room);
size_t libc_confstr_chk(int name, char *to, size_t size, size_t room);
int libc_getgroups_chk(int count, gid_t *to, size_t room);
int libc_ttyname_r_chk(int fd, char *to, size_t size, size_t room);
int libc_poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room);
int libc_ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                   const sigset_t *mask, size_t room);
int libc_open_2(const char *path, int flags);
int libc_openat_2(int fd, const char *path, int flags);
_Noreturn void libc_longjmp_chk(jmp_buf where, int value);

#endif
