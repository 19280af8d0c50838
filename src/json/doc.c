/* The document view: jsmn's tokens, with links between siblings. */
#include "json/json.h"
#include "json/scan.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include "jsmn.h"
#pragma GCC diagnostic pop

_Static_assert(sizeof(jsmntok_t) == 20, "the README names 20 bytes a token");
_Static_assert(sizeof(size_t) == 8, "the size of all tokens is computed without overflow");

static const jsmntok_t *token_at(const struct json_doc *doc, uint32_t index)
{
    const jsmntok_t *tokens = doc->tokens;
    return index < doc->count ? tokens + index : NULL;
}

/* jsmn in strict mode refuses a document that is a scalar. */
static void make_scalar(jsmntok_t *token, slice text, slice value)
{
    int start = (int)(value.ptr - text.ptr), end = start + (int)value.len;
    *token = value.ptr[0] == '"' ? (jsmntok_t){ JSMN_STRING, start + 1, end - 1, 0, -1 }
                                 : (jsmntok_t){ JSMN_PRIMITIVE, start, end, 0, -1 };
}

/*
 * Once jsmn has finished, its links to parents are not needed: each is replaced by the index of the
 * next sibling, -1 for the last. Siblings are values: members' names (strings of size 1) are
 * skipped. False where containers are nested too deep, which checked text is not.
 */
static bool link_siblings(jsmntok_t *tokens, uint32_t count)
{
    uint32_t open[JSON_DOC_DEPTH_MAX];     /* containers, */
    uint32_t youngest[JSON_DOC_DEPTH_MAX]; /* and their last child so far */
    unsigned depth = 0;
    for (uint32_t i = 0; i < count; i++) {
        while (depth > 0 && tokens[i].start >= tokens[open[depth - 1]].end)
            depth--;
        tokens[i].parent = -1;
        if (tokens[i].type == JSMN_STRING && tokens[i].size != 0)
            continue;
        if (depth > 0) {
            if (youngest[depth - 1] != 0)
                tokens[youngest[depth - 1]].parent = (int)i;
            youngest[depth - 1] = i;
        }
        if (tokens[i].type == JSMN_OBJECT || tokens[i].type == JSMN_ARRAY) {
            if (depth == JSON_DOC_DEPTH_MAX)
                return false;
            open[depth] = i;
            youngest[depth++] = 0;
        }
    }
    return true;
}

int json_doc_init(struct json_doc *doc, slice text, const struct json_info *info,
                  struct arena *arena, struct err *err)
{
    uint32_t values = info->values;
    slice document = json_trim(text);
    enum rp_type type = json_type(document);
    *doc = (struct json_doc){ .text = text };
    if (type == RP_NONE || values == 0 || text.len > JSON_TEXT_MAX_BYTES)
        return err_set(err, ERR_INPUT, "the text to be read as JSON has not passed the check");
    if (info->depth > JSON_DOC_DEPTH_MAX)
        return err_set(err, ERR_LIMIT,
                       "JSON is nested %u deep, over the limit of %d for reading "
                       "members",
                       info->depth, JSON_DOC_DEPTH_MAX);
    jsmntok_t *tokens = arena_alloc(arena, values * sizeof *tokens);
    if (tokens == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the tokens of %u JSON values", values);
    if (type != RP_OBJECT && type != RP_ARRAY) {
        make_scalar(tokens, text, document);
    } else {
        jsmn_parser parser;
        jsmn_init(&parser);
        int count = jsmn_parse(&parser, text.ptr, text.len, tokens, values);
        if (count < 0 || (uint32_t)count != values || !link_siblings(tokens, values))
            return err_set(err, ERR_INPUT, "this is not the JSON that was checked");
    }
    doc->tokens = tokens;
    doc->count = values;
    return 0;
}

enum rp_type json_doc_type(const struct json_doc *doc, uint32_t index)
{
    return json_type(json_doc_raw(doc, index));
}

slice json_doc_raw(const struct json_doc *doc, uint32_t index)
{
    const jsmntok_t *token = token_at(doc, index);
    if (token == NULL)
        return (slice){ NULL, 0 };
    int quote = token->type == JSMN_STRING;
    const char *first = doc->text.ptr + token->start - quote;
    return (slice){ first, (size_t)(token->end - token->start + 2 * quote) };
}

uint32_t json_doc_count(const struct json_doc *doc, uint32_t index)
{
    const jsmntok_t *token = token_at(doc, index);
    return token == NULL ? 0 : (uint32_t)token->size;
}

uint32_t json_doc_first(const struct json_doc *doc, uint32_t container)
{
    const jsmntok_t *token = token_at(doc, container);
    if (token == NULL || token->size == 0)
        return JSON_NONE;
    return container + (token->type == JSMN_OBJECT ? 2 : 1); /* a member's name comes first */
}

uint32_t json_doc_next(const struct json_doc *doc, uint32_t child)
{
    const jsmntok_t *token = token_at(doc, child);
    return token == NULL || token->parent < 0 ? JSON_NONE : (uint32_t)token->parent;
}

slice json_doc_name(const struct json_doc *doc, uint32_t child)
{
    const jsmntok_t *before = child == 0 ? NULL : token_at(doc, child - 1);
    if (before == NULL || before->type != JSMN_STRING || before->size == 0)
        return (slice){ NULL, 0 };
    return json_doc_raw(doc, child - 1);
}

uint32_t json_doc_member(const struct json_doc *doc, uint32_t object, slice name)
{
    uint32_t found = JSON_NONE;
    if (json_doc_type(doc, object) != RP_OBJECT)
        return JSON_NONE;
    for (uint32_t child = json_doc_first(doc, object); child != JSON_NONE;
         child = json_doc_next(doc, child)) {
        slice quoted = json_doc_name(doc, child);
        if (json_name_is((slice){ quoted.ptr + 1, quoted.len - 2 }, name))
            found = child;
    }
    return found;
}

uint32_t json_doc_element(const struct json_doc *doc, uint32_t array, uint32_t position)
{
    if (json_doc_type(doc, array) != RP_ARRAY)
        return JSON_NONE;
    uint32_t child = json_doc_first(doc, array);
    for (; position > 0 && child != JSON_NONE; position--)
        child = json_doc_next(doc, child);
    return child;
}
