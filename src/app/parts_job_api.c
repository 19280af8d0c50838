/* The job API as a part: src/source/README.md. */
#include "app/parts.h"

#include "source/endpoint.h"

const struct rp_job_api_part rp_job_api_part = {
    .serve = source_endpoint_new,
    .beside = &source_endpoint_beside,
};
