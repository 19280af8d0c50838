/* The kernels for AVX-512: 14 x 32, in 28 of the 32 registers. */
#if defined(__x86_64__)
#define LANES 16
#define ROWS 14
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#define SET kernels_avx512
#define SET_NAME "avx512"
#include "model/kernels_build.inc"
#else
typedef int kernels_avx512_not_here;
#endif
