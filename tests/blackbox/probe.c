/* A handler that does, by what its input says, what handler authors do and what they get wrong. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

/* Uses most of the stack that a handler is promised. */
static int deep(rp_job *job)
{
    volatile char space[7 * 1024 * 1024];
    for (size_t i = 0; i < sizeof space; i += 4096)
        space[i] = 'x';
    return rp_return(job, "%d", space[4096]);
}

static int say_all_levels(rp_job *job)
{
    for (int level = RP_TRACE; level <= RP_ERROR; level++)
        rp_log(job, (enum rp_level)level, "level %d", level);
    return rp_return(job, "null");
}

static int wait_to_be_stopped(rp_job *job)
{
    if (rp_job_wait(job, 600000))
        rp_log(job, RP_INFO, "told to stop, stopped=%d", rp_job_stopped(job));
    return rp_return(job, "\"of no use to anybody\"");
}

static int work(rp_job *job, void *user)
{
    rp_str what = { "", 0 };
    (void)user;
    rp_get_str(rp_input(job), "do", &what);
    if (what.len == 4 && memcmp(what.ptr, "deep", 4) == 0)
        return deep(job);
    if (what.len == 4 && memcmp(what.ptr, "logs", 4) == 0)
        return say_all_levels(job);
    if (what.len == 4 && memcmp(what.ptr, "wait", 4) == 0)
        return wait_to_be_stopped(job);
    if (what.len == 4 && memcmp(what.ptr, "text", 4) == 0)
        return rp_return(job, "%Q", "not UTF-8: \xff\xfe");
    if (what.len == 4 && memcmp(what.ptr, "half", 4) == 0)
        return rp_return(job, "{\"half\": ");
    if (what.len == 4 && memcmp(what.ptr, "zero", 4) == 0)
        return rp_return(job, "%f", strtod("nan", NULL));
    if (what.len == 4 && memcmp(what.ptr, "none", 4) == 0)
        return RP_OK;
    if (what.len == 4 && memcmp(what.ptr, "code", 4) == 0)
        return -77;
    if (what.len == 4 && memcmp(what.ptr, "page", 4) == 0)
        return rp_return_json(job, rp_job_json(job));
    return rp_fail(job, "cannot do \"%.*s\"", (int)what.len, what.ptr);
}

/* Loads its model: blocks until somebody opens the other end of the pipe that $PROBE_PIPE names. */
static int load(void *user)
{
    const char *pipe = getenv("PROBE_PIPE");
    const char *status = getenv("PROBE_SETUP");
    (void)user;
    puts("setup begins");
    fflush(stdout);
    if (pipe != NULL)
        close(open(pipe, O_RDONLY));
    return status != NULL ? atoi(status) : 0;
}

/* Makes sure that nothing of rp_start's stack is left as it was. */
static void wipe_the_stack(void)
{
    volatile char space[512 * 1024];
    for (size_t i = 0; i < sizeof space; i++)
        space[i] = (char)0xEE;
}

int main(int argc, char **argv)
{
    rp_config config = { .handler = work,
                         .setup = load,
                         .refresh_worker = getenv("PROBE_REFRESH") != NULL,
                         RP_ALL_PARTS };
    int status = rp_start(argc, argv, &config);
    wipe_the_stack();
    if (getenv("PROBE_STAYS") != NULL)
        usleep(500000);
    printf("rp_start returned %d\n", status);
    return status;
}
