/*
 * outside: a handler that does what a worker does not: {"action": ...} opens, makes, starts or
 * connects to something, and the output is errno's name, or null.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker.h"

static int status_of(long result)
{
    return result < 0 ? errno : 0;
}

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    int errnum = status_of(fd);
    if (fd >= 0)
        close(fd);
    return errnum;
}

static int try_open_at(const char *folder, const char *name)
{
    int start = open(folder, O_PATH | O_DIRECTORY), fd = openat(start, name, O_RDONLY);
    int errnum = status_of(fd);
    if (fd >= 0)
        close(fd);
    close(start);
    return errnum;
}

static int try_start(const char *path)
{
    char *const argv[] = { (char *)path, NULL };
    pid_t pid;
    int errnum = posix_spawn(&pid, path, NULL, NULL, argv, environ);
    if (errnum == 0)
        waitpid(pid, NULL, 0);
    return errnum;
}

static int try_connect(int64_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    int errnum = status_of(connect(fd, (struct sockaddr *)&address, sizeof address));
    close(fd);
    return errnum;
}

static int try_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return status_of(pid);
}

/* As threads of many libraries do. */
static int try_open_with_signals_blocked(const char *path)
{
    sigset_t all, before, within;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int errnum = try_open(path, O_RDONLY);
    pthread_sigmask(SIG_SETMASK, &before, &within);
    return sigismember(&within, SIGUSR1) == 1 && sigismember(&before, SIGUSR1) == 0 ? errnum
                                                                                    : EINVAL;
}

static int act(rp_value input)
{
    rp_str action, given = { 0 }, target = { 0 };
    char path[PATH_MAX], to[PATH_MAX];
    int64_t number = 0;
    if (rp_get_str(input, "action", &action) != RP_OK)
        return EINVAL;
    rp_get_str(input, "path", &given);
    rp_get_str(input, "to", &target);
    rp_get_int(input, "number", &number);
    snprintf(path, sizeof path, "%.*s", (int)given.len, given.ptr != NULL ? given.ptr : "");
    snprintf(to, sizeof to, "%.*s", (int)target.len, target.ptr != NULL ? target.ptr : "");
    switch (action.ptr[0]) {
    case 'r': return try_open(path, O_RDONLY);
    case 'b': return try_open_with_signals_blocked(path);
    case 'w': return try_open(path, O_WRONLY | O_CREAT);
    case 'm': return status_of(mkdir(path, 0700));
    case 'u': return status_of(unlink(path));
    case 's': return try_start(path);
    case 'e': return status_of(execl(path, path, NULL));
    case 'c': return try_connect(number);
    case 'n': return status_of(syscall(number, 0, 0, 0, 0, 0, 0));
    case 'f': return try_fork();
    case 'g': return status_of(rename(path, to));
    case 'a': return try_open_at(path, to);
    default: return ENOSYS;
    }
}

static int handler(rp_job *job, void *user)
{
    (void)user;
    int errnum = act(rp_input(job));
    return rp_return(job, "%s",
                     errnum == EPERM    ? "\"EPERM\""
                     : errnum == EACCES ? "\"EACCES\""
                     : errnum == 0      ? "null"
                                        : "\"another\"");
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = handler, RP_ALL_PARTS });
}
