#include "files/tar.h"

#include <stdio.h>
#include <string.h>

#include "codec/byte_class.h"

/* Fields of a head (POSIX, "ustar Interchange Format"): where they begin, and their bytes. */
enum {
    NAME = 0,
    NAME_BYTES = 100,
    MODE = 100,
    MODE_BYTES = 8,
    SIZE = 124,
    SIZE_BYTES = 12,
    MTIME = 136,
    MTIME_BYTES = 12,
    SUM = 148,
    SUM_BYTES = 8,
    TYPE = 156,
    MAGIC = 257,
    MAGIC_BYTES = 6,
    PREFIX = 345,
    PREFIX_BYTES = 155,
};

#define TYPE_FILE '0'
#define TYPE_OLD_FILE '\0'
#define TYPE_CONTIGUOUS '7' /* read as a file, as everybody does */
#define TYPE_PAX 'x'
#define TYPE_PAX_GLOBAL 'g'
#define TYPE_LONG_NAME 'L'
#define TYPE_LONG_LINK 'K'
#define LONG_NAME "././@LongLink"
#define OCTAL_MAX 077777777777 /* in 11 digits */

static int damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_INPUT, "the archive is damaged: %s", what);
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Octal digits with blanks or NULs around them, or GNU's binary form. False for anything else. */
static bool read_number(const char *field, size_t size, int64_t *value)
{
    slice text = { field, size };
    *value = 0;
    if ((unsigned char)field[0] == 0x80) {
        for (size_t i = 1; i < size; i++) {
            if (*value > INT64_MAX >> 8)
                return false;
            *value = *value << 8 | (unsigned char)field[i];
        }
        return true;
    }
    while (text.len > 0 && text.ptr[0] == ' ')
        text = slice_skip(text, 1);
    for (; text.len > 0 && text.ptr[0] >= '0' && text.ptr[0] <= '7'; text = slice_skip(text, 1))
        *value = *value << 3 | (text.ptr[0] - '0');
    return text.len == 0 || text.ptr[0] == ' ' || text.ptr[0] == '\0';
}

/* The sum of a head's bytes, those of the sum itself counted as blanks. */
static unsigned sum_of(const char head[TAR_BLOCK_BYTES])
{
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        sum += i >= SUM && i < SUM + SUM_BYTES ? ' ' : (unsigned char)head[i];
    return sum;
}

static bool is_empty(const char head[TAR_BLOCK_BYTES])
{
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        if (head[i] != 0)
            return false;
    return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Where it does not fit, the path is empty, and nothing will be made of the entry. */
static void set_path(char path[TAR_PATH_BYTES], slice text)
{
    bool fits = text.len < TAR_PATH_BYTES && memchr(text.ptr, '\0', text.len) == NULL;
    snprintf(path, TAR_PATH_BYTES, "%.*s", fits ? (int)text.len : 0, text.ptr);
}

static void read_path(const char head[TAR_BLOCK_BYTES], char path[TAR_PATH_BYTES])
{
    int name = (int)strnlen(head + NAME, NAME_BYTES);
    int prefix = (int)strnlen(head + PREFIX, PREFIX_BYTES);
    bool is_posix = memcmp(head + MAGIC, "ustar", MAGIC_BYTES) == 0; /* GNU's has a blank there */
    if (!is_posix || prefix == 0)
        snprintf(path, TAR_PATH_BYTES, "%.*s", name, head + NAME);
    else
        snprintf(path, TAR_PATH_BYTES, "%.*s/%.*s", prefix, head + PREFIX, name, head + NAME);
}

static enum tar_kind kind_of(char type)
{
    if (type == TYPE_FILE || type == TYPE_OLD_FILE || type == TYPE_CONTIGUOUS)
        return TAR_FILE;
    bool extends = type == TYPE_PAX || type == TYPE_LONG_NAME || type == TYPE_LONG_LINK ||
                   type == TYPE_PAX_GLOBAL;
    return extends ? TAR_EXTENSION : TAR_OTHER;
}

static void apply(struct tar_more *more, struct tar_entry *entry)
{
    if (more->has_path)
        memcpy(entry->path, more->values.path, sizeof entry->path);
    if (more->has_mtime)
        entry->mtime_s = more->values.mtime_s;
    if (more->has_bytes)
        entry->bytes = more->values.bytes;
    more->has_path = more->has_mtime = more->has_bytes = false;
}

int tar_read(const char head[TAR_BLOCK_BYTES], struct tar_more *more, struct tar_entry *entry,
             struct err *err)
{
    int64_t sum, bytes, mode;
    if (is_empty(head)) {
        entry->kind = TAR_END;
        return 0;
    }
    if (!read_number(head + SUM, SUM_BYTES, &sum) || sum != sum_of(head))
        return damaged(err, "a checksum");
    if (!read_number(head + SIZE, SIZE_BYTES, &bytes) ||
        !read_number(head + MTIME, MTIME_BYTES, &entry->mtime_s) ||
        !read_number(head + MODE, MODE_BYTES, &mode))
        return damaged(err, "a number");
    entry->type = head[TYPE];
    entry->kind = kind_of(entry->type);
    entry->bytes = (uint64_t)bytes;
    entry->mode = (unsigned)mode & 0777;
    read_path(head, entry->path);
    if (entry->kind != TAR_EXTENSION)
        apply(more, entry);
    else if (entry->bytes > TAR_EXTENSION_BYTES)
        return damaged(err, "an extension is too long");
    return entry->bytes <= INT64_MAX - TAR_BLOCK_BYTES ? 0 : damaged(err, "a size");
}

/* --- extensions ------------------------------------------------------------------------------- */

/* "KEYWORD=VALUE" of a pax record. */
static bool take_keyword(struct tar_more *more, slice record)
{
    slice name = { record.ptr, byte_class_until(record, "=") };
    if (name.len == record.len)
        return false;
    slice value = slice_skip(record, name.len + 1);
    slice whole = { value.ptr, byte_class_until(value, ".") };
    uint64_t number;
    if (slice_is(name, "path")) {
        more->has_path = true;
        set_path(more->values.path, value);
    } else if (slice_is(name, "mtime")) {
        bool negative = whole.len > 0 && whole.ptr[0] == '-';
        more->has_mtime = true;
        more->values.mtime_s = 0;
        if (!negative && !byte_class_decimal(whole, INT64_MAX, &number))
            return false;
        if (!negative)
            more->values.mtime_s = (int64_t)number;
    } else if (slice_is(name, "size")) {
        more->has_bytes = byte_class_decimal(value, INT64_MAX - TAR_BLOCK_BYTES, &number);
        more->values.bytes = more->has_bytes ? number : 0;
        return more->has_bytes;
    }
    return true;
}

/* Records "LENGTH KEYWORD=VALUE\n", where LENGTH is that of all of it. */
static bool take_records(struct tar_more *more, slice data)
{
    while (data.len > 0) {
        uint64_t length;
        slice digits = { data.ptr, byte_class_until(data, " ") };
        if (!byte_class_decimal(digits, data.len, &length) || length < digits.len + 2 ||
            data.ptr[length - 1] != '\n')
            return false;
        slice record = { data.ptr + digits.len + 1, (size_t)length - digits.len - 2 };
        if (!take_keyword(more, record))
            return false;
        data = slice_skip(data, (size_t)length);
    }
    return true;
}

int tar_extend(struct tar_more *more, const struct tar_entry *entry, slice data, struct err *err)
{
    if (entry->type == TYPE_LONG_NAME) {
        more->has_path = true;
        set_path(more->values.path, slice_trim_end(data, '\0'));
    }
    if (entry->type == TYPE_PAX && !take_records(more, data))
        return damaged(err, "a pax record");
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_number(char *field, int digits, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%0*llo", digits, (unsigned long long)value);
    memcpy(field, text, (size_t)digits); /* the NUL behind it is there */
}

static void put_head(struct buf *out, slice path, char type, uint64_t bytes, uint64_t mtime_s,
                     unsigned mode)
{
    char head[TAR_BLOCK_BYTES] = { 0 };
    memcpy(head + NAME, path.ptr, path.len < NAME_BYTES ? path.len : NAME_BYTES);
    put_number(head + MODE, MODE_BYTES - 1, mode);
    put_number(head + MODE + MODE_BYTES, MODE_BYTES - 1, 0);     /* user */
    put_number(head + MODE + 2 * MODE_BYTES, MODE_BYTES - 1, 0); /* group */
    put_number(head + SIZE, SIZE_BYTES - 1, bytes);
    put_number(head + MTIME, MTIME_BYTES - 1, mtime_s);
    head[TYPE] = type;
    memcpy(head + MAGIC, "ustar  ", 8); /* GNU's, as the long names are */
    put_number(head + SUM, SUM_BYTES - 2, sum_of(head));
    head[SUM + SUM_BYTES - 1] = ' ';
    buf_add(out, head, sizeof head, NULL);
}

int tar_put(struct buf *out, slice path, uint64_t bytes, int64_t mtime_s, unsigned mode,
            struct err *err)
{
    static const char zeros[TAR_BLOCK_BYTES];
    int64_t time = mtime_s < 0 ? 0 : mtime_s > OCTAL_MAX ? OCTAL_MAX : mtime_s;
    if (path.len > NAME_BYTES) {
        put_head(out, SLICE_LITERAL(LONG_NAME), TYPE_LONG_NAME, path.len + 1, 0, 0644);
        buf_add_slice(out, path, NULL);
        buf_add(out, zeros, 1 + tar_padding(path.len + 1), NULL);
    }
    put_head(out, path, TYPE_FILE, bytes, (uint64_t)time, mode & 0777);
    return buf_error(out, err);
}
