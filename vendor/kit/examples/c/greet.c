/* worker-cc -O2 -o greet greet.c && ./greet --test_input '{"input": {"name": "Ann"}}' */
#include <worker.h>

static int greet(rp_job *job, void *user)
{
    rp_str name;
    (void)user;
    if (rp_get_str(rp_input(job), "name", &name) != RP_OK)
        return rp_fail(job, "input.name must be a string");
    return rp_return(job, "{\"greeting\": %S}", &name);
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = greet });
}
