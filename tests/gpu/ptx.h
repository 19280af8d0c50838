/*
 * ptx.h - an interpreter of PTX for the fake driver: what a kernel computes, without a device. It
 * is stricter than one: an address outside of the allocations, a misaligned one, a barrier or an
 * exchange between lanes that not all of them reach, and shared memory that two warps use without a
 * barrier between them end the launch with the statement and the thread on standard error.
 * (Source: NVIDIA's "Parallel Thread Execution ISA".)
 *
 * Files: ptx_text.c (tokens and operands), ptx_module.c (declarations, kernels), ptx_decode.c and
 * ptx_decode_own.c (statements to instructions), ptx_integer.c, ptx_float.c, ptx_half.c,
 * ptx_memory.c, ptx_warp.c (what instructions do), ptx_run.c (blocks, warps, divergence),
 * ptx_race.c (who used shared memory).
 *
 * Differences to a device: blocks run one after the other, and the warps of a block in turns from
 * barrier to barrier, every other block in reverse order. Registers and shared memory begin with
 * the byte 0xee. What cp.async copies is there after the wait for its group, not earlier.
 */
#ifndef TESTS_GPU_PTX_H
#define TESTS_GPU_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PTX_PARAMS_MAX 64
#define PTX_PARAM_BYTES 4096

struct ptx_module;
struct ptx_kernel;

/*
 * Reads a module; the text is copied. NULL: it cannot be used, and error has "line N; ..." in the
 * words of NVIDIA's assembler.
 */
struct ptx_module *ptx_open(const char *text, char *error, size_t error_bytes);

/* Frees a module and its kernels. */
void ptx_close(struct ptx_module *module);

/* The .entry of that name, which lives as long as its module; or NULL. */
const struct ptx_kernel *ptx_find(const struct ptx_module *module, const char *name);

const char *ptx_name(const struct ptx_kernel *kernel);

/* Bytes of shared memory that the kernel declares. */
size_t ptx_shared_bytes(const struct ptx_kernel *kernel);

/* Copies the arguments of a launch to where .param has them; params has PTX_PARAM_BYTES. */
void ptx_pack(const struct ptx_kernel *kernel, void **arguments, unsigned char *params);

/* Memory that a kernel may use: device addresses from first to end, at host. */
struct ptx_range {
    uint64_t first, end;
    unsigned char *host;
};

struct ptx_launch {
    const struct ptx_kernel *kernel;
    unsigned grid[3], block[3];
    size_t shared_bytes; /* of dynamic shared memory */
    unsigned char params[PTX_PARAM_BYTES];
    bool is_wrong; /* the first value that is stored in global memory gets a wrong bit */
};

/*
 * Runs a kernel to its end. find sets the range that holds an address; false if there is none.
 * Returns a result of the driver's API: 0, or 700 (illegal address), 716 (misaligned address), 719
 * (anything else).
 */
int ptx_run(const struct ptx_launch *launch,
            bool (*find)(uint64_t address, struct ptx_range *range));

#endif
