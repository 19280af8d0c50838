/* A handler whose stack has $STACK_BYTES: too few for TLS, or more than there is memory for. */
#include <stdlib.h>

#include "worker.h"

static int echo(rp_job *job, void *user)
{
    (void)user;
    return rp_return_value(job, rp_input(job));
}

int main(int argc, char **argv)
{
    const char *bytes = getenv("STACK_BYTES");
    return rp_start(argc, argv,
                    &(rp_config){ .handler = echo,
                                  .audit = &rp_audit_part,
                                  .stack_bytes = bytes != NULL ? strtoul(bytes, NULL, 10) : 0 });
}
