/*
 * The stock worker: programs and servers as handlers (src/handlers/README.md). Without one it
 * answers every job with its input, which is enough to see an endpoint work end to end.
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

static int return_input(rp_job *job, void *user)
{
    (void)user;
    return rp_return_json(job, rp_input_json(job));
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = return_input, .gpu = GPU_PART });
}
