/* The interpreter's decoder: from a statement's words to what executes it. See ptx.h. */
#include <stdio.h>

#include "ptx_decode.h"

static const struct operand nothing;

const struct operand *ptx_operand(const struct work *work, unsigned i)
{
    return i < work->statement->operand_count ? &work->statement->operands[i] : &nothing;
}

bool ptx_has(const struct work *work, const char *mod)
{
    for (unsigned i = 0; i < work->statement->mod_count; i++)
        if (strcmp(work->statement->mods[i], mod) == 0)
            return true;
    return false;
}

bool ptx_unknown(const struct work *work)
{
    char name[2 * NAME_BYTES];
    int len = snprintf(name, sizeof name, "%s", work->statement->text);
    for (unsigned i = 0; i < work->statement->mod_count && len < (int)NAME_BYTES; i++)
        len += snprintf(name + len, NAME_BYTES, ".%s", work->statement->mods[i]);
    return ptx_error(work->parser, "error   : unknown instruction '%s'", name);
}

static bool in_list(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = strstr(list, word); at != NULL; at = strstr(at + 1, word))
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

bool ptx_only(const struct work *work, const char *list)
{
    for (unsigned i = 0; i < work->statement->mod_count; i++)
        if (ptx_type_of(work->statement->mods[i]) == NO_TYPE &&
            !in_list(list, work->statement->mods[i]))
            return ptx_unknown(work);
    return true;
}

/* --- operands ------------------------------------------------------------------------------- */

bool ptx_wrong_operand(const struct work *work, const char *why)
{
    return ptx_error(work->parser, "error   : %s of instruction '%s'", why, work->statement->text);
}

bool ptx_source(const struct work *work, const struct operand *from, enum type type, bool wider,
                uint16_t *index)
{
    unsigned bytes = ptx_types[type].bytes;
    if (from->kind == LABEL)
        return ptx_error(work->parser, "error   : Unknown symbol '%s'", from->name);
    if (from->kind == REGISTER) {
        unsigned own = ptx_types[from->type].bytes;
        *index = (uint16_t)from->index;
        return own == bytes || (wider && own > bytes) ||
               ptx_wrong_operand(work, "Arguments mismatch: the size of an operand");
    }
    if ((from->kind != INTEGER && from->kind != REAL && from->kind != SPECIAL) ||
        (from->kind == SPECIAL && from->index >= CLOCK))
        return ptx_wrong_operand(work, "Arguments mismatch: the kind of an operand");
    if (from->kind == INTEGER && ptx_types[type].kind == FLOAT)
        return ptx_wrong_operand(work, "Arguments mismatch: an integer for a float");
    *index = (uint16_t)ptx_constant(work->parser, from, type);
    return true;
}

bool ptx_target(const struct work *work, const struct operand *to, enum type type, bool wider,
                uint16_t *index)
{
    return to->kind == REGISTER ? ptx_source(work, to, type, wider, index)
                                : ptx_wrong_operand(work, "the destination is not a register");
}

bool ptx_is_wide(const struct operand *from, enum type type)
{
    return ptx_types[from->kind == REGISTER ? from->type : type].bytes == 8;
}

bool ptx_predicate(const struct work *work, const struct operand *from, uint16_t *index)
{
    *index = (uint16_t)from->index;
    return from->kind == PREDICATE || ptx_wrong_operand(work, "a predicate is missing");
}

bool ptx_base_of(const struct work *work, const struct operand *address, uint16_t *index)
{
    if (address->kind != ADDRESS)
        return ptx_wrong_operand(work, "an address is missing");
    const struct operand *base = address->elements;
    bool is_register = base->kind == REGISTER;
    work->in->is_wide_address = !is_register || ptx_types[base->type].bytes == 8;
    work->in->offset = address->offset;
    return ptx_source(work, base, work->in->is_wide_address ? U64 : U32, false, index);
}

/* --- forms with registers only -------------------------------------------------------------- */

static const enum type twice[TYPES] = {
    [U16] = U32, [S16] = S32, [U32] = U64, [S32] = S64, [B32] = B64
};

bool ptx_take_by_pattern(const struct work *work, const char *pattern)
{
    struct instr *in = work->in;
    if (strlen(pattern) != work->statement->operand_count)
        return ptx_wrong_operand(work, "the number of operands");
    for (unsigned i = 0; pattern[i] != '\0'; i++) {
        const struct operand *from = ptx_operand(work, i);
        uint16_t *index = i == 0 ? &in->dst[0] : &in->src[i - 1];
        enum type type = pattern[i] == 'T'   ? work->types[1]
                         : pattern[i] == 'w' ? twice[work->types[0]]
                         : pattern[i] == 'i' ? U32
                                             : work->types[0];
        bool is_good = pattern[i] == 'p' ? ptx_predicate(work, from, index)
                       : i == 0          ? ptx_target(work, from, type, false, index)
                                         : ptx_source(work, from, type, false, index);
        if (!is_good)
            return false;
    }
    return true;
}

/* The name and those of its parts that are no types and not ignored, with dots. */
static void make_key(const struct work *work, const char *ignored, char *key, size_t bytes)
{
    int len = snprintf(key, bytes, "%s", work->statement->text);
    for (unsigned i = 0; i < work->statement->mod_count; i++) {
        const char *mod = work->statement->mods[i];
        if (ptx_type_of(mod) == NO_TYPE && !in_list(ignored, mod) && len < (int)NAME_BYTES)
            len += snprintf(key + len, NAME_BYTES, ".%s", mod);
    }
}

static bool take_form(struct work *work)
{
    static const struct form *const tables[] = { ptx_integer_forms, ptx_float_forms, ptx_half_forms,
                                                 ptx_warp_forms };
    char key[2 * NAME_BYTES];
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const struct form *form = tables[i]; form->key != NULL; form++) {
            make_key(work, form->ignored, key, sizeof key);
            if (strcmp(form->key, key) != 0 || (form->types & SET(work->types[0])) == 0)
                continue;
            work->in->run = form->run;
            work->in->type = (unsigned char)work->types[0];
            return ptx_take_by_pattern(work, form->operands);
        }
    return ptx_unknown(work);
}

bool ptx_decode(struct parser *parser, struct statement *statement, struct instr *in)
{
    struct work work = { .parser = parser, .statement = statement, .in = in };
    for (unsigned i = 0; i < statement->mod_count; i++) {
        enum type type = ptx_type_of(statement->mods[i]);
        if (type != NO_TYPE && work.type_count < 4)
            work.types[work.type_count++] = type;
    }
    taker *take = ptx_own(statement->text);
    if (take != NULL ? !take(&work) : !take_form(&work))
        return false;
    if (ptx_has(&work, "ftz")) {
        in->inner = in->run;
        in->run = ptx_flushing;
    }
    return true;
}
