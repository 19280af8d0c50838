/*
 * The peak of fused multiply-adds that this machine's cores reach together:  peak THREADS
 * Prints GFLOP/s: independent sums in registers, no memory. Compiled with -march=native.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#define SUMS 12
#define STEPS 2000000
#define ROUNDS 8
#define THREADS_MAX 256

typedef float vec __attribute__((vector_size(LANES * 4)));

static double best[THREADS_MAX];

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *run(void *result)
{
    vec sums[SUMS], factor = (vec){ 0 } + 0.999f, more = (vec){ 0 } + 0.1f;
    for (int i = 0; i < SUMS; i++)
        sums[i] = (vec){ 0 } + (float)i;
    for (int round = 0; round < ROUNDS; round++) {
        double begun = now_s();
        for (int step = 0; step < STEPS; step++) {
#pragma GCC unroll 12
            for (int i = 0; i < SUMS; i++)
                sums[i] = sums[i] * factor + more;
            __asm__ volatile("" : : "x"(sums[0]), "x"(sums[SUMS - 1]));
        }
        double gflops = 2.0 * STEPS * SUMS * LANES / (now_s() - begun) / 1e9;
        if (gflops > *(double *)result)
            *(double *)result = gflops;
    }
    volatile float used = 0;
    for (int i = 0; i < SUMS; i++)
        used = used + sums[i][0];
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    int count = argc > 1 ? atoi(argv[1]) : 1;
    double sum = 0;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, run, &best[i]);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        sum += best[i];
    }
    printf("%.1f\n", sum);
    return 0;
}
