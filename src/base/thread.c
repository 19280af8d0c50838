#include "base/thread.h"

#include <pthread.h>

int thread_start(void *(*run)(void *), void *argument, size_t stack_bytes, struct err *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int errnum = pthread_attr_setstacksize(&attr, stack_bytes);
    if (errnum == 0)
        errnum = pthread_create(&thread, &attr, run, argument);
    pthread_attr_destroy(&attr);
    return errnum == 0 ? 0 : err_system(err, ERR_MEMORY, errnum, "cannot start a thread");
}
