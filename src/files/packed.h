/*
 * files/packed.h - texts that are part of the program, packed by "gzip -9n" when it was built.
 */
#ifndef FILES_PACKED_H
#define FILES_PACKED_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Appends what `packed` holds to `out`. Takes 70 KiB of memory meanwhile, and well under a
 * millisecond for a text of 20 KB. Any thread. 0; ERR_MEMORY; ERR_LIMIT past the maximum of `out`;
 * ERR_INPUT where the stream is damaged. Checksum and length, which gzip puts behind it, are not
 * looked at: not for files of others.
 */
int packed_read(slice packed, struct buf *out, struct err *err);

#endif
