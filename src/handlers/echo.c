/* echo: returns its input, whatever it is, without parsing or copying it. */
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
