/* The mean of numbers, for C. */
#ifndef MEAN_H
#define MEAN_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

double mean(const double *numbers, size_t count);

#ifdef __cplusplus
}
#endif

#endif
