/*
 * The inference server of the benchmarks, and a client that asks it directly. For figures only.
 *
 *   eventserver              prints {"event":"listening","port":P}, serves until stdin ends
 *   eventserver PORT N K     K connections ask for /json N times in all, one after the other
 *                            on each; prints {"event":"direct","p50":..,"p99":..}, nanoseconds
 *
 * Routes, whatever the method: /events?events=E&rate=R streams E events as text/event-stream, R a
 * second, each with its number and the CLOCK_MONOTONIC time at which it was made, both at its
 * start, where the benchmark's platform finds them; every other path is a small JSON object.
 * One thread a connection; times are absolute, so that a late event makes none after it late.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum {
    HEAD_MAX = 16 * 1024,    /* bytes of a request, body included */
    STACK_BYTES = 64 * 1024, /* of a connection's thread */
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_until(int64_t ns)
{
    struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* Sends all of it. 0, or -1 when the peer is gone. */
static int send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Reads one request or answer, head and body, into `text` (HEAD_MAX + 1 bytes, ended with a NUL).
 * Only bodies with a Content-Length are known. 0, or -1 at the connection's end. */
static int read_message(int fd, char *text)
{
    size_t have = 0, want = 0;
    while (want == 0 || have < want) {
        ssize_t n = recv(fd, text + have, HEAD_MAX - have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        have += (size_t)n;
        text[have] = '\0';
        char *end = strstr(text, "\r\n\r\n");
        if (end == NULL)
            continue;
        const char *length = strcasestr(text, "\r\ncontent-length:");
        want = (size_t)(end - text) + 4;
        if (length != NULL && length < end)
            want += strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
        if (want > HEAD_MAX)
            return -1;
    }
    return 0;
}

static long parameter(const char *target, const char *name, long otherwise)
{
    const char *found = strstr(target, name);
    return found == NULL ? otherwise : strtol(found + strlen(name), NULL, 10);
}

static int stream_events(int fd, const char *target)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    long events = parameter(target, "events=", 1000), rate = parameter(target, "rate=", 1000);
    int64_t begin = now_ns();
    if (rate <= 0 || send_all(fd, head, sizeof head - 1) != 0)
        return -1;
    for (long i = 0; i < events; i++) {
        char event[128], chunk[160];
        sleep_until(begin + i * (1000000000 / rate));
        int len = snprintf(event, sizeof event,
                           "data: {\"n\":%ld,\"ns\":%lld,\"text\":\"a token of the answer\"}\n\n",
                           i, (long long)now_ns());
        int size = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)len, event);
        if (send_all(fd, chunk, (size_t)size) != 0)
            return -1;
    }
    return send_all(fd, "0\r\n\r\n", 5);
}

static int answer(int fd, char *request)
{
    static const char json[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: 12\r\n\r\n{\"ok\": true}";
    const char *target = strchr(request, ' ');
    if (target != NULL && strncmp(target, " /events", 8) == 0) {
        request[strcspn(request, "\r")] = '\0';
        return stream_events(fd, target);
    }
    return send_all(fd, json, sizeof json - 1);
}

static void *serve(void *argument)
{
    static const int one = 1;
    int fd = (int)(intptr_t)argument;
    char request[HEAD_MAX + 1];
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (read_message(fd, request) == 0 && answer(fd, request) == 0)
        ;
    close(fd);
    return NULL;
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(thread, &attributes, run, argument) != 0)
        die("pthread_create");
    pthread_attr_destroy(&attributes);
}

static void *accept_all(void *argument)
{
    int listener = (int)(intptr_t)argument;
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        start_thread(&thread, serve, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

static int run_server(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    pthread_t thread;
    char drop[64];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    prctl(PR_SET_TIMERSLACK, 1UL);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 256) != 0 || getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        die("listen");
    start_thread(&thread, accept_all, (void *)(intptr_t)listener);
    printf("{\"event\":\"listening\",\"port\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
    while (read(STDIN_FILENO, drop, sizeof drop) > 0)
        ;
    return 0;
}

/* --- the client ------------------------------------------------------------------------------ */

static struct {
    int port;
    long each;      /* requests of one connection */
    int64_t *times; /* all connections', one after the other */
} direct;

static void *ask(void *argument)
{
    static const char request[] = "POST /json HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                                  "application/json\r\nContent-Length: 8\r\n\r\n{\"a\": 1}";
    int64_t *times = direct.times + (intptr_t)argument * direct.each;
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)direct.port) };
    char text[HEAD_MAX + 1];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    for (long i = 0; i < direct.each; i++) {
        int64_t begin = now_ns();
        if (send_all(fd, request, sizeof request - 1) != 0 || read_message(fd, text) != 0)
            die("a direct request");
        times[i] = now_ns() - begin;
    }
    close(fd);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int run_client(int port, long requests, long connections)
{
    if (port <= 0 || connections < 1 || connections > 1000 || requests < connections)
        return 2;
    long total = requests / connections * connections;
    pthread_t threads[1000];
    direct.port = port;
    direct.each = requests / connections;
    direct.times = calloc((size_t)total, sizeof *direct.times);
    if (direct.times == NULL)
        die("calloc");
    for (long i = 0; i < connections; i++)
        start_thread(&threads[i], ask, (void *)(intptr_t)i);
    for (long i = 0; i < connections; i++)
        pthread_join(threads[i], NULL);
    qsort(direct.times, (size_t)total, sizeof *direct.times, compare);
    printf("{\"event\":\"direct\",\"p50\":%lld,\"p99\":%lld}\n", (long long)direct.times[total / 2],
           (long long)direct.times[total * 99 / 100]);
    free(direct.times);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return run_client(atoi(argv[1]), atol(argv[2]), atol(argv[3]));
    return run_server();
}
