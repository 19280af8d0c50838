/* The interpreter's reader: tokens, symbols, and the operands of statements. See ptx.h. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ptx_text.h"

const struct type_facts ptx_types[TYPES] = {
    [NO_TYPE] = { "", 0, BITS },      [PRED] = { "pred", 0, BITS }, [B8] = { "b8", 1, BITS },
    [U8] = { "u8", 1, UNSIGNED },     [S8] = { "s8", 1, SIGNED },   [B16] = { "b16", 2, BITS },
    [U16] = { "u16", 2, UNSIGNED },   [S16] = { "s16", 2, SIGNED }, [F16] = { "f16", 2, FLOAT },
    [BF16] = { "bf16", 2, FLOAT },    [B32] = { "b32", 4, BITS },   [U32] = { "u32", 4, UNSIGNED },
    [S32] = { "s32", 4, SIGNED },     [F32] = { "f32", 4, FLOAT },  [F16X2] = { "f16x2", 4, PAIR },
    [BF16X2] = { "bf16x2", 4, PAIR }, [B64] = { "b64", 8, BITS },   [U64] = { "u64", 8, UNSIGNED },
    [S64] = { "s64", 8, SIGNED },     [F64] = { "f64", 8, FLOAT },
};

enum type ptx_type_of(const char *name)
{
    for (int type = PRED; type < TYPES; type++)
        if (strcmp(ptx_types[type].name, name) == 0)
            return (enum type)type;
    return NO_TYPE;
}

bool ptx_error(struct parser *parser, const char *format, ...)
{
    va_list args;
    char what[192], statement[128] = "";
    if (!parser->has_failed) {
        va_start(args, format);
        vsnprintf(what, sizeof what, format, args);
        va_end(args);
        if (parser->statement != NULL)
            ptx_statement(parser->statement, statement, sizeof statement);
        snprintf(parser->error, parser->error_bytes, "line %u; %s%s%s", parser->line, what,
                 *statement != '\0' ? ": " : "", statement);
    }
    parser->has_failed = true;
    parser->token[0] = '\0'; /* ends whatever loop reads on */
    parser->at = "";
    return false;
}

struct ptx_kernel *ptx_kernel_of(struct parser *parser)
{
    return parser->kernel;
}

void *ptx_grow(void *all, size_t count, size_t *room, size_t bytes)
{
    if (count < *room)
        return all;
    *room = *room == 0 ? 64 : *room * 2;
    all = realloc(all, *room * bytes);
    if (all == NULL)
        abort();
    return all;
}

/* --- tokens --------------------------------------------------------------------------------- */

static void skip_space(struct parser *parser)
{
    const char *at = parser->at;
    for (;; at++) {
        if (at[0] == '/' && at[1] == '/')
            at += strcspn(at, "\n");
        if (at[0] == '/' && at[1] == '*')
            for (at += 2; at[0] != '\0' && !(at[0] == '*' && at[1] == '/'); at++)
                parser->line += *at == '\n';
        else if (*at == '\0' || !isspace((unsigned char)*at))
            break;
        if (*at == '\0')
            break;
        parser->line += *at == '\n';
        at += *at == '*'; /* of the end of a comment */
    }
    parser->at = at;
}

static bool is_word(const char *at)
{
    return isalnum((unsigned char)*at) || (*at != '\0' && strchr("_$%.", *at) != NULL);
}

void ptx_next(struct parser *parser)
{
    size_t len = 0;
    if (parser->has_failed)
        return;
    skip_space(parser);
    const char *at = parser->at;
    while (is_word(at + len) || (len > 0 && at[len] == ':' && at[len + 1] == ':'))
        len += at[len] == ':' ? 2 : 1;
    if (len == 0 && *at != '\0')
        len = 1;
    if (len >= sizeof parser->token) {
        ptx_error(parser, "error   : a name that is too long");
        return;
    }
    memcpy(parser->token, at, len);
    parser->token[len] = '\0';
    parser->at += len;
}

bool ptx_is(const struct parser *parser, const char *token)
{
    return strcmp(parser->token, token) == 0;
}

bool ptx_accept(struct parser *parser, const char *token)
{
    bool found = ptx_is(parser, token);
    if (found)
        ptx_next(parser);
    return found;
}

bool ptx_syntax_error(struct parser *parser)
{
    char token[NAME_BYTES];
    memcpy(token, parser->token, sizeof token);
    return ptx_error(parser, "fatal   : Parsing error near '%s': syntax error", token);
}

void ptx_expect(struct parser *parser, const char *token)
{
    if (!ptx_accept(parser, token))
        ptx_syntax_error(parser);
}

void ptx_take_name(struct parser *parser, char *name)
{
    if (!isalpha((unsigned char)parser->token[0]) &&
        (parser->token[0] == '\0' || strchr("_$%", parser->token[0]) == NULL))
        ptx_syntax_error(parser);
    memcpy(name, parser->token, NAME_BYTES);
    ptx_next(parser);
}

void ptx_skip_line(struct parser *parser)
{
    parser->at += strcspn(parser->at, "\n");
    ptx_next(parser);
}

uint64_t ptx_take_number(struct parser *parser)
{
    char *end;
    bool is_negative = ptx_accept(parser, "-");
    uint64_t number = strtoull(parser->token, &end, 0);
    if (end == parser->token || strspn(end, "U") != strlen(end))
        ptx_syntax_error(parser);
    ptx_next(parser);
    return is_negative ? -number : number;
}

/* --- symbols -------------------------------------------------------------------------------- */

struct symbol *ptx_new_symbol(struct parser *parser, const char *name, enum symbol_kind kind)
{
    parser->symbols = ptx_grow(parser->symbols, parser->symbol_count, &parser->symbol_room,
                               sizeof *parser->symbols);
    struct symbol *symbol = &parser->symbols[parser->symbol_count++];
    *symbol = (struct symbol){ .kind = kind };
    memcpy(symbol->name, name, NAME_BYTES);
    return symbol;
}

/* The symbol a name stands for, the latest first; the register's number in *index. */
static const struct symbol *find_symbol(const struct parser *parser, const char *name,
                                        unsigned *index)
{
    for (size_t i = parser->symbol_count; i-- > 0;) {
        const struct symbol *symbol = &parser->symbols[i];
        size_t len = strlen(symbol->name);
        char *end;
        *index = symbol->first;
        if (strcmp(symbol->name, name) == 0 && symbol->count == 0)
            return symbol;
        if (symbol->count == 0 || strncmp(symbol->name, name, len) != 0 ||
            !isdigit((unsigned char)name[len]))
            continue;
        unsigned long number = strtoul(name + len, &end, 10);
        *index += (unsigned)number;
        if (*end == '\0' && number < symbol->count)
            return symbol;
    }
    return NULL;
}

unsigned ptx_new_registers(struct parser *parser, bool is_pred, unsigned count)
{
    size_t *counter = is_pred ? &parser->kernel->pred_count : &parser->kernel->reg_count;
    size_t first = *counter;
    *counter += count;
    if (*counter > UINT16_MAX)
        ptx_error(parser, "error   : too many registers");
    return (unsigned)first;
}

static void add_preset(struct ptx_kernel *kernel, const struct preset *preset)
{
    kernel->presets = ptx_grow(kernel->presets, kernel->preset_count, &kernel->preset_room,
                               sizeof *preset);
    kernel->presets[kernel->preset_count++] = *preset;
}

unsigned ptx_constant(struct parser *parser, const struct operand *number, enum type type)
{
    struct preset preset = { .value = number->bits,
                             .is_dynamic = number->is_dynamic,
                             .is_wide = ptx_types[type].bytes == 8 };
    float narrow = (float)number->real;
    uint32_t narrow_bits;
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    if (number->kind == REAL && type == F32)
        preset.value = narrow_bits;
    else if (number->kind == REAL && type == F64)
        memcpy(&preset.value, &number->real, sizeof preset.value);
    else if (number->kind == REAL)
        ptx_error(parser, "error   : a number with a fraction for a type without");
    if (number->kind == SPECIAL)
        preset.special = (unsigned char)number->index;
    preset.reg = (uint16_t)ptx_new_registers(parser, false, 1);
    add_preset(parser->kernel, &preset);
    return preset.reg;
}

/* --- operands ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum special special;
} specials[] = {
    { "%tid.x", TID },
    { "%tid.y", TID + 1 },
    { "%tid.z", TID + 2 },
    { "%ntid.x", NTID },
    { "%ntid.y", NTID + 1 },
    { "%ntid.z", NTID + 2 },
    { "%ctaid.x", CTAID },
    { "%ctaid.y", CTAID + 1 },
    { "%ctaid.z", CTAID + 2 },
    { "%nctaid.x", NCTAID },
    { "%nctaid.y", NCTAID + 1 },
    { "%nctaid.z", NCTAID + 2 },
    { "%laneid", LANEID },
    { "%warpid", WARPID },
    { "%nwarpid", NWARPID },
    { "%lanemask_eq", MASK_EQ },
    { "%lanemask_lt", MASK_LT },
    { "%lanemask_le", MASK_LE },
    { "%lanemask_gt", MASK_GT },
    { "%lanemask_ge", MASK_GE },
    { "%dynamic_smem_size", DYNAMIC_BYTES },
    { "%clock", CLOCK },
    { "%clock64", CLOCK64 },
    { "%globaltimer", GLOBALTIMER },
};

static bool take_special(struct parser *parser, struct operand *operand)
{
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++)
        if (ptx_is(parser, specials[i].name)) {
            operand->kind = SPECIAL;
            operand->index = specials[i].special;
            operand->type = specials[i].special >= CLOCK64 ? U64 : U32;
            ptx_next(parser);
            return true;
        }
    return false;
}

/* 12, -1, 0x1f, 1.5, and 0f3f800000 and 0d..., which are the bits of a float and a double. */
static void take_constant(struct parser *parser, struct operand *operand)
{
    const char *token = parser->token;
    if (token[0] == '0' && (tolower((unsigned char)token[1]) == 'f') && strlen(token) == 10) {
        uint32_t bits = (uint32_t)strtoul(token + 2, NULL, 16);
        float value;
        memcpy(&value, &bits, sizeof value);
        *operand = (struct operand){ .kind = REAL, .real = (double)value };
    } else if (token[0] == '0' && tolower((unsigned char)token[1]) == 'd') {
        operand->bits = strtoull(token + 2, NULL, 16);
        operand->kind = REAL;
        memcpy(&operand->real, &operand->bits, sizeof operand->real);
    } else if (strchr(token, '.') != NULL) {
        operand->kind = REAL;
        operand->real = strtod(token, NULL);
    } else {
        operand->kind = INTEGER;
        operand->bits = ptx_take_number(parser);
        return;
    }
    ptx_next(parser);
}

static bool take_symbol(struct parser *parser, struct operand *operand)
{
    unsigned index;
    const struct symbol *symbol = find_symbol(parser, parser->token, &index);
    if (symbol == NULL)
        return false;
    operand->kind = symbol->kind == IS_REG    ? REGISTER
                    : symbol->kind == IS_PRED ? PREDICATE
                                              : INTEGER;
    operand->index = index;
    operand->type = symbol->type;
    operand->bits = symbol->value;
    operand->is_dynamic = symbol->kind == IS_DYNAMIC;
    ptx_next(parser);
    return true;
}

void ptx_take_simple(struct parser *parser, struct operand *operand)
{
    unsigned index;
    operand->is_not = ptx_accept(parser, "!");
    if (isdigit((unsigned char)parser->token[0]) || ptx_is(parser, "-")) {
        take_constant(parser, operand);
    } else if (ptx_is(parser, "_")) {
        operand->is_sink = true;
        ptx_next(parser);
    } else if (!take_special(parser, operand) && !take_symbol(parser, operand)) {
        operand->kind = LABEL;
        ptx_take_name(parser, operand->name);
    }
    if (!ptx_is(parser, "|"))
        return;
    ptx_next(parser);
    const struct symbol *second = find_symbol(parser, parser->token, &index);
    if (second == NULL || second->kind != IS_PRED)
        ptx_syntax_error(parser);
    operand->has_second = true;
    operand->index2 = index;
    ptx_next(parser);
}

static void take_address(struct parser *parser, struct operand *operand, struct operand *base)
{
    ptx_expect(parser, "[");
    operand->kind = ADDRESS;
    operand->elements = base;
    ptx_take_simple(parser, base);
    if (base->kind != REGISTER && base->kind != INTEGER)
        ptx_error(parser, "error   : unknown symbol '%s'", base->name);
    if (ptx_accept(parser, "+"))
        operand->offset = (int64_t)ptx_take_number(parser);
    else if (ptx_is(parser, "-"))
        operand->offset = (int64_t)ptx_take_number(parser);
    ptx_expect(parser, "]");
}

void ptx_take_operand(struct parser *parser, struct operand *operand, struct operand *elements)
{
    *operand = (struct operand){ 0 };
    memset(elements, 0, 4 * sizeof *elements);
    if (ptx_is(parser, "[")) {
        take_address(parser, operand, elements);
        return;
    }
    if (!ptx_accept(parser, "{")) {
        ptx_take_simple(parser, operand);
        return;
    }
    operand->kind = VECTOR;
    operand->elements = elements;
    do {
        if (operand->count == 4) {
            ptx_syntax_error(parser);
            return;
        }
        ptx_take_simple(parser, &elements[operand->count++]);
    } while (ptx_accept(parser, ","));
    ptx_expect(parser, "}");
}

/* --- what is shown of the text ---------------------------------------------------------------- */

void ptx_statement(const char *at, char *text, size_t bytes)
{
    size_t len = 0;
    for (; *at != '\0' && *at != ';' && len + 1 < bytes; at++) {
        char next = isspace((unsigned char)*at) ? ' ' : *at;
        if (next != ' ' || len == 0 || text[len - 1] != ' ')
            text[len++] = next;
    }
    text[len] = '\0';
}
