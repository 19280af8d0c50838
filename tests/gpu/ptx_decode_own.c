/* The interpreter's decoder: instructions that are more than a form. See ptx.h. */
#include "ptx_decode.h"

/* --- words that are options ----------------------------------------------------------------- */

struct word {
    const char *name;
    int value;
};

static const struct word compares[] = {
    { "eq", EQ },   { "ne", NE },   { "lt", LT },    { "le", LE },   { "gt", GT },
    { "ge", GE },   { "lo", LT },   { "ls", LE },    { "hi", GT },   { "hs", GE },
    { "equ", EQU }, { "neu", NEU }, { "ltu", LTU },  { "leu", LEU }, { "gtu", GTU },
    { "geu", GEU }, { "num", NUM }, { "nan", NAN_ }, { NULL, -1 },
};
static const struct word combines[] = {
    { "and", AND }, { "or", OR }, { "xor", XOR }, { NULL, NONE }
};
static const struct word roundings[] = {
    { "rn", RN },  { "rni", RN }, { "rz", RZ },  { "rzi", RZ },         { "rm", RM },
    { "rmi", RM }, { "rp", RP },  { "rpi", RP }, { NULL, NO_ROUNDING },
};
static const struct word spaces[] = {
    { "global", GLOBAL }, { "shared", SHARED },      { "shared::cta", SHARED },
    { "param", PARAM },   { "param::entry", PARAM }, { NULL, GENERIC },
};

/* The value of the first part that the table has; that of its end if there is none. */
static int option(const struct work *work, const struct word *table)
{
    for (unsigned i = 0; i < work->statement->mod_count; i++)
        for (const struct word *word = table; word->name != NULL; word++)
            if (strcmp(work->statement->mods[i], word->name) == 0)
                return word->value;
    while (table->name != NULL)
        table++;
    return table->value;
}

/* --- instructions of their own kind --------------------------------------------------------- */

static handler *const comparers[TYPES] = {
    [B32] = ptx_compare_u32, [U32] = ptx_compare_u32, [S32] = ptx_compare_s32,
    [F32] = ptx_compare_f32, [B64] = ptx_compare_u64, [U64] = ptx_compare_u64,
    [S64] = ptx_compare_s64, [F64] = ptx_compare_f64, [B16] = ptx_compare_u32,
    [U16] = ptx_compare_u32, [F16] = ptx_compare_f16,
};

static bool take_compare(struct work *work)
{
    struct instr *in = work->in;
    const struct operand *to = ptx_operand(work, 0);
    int compare = option(work, compares);
    in->run = comparers[work->types[0]];
    if (in->run == NULL || compare < 0 || work->statement->operand_count < 3)
        return ptx_unknown(work);
    in->option = (unsigned char)compare;
    in->option2 = (unsigned char)option(work, combines);
    in->count = to->has_second;
    in->dst[1] = (uint16_t)to->index2;
    if (in->option2 != NONE) {
        in->src_not = ptx_operand(work, 3)->is_not;
        if (!ptx_predicate(work, ptx_operand(work, 3), &in->src[2]))
            return false;
    } else if (work->statement->operand_count != 3) {
        return ptx_unknown(work);
    }
    return ptx_predicate(work, to, &in->dst[0]) &&
           ptx_source(work, ptx_operand(work, 1), work->types[0], false, &in->src[0]) &&
           ptx_source(work, ptx_operand(work, 2), work->types[0], false, &in->src[1]);
}

/* Between a register and a vector of smaller ones: mov.b32 {low, high}, x and back. */
static bool take_vector_move(struct work *work)
{
    struct instr *in = work->in;
    const struct operand *to = ptx_operand(work, 0), *from = ptx_operand(work, 1);
    const struct operand *vector = to->kind == VECTOR ? to : from;
    static const enum type parts[] = { [1] = B8, [2] = B16, [4] = B32 };
    unsigned bytes = ptx_types[work->types[0]].bytes;
    if (vector->count < 2 || bytes / vector->count > 4 || bytes % vector->count != 0)
        return ptx_unknown(work);
    enum type part = parts[bytes / vector->count];
    in->run = ptx_pack_move;
    in->count = (unsigned char)vector->count;
    in->type = (unsigned char)part;
    in->is_wide = bytes == 8;
    in->option = to->kind == VECTOR;
    for (unsigned i = 0; i < vector->count; i++) {
        bool is_good = to->kind == VECTOR
                           ? ptx_target(work, &vector->elements[i], part, false, &in->dst[i])
                           : ptx_source(work, &vector->elements[i], part, false, &in->src[i]);
        if (!is_good)
            return false;
    }
    return to->kind == VECTOR ? ptx_source(work, from, work->types[0], false, &in->src[0])
                              : ptx_target(work, to, work->types[0], false, &in->dst[0]);
}

static bool take_move(struct work *work)
{
    struct instr *in = work->in;
    const struct operand *to = ptx_operand(work, 0), *from = ptx_operand(work, 1);
    enum type type = work->types[0];
    if (work->type_count != 1 || work->statement->mod_count != 1 ||
        work->statement->operand_count != 2)
        return ptx_unknown(work);
    if (type == PRED) {
        in->run = ptx_move_pred;
        return ptx_predicate(work, to, &in->dst[0]) && ptx_predicate(work, from, &in->src[0]);
    }
    if (to->kind == VECTOR || from->kind == VECTOR)
        return take_vector_move(work);
    in->is_wide = ptx_types[type].bytes == 8;
    if (from->kind == SPECIAL && from->index >= CLOCK) {
        in->run = ptx_clock;
        in->option = (unsigned char)from->index;
        return ptx_target(work, to, type, false, &in->dst[0]);
    }
    in->run = in->is_wide ? ptx_move64 : ptx_move32;
    return ptx_target(work, to, type, false, &in->dst[0]) &&
           ptx_source(work, from, type, false, &in->src[0]);
}

/* From and to generic addresses, in which global memory lies at its own. */
static bool take_address_move(struct work *work)
{
    struct instr *in = work->in;
    bool is_to = ptx_has(work, "to");
    if (!ptx_only(work, "to global shared shared::cta param") || work->types[0] != U64)
        return ptx_unknown(work);
    in->run = option(work, spaces) != SHARED ? ptx_move64 : is_to ? ptx_cut_window : ptx_add_window;
    return ptx_target(work, ptx_operand(work, 0), U64, false, &in->dst[0]) &&
           ptx_source(work, ptx_operand(work, 1), U64, false, &in->src[0]);
}

static bool take_convert(struct work *work)
{
    struct instr *in = work->in;
    if (!ptx_only(work, "rn rni rz rzi rm rmi rp rpi ftz") || work->type_count != 2)
        return ptx_unknown(work);
    enum type to = work->types[0], from = work->types[1];
    in->type = (unsigned char)to;
    in->type2 = (unsigned char)from;
    in->option = (unsigned char)option(work, roundings);
    if (ptx_types[to].kind == PAIR) {
        in->run = ptx_convert_pair;
        return from == F32 && in->option != NO_ROUNDING && work->statement->operand_count == 3
                   ? ptx_take_by_pattern(work, "tTT")
                   : ptx_unknown(work);
    }
    bool loses = ptx_types[to].kind == FLOAT &&
                 (ptx_types[from].kind != FLOAT || ptx_types[from].bytes > ptx_types[to].bytes);
    bool rounds = loses || (ptx_types[from].kind == FLOAT && ptx_types[to].kind != FLOAT);
    if (rounds && in->option == NO_ROUNDING)
        return ptx_wrong_operand(work, "Rounding modifier required: type");
    bool is_half = to == F16 || to == BF16;
    if (loses && in->option != RN && !(in->option == RZ && is_half && from == F32))
        return ptx_unknown(work);
    in->run = ptx_convert;
    in->is_wide = ptx_is_wide(ptx_operand(work, 0), to);
    in->is_wide_address = ptx_is_wide(ptx_operand(work, 1), from);
    return ptx_target(work, ptx_operand(work, 0), to, ptx_types[to].kind != FLOAT, &in->dst[0]) &&
           ptx_source(work, ptx_operand(work, 1), from, ptx_types[from].kind != FLOAT, &in->src[0]);
}

#define CACHE                                                                                   \
    " global shared shared::cta param param::entry nc volatile relaxed weak gpu cta sys ca cg " \
    "cs lu cv wb wt v2 v4 L1::no_allocate L1::evict_last L1::evict_first L2::128B L2::256B "

/* ld and st: the values are a register or a vector of them. */
static bool take_memory(struct work *work)
{
    struct instr *in = work->in;
    bool is_load = strcmp(work->statement->text, "ld") == 0;
    const struct operand *values = ptx_operand(work, is_load ? 0 : 1);
    unsigned count = ptx_has(work, "v2") ? 2 : ptx_has(work, "v4") ? 4 : 1;
    if (!ptx_only(work, CACHE) || work->type_count != 1 || work->statement->operand_count != 2)
        return ptx_unknown(work);
    if (values->kind == VECTOR ? values->count != count : count != 1)
        return ptx_wrong_operand(work, "Vector operand: the number of elements");
    in->run = is_load ? ptx_load : ptx_store;
    in->type = (unsigned char)work->types[0];
    in->space = (unsigned char)option(work, spaces);
    in->is_volatile = ptx_has(work, "volatile") || ptx_has(work, "relaxed");
    in->count = (unsigned char)count;
    for (unsigned i = 0; i < count; i++) {
        const struct operand *value = values->kind == VECTOR ? &values->elements[i] : values;
        bool is_good = is_load ? ptx_target(work, value, work->types[0], true, &in->dst[i])
                               : ptx_source(work, value, work->types[0], true, &in->src[i + 1]);
        if (!is_good)
            return false;
        in->is_wide = ptx_is_wide(value, work->types[0]);
    }
    return ptx_base_of(work, ptx_operand(work, is_load ? 1 : 0), &in->src[0]);
}

static const struct word atomics[] = {
    { "add", 0 }, { "min", 1 },  { "max", 2 }, { "and", 3 }, { "or", 4 },
    { "xor", 5 }, { "exch", 6 }, { "cas", 7 }, { NULL, -1 },
};

static bool take_atomic(struct work *work)
{
    struct instr *in = work->in;
    bool has_result = strcmp(work->statement->text, "atom") == 0;
    int operation = option(work, atomics);
    enum type type = work->types[0];
    unsigned first = has_result ? 2 : 1;
    if (!ptx_only(work, "add min max and or xor exch cas global shared shared::cta relaxed release "
                        "acquire acq_rel gpu cta sys") ||
        work->type_count != 1 || operation < 0 || ptx_types[type].bytes < 4 ||
        work->statement->operand_count != first + (operation == 7 ? 2 : 1))
        return ptx_unknown(work);
    in->run = ptx_atomic;
    in->type = (unsigned char)type;
    in->option = (unsigned char)operation;
    in->option2 = has_result;
    in->space = (unsigned char)option(work, spaces);
    in->is_wide = ptx_types[type].bytes == 8;
    return (!has_result || ptx_target(work, ptx_operand(work, 0), type, false, &in->dst[0])) &&
           ptx_source(work, ptx_operand(work, first), type, false, &in->src[1]) &&
           (operation != 7 ||
            ptx_source(work, ptx_operand(work, first + 1), type, false, &in->src[2])) &&
           ptx_base_of(work, ptx_operand(work, first - 1), &in->src[0]);
}

/* cp.async: src[0] is the source's address, dst[0] the register of the destination's. */
static bool take_copy(struct work *work)
{
    struct instr *in = work->in;
    const struct operand *bytes = ptx_operand(work, 2), *used = ptx_operand(work, 3);
    if (ptx_has(work, "commit_group")) {
        in->run = ptx_copy_commit;
        return true;
    }
    if (ptx_has(work, "wait_group") || ptx_has(work, "wait_all")) {
        in->run = ptx_copy_wait;
        in->offset = ptx_has(work, "wait_all") ? -1 : (int64_t)ptx_operand(work, 0)->bits;
        return true;
    }
    if (!ptx_only(work, "async ca cg global shared shared::cta L2::64B L2::128B L2::256B") ||
        bytes->kind != INTEGER || ptx_operand(work, 0)->kind != ADDRESS)
        return ptx_unknown(work);
    if (bytes->bits != 16 && (ptx_has(work, "cg") || (bytes->bits != 4 && bytes->bits != 8)))
        return ptx_wrong_operand(work, "the size");
    in->run = ptx_copy_async;
    in->count = (unsigned char)bytes->bits;
    in->option = used->kind != NOTHING;
    in->src[3] = 0;
    if (in->option && !ptx_source(work, used, U32, false, &in->src[2]))
        return false;
    if (!ptx_base_of(work, ptx_operand(work, 0), &in->src[1]))
        return false;
    in->option2 = in->is_wide_address;
    in->target = (uint32_t)in->offset; /* of the destination */
    return ptx_base_of(work, ptx_operand(work, 1), &in->src[0]);
}

static bool take_branch(struct work *work)
{
    work->in->control = BRANCH;
    return ptx_only(work, "uni") && ptx_operand(work, 0)->kind == LABEL &&
                   work->statement->operand_count == 1
               ? true
               : ptx_unknown(work);
}

static bool take_return(struct work *work)
{
    work->in->control = RETURN;
    return work->statement->operand_count == 0 && ptx_only(work, "uni") ? true : ptx_unknown(work);
}

static bool take_barrier(struct work *work)
{
    const struct operand *number = ptx_operand(work, 0), *threads = ptx_operand(work, 1);
    struct instr *in = work->in;
    if (ptx_has(work, "warp")) {
        in->run = ptx_warp_barrier;
        return ptx_source(work, number, U32, false, &in->src[0]);
    }
    in->control = BARRIER;
    if (!ptx_only(work, "sync aligned cta") || !ptx_has(work, "sync"))
        return ptx_unknown(work);
    in->count = threads->kind != NOTHING;
    return ptx_source(work, number, U32, false, &in->src[0]) &&
           (!in->count || ptx_source(work, threads, U32, false, &in->src[1]));
}

static bool take_fence(struct work *work)
{
    work->in->run = ptx_nothing;
    return work->statement->operand_count == 0 &&
           ptx_only(work, "gl cta sys gpu acq_rel sc proxy async");
}

static const struct word shuffles[] = {
    { "up", 0 }, { "down", 1 }, { "bfly", 2 }, { "idx", 3 }, { NULL, -1 }
};

static bool take_shuffle(struct work *work)
{
    struct instr *in = work->in;
    const struct operand *to = ptx_operand(work, 0);
    int mode = option(work, shuffles);
    if (mode < 0 || !ptx_has(work, "sync") || work->types[0] != B32 ||
        work->statement->operand_count != 5)
        return ptx_unknown(work);
    in->run = ptx_shuffle;
    in->option = (unsigned char)mode;
    in->count = to->has_second;
    in->dst[1] = (uint16_t)to->index2;
    return ptx_target(work, to, B32, false, &in->dst[0]) &&
           ptx_source(work, ptx_operand(work, 1), B32, false, &in->src[0]) &&
           ptx_source(work, ptx_operand(work, 2), U32, false, &in->src[1]) &&
           ptx_source(work, ptx_operand(work, 3), U32, false, &in->src[2]) &&
           ptx_source(work, ptx_operand(work, 4), U32, false, &in->src[3]);
}

static const struct word votes[] = {
    { "all", 0 }, { "any", 1 }, { "uni", 2 }, { "ballot", 3 }, { NULL, -1 }
};

static bool take_vote(struct work *work)
{
    struct instr *in = work->in;
    int mode = option(work, votes);
    if (mode < 0 || !ptx_has(work, "sync") || work->statement->operand_count != 3)
        return ptx_unknown(work);
    in->run = ptx_vote;
    in->option = (unsigned char)mode;
    in->src_not = ptx_operand(work, 1)->is_not;
    return (mode == 3 ? ptx_target(work, ptx_operand(work, 0), B32, false, &in->dst[0])
                      : ptx_predicate(work, ptx_operand(work, 0), &in->dst[0])) &&
           ptx_predicate(work, ptx_operand(work, 1), &in->src[0]) &&
           ptx_source(work, ptx_operand(work, 2), U32, false, &in->src[1]);
}

/* Registers of a fragment: vector is the operand, into indices. */
static bool take_fragment(const struct work *work, unsigned vector, unsigned count, enum type type,
                          uint16_t *indices)
{
    const struct operand *from = ptx_operand(work, vector);
    if (from->kind != VECTOR || from->count != count)
        return ptx_wrong_operand(work, "Vector operand: the number of elements");
    for (unsigned i = 0; i < count; i++)
        if (!ptx_target(work, &from->elements[i], type, false, &indices[i]))
            return false;
    return true;
}

static bool take_multiply_matrix(struct work *work)
{
    struct instr *in = work->in;
    enum type a = work->types[1];
    bool is_short = ptx_has(work, "m16n8k8");
    if (!ptx_only(work, "sync aligned m16n8k16 m16n8k8 row col") || !ptx_has(work, "row") ||
        !ptx_has(work, "col") || work->type_count != 4 || work->types[0] != F32 ||
        work->types[3] != F32 || (a != F16 && a != BF16) || work->types[2] != a ||
        (!is_short && !ptx_has(work, "m16n8k16")) || work->statement->operand_count != 4)
        return ptx_unknown(work);
    in->run = ptx_multiply_matrix;
    in->type = (unsigned char)a;
    in->count = is_short ? 8 : 16; /* k */
    return take_fragment(work, 0, 4, F32, in->dst) &&
           take_fragment(work, 1, is_short ? 2 : 4, B32, in->src) &&
           take_fragment(work, 2, is_short ? 1 : 2, B32, in->src + 4) &&
           take_fragment(work, 3, 4, F32, in->src + 6);
}

static bool take_load_matrix(struct work *work)
{
    struct instr *in = work->in;
    unsigned count = ptx_has(work, "x4") ? 4 : ptx_has(work, "x2") ? 2 : 1;
    if (!ptx_only(work, "sync aligned m8n8 x1 x2 x4 trans shared shared::cta") ||
        !ptx_has(work, "m8n8") || work->types[0] != B16 || work->statement->operand_count != 2)
        return ptx_unknown(work);
    in->run = ptx_load_matrix;
    in->count = (unsigned char)count;
    in->option = ptx_has(work, "trans");
    in->space = (unsigned char)option(work, spaces);
    return take_fragment(work, 0, count, B32, in->dst) &&
           ptx_base_of(work, ptx_operand(work, 1), &in->src[0]);
}

static const struct {
    const char *name;
    taker *take;
} own[] = {
    { "setp", take_compare },
    { "mov", take_move },
    { "cvta", take_address_move },
    { "cvt", take_convert },
    { "ld", take_memory },
    { "st", take_memory },
    { "atom", take_atomic },
    { "red", take_atomic },
    { "cp", take_copy },
    { "bra", take_branch },
    { "ret", take_return },
    { "exit", take_return },
    { "bar", take_barrier },
    { "barrier", take_barrier },
    { "membar", take_fence },
    { "fence", take_fence },
    { "shfl", take_shuffle },
    { "vote", take_vote },
    { "mma", take_multiply_matrix },
    { "ldmatrix", take_load_matrix },
};

taker *ptx_own(const char *name)
{
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(own[i].name, name) == 0)
            return own[i].take;
    return NULL;
}
