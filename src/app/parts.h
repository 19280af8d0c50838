/*
 * app/parts.h - the parts that a program may be linked without. Each is a table of functions, to
 * which only rp_config refers: what a program does not name, the linker leaves out. The functions
 * are those of the headers below, which say what they do. The GPU's part: gpu/part.h.
 */
#ifndef APP_PARTS_H
#define APP_PARTS_H

#include "app/metrics.h"
#include "config/config.h"
#include "http/client.h"
#include "job/handler.h"
#include "job/source.h"
#include "source/endpoint.h"
#include "worker.h"

/* A program as the handler, the linked one in a process of its own, --fitness. */
struct rp_programs_part {
    bool (*is_child)(void); /* linked/isolated_main.h */
    int (*run_child)(const struct config *config, const rp_config *handlers);

    /*
     * Makes the handler that the flags ask for. config, argv and handler must outlive the worker.
     * ERR_CONFIG names the flag; ERR_INPUT for a model that is not on this machine; ERR_MEMORY.
     */
    int (*choose)(const struct config *config, char **argv, struct handler *handler,
                  struct err *err);

    /*
     * Finds the program of --fitness, and looks at the names of --fitness-model. Once, before there
     * are threads. ERR_CONFIG; ERR_INPUT for a model in the words that is not on this machine.
     */
    int (*prepare_fitness)(const struct config *config, struct err *err);

    /* Those of --fitness-model, in the cache. ERR_INPUT naming the first that is not there. */
    int (*find_models)(const struct config *config, struct err *err);

    /* Runs it. Blocks. As child_check (child/check.h). */
    int (*check_fitness)(const struct config *config, char *reason, size_t size, struct err *err);

    bool (*unfit_reason)(const char **name, char *reason, size_t size); /* child/report.h */
    int (*begin_starter)(struct err *err); /* process_begin_starter (process/process.h) */
    void (*end)(int64_t grace_ms);         /* process_finish */
};

/* An HTTP server as the handler: upstream/handler.h. */
struct rp_servers_part {
    int (*choose_concurrency)(struct config *config, struct err *err);
    int (*choose)(struct handler *handler, const struct config *config, struct err *err);
    int (*pass)(struct source **source, const struct config *config, const struct handler *handler,
                const struct wake *wake, struct err *err);
    bool (*unfit_reason)(const char **name, char *reason, size_t size); /* child/report.h */
    int (*begin_starter)(struct err *err); /* process_begin_starter (process/process.h) */
    void (*end)(int64_t grace_ms);         /* process_finish */
};

/* Requests straight to the worker: source/realtime.h, app/metrics.h. */
struct rp_realtime_part {
    int (*realtime)(struct source **source, const struct config *config, size_t slots,
                    const struct wake *wake, const struct endpoint_beside *api, struct err *err);
    int (*serve)(struct source **source, const struct config *config, size_t slots,
                 const struct wake *wake, struct err *err);
    int (*serve_metrics)(struct metrics *metrics, const struct config *config, struct err *err);
};

/* The job API that the worker serves: source/endpoint.h. */
struct rp_job_api_part {
    int (*serve)(struct source **source, const struct config *config, const struct http_net *net,
                 size_t slots, struct err *err);
    const struct endpoint_beside *beside; /* for realtime mode */
};

/* The cache on a volume and uploads of large results: app/cache.h, api/large.h. */
struct rp_storage_part {
    int (*check)(const struct config *config, struct err *err);
    bool (*restore)(const struct config *config, const struct wake *stop);
    void (*save)(const struct config *config);
    void (*wait)(int wait_s);
    void (*finish)(struct rp_job *job);
};

/* What the program may do: audit/audit.h; and that it does nothing else: audit/confine.h. */
struct rp_audit_part {
    int (*print)(const struct config *config, const rp_config *program, const char *format,
                 struct err *err);
    int (*confine_check)(const struct config *config, const rp_config *program, struct err *err);
    int (*confine)(const struct config *config, const rp_config *program, struct err *err);
    void (*confine_tell)(void);
};

/* Those of enum config_part that the program does not name. */
unsigned parts_absent(const rp_config *program);

#endif
