/* The mean of input.numbers, by a function of another file and language. */
#include <worker.h>

#include "mean.h"

static int handle(rp_job *job, void *user)
{
    rp_value numbers = rp_get(rp_input(job), "numbers");
    size_t count = rp_count(numbers), i = 0;
    (void)user;
    if (rp_type_of(numbers) != RP_ARRAY || count == 0)
        return rp_fail(job, "input.numbers must be an array of numbers");
    double *all = rp_alloc(job, count * sizeof *all);
    if (all == NULL)
        return rp_fail(job, "out of memory");
    for (rp_iter it = rp_each(numbers); rp_next(&it); i++) {
        if (rp_to_double(it.value, &all[i]) != RP_OK)
            return rp_fail(job, "input.numbers must be an array of numbers");
    }
    return rp_return(job, "{\"mean\": %g}", mean(all, count));
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = handle });
}
