/*
 * app/loop.h - the loop: one thread takes jobs, slots run them and post their results, main
 * waits for signals.
 */
#ifndef APP_LOOP_H
#define APP_LOOP_H

#include "base/err.h"
#include "job/config.h"
#include "job/handler.h"
#include "net/http.h"
#include "worker.h"

/*
 * Runs the worker until its source ends, a signal or a refresh ends it, or setup fails. Blocks.
 * SIGTERM and SIGINT must be blocked in the calling thread before there are others. Everything is
 * linked; threads that still run refer to it until the process exits, which is to follow at once.
 * Returns the process's exit status; 1 with *err set where it could not start.
 */
int worker_run(const struct config *config, const struct http_net *net, const rp_config *program,
               const struct handler *handler, struct err *err);

#endif
