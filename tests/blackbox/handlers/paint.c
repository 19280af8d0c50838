/* What a text-to-image handler checks of its input; it returns what it has read. */
#include "worker.h"

struct input {
    rp_str prompt;
    int64_t seed;
    int steps;
    double guidance;
    const char *size;
    bool safe;
    rp_value extra;
};

static const rp_field fields[] = {
    { RP_FIELD(struct input, prompt), .required = true, .min_length = 1, .max_length = 2000 },
    { RP_FIELD(struct input, seed), .fallback.integer = -1 },
    { RP_FIELD(struct input, steps), RP_RANGE(1, 150), .fallback.integer = 20 },
    { RP_FIELD(struct input, guidance), RP_RANGE(0, 30), .fallback.number = 7.5 },
    { RP_FIELD(struct input, size), RP_ALLOW("512x512", "1024x1024"),
      .fallback.string = "512x512" },
    { RP_FIELD(struct input, safe), .fallback.boolean = true },
    { RP_FIELD(struct input, extra), .type = RP_OBJECT },
};

static int paint(rp_job *job, void *user)
{
    struct input in;
    if (rp_validate(job, rp_input(job), fields, &in, *(unsigned *)user) != RP_OK)
        return RP_FAILED;
    return rp_return(job, "[%S, %lld, %d, %.6g, %Q, %B, %zu]", &in.prompt, (long long)in.seed,
                     in.steps, in.guidance, in.size, in.safe, rp_count(in.extra));
}

int main(int argc, char **argv)
{
    unsigned options = 0;
    for (int i = 1; i < argc; i++)
        if (argv[i][0] == '+')
            options = RP_IGNORE_UNKNOWN;
    return rp_start(argc, argv,
                    &(rp_config){ .handler = paint, .audit = &rp_audit_part, .user = &options });
}
