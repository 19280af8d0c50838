/* early_thread: its program has a thread before rp_start, as those of a language's runtime. */
#include <pthread.h>
#include <unistd.h>

#include "worker.h"

static void *wait_forever(void *argument)
{
    for (;;)
        pause();
    return argument;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, wait_forever, NULL);
}

static int handler(rp_job *job, void *user)
{
    (void)user;
    return rp_return(job, "1");
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = handler, RP_ALL_PARTS });
}
