/* The threads that start programs and look for what they leave, where others may not. */
#include <pthread.h>
#include <semaphore.h>

#include "base/limits.h"
#include "base/thread.h"
#include "process/process_private.h"

struct starter {
    pthread_mutex_t turn; /* held by whoever has work done */
    sem_t wanted, done;
    void (*run)(void *); /* NULL: end */
    void *argument;
    bool begun; /* under the turn */
};

static struct starter starters[STARTER_WORKS] = {
    { .turn = PTHREAD_MUTEX_INITIALIZER },
    { .turn = PTHREAD_MUTEX_INITIALIZER },
};

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        continue; /* interrupted */
}

static void *starter_main(void *argument)
{
    struct starter *starter = argument;
    for (;;) {
        wait_for(&starter->wanted);
        if (starter->run == NULL)
            break;
        starter->run(starter->argument);
        sem_post(&starter->done);
    }
    sem_post(&starter->done);
    return NULL;
}

static int begin(struct starter *starter, struct err *err)
{
    sem_init(&starter->wanted, 0, 0);
    sem_init(&starter->done, 0, 0);
    int rc = thread_start(starter_main, starter, LIMIT_STACK_STARTER_BYTES, err);
    starter->begun = rc == 0;
    return rc;
}

int process_begin_starter(struct err *err)
{
    return begin(&starters[STARTER_LAUNCHES], err); /* there are no other threads yet */
}

/* The turn is held. */
static void have_done(struct starter *starter, void (*run)(void *), void *argument)
{
    starter->run = run;
    starter->argument = argument;
    sem_post(&starter->wanted);
    wait_for(&starter->done);
}

void process_end_starter(void)
{
    for (size_t i = 0; i < STARTER_WORKS; i++) {
        pthread_mutex_lock(&starters[i].turn);
        if (starters[i].begun)
            have_done(&starters[i], NULL, NULL);
        starters[i].begun = false;
        pthread_mutex_unlock(&starters[i].turn);
    }
}

static void begin_sweeps(void *argument)
{
    struct err err;
    (void)argument;
    begin(&starters[STARTER_SWEEPS], &err); /* without memory for it, the caller does the work */
}

/* The first sweep is after the start, which a second thread would make longer. Its turn is held. */
static void have_sweeps_begun(void)
{
    struct starter *launcher = &starters[STARTER_LAUNCHES];
    pthread_mutex_lock(&launcher->turn);
    if (launcher->begun)
        have_done(launcher, begin_sweeps, NULL);
    pthread_mutex_unlock(&launcher->turn);
}

void process_starter_run(enum starter_work work, void (*run)(void *), void *argument)
{
    struct starter *starter = &starters[work];
    pthread_mutex_lock(&starter->turn);
    if (work == STARTER_SWEEPS && !starter->begun)
        have_sweeps_begun();
    bool begun = starter->begun;
    if (begun)
        have_done(starter, run, argument);
    pthread_mutex_unlock(&starter->turn);
    if (!begun)
        run(argument);
}
