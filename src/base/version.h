/* The worker's version: the one place that names it. build.sh reads it from here too. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define WORKER_VERSION "0.1.0"
#define WORKER_USER_AGENT "slim-worker/" WORKER_VERSION

#endif
