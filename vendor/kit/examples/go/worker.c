/* What Go cannot say in C: macros, and functions with any number of arguments. */
#include <stddef.h>

#include <worker.h>

extern rp_handler handle;

int start(int argc, char **argv);
int answer(rp_job *job, const char *json, size_t len);
int fail(rp_job *job, const char *why);

int start(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = handle });
}

int answer(rp_job *job, const char *json, size_t len)
{
    return rp_return_json(job, (rp_str){ json, len });
}

int fail(rp_job *job, const char *why)
{
    return rp_fail(job, "%s", why);
}
