/*
 * files/zip.h - reads the directory of a ZIP archive (APPNOTE.TXT 6.3.10), ZIP64 included. Pure;
 * allocates nothing. Nothing in an archive is trusted: what does not fit together is an error.
 *
 * The end of the file tells where the directory is (zip_find_end), the directory names the entries
 * (zip_next), and before each entry's bytes its head stands again (zip_check_head).
 */
#ifndef FILES_ZIP_H
#define FILES_ZIP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

#define ZIP_TAIL_BYTES 65633u /* the longest comment, and the three records of an end before it */
#define ZIP_HEAD_BYTES 30u    /* of an entry, without its name and extra field */
#define ZIP_NAME_BYTES 1025u  /* a name that is unpacked, NUL included */

enum zip_method { ZIP_STORED = 0, ZIP_DEFLATED = 8 };

struct zip_end {
    uint64_t entries;
    uint64_t directory_offset, directory_bytes;
};

struct zip_entry {
    slice name; /* as it is in the archive; see zip_safe_name */
    unsigned flags;
    unsigned method;
    uint32_t crc;           /* of the unpacked bytes */
    uint64_t packed, bytes; /* sizes: in the archive, and unpacked */
    uint64_t offset;        /* of its head in the archive */
    bool is_folder;
    bool is_special; /* a link, a device, ...: neither a file nor a folder */
};

/*
 * Finds the end record in the last bytes of the file, ZIP_TAIL_BYTES of them or the whole file. 0;
 * ERR_INPUT where it is not an archive, or one in several files.
 */
int zip_find_end(slice tail, uint64_t file_bytes, struct zip_end *end, struct err *err);

/*
 * Cuts the next entry off the directory. 1; 0 at its end; ERR_INPUT where it is damaged, or an
 * entry is encrypted.
 */
int zip_next(slice *directory, struct zip_entry *entry, struct err *err);

/*
 * Checks an entry's head, which must agree with the directory, and sets *skip to the bytes from the
 * head's start to the entry's own: head, name and extra field. The name lies at ZIP_HEAD_BYTES; its
 * length must be that of entry->name, and comparing it is left to the caller. ERR_INPUT.
 */
int zip_check_head(const char head[ZIP_HEAD_BYTES], const struct zip_entry *entry, uint64_t *skip,
                   struct err *err);

/*
 * Turns a name into a path that stays in the folder where it is unpacked: no "..", no "." or empty
 * part, no slash at its start, no backslash, no drive letter, no control character, each part
 * shorter than 256 bytes. A folder's slash at the end is cut. Bytes of a name that is not UTF-8
 * (older programs) become "_". ERR_INPUT for any other.
 */
int zip_safe_name(slice name, char out[ZIP_NAME_BYTES], struct err *err);

/* For CRC-32 by eight bytes a step; made once, then only read. */
struct zip_crc {
    uint32_t table[8][256];
};
void zip_crc_init(struct zip_crc *self);

/* Adds bytes to a checksum, which starts from 0. */
uint32_t zip_crc_add(const struct zip_crc *self, uint32_t crc, slice bytes);

#endif
