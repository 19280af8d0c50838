/*
 * handlers/sentiment/batch.h - requests of many threads, put together into passes.
 *
 * There is no thread for it and no waiting for company: whoever comes while nothing runs runs a
 * pass with what is waiting, his own first; what comes meanwhile waits, and goes into the next.
 */
#ifndef HANDLERS_SENTIMENT_BATCH_H
#define HANDLERS_SENTIMENT_BATCH_H

#include <pthread.h>

#include "handlers/sentiment/network_gpu.h"

struct batch_request {
    const uint32_t *ids; /* 1 to NETWORK_TOKENS_MAX; linked until batch_run returns */
    size_t length;
    float logits[NETWORK_LABELS_MAX]; /* the result */
    size_t together;                  /* requests in the pass that computed it */
    struct err err;                   /* code 0, or why there is no result */
    bool done;                        /* internal, as are the next two */
    pthread_cond_t wake;
    struct batch_request *next;
};

struct batch {
    struct network *network; /* linked, as is the next one */
    struct network_gpu *gpu; /* NULL: the CPU computes */
    pthread_mutex_t lock;
    struct batch_request *first, **last; /* what waits, in order */
    bool running;
};

/* gpu may be NULL. */
void batch_init(struct batch *batch, struct network *network, struct network_gpu *gpu);

/*
 * Computes the request's logits. Blocks. Any number of threads. 0; on a GPU also the error of the
 * pass, which is in request->err.
 */
int batch_run(struct batch *batch, struct batch_request *request);

#endif
