#include "model/kernels.h"

#include <stdbool.h>
#include <string.h>

static bool portable(void)
{
    return true;
}

#if defined(__x86_64__)
#include <cpuid.h>

enum { STATE_AVX = 0x6, STATE_AVX512 = 0xe6 };

/* The registers that the system saves (XCR0), or 0: Intel SDM volume 1, 13.3. */
static unsigned saved_state(unsigned ecx)
{
    unsigned low, high;
    if ((ecx & bit_OSXSAVE) == 0)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Not __builtin_cpu_supports, whose tables would be linked into every program. */
static bool has(unsigned features_ebx, unsigned state)
{
    unsigned eax, ebx, ecx, edx, first_ecx;
    if (!__get_cpuid(1, &eax, &ebx, &first_ecx, &edx) || (first_ecx & bit_FMA) == 0 ||
        (saved_state(first_ecx) & state) != state)
        return false;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & features_ebx) == features_ebx;
}

static bool avx2(void)
{
    return has(bit_AVX2, STATE_AVX);
}

static bool avx512(void)
{
    return has(bit_AVX2 | bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL, STATE_AVX512);
}
#endif

static const struct {
    const struct kernels *kernels;
    bool (*supported)(void);
} sets[] = {
#if defined(__x86_64__)
    { &kernels_avx512, avx512 },
    { &kernels_avx2, avx2 },
#endif
    { &kernels_portable, portable },
};

const struct kernels *kernels_choose(const char *name)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if ((name == NULL || strcmp(name, sets[i].kernels->name) == 0) && sets[i].supported())
            return sets[i].kernels;
    return NULL;
}
