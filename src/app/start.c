/* rp_start: from the command line and the environment to a running worker. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/fitness.h"
#include "app/loop.h"
#include "app/parts.h"
#include "app/sbom.h"
#include "base/crash.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/signals.h"
#include "base/text.h"
#include "base/version.h"
#include "config/command_line.h"
#include "config/environment.h"
#include "config/options.h"
#include "config/secrets.h"
#include "gpu/part.h"
#include "linked/linked.h"
#include "process/process.h"
#include "source/result_store.h"

_Static_assert((int)RP_TRACE == (int)LOG_TRACE && (int)RP_ERROR == (int)LOG_ERROR,
               "a handler's log levels are the log's");

enum { EXIT_STATUS_FAILED = 1, EXIT_STATUS_USAGE = 2 };

/* Standard error may be the log's pipe, whose reader may stand still: then nobody would read it. */
static int fail(struct err *err, int status)
{
    struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
    char line[sizeof "worker: \n" + ERR_TEXT_BYTES];
    struct text text = TEXT_OVER(line);
    log_flush(LIMIT_LOG_FLUSH_MS);
    log_mask(err->text, strlen(err->text));
    text_add(&text, "worker: %s\n", err->text);
    if (poll(&out, 1, LIMIT_LOG_FLUSH_MS) > 0)
        (void)io_write_all(STDERR_FILENO, (slice){ text.at, text.len });
    return status;
}

/*
 * Of the standard streams, those that were closed at the start: the next descriptor to be opened
 * would take such a place, and the log would be written into it. In an image without /dev/null, a
 * descriptor that can be neither read nor written.
 */
static void open_missing_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0)
            open("/", O_PATH);
}

/*
 * main alone waits for signals, so they are blocked before there are other threads. A closed
 * connection or log is an error of the call that finds it, not a signal.
 */
static void prepare_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD); /* for child/watch.c */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    signals_wait_here(&signals);
    signal(SIGPIPE, SIG_IGN);
}

/* An image without a shell has nowhere else to raise the limit. */
static void allow_core_dump(void)
{
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) != 0)
        return;
    core.rlim_cur = core.rlim_max;
    prlimit(0, RLIMIT_CORE, &core, NULL); /* setrlimit brings a call on all threads: 1 KB */
}

/* The API key or a token is in memory: no core dump, no access for other processes of the user. */
static void protect_secrets(const struct config *config)
{
    if (config->allow_debugger)
        allow_core_dump();
    else if (config_secret(config).len > 0 || config->realtime_token.len > 0)
        prctl(PR_SET_DUMPABLE, 0);
}

static void warn_of_debugger(const struct config *config)
{
    if (config->allow_debugger && config->api_key.len > 0)
        log_text(LOG_WARN, NULL,
                 SLICE_LITERAL("RP_ALLOW_DEBUGGER is set: a core dump or a debugger can read the "
                               "API key. Unset it when you have finished debugging."));
}

static void warn_of_small_stack(const rp_config *program)
{
    size_t bytes = config_stack_bytes(program);
    if (program->stack_bytes != 0 && program->stack_bytes < bytes)
        log_write(LOG_WARN, NULL,
                  "rp_config.stack_bytes is %zu, which is too small for TLS%s; the handler's stack "
                  "has %zu bytes.",
                  program->stack_bytes, program->gpu != NULL ? " or a GPU driver" : "", bytes);
}

static void greet(void)
{
    static const char line[] = "--- Starting Serverless Worker |  Version " WORKER_VERSION " ---\n";
    log_banner((slice){ line, sizeof line - 1 });
}

static int make_net(const struct config *config, struct http_net *net, struct err *err)
{
    net->proxy = config->proxy;
    return tls_context_new(&net->tls, config->ca_file, err);
}

/* The platform's own limit, where it is set, is the one for programs and servers. */
static void choose_ready_timeout(struct config *config)
{
    if (config->handler.init_timeout_ms > 0)
        config->handler.ready_timeout_ms = config->handler.init_timeout_ms;
}

/* What is uploaded may be larger than what the platform takes. */
static void choose_result_limit(struct config *config)
{
    const char *chosen = getenv("RP_MAX_RESULT_MB");
    if (config->upload_above_kb > 0 && (chosen == NULL || chosen[0] == '\0'))
        config->result_max_bytes = LIMIT_RESULT_UPLOADED_MB * 1000000;
}

/* The program's settings, where neither a flag nor a variable overrides them. */
static void add_program(struct config *config, const rp_config *program)
{
    if (config_is_realtime(config) && config->realtime_concurrency != 0)
        config->concurrency = config->realtime_concurrency;
    if (config_is_endpoint(config) && config->api.concurrency != 0)
        config->concurrency = config->api.concurrency;
    if (config->concurrency == 0 && config->handler.jobs > 1)
        config->concurrency = config->handler.jobs;
    if (config->concurrency == 0)
        config->concurrency = program->concurrency > 0 ? program->concurrency : 1;
    if (config->concurrency > LIMIT_CONCURRENCY)
        config->concurrency = LIMIT_CONCURRENCY;
    config->stream |= program->stream;
    bool answers = !config_is_polling(config) && !config_is_local(config);
    config->aggregate_stream |= program->aggregate_stream || answers;
    config->refresh_worker |= program->refresh_worker;
}

/* This process is the child of --isolate; the worker aggregates the parts of a stream. */
static int run_child_side(struct config *config, const rp_config *program)
{
    struct err err = { 0 };
    bool has_driver = program->gpu != NULL; /* which does whatever it needs */
    int rc = has_driver || program->audit == NULL
                 ? 0
                 : program->audit->confine_check(config, program, &err);
    if (rc > 0)
        rc = program->audit->confine(config, program, &err);
    if (rc != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    config->aggregate_stream = false;
    return program->programs->run_child(config, program);
}

/* The handler is the program's own function, in this process. */
static void choose_linked(const rp_config *program, struct handler *handler)
{
    static struct linked_setting linked;
    static pthread_mutex_t setup_lock = PTHREAD_MUTEX_INITIALIZER;
    static bool is_set_up;
    linked = (struct linked_setting){ program, &setup_lock, &is_set_up };
    *handler = (struct handler){ .ops = &linked_ops, .setting = &linked };
}

/* The stock worker has no code of its own that could know the flag: it is a mistake. */
static int check_arguments(const struct config *config, const rp_config *program, struct err *err)
{
    return program->handler != NULL || config->unknown_argument == NULL
               ? 0
               : err_set(err, ERR_CONFIG, "unknown argument %.64s; --help all lists the flags",
                         config->unknown_argument);
}

/* Chooses the handler by flags, variables and program. */
static int choose_handler(const struct config *config, const rp_config *program, char **argv,
                          struct handler *handler, struct err *err)
{
    if (config->handler.jobs > 1 && config->handler.program == NULL)
        return err_set(
            err, ERR_CONFIG,
            "--handler-jobs needs a program that gets one job per line: --handler PROGRAM");
    if (config->handler.http != NULL)
        return program->servers->choose(handler, config, err);
    if (config->handler.concurrency_path != NULL)
        return err_set(err, ERR_CONFIG,
                       "--handler-concurrency-path is a path on --handler-http's server; a program "
                       "prints {\"concurrency\": N}");
    bool has_program = config->handler.program != NULL || config->handler.once != NULL;
    if (!has_program && program->handler == NULL)
        return err_set(err, ERR_CONFIG,
                       "no handler: set --handler PROGRAM, --handler-once PROGRAM or "
                       "--handler-http URL (in a program of your own: rp_config.handler)");
    if (!has_program && !config->handler.isolate && !config->watch)
        choose_linked(program, handler);
    else if (program->programs != NULL)
        return program->programs->choose(config, argv, handler, err);
    else
        return option_refuse(has_program ? "--handler without --handler-http" : "--watch",
                             PART_PROGRAMS, err);
    return 0;
}

/* Returns the exit status: as --help gpu says. */
static int print_gpu_info(const struct config *config, const rp_config *program)
{
    log_init(LOG_NOTSET, false); /* standard output is for the information alone */
    return program->gpu->info(config);
}

static int print_audit(const struct config *config, const rp_config *program, struct err *err)
{
    int rc = program->audit->print(config, program, config->audit, err);
    return rc == 0 ? 0 : fail(err, EXIT_STATUS_USAGE);
}

/* A handler of another process brings its own driver: the check must leave none in this one. */
static void begin_gpu(const struct config *config, const rp_config *program,
                      const struct handler *handler)
{
    program->gpu->begin(config);
    bool checks = !config_is_local(config) && !config_is_realtime(config) &&
                  !config_is_serving(config) && !config->fitness.skip && !config->gpu.skip_check;
    if (checks && handler->ops != &linked_ops)
        program->gpu->prepare_check();
}

static void flush_log(void)
{
    log_flush(LIMIT_LOG_FLUSH_MS);
}

/*
 * --confine. Programs get what this process could do before: they are started by threads that are
 * not held to the list.
 */
static int confine_process(const struct config *config, const rp_config *program, struct err *err)
{
    bool has_check = config->fitness.program != NULL && config_is_polling(config);
    bool has_programs = program->programs != NULL && (config_starts_programs(config) || has_check);
    bool has_server = program->servers != NULL && config->handler.program != NULL;
    int rc = program->audit != NULL ? program->audit->confine_check(config, program, err) : 0;
    if (rc <= 0)
        return rc;
    rc = has_programs ? program->programs->begin_starter(err)
         : has_server ? program->servers->begin_starter(err)
                      : 0;
    return rc == 0 ? program->audit->confine(config, program, err) : rc;
}

static void tell_confined(const rp_config *program)
{
    if (program->audit != NULL)
        program->audit->confine_tell();
}

/* A local test waits for the reader of its log: its result is not to be dropped. */
static void prepare_log(const struct config *config)
{
    log_init(config->log_level, config->log_json_lines);
    config_add_secrets(config);
    crash_install(config->log_json_lines);
    if (config_is_local(config))
        return;
    log_start_writer();
    atexit(flush_log);
}

/* A machine without the model that a command line asks for is not fit: the platform is told. */
static int report_missing_model(const struct config *config, const rp_config *program,
                                struct http_net *net, struct err *err)
{
    struct err trust;
    protect_secrets(config);
    if (confine_process(config, program, &trust) != 0)
        return fail(&trust, EXIT_STATUS_USAGE);
    prepare_log(config);
    greet();
    tell_confined(program);
    if (make_net(config, net, &trust) != 0)
        return fail(err, EXIT_STATUS_USAGE);
    return fitness_report(config, net, FITNESS_MODEL_CHECK, err->text);
}

/* What the environment, the command line and the files that these name ask for. */
static int read_config(int argc, char **argv, const rp_config *program, struct config *config,
                       enum command_line_action *action, struct err *err)
{
    config->absent_parts = parts_absent(program);
    int rc = config_from_environment(config, err);
    if (rc == 0)
        rc = command_line_parse(argc, argv, config, action, err);
    if (rc != 0 || *action == COMMAND_LINE_DONE || config->gpu.info || config->sbom)
        return rc;
    rc = config_read_files(config, err);
    if (rc == 0)
        rc = config_check(config, err);
    if (rc == 0 && config->handler.http != NULL)
        rc = program->servers->choose_concurrency(config, err);
    return rc;
}

static void complete_config(struct config *config, const rp_config *program)
{
    choose_ready_timeout(config);
    choose_result_limit(config);
    add_program(config, program);
}

/* What can be found wrong before anything is started. */
static int check_parts(struct config *config, const rp_config *program, char **argv,
                       struct handler *handler, struct err *err)
{
    prepare_signals(); /* a signal from here on is handled as soon as main waits for it */
    int rc = choose_handler(config, program, argv, handler, err);
    if (config->upload_above_kb > 0)
        handler->finish = program->storage->finish;
    if (rc == 0 && program->programs != NULL)
        rc = program->programs->prepare_fitness(config, err);
    if (rc == 0 && program->storage != NULL)
        rc = program->storage->check(config, err);
    if (rc == 0 && config->result_dir != NULL && !config_is_local(config))
        rc = result_store_check(config->result_dir, err);
    return rc;
}

static int prepare_process(const struct config *config, const rp_config *program,
                           const struct handler *handler, struct err *err)
{
    if (program->gpu != NULL)
        begin_gpu(config, program, handler);
    protect_secrets(config);
    process_raise_descriptor_limit();
    int rc = confine_process(config, program, err);
    if (rc != 0)
        return rc;
    prepare_log(config);
    if (config->test_result == NULL || strcmp(config->test_result, "-") != 0)
        greet();
    warn_of_debugger(config);
    warn_of_small_stack(program);
    tell_confined(program);
    return 0;
}

/* After worker_run: what it has started ends. */
static void end_process(const struct config *config, const rp_config *program,
                        const struct handler *handler, int status)
{
    if (program->gpu != NULL)
        program->gpu->end();
    if (program->storage != NULL)
        program->storage->wait(status == 0 || config_is_local(config) ? LIMIT_CACHE_EXIT_S : 0);
    if (handler->ops == &linked_ops && config->fitness.program == NULL)
        return;
    if (config->handler.http != NULL)
        program->servers->end(config->handler.kill_grace_ms);
    else
        program->programs->end(config->handler.kill_grace_ms);
}

/*
 * A setup that has not returned still runs, for ever perhaps: exit would call the destructors of a
 * driver, and take the locks of stdio, which it may hold.
 */
static void leave_setup(int status)
{
    if (!linked_is_setting_up())
        return;
    log_flush(LIMIT_LOG_FLUSH_MS);
    _exit(status);
}

int rp_start(int argc, char **argv, const rp_config *given)
{
    /* Static, as threads use them until the process exits, also once main's stack is gone. */
    static rp_config own;
    const rp_config *program = memcpy(&own, given, sizeof own);
    static struct config config;
    static struct http_net net;
    static struct handler handler;
    struct err err = { 0 };
    enum command_line_action action = COMMAND_LINE_RUN;
    open_missing_streams();
    if (read_config(argc, argv, program, &config, &action, &err) != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    if (action == COMMAND_LINE_DONE)
        return 0;
    if (check_arguments(&config, program, &err) != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    if (config.gpu.info)
        return print_gpu_info(&config, program);
    if (config.sbom)
        return sbom_print(&err) == 0 ? 0 : fail(&err, EXIT_STATUS_FAILED);
    complete_config(&config, program);
    if (config.audit != NULL)
        return print_audit(&config, program, &err);
    if (program->programs != NULL && program->programs->is_child())
        return run_child_side(&config, program);
    int rc = check_parts(&config, program, argv, &handler, &err);
    if (rc == ERR_INPUT && config_is_polling(&config))
        return report_missing_model(&config, program, &net, &err);
    if (rc != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    if (prepare_process(&config, program, &handler, &err) != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    if (!config_is_local(&config) && make_net(&config, &net, &err) != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    int status = worker_run(&config, &net, program, &handler, &err);
    end_process(&config, program, &handler, status);
    leave_setup(status);
    return err.code != 0 && status != 0 ? fail(&err, EXIT_STATUS_FAILED) : status;
}
