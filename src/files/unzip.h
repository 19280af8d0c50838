/*
 * files/unzip.h - unpacks a ZIP archive into a folder, with limits.
 *
 * Methods stored and deflated. Every size, checksum and head is checked against the archive's
 * directory; entries that overlap, two of one name, links and names that leave the folder
 * (files/zip.h) are errors. Files become readable and writable for their owner alone, whatever the
 * archive says, and times are those of unpacking.
 */
#ifndef FILES_UNZIP_H
#define FILES_UNZIP_H

#include <stdint.h>

#include "base/err.h"
#include "base/flag.h"

struct unzip_limits {
    uint64_t max_bytes; /* of all files together */
    uint64_t max_files; /* and folders; of folders that only their names imply as many again */
    uint64_t max_ratio; /* unpacked bytes for each byte of the archive, beyond UNZIP_FREE_BYTES */
    const struct flag *stop; /* ends the unpacking when it is raised; NULL for none */
};

#define UNZIP_FREE_BYTES (16u << 20) /* for which max_ratio does not count */

struct unzip_done {
    uint64_t files, bytes;
};

/*
 * Unpacks the file `archive` into the folder `folder`, both descriptors. What was unpacked before
 * an error is left there. Memory: 90 KiB, and the archive's directory, which is bounded by
 * max_files. Blocks on the file system.
 *
 * 0 with *done set; ERR_LIMIT naming the limit; ERR_INPUT for an archive that is damaged or
 * refused, or files that cannot be written; ERR_CANCELLED; ERR_MEMORY.
 */
int unzip_into(int archive, int folder, const struct unzip_limits *limits, struct unzip_done *done,
               struct err *err);

#endif
