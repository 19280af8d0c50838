/*
 * codec/filename.h - a file's name from a server, made safe for a file system. Pure; allocates
 * nothing.
 */
#ifndef CODEC_FILENAME_H
#define CODEC_FILENAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define FILENAME_RAW_BYTES 1024 /* longer names in a field or URL are ignored */
#define FILENAME_BYTES 129      /* a safe name and its NUL: far under every file system's 255 */

/*
 * The file name in a Content-Disposition value (RFC 6266) of any disposition: "filename*" (RFC
 * 8187; UTF-8 or ISO-8859-1) wins over "filename", and the first of each over later ones. An
 * unquoted name may hold spaces, since common servers send such. Writes *len bytes to out: UTF-8
 * or, for "filename", the bytes as sent. False where no name can be read. The name is not safe yet:
 * it may be "../../x", or empty.
 */
bool filename_in_disposition(slice value, char out[FILENAME_RAW_BYTES], size_t *len);

/*
 * The last segment of a URL's target (path and query, as struct url has it), percent-decoded; not
 * safe yet, either. False where it is missing or malformed.
 */
bool filename_in_target(slice target, char out[FILENAME_RAW_BYTES], size_t *len);

/*
 * Makes a safe name, NUL-terminated, that stays in its folder: what follows the last slash or
 * backslash, without control characters, without dots and blanks at either end. A leading hyphen,
 * bytes that are not UTF-8, and each of <>:"|?* become "_". A name that is too long is cut before
 * its extension. False, and "", where nothing is left.
 */
bool filename_make_safe(slice name, char out[FILENAME_BYTES]);

#endif
