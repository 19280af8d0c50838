/* rp_start: from the command line and the environment to a running worker. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/fitness.h"
#include "app/loop.h"
#include "base/limits.h"
#include "base/version.h"
#include "job/child.h"
#include "job/child_side.h"
#include "job/environment.h"
#include "job/gpu_part.h"
#include "job/http_handler.h"
#include "job/linked.h"
#include "job/process.h"

_Static_assert((int)RP_TRACE == (int)LOG_TRACE && (int)RP_ERROR == (int)LOG_ERROR,
               "a handler's log levels are the log's");

enum { EXIT_STATUS_FAILED = 1, EXIT_STATUS_USAGE = 2 };

static int fail(const struct err *err, int status)
{
    dprintf(STDERR_FILENO, "worker: %s\n", err->text);
    return status;
}

/*
 * Signals are waited for by main alone, so they are blocked before there is any other thread; a
 * closed connection or log is told by the call that meets it, not by a signal.
 */
static void prepare_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD); /* for job/child_watch.c */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* The key is in this process's memory: no core dump may hold it, no other user may look. */
static void protect_secrets(const struct config *config)
{
    if (config->api_key.len > 0)
        prctl(PR_SET_DUMPABLE, 0);
}

static void greet(void)
{
    static const char line[] = "--- Starting Serverless Worker |  Version " WORKER_VERSION " ---\n";
    ssize_t written = write(STDOUT_FILENO, line, sizeof line - 1);
    (void)written;
}

static int make_net(const struct config *config, struct http_net *net, struct err *err)
{
    net->proxy = config->proxy;
    return tls_context_new(&net->tls, config->ca_file, err);
}

/* What the program says, where neither a flag nor a variable says otherwise. */
static void add_program(struct config *config, const rp_config *program)
{
    if (config_is_realtime(config) && config->realtime_concurrency != 0)
        config->concurrency = config->realtime_concurrency;
    if (config->concurrency == 0)
        config->concurrency = program->concurrency > 0 ? program->concurrency : 1;
    if (config->concurrency > LIMIT_CONCURRENCY)
        config->concurrency = LIMIT_CONCURRENCY;
    config->stream |= program->stream;
    config->aggregate_stream |= program->aggregate_stream || config_is_realtime(config);
    config->refresh_worker |= program->refresh_worker;
}

/* This process is the child of --isolate: parts of a stream are gathered by the worker. */
static int run_child_side(struct config *config, const rp_config *program)
{
    config->aggregate_stream = false;
    return child_side_run(config, program);
}

/* A program, or the linked function in a process of its own. */
static int choose_child(const struct config *config, char **argv, struct child_setting *child,
                        struct err *err)
{
    const char *program = config->handler.program;
    bool once = config->handler.once != NULL;
    if (once && program != NULL)
        return err_set(err, ERR_CONFIG, "--handler and --handler-once are both given");
    if (config->handler.ready != NULL && strcmp(config->handler.ready, "line") != 0)
        return err_set(err, ERR_CONFIG, "--handler-ready is \"%.64s\"; it must be line",
                       config->handler.ready);
    *child = (struct child_setting){
        .program = once ? config->handler.once : program,
        .mode = once ? CHILD_ONCE : CHILD_LINES,
        .ready = config->handler.ready != NULL,
        .pass_api_key = config->handler.pass_api_key,
        .ready_timeout_ms = config->handler.ready_timeout_ms,
        .kill_grace_ms = config->handler.kill_grace_ms,
        .max_deaths = (unsigned)config->handler.deaths,
        .output_max_bytes = (size_t)config->result_max_bytes,
    };
    return child->program != NULL ? child_prepare(child, err)
                                  : child_prepare_isolated(child, argv, err);
}

/* A server, which may be a program's. */
static int choose_http(const struct config *config, struct http_setting *http, struct err *err)
{
    int rc = http_setting_init(http, config, err);
    http->child = (struct child_setting){
        .program = config->handler.program,
        .pass_api_key = config->handler.pass_api_key,
        .kill_grace_ms = config->handler.kill_grace_ms,
        .max_deaths = (unsigned)config->handler.deaths,
    };
    return rc == 0 && http->child.program != NULL ? child_prepare(&http->child, err) : rc;
}

/* The handler that was asked for. */
static int choose_handler(const struct config *config, const rp_config *program, char **argv,
                          struct handler *handler, struct err *err)
{
    static struct child_setting child;
    static struct http_setting http;
    static struct linked_setting linked;
    static pthread_mutex_t setup_lock = PTHREAD_MUTEX_INITIALIZER;
    static bool is_set_up;
    /* A mistyped flag must not pass for none, where there is no program's own code to know it. */
    if (program->handler == NULL && config->unknown_argument != NULL)
        return err_set(err, ERR_CONFIG, "%.64s is no flag of this worker; --help lists them",
                       config->unknown_argument);
    if (config->handler.http != NULL) {
        *handler = (struct handler){ .ops = &http_ops, .setting = &http };
        return choose_http(config, &http, err);
    }
    bool has_program = config->handler.program != NULL || config->handler.once != NULL;
    if (!has_program && program->handler == NULL)
        return err_set(err, ERR_CONFIG,
                       "no handler is given: --handler PROGRAM, --handler-once PROGRAM or "
                       "--handler-http URL (a program of your own sets rp_config.handler)");
    if (has_program || config->handler.isolate) {
        *handler = (struct handler){ &child_ops, &child, true };
        return choose_child(config, argv, &child, err);
    }
    linked = (struct linked_setting){ program, &setup_lock, &is_set_up };
    *handler = (struct handler){ &linked_ops, &linked, false };
    return 0;
}

/* Exit status: 0 with devices; 1, 3 or 4 as the option's help says; 2 in a program without. */
static int print_gpu_info(const struct config *config, const rp_config *program)
{
    log_init(LOG_NOTSET, false); /* standard output is for the answer alone */
    if (program->gpu != NULL)
        return program->gpu->info(config);
    dprintf(STDERR_FILENO, "worker: --gpu-info: this program does not use a GPU "
                           "(rp_config.gpu is not set); build/worker-gpu does\n");
    return EXIT_STATUS_USAGE;
}

int rp_start(int argc, char **argv, const rp_config *program)
{
    /* Threads refer to these until the process ends. */
    static struct config config;
    static struct http_net net;
    static struct handler handler;
    struct err err = { 0 };
    enum cli_action action = CLI_RUN;
    int rc = config_from_environment(&config, &err);
    if (rc == 0)
        rc = cli_parse(argc, argv, &config, &action, &err);
    if (rc == 0 && action == CLI_DONE)
        return 0;
    if (rc == 0 && config.gpu.info)
        return print_gpu_info(&config, program);
    if (rc == 0)
        rc = config_check(&config, &err);
    if (rc == 0)
        add_program(&config, program);
    if (rc == 0 && child_side_wanted())
        return run_child_side(&config, program);
    if (rc == 0)
        rc = choose_handler(&config, program, argv, &handler, &err);
    if (rc == 0)
        rc = fitness_prepare(&config, &err);
    if (rc != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    if (program->gpu != NULL)
        program->gpu->begin(&config);
    prepare_signals();
    protect_secrets(&config);
    log_init(config.log_level, config.log_json_lines);
    log_hide(config.api_key);
    greet();
    if (!config_is_local(&config) && make_net(&config, &net, &err) != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    int status = worker_run(&config, &net, program, &handler, &err);
    if (handler.ops != &linked_ops || config.fitness.program != NULL) {
        process_end_all(config.handler.kill_grace_ms);
        process_reap_all();
    }
    return err.code != 0 && status != 0 ? fail(&err, EXIT_STATUS_FAILED) : status;
}
