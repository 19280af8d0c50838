#include "mean.h"

#include <numeric>

double mean(const double *numbers, size_t count)
{
    return std::accumulate(numbers, numbers + count, 0.0) / static_cast<double>(count);
}
