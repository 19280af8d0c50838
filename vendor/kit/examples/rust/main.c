/* The worker around a handler in Rust (src/lib.rs). */
#include <worker.h>

extern rp_handler handle;

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = handle });
}
