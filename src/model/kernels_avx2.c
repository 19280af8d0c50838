/* The kernels for AVX2 with FMA: 6 x 16, in 12 of the 16 registers. */
#if defined(__x86_64__)
#define LANES 8
#define ROWS 6
#define TARGET __attribute__((target("avx2,fma")))
#define SET kernels_avx2
#define SET_NAME "avx2"
#include "model/kernels_build.inc"
#else
typedef int kernels_avx2_not_here;
#endif
