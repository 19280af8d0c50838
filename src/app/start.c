/* rp_start: from the command line and the environment to a running worker. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/worker.h"
#include "base/version.h"
#include "job/child.h"
#include "job/child_side.h"

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

static int prepare_child(const struct config *config, char **argv, struct child_setting *child,
                         struct err *err)
{
    *child = (struct child_setting){
        .program = config->handler_program,
        .mode = config->handler_once ? CHILD_ONCE : CHILD_LINES,
        .ready = config->handler_ready,
        .pass_api_key = config->pass_api_key,
        .execution_timeout_ms = config->execution_timeout_ms,
        .ready_timeout_ms = config->ready_timeout_ms,
        .kill_grace_ms = config->kill_grace_ms,
        .output_max_bytes = config->result_max_bytes,
    };
    if (child->program != NULL)
        return child_prepare(child, err);
    return config->isolate ? child_prepare_isolated(child, argv, err) : 0;
}

int rp_start(int argc, char **argv, const rp_config *handlers)
{
    /* Threads refer to these until the process ends. */
    static struct config config;
    static struct http_net net;
    static struct child_setting child;
    struct err err = { 0 };
    enum cli_action action = CLI_RUN;
    int rc = config_from_environment(&config, &err);
    if (rc == 0)
        rc = cli_parse(argc, argv, &config, &action, &err);
    if (rc == 0 && action == CLI_DONE)
        return 0;
    if (rc == 0)
        rc = config_check(&config, &err);
    if (rc == 0 && child_side_wanted())
        return child_side_run(&config, handlers);
    if (rc == 0)
        rc = prepare_child(&config, argv, &child, &err);
    if (rc == 0 && handlers->handler == NULL)
        rc = err_set(&err, ERR_CONFIG, "rp_config.handler is not set");
    if (rc != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    prepare_signals();
    protect_secrets(&config);
    log_init(config.log_level, config.log_json_lines);
    greet();
    if (!config_is_local(&config) && make_net(&config, &net, &err) != 0)
        return fail(&err, EXIT_STATUS_USAGE);
    int status = worker_run(&config, &net, handlers, &child, &err);
    child_end_all(&child);
    return err.code != 0 && status != 0 ? fail(&err, EXIT_STATUS_FAILED) : status;
}
