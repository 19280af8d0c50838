#include "self_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <signal.h>

static const char take_request[] =
    "GET /v2/bench/job-take/self?gpu=none&job_in_progress=0 HTTP/1.1\r\n"
    "Host: 127.0.0.1\r\nAuthorization: none\r\n\r\n";
static const char result_body[] = "{\"output\":{\"prompt\":\"hello\"}}";

static int connect_to(int port)
{
    static const int one = 1;
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* Sends a request and reads its whole answer, which must fit `buf` and be a 200 with a length.
 * Returns the body inside `buf` (ended by NUL), or NULL. */
static char *exchange(int fd, const char *request, size_t len, char *buf, size_t cap)
{
    size_t got = 0;
    char *blank = NULL, *length;
    if (send(fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
        return NULL;
    while (got < cap - 1) {
        ssize_t n = read(fd, buf + got, cap - 1 - got);
        if (n <= 0)
            return NULL;
        got += (size_t)n;
        buf[got] = '\0';
        blank = strstr(buf, "\r\n\r\n");
        if (blank == NULL)
            continue;
        length = strstr(buf, "Content-Length: ");
        if (strncmp(buf, "HTTP/1.1 200 ", 13) != 0 || length == NULL || length > blank)
            return NULL;
        if (got >= (size_t)(blank + 4 - buf) + strtoul(length + 16, NULL, 10))
            return blank + 4;
    }
    return NULL;
}

static int one_job(int take_fd, int post_fd)
{
    char answer[4096], post[512];
    unsigned long id;
    char *job = exchange(take_fd, take_request, sizeof take_request - 1, answer, sizeof answer);
    if (job == NULL || sscanf(job, "{\"id\":\"job-%lu\"", &id) != 1)
        return -1;
    int len = snprintf(post, sizeof post,
                       "POST /v2/bench/job-done/self/job-%lu?gpu=none&isStream=false HTTP/1.1\r\n"
                       "Host: 127.0.0.1\r\nAuthorization: none\r\nX-Request-ID: job-%lu\r\n"
                       "Content-Type: application/x-www-form-urlencoded\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       id, id, sizeof result_body - 1, result_body);
    return exchange(post_fd, post, (size_t)len, answer, sizeof answer) == NULL ? -1 : 0;
}

static int client(int port, long jobs)
{
    int take_fd = connect_to(port), post_fd = connect_to(port);
    int rc = take_fd < 0 || post_fd < 0 ? 1 : 0;
    for (long i = 0; rc == 0 && i < jobs; i++)
        rc = one_job(take_fd, post_fd) == 0 ? 0 : 1;
    return rc;
}

pid_t self_bench_start(int port, long jobs)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(client(port, jobs));
    }
    return pid;
}
