#include "app/fitness.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/heartbeat.h"
#include "base/clock.h"
#include "base/limits.h"
#include "codec/backoff.h"
#include "codec/url.h"
#include "job/child.h"
#include "job/gpu_part.h"
#include "net/tcp.h"

enum { EXIT_UNFIT = 1, EXIT_CONFIG = 2 };

/* What a check needs to know. */
struct subject {
    const struct config *config;
    const struct http_net *net;
};

/* Reads one line of /proc/meminfo, in KiB. -1 where it cannot be had. */
static long long read_meminfo_kib(const char *name)
{
    char line[128];
    long long kib = -1;
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return -1;
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtoll(line + strlen(name), NULL, 10);
    fclose(file);
    return kib;
}

static bool check_memory(const struct subject *subject, char *reason)
{
    int64_t least = subject->config->fitness.min_memory_milli_gib;
    long long kib = read_meminfo_kib("MemAvailable:");
    if (kib < 0) {
        log_write(LOG_WARN, NULL, "The memory check is skipped: /proc/meminfo cannot be read.");
        return true;
    }
    if (kib * 1000 / (1024 * 1024) >= least)
        return true;
    snprintf(reason, LIMIT_REASON_BYTES,
             "Insufficient memory: %.2f GiB available, %.2f required (RUNPOD_MIN_MEMORY_GB)",
             (double)kib / (1024 * 1024), (double)least / 1000);
    return false;
}

static bool check_disk(const struct subject *subject, char *reason)
{
    int64_t least = subject->config->fitness.min_disk_milli_percent;
    struct statvfs disk;
    if (statvfs("/", &disk) != 0 || disk.f_blocks == 0) {
        log_write(LOG_WARN, NULL, "The disk check is skipped: / has no blocks to count.");
        return true;
    }
    double percent = 100.0 * (double)disk.f_bavail / (double)disk.f_blocks;
    if (percent * 1000 >= (double)least)
        return true;
    snprintf(reason, LIMIT_REASON_BYTES,
             "Insufficient disk space: %.1f %% free, %.1f %% required (RUNPOD_MIN_DISK_PERCENT)",
             percent, (double)least / 1000);
    return false;
}

static bool check_network(const struct subject *subject, char *reason)
{
    struct url url, proxy;
    struct err err = { 0 };
    struct transport *stream;
    const struct wake *no_wake = NULL;
    if (url_parse(subject->config->take_url, &url, &err) != 0)
        return true; /* checked at the start already */
    if (proxy_for(&subject->net->proxy, &url, &proxy))
        url = proxy;
    deadline_ms deadline = clock_deadline(subject->config->fitness.network_timeout_ms);
    struct backoff backoff = { .first_ms = LIMIT_RETRY_FIRST_MS,
                               .longest_ms = LIMIT_RETRY_FIRST_MS };
    do {
        if (tcp_connect(&stream, url.host, url.port, NULL, &no_wake, deadline, &err) == 0) {
            stream->ops->close(stream);
            return true;
        }
        clock_sleep(
            clock_earlier(deadline, clock_deadline(backoff_next_ms(&backoff, random_u32()))));
    } while (clock_left_ms(deadline) > 0);
    snprintf(reason, LIMIT_REASON_BYTES, "Network connectivity failed: %.200s", err.text);
    return false;
}

static const struct system_check {
    const char *name;
    bool (*run)(const struct subject *subject, char *reason);
} system_checks[] = {
    { "memory_check", check_memory },
    { "disk_check", check_disk },
    { "network_check", check_network },
};
#define SYSTEM_CHECK_COUNT (sizeof system_checks / sizeof system_checks[0])

/* A text cut to its buffer may end within a character: that part of it goes. */
static void drop_cut_character(char *text)
{
    size_t len = strlen(text), tail = 0;
    while (tail < 3 && tail < len && ((unsigned char)text[len - 1 - tail] & 0xc0) == 0x80)
        tail++;
    if (tail == len)
        return;
    unsigned char first = (unsigned char)text[len - 1 - tail];
    size_t wanted = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    if (tail < wanted)
        text[len - 1 - tail] = '\0';
}

/* Returns the exit status. */
static int fail(const struct subject *subject, const char *name, char *reason)
{
    drop_cut_character(reason);
    log_write(LOG_ERROR, NULL, "Fitness check failed: %s | %s", name, reason);
    heartbeat_report_unhealthy(subject->config, subject->net, name, reason);
    log_write(LOG_ERROR, NULL, "Worker is unhealthy, exiting.");
    return EXIT_UNFIT;
}

static void note_pass(const char *name)
{
    log_write(LOG_DEBUG, NULL, "Fitness check passed: %s", name);
}

static int run_linked_checks(const struct subject *subject, const rp_config *program)
{
    for (size_t i = 0; i < program->check_count; i++) {
        char reason[LIMIT_REASON_BYTES] = "";
        if (program->checks[i].run(reason, sizeof reason, program->user) != 0)
            return fail(subject, program->checks[i].name, reason);
        note_pass(program->checks[i].name);
    }
    return 0;
}

/* --fitness: a check in any language. */
static struct child_setting fitness_program;

int fitness_prepare(const struct config *config, struct err *err)
{
    if (config->fitness.program == NULL)
        return 0;
    fitness_program = (struct child_setting){
        .pass_api_key = config->handler.pass_api_key,
        .one_output = true,
    };
    return command_prepare(&fitness_program.command, config->fitness.program, "--fitness", err);
}

static int run_program_check(const struct subject *subject)
{
    struct err err = { 0 };
    char reason[LIMIT_REASON_BYTES] = "";
    if (subject->config->fitness.program == NULL)
        return 0;
    int rc = child_check(&fitness_program, subject->config->fitness.program_timeout_ms, reason,
                         sizeof reason, &err);
    if (rc > 0)
        return fail(subject, "fitness", reason);
    if (rc == ERR_CANCELLED)
        return EXIT_UNFIT; /* not judged: the worker is ending */
    if (rc < 0) {
        log_write(LOG_ERROR, NULL, "--fitness: %s", err.text);
        return EXIT_CONFIG;
    }
    note_pass("fitness");
    return 0;
}

static int run_system_checks(const struct subject *subject)
{
    for (size_t i = 0; i < SYSTEM_CHECK_COUNT; i++) {
        char reason[LIMIT_REASON_BYTES] = "";
        if (!system_checks[i].run(subject, reason))
            return fail(subject, system_checks[i].name, reason);
        note_pass(system_checks[i].name);
    }
    return 0;
}

/* Those of programs that are linked with the GPU. */
static int run_gpu_checks(const struct subject *subject, const rp_config *program)
{
    static struct gpu_verdict verdict;
    if (program->gpu == NULL || subject->config->gpu.skip_check)
        return 0;
    program->gpu->check(subject->config, program->gpu_required, &verdict);
    if (verdict.fit)
        return 0;
    int status = fail(subject, verdict.name, verdict.reason);
    if (verdict.hangs)
        _exit(status); /* exit would wait for the driver's destructors, and they for the driver */
    return status;
}

int fitness_run(const struct config *config, const struct http_net *net, const rp_config *program)
{
    const struct subject subject = { config, net };
    int status = run_linked_checks(&subject, program);
    if (status == 0)
        status = run_program_check(&subject);
    if (status != 0 || config->fitness.skip)
        return status;
    status = run_system_checks(&subject);
    return status == 0 ? run_gpu_checks(&subject, program) : status;
}
