/* The reader of PTX: what ptx_text.c and ptx_module.c share. After an error it finds no more. */
#ifndef TESTS_GPU_PTX_TEXT_H
#define TESTS_GPU_PTX_TEXT_H

#include "ptx_private.h"

enum symbol_kind { IS_REG, IS_PRED, IS_NUMBER, IS_DYNAMIC };

struct symbol {
    char name[NAME_BYTES];
    enum symbol_kind kind;
    enum type type;
    unsigned first, count; /* of "%r<count>"; 0: one register without a number */
    uint64_t value;        /* an address */
};

struct label {
    char name[NAME_BYTES];
    uint32_t pc, line; /* of a use: the instruction */
};

struct labels {
    struct label *all;
    size_t count, room;
};

struct parser {
    const char *at;
    unsigned line;
    const char *statement; /* that is read; NULL: none */
    char token[NAME_BYTES];
    struct ptx_module *module;
    struct ptx_kernel *kernel;
    struct symbol *symbols;
    size_t symbol_count, symbol_room;
    struct labels labels, uses;
    char *error;
    size_t error_bytes;
    bool has_failed;
};

/* Memory for one element more. */
void *ptx_grow(void *all, size_t count, size_t *room, size_t bytes);

/* --- tokens --------------------------------------------------------------------------------- */

/* Reads on: words (with dots and "::" in them), and single characters. */
void ptx_next(struct parser *parser);

/* Whether the token is this one; accept also moves past it, expect demands it. */
bool ptx_is(const struct parser *parser, const char *token);
bool ptx_accept(struct parser *parser, const char *token);
void ptx_expect(struct parser *parser, const char *token);

bool ptx_syntax_error(struct parser *parser);
void ptx_skip_line(struct parser *parser);

/* What comes next, which they move past. name has NAME_BYTES. */
void ptx_take_name(struct parser *parser, char *name);
uint64_t ptx_take_number(struct parser *parser);

/* --- symbols and operands ------------------------------------------------------------------- */

struct symbol *ptx_new_symbol(struct parser *parser, const char *name, enum symbol_kind kind);

/* The first of that many registers more. */
unsigned ptx_new_registers(struct parser *parser, bool is_pred, unsigned count);

/* A register, a number, or the name of something. */
void ptx_take_simple(struct parser *parser, struct operand *operand);

/* Any operand; elements are the four that it may have. */
void ptx_take_operand(struct parser *parser, struct operand *operand, struct operand *elements);

#endif
