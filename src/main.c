/*
 * The stock worker. Programs as handlers (--handler) come with a later version; until then it
 * answers every job with its input, which is enough to see an endpoint work end to end.
 */
#include "rp_gpu.h"
#include "worker.h"

static int return_input(rp_job *job, void *user)
{
    (void)user;
    return rp_return_json(job, rp_input_json(job));
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = return_input, .gpu = &rp_gpu_part });
}
