/* The kernels for what every machine of the target has: SSE2, or Advanced SIMD on ARM. 6 x 8. */
#define LANES 4
#define ROWS 6
#define TARGET
#define SET kernels_portable
#define SET_NAME "portable"
#include "model/kernels_build.inc"
