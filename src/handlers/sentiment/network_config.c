/* config.json of a DistilBERT, checked. */
#include <inttypes.h>
#include <stdio.h>

#include "handlers/sentiment/network_private.h"
#include "json/json.h"

#define SIZE_LIMIT 65536 /* of a width: far beyond any model, and products of two fit 64 bits */

static int read_size(slice config, const char *name, size_t limit, size_t *out, struct err *err)
{
    slice value;
    int64_t number;
    if (!json_member(config, name, &value))
        return err_set(err, ERR_INPUT, "\"%s\" is missing", name);
    if (json_int(value, &number, NULL) != 0 || number < 1 || (uint64_t)number > limit)
        return err_set(err, ERR_INPUT, "\"%s\" is %.*s; it must be a number from 1 to %zu", name,
                       SLICE_ARG(value), limit);
    *out = (size_t)number;
    return 0;
}

/* A text that must be the one this program computes; optional: it may be missing. */
static int check_text(slice config, const char *name, const char *wanted, bool optional,
                      struct err *err)
{
    slice value;
    if (!json_member(config, name, &value))
        return optional ? 0 : err_set(err, ERR_INPUT, "\"%s\" is missing", name);
    if (json_type(value) != RP_STRING || !slice_is((slice){ value.ptr + 1, value.len - 2 }, wanted))
        return err_set(err, ERR_INPUT, "\"%s\" is %.*s; only \"%s\" is supported", name,
                       SLICE_ARG(value), wanted);
    return 0;
}

static int lower(struct network *network, slice *text, struct err *err)
{
    char *copy = arena_alloc(&network->arena, text->len + 1);
    if (copy == NULL)
        return err_set(err, ERR_MEMORY, "out of memory for the labels");
    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i];
        copy[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    text->ptr = copy;
    return 0;
}

static int read_label(struct network *network, slice names, size_t index, struct err *err)
{
    char key[24];
    slice value, *label = &network->config.label[index];
    snprintf(key, sizeof key, "%zu", index);
    if (!json_member(names, key, &value) || json_type(value) != RP_STRING)
        return err_set(err, ERR_INPUT, "\"id2label\" has no name for %zu", index);
    int rc = json_string(value, &network->arena, label, err);
    return rc != 0 ? rc : lower(network, label, err);
}

static int read_labels(struct network *network, slice config, struct err *err)
{
    slice names, name, value;
    size_t count = 0;
    if (!json_member(config, "id2label", &names) || json_type(names) != RP_OBJECT)
        return err_set(err, ERR_INPUT, "\"id2label\" is missing: it names the labels");
    for (size_t pos = 0; json_next_member(names, &pos, &name, &value);)
        count++;
    if (count < 1 || count > NETWORK_LABELS_MAX)
        return err_set(err, ERR_INPUT, "\"id2label\" has %zu labels; it must have 1 to %d", count,
                       NETWORK_LABELS_MAX);
    network->config.labels = count;
    for (size_t i = 0; i < count; i++) {
        int rc = read_label(network, names, i, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_sizes(struct network_config *into, slice config, struct err *err)
{
    const struct {
        const char *name;
        size_t limit, *out;
    } sizes[] = {
        { "dim", SIZE_LIMIT, &into->dim },
        { "n_heads", SIZE_LIMIT, &into->heads },
        { "n_layers", 1000, &into->layers },
        { "hidden_dim", SIZE_LIMIT, &into->hidden },
        { "max_position_embeddings", 1u << 24, &into->positions },
        { "vocab_size", 1u << 24, &into->vocabulary },
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int rc = read_size(config, sizes[i].name, sizes[i].limit, sizes[i].out, err);
        if (rc != 0)
            return rc;
    }
    if (into->dim % into->heads != 0)
        return err_set(err, ERR_INPUT, "\"dim\" (%zu) is not a multiple of \"n_heads\" (%zu)",
                       into->dim, into->heads);
    if (into->dim / into->heads > KERNEL_DEPTH)
        return err_set(err, ERR_INPUT, "a head of %zu features is larger than %d",
                       into->dim / into->heads, KERNEL_DEPTH);
    if (into->positions < 2)
        return err_set(err, ERR_INPUT, "\"max_position_embeddings\" is less than 2");
    return 0;
}

int network_read_config(struct network *network, slice config, struct err *err)
{
    int rc = json_check(config, NULL, err);
    if (rc != 0)
        return rc;
    config = json_trim(config);
    if (json_type(config) != RP_OBJECT)
        return err_set(err, ERR_INPUT, "it is not a JSON object");
    rc = check_text(config, "model_type", "distilbert", false, err);
    if (rc == 0)
        rc = check_text(config, "activation", "gelu", true, err);
    if (rc == 0)
        rc = read_sizes(&network->config, config, err);
    return rc != 0 ? rc : read_labels(network, config, err);
}
