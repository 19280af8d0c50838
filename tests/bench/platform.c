/*
 * The platform of the benchmarks: hands out jobs and takes results as fast as one thread of C can,
 * so that what is measured is the worker and not its platform. For figures only; the black-box
 * tests have a platform of their own that misbehaves.
 *
 * Routes: job-take, job-take-batch (batch_size), job-stop, ping, job-done, job-stream, told apart
 * by their name in the path. A job-take is held open once the jobs have run out, a job-stop always.
 *
 * All times are CLOCK_MONOTONIC in nanoseconds, so that they compare with a worker's start taken by
 * another process of this machine.
 *
 * Control: one command a line on standard input; its end means `quit`.
 *   reset [JOBS]  close every connection, forget all counts, hand out JOBS (default: --jobs) again
 *   more JOBS     hand out so many more, to the workers that are there
 *   stop          name all jobs without a result on the job-stop that is held
 *   report        print the report line
 *   quit          print the report line and exit
 * Standard output carries one JSON object a line, each with "event":
 *   listening   port
 *   first_take  ns: the first job-take's head had been read
 *   all_open    the first moment at which job-take, job-stop and ping had all been seen
 *   jobs_done   the last result of the jobs came
 *   stopping    ns: just before the answer to job-stop was written; jobs: how many it names
 *   no_stop     there is no job-stop to answer
 *   report      everything; see mock_report()
 */
#include "conn.h"
#include "mock_platform.h"
#include "self_bench.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <openssl/err.h>

enum {
    INPUT_MAX = 64 << 20, /* bytes of a job's input */
    EVENTS = 64,          /* taken from epoll at once */
};

static const char default_input[] = "{\"prompt\":\"hello\"}";

static struct {
    int port;
    const char *cert, *key;
    long self_bench; /* jobs for the client inside; 0: not asked for */
    struct mock_config mock;
    int epoll, listener;
    char control; /* its address marks standard input's events */
    bool quit;
    SSL_CTX *tls;
    struct conn *conns; /* all of them */
} p = { .mock = { .input = default_input, .input_len = sizeof default_input - 1 } };

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
    stop_signal = sig;
}

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("platform: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

static void report(void)
{
    if (mock_report() != 0)
        die("out of memory for the report");
}

static void drop(struct conn *c)
{
    struct conn_owner *o = conn_owner(c);
    if (o->prev != NULL)
        conn_owner(o->prev)->next = o->next;
    else
        p.conns = o->next;
    if (o->next != NULL)
        conn_owner(o->next)->prev = o->prev;
    mock_dropped();
    conn_free(c);
}

static void watch(struct conn *c)
{
    struct conn_owner *o = conn_owner(c);
    if (o->watches_write == conn_wants_write(c))
        return;
    o->watches_write = conn_wants_write(c);
    struct epoll_event e = { .events = EPOLLIN | (o->watches_write ? (uint32_t)EPOLLOUT : 0),
                             .data.ptr = c };
    (void)epoll_ctl(p.epoll, EPOLL_CTL_MOD, conn_fd(c), &e);
}

static void serve(struct conn *c)
{
    for (;;) {
        switch (conn_pump(c)) {
        case CONN_REQUEST:
            if (mock_answer(c) != 0) {
                mock_fault();
                drop(c);
                return;
            }
            break;
        case CONN_SENT:
            mock_sent(c);
            fflush(stdout); /* events go out after the answer, not before */
            if (conn_is_drained(c)) {
                watch(c);
                return;
            }
            break;
        case CONN_WAIT:
            watch(c);
            fflush(stdout);
            return;
        case CONN_CLOSED:
        default: drop(c); return;
        }
    }
}

/* A held request, asked again. */
static void answer_again(struct conn *c)
{
    if (mock_answer_held(c) == 0) {
        serve(c);
    } else {
        mock_fault();
        drop(c);
    }
}

static void accept_all(void)
{
    int fd;
    while ((fd = accept4(p.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct conn *c = conn_new(fd, p.tls);
        if (c == NULL) {
            mock_fault();
            continue;
        }
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
        if (epoll_ctl(p.epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
            mock_fault();
            conn_free(c);
            continue;
        }
        conn_owner(c)->next = p.conns;
        if (p.conns != NULL)
            conn_owner(p.conns)->prev = c;
        p.conns = c;
        mock_opened();
        serve(c); /* the request is often there already */
    }
}

static void reset(long jobs)
{
    while (p.conns != NULL)
        drop(p.conns);
    if (jobs < 0 || jobs > DESK_JOBS_MAX)
        die("reset: 0 to %d jobs", DESK_JOBS_MAX);
    p.mock.jobs = jobs;
    if (mock_reset(&p.mock) != 0)
        die("out of memory for %ld jobs", jobs);
}

/* Answers the requests that are held, as far as there is something to say now. */
static void answer_held(void)
{
    for (struct conn *c = p.conns, *next; c != NULL; c = next) {
        next = conn_owner(c)->next;
        if (conn_owner(c)->held)
            answer_again(c);
    }
}

static void more(long jobs)
{
    if (jobs < 0 || jobs > DESK_JOBS_MAX || mock_more(jobs) != 0)
        die("more: no room for %ld jobs", jobs);
    answer_held();
}

static void stop_jobs(void)
{
    mock_stop();
    answer_held();
    mock_stopped();
    fflush(stdout);
}

static void command(const char *line)
{
    if (strncmp(line, "reset", 5) == 0)
        reset(line[5] == ' ' ? strtol(line + 6, NULL, 10) : p.mock.jobs);
    else if (strncmp(line, "more ", 5) == 0)
        more(strtol(line + 5, NULL, 10));
    else if (strcmp(line, "stop") == 0)
        stop_jobs();
    else if (strcmp(line, "report") == 0)
        report();
    else if (strcmp(line, "quit") == 0)
        p.quit = true;
    else
        die("unknown command: %s", line);
}

/* Reads commands. Runs after all other events of a round: a reset frees connections. */
static void read_control(void)
{
    static char buf[256];
    static size_t len;
    ssize_t n = read(STDIN_FILENO, buf + len, sizeof buf - 1 - len);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0) {
        p.quit = true;
        return;
    }
    len += (size_t)n;
    char *newline;
    while ((newline = memchr(buf, '\n', len)) != NULL) {
        *newline = '\0';
        command(buf);
        len -= (size_t)(newline + 1 - buf);
        memmove(buf, newline + 1, len);
    }
    if (len == sizeof buf - 1)
        die("a command is too long");
}

static void load_input(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        die("%s: %s", path, strerror(errno));
    char *text = malloc(INPUT_MAX);
    if (text == NULL)
        die("out of memory for the input");
    size_t len = fread(text, 1, INPUT_MAX, f);
    if (ferror(f) || len == 0 || len == INPUT_MAX)
        die("%s: empty, too large or unreadable", path);
    fclose(f);
    while (len > 1 && text[len - 1] == '\n')
        len--;
    p.mock.input = text; /* kept to the end */
    p.mock.input_len = len;
}

static void load_tls(void)
{
    p.tls = SSL_CTX_new(TLS_server_method());
    if (p.tls == NULL || SSL_CTX_use_certificate_chain_file(p.tls, p.cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(p.tls, p.key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        die("cannot use certificate %s with key %s", p.cert, p.key);
    }
    SSL_CTX_set_min_proto_version(p.tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(p.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_id_context(p.tls, (const unsigned char *)"bench", 5);
}

static void listen_on_loopback(void)
{
    static const int one = 1;
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)p.port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof at;
    p.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p.listener < 0 || setsockopt(p.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(p.listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(p.listener, 512) != 0 ||
        getsockname(p.listener, (struct sockaddr *)&at, &len) != 0)
        die("cannot listen on port %d: %s", p.port, strerror(errno));
    p.port = ntohs(at.sin_port);
}

static void start_events(void)
{
    struct epoll_event listener = { .events = EPOLLIN, .data.ptr = &p.listener };
    struct epoll_event control = { .events = EPOLLIN, .data.ptr = &p.control };
    p.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p.epoll < 0 || epoll_ctl(p.epoll, EPOLL_CTL_ADD, p.listener, &listener) != 0)
        die("epoll: %s", strerror(errno));
    /* A file or the null device cannot be watched: then only a signal ends the platform. */
    if (epoll_ctl(p.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &control) != 0 && errno != EPERM &&
        errno != EBADF)
        die("epoll: %s", strerror(errno));
}

static long number(const char *option, const char *text, long max)
{
    char *rest;
    long n = strtol(text, &rest, 10);
    if (rest == text || *rest != '\0' || n < 0 || n > max)
        die("%s: a number from 0 to %ld", option, max);
    return n;
}

static void usage(void)
{
    puts("usage: platform [--port N] [--jobs N | --hold | --self-bench N] [--input JSON-FILE]\n"
         "                [--status CODE] [--tls CERT-CHAIN KEY]\n"
         "  --port N        listen on 127.0.0.1:N (default: a free port, the first line tells)\n"
         "  --jobs N        hand out N jobs, then hold job-takes open (default 0)\n"
         "  --hold          hand out none: the same as --jobs 0\n"
         "  --input FILE    every job's input, a JSON value (default {\"prompt\":\"hello\"})\n"
         "  --status CODE   answer every request at once with CODE\n"
         "  --tls CERT KEY  speak TLS 1.2 and 1.3; PEM files\n"
         "  --self-bench N  hand N jobs to a client inside, report, exit: the most it can serve\n"
         "Commands on standard input: reset [JOBS], more JOBS, stop, report, quit.");
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = { { "port", required_argument, NULL, 'p' },
                                             { "jobs", required_argument, NULL, 'j' },
                                             { "hold", no_argument, NULL, 'o' },
                                             { "input", required_argument, NULL, 'i' },
                                             { "status", required_argument, NULL, 's' },
                                             { "tls", required_argument, NULL, 't' },
                                             { "self-bench", required_argument, NULL, 'b' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 'p': p.port = (int)number("--port", optarg, 65535); break;
        case 'j': p.mock.jobs = number("--jobs", optarg, DESK_JOBS_MAX); break;
        case 'o': p.mock.jobs = 0; break;
        case 'i': load_input(optarg); break;
        case 's': p.mock.status = (int)number("--status", optarg, 599); break;
        case 't':
            p.cert = optarg;
            if (optind >= argc)
                die("--tls: a certificate and a key");
            p.key = argv[optind++];
            break;
        case 'b': p.self_bench = p.mock.jobs = number("--self-bench", optarg, DESK_JOBS_MAX); break;
        case 'h': usage(); exit(0);
        default: exit(2);
        }
    }
    if (optind != argc)
        die("unexpected argument: %s", argv[optind]);
    if (p.self_bench > 0 && (p.cert != NULL || p.mock.status != 0))
        die("--self-bench goes with neither --tls nor --status");
}

static void take_signals(sigset_t *waiting)
{
    struct sigaction act = { .sa_handler = on_signal };
    sigset_t blocked;
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGCHLD, &act, NULL); /* the client of --self-bench is done */
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, waiting); /* delivered only while waiting */
}

static void loop(const sigset_t *waiting)
{
    struct epoll_event events[EVENTS];
    while (!p.quit && stop_signal == 0) {
        int n = epoll_pwait(p.epoll, events, EVENTS, -1, waiting);
        bool controlled = false;
        if (n < 0 && errno != EINTR)
            die("epoll: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &p.listener)
                accept_all();
            else if (events[i].data.ptr == &p.control)
                controlled = true;
            else
                serve(events[i].data.ptr);
        }
        if (controlled)
            read_control();
    }
}

int main(int argc, char **argv)
{
    sigset_t waiting;
    int self_status = 0;
    read_options(argc, argv);
    if (p.cert != NULL)
        load_tls();
    reset(p.mock.jobs);
    listen_on_loopback();
    take_signals(&waiting);
    start_events();
    printf("{\"event\":\"listening\",\"port\":%d}\n", p.port);
    fflush(stdout);
    pid_t self = p.self_bench > 0 ? self_bench_start(p.port, p.self_bench) : 0;
    if (self < 0)
        die("cannot start the client: %s", strerror(errno));
    loop(&waiting);
    if (self > 0 && (waitpid(self, &self_status, stop_signal == SIGCHLD ? 0 : WNOHANG) != self ||
                     self_status != 0))
        die("the client inside failed");
    report();
    reset(0);
    mock_close();
    SSL_CTX_free(p.tls);
    return 0;
}
