/*
 * codec/exposition.h - writes numbers as Prometheus reads them: the text exposition format 0.0.4.
 * Source: the Prometheus documentation, "Exposition formats". Pure. Errors stick in the buffer.
 *
 * Names are constants made of letters, digits and "_"; help texts are constants without line feeds
 * and backslashes.
 */
#ifndef CODEC_EXPOSITION_H
#define CODEC_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Upper bounds, in ms, of the buckets of durations; one more bucket has no bound. */
#define EXPOSITION_BUCKETS 12
extern const int64_t exposition_bucket_ms[EXPOSITION_BUCKETS];

/* Durations by size. All zero: none yet. */
struct exposition_histogram {
    uint64_t buckets[EXPOSITION_BUCKETS + 1];
    uint64_t count;
    int64_t sum_ms;
};

void exposition_observe(struct exposition_histogram *histogram, int64_t ms);

/* What comes before the samples of one metric; type is "gauge", "counter" or "histogram". */
void exposition_put_head(struct buf *out, const char *name, const char *type, const char *help);

/* A sample of it; with a label where label is not NULL. The value must be free of '"' and '\'. */
void exposition_put_sample(struct buf *out, const char *name, const char *label, const char *value,
                           uint64_t number);

/* Whole metrics with one sample, and a histogram of durations in seconds. */
void exposition_put_gauge(struct buf *out, const char *name, const char *help, uint64_t number);
void exposition_put_counter(struct buf *out, const char *name, const char *help, uint64_t number);
void exposition_put_histogram(struct buf *out, const char *name, const char *help,
                              const struct exposition_histogram *histogram);

#endif
