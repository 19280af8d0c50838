/*
 * The end of a slot's thread and the end of the process, kept apart. A thread's end calls the
 * driver's destructors for what is that thread's, exit(3) those for everything. Beside each other
 * both free the same memory: driver 535 did so once in 200 exits of a program.
 */
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "base/flag.h"
#include "base/limits.h"
#include "gpu/gpu_private.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t left;
    pthread_key_t key; /* the number of rounds of destructors that a thread has been through */
    bool have_key;
    unsigned leaving; /* threads whose destructors may still run */
    bool is_exiting;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER };

static pthread_once_t once = PTHREAD_ONCE_INIT;

/*
 * A thread calls the destructors of all keys in rounds, as long as there are values, and in no
 * order that counts. In the last but one there may be, the driver's have run; the last is left to
 * runtimes that put the thread itself away there, as ThreadSanitizer's does.
 */
static void count_round(void *value)
{
    uintptr_t round = (uintptr_t)value;
    if (round < PTHREAD_DESTRUCTOR_ITERATIONS - 1 &&
        pthread_setspecific(gate.key, (void *)(round + 1)) == 0)
        return;
    pthread_mutex_lock(&gate.lock);
    gate.leaving--;
    pthread_cond_broadcast(&gate.left);
    pthread_mutex_unlock(&gate.lock);
}

static void prepare(void)
{
    flag_cond_init(&gate.left);
    gate.have_key = pthread_key_create(&gate.key, count_round) == 0;
}

static _Noreturn void wait_for_exit(void)
{
    for (;;)
        pause();
}

/* Without a key, or memory for its value, nobody waits for the thread. */
void gpu_leave(void)
{
    pthread_once(&once, prepare);
    pthread_mutex_lock(&gate.lock);
    bool is_late = gate.is_exiting;
    if (!is_late && gate.have_key && pthread_setspecific(gate.key, (void *)1) == 0)
        gate.leaving++;
    pthread_mutex_unlock(&gate.lock);
    if (is_late)
        wait_for_exit();
}

void gpu_end(void)
{
    pthread_once(&once, prepare);
    deadline_ms deadline = clock_deadline(LIMIT_GPU_LEAVE_MS);
    pthread_mutex_lock(&gate.lock);
    gate.is_exiting = true;
    while (gate.leaving > 0 && flag_cond_wait(&gate.left, &gate.lock, deadline))
        continue;
    pthread_mutex_unlock(&gate.lock);
}
