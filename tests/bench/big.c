/*
 * The large job of the benchmarks: takes a long string, returns the first 8 MB of it together with
 * the times at which the handler had its input and began to make its result. Its equal for the SDK
 * is big() in sdk_handler.py.
 */
#include <time.h>

#include "worker.h"

enum { RESULT_BYTES = 8000000 };

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int big(rp_job *job, void *user)
{
    rp_str data;
    (void)user;
    if (rp_get_str(rp_input(job), "data", &data) != RP_OK)
        return rp_fail(job, "input.data must be a string");
    long long begin_ns = now_ns();
    if (data.len > RESULT_BYTES)
        data.len = RESULT_BYTES;
    return rp_return(job, "{\"begin_ns\": %lld, \"end_ns\": %lld, \"data\": %S}", begin_ns,
                     now_ns(), &data);
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = big });
}
