/*
 * The system calls of the worker's own code, by what they are for. A call that is in no role that
 * applies fails tests/blackbox/test_audit.py. Calls that a processor does not have are left out.
 */
#include <sys/syscall.h>

#include "audit/rules.h"

/* A list is a macro, so that numbers and names are two plain arrays: no address to relocate. */
#define NUMBER(name) SYS_##name,
#define NAME(name) #name " "
#define ROLE_CALLS(list) \
    (const uint16_t[]){ list(NUMBER) }, sizeof((const uint16_t[]){ list(NUMBER) }) / 2, list(NAME)

/* clang-format off */
#ifdef SYS_open
#define OLD_CORE(X) \
    X(open) X(stat) X(lstat) X(access) X(readlink) X(poll) X(dup2) X(arch_prctl)
#define OLD_FILES(X) X(mkdir) X(rmdir) X(unlink) X(rename) X(chmod)
#define OLD_GPU(X) X(fork)
#define OLD_HANDLER(X) X(pipe) X(select) X(epoll_create) X(epoll_wait) X(eventfd) X(time) X(alarm)
#else
#define OLD_CORE(X)
#define OLD_FILES(X)
#define OLD_GPU(X)
#define OLD_HANDLER(X)
#endif

#define CORE(X) \
    X(read) X(write) X(readv) X(writev) X(pwritev2) X(pread64) X(pwrite64) X(lseek) X(close) \
    X(fcntl) X(ioctl) X(dup) X(dup3) X(openat) X(fstat) X(newfstatat) X(statfs) X(faccessat) \
    X(readlinkat) X(ppoll) X(eventfd2) X(signalfd4) X(brk) X(mmap) X(munmap) X(mremap) \
    X(mprotect) X(madvise) X(clone) X(futex) X(set_tid_address) X(set_robust_list) X(membarrier) \
    X(sched_yield) X(sched_getaffinity) X(exit) X(exit_group) X(rt_sigaction) X(rt_sigprocmask) \
    X(rt_sigreturn) X(rt_sigtimedwait) X(sigaltstack) X(tkill) X(tgkill) \
    X(gettid) X(getpid) X(getuid) X(geteuid) X(getegid) X(getgroups) X(uname) X(prlimit64) \
    X(prctl) X(clock_gettime) X(clock_nanosleep) X(getrandom) X(wait4) X(getcwd) \
    X(restart_syscall) \
    OLD_CORE(X)

#define SOCKETS(X) \
    X(socket) X(getsockname) X(getpeername) X(getsockopt) X(setsockopt) X(sendto) X(sendmsg) \
    X(recvfrom) X(recvmsg) X(shutdown)
#define CLIENT(X) X(connect) SOCKETS(X)
#define SERVER(X) \
    X(bind) X(listen) X(accept4) X(epoll_create1) X(epoll_ctl) X(epoll_pwait) SOCKETS(X)

#define FILES(X) \
    X(getdents64) X(faccessat2) X(statx) X(mkdirat) X(unlinkat) X(renameat) X(ftruncate) X(fsync) \
    X(fchmod) X(fchmodat) X(flock) X(utimensat) OLD_FILES(X)

#define PROGRAMS(X) \
    X(execve) X(waitid) X(kill) X(pidfd_open) X(pidfd_send_signal) X(pipe2) X(setpgid) \
    X(getppid) X(close_range) X(getdents64) X(epoll_create1) X(epoll_ctl) X(epoll_pwait)

#define WATCH(X) X(inotify_init1) X(inotify_add_watch)

/* What a linked handler is likely to call beside; without --confine it calls whatever it wants. */
#define HANDLER(X) \
    X(preadv) X(pwritev) X(preadv2) X(fallocate) X(fadvise64) X(readahead) X(fdatasync) \
    X(sync_file_range) X(copy_file_range) X(sendfile) X(splice) X(fstatfs) \
    X(getdents64) X(fchdir) X(umask) X(msync) X(mincore) X(mlock) X(munlock) X(memfd_create) \
    X(pipe2) X(pselect6) X(epoll_create1) X(epoll_ctl) X(epoll_pwait) X(timerfd_create) \
    X(timerfd_settime) X(timerfd_gettime) X(nanosleep) X(clock_getres) X(gettimeofday) \
    X(getitimer) X(setitimer) X(getrusage) X(times) X(sysinfo) X(getcpu) X(getpriority) \
    X(setpriority) X(sched_setaffinity) X(sched_getparam) X(sched_getscheduler) \
    X(sched_get_priority_max) X(sched_get_priority_min) X(getppid) X(getpgid) X(getsid) \
    X(getgid) X(getresuid) X(getresgid) X(rt_sigpending) X(rt_sigsuspend) X(get_robust_list) \
    X(rseq) OLD_HANDLER(X)

/* Made before the filter is there, which refuses them; the last by the thread of --confine=log. */
#define CONFINE(X) \
    X(seccomp) X(landlock_create_ruleset) X(landlock_add_rule) X(landlock_restrict_self) \
    X(process_vm_readv)

/* Of the worker, and of the process that tries the driver; the driver's own are its own. */
#define GPU(X) X(socketpair) X(sendto) X(recvfrom) X(kill) X(getdents64) OLD_GPU(X)
/* clang-format on */

static bool always(const struct audit *audit)
{
    (void)audit;
    return true;
}

static bool is_confined(const struct audit *audit)
{
    return config_is_confined(audit->config);
}

static bool has_own_code(const struct audit *audit)
{
    return is_confined(audit) && audit_is_linked(audit);
}

static bool uses_files(const struct audit *audit)
{
    return audit_writes(audit) || audit_is_linked(audit) || audit_has_programs(audit) ||
           audit_has_models(audit);
}

const struct audit_role audit_roles[] = {
    { "core", "memory, threads, time, signals, the log, files that are read", always,
      ROLE_CALLS(CORE) },
    { "client", "connections, names of hosts", audit_connects, ROLE_CALLS(CLIENT) },
    { "server", "ports to listen on", audit_listens, ROLE_CALLS(SERVER) },
    { "files", "folders, files that are written", uses_files, ROLE_CALLS(FILES) },
    { "programs", "started, watched, ended", audit_has_programs, ROLE_CALLS(PROGRAMS) },
    { "handler", "the linked handler's own code, under --confine", has_own_code,
      ROLE_CALLS(HANDLER) },
    { "confine", "before all others, once (--confine)", is_confined, ROLE_CALLS(CONFINE) },
    { "watch", "changes of the handler's files", audit_watches, ROLE_CALLS(WATCH) },
    { "gpu", "besides the driver, which calls whatever it needs", audit_has_gpu, ROLE_CALLS(GPU) },
};
const size_t audit_role_count = sizeof audit_roles / sizeof audit_roles[0];
