/* The interpreter's reader: statements, declarations, kernels and modules. See ptx.h. */
#include <ctype.h>
#include <stdlib.h>

#include "ptx_text.h"

/* --- statements ----------------------------------------------------------------------------- */

static void add_label(struct labels *labels, const char *name, uint32_t pc, uint32_t line)
{
    labels->all = ptx_grow(labels->all, labels->count, &labels->room, sizeof *labels->all);
    struct label *label = &labels->all[labels->count++];
    memcpy(label->name, name, NAME_BYTES);
    label->pc = pc;
    label->line = line;
}

/* "add.rn.f32" becomes its parts. */
static void split(struct statement *statement)
{
    for (char *at = statement->text; *at != '\0'; at++)
        if (*at == '.' && statement->mod_count < MODS_MAX) {
            *at = '\0';
            statement->mods[statement->mod_count++] = at + 1;
        }
}

static void take_guard(struct parser *parser, struct instr *in)
{
    struct operand guard = { 0 };
    in->guard = -1;
    if (!ptx_accept(parser, "@"))
        return;
    ptx_take_simple(parser, &guard);
    if (guard.kind != PREDICATE)
        ptx_error(parser, "error   : the guard is not a predicate");
    in->guard = (int)guard.index;
    in->guard_not = guard.is_not;
}

static void take_instruction(struct parser *parser)
{
    struct statement statement = { 0 };
    struct ptx_kernel *kernel = parser->kernel;
    struct instr in = { .line = parser->line };
    in.text = parser->statement = parser->at - strlen(parser->token);
    take_guard(parser, &in);
    ptx_take_name(parser, statement.text);
    split(&statement);
    while (!ptx_is(parser, ";") && !parser->has_failed) {
        unsigned i = statement.operand_count++;
        if (i == OPERANDS_MAX) {
            ptx_syntax_error(parser);
            return;
        }
        ptx_take_operand(parser, &statement.operands[i], statement.elements[i]);
        if (!ptx_accept(parser, ",") && !ptx_is(parser, ";"))
            ptx_syntax_error(parser);
    }
    if (parser->has_failed || !ptx_decode(parser, &statement, &in))
        return;
    if (in.control == BRANCH)
        add_label(&parser->uses, statement.operands[0].name, (uint32_t)kernel->length, in.line);
    kernel->code = ptx_grow(kernel->code, kernel->length, &kernel->room, sizeof in);
    kernel->code[kernel->length++] = in;
    ptx_expect(parser, ";");
    parser->statement = NULL;
}

/* --- declarations --------------------------------------------------------------------------- */

static enum type take_type(struct parser *parser)
{
    enum type type = parser->token[0] == '.' ? ptx_type_of(parser->token + 1) : NO_TYPE;
    if (type == NO_TYPE)
        ptx_syntax_error(parser);
    ptx_next(parser);
    return type;
}

static void take_registers(struct parser *parser)
{
    char name[NAME_BYTES];
    enum type type = take_type(parser);
    do {
        unsigned count = 0;
        ptx_take_name(parser, name);
        if (ptx_accept(parser, "<")) {
            count = (unsigned)ptx_take_number(parser);
            ptx_expect(parser, ">");
        }
        if (parser->has_failed)
            return;
        struct symbol *symbol = ptx_new_symbol(parser, name, type == PRED ? IS_PRED : IS_REG);
        symbol->type = type;
        symbol->count = count;
        symbol->first = ptx_new_registers(parser, type == PRED, count == 0 ? 1 : count);
    } while (ptx_accept(parser, ","));
    ptx_expect(parser, ";");
}

/* ".align 16 .b8 name[64]": the name and the bytes; 0 for "[]". */
static void take_variable(struct parser *parser, char *name, size_t *align, size_t *bytes)
{
    *align = 0;
    if (ptx_accept(parser, ".align"))
        *align = ptx_take_number(parser);
    enum type type = take_type(parser);
    if (ptx_accept(parser, ".ptr")) /* of a parameter */
        while (parser->token[0] == '.' || isdigit((unsigned char)parser->token[0]))
            ptx_next(parser);
    ptx_take_name(parser, name);
    *bytes = ptx_types[type].bytes;
    *align = *align == 0 ? *bytes : *align;
    while (ptx_accept(parser, "[")) {
        *bytes *= ptx_is(parser, "]") ? 0 : ptx_take_number(parser);
        ptx_expect(parser, "]");
    }
    if (*align == 0 || (*align & (*align - 1)) != 0)
        ptx_error(parser, "error   : an alignment that is not a power of two");
}

static size_t round_up(size_t bytes, size_t align)
{
    return (bytes + align - 1) / align * align;
}

static void take_shared(struct parser *parser)
{
    char name[NAME_BYTES];
    size_t align, bytes;
    struct ptx_kernel *kernel = parser->kernel;
    size_t *end = kernel != NULL ? &kernel->shared_bytes : &parser->module->shared_bytes;
    take_variable(parser, name, &align, &bytes);
    ptx_expect(parser, ";");
    if (parser->has_failed)
        return;
    struct symbol *symbol = ptx_new_symbol(parser, name, bytes == 0 ? IS_DYNAMIC : IS_NUMBER);
    symbol->type = U32;
    if (bytes == 0)
        return;
    *end = round_up(*end, align);
    symbol->value = SHARED_FIRST + *end;
    *end += bytes;
}

static void take_params(struct parser *parser)
{
    char name[NAME_BYTES];
    size_t align, bytes;
    struct ptx_kernel *kernel = parser->kernel;
    while (!ptx_is(parser, ")") && !parser->has_failed) {
        ptx_expect(parser, ".param");
        take_variable(parser, name, &align, &bytes);
        ptx_accept(parser, ",");
        size_t offset = round_up(kernel->param_bytes, align);
        if (kernel->param_count == PTX_PARAMS_MAX || offset + bytes > PTX_PARAM_BYTES)
            ptx_error(parser, "error   : too many parameters");
        if (parser->has_failed)
            return;
        struct symbol *symbol = ptx_new_symbol(parser, name, IS_NUMBER);
        symbol->type = U32;
        symbol->value = offset;
        kernel->params[kernel->param_count].offset = offset;
        kernel->params[kernel->param_count++].bytes = bytes;
        kernel->param_bytes = offset + bytes;
    }
    ptx_expect(parser, ")");
}

static void take_label_or_instruction(struct parser *parser)
{
    if (!ptx_is(parser, "@") && *parser->at == ':') {
        add_label(&parser->labels, parser->token, (uint32_t)parser->kernel->length, parser->line);
        ptx_next(parser);
        ptx_next(parser);
    } else {
        take_instruction(parser);
    }
}

static void take_block(struct parser *parser)
{
    size_t outside = parser->symbol_count;
    ptx_expect(parser, "{");
    while (!ptx_is(parser, "}") && !parser->has_failed) {
        if (ptx_accept(parser, ".reg"))
            take_registers(parser);
        else if (ptx_accept(parser, ".shared"))
            take_shared(parser);
        else if (ptx_is(parser, ".loc") || ptx_is(parser, ".pragma"))
            ptx_skip_line(parser);
        else if (ptx_is(parser, "{"))
            take_block(parser);
        else if (parser->token[0] == '.' || parser->token[0] == '\0')
            ptx_syntax_error(parser);
        else
            take_label_or_instruction(parser);
    }
    ptx_expect(parser, "}");
    parser->symbol_count = outside;
}

/* Where the branches go. */
static void resolve(struct parser *parser)
{
    for (size_t i = 0; i < parser->uses.count && !parser->has_failed; i++) {
        const struct label *use = &parser->uses.all[i], *found = NULL;
        for (size_t at = 0; at < parser->labels.count; at++)
            if (strcmp(parser->labels.all[at].name, use->name) == 0)
                found = &parser->labels.all[at];
        parser->line = use->line;
        parser->statement = parser->kernel->code[use->pc].text;
        if (found == NULL)
            ptx_error(parser, "error   : Unknown symbol '%s'", use->name);
        else
            parser->kernel->code[use->pc].target = found->pc;
    }
    parser->statement = NULL;
    parser->labels.count = parser->uses.count = 0;
}

/* A return after the last instruction, whatever that is. */
static void end_code(struct parser *parser)
{
    struct ptx_kernel *kernel = parser->kernel;
    kernel->code = ptx_grow(kernel->code, kernel->length, &kernel->room, sizeof *kernel->code);
    kernel->code[kernel->length++] = (struct instr){ .control = RETURN,
                                                     .guard = -1,
                                                     .line = parser->line };
}

static void take_kernel(struct parser *parser)
{
    size_t outside = parser->symbol_count;
    struct ptx_kernel *kernel = calloc(1, sizeof *kernel);
    if (kernel == NULL)
        abort();
    kernel->module = parser->module;
    kernel->next = parser->module->kernels;
    kernel->reg_count = 1; /* register 0 stands for operands that are not there */
    kernel->shared_bytes = parser->module->shared_bytes;
    parser->module->kernels = parser->kernel = kernel;
    ptx_take_name(parser, kernel->name);
    if (ptx_accept(parser, "("))
        take_params(parser);
    while (parser->token[0] == '.') /* .maxntid 128, 1, 1 and the like */
        do
            ptx_next(parser);
        while (ptx_is(parser, ",") || isdigit((unsigned char)parser->token[0]));
    take_block(parser);
    end_code(parser);
    resolve(parser);
    parser->kernel = NULL;
    parser->symbol_count = outside;
}

static void take_module(struct parser *parser)
{
    ptx_expect(parser, ".version");
    ptx_skip_line(parser);
    while (parser->token[0] != '\0' && !parser->has_failed) {
        if (ptx_is(parser, ".target") || ptx_is(parser, ".address_size") || ptx_is(parser, ".file"))
            ptx_skip_line(parser);
        else if (ptx_accept(parser, ".visible") || ptx_accept(parser, ".weak") ||
                 ptx_accept(parser, ".extern"))
            continue;
        else if (ptx_accept(parser, ".entry"))
            take_kernel(parser);
        else if (ptx_accept(parser, ".shared"))
            take_shared(parser);
        else
            ptx_syntax_error(parser);
    }
}

/* --- modules -------------------------------------------------------------------------------- */

struct ptx_module *ptx_open(const char *text, char *error, size_t error_bytes)
{
    struct ptx_module *module = calloc(1, sizeof *module);
    if (module == NULL || (module->text = strdup(text)) == NULL)
        abort();
    struct parser parser = {
        .at = module->text, .line = 1, .module = module, .error = error, .error_bytes = error_bytes
    };
    ptx_next(&parser);
    take_module(&parser);
    free(parser.symbols);
    free(parser.labels.all);
    free(parser.uses.all);
    if (!parser.has_failed)
        return module;
    ptx_close(module);
    return NULL;
}

void ptx_close(struct ptx_module *module)
{
    while (module->kernels != NULL) {
        struct ptx_kernel *kernel = module->kernels;
        module->kernels = kernel->next;
        free(kernel->code);
        free(kernel->presets);
        free(kernel);
    }
    free(module->text);
    free(module);
}

const struct ptx_kernel *ptx_find(const struct ptx_module *module, const char *name)
{
    const struct ptx_kernel *kernel = module->kernels;
    while (kernel != NULL && strcmp(kernel->name, name) != 0)
        kernel = kernel->next;
    return kernel;
}

const char *ptx_name(const struct ptx_kernel *kernel)
{
    return kernel->name;
}

size_t ptx_shared_bytes(const struct ptx_kernel *kernel)
{
    return kernel->shared_bytes;
}

void ptx_pack(const struct ptx_kernel *kernel, void **arguments, unsigned char *params)
{
    for (size_t i = 0; i < kernel->param_count; i++)
        memcpy(params + kernel->params[i].offset, arguments[i], kernel->params[i].bytes);
}
