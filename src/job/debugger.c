#include "job/debugger.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/version.h"
#include "codec/json.h"

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

#define TIME_BYTES 48

/* ISO 8601 in UTC, with microseconds. */
static void put_time(char text[TIME_BYTES], int64_t unix_ns)
{
    time_t seconds = (time_t)(unix_ns / 1000000000);
    struct tm parts;
    char date[32];
    gmtime_r(&seconds, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, TIME_BYTES, "%s.%06dZ", date, (int)(unix_ns % 1000000000 / 1000));
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

/* The processor's name, as the kernel tells it; "" where it does not. */
static void read_processor(char *name, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    name[0] = '\0';
    while (file != NULL && name[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL)
            snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (file != NULL)
        fclose(file);
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
