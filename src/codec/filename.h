/*
 * codec/filename.h - a file's name as a server gives it, made fit for a file system. Pure; nothing
 * is allocated.
 */
#ifndef CODEC_FILENAME_H
#define CODEC_FILENAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define FILENAME_RAW_BYTES 1024 /* names longer than this in a field or URL are not looked at */
#define FILENAME_BYTES 129      /* a safe name and its NUL: far under every file system's 255 */

/*
 * The file name in a Content-Disposition value (RFC 6266), whatever the disposition: "filename*"
 * (RFC 8187; UTF-8 or ISO-8859-1) wins over "filename", and the first of each over others. As
 * common servers do it, an unquoted name may hold spaces. Written to out as UTF-8 or, for
 * "filename", whatever bytes were sent; *len tells how many. False where there is none that can be
 * read. The name is not safe yet: it may be "../../x", or empty.
 */
bool filename_in_disposition(slice value, char out[FILENAME_RAW_BYTES], size_t *len);

/*
 * The last segment of a URL's target (path and query, as struct url has it), percent-decoded; to
 * be used as above. False where there is none, or it is broken.
 */
bool filename_in_target(slice target, char out[FILENAME_RAW_BYTES], size_t *len);

/*
 * Makes a name that stays in its folder and surprises nobody, with NUL at the end: what follows the
 * last slash or backslash, without control characters, without dots and blanks at either end; a
 * hyphen at the start, bytes that are not UTF-8, and each of <>:"|?* become "_". A longer one is cut
 * before its extension. False, and "", where nothing is left.
 */
bool filename_make_safe(slice name, char out[FILENAME_BYTES]);

#endif
