#include "codec/mend.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8_escape.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Two bytes may be odd in text of any length, then one in ten. */
#define ODD_ALLOWED(bytes) (2 + (bytes) / 10)

static bool is_ascii_text(char c)
{
    return (unsigned char)c >= 0x20 || strchr("\t\n\v\f\r\b\x1b", c) != NULL;
}

enum mend_kind mend_kind_of(slice bytes)
{
    size_t bad = 0, odd = 0;
    if (utf8_prefix(bytes) == bytes.len)
        return MEND_NONE;
    for (size_t i = 0; i < bytes.len;) {
        size_t len = utf8_sequence(bytes.ptr + i, bytes.len - i);
        if (len == 0)
            bad++;
        else if (!is_ascii_text(bytes.ptr[i]))
            odd++;
        i += len > 0 ? len : 1;
    }
    bool has_nul = memchr(bytes.ptr, '\0', bytes.len) != NULL;
    return has_nul || bad + odd > ODD_ALLOWED(bytes.len) ? MEND_BINARY : MEND_TEXT;
}

int mend_put(struct buf *buf, slice bytes, struct err *err)
{
    size_t before = buf->len, from = 0;
    for (size_t i = 0; i < bytes.len;) {
        size_t len = utf8_sequence(bytes.ptr + i, bytes.len - i);
        i += len > 0 ? len : 1;
        if (len > 0)
            continue;
        buf_add(buf, bytes.ptr + from, i - 1 - from, NULL);
        buf_add_text(buf, REPLACEMENT, NULL);
        from = i;
    }
    buf_add(buf, bytes.ptr + from, bytes.len - from, NULL);
    int rc = buf_error(buf, err);
    if (rc != 0)
        buf_truncate(buf, before);
    return rc;
}
