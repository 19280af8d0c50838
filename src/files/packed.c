#include "files/packed.h"

#include <stdlib.h>

#include "files/inflate.h"

/* What "gzip -n" puts in front of the deflate stream; RFC 1952, section 2.3. */
#define GZIP_HEADER_BYTES 10

struct reading {
    struct inflate inflate; /* first: a pointer to it is one to the whole */
    slice packed;
    struct buf *out;
};

static int give(struct inflate *inflate, slice *more, struct err *err)
{
    struct reading *self = (void *)inflate;
    (void)err;
    *more = self->packed;
    self->packed = (slice){ 0 };
    return 0;
}

static int take(struct inflate *inflate, slice bytes, struct err *err)
{
    struct reading *self = (void *)inflate;
    return buf_add_slice(self->out, bytes, err);
}

int packed_read(slice packed, struct buf *out, struct err *err)
{
    struct reading *self = calloc(1, sizeof *self);
    if (self == NULL)
        return err_set(err, ERR_MEMORY, "no memory to unpack %s", out->what);
    self->inflate.read = give;
    self->inflate.write = take;
    self->packed = slice_skip(packed,
                              packed.len < GZIP_HEADER_BYTES ? packed.len : GZIP_HEADER_BYTES);
    self->out = out;
    int rc = inflate_run(&self->inflate, err);
    free(self);
    return rc;
}
