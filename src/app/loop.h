/*
 * app/loop.h - the worker's loop: one thread takes jobs, slots run them and post their results,
 * main waits for signals.
 */
#ifndef APP_LOOP_H
#define APP_LOOP_H

#include "base/err.h"
#include "config/config.h"
#include "http/client.h"
#include "job/handler.h"
#include "worker.h"

/*
 * Runs the worker until its source ends, a signal or a refresh ends it, or setup fails. Blocks.
 * SIGTERM and SIGINT must have been blocked before other threads were started. Nothing is copied:
 * threads still use it all until the process exits, which the caller must do next. Returns the
 * exit status of the process; 1 with *err set if the worker could not start.
 */
int worker_run(const struct config *config, const struct http_net *net, const rp_config *program,
               const struct handler *handler, struct err *err);

#endif
