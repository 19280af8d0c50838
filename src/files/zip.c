#include "files/zip.h"

#include <stddef.h>
#include <string.h>

#include "base/utf8_escape.h"
#include "codec/byte_class.h"

/* Records of APPNOTE.TXT, by section: their marks and their fixed sizes. */
#define HEAD_MARK 0x04034b50u  /* 4.3.7, local file header */
#define ENTRY_MARK 0x02014b50u /* 4.3.12, central directory */
#define ENTRY_BYTES 46u
#define END64_MARK 0x06064b50u /* 4.3.14 */
#define END64_BYTES 56u
#define LOCATOR_MARK 0x07064b50u /* 4.3.15 */
#define LOCATOR_BYTES 20u
#define END_MARK 0x06054b50u /* 4.3.16 */
#define END_BYTES 22u
#define COMMENT_MAX 65535u

#define EXTRA_ZIP64 1u /* 4.5.3 */
#define FLAG_ENCRYPTED 1u
#define FLAG_STRONG 0x40u
#define FLAG_MASKED 0x2000u
#define HOST_UNIX 3u /* 4.4.2 */
#define UNIX_TYPE 0170000u
#define UNIX_FOLDER 0040000u
#define UNIX_FILE 0100000u
#define DOS_FOLDER 0x10u

/* --- numbers ---------------------------------------------------------------------------------- */

static uint64_t number(const char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = bytes; i > 0; i--)
        value = value << 8 | (unsigned char)at[i - 1];
    return value;
}

static unsigned read16(const char *at)
{
    return (unsigned)number(at, 2);
}

static uint32_t read32(const char *at)
{
    return (uint32_t)number(at, 4);
}

static uint64_t read64(const char *at)
{
    return number(at, 8);
}

static int damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_INPUT, "the archive is damaged: %s", what);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Where the end record begins in the tail: its comment must reach to the end. SIZE_MAX: nowhere. */
static size_t find_record(slice tail)
{
    if (tail.len < END_BYTES)
        return SIZE_MAX;
    for (size_t at = tail.len - END_BYTES + 1; at > 0; at--) {
        const char *record = tail.ptr + at - 1;
        size_t behind = tail.len - (at - 1) - END_BYTES;
        if (behind > COMMENT_MAX)
            break;
        if (read32(record) == END_MARK && read16(record + 20) == behind)
            return at - 1;
    }
    return SIZE_MAX;
}

/* The 64-bit record, where a locator stands before the end record; 1 where *limit became its place,
 * which the directory must not pass. */
static int read_end64(slice tail, uint64_t base, size_t record, struct zip_end *end,
                      uint64_t *limit, struct err *err)
{
    if (record < LOCATOR_BYTES || read32(tail.ptr + record - LOCATOR_BYTES) != LOCATOR_MARK)
        return 0;
    const char *locator = tail.ptr + record - LOCATOR_BYTES;
    uint64_t offset = read64(locator + 8), space = record - LOCATOR_BYTES;
    if (read32(locator + 4) != 0 || read32(locator + 16) > 1)
        return err_set(err, ERR_INPUT, "an archive in several files cannot be unpacked");
    if (offset < base || offset - base > space || space - (offset - base) < END64_BYTES)
        return damaged(err, "its 64-bit end record is not where it should be");
    const char *found = tail.ptr + (offset - base);
    if (read32(found) != END64_MARK)
        return damaged(err, "its 64-bit end record");
    end->entries = read64(found + 32);
    end->directory_bytes = read64(found + 40);
    end->directory_offset = read64(found + 48);
    *limit = offset;
    return 1;
}

int zip_find_end(slice tail, uint64_t file_bytes, struct zip_end *end, struct err *err)
{
    size_t at = find_record(tail);
    if (at == SIZE_MAX)
        return err_set(err, ERR_INPUT, "it is not a ZIP archive, or its end is missing");
    const char *record = tail.ptr + at;
    uint64_t base = file_bytes - tail.len, limit = base + at;
    *end = (struct zip_end){ read16(record + 10), read32(record + 16), read32(record + 12) };
    int rc = read_end64(tail, base, at, end, &limit, err);
    if (rc < 0)
        return rc;
    if (rc == 0 && (read16(record + 4) != 0 || read16(record + 8) != end->entries))
        return err_set(err, ERR_INPUT, "an archive in several files cannot be unpacked");
    if (end->directory_offset > limit || end->directory_bytes > limit - end->directory_offset ||
        end->entries > end->directory_bytes / ENTRY_BYTES)
        return damaged(err, "its directory does not lie before its end");
    return 0;
}

/* --- entries ---------------------------------------------------------------------------------- */

/* Values that do not fit 32 bits stand in this field, in this order, those that are needed. */
static bool read_extra64(slice extra, struct zip_entry *entry)
{
    uint64_t *const values[] = { &entry->bytes, &entry->packed, &entry->offset };
    while (extra.len >= 4) {
        unsigned id = read16(extra.ptr);
        size_t len = read16(extra.ptr + 2);
        extra = slice_skip(extra, 4);
        if (len > extra.len)
            return false;
        slice field = { extra.ptr, len };
        extra = slice_skip(extra, len);
        for (size_t i = 0; id == EXTRA_ZIP64 && i < sizeof values / sizeof values[0]; i++) {
            if (*values[i] != UINT32_MAX)
                continue;
            if (field.len < 8)
                return false;
            *values[i] = read64(field.ptr);
            field = slice_skip(field, 8);
        }
    }
    return true;
}

static void read_type(const char *record, struct zip_entry *entry)
{
    uint32_t attributes = read32(record + 38);
    unsigned host = read16(record + 4) >> 8, type = (attributes >> 16) & UNIX_TYPE;
    bool has_slash = entry->name.len > 0 && entry->name.ptr[entry->name.len - 1] == '/';
    bool knows_type = host == HOST_UNIX && type != 0;
    entry->is_folder = has_slash ||
                       (!knows_type && (attributes & DOS_FOLDER) != 0 && entry->bytes == 0);
    entry->is_special = knows_type && type != UNIX_FILE && type != UNIX_FOLDER;
}

int zip_next(slice *directory, struct zip_entry *entry, struct err *err)
{
    const char *record = directory->ptr;
    if (directory->len == 0)
        return 0;
    if (directory->len < ENTRY_BYTES || read32(record) != ENTRY_MARK)
        return damaged(err, "an entry of its directory");
    size_t name = read16(record + 28), extra = read16(record + 30), comment = read16(record + 32);
    if (directory->len - ENTRY_BYTES < name + extra + comment)
        return damaged(err, "an entry of its directory is cut off");
    *entry = (struct zip_entry){ .name = { record + ENTRY_BYTES, name },
                                 .flags = read16(record + 8),
                                 .method = read16(record + 10),
                                 .crc = read32(record + 16),
                                 .packed = read32(record + 20),
                                 .bytes = read32(record + 24),
                                 .offset = read32(record + 42) };
    if (!read_extra64((slice){ record + ENTRY_BYTES + name, extra }, entry))
        return damaged(err, "the extra field of an entry");
    if ((entry->flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED)) != 0)
        return err_set(err, ERR_INPUT, "an encrypted archive cannot be unpacked");
    read_type(record, entry);
    *directory = slice_skip(*directory, ENTRY_BYTES + name + extra + comment);
    return 1;
}

int zip_check_head(const char head[ZIP_HEAD_BYTES], const struct zip_entry *entry, uint64_t *skip,
                   struct err *err)
{
    if (read32(head) != HEAD_MARK || read16(head + 8) != entry->method ||
        read16(head + 26) != entry->name.len)
        return damaged(err, "an entry's header differs from the directory");
    *skip = ZIP_HEAD_BYTES + (uint64_t)read16(head + 26) + read16(head + 28);
    return 0;
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_part(slice part)
{
    return part.len > 0 && part.len < 256 && !slice_is(part, ".") && !slice_is(part, "..");
}

static bool are_parts(slice name)
{
    while (name.len > 0) {
        slice part = { name.ptr, byte_class_until(name, "/") };
        bool more = part.len < name.len;
        if (!is_part(part) || (more && part.len + 1 == name.len))
            return false;
        name = slice_skip(name, part.len + more);
    }
    return true;
}

static int refuse_name(slice name, struct err *err)
{
    char shown[101];
    size_t len = name.len < sizeof shown ? name.len : sizeof shown - 1;
    for (size_t i = 0; i < len; i++)
        shown[i] = byte_class_in(name.ptr[i], BYTE_CLASS_VISIBLE) ? name.ptr[i] : '?';
    return err_set(
        err, ERR_INPUT,
        "the name of an entry leads out of the folder, or is not valid on every system: %.*s",
        (int)len, shown);
}

int zip_safe_name(slice name, char out[ZIP_NAME_BYTES], struct err *err)
{
    slice path = slice_trim_end(name, '/');
    bool utf8 = utf8_prefix(name) == name.len,
         safe = path.len > 0 && path.len < ZIP_NAME_BYTES && are_parts(path);
    for (size_t i = 0; safe && i < path.len; i++) {
        char c = path.ptr[i];
        safe = (unsigned char)c >= 0x20 && c != 0x7f && c != '\\';
        out[i] = (unsigned char)c >= 0x80 && !utf8 ? '_' : c;
    }
    safe = safe && !(path.len > 1 && path.ptr[1] == ':'); /* C:name */
    if (!safe)
        return refuse_name(name, err);
    out[path.len] = '\0';
    return 0;
}

/* --- the checksum ----------------------------------------------------------------------------- */

#define CRC_POLYNOMIAL 0xedb88320u /* of ISO 3309, its bits reversed */

void zip_crc_init(struct zip_crc *self)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? CRC_POLYNOMIAL : 0);
        self->table[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int row = 1; row < 8; row++) {
            uint32_t before = self->table[row - 1][byte];
            self->table[row][byte] = (before >> 8) ^ self->table[0][before & 0xff];
        }
}

uint32_t zip_crc_add(const struct zip_crc *self, uint32_t crc, slice bytes)
{
    crc = ~crc;
    for (; bytes.len >= 8; bytes = slice_skip(bytes, 8)) {
        uint64_t eight = read64(bytes.ptr) ^ crc;
        crc = 0;
        for (unsigned i = 0; i < 8; i++)
            crc ^= self->table[7 - i][eight >> (8 * i) & 0xff];
    }
    for (size_t i = 0; i < bytes.len; i++)
        crc = (crc >> 8) ^ self->table[0][(crc ^ (unsigned char)bytes.ptr[i]) & 0xff];
    return ~crc;
}
