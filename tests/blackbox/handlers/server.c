/* server: a program that has one of the worker's parts, and no handler of its own. */
#include "worker.h"

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .servers = &rp_servers_part });
}
