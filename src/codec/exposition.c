#include "codec/exposition.h"

const int64_t exposition_bucket_ms[EXPOSITION_BUCKETS] = {
    5, 10, 25, 50, 100, 250, 1000, 5000, 15000, 60000, 300000, 600000
};

void exposition_observe(struct exposition_histogram *histogram, int64_t ms)
{
    size_t i = 0;
    while (i < EXPOSITION_BUCKETS && ms > exposition_bucket_ms[i])
        i++;
    histogram->buckets[i]++;
    histogram->count++;
    histogram->sum_ms += ms;
}

void exposition_put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void exposition_put_sample(struct buf *out, const char *name, const char *label, const char *value,
                           uint64_t number)
{
    if (label != NULL)
        buf_add_format(out, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)number);
    else
        buf_add_format(out, "%s %llu\n", name, (unsigned long long)number);
}

void exposition_put_gauge(struct buf *out, const char *name, const char *help, uint64_t number)
{
    exposition_put_head(out, name, "gauge", help);
    exposition_put_sample(out, name, NULL, NULL, number);
}

void exposition_put_counter(struct buf *out, const char *name, const char *help, uint64_t number)
{
    exposition_put_head(out, name, "counter", help);
    exposition_put_sample(out, name, NULL, NULL, number);
}

void exposition_put_histogram(struct buf *out, const char *name, const char *help,
                              const struct exposition_histogram *histogram)
{
    uint64_t count = 0;
    exposition_put_head(out, name, "histogram", help);
    for (size_t i = 0; i < EXPOSITION_BUCKETS; i++) {
        count += histogram->buckets[i];
        buf_add_format(out, "%s_bucket{le=\"%g\"} %llu\n", name,
                       (double)exposition_bucket_ms[i] / 1000, (unsigned long long)count);
    }
    buf_add_format(out, "%s_bucket{le=\"+Inf\"} %llu\n", name,
                   (unsigned long long)histogram->count);
    buf_add_format(out, "%s_sum %.3f\n", name, (double)histogram->sum_ms / 1000);
    buf_add_format(out, "%s_count %llu\n", name, (unsigned long long)histogram->count);
}
