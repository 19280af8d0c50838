/*
 * The decoder of PTX: what ptx_decode.c and ptx_decode_own.c share. What returns bool returns false
 * after ptx_error.
 */
#ifndef TESTS_GPU_PTX_DECODE_H
#define TESTS_GPU_PTX_DECODE_H

#include "ptx_private.h"

/* A statement that is being decoded. */
struct work {
    struct parser *parser;
    struct statement *statement;
    struct instr *in;
    enum type types[4]; /* among its parts, in their order */
    unsigned type_count;
};

/* The operand of that index; one of the kind NOTHING if there are not as many. */
const struct operand *ptx_operand(const struct work *work, unsigned i);

/* Whether that is a part of the instruction's name. */
bool ptx_has(const struct work *work, const char *mod);

/* False if a part is neither a type nor in the list, which spaces divide. */
bool ptx_only(const struct work *work, const char *list);

/* Errors. */
bool ptx_unknown(const struct work *work);
bool ptx_wrong_operand(const struct work *work, const char *why);

/* The register that an operand is, or that holds its number. wider: it may be larger than type. */
bool ptx_source(const struct work *work, const struct operand *from, enum type type, bool wider,
                uint16_t *index);
bool ptx_target(const struct work *work, const struct operand *to, enum type type, bool wider,
                uint16_t *index);
bool ptx_predicate(const struct work *work, const struct operand *from, uint16_t *index);

/* Whether the register that ptx_source finds has 64 bits. */
bool ptx_is_wide(const struct operand *from, enum type type);

/* Sets the instruction's offset and is_wide_address, and *index to the base's register. */
bool ptx_base_of(const struct work *work, const struct operand *address, uint16_t *index);

/* All operands, as struct form has them. */
bool ptx_take_by_pattern(const struct work *work, const char *pattern);

/* What decodes an instruction of its own kind; NULL: it has a form. */
typedef bool taker(struct work *work);
taker *ptx_own(const char *name);

#endif
