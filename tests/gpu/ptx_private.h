/* What the interpreter's files share; see ptx.h. */
#ifndef TESTS_GPU_PTX_PRIVATE_H
#define TESTS_GPU_PTX_PRIVATE_H

#include <string.h>

#include "ptx.h"

#define LANES 32
#define ALL_LANES 0xffffffffu
#define NAME_BYTES 96
#define OPERANDS_MAX 8
#define MODS_MAX 12
#define SHARED_FIRST 1024u /* the first address of shared memory: 0 is none of its variables */
#define SHARED_WINDOW (UINT64_C(1) << 60) /* what a generic address of shared memory begins at */
#define RANGES 4
#define NO_PC 0xffffffffu

#define EACH for (int i = 0; i < LANES; i++)

/* Results of the driver's API. */
enum { PTX_ILLEGAL_ADDRESS = 700, PTX_MISALIGNED_ADDRESS = 716, PTX_LAUNCH_FAILED = 719 };

/* --- types ---------------------------------------------------------------------------------- */

enum type {
    NO_TYPE,
    PRED,
    B8,
    U8,
    S8,
    B16,
    U16,
    S16,
    F16,
    BF16,
    B32,
    U32,
    S32,
    F32,
    F16X2,
    BF16X2,
    B64,
    U64,
    S64,
    F64,
    TYPES
};
#define SET(type) (1u << (type))

enum kind { BITS, UNSIGNED, SIGNED, FLOAT, PAIR };

struct type_facts {
    const char *name; /* without the dot */
    unsigned bytes;
    enum kind kind;
};
extern const struct type_facts ptx_types[TYPES];

/* NO_TYPE if there is none of that name. */
enum type ptx_type_of(const char *name);

/* --- what is executed ----------------------------------------------------------------------- */

/* A register of all lanes. Values of 8 and 16 bits lie in u, extended. */
union reg {
    uint32_t u[LANES];
    int32_t s[LANES];
    float f[LANES];
    uint64_t q[LANES];
    int64_t l[LANES];
    double d[LANES];
};

enum space { GENERIC, GLOBAL, SHARED, PARAM };
enum compare { EQ, NE, LT, LE, GT, GE, EQU, NEU, LTU, LEU, GTU, GEU, NUM, NAN_ };
enum combine { NONE, AND, OR, XOR };
enum rounding { NO_ROUNDING, RN, RZ, RM, RP };
enum control { STRAIGHT, BRANCH, RETURN, BARRIER };

struct warp;
struct instr;

/* Executes an instruction for the active lanes; a result of the API. */
typedef int handler(struct warp *warp, const struct instr *in);

struct instr {
    handler *run;
    uint16_t dst[4], src[10]; /* indices of registers; of predicates where the operand is one */
    int guard;                /* index of a predicate; -1: none */
    int64_t offset;           /* of an address */
    uint32_t target, line;
    const char *text;    /* of its statement */
    handler *inner;      /* with .ftz: run is ptx_flushing, which runs this */
    unsigned char count; /* of a vector's elements */
    unsigned char type, type2, space, control;
    unsigned char option, option2; /* a comparison, a mode, ...; a way to combine, ... */
    bool guard_not, src_not, is_wide_address, is_volatile;
    bool is_wide; /* dst has 64 bits */
};

/* A register that is set before a block begins. */
struct preset {
    uint16_t reg;
    unsigned char special; /* 0: value for all lanes */
    bool is_dynamic;       /* value is added to the first address of dynamic shared memory */
    bool is_wide;          /* 64 bits */
    uint64_t value;
};

enum special {
    CONSTANT,
    TID,
    NTID = TID + 3,
    CTAID = NTID + 3,
    NCTAID = CTAID + 3,
    LANEID = NCTAID + 3,
    WARPID,
    NWARPID,
    MASK_EQ,
    MASK_LT,
    MASK_LE,
    MASK_GT,
    MASK_GE,
    DYNAMIC_BYTES,
    CLOCK, /* from here on read when asked */
    CLOCK64,
    GLOBALTIMER
};

struct ptx_kernel {
    char name[NAME_BYTES];
    const struct ptx_module *module;
    struct {
        size_t offset, bytes;
    } params[PTX_PARAMS_MAX];
    size_t param_count, param_bytes;
    struct instr *code;
    size_t length, room;
    struct preset *presets;
    size_t preset_count, preset_room;
    size_t reg_count, pred_count;
    size_t shared_bytes, dynamic_align; /* static; of the dynamic array */
    struct ptx_kernel *next;
};

struct ptx_module {
    char *text;
    size_t shared_bytes; /* of variables outside of kernels */
    struct ptx_kernel *kernels;
};

/* Copies a statement of the module's text in one line, cut to the room. */
void ptx_statement(const char *at, char *text, size_t bytes);

/* --- what runs ------------------------------------------------------------------------------ */

/* One lane's cp.async that has not been waited for. */
struct copy {
    unsigned char *to, bytes[16];
    unsigned count, group;
    int lane;
};

/* Who has used shared memory since the last barrier of the block. */
struct traces;
struct traces *ptx_traces_new(size_t shared_bytes);
void ptx_traces_next(struct traces *traces);

struct run {
    const struct ptx_launch *launch;
    bool (*find)(uint64_t address, struct ptx_range *range);
    struct ptx_range ranges[RANGES]; /* found lately */
    unsigned recent;                 /* the latest of them */
    struct ptx_range shared_range;
    unsigned char *shared;
    size_t shared_bytes, dynamic_first;
    unsigned block[3];
    bool is_wrong;
    struct traces *traces; /* NULL: not kept */
    int result;
};

struct warp {
    struct run *run;
    unsigned index;
    union reg *regs;
    uint32_t *preds;
    uint32_t active; /* lanes that execute the instruction */
    uint32_t live;   /* those that have not returned */
    uint32_t group;  /* those that are at pc; the others of the live ones are at pcs */
    uint32_t pc, rejoin, pcs[LANES];
    bool is_waiting;
    unsigned barrier, barrier_threads; /* that it waits at; 0 threads: all */
    struct copy *copies;               /* begun, the oldest first */
    size_t copy_count, copy_room;
    unsigned groups[LANES]; /* of copies, committed by each lane */
};

/* Says on standard error what went wrong in which thread, and returns the result. */
int ptx_fault(const struct warp *warp, const struct instr *in, int lane, int result,
              const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A fault if not all lanes of the mask that have not returned are here, or others are. */
int ptx_need_lanes(const struct warp *warp, const struct instr *in, uint32_t mask);

/*
 * The memory at an address for one lane; NULL after a fault, whose result is run->result. May be
 * used until the instruction ends, of shared memory until the block does.
 */
unsigned char *ptx_reach(struct warp *warp, const struct instr *in, int lane, enum space space,
                         uint64_t address, size_t bytes);

/* Notes the use of memory, which may be other than shared one. A fault if it is a race. */
int ptx_trace(struct warp *warp, const struct instr *in, int lane, const unsigned char *at,
              size_t bytes, bool is_write);

static inline void keep32(struct warp *warp, unsigned index, const uint32_t *value)
{
    uint32_t *to = warp->regs[index].u;
    if (warp->active == ALL_LANES)
        memcpy(to, value, LANES * sizeof *to);
    else
        EACH to[i] = warp->active >> i & 1 ? value[i] : to[i];
}

static inline void keep64(struct warp *warp, unsigned index, const uint64_t *value)
{
    uint64_t *to = warp->regs[index].q;
    if (warp->active == ALL_LANES)
        memcpy(to, value, LANES * sizeof *to);
    else
        EACH to[i] = warp->active >> i & 1 ? value[i] : to[i];
}

static inline void keep_pred(struct warp *warp, unsigned index, uint32_t value)
{
    warp->preds[index] = (warp->preds[index] & ~warp->active) | (value & warp->active);
}

#define KEEP(warp, index, value, field) \
    (sizeof(value).field[0] == 8 ? keep64(warp, index, (value).q) : keep32(warp, index, (value).u))

/* A handler that computes each lane of its destination from those of up to three sources. */
#define LANEWISE(name, field, out, expression)                                         \
    static int name(struct warp *warp, const struct instr *in)                         \
    {                                                                                  \
        const union reg *x = &warp->regs[in->src[0]], *y = &warp->regs[in->src[1]],    \
                        *z = &warp->regs[in->src[2]];                                  \
        union reg value;                                                               \
        EACH                                                                           \
        {                                                                              \
            __typeof__(x->field[0]) a = x->field[i], b = y->field[i], c = z->field[i]; \
            (void)b;                                                                   \
            (void)c;                                                                   \
            value.out[i] = (__typeof__(value.out[0]))(expression);                     \
        }                                                                              \
        KEEP(warp, in->dst[0], value, out);                                            \
        return 0;                                                                      \
    }

/* An integer of the type, extended to 64 bits. */
static inline uint64_t ptx_extend(enum type type, uint64_t bits)
{
    unsigned shift = 64 - 8 * ptx_types[type].bytes;
    return ptx_types[type].kind == SIGNED ? (uint64_t)((int64_t)(bits << shift) >> shift)
                                          : bits << shift >> shift;
}

/* A function that is there twice, for this processor's newer instructions and without them. */
#ifdef __x86_64__
#define NEWER __attribute__((target("avx2,fma")))
#define CHOOSE(newer, plain) (__builtin_cpu_supports("fma") ? (newer) : (plain))
#else
#define NEWER
#define CHOOSE(newer, plain) (plain)
#endif

/* Halves. */
static inline float ptx_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Without branches: the exponents of what is not infinite or no number are moved by a product. */
static inline float ptx_from_f16(uint16_t half)
{
    float size = ptx_float_of((half & 0x7fffu) << 13) * 0x1p112f;
    uint32_t bits;
    memcpy(&bits, &size, sizeof bits);
    bits |= (half & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0;
    return ptx_float_of(bits | (half & 0x8000u) << 16);
}

static inline float ptx_from_bf16(uint16_t half)
{
    return ptx_float_of((uint32_t)half << 16);
}

uint16_t ptx_to_f16(float value, enum rounding rounding);
uint16_t ptx_to_bf16(float value, enum rounding rounding);

/* --- forms ---------------------------------------------------------------------------------- */

/*
 * An instruction whose operands are registers and numbers. key: its name and what follows it, but
 * for types and for the words in ignored, each of which has a space on both sides. operands, the
 * first written: t of the first type, T of the second one, w twice as wide, i 32 bits, p predicate.
 */
struct form {
    const char *key, *ignored;
    uint32_t types; /* that the first may be */
    const char *operands;
    handler *run;
};
extern const struct form ptx_integer_forms[], ptx_float_forms[], ptx_half_forms[], ptx_warp_forms[];

/* What ptx_decode_own.c decodes to. */
handler ptx_compare_u32, ptx_compare_s32, ptx_compare_f32, ptx_compare_u64, ptx_compare_s64,
    ptx_compare_f64, ptx_compare_f16;
handler ptx_convert, ptx_convert_pair, ptx_move32, ptx_move64, ptx_move_pred, ptx_clock,
    ptx_pack_move, ptx_load, ptx_store, ptx_atomic, ptx_copy_async, ptx_copy_commit, ptx_copy_wait,
    ptx_shuffle, ptx_vote, ptx_multiply_matrix, ptx_load_matrix, ptx_nothing, ptx_add_window,
    ptx_cut_window, ptx_warp_barrier, ptx_flushing;

/* --- text ----------------------------------------------------------------------------------- */

enum operand_kind { NOTHING, REGISTER, PREDICATE, INTEGER, REAL, SPECIAL, ADDRESS, VECTOR, LABEL };

struct operand {
    enum operand_kind kind;
    enum type type;    /* of a register */
    unsigned index;    /* of a register or a special one */
    uint64_t bits;     /* of a number */
    int64_t offset;    /* of an address */
    double real;       /* of a number written as one */
    bool is_not;       /* "!p" */
    bool is_dynamic;   /* bits is an offset from the first address of dynamic shared memory */
    bool is_wide_base; /* of an address */
    bool has_second;   /* "p|q": index2 */
    bool is_sink;      /* "_" */
    unsigned index2;   /* of a predicate */
    struct operand *elements; /* of a vector, or the base of an address */
    unsigned count;
    char name[NAME_BYTES]; /* of a label */
};

struct statement {
    char text[NAME_BYTES]; /* the name; the dots between its parts are NULs */
    const char *mods[MODS_MAX];
    unsigned mod_count;
    struct operand operands[OPERANDS_MAX];
    unsigned operand_count;
    struct operand elements[OPERANDS_MAX][4];
};

struct parser;

/* Notes the first error. Returns false. */
bool ptx_error(struct parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The kernel that is read. */
struct ptx_kernel *ptx_kernel_of(struct parser *parser);

/* The register that holds a number of that type before the kernel begins. */
unsigned ptx_constant(struct parser *parser, const struct operand *number, enum type type);

/* Makes an instruction of a statement, but for its guard and line; false after ptx_error. */
bool ptx_decode(struct parser *parser, struct statement *statement, struct instr *in);

#endif
