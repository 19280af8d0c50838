/*
 * src/handlers/matmul.c, the handler that ships, with the part that serves requests: tests/gpu.sh
 * and the kit for a machine with a GPU send it a thousand jobs, and eight at once.
 */
#include "rp_gpu.h"
#include "worker.h"

static int start_served(int argc, char **argv, const rp_config *config)
{
    rp_config own = *config;
    own.realtime = &rp_realtime_part;
    return rp_start(argc, argv, &own);
}

#define rp_start start_served
#include "../../../src/handlers/matmul.c" // NOLINT(bugprone-suspicious-include)
