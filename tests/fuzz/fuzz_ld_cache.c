/* ldconfig's cache: whatever is found lies within the input and ends there. */
#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/ld_cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice cache = { (const char *)data, size };
    size_t cursor = 0, before = 0;
    const char *path;
    while ((path = ld_cache_next(cache, "libc", EM_X86_64, &cursor)) != NULL) {
        if (cursor <= before || path < cache.ptr ||
            memchr(path, 0, size - (size_t)(path - cache.ptr)) == NULL)
            abort();
        before = cursor;
    }
    return 0;
}
