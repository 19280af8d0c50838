/* The kernels for AVX-512, emulated by the compiler for any machine: the same panels and blocks. */
#define LANES 16
#define ROWS 14
#define TARGET
#define SET kernels_emulated
#define SET_NAME "emulated"
struct kernels;
extern const struct kernels kernels_emulated;
#include "model/kernels_build.inc"
