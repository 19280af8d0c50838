#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text may quote a peer's bytes: none of them may start a line of its own in the log. */
static void flatten(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

/* Ends the text that vsnprintf left `used` bytes long with ": tail", cut where it is too long. */
static void append_tail(struct err *err, int used, const char *tail)
{
    size_t at = used < 0 ? 0 : (size_t)used;
    if (at + 2 >= sizeof err->text)
        return;
    size_t room = sizeof err->text - at - 3;
    size_t len = strnlen(tail, room);
    memcpy(err->text + at, ": ", 2);
    memcpy(err->text + at + 2, tail, len);
    err->text[at + 2 + len] = '\0';
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
    return code;
}

int err_wrap(struct err *err, const char *format, ...)
{
    char inner[ERR_TEXT_BYTES];
    memcpy(inner, err->text, sizeof inner);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    append_tail(err, used, inner);
    flatten(err->text);
    return err->code;
}

int err_system(struct err *err, int code, int errnum, const char *format, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    /* strerror is safe here: musl's and glibc's texts of known errors are constants. */
    append_tail(err, used, strerror(errnum));
    flatten(err->text);
    err->code = code;
    return code;
}
