/*
 * How far zlib packs input.text. A library from elsewhere has to be compiled for musl, which
 * worker-cc does as any compiler would:
 *     cd zlib-1.2.13 && CC=worker-cc ./configure --static && make libz.a && cd ..
 *     worker-cc -O2 -Izlib-1.2.13 -o pack pack.c zlib-1.2.13/libz.a
 */
#include <worker.h>
#include <zlib.h>

static int pack(rp_job *job, void *user)
{
    rp_str text;
    (void)user;
    if (rp_get_str(rp_input(job), "text", &text) != RP_OK)
        return rp_fail(job, "input.text must be a string");
    uLongf bytes = compressBound(text.len);
    Bytef *packed = rp_alloc(job, bytes);
    if (packed == NULL || compress(packed, &bytes, (const Bytef *)text.ptr, text.len) != Z_OK)
        return rp_fail(job, "out of memory");
    return rp_return(job, "{\"bytes\": %zu, \"packed\": %lu, \"crc32\": %lu}", text.len, bytes,
                     crc32(0, (const Bytef *)text.ptr, (uInt)text.len));
}

int main(int argc, char **argv)
{
    return rp_start(argc, argv, &(rp_config){ .handler = pack });
}
