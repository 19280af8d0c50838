#include "mock_platform.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_MAX = 256,  /* jobs in one answer */
    JOBS_LISTED = 64, /* the report lists so many jobs one by one */
    RESULT_HEAD = 96, /* bytes of a result that the list shows */
};

enum route { TAKE, TAKE_BATCH, STOP, PING, DONE, STREAM, OTHER, ROUTES };

static const char *const route_names[ROUTES] = { "job-take", "job-take-batch", "job-stop", "ping",
                                                 "job-done", "job-stream",     "other" };

struct job {
    int64_t handout_ns;     /* before the answer's first byte was written */
    int64_t sent_ns;        /* after its last byte was written */
    int64_t result_head_ns; /* the result's head had been read */
    int64_t result_ns;      /* the result's last byte had been read; 0: no result yet */
    uint64_t result_len;
    bool stopped; /* named on the stop channel */
    char result_head[RESULT_HEAD + 1];
};

static struct mock_config config;
static struct job *jobs; /* config.jobs of them */

/* Since the last reset. */
static struct {
    long handed_out, results, results_ok, results_unknown, results_repeated;
    long accepted, faults, resumed;
    long requests[ROUTES];
    int64_t first_ns[ROUTES];
    int64_t first_request_ns;
    int64_t take_handshake_ns; /* of the connection on which the first job-take came */
    long full_before,
        full_at_take; /* full TLS handshakes at the reset, and by the first job-take */
    bool take_resumed;
    uint64_t result_bytes;
    int64_t last_stream_ns;
    /* Parts that begin with an event of eventserver.c: how old that was when the part had come. */
    long timed_parts;
    int64_t oldest_part_ns;  /* of all of them */
    int64_t oldest_first_ns; /* of those that begin with an answer's first event */
    int64_t first_event_ns;  /* when the first event of all was made */
} count;

/* While the stop channel is being answered. */
static struct {
    bool active;
    long jobs;
    int64_t ns;
} stop;

static long open_now;

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The smallest value that at least `percent` of the `n` sorted ones do not exceed. */
static int64_t percentile(const int64_t *sorted, long n, double percent)
{
    double exact = percent / 100 * (double)n;
    long rank = (long)exact;
    if ((double)rank < exact || rank == 0)
        rank++;
    return n == 0 ? 0 : sorted[rank - 1];
}

/* Prints `text` as a JSON string; what is not plain ASCII becomes '?'. */
static void print_text(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text < ' ' || *text > '~' ? '?' : *text);
    }
    putchar('"');
}

static int print_latencies(void)
{
    int64_t *values = calloc((size_t)count.handed_out + 1, sizeof *values);
    int64_t first = 0, last = 0;
    long n = 0;
    if (values == NULL)
        return -1;
    for (long i = 0; i < count.handed_out; i++) {
        const struct job *j = &jobs[i];
        if (j->result_ns == 0)
            continue;
        values[n++] = j->result_ns - j->handout_ns;
        first = first == 0 || j->handout_ns < first ? j->handout_ns : first;
        last = j->result_ns > last ? j->result_ns : last;
    }
    qsort(values, (size_t)n, sizeof *values, by_value);
    printf(
        ",\"latency_ns\":{\"n\":%ld,\"min\":%ld,\"p50\":%ld,\"p90\":%ld,\"p99\":%ld,\"max\":%ld}",
        n, percentile(values, n, 0), percentile(values, n, 50), percentile(values, n, 90),
        percentile(values, n, 99), percentile(values, n, 100));
    printf(",\"jobs_per_s\":%.3f", last > first ? (double)n * 1e9 / (double)(last - first) : 0);
    free(values);
    return 0;
}

static void print_jobs(void)
{
    fputs(",\"jobs\":[", stdout);
    for (long i = 0; i < count.handed_out && i < JOBS_LISTED; i++) {
        const struct job *j = &jobs[i];
        printf("%s{\"handout_ns\":%ld,\"sent_ns\":%ld,\"result_head_ns\":%ld,\"result_ns\":%ld,"
               "\"result_bytes\":%lu,\"result\":",
               i == 0 ? "" : ",", j->handout_ns, j->sent_ns, j->result_head_ns, j->result_ns,
               j->result_len);
        print_text(j->result_head);
        putchar('}');
    }
    putchar(']');
}

int mock_report(void)
{
    printf("{\"event\":\"report\",\"now_ns\":%ld,\"accepted\":%ld,\"open\":%ld,\"faults\":%ld,"
           "\"resumed\":%ld,\"first_request_ns\":%ld,\"requests\":{",
           now_ns(), count.accepted, open_now, count.faults, count.resumed, count.first_request_ns);
    for (int r = 0; r < ROUTES; r++)
        printf("%s\"%s\":%ld", r == 0 ? "" : ",", route_names[r], count.requests[r]);
    fputs("},\"first_ns\":{", stdout);
    for (int r = 0; r < ROUTES; r++)
        printf("%s\"%s\":%ld", r == 0 ? "" : ",", route_names[r], count.first_ns[r]);
    printf("},\"take_handshake_ns\":%ld,\"take_resumed\":%s,\"full_handshakes_at_take\":%ld",
           count.take_handshake_ns, count.take_resumed ? "true" : "false", count.full_at_take);
    printf(",\"handed_out\":%ld,\"results\":%ld,\"results_ok\":%ld,\"results_unknown\":%ld,"
           "\"results_repeated\":%ld,\"job_bytes\":%zu,\"result_bytes\":%lu,"
           "\"last_stream_ns\":%ld",
           count.handed_out, count.results, count.results_ok, count.results_unknown,
           count.results_repeated, config.input_len, count.result_bytes, count.last_stream_ns);
    printf(",\"timed_parts\":%ld,\"oldest_part_ns\":%ld,\"oldest_first_ns\":%ld,"
           "\"first_event_ns\":%ld",
           count.timed_parts, count.oldest_part_ns, count.oldest_first_ns, count.first_event_ns);
    int rc = print_latencies();
    print_jobs();
    puts("}");
    fflush(stdout);
    return rc;
}

static enum route route_of(const char *target)
{
    for (int r = 0; r < OTHER; r++) {
        const char *at = strstr(target, route_names[r]);
        size_t len = strlen(route_names[r]);
        if (at != NULL && at > target && at[-1] == '/' && (at[len] == '/' || at[len] == '?'))
            return (enum route)r;
    }
    return OTHER;
}

static long batch_size(enum route route, const char *target)
{
    const char *at = strstr(target, "batch_size=");
    long n = route == TAKE_BATCH && at != NULL ? strtol(at + 11, NULL, 10) : 1;
    if (n > config.jobs - count.handed_out)
        n = config.jobs - count.handed_out;
    return n > BATCH_MAX ? BATCH_MAX : n;
}

/* Writes one job's JSON at `to`, or only measures it where `to` is NULL. Returns its length. */
static size_t put_job(char *to, long number)
{
    char head[64];
    size_t len = (size_t)snprintf(head, sizeof head, "{\"id\":\"job-%ld\",\"input\":", number);
    if (to != NULL) {
        memcpy(to, head, len);
        memcpy(to + len, config.input, config.input_len);
        to[len + config.input_len] = '}';
    }
    return len + config.input_len + 1;
}

/* Answers a job-take with `n` jobs: an object, or an array for a batch. 0 or -1. */
static int hand_out(struct conn *c, enum route route, long n)
{
    bool batch = route == TAKE_BATCH;
    size_t len = batch ? 2 + (size_t)(n - 1) : 0;
    for (long i = 0; i < n; i++)
        len += put_job(NULL, count.handed_out + i);
    char *to = conn_answer_begin(c, 200, len);
    if (to == NULL)
        return -1;
    conn_owner(c)->job = count.handed_out;
    for (long i = 0; i < n; i++) {
        if (batch)
            *to++ = i == 0 ? '[' : ',';
        to += put_job(to, count.handed_out + i);
    }
    if (batch)
        *to = ']';
    int64_t now = now_ns();
    for (long i = 0; i < n; i++)
        jobs[count.handed_out++] = (struct job){ .handout_ns = now };
    return 0;
}

/* Whether a result's first bytes say that it has an output and did not fail. */
static bool is_output(const char *body, size_t len)
{
    static const char want[] = "{\"output\":";
    size_t w = 0;
    for (size_t i = 0; i < len && w < sizeof want - 1; i++) {
        if (body[i] == ' ' || body[i] == '\n')
            continue;
        if (body[i] != want[w++])
            return false;
    }
    return w == sizeof want - 1;
}

static void note_result(const struct conn_request *r)
{
    const char *path_end = strchr(r->target, '?');
    const char *id = strstr(r->target, "/job-done/");
    id = id == NULL ? NULL : strstr(id, "/job-");
    for (const char *next = id; next != NULL && (path_end == NULL || next < path_end);
         next = strstr(next + 1, "/job-"))
        id = next;
    char *rest;
    long number = id == NULL ? -1 : strtol(id + 5, &rest, 10);
    count.result_bytes += r->body_len;
    if (number < 0 || number >= count.handed_out || rest == id + 5 ||
        (*rest != '?' && *rest != '\0')) {
        count.results_unknown++;
        return;
    }
    struct job *j = &jobs[number];
    if (j->result_ns != 0) {
        count.results_repeated++;
        return;
    }
    j->result_head_ns = r->head_ns;
    j->result_ns = r->end_ns;
    j->result_len = r->body_len;
    size_t keep = r->body_kept_len < RESULT_HEAD ? r->body_kept_len : RESULT_HEAD;
    memcpy(j->result_head, r->body_kept, keep);
    count.results++;
    count.results_ok += is_output(r->body_kept, r->body_kept_len);
    if (count.results == config.jobs)
        puts("{\"event\":\"jobs_done\"}");
}

/* Counts a request and prints the events that it brings about. */
static void note_request(struct conn *c, enum route route, int64_t ns)
{
    bool first = count.requests[route]++ == 0;
    struct conn_owner *o = conn_owner(c);
    count.resumed += !o->seen && conn_resumed(c);
    o->seen = true;
    if (count.first_request_ns == 0)
        count.first_request_ns = ns;
    if (!first)
        return;
    count.first_ns[route] = ns;
    bool take = route == TAKE || route == TAKE_BATCH;
    if (take && count.requests[TAKE] + count.requests[TAKE_BATCH] == 1) {
        count.take_handshake_ns = conn_handshake_ns(c);
        count.take_resumed = conn_resumed(c);
        count.full_at_take = conn_full_handshakes() - count.full_before;
        printf("{\"event\":\"first_take\",\"ns\":%ld}\n", ns);
    }
    if ((take || route == STOP || route == PING) && count.requests[STOP] > 0 &&
        count.requests[PING] > 0 && count.requests[TAKE] + count.requests[TAKE_BATCH] > 0)
        puts("{\"event\":\"all_open\"}");
}

/* Names the jobs to stop; holds the request where there are none. */
static int answer_stop(struct conn *c)
{
    size_t len = sizeof "{\"jobsToStop\":[]}" - 1;
    long n = 0;
    char id[32];
    for (long i = 0; stop.active && i < count.handed_out; i++)
        if (jobs[i].result_ns == 0 && !jobs[i].stopped)
            len += (size_t)snprintf(id, sizeof id, "%s\"job-%ld\"", n++ == 0 ? "" : ",", i);
    conn_owner(c)->held = n == 0;
    if (n == 0)
        return 0;
    char *to = conn_answer_begin(c, 200, len);
    if (to == NULL)
        return -1;
    to = mempcpy(to, "{\"jobsToStop\":[", 15);
    for (long i = 0; i < count.handed_out; i++) {
        if (jobs[i].result_ns != 0 || jobs[i].stopped)
            continue;
        int id_len = snprintf(id, sizeof id, "%s\"job-%ld\"", stop.jobs++ == 0 ? "" : ",", i);
        to = mempcpy(to, id, (size_t)id_len);
        jobs[i].stopped = true;
    }
    memcpy(to, "]}", 2);
    stop.ns = now_ns();
    return 0;
}

/* The number behind the name in the start of a body; -1 where there is none. */
static int64_t number_behind(const struct conn_request *r, const char *name)
{
    const char *at = memmem(r->body_kept, r->body_kept_len, name, strlen(name));
    if (at == NULL)
        return -1;
    int64_t value = 0;
    const char *end = r->body_kept + r->body_kept_len;
    for (at += strlen(name); at < end && *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (*at - '0');
    return value;
}

static void note_part(const struct conn_request *r)
{
    int64_t made = number_behind(r, "\\\"ns\\\":");
    count.last_stream_ns = r->end_ns;
    if (made <= 0)
        return;
    if (count.timed_parts++ == 0 || made < count.first_event_ns)
        count.first_event_ns = made;
    if (r->end_ns - made > count.oldest_part_ns)
        count.oldest_part_ns = r->end_ns - made;
    if (number_behind(r, "{\\\"n\\\":") == 0 && r->end_ns - made > count.oldest_first_ns)
        count.oldest_first_ns = r->end_ns - made;
}

static int try_answer(struct conn *c, enum route route)
{
    const struct conn_request *r = conn_request(c);
    conn_owner(c)->held = false;
    switch (route) {
    case TAKE:
    case TAKE_BATCH: {
        long n = batch_size(route, r->target);
        conn_owner(c)->held = n <= 0;
        return n <= 0 ? 0 : hand_out(c, route, n);
    }
    case STOP: return answer_stop(c);
    case DONE: note_result(r); return conn_answer(c, 200, "{}", 2);
    case STREAM: note_part(r); return conn_answer(c, 200, "{}", 2);
    case PING: return conn_answer(c, 200, "{}", 2);
    case OTHER:
    case ROUTES:
    default: return conn_answer(c, 404, "{}", 2);
    }
}

int mock_answer(struct conn *c)
{
    const struct conn_request *r = conn_request(c);
    enum route route = route_of(r->target);
    note_request(c, route, r->head_ns);
    return config.status != 0 ? conn_answer(c, config.status, "{}", 2) : try_answer(c, route);
}

int mock_answer_held(struct conn *c)
{
    return try_answer(c, route_of(conn_request(c)->target));
}

int mock_more(long more)
{
    struct job *grown = more <= DESK_JOBS_MAX - config.jobs
                            ? realloc(jobs, (size_t)(config.jobs + more + 1) * sizeof *jobs)
                            : NULL;
    if (grown == NULL)
        return -1;
    jobs = grown;
    config.jobs += more;
    return 0;
}

void mock_stop(void)
{
    stop.active = true;
    stop.jobs = 0;
}

void mock_stopped(void)
{
    stop.active = false;
    if (stop.jobs > 0)
        printf("{\"event\":\"stopping\",\"ns\":%ld,\"jobs\":%ld}\n", stop.ns, stop.jobs);
    else
        puts("{\"event\":\"no_stop\"}");
}

void mock_sent(struct conn *c)
{
    struct conn_owner *o = conn_owner(c);
    if (o->job >= 0)
        jobs[o->job].sent_ns = now_ns();
    o->job = -1;
}

void mock_opened(void)
{
    count.accepted++;
    open_now++;
}

void mock_dropped(void)
{
    open_now--;
}

void mock_fault(void)
{
    count.faults++;
}

int mock_reset(const struct mock_config *to)
{
    mock_close();
    config = *to;
    memset(&count, 0, sizeof count);
    count.full_before = conn_full_handshakes();
    jobs = calloc((size_t)config.jobs + 1, sizeof *jobs);
    return jobs == NULL ? -1 : 0;
}

void mock_close(void)
{
    free(jobs);
    jobs = NULL;
}
