/*
 * api/download.h - downloads into a job's scratch folder: what rp_download and rp_download_list of
 * worker.h share.
 */
#ifndef API_DOWNLOAD_H
#define API_DOWNLOAD_H

#include <pthread.h>

#include "api/transfer.h"

#define DOWNLOAD_WHAT_BYTES 600 /* "Download of URL", NUL included */

/* The time for one file; options may be NULL. */
uint32_t download_timeout_s(const rp_download_options *options);

/*
 * Downloads one file by a transfer that has begun; the job has its scratch folder. `memory` is held
 * while the job's memory is taken, where other threads do the same; NULL where there are none. Sets
 * `what`, for errors, in any case: the URL without its query. Blocks. Errors as rp_download.
 */
int download_run(struct transfer *transfer, pthread_mutex_t *memory, rp_str url,
                 const rp_download_options *options, rp_file *file, char what[DOWNLOAD_WHAT_BYTES],
                 struct err *err);

#endif
