/*
 * A handler for benchmarks: waits until its job is stopped and tells the time at which it knew.
 * "waiting" and "told NS" go to standard output; NS is CLOCK_MONOTONIC, as the platform's times
 * are.
 */
#include <stdio.h>
#include <time.h>

#include "worker.h"

static int wait_for_stop(rp_job *job, void *user)
{
    struct timespec t;
    (void)user;
    puts("waiting");
    fflush(stdout);
    rp_job_wait(job, 60000);
    clock_gettime(CLOCK_MONOTONIC, &t);
    printf("told %lld\n", (long long)t.tv_sec * 1000000000 + t.tv_nsec);
    fflush(stdout);
    return rp_return(job, "null");
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = wait_for_stop });
}
