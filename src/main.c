/*
 * The stock worker: programs and servers as handlers (src/handlers/README.md). Without one it does
 * not start: a forgotten option must not pass for a worker that answers.
 *
 * Built twice: as build/worker, and as build/worker-gpu with the GPU's fitness checks and --gpu-info.
 * One binary with everything would be 1.6 times as large (README, "A GPU"), and most of the growth is
 * the table of glibc's names, of no use to whoever has no GPU.
 */
#include "worker.h"

#ifdef WORKER_GPU
#include "rp_gpu.h"
#define GPU_PART &rp_gpu_part
#else
#define GPU_PART NULL
#endif

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .gpu = GPU_PART });
}
