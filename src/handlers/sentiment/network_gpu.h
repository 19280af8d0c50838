/*
 * handlers/sentiment/network_gpu.h - the network's passes on a GPU.
 *
 * The weights are copied to the device once. Products run in half precision with sums in single
 * precision on tensor cores (sm_80 and later), everything else, and products on older devices, in
 * single precision. A pass is used by one thread at a time, any thread that rp_gpu.h allows.
 */
#ifndef HANDLERS_SENTIMENT_NETWORK_GPU_H
#define HANDLERS_SENTIMENT_NETWORK_GPU_H

#include "handlers/sentiment/network.h"
#include "rp_gpu.h"

/* With -DWITHOUT_GPU the handler is for the CPU alone: nothing of the GPU part is linked. */
#ifdef WITHOUT_GPU
#define HAS_GPU_PART false
#else
#define HAS_GPU_PART true
#endif

struct network_gpu;

/*
 * Allocates all memory that passes need on the device and copies the weights there; afterwards the
 * network's mapping is not read any more. The network is linked. Blocks. ERR_MEMORY: the model
 * does not fit the device, or the host has too little memory; ERR_PEER: the driver's reason, also
 * for the memory that the copying takes.
 */
int network_gpu_open(struct network_gpu **gpu, const struct network *network, rp_gpu *device,
                     struct err *err);

/* As network_run. Blocks until the logits are there. ERR_PEER: the driver's reason. */
int network_gpu_run(struct network_gpu *gpu, const uint32_t *ids, const size_t *lengths,
                    size_t sequences, float *logits, struct err *err);

/* The device's name, "half" or "single", and the device memory in bytes. Do not block. */
const char *network_gpu_name(const struct network_gpu *gpu);
const char *network_gpu_precision(const struct network_gpu *gpu);
size_t network_gpu_bytes(const struct network_gpu *gpu);

#endif
