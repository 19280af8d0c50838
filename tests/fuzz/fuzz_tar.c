/* Heads of tar archives: the input is a whole archive, whose entries are walked to its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "files/tar.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tar_more more;
    static struct tar_entry entry;
    struct err err;
    slice rest = { (const char *)data, size };
    memset(&more, 0, sizeof more);
    while (rest.len >= TAR_BLOCK_BYTES && tar_read(rest.ptr, &more, &entry, &err) == 0) {
        if (entry.kind == TAR_END)
            break;
        rest = slice_skip(rest, TAR_BLOCK_BYTES);
        must(memchr(entry.path, '\0', sizeof entry.path) != NULL);
        must(entry.kind != TAR_EXTENSION || entry.bytes <= TAR_EXTENSION_BYTES);
        if (entry.bytes > rest.len || tar_padding(entry.bytes) > rest.len - entry.bytes)
            break;
        if (entry.kind == TAR_EXTENSION &&
            tar_extend(&more, &entry, (slice){ rest.ptr, (size_t)entry.bytes }, &err) != 0)
            break;
        rest = slice_skip(rest, (size_t)entry.bytes + tar_padding(entry.bytes));
    }
    return 0;
}
