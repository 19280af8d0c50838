/*
 * echo: returns its input as it came, without parsing or copying it. It has all parts, so that
 * everything can be tried with it.
 */
#include "worker.h"

static int echo(rp_job *job, void *user)
{
    (void)user;
    return rp_return_json(job, rp_input_json(job));
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = echo, RP_ALL_PARTS });
}
