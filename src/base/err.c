#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"

/* A text may quote a peer's bytes, which must not be able to start a line in the log. */
static void flatten(char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len;) {
        size_t odd = utf8_control((slice){ text + i, len - i });
        memset(text + i, '?', odd);
        i += odd > 0 ? odd : 1;
    }
}

/* Sets the text to "<format>: <tail>", cut where it is too long. */
static void set_with_tail(struct err *err, const char *format, va_list args, const char *tail)
{
    struct text text = TEXT_OVER(err->text);
    text_add_args(&text, format, args);
    text_add(&text, ": %s", tail);
    flatten(err->text);
}

int err_set(struct err *err, int code, const char *format, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    flatten(err->text);
    err->code = code;
    err->is_logged = false;
    return code;
}

int err_wrap(struct err *err, const char *format, ...)
{
    char inner[ERR_TEXT_BYTES];
    memcpy(inner, err->text, sizeof inner);
    va_list args;
    va_start(args, format);
    set_with_tail(err, format, args, inner);
    va_end(args);
    return err->code;
}

int err_system(struct err *err, int code, int errnum, const char *format, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, format);
    /* strerror is thread-safe here: in musl and glibc the texts of known errors are constants. */
    set_with_tail(err, format, args, strerror(errnum));
    va_end(args);
    err->code = code;
    err->is_logged = false;
    return code;
}
