/*
 * handlers/sentiment/network_private.h - what the files of the network share.
 */
#ifndef HANDLERS_SENTIMENT_NETWORK_PRIVATE_H
#define HANDLERS_SENTIMENT_NETWORK_PRIVATE_H

#include "handlers/sentiment/network.h"

#define ATTENTION_PANELS 4 /* of queries in one piece of work */

/* Reads and checks the text of config.json. ERR_INPUT, ERR_MEMORY. */
int network_read_config(struct network *network, slice config, struct err *err);

/* Floats that each thread needs as scratch memory. */
size_t attention_scratch_floats(const struct network *network);

/* Attention of all heads of one layer. */
struct attention {
    /* Queries of each sequence: its own tokens, or with `first_only` token `sequence` of q. */
    float *q;
    size_t q_features;
    bool first_only;
    float *kv; /* of all tokens */
    size_t kv_features, k_row, v_row;
    float *out; /* dim features, tokens as in q */
    const size_t *lengths;
    size_t sequences;
};

void attention_run(struct network *network, const struct attention *attention);

#endif
