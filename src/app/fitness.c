#include "app/fitness.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/heartbeat.h"
#include "app/memory.h"
#include "app/parts.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/utf8.h"
#include "codec/backoff.h"
#include "codec/byte_class.h"
#include "codec/url.h"
#include "files/model_cache.h"
#include "gpu/part.h"
#include "net/tcp.h"

enum { EXIT_UNFIT = 1, EXIT_CONFIG = 2 };

/* What the checks use. */
struct check_context {
    const struct config *config;
    const struct http_net *net;
    const struct wake *wake;
};

#define GIB (1024.0 * 1024.0 * 1024.0)

static bool check_memory(const struct check_context *context, char *reason)
{
    int64_t least = context->config->fitness.min_memory_milli_gib;
    const struct memory_state memory = memory_read("");
    if (memory.available_bytes < 0) {
        log_write(LOG_WARN, NULL, "The memory check is skipped: /proc/meminfo cannot be read.");
        return true;
    }
    if (memory.available_bytes / 1024 * 1000 / (1024 * 1024) >= least)
        return true;
    struct text text = text_over(reason, LIMIT_REASON_BYTES);
    text_add(&text, "Insufficient memory: %.2f GiB available",
             (double)memory.available_bytes / GIB);
    if (memory.limit_bytes >= 0)
        text_add(&text, " of the container's limit of %.2f", (double)memory.limit_bytes / GIB);
    text_add(&text, ", %.2f required (RUNPOD_MIN_MEMORY_GB)", (double)least / 1000);
    return false;
}

static bool check_disk(const struct check_context *context, char *reason)
{
    int64_t least = context->config->fitness.min_disk_milli_percent;
    struct statvfs disk;
    if (statvfs("/", &disk) != 0 || disk.f_blocks == 0) {
        log_write(LOG_WARN, NULL, "The disk check is skipped: the size of / is unknown.");
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

static bool check_network(const struct check_context *context, char *reason)
{
    struct url url, proxy;
    struct err err = { 0 };
    struct transport *stream;
    if (url_parse(context->config->take_url, &url, &err) != 0)
        return true; /* was checked at the start */
    if (proxy_for(&context->net->proxy, &url, &proxy))
        url = proxy;
    deadline_ms deadline = clock_deadline(context->config->fitness.network_timeout_ms);
    struct backoff backoff = { .first_ms = LIMIT_RETRY_FIRST_MS,
                               .longest_ms = LIMIT_RETRY_FIRST_MS };
    do {
        if (tcp_connect(&stream, url.host, url.port, NULL, &context->wake, deadline, &err) == 0) {
            stream->ops->close(stream);
            return true;
        }
        deadline_ms next = clock_deadline(backoff_next_ms(&backoff, random_u32()));
        if (wake_wait(context->wake, clock_earlier(deadline, next)))
            return true; /* no verdict */
    } while (clock_left_ms(deadline) > 0);
    snprintf(reason, LIMIT_REASON_BYTES, "Network connectivity failed: %.200s", err.text);
    return false;
}

static const struct system_check {
    const char *name;
    bool (*run)(const struct check_context *context, char *reason);
} system_checks[] = {
    { "memory_check", check_memory },
    { "disk_check", check_disk },
    { "network_check", check_network },
};
#define SYSTEM_CHECK_COUNT (sizeof system_checks / sizeof system_checks[0])

/* Returns the exit status. */
static int fail(const struct check_context *context, const char *name, char *reason)
{
    log_mask(reason, strlen(reason));
    reason[utf8_whole(slice_from(reason)).len] = '\0'; /* it may have been cut within a character */
    log_write(LOG_ERROR, NULL, "Fitness check failed: %s | %s", name, reason);
    heartbeat_report_unhealthy(context->config, context->net, name, reason);
    log_write(LOG_ERROR, NULL, "Worker is unhealthy, exiting.");
    return EXIT_UNFIT;
}

static void note_pass(const char *name)
{
    log_write(LOG_DEBUG, NULL, "Fitness check passed: %s", name);
}

static int run_linked_checks(const struct check_context *context, const rp_config *program)
{
    for (size_t i = 0; i < program->check_count; i++) {
        char reason[LIMIT_REASON_BYTES] = "";
        if (program->checks[i].run(reason, sizeof reason, program->user) != 0)
            return fail(context, program->checks[i].name, reason);
        note_pass(program->checks[i].name);
    }
    return 0;
}

/* --fitness: a check that is a program. */
static int run_program_check(const struct check_context *context, const rp_config *program)
{
    struct err err = { 0 };
    char reason[LIMIT_REASON_BYTES] = "";
    if (context->config->fitness.program == NULL)
        return 0;
    int rc = program->programs->check_fitness(context->config, reason, sizeof reason, &err);
    if (rc > 0)
        return fail(context, "fitness", reason);
    if (rc == ERR_CANCELLED)
        return EXIT_UNFIT; /* the worker is ending: no verdict */
    if (rc < 0) {
        log_write(LOG_ERROR, NULL, "--fitness: %s", err.text);
        return EXIT_CONFIG;
    }
    note_pass("fitness");
    return 0;
}

/* What the handler's program has found itself, before it was ready. */
static int run_reported_check(const struct check_context *context, const rp_config *program)
{
    const char *name;
    char reason[LIMIT_REASON_BYTES];
    bool unfit = program->programs != NULL
                     ? program->programs->unfit_reason(&name, reason, sizeof reason)
                     : program->servers != NULL &&
                           program->servers->unfit_reason(&name, reason, sizeof reason);
    return unfit ? fail(context, name, reason) : 0;
}

static int run_system_checks(const struct check_context *context)
{
    for (size_t i = 0; i < SYSTEM_CHECK_COUNT; i++) {
        char reason[LIMIT_REASON_BYTES] = "";
        if (!system_checks[i].run(context, reason))
            return fail(context, system_checks[i].name, reason);
        if (wake_wait(context->wake, 0))
            return EXIT_UNFIT; /* the worker is ending: no verdict */
        note_pass(system_checks[i].name);
    }
    return 0;
}

static bool names_model(const char *words)
{
    return words != NULL &&
           memmem(words, strlen(words), MODEL_CACHE_WORD, strlen(MODEL_CACHE_WORD)) != NULL;
}

/* Those in the words of a command line have been found before, else it could not be started. */
static bool needs_model(const struct config *config)
{
    return config->fitness.models.count > 0 || names_model(config->handler.program) ||
           names_model(config->handler.once) || names_model(config->fitness.program);
}

static int run_model_check(const struct check_context *context, const rp_config *program)
{
    struct err err = { 0 };
    if (program->programs == NULL || !needs_model(context->config))
        return 0;
    if (program->programs->find_models(context->config, &err) != 0) {
        char reason[LIMIT_REASON_BYTES];
        snprintf(reason, sizeof reason, "%s (--fitness-model)", err.text);
        return fail(context, FITNESS_MODEL_CHECK, reason);
    }
    note_pass(FITNESS_MODEL_CHECK);
    return 0;
}

/* Only in programs that are linked with the GPU part. */
static int run_gpu_checks(const struct check_context *context, const rp_config *program)
{
    static struct gpu_check_result verdict;
    const struct config *config = context->config;
    if (program->gpu == NULL || config->fitness.skip || config->gpu.skip_check)
        return 0;
    program->gpu->check(config, program->gpu_required, &verdict);
    if (verdict.fit)
        return 0;
    int status = fail(context, verdict.name, verdict.reason);
    if (verdict.hangs) {
        log_flush(LIMIT_LOG_FLUSH_MS);
        _exit(status); /* exit would run the driver's destructors, which would hang too */
    }
    return status;
}

int fitness_check_machine(const struct config *config, const struct http_net *net,
                          const rp_config *program, const struct wake *wake)
{
    const struct check_context context = { config, net, wake };
    int status = config->fitness.skip ? 0 : run_system_checks(&context);
    if (status == 0)
        status = run_model_check(&context, program);
    return status == 0 ? run_gpu_checks(&context, program) : status;
}

int fitness_check_program(const struct config *config, const struct http_net *net,
                          const rp_config *program, const struct wake *wake)
{
    const struct check_context context = { config, net, wake };
    int status = run_linked_checks(&context, program);
    if (status == 0)
        status = run_reported_check(&context, program);
    return status == 0 ? run_program_check(&context, program) : status;
}

int fitness_report(const struct config *config, const struct http_net *net, const char *check,
                   const char *reason)
{
    const struct check_context context = { config, net, NULL };
    char text[LIMIT_REASON_BYTES];
    snprintf(text, sizeof text, "%s", reason);
    return fail(&context, check, text);
}
