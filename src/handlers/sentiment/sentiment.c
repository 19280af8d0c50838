/*
 * sentiment: classifies a text with a DistilBERT, on a GPU if there is one, else on the CPU:
 *     {"prompt": "The quick brown fox jumps"}  ->  {"sentiment": "positive", "confidence": 0.99}
 * With "debug": true beside the prompt the output has "debug", too: tokens, logits and how they
 * were computed. README.md has the rest.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "codec/byte_class.h"
#include "handlers/sentiment/batch.h"
#include "model/mapping.h"
#include "model/wordpiece.h"
#include "worker.h"

#define CACHED_MODEL "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
#define CONCURRENCY 32 /* what waits is put together: it costs a slot's stack, not a pass */

struct options {
    const char *model;        /* folder, or name in the cache of models; NULL: not given */
    const char *instructions; /* NULL: the best of this machine */
    const char *threads;      /* NULL: as many as make sense */
    const char *device;       /* NULL: "auto" */
};

struct sentiment {
    struct options options;
    struct wordpiece tokenizer;
    struct network network;
    struct network_gpu *gpu; /* NULL: the CPU computes */
    struct batch batch;
    size_t tokens_max; /* of a prompt */
};

/* --- loading ---------------------------------------------------------------------------------- */

static int map_file(const char *folder, const char *name, slice *bytes, struct err *err)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return err_set(err, ERR_CONFIG, "the name of the model's folder is too long");
    return mapping_open(path, bytes, err);
}

static int open_tokenizer(struct sentiment *sentiment, slice vocabulary, struct err *err)
{
    int rc = wordpiece_open(&sentiment->tokenizer, vocabulary, err);
    size_t count = sentiment->network.config.vocabulary;
    if (rc == 0 && sentiment->tokenizer.count > count)
        rc = err_set(err, ERR_INPUT, "it has %u tokens, but \"vocab_size\" in config.json is %zu",
                     sentiment->tokenizer.count, count);
    return rc != 0 ? err_wrap(err, "vocab.txt") : 0;
}

/* What the CPU computes with. With a GPU it computes nothing, so one thread is enough. */
static int choose(const struct options *options, bool has_gpu, const struct kernels **kernels,
                  struct pool **pool, struct err *err)
{
    uint64_t threads = pool_threads("");
    *kernels = kernels_choose(options->instructions);
    if (*kernels == NULL)
        return err_set(err, ERR_CONFIG,
                       "--instructions %.64s: use avx512, avx2 or portable, and one that this "
                       "machine has",
                       options->instructions);
    if (options->threads != NULL &&
        (!byte_class_decimal(slice_from(options->threads), LIMIT_POOL_THREADS, &threads) ||
         threads == 0))
        return err_set(err, ERR_CONFIG, "--threads %.64s: use a number from 1 to %d",
                       options->threads, LIMIT_POOL_THREADS);
    return pool_new(pool, has_gpu ? 1 : (unsigned)threads, err);
}

static bool wants(const struct options *options, const char *device)
{
    return strcmp(options->device != NULL ? options->device : "auto", device) == 0;
}

/*
 * The device to compute on; NULL where the CPU is wanted or, with "auto", there is no device. One
 * that is there and does not work is an error, as nobody wants the CPU's speed by accident.
 */
static int open_device(const struct options *options, rp_gpu **device, struct err *err)
{
    bool must = wants(options, "cuda");
    *device = NULL;
    if (wants(options, "cpu"))
        return 0;
    if (!must && !wants(options, "auto"))
        return err_set(err, ERR_CONFIG, "--device %.64s: use auto, cpu or cuda", options->device);
    if (!HAS_GPU_PART)
        return must ? err_set(err, ERR_CONFIG, "--device cuda: this program is for the CPU only")
                    : 0;
    int rc = rp_gpu_open(0, device);
    if (rc == RP_MISSING && !must) {
        rp_log(NULL, RP_INFO, "No GPU, so the CPU does the work: %s", rp_gpu_error());
        *device = NULL;
        return 0;
    }
    return rc == RP_OK ? 0
                       : err_set(err, ERR_CONFIG, "--device %s: %s", must ? "cuda" : "auto",
                                 rp_gpu_error());
}

static int load(struct sentiment *sentiment, struct err *err)
{
    const char *folder = sentiment->options.model;
    const struct kernels *kernels = NULL;
    struct pool *pool = NULL;
    rp_gpu *device = NULL;
    slice config = { "", 0 }, weights = { "", 0 }, vocabulary = { "", 0 };
    int rc = open_device(&sentiment->options, &device, err);
    if (rc == 0)
        rc = map_file(folder, "config.json", &config, err);
    if (rc == 0)
        rc = map_file(folder, "vocab.txt", &vocabulary, err);
    if (rc == 0)
        rc = map_file(folder, "model.safetensors", &weights, err);
    if (rc == 0)
        rc = choose(&sentiment->options, device != NULL, &kernels, &pool, err);
    if (rc == 0)
        rc = network_open(&sentiment->network, config, weights, kernels, pool, err);
    if (rc == 0)
        rc = open_tokenizer(sentiment, vocabulary, err);
    if (rc != 0 || !HAS_GPU_PART || device == NULL)
        return rc;
    rc = network_gpu_open(&sentiment->gpu, &sentiment->network, device, err);
    return rc != 0 ? err_wrap(err, "GPU 0") : 0;
}

/* A folder as it is; else a model that the platform has cached. */
static int find_model(struct sentiment *sentiment, struct err *err)
{
    static char path[4096];
    struct stat info;
    const char *name = sentiment->options.model;
    if (name != NULL && stat(name, &info) == 0)
        return 0;
    if (rp_model_path(name != NULL ? name : CACHED_MODEL, path, sizeof path) == RP_OK) {
        sentiment->options.model = path;
        return 0;
    }
    if (name != NULL && (name[0] == '/' || name[0] == '.'))
        return err_set(err, ERR_CONFIG, "there is no folder %.200s (--model, MODEL_DIR)", name);
    return err_set(err, ERR_CONFIG, "--model DIR or MODEL_DIR names no folder, and %.*s",
                   ERR_TEXT_BYTES - 64, path);
}

/* The first pass reads all weights from the disk, so it is not a job that waits for them. */
static int warm_up(struct sentiment *sentiment, struct err *err)
{
    uint32_t ids[8];
    struct batch_request request = { .ids = ids };
    request.length = wordpiece_encode(&sentiment->tokenizer, SLICE_LITERAL("warm"), ids,
                                      sentiment->tokens_max < 8 ? sentiment->tokens_max : 8);
    int rc = batch_run(&sentiment->batch, &request);
    *err = request.err;
    return rc;
}

static void log_ready(const struct sentiment *sentiment, double load_ms, double pass_ms)
{
    const struct network_gpu *gpu = HAS_GPU_PART ? sentiment->gpu : NULL;
    if (gpu == NULL)
        rp_log(NULL, RP_INFO,
               "Model ready on the CPU (%s, %u threads): loaded in %.1f ms, first pass %.1f ms",
               sentiment->network.kernels->name, pool_size(sentiment->network.pool), load_ms,
               pass_ms);
    else
        rp_log(NULL, RP_INFO,
               "Model ready on %s (%s precision, %zu MB): loaded in %.1f ms, first pass %.1f ms",
               network_gpu_name(gpu), network_gpu_precision(gpu),
               (network_gpu_bytes(gpu) + 999999) / 1000000, load_ms, pass_ms);
}

static int setup(void *user)
{
    struct sentiment *sentiment = user;
    struct err err = { 0 };
    int64_t begun_us = clock_now_us();
    if (find_model(sentiment, &err) != 0) {
        rp_log(NULL, RP_ERROR, "No model: %s", err.text);
        return 1;
    }
    int rc = load(sentiment, &err);
    int64_t loaded_us = clock_now_us();
    if (rc == 0) {
        size_t positions = sentiment->network.config.positions;
        sentiment->tokens_max = positions < NETWORK_TOKENS_MAX ? positions : NETWORK_TOKENS_MAX;
        batch_init(&sentiment->batch, &sentiment->network, sentiment->gpu);
        rc = warm_up(sentiment, &err);
    }
    if (rc != 0) {
        rp_log(NULL, RP_ERROR, "Model %s: %s", sentiment->options.model, err.text);
        return 1;
    }
    log_ready(sentiment, (double)(loaded_us - begun_us) / 1e3,
              (double)(clock_now_us() - loaded_us) / 1e3);
    return 0;
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* The most likely label, and its probability. */
static size_t best_label(const float *logits, size_t count, double *confidence)
{
    size_t best = 0;
    double sum = 0;
    for (size_t i = 1; i < count; i++)
        if (logits[i] > logits[best])
            best = i;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - (double)logits[best]);
    *confidence = 1.0 / sum;
    return best;
}

static int write_debug(rp_job *job, const struct sentiment *sentiment,
                       const struct batch_request *request, double ms)
{
    const struct network_gpu *gpu = HAS_GPU_PART ? sentiment->gpu : NULL;
    if (gpu == NULL)
        rp_write(job, ", \"debug\": {\"device\": \"cpu\", \"instructions\": %Q, \"threads\": %u",
                 sentiment->network.kernels->name, pool_size(sentiment->network.pool));
    else
        rp_write(job, ", \"debug\": {\"device\": \"cuda\", \"gpu\": %Q, \"precision\": %Q",
                 network_gpu_name(gpu), network_gpu_precision(gpu));
    rp_write(job, ", \"together\": %zu, \"ms\": %.4g, \"logits\": [", request->together, ms);
    for (size_t i = 0; i < sentiment->network.config.labels; i++)
        rp_write(job, "%s%.9g", i == 0 ? "" : ", ", (double)request->logits[i]);
    rp_write(job, "], \"tokens\": [");
    for (size_t i = 0; i < request->length; i++)
        rp_write(job, "%s%u", i == 0 ? "" : ", ", request->ids[i]);
    return rp_write(job, "]}");
}

static bool is_half(const struct sentiment *sentiment)
{
    return HAS_GPU_PART && sentiment->gpu != NULL &&
           strcmp(network_gpu_precision(sentiment->gpu), "half") == 0;
}

static int classify(rp_job *job, void *user)
{
    struct sentiment *sentiment = user;
    uint32_t ids[NETWORK_TOKENS_MAX];
    struct batch_request request = { .ids = ids };
    rp_value input = rp_input(job);
    bool debug = false;
    rp_str prompt = { "", 0 };
    double confidence;
    int64_t begun_us = clock_now_us();
    if (rp_get_str(input, "prompt", &prompt) != RP_OK)
        return rp_fail(job, "input.prompt must be a string");
    if (rp_get_bool(input, "debug", &debug) < 0)
        return rp_fail(job, "input.debug must be true or false");
    request.length = wordpiece_encode(&sentiment->tokenizer, prompt, ids, sentiment->tokens_max);
    if (batch_run(&sentiment->batch, &request) != 0)
        return rp_fail(job, "%s", request.err.text);
    size_t best = best_label(request.logits, sentiment->network.config.labels, &confidence);
    if (isnan(confidence))
        return rp_fail(job, "the network's result is not a number: the weights are damaged%s",
                       is_half(sentiment) ? ", or too large for half precision" : "");
    rp_write(job, "{\"sentiment\": %S, \"confidence\": %.9g",
             &sentiment->network.config.label[best], confidence);
    if (debug)
        write_debug(job, sentiment, &request, (double)(clock_now_us() - begun_us) / 1e3);
    return rp_write(job, "}");
}

/* --- start ------------------------------------------------------------------------------------ */

/* The value of "--name VALUE" or "--name=VALUE"; the last one counts. */
static const char *option(int argc, char **argv, const char *name)
{
    const char *value = NULL;
    size_t len = strlen(name);
    for (int i = 1; i < argc && argv[i] != NULL; i++) {
        if (strncmp(argv[i], name, len) != 0)
            continue;
        if (argv[i][len] == '=')
            value = argv[i] + len + 1;
        else if (argv[i][len] == '\0' && i + 1 < argc)
            value = argv[++i];
    }
    return value;
}

int main(int argc, char **argv)
{
    static struct sentiment sentiment;
    sentiment.options.model = option(argc, argv, "--model");
    if (sentiment.options.model == NULL)
        sentiment.options.model = getenv("MODEL_DIR");
    sentiment.options.instructions = option(argc, argv, "--instructions");
    sentiment.options.threads = option(argc, argv, "--threads");
    sentiment.options.device = option(argc, argv, "--device");
    bool is_cpu = wants(&sentiment.options, "cpu"); /* then a GPU is neither checked nor touched */
    return rp_start(argc, argv,
                    &(rp_config){ .handler = classify,
                                  .user = &sentiment,
                                  .setup = setup,
                                  .concurrency = CONCURRENCY,
                                  .realtime = &rp_realtime_part,
                                  .gpu = is_cpu || !HAS_GPU_PART ? NULL : &rp_gpu_part });
}
