/*
 * loader/libc_private.h - the wrappers that the libc table calls WRAPPER, with glibc's contracts.
 *
 * Only loaded libraries call them, from any thread, with the arguments and the contract of glibc's
 * functions of the same names; the reason for each stands on its line of loader/libc_names.def.
 * A "checked" function (_chk) is what _FORTIFY_SOURCE turns a call into: its last number is the
 * size of the destination, and a call that would write more ends the program, as in glibc.
 *
 * Private to loader/libc_*.c.
 */
#ifndef LOADER_LIBC_PRIVATE_H
#define LOADER_LIBC_PRIVATE_H

#include <dlfcn.h>
#include <ftw.h>
#include <link.h>
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

/* --- threads: libc_thread.c ----------------------------------------------------------------- */

int libc_mutex_lock(pthread_mutex_t *mutex);
int libc_mutex_trylock(pthread_mutex_t *mutex);
int libc_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *until);
int libc_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until);
int libc_mutexattr_settype(pthread_mutexattr_t *attr, int type);
int libc_attr_init(pthread_attr_t *attr);
int libc_setattr_default(const pthread_attr_t *attr);
int libc_attr_setaffinity(pthread_attr_t *attr, size_t size, const cpu_set_t *set);
int libc_thread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                       void *argument);
int libc_yield(void);
int libc_sched_getparam(pid_t process, struct sched_param *param);
int libc_sched_setparam(pid_t process, const struct sched_param *param);
int libc_sched_getscheduler(pid_t process);
int libc_sched_setscheduler(pid_t process, int policy, const struct sched_param *param);
int libc_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                        const struct timespec *until);
int libc_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until);
int libc_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *until);
int libc_sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until);
int libc_register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                         void *library);
int libc_thread_atexit(void (*destroy)(void *), void *object, void *library);

/* buf: what glibc's pthread_cleanup_push leaves on its caller's stack. */
void libc_register_cancel(void *buf);
void libc_unregister_cancel(void *buf);
_Noreturn void libc_unwind_next(void *buf);
_Noreturn void libc_thread_exit(void *result);

/* --- the dynamic linker: libc_dl.c ---------------------------------------------------------- */

/*
 * dlopen(3) and its family on the loader of loader/loader.h. Opening takes the loader's lock, which
 * is recursive because constructors open libraries; the others take no lock, so a constructor may
 * wait for threads that look up symbols. Where they differ from glibc:
 *
 *   libc_dlopen     a libc-family name (libc.so.6, ...) yields the libc table and opens no file;
 *                   NULL is the program, which means the table too. RTLD_NOLOAD and RTLD_GLOBAL are
 *                   honoured; symbols are always bound at once
 *   libc_dlmopen    as libc_dlopen: all libraries share one namespace
 *   libc_dlsym      RTLD_DEFAULT and RTLD_NEXT: the table, then libraries opened with RTLD_GLOBAL.
 *                   A name that is not found is logged at debug level: some drivers fail without
 *                   any other sign then
 *   libc_dlvsym     as libc_dlsym: the version is ignored
 *   libc_dlclose    does nothing: exit handlers and threads of the library would lose their code
 *   libc_dlerror    this thread's last error, once; NULL when there was none since the last call
 *   libc_dladdr     1 for an address in a library or in this program
 *   libc_dlinfo     the link map (its public members; no debugger sees it), the folder, the
 *                   namespace and thread-local storage; other requests fail, as search paths do
 *   libc_dl_find_object  0 and the library that contains an address, with its unwind table; -1 when
 *                   none does. Unwinders of gcc 12 and later built for glibc 2.35 or later call it
 *   libc_dl_iterate this program, then every library; unwinders find their tables through it
 */
void *libc_dlopen(const char *name, int mode);
void *libc_dlmopen(long namespace, const char *name, int mode);
void *libc_dlsym(void *handle, const char *name);
void *libc_dlvsym(void *handle, const char *name, const char *version);
int libc_dlclose(void *handle);
char *libc_dlerror(void);
int libc_dladdr(const void *address, Dl_info *info);
int libc_dlinfo(void *handle, int request, void *answer);

/* glibc's struct dl_find_object on 64-bit systems. */
struct libc_dl_found_object {
    unsigned long long flags;
    void *from, *to; /* the library's memory */
    void *link_map;  /* always NULL */
    void *unwind_table;
    unsigned long long reserved[7];
};
int libc_dl_find_object(void *address, struct libc_dl_found_object *found);
int libc_dl_iterate(int (*visit)(struct dl_phdr_info *info, size_t size, void *data), void *data);

/* --- locales: libc_locale.c; only "C" exists ------------------------------------------------ */

struct libc_locale;
struct libc_locale *libc_newlocale(int mask, const char *name, struct libc_locale *base);
struct libc_locale *libc_uselocale(struct libc_locale *locale);
struct libc_locale *libc_duplocale(struct libc_locale *locale);
void libc_freelocale(struct libc_locale *locale);

/* --- the libraries' heap: libc_heap.c -------------------------------------------------------- */

/*
 * Reserves the heap's address space and has fork(2) keep it usable. To be called once, before any
 * code of a library runs. Does nothing where the system refuses: musl then answers all requests.
 */
void libc_heap_open(void);

/*
 * malloc(3) and its family. They take the heap's lock and block for a system call at most. Memory
 * of musl's may be given to libc_free and libc_realloc, but none of the heap's to musl's functions.
 */
void *libc_malloc(size_t size);
void *libc_calloc(size_t count, size_t size);
void libc_free(void *memory);
void *libc_realloc(void *memory, size_t size); /* frees for size 0 */
size_t libc_malloc_usable_size(void *memory);
void *libc_reallocarray(void *memory, size_t count, size_t size);
void *libc_aligned_alloc(size_t align, size_t size);
int libc_posix_memalign(void **memory, size_t align, size_t size);
ssize_t libc_getdelim(char **line, size_t *size, int end, FILE *file);
ssize_t libc_getline(char **line, size_t *size, FILE *file);

/* --- the rest: libc_misc.c ------------------------------------------------------------------ */

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
long libc_sysconf(int name);
int libc_nprocs(void);
int libc_nprocs_conf(void);

unsigned libc_arc4random(void);
int libc_isnan(double value);
char *libc_basename(const char *path);
void (*libc_sysv_signal(int number, void (*handler)(int)))(int);

/* --- checked: libc_checked.c ---------------------------------------------------------------- */

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
size_t libc_wcsnrtombs_chk(char *to, const wchar_t **from, size_t wides, size_t size,
                           mbstate_t *state, size_t room);

/* flag: whether to refuse %n in writable formats; ignored. */
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
int libc_poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room);
int libc_ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                   const sigset_t *mask, size_t room);
int libc_open_2(const char *path, int flags);
int libc_openat_2(int fd, const char *path, int flags);
_Noreturn void libc_longjmp_chk(jmp_buf where, int value);

#endif
