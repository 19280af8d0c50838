/* rp_start: from the command line and the environment to a running worker. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/loop.h"
#include "base/limits.h"
#include "base/version.h"
#include "job/environment.h"
#include "job/linked.h"

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

int rp_start(int argc, char **argv, const rp_config *program)
{
    /* Threads refer to these until the process ends. */
    static struct config config;
    static struct http_net net;
    static pthread_mutex_t setup_lock = PTHREAD_MUTEX_INITIALIZER;
    static bool is_set_up;
    static struct linked_setting linked;
    static struct handler handler;
    struct err err = { 0 };
    enum cli_action action = CLI_RUN;
    int rc = config_from_environment(&config, &err);
    if (rc == 0)
        rc = cli_parse(argc, argv, &config, &action, &err);
    if (rc == 0 && action == CLI_DONE)
        return 0;
    if (rc == 0)
        rc = config_check(&config, &err);
    if (rc == 0 && program->handler == NULL)
        rc = err_set(&err, ERR_CONFIG, "rp_config.handler is not set");
    if (rc != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    add_program(&config, program);
    prepare_signals();
    protect_secrets(&config);
    log_init(config.log_level, config.log_json_lines);
    log_hide(config.api_key);
    greet();
    if (!config_is_local(&config) && make_net(&config, &net, &err) != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    linked = (struct linked_setting){ program, &setup_lock, &is_set_up };
    handler = (struct handler){ &linked_ops, &linked };
    int status = worker_run(&config, &net, program, &handler, &err);
    return err.code != 0 && status != 0 ? fail(&err, EXIT_STATUS_FAILED) : status;
}
