/*
 * Thread-local variables: built once for each TLS model that a compiler may use to reach them. Each
 * thread starts with the initial values, also one that is older than the library (probe early).
 */
#include <pthread.h>
#include <stddef.h>

__attribute__((visibility("default"))) _Thread_local int shared = 11; /* general dynamic */
static _Thread_local int own = 22, zero;                              /* local dynamic */
static _Thread_local const char *text = "text"; /* the image needs relocation */
static _Thread_local _Alignas(64) char line[64];

__attribute__((visibility("default"))) int *shared_address(void);
__attribute__((visibility("default"))) const char *starts_afresh(void);
__attribute__((visibility("default"))) const char *each_thread_has_its_own(void);

__attribute__((noinline)) static int *own_address(void)
{
    return &own;
}

int *shared_address(void)
{
    return &shared;
}

const char *starts_afresh(void)
{
    if (shared != 11 || *own_address() != 22 || zero != 0)
        return "not the first values";
    if (text == NULL || text[0] != 't' || text[3] != 't')
        return "a pointer in the image was not relocated";
    if ((size_t)line % 64 != 0)
        return "not aligned";
    shared++;
    *own_address() += 1;
    zero++;
    line[0] = 1;
    return shared == 12 && own == 23 && zero == 1 ? NULL : "does not keep what is written";
}

static void *in_thread(void *why)
{
    *(const char **)why = starts_afresh();
    return &shared;
}

const char *each_thread_has_its_own(void)
{
    const char *first = starts_afresh();
    if (first != NULL)
        return first;
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        const char *why = NULL;
        void *address = NULL;
        if (pthread_create(&thread, NULL, in_thread, &why) != 0)
            return "no thread";
        pthread_join(thread, &address);
        if (why != NULL)
            return why;
        if (address == &shared)
            return "two threads share a variable";
    }
    return shared == 12 ? NULL : "a thread wrote another's variable";
}
