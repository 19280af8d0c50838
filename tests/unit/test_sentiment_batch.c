/*
 * handlers/sentiment/batch: requests of many threads in passes. The network is this file's: a pass
 * waits until it is let on, and its logits tell the ids that it was given.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handlers/sentiment/batch.h"

enum { LABELS = 2, REQUESTS_MAX = NETWORK_SEQUENCES_MAX + 3 };

/* --- the network ---------------------------------------------------------------------------- */

static sem_t entered, go_on;
static unsigned passes;
static int gpu_error; /* what a pass on the GPU ends with */
static bool is_gated;

/* The first id and the sum of all ids of each sequence. */
static void compute(const uint32_t *ids, const size_t *lengths, size_t sequences, float *logits)
{
    passes++;
    if (is_gated) {
        sem_post(&entered);
        while (sem_wait(&go_on) != 0)
            continue;
    }
    for (size_t s = 0; s < sequences; ids += lengths[s++]) {
        logits[s * LABELS] = (float)ids[0];
        logits[s * LABELS + 1] = 0;
        for (size_t i = 0; i < lengths[s]; i++)
            logits[s * LABELS + 1] += (float)ids[i];
    }
}

void network_run(struct network *network, const uint32_t *ids, const size_t *lengths,
                 size_t sequences, float *logits)
{
    (void)network;
    compute(ids, lengths, sequences, logits);
}

int network_gpu_run(struct network_gpu *gpu, const uint32_t *ids, const size_t *lengths,
                    size_t sequences, float *logits, struct err *err)
{
    (void)gpu;
    compute(ids, lengths, sequences, logits);
    for (size_t s = 0; s < sequences; s++)
        logits[s * LABELS] = -1;
    return gpu_error != 0 ? err_set(err, gpu_error, "the device says no") : 0;
}

/* --- callers -------------------------------------------------------------------------------- */

static struct network network = { .config = { .labels = LABELS } };
static struct batch batch;
static uint32_t many[NETWORK_TOKENS_MAX];

struct caller {
    pthread_t thread;
    uint32_t ids[4];
    struct batch_request request;
    int rc;
};
static struct caller callers[REQUESTS_MAX];

static int begin(void **state)
{
    (void)state;
    batch_init(&batch, &network, NULL);
    sem_init(&entered, 0, 0);
    sem_init(&go_on, 0, 0);
    passes = 0;
    gpu_error = 0;
    is_gated = false;
    for (size_t i = 0; i < NETWORK_TOKENS_MAX; i++)
        many[i] = 1;
    for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
        callers[i] = (struct caller){ .ids = { i, 1, 2, i } };
        memset(&callers[i].request, 0xff, sizeof callers[i].request); /* as one used before */
        callers[i].request.ids = NULL;
        callers[i].request.length = 4;
    }
    return 0;
}

static void *call(void *argument)
{
    struct caller *caller = argument;
    if (caller->request.ids == NULL)
        caller->request.ids = caller->ids;
    caller->rc = batch_run(&batch, &caller->request);
    return NULL;
}

static void start(struct caller *caller)
{
    pthread_attr_t attr; /* a pass of musl's lies on the stack of whoever runs it */
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 1u << 20);
    assert_int_equal(pthread_create(&caller->thread, &attr, call, caller), 0);
    pthread_attr_destroy(&attr);
}

static size_t waiting(void)
{
    size_t count = 0;
    pthread_mutex_lock(&batch.lock);
    for (const struct batch_request *each = batch.first; each != NULL; each = each->next)
        count++;
    pthread_mutex_unlock(&batch.lock);
    return count;
}

/* Starts one while a pass runs, and returns when it stands in line. */
static void stand_in_line(struct caller *caller)
{
    size_t before = waiting();
    start(caller);
    while (waiting() == before)
        sched_yield();
}

static void wait_until_it_runs(void)
{
    while (sem_wait(&entered) != 0)
        continue;
}

static void ended(struct caller *caller, size_t together)
{
    assert_int_equal(pthread_join(caller->thread, NULL), 0);
    assert_int_equal(caller->rc, 0);
    assert_int_equal(caller->request.together, together);
}

static void has_its_own(const struct caller *caller)
{
    assert_true(caller->request.logits[0] == (float)caller->ids[0]);
    assert_true(caller->request.logits[1] == (float)(3 + 2 * caller->ids[0]));
}

/* --- tests ---------------------------------------------------------------------------------- */

static void one_alone_is_a_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        call(&callers[i]);
        assert_int_equal(callers[i].rc, 0);
        assert_int_equal(callers[i].request.together, 1);
        has_its_own(&callers[i]);
        assert_int_equal(passes, i + 1);
    }
}

/* As many as a pass takes go into the next one, in order; those that are too many into another. */
static void what_comes_meanwhile_goes_together(void **state)
{
    (void)state;
    is_gated = true;
    start(&callers[0]);
    wait_until_it_runs();
    for (size_t i = 1; i < REQUESTS_MAX; i++)
        stand_in_line(&callers[i]);
    sem_post(&go_on);
    wait_until_it_runs();
    assert_int_equal(waiting(), 2);
    sem_post(&go_on);
    wait_until_it_runs();
    assert_int_equal(waiting(), 0);
    sem_post(&go_on);
    ended(&callers[0], 1);
    for (size_t i = 1; i < REQUESTS_MAX; i++)
        ended(&callers[i], i <= NETWORK_SEQUENCES_MAX ? NETWORK_SEQUENCES_MAX : 2);
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        has_its_own(&callers[i]);
    assert_int_equal(passes, 3);
}

/* Two of the longest fill a pass to the last token; a third has to wait, and what is behind it. */
static void nothing_overtakes_a_long_one(void **state)
{
    (void)state;
    is_gated = true;
    start(&callers[0]);
    wait_until_it_runs();
    for (size_t i = 1; i < 4; i++) {
        callers[i].request.ids = many;
        callers[i].request.length = NETWORK_TOKENS_MAX;
        stand_in_line(&callers[i]);
    }
    stand_in_line(&callers[4]);
    sem_post(&go_on);
    wait_until_it_runs();
    assert_int_equal(waiting(), 2);
    sem_post(&go_on);
    wait_until_it_runs();
    assert_int_equal(waiting(), 0);
    sem_post(&go_on);
    ended(&callers[0], 1);
    for (size_t i = 1; i < 5; i++)
        ended(&callers[i], 2);
    for (size_t i = 1; i < 4; i++)
        assert_true(callers[i].request.logits[1] == (float)NETWORK_TOKENS_MAX);
    has_its_own(&callers[4]);
}

static void a_device_that_fails_is_everybodys_error(void **state)
{
    (void)state;
    batch_init(&batch, &network, (struct network_gpu *)&batch);
    call(&callers[0]);
    assert_int_equal(callers[0].rc, 0);
    assert_true(callers[0].request.logits[0] == -1);
    gpu_error = ERR_PEER;
    is_gated = true;
    start(&callers[1]);
    wait_until_it_runs();
    for (size_t i = 2; i < 4; i++)
        stand_in_line(&callers[i]);
    sem_post(&go_on);
    wait_until_it_runs();
    sem_post(&go_on);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].rc, ERR_PEER);
        assert_string_equal(callers[i].request.err.text, "the device says no");
    }
    gpu_error = 0;
    is_gated = false;
    call(&callers[1]);
    assert_int_equal(callers[1].rc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_alone_is_a_pass, begin),
        cmocka_unit_test_setup(what_comes_meanwhile_goes_together, begin),
        cmocka_unit_test_setup(nothing_overtakes_a_long_one, begin),
        cmocka_unit_test_setup(a_device_that_fails_is_everybodys_error, begin),
    };
    return cmocka_run_group_tests_name("sentiment_batch", tests, NULL, NULL);
}
