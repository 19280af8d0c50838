/*
 * Starts a worker for a benchmark, from a small process so that the start itself costs next to
 * nothing, and leaves nothing behind.
 *
 *   launch [--netns] LOG PROGRAM [ARGUMENT...]
 *
 * The worker gets the launcher's environment, /dev/null as standard input, the file LOG for its
 * output, and a process group of its own. With --netns it runs in a fresh network namespace, where
 * only the loopback exists, so that its connection attempts can be counted in /proc/PID/net/snmp.
 *
 * Standard output, one JSON object a line:
 *   {"event":"started","pid":P,"start_ns":T}  T: CLOCK_MONOTONIC just before the process was made
 *   {"event":"exited","code":C,"signal":S,"cpu_us":U}  the worker is gone; U: with its children
 * Standard input's end kills the worker's process group. The launcher stays until the last of the
 * worker's descendants is gone (orphans fall to it), then exits 0. It exits 2 when the worker can
 * not be started and 3 when there may be no network namespace here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

extern char **environ;

__attribute__((noreturn, format(printf, 2, 3))) static void die(int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("launch: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(code);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void enter_network_namespace(void)
{
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        die(3, "no network namespace: %s", strerror(errno));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) != 0)
        die(3, "cannot bring the loopback up: %s", strerror(errno));
    close(fd);
}

/* What the child does between its making and exec. */
static void describe_child(posix_spawn_file_actions_t *files, posix_spawnattr_t *attr, int log_fd)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* Python runs its children with this one ignored */
    if (posix_spawn_file_actions_init(files) != 0 ||
        posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(files, log_fd, 1) != 0 ||
        posix_spawn_file_actions_adddup2(files, log_fd, 2) != 0 ||
        posix_spawnattr_init(attr) != 0 || posix_spawnattr_setpgroup(attr, 0) != 0 ||
        posix_spawnattr_setsigmask(attr, &none) != 0 ||
        posix_spawnattr_setsigdefault(attr, &defaults) != 0 ||
        posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                           POSIX_SPAWN_SETSIGDEF) != 0)
        die(2, "out of memory");
}

static pid_t start(char **argv, const char *log)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    pid_t pid;
    int log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (log_fd < 0)
        die(2, "%s: %s", log, strerror(errno));
    describe_child(&files, &attr, log_fd);
    int64_t begin = now_ns();
    int rc = posix_spawn(&pid, argv[0], &files, &attr, argv, environ);
    if (rc != 0)
        die(2, "%s: %s", argv[0], strerror(rc));
    printf("{\"event\":\"started\",\"pid\":%d,\"start_ns\":%ld}\n", pid, begin);
    fflush(stdout);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    close(log_fd);
    return pid;
}

static void report_exit(int status, const struct rusage *use)
{
    int64_t us = (int64_t)(use->ru_utime.tv_sec + use->ru_stime.tv_sec) * 1000000 +
                 use->ru_utime.tv_usec + use->ru_stime.tv_usec;
    printf("{\"event\":\"exited\",\"code\":%d,\"signal\":%d,\"cpu_us\":%ld}\n",
           WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
           us);
    fflush(stdout);
}

/* Reaps all that is gone. False when nothing is left. */
static bool reap(pid_t worker)
{
    int status;
    struct rusage use;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &use)) > 0) {
        if (pid == worker)
            report_exit(status, &use);
    }
    return pid == 0;
}

static void supervise(pid_t worker, int signals)
{
    struct pollfd wait[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
                              { .fd = signals, .events = POLLIN } };
    while (reap(worker)) {
        char drop[256];
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            die(2, "poll: %s", strerror(errno));
        if (wait[1].revents != 0 && read(signals, drop, sizeof drop) < 0 && errno != EAGAIN)
            die(2, "signalfd: %s", strerror(errno));
        if (wait[0].revents != 0 && read(STDIN_FILENO, drop, sizeof drop) <= 0) {
            (void)kill(-worker, SIGKILL);
            wait[0].fd = -1;
        }
    }
}

int main(int argc, char **argv)
{
    sigset_t child;
    if (argc > 1 && strcmp(argv[1], "--netns") == 0) {
        enter_network_namespace();
        argv++;
        argc--;
    }
    if (argc < 3)
        die(2, "usage: launch [--netns] LOG PROGRAM [ARGUMENT...]");
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        die(2, "cannot supervise: %s", strerror(errno));
    supervise(start(argv + 2, argv[1]), signals);
    return 0;
}
