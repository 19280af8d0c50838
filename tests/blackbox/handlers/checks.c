/*
 * A program with fitness checks of its own. $CHECKS_REASON is what the second of them says; without
 * it the machine is fit. $CHECKS_SETUP is what its setup returns; "hangs": it does not return, and
 * keeps the lock of stdout, for which exit would wait.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker.h"

static int setup(void *user)
{
    const char *status = getenv("CHECKS_SETUP");
    (void)user;
    rp_log(NULL, RP_INFO, "loading the model");
    puts("setup has run");
    fflush(stdout);
    if (status != NULL && strcmp(status, "hangs") == 0) {
        flockfile(stdout);
        for (;;)
            pause();
    }
    return status != NULL ? atoi(status) : 0;
}

static int fit(char *reason, size_t size, void *user)
{
    (void)user;
    puts("first check has run");
    fflush(stdout);
    snprintf(reason, size, "a reason that is of no interest, since all is well");
    return 0;
}

static int as_told(char *reason, size_t size, void *user)
{
    const char *text = getenv("CHECKS_REASON");
    (void)user;
    if (text == NULL)
        return 0;
    snprintf(reason, size, "%s", text);
    return 7;
}

static int echo(rp_job *job, void *user)
{
    (void)user;
    return rp_return_value(job, rp_input(job));
}

int main(int argc, char **argv)
{
    static const rp_check checks[] = { { "first", fit }, { "scratch & room", as_told } };
    rp_config config = {
        .handler = echo, .setup = setup, .checks = checks, .check_count = 2, RP_ALL_PARTS
    };
    return rp_start(argc, argv, &config);
}
