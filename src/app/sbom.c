#include "app/sbom.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/limits.h"
#include "files/packed.h"

/* vendor/sbom.c */
extern const char sbom_packed[];
extern const uint64_t sbom_packed_bytes;

static int print(slice text, struct err *err)
{
    if (io_write_all(STDOUT_FILENO, text) == 0)
        return 0;
    return err_set(err, ERR_CONFIG, "--sbom: standard output: %s", strerror(errno));
}

int sbom_print(struct err *err)
{
    struct buf text;
    buf_init(&text, LIMIT_PACKED_BYTES, "the bill of materials");
    int rc = packed_read((slice){ sbom_packed, sbom_packed_bytes }, &text, err);
    if (rc == 0)
        rc = print(buf_slice(&text), err);
    buf_free(&text);
    return rc;
}
