/*
 * handlers/sentiment: the network on the CPU against the same in double precision, written down as
 * plainly as can be; and what is wrong with a configuration or with weights.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handlers/sentiment/network_private.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

extern const struct kernels kernels_emulated;

/* A head of more features than a block has rows, and a hidden layer wider than four times dim. */
enum { DIM = 40, HEADS = 2, LAYERS = 2, HIDDEN = 200, POSITIONS = 320, WORDS = 20, LABELS = 3 };
enum { HEAD = DIM / HEADS, TENSORS_MAX = 64, FLOATS_MAX = 80000, HEADER_MAX = 8192 };

#define SIZES                                                             \
    "\"dim\": 40, \"n_heads\": 2, \"n_layers\": 2, \"hidden_dim\": 200, " \
    "\"max_position_embeddings\": 320, \"vocab_size\": 20"
#define CONFIG                                                         \
    "{\"model_type\": \"distilbert\", \"activation\": \"gelu\"," SIZES \
    ", \"id2label\": {\"0\": \"NEGATIVE\", \"1\": \"Zz[@`{\", \"2\": \"c\"}}"

/* --- weights -------------------------------------------------------------------------------- */

static struct {
    const char *name;
    size_t rows, columns; /* columns 0: a vector */
    const float *values;
} tensors[TENSORS_MAX];
static size_t tensor_count;
static char names[TENSORS_MAX][80];
static float values[FLOATS_MAX];
static size_t value_count;
static uint32_t seed;

/* Numbers from -1 to 1. */
static float number(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed / 2147483648.0f;
}

static void add_tensor(const char *name, size_t rows, size_t columns, float middle, float spread)
{
    size_t count = columns == 0 ? rows : rows * columns;
    assert_true(tensor_count < TENSORS_MAX && value_count + count <= FLOATS_MAX);
    snprintf(names[tensor_count], sizeof names[0], "%s", name);
    tensors[tensor_count].name = names[tensor_count];
    tensors[tensor_count].rows = rows;
    tensors[tensor_count].columns = columns;
    tensors[tensor_count++].values = values + value_count;
    for (size_t i = 0; i < count; i++)
        values[value_count++] = middle + spread * number();
}

static void add_both(const char *prefix, const char *name, size_t rows, size_t columns)
{
    char full[80];
    bool is_norm = columns == 0;
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    add_tensor(full, rows, columns, is_norm ? 1 : 0, is_norm ? 0.3f : 0.4f);
    snprintf(full, sizeof full, "%s%s.bias", prefix, name);
    add_tensor(full, rows, 0, 0, 0.2f);
}

static int make_weights(void **state)
{
    (void)state;
    seed = 7;
    add_tensor("distilbert.embeddings.word_embeddings.weight", WORDS, DIM, 0, 1);
    add_tensor("distilbert.embeddings.position_embeddings.weight", POSITIONS, DIM, 0, 1);
    add_both("distilbert.embeddings.", "LayerNorm", DIM, 0);
    for (int i = 0; i < LAYERS; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "distilbert.transformer.layer.%d.", i);
        add_both(prefix, "attention.q_lin", DIM, DIM);
        add_both(prefix, "attention.k_lin", DIM, DIM);
        add_both(prefix, "attention.v_lin", DIM, DIM);
        add_both(prefix, "attention.out_lin", DIM, DIM);
        add_both(prefix, "sa_layer_norm", DIM, 0);
        add_both(prefix, "ffn.lin1", HIDDEN, DIM);
        add_both(prefix, "ffn.lin2", DIM, HIDDEN);
        add_both(prefix, "output_layer_norm", DIM, 0);
    }
    add_both("", "pre_classifier", DIM, DIM);
    add_both("", "classifier", LABELS, DIM);
    return 0;
}

/* model.safetensors of them; the one of that index is called otherwise. */
static slice write_weights(size_t renamed)
{
    static char file[8 + HEADER_MAX + sizeof values];
    char *header = file + 8;
    int len = 0;
    for (size_t i = 0; i < tensor_count; i++) {
        size_t begin = (size_t)(tensors[i].values - values) * 4;
        size_t rows = tensors[i].rows, columns = tensors[i].columns;
        size_t end = begin + rows * (columns == 0 ? 1 : columns) * 4;
        char shape[48];
        snprintf(shape, sizeof shape, columns == 0 ? "%zu" : "%zu, %zu", rows, columns);
        len += snprintf(header + len, HEADER_MAX - (size_t)len,
                        "%c\"%s%s\": {\"dtype\": \"F32\", \"shape\": [%s], \"data_offsets\": "
                        "[%zu, %zu]}",
                        i == 0 ? '{' : ',', i == renamed ? "x" : "", tensors[i].name, shape, begin,
                        end);
        assert_true(len + 2 < HEADER_MAX);
    }
    header[len++] = '}';
    memset(file, 0, 8);
    file[0] = (char)(len & 0xff);
    file[1] = (char)(len >> 8);
    memcpy(header + len, values, value_count * 4);
    return (slice){ file, 8 + (size_t)len + value_count * 4 };
}

/* --- the same, plainly ---------------------------------------------------------------------- */

static const float *tensor(const char *prefix, const char *name, const char *end)
{
    char full[120];
    snprintf(full, sizeof full, "%s%s%s", prefix, name, end);
    for (size_t i = 0; i < tensor_count; i++)
        if (strcmp(tensors[i].name, full) == 0)
            return tensors[i].values;
    fail_msg("no %s", full);
    return NULL;
}

static void linear(const char *prefix, const char *name, const double *in, size_t inputs,
                   double *out, size_t outputs)
{
    const float *weight = tensor(prefix, name, ".weight"), *bias = tensor(prefix, name, ".bias");
    for (size_t o = 0; o < outputs; o++) {
        out[o] = (double)bias[o];
        for (size_t i = 0; i < inputs; i++)
            out[o] += (double)weight[o * inputs + i] * in[i];
    }
}

static void norm(const char *prefix, const char *name, double *x, const double *add)
{
    const float *weight = tensor(prefix, name, ".weight"), *bias = tensor(prefix, name, ".bias");
    double mean = 0, variance = 0;
    for (size_t i = 0; i < DIM; i++)
        x[i] += add[i];
    for (size_t i = 0; i < DIM; i++)
        mean += x[i] / DIM;
    for (size_t i = 0; i < DIM; i++)
        variance += (x[i] - mean) * (x[i] - mean) / DIM;
    for (size_t i = 0; i < DIM; i++)
        x[i] = (x[i] - mean) / sqrt(variance + 1e-12) * (double)weight[i] + (double)bias[i];
}

/* What a query makes of all tokens' keys and values, head by head. */
static void attend(const double *q, const double (*k)[DIM], const double (*v)[DIM], size_t count,
                   double *out)
{
    for (size_t first = 0; first < DIM; first += HEAD) {
        double weights[POSITIONS], most = -INFINITY, sum = 0;
        for (size_t t = 0; t < count; t++) {
            weights[t] = 0;
            for (size_t i = first; i < first + HEAD; i++)
                weights[t] += q[i] * k[t][i] / sqrt(HEAD);
            most = fmax(most, weights[t]);
        }
        for (size_t t = 0; t < count; t++)
            sum += weights[t] = exp(weights[t] - most);
        for (size_t i = first; i < first + HEAD; i++) {
            out[i] = 0;
            for (size_t t = 0; t < count; t++)
                out[i] += weights[t] / sum * v[t][i];
        }
    }
}

static void finish(const char *prefix, const double *attended, double *x)
{
    double add[DIM], hidden[HIDDEN];
    linear(prefix, "attention.out_lin", attended, DIM, add, DIM);
    norm(prefix, "sa_layer_norm", x, add);
    linear(prefix, "ffn.lin1", x, DIM, hidden, HIDDEN);
    for (size_t i = 0; i < HIDDEN; i++)
        hidden[i] *= 0.5 * erfc(-hidden[i] / sqrt(2));
    linear(prefix, "ffn.lin2", hidden, HIDDEN, add, DIM);
    norm(prefix, "output_layer_norm", x, add);
}

static void plainly(const uint32_t *ids, size_t count, double *logits)
{
    static double x[POSITIONS][DIM], q[POSITIONS][DIM], k[POSITIONS][DIM], v[POSITIONS][DIM];
    const float *words = tensor("distilbert.embeddings.", "word_embeddings", ".weight");
    const float *places = tensor("distilbert.embeddings.", "position_embeddings", ".weight");
    double attended[DIM], pooled[DIM];
    for (size_t t = 0; t < count; t++) {
        for (size_t i = 0; i < DIM; i++) {
            x[t][i] = (double)words[ids[t] * DIM + i];
            attended[i] = (double)places[t * DIM + i];
        }
        norm("distilbert.embeddings.", "LayerNorm", x[t], attended);
    }
    for (int layer = 0; layer < LAYERS; layer++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "distilbert.transformer.layer.%d.", layer);
        for (size_t t = 0; t < count; t++) {
            linear(prefix, "attention.q_lin", x[t], DIM, q[t], DIM);
            linear(prefix, "attention.k_lin", x[t], DIM, k[t], DIM);
            linear(prefix, "attention.v_lin", x[t], DIM, v[t], DIM);
        }
        for (size_t t = 0; t < count; t++) {
            attend(q[t], (const double(*)[DIM])k, (const double(*)[DIM])v, count, attended);
            finish(prefix, attended, x[t]);
        }
    }
    linear("", "pre_classifier", x[0], DIM, pooled, DIM);
    for (size_t i = 0; i < DIM; i++)
        pooled[i] = fmax(pooled[i], 0);
    linear("", "classifier", pooled, DIM, logits, LABELS);
}

/* --- a pass --------------------------------------------------------------------------------- */

/* One alone, one of more tokens than a tile sums up, one that fills no panel, whole panels. */
static const size_t lengths[] = { 1, 300, 17, 32, 129 };
enum { SEQUENCES = COUNT(lengths), TOKENS = 1 + 300 + 17 + 32 + 129 };
static uint32_t ids[TOKENS];
static double wanted[SEQUENCES][LABELS];

static int compute_plainly(void **state)
{
    size_t at = 0;
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = (uint32_t)((i * 7 + i / 20) % WORDS);
    for (size_t s = 0; s < SEQUENCES; at += lengths[s++])
        plainly(ids + at, lengths[s], wanted[s]);
    *state = NULL;
    return 0;
}

/* Of one thread or two; they end with the process. */
static struct pool *pool_of(unsigned threads)
{
    static struct pool *pools[2];
    struct pool **pool = &pools[threads - 1];
    if (*pool == NULL)
        assert_int_equal(pool_new(pool, threads, NULL), 0);
    return *pool;
}

static void open_network(struct network *network, const struct kernels *kernels, unsigned threads)
{
    struct err err = { 0 };
    if (network_open(network, slice_from(CONFIG), write_weights(SIZE_MAX), kernels,
                     pool_of(threads), &err) != 0)
        fail_msg("%s", err.text);
}

static void computes(const struct kernels *kernels, unsigned threads)
{
    struct network network;
    float logits[SEQUENCES * LABELS], alone[LABELS];
    size_t at = 0;
    open_network(&network, kernels, threads);
    network_run(&network, ids, lengths, SEQUENCES, logits);
    for (size_t s = 0; s < SEQUENCES; at += lengths[s++]) {
        for (size_t l = 0; l < LABELS; l++)
            if (!(fabs((double)logits[s * LABELS + l] - wanted[s][l]) < 2e-5))
                fail_msg("%s: sequence %zu, label %zu: %.9g instead of %.9g", kernels->name, s, l,
                         (double)logits[s * LABELS + l], wanted[s][l]);
        network_run(&network, ids + at, lengths + s, 1, alone);
        assert_memory_equal(alone, logits + s * LABELS, sizeof alone);
    }
    network_close(&network);
}

static void every_instruction_set_computes_the_same(void **state)
{
    static const char *const sets[] = { "avx512", "avx2", "portable" };
    (void)state;
    for (size_t i = 0; i < COUNT(sets); i++) {
        const struct kernels *kernels = kernels_choose(sets[i]);
        if (kernels != NULL)
            computes(kernels, 1);
    }
    computes(&kernels_emulated, 2);
}

/* The results differ from sequence to sequence by far more than may be wrong with one. */
static void the_sequences_differ(void **state)
{
    (void)state;
    for (size_t s = 1; s < SEQUENCES; s++)
        assert_true(fabs(wanted[s][0] - wanted[s - 1][0]) > 1e-3);
}

static void as_many_short_ones_as_a_pass_takes(void **state)
{
    struct network network;
    uint32_t all[NETWORK_BUDGET_TOKENS];
    size_t each[NETWORK_SEQUENCES_MAX];
    static float logits[NETWORK_SEQUENCES_MAX * LABELS];
    float alone[LABELS];
    (void)state;
    for (size_t i = 0; i < COUNT(all); i++)
        all[i] = (uint32_t)(i * i % WORDS);
    for (size_t i = 0; i < COUNT(each); i++)
        each[i] = NETWORK_BUDGET_TOKENS / NETWORK_SEQUENCES_MAX;
    open_network(&network, kernels_choose(NULL), 2);
    network_run(&network, all, each, COUNT(each), logits);
    for (size_t i = 0; i < COUNT(each); i++) {
        network_run(&network, all + i * each[0], each, 1, alone);
        assert_memory_equal(alone, logits + i * LABELS, sizeof alone);
    }
    network_close(&network);
}

/* --- configurations ------------------------------------------------------------------------- */

static void refused(const char *config, slice weights, const char *words)
{
    struct network network;
    struct err err = { 0 };
    assert_int_equal(
        network_open(&network, slice_from(config), weights, &kernels_portable, pool_of(1), &err),
        ERR_INPUT);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" instead of \"...%s...\" for %s", err.text, words, config);
}

#define BEGIN "{\"model_type\": \"distilbert\", "
#define LABEL ", \"id2label\": {\"0\": \"a\"}}"
#define SIZED(dim, heads, layers, hidden, positions, words)                       \
    BEGIN "\"dim\": " dim ", \"n_heads\": " heads ", \"n_layers\": " layers       \
          ", \"hidden_dim\": " hidden ", \"max_position_embeddings\": " positions \
          ", \"vocab_size\": " words LABEL

static void what_is_wrong_with_a_configuration(void **state)
{
    static const char *const cases[][2] = {
        { "{", "config.json: " },
        { "[1]", "config.json: it is not a JSON object" },
        { "{}", "\"model_type\" is missing" },
        { "{\"model_type\": \"bert\"}", "\"model_type\" is \"bert\"; only \"distilbert\"" },
        { "{\"model_type\": 7}", "\"model_type\" is 7; only" },
        { BEGIN "\"activation\": \"relu\"}", "\"activation\" is \"relu\"; only \"gelu\"" },
        { BEGIN "\"activation\": \"gelu\"}", "\"dim\" is missing" },
        { SIZED("0", "1", "1", "1", "2", "1"),
          "\"dim\" is 0; it must be a number from 1 to 65536" },
        { SIZED("65537", "1", "1", "1", "2", "1"), "\"dim\" is 65537" },
        { SIZED("-4", "1", "1", "1", "2", "1"), "\"dim\" is -4" },
        { SIZED("\"4\"", "1", "1", "1", "2", "1"), "\"dim\" is \"4\"" },
        { SIZED("4", "65537", "1", "1", "2", "1"), "\"n_heads\" is 65537" },
        { SIZED("4", "1", "1001", "1", "2", "1"), "from 1 to 1000" },
        { SIZED("4", "1", "1", "65537", "2", "1"), "\"hidden_dim\" is 65537" },
        { SIZED("4", "1", "1", "1", "16777217", "1"), "from 1 to 16777216" },
        { SIZED("4", "1", "1", "1", "2", "16777217"), "\"vocab_size\" is 16777217" },
        { SIZED("6", "4", "1", "1", "2", "1"), "\"dim\" (6) is not a multiple of \"n_heads\" (4)" },
        { SIZED("514", "2", "1", "1", "2", "1"), "a head of 257 features is larger than 256" },
        { SIZED("512", "2", "1", "1", "1", "1"), "\"max_position_embeddings\" is less than 2" },
        { BEGIN SIZES "}", "\"id2label\" is missing" },
        { BEGIN SIZES ", \"id2label\": [\"a\"]}", "\"id2label\" is missing" },
        { BEGIN SIZES ", \"id2label\": {}}", "\"id2label\" has 0 labels; it must have 1 to 64" },
        { BEGIN SIZES ", \"id2label\": {\"1\": \"a\"}}", "\"id2label\" has no name for 0" },
        { BEGIN SIZES ", \"id2label\": {\"0\": \"a\", \"1\": 1}}", "has no name for 1" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        refused(cases[i][0], write_weights(SIZE_MAX), cases[i][1]);
}

/* As many labels as there may be, and one more. */
static void labels_are_counted(void **state)
{
    char config[4096];
    (void)state;
    for (int count = NETWORK_LABELS_MAX; count <= NETWORK_LABELS_MAX + 1; count++) {
        struct network network = { .kernels = NULL };
        struct err err = { 0 };
        int len = snprintf(config, sizeof config, BEGIN SIZES ", \"id2label\": ");
        for (int i = 0; i < count; i++)
            len += snprintf(config + len, sizeof config - (size_t)len, "%c\"%d\": \"l%d\"",
                            i == 0 ? '{' : ',', i, i);
        snprintf(config + len, sizeof config - (size_t)len, "}}");
        arena_init(&network.arena, SIZE_MAX / 2);
        int rc = network_read_config(&network, slice_from(config), &err);
        assert_int_equal(rc, count == NETWORK_LABELS_MAX ? 0 : ERR_INPUT);
        arena_free(&network.arena);
    }
}

static void what_a_configuration_says(void **state)
{
    static const char text[] = " " CONFIG "\n";
    struct network network = { .kernels = NULL };
    struct err err = { 0 };
    (void)state;
    arena_init(&network.arena, SIZE_MAX / 2);
    assert_int_equal(network_read_config(&network, slice_from(text), &err), 0);
    assert_int_equal(network.config.dim, DIM);
    assert_int_equal(network.config.heads, HEADS);
    assert_int_equal(network.config.layers, LAYERS);
    assert_int_equal(network.config.hidden, HIDDEN);
    assert_int_equal(network.config.positions, POSITIONS);
    assert_int_equal(network.config.vocabulary, WORDS);
    assert_int_equal(network.config.labels, LABELS);
    assert_true(slice_is(network.config.label[0], "negative"));
    assert_true(slice_is(network.config.label[1], "zz[@`{"));
    assert_true(slice_is(network.config.label[2], "c"));
    arena_free(&network.arena);
}

/* --- weights that do not fit ---------------------------------------------------------------- */

static void each_tensor_is_needed(void **state)
{
    char words[120];
    (void)state;
    for (size_t i = 0; i < tensor_count; i++) {
        snprintf(words, sizeof words, "%s", tensors[i].name);
        refused(CONFIG, write_weights(i), words);
        refused(CONFIG, write_weights(i), "model.safetensors");
    }
}

/* Every size but the number of heads shows in the weights. */
static void each_size_is_that_of_the_weights(void **state)
{
    static const char *const cases[][2] = {
        { SIZED("20", "2", "2", "200", "320", "20"), "word_embeddings" },
        { SIZED("40", "2", "3", "200", "320", "20"), "transformer.layer.2" },
        { SIZED("40", "2", "2", "199", "320", "20"), "ffn.lin1" },
        { SIZED("40", "2", "2", "200", "321", "20"), "position_embeddings" },
        { SIZED("40", "2", "2", "200", "320", "21"), "word_embeddings" },
        { SIZED("40", "2", "2", "200", "320", "20"), "classifier" }, /* of one label */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        refused(cases[i][0], write_weights(SIZE_MAX), cases[i][1]);
    refused(CONFIG, (slice){ "1234567", 7 }, "model.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_instruction_set_computes_the_same, compute_plainly),
        cmocka_unit_test(the_sequences_differ),
        cmocka_unit_test(as_many_short_ones_as_a_pass_takes),
        cmocka_unit_test(what_is_wrong_with_a_configuration),
        cmocka_unit_test(labels_are_counted),
        cmocka_unit_test(what_a_configuration_says),
        cmocka_unit_test(each_tensor_is_needed),
        cmocka_unit_test(each_size_is_that_of_the_weights),
    };
    return cmocka_run_group_tests_name("sentiment_network", tests, make_weights, NULL);
}
