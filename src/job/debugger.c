#include "job/debugger.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/date.h"
#include "base/version.h"
#include "json/json.h"

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct checkpoint *find(struct debugger *debugger, const char *name)
{
    for (size_t i = 0; i < debugger->count; i++)
        if (strncmp(debugger->checkpoints[i].name, name, CHECKPOINT_NAME_BYTES - 1) == 0)
            return &debugger->checkpoints[i];
    return NULL;
}

void debugger_start(struct debugger *debugger, const char *name)
{
    struct checkpoint *checkpoint = find(debugger, name);
    if (checkpoint == NULL && debugger->checkpoints != NULL && debugger->count < CHECKPOINTS_MAX)
        checkpoint = &debugger->checkpoints[debugger->count++];
    if (checkpoint == NULL)
        return;
    *checkpoint = (struct checkpoint){ .start_ns = now_ns(CLOCK_MONOTONIC),
                                       .start_unix_ns = now_ns(CLOCK_REALTIME) };
    snprintf(checkpoint->name, sizeof checkpoint->name, "%s", name);
}

void debugger_stop(struct debugger *debugger, const char *name)
{
    struct checkpoint *checkpoint = find(debugger, name);
    if (checkpoint == NULL)
        return;
    checkpoint->stop_ns = now_ns(CLOCK_MONOTONIC);
    checkpoint->stop_unix_ns = now_ns(CLOCK_REALTIME);
}

#define TIME_BYTES 96 /* room for the digits of any int, which the compiler counts on */

/* ISO 8601 in UTC, with microseconds. */
static void put_time(char text[TIME_BYTES], int64_t unix_ns)
{
    const struct date utc = date_of(unix_ns / 1000000000);
    snprintf(text, TIME_BYTES, "%04d-%02u-%02uT%02u:%02u:%02u.%06dZ", utc.year, utc.month, utc.day,
             utc.hour, utc.minute, utc.second, (int)(unix_ns % 1000000000 / 1000));
}

static int put_checkpoint(const struct checkpoint *checkpoint, bool first, struct buf *out,
                          struct err *err)
{
    char start[TIME_BYTES], stop[TIME_BYTES];
    put_time(start, checkpoint->start_unix_ns);
    put_time(stop, checkpoint->stop_unix_ns);
    return json_add(out, err,
                    "%s{\"name\": %Q, \"start_utc\": %Q, \"stop_utc\": %Q, \"duration_ms\": %.3f}",
                    first ? "" : ", ", checkpoint->name, start, stop,
                    (double)(checkpoint->stop_ns - checkpoint->start_ns) / 1e6);
}

/* The processor's name from /proc/cpuinfo; "" if it is not there. */
static void read_processor(char *name, size_t size)
{
    static const char label[] = "\nmodel name\t: ";
    char start[1024];
    int file = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    ssize_t got = file >= 0 ? read(file, start, sizeof start - 1) : -1;
    start[got > 0 ? got : 0] = '\0';
    const char *found = memmem(start, strlen(start), label, sizeof label - 1);
    name[0] = '\0';
    if (found != NULL)
        snprintf(name, size, "%.*s", (int)strcspn(found + sizeof label - 1, "\n"),
                 found + sizeof label - 1);
    if (file >= 0)
        close(file);
}

static int put_system(struct buf *out, struct err *err)
{
    struct utsname system;
    char processor[128];
    uname(&system);
    read_processor(processor, sizeof processor);
    return json_add(out, err, "{\"os\": \"%s %s\", \"processor\": %Q, \"runpod\": %Q}",
                    system.sysname, system.release, processor, WORKER_USER_AGENT);
}

int debugger_put(const struct debugger *debugger, int64_t ready_delay_ms, struct buf *out,
                 struct err *err)
{
    bool first = true;
    int rc = json_add(out, err, "{\"system_info\": ");
    if (rc == 0)
        rc = put_system(out, err);
    if (rc == 0)
        rc = json_add(out, err, ", \"timestamps\": [");
    for (size_t i = 0; rc == 0 && i < debugger->count; i++) {
        if (debugger->checkpoints[i].stop_ns == 0)
            continue;
        rc = put_checkpoint(&debugger->checkpoints[i], first, out, err);
        first = false;
    }
    return rc == 0 ? json_add(out, err, "], \"ready_delay_ms\": %lld}", (long long)ready_delay_ms)
                   : rc;
}
