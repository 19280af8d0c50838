#include "codec/base64.h"

#include <stdint.h>

int base64_put(struct buf *out, slice bytes, struct err *err)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t count = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < count ? (unsigned char)bytes.ptr[i + k] : 0u);
        char four[4];
        for (size_t k = 0; k < 4; k++)
            four[k] = k <= count ? letters[group >> (18 - 6 * k) & 63] : '=';
        buf_add(out, four, 4, NULL);
    }
    return buf_error(out, err);
}
