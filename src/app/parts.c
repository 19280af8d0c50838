#include "app/parts.h"

#include "app/sbom.h"

unsigned parts_absent(const rp_config *program)
{
    unsigned absent = 0;
    absent |= program->programs == NULL ? PART_PROGRAMS : 0;
    absent |= program->servers == NULL ? PART_SERVERS : 0;
    absent |= program->realtime == NULL ? PART_REALTIME : 0;
    absent |= program->job_api == NULL ? PART_JOB_API : 0;
    absent |= program->storage == NULL ? PART_STORAGE : 0;
    absent |= program->gpu == NULL ? PART_GPU : 0;
    absent |= program->audit == NULL ? PART_AUDIT : 0;
    absent |= sbom_print == NULL ? PART_SBOM : 0;
    return absent;
}
