/* worker.h: the job's scratch folder. */
#include "job/rp_job.h"
#include "job/scratch.h"

int rp_job_scratch(struct rp_job *self, struct err *err)
{
    struct scratch *scratch;
    if (self->scratch != NULL)
        return 0;
    int rc = scratch_new(&scratch, err);
    if (rc != 0)
        return rc;
    self->scratch = scratch;
    self->end_scratch = scratch_remove;
    return 0;
}

const char *rp_scratch(rp_job *job)
{
    struct err err;
    if (rp_job_scratch(job, &err) == 0)
        return scratch_path(job->scratch);
    rp_job_fail(job, err.text);
    return NULL;
}
