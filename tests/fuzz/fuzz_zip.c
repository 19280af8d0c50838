/*
 * ZIP archives: the input is a whole archive, and its first bytes a deflate stream of their own.
 * Whatever an entry is, its name and bytes lie in the input, a safe name stays in its folder, and
 * what is unpacked lies within the bound.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "files/inflate.h"
#include "files/zip.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNPACKED_MAX (1u << 20)
#define STEP_BYTES 7 /* handed over at a time: every state of the reader is cut somewhere */

struct run {
    struct inflate inflate;
    slice rest;
    size_t unpacked;
    uint32_t crc;
    struct zip_crc table;
};

static int give(struct inflate *inflate, slice *more, struct err *err)
{
    struct run *run = (void *)inflate;
    (void)err;
    size_t size = run->rest.len < STEP_BYTES ? run->rest.len : STEP_BYTES;
    *more = (slice){ run->rest.ptr, size };
    run->rest = slice_skip(run->rest, size);
    return 0;
}

static int take(struct inflate *inflate, slice bytes, struct err *err)
{
    struct run *run = (void *)inflate;
    run->unpacked += bytes.len;
    run->crc = zip_crc_add(&run->table, run->crc, bytes);
    return run->unpacked > UNPACKED_MAX ? err_set(err, ERR_LIMIT, "enough") : 0;
}

static void unpack(slice stream)
{
    struct run *run = calloc(1, sizeof *run);
    struct err err = { 0 };
    must(run != NULL);
    run->inflate.read = give;
    run->inflate.write = take;
    run->rest = stream;
    zip_crc_init(&run->table);
    int rc = inflate_run(&run->inflate, &err);
    must(rc == 0 || rc == ERR_INPUT || rc == ERR_LIMIT);
    must((rc == 0) == (err.code == 0));
    free(run);
}

static void check_name(slice name)
{
    char out[ZIP_NAME_BYTES];
    struct err err;
    if (zip_safe_name(name, out, &err) != 0)
        return;
    size_t len = strlen(out);
    must(len > 0 && len < sizeof out && out[0] != '/' && out[len - 1] != '/');
    must(strstr(out, "//") == NULL && strchr(out, '\\') == NULL);
    must(strcmp(out, "..") != 0 && strncmp(out, "../", 3) != 0 && strstr(out, "/../") == NULL);
    must(len < 3 || strcmp(out + len - 3, "/..") != 0);
}

static void check_entry(slice archive, const struct zip_entry *entry)
{
    uint64_t skip;
    struct err err;
    must(entry->name.ptr >= archive.ptr &&
         entry->name.ptr + entry->name.len <= archive.ptr + archive.len);
    check_name(entry->name);
    if (archive.len < ZIP_HEAD_BYTES || entry->offset > archive.len - ZIP_HEAD_BYTES ||
        zip_check_head(archive.ptr + entry->offset, entry, &skip, &err) != 0)
        return;
    must(skip >= ZIP_HEAD_BYTES + entry->name.len);
    if (entry->method == ZIP_DEFLATED && skip <= archive.len - entry->offset)
        unpack(slice_skip(archive, (size_t)(entry->offset + skip)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice archive = { (const char *)data, size };
    struct zip_end end;
    struct zip_entry entry;
    struct err err;
    check_name(archive);
    if (zip_find_end(archive, size, &end, &err) != 0) {
        unpack(archive);
        return 0;
    }
    must(end.directory_offset <= size && end.directory_bytes <= size - end.directory_offset);
    slice directory = { archive.ptr + end.directory_offset, (size_t)end.directory_bytes };
    for (int count = 0; count < 20 && zip_next(&directory, &entry, &err) > 0; count++)
        check_entry(archive, &entry);
    return 0;
}
