/*
 * Uses the thread-local variable of another library (thread_local.c) beside one of its own: built
 * once for each TLS model.
 */
#include <pthread.h>
#include <stddef.h>

extern _Thread_local int shared;
int *shared_address(void);

static _Thread_local int own = 55;

__attribute__((visibility("default"))) const char *uses_anothers(void);

static const char *use(void)
{
    if (shared != 11 || own != 55)
        return "not the initial values";
    shared = 1;
    own = 2;
    if (&shared != shared_address() || *shared_address() != 1)
        return "not the variable of the other library";
    return own == 2 ? NULL : "one variable is the other";
}

static void *in_thread(void *why)
{
    *(const char **)why = use();
    return NULL;
}

const char *uses_anothers(void)
{
    pthread_t thread;
    const char *why = use();
    if (why != NULL)
        return why;
    if (pthread_create(&thread, NULL, in_thread, &why) != 0)
        return "no thread";
    pthread_join(thread, NULL);
    return why;
}
