/*
 * A handler for benchmarks: a stream of so many parts as the input says, each as small as a token.
 */
#include "worker.h"

static int stream(rp_job *job, void *user)
{
    int64_t parts = 0;
    (void)user;
    rp_get_int(rp_input(job), "parts", &parts);
    for (int64_t i = 0; i < parts; i++)
        if (rp_yield(job, "{\"token\": %lld}", (long long)i) != RP_OK)
            return RP_FAILED;
    return RP_OK;
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = stream, .stream = true });
}
