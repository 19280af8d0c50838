/* plain: returns its input. A handler as most are, without any of the worker's parts. */
#include "worker.h"

static int echo(rp_job *job, void *user)
{
    (void)user;
    return rp_return_json(job, rp_input_json(job));
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = echo });
}
