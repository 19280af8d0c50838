/*
 * The most the platform can serve: a client that does nothing but take and post.
 */
#ifndef BENCH_SELF_BENCH_H
#define BENCH_SELF_BENCH_H

#include <sys/types.h>

/* Starts a child process that takes `jobs` jobs from 127.0.0.1:`port` over plain HTTP on one
 * kept-alive connection and posts a small result for each on a second one, one after the other,
 * then exits: 0 when all went well, 1 otherwise. Returns its process id, or -1. */
pid_t self_bench_start(int port, long jobs);

#endif
