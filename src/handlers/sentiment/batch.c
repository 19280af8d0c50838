#include "handlers/sentiment/batch.h"

#include <string.h>

/* What one pass takes. */
struct together {
    struct batch_request *requests[NETWORK_SEQUENCES_MAX];
    size_t lengths[NETWORK_SEQUENCES_MAX];
    size_t count, tokens;
    uint32_t ids[NETWORK_BUDGET_TOKENS];
    float logits[NETWORK_SEQUENCES_MAX * NETWORK_LABELS_MAX];
};

void batch_init(struct batch *batch, struct network *network, struct network_gpu *gpu)
{
    *batch = (struct batch){ .network = network, .gpu = gpu };
    batch->last = &batch->first;
    pthread_mutex_init(&batch->lock, NULL);
}

/* In order: nothing overtakes a long request that has to wait for the next pass. Locked. */
static void take(struct batch *batch, struct together *taken)
{
    taken->count = taken->tokens = 0;
    while (batch->first != NULL && taken->count < NETWORK_SEQUENCES_MAX &&
           taken->tokens + batch->first->length <= NETWORK_BUDGET_TOKENS) {
        struct batch_request *request = batch->first;
        batch->first = request->next;
        memcpy(taken->ids + taken->tokens, request->ids, request->length * sizeof *request->ids);
        taken->tokens += request->length;
        taken->lengths[taken->count] = request->length;
        taken->requests[taken->count++] = request;
    }
    if (batch->first == NULL)
        batch->last = &batch->first;
}

/* Hands out the results, and the next pass to the first who waits for one. Locked. */
static void settle(struct batch *batch, const struct together *taken, const struct err *err)
{
    size_t labels = batch->network->config.labels;
    for (size_t i = 0; i < taken->count; i++) {
        struct batch_request *request = taken->requests[i];
        memcpy(request->logits, taken->logits + i * labels, labels * sizeof *request->logits);
        request->together = taken->count;
        request->err = *err;
        request->done = true;
        pthread_cond_signal(&request->wake);
    }
    batch->running = false;
    if (batch->first != NULL)
        pthread_cond_signal(&batch->first->wake);
}

static void run_pass(struct batch *batch)
{
    struct together taken;
    struct err err = { 0 };
    take(batch, &taken);
    batch->running = true;
    pthread_mutex_unlock(&batch->lock);
    if (HAS_GPU_PART && batch->gpu != NULL)
        network_gpu_run(batch->gpu, taken.ids, taken.lengths, taken.count, taken.logits, &err);
    else
        network_run(batch->network, taken.ids, taken.lengths, taken.count, taken.logits);
    pthread_mutex_lock(&batch->lock);
    settle(batch, &taken, &err);
}

int batch_run(struct batch *batch, struct batch_request *request)
{
    request->done = false;
    request->next = NULL;
    pthread_cond_init(&request->wake, NULL);
    pthread_mutex_lock(&batch->lock);
    *batch->last = request;
    batch->last = &request->next;
    while (!request->done) {
        if (batch->running)
            pthread_cond_wait(&request->wake, &batch->lock);
        else
            run_pass(batch);
    }
    pthread_mutex_unlock(&batch->lock);
    pthread_cond_destroy(&request->wake);
    return request->err.code;
}
