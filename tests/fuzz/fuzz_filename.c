/*
 * File names: the input is a Content-Disposition value, and again a URL's target, and again a name.
 * What comes out is one safe part of a path.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8_escape.h"
#include "codec/filename.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_safe(slice name)
{
    char out[FILENAME_BYTES], again[FILENAME_BYTES];
    bool found = filename_make_safe(name, out);
    size_t len = strlen(out);
    must(found == (len > 0) && len < FILENAME_BYTES);
    must(out[0] != '.' && out[0] != '-' && out[0] != ' ');
    must(strpbrk(out, "/\\<>:\"|?*\n\r\t\x7f") == NULL);
    for (size_t i = 0; i < len;) {
        size_t step = utf8_sequence(out + i, len - i);
        must(step > 0 && (unsigned char)out[i] >= 0x20);
        i += step;
    }
    if (found) /* a safe name is one already, but for what a cut has left at its end */
        must(filename_make_safe((slice){ out, len }, again) && strlen(again) <= len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char raw[FILENAME_RAW_BYTES];
    size_t len;
    slice text = { (const char *)data, size };
    if (filename_in_disposition(text, raw, &len)) {
        must(len <= sizeof raw);
        check_safe((slice){ raw, len });
    }
    if (filename_in_target(text, raw, &len)) {
        must(len <= sizeof raw);
        check_safe((slice){ raw, len });
    }
    check_safe(text);
    return 0;
}
