/*
 * The stock worker, whose handler is a program or an HTTP server (src/handlers/README.md). Without
 * one it does not start, so that a forgotten option is noticed.
 *
 * Built twice: as build/worker, and as build/worker-gpu with the GPU's fitness checks and
 * --gpu-info. That one is 1.4 times as large, mostly by the table of glibc's names for the driver.
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
    return rp_start(argc, argv, &(rp_config){ RP_ALL_PARTS, .gpu = GPU_PART });
}
