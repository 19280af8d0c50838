/* printf for JSON: each directive escapes or checks what it inserts. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "json/json.h"

#define PRECISION_MAX 9999 /* one that is written in the format */

/* What may stand between the percent sign and the letter. */
enum { WITH_SIZE = 1, WITH_PRECISION = 2, WITH_STAR = 4, WITH_NONSENSE = 8 };

/* One directive, taken apart. */
struct directive {
    const char *start; /* its percent sign */
    unsigned with;
    int precision;  /* -1: none */
    unsigned longs; /* how many l; z and j count as one */
    char letter;
};

_Static_assert(sizeof(size_t) == sizeof(long) && sizeof(intmax_t) == sizeof(long), "z and j are l");

typedef int put_function(struct buf *buf, const struct directive *d, va_list *args,
                         struct err *err);

static int put_null(struct buf *buf, struct err *err)
{
    return buf_add_text(buf, "null", err);
}

/* NOLINTBEGIN(clang-analyzer-valist.Uninitialized): it does not follow a pointer to a va_list */

/* The text of %Q or %s; with a star its length is an argument, too. */
static int take_text(const struct directive *d, va_list *args, slice *text, struct err *err)
{
    const char *ptr = va_arg(*args, const char *);
    if ((d->with & WITH_STAR) && d->precision < 0)
        return err_set(err, ERR_INPUT, "a JSON format was given a negative length (%d)",
                       d->precision);
    *text = d->with & WITH_STAR ? (slice){ ptr, (size_t)d->precision } : slice_from(ptr);
    return 0;
}

static int put_quoted(struct buf *buf, const struct directive *d, va_list *args, struct err *err)
{
    slice text;
    int rc = take_text(d, args, &text, err);
    if (rc != 0)
        return rc;
    return text.ptr == NULL ? put_null(buf, err) : json_put_string(buf, text, err);
}

static int put_plain(struct buf *buf, const struct directive *d, va_list *args, struct err *err)
{
    slice text;
    int rc = take_text(d, args, &text, err);
    if (rc != 0)
        return rc;
    if (text.ptr == NULL)
        return err_set(err, ERR_INPUT, "a JSON format was given NULL for %%s");
    return buf_add_slice(buf, text, err);
}

static int put_quoted_slice(struct buf *buf, const struct directive *d, va_list *args,
                            struct err *err)
{
    (void)d;
    const slice *text = va_arg(*args, const slice *);
    return text == NULL ? put_null(buf, err) : json_put_string(buf, *text, err);
}

static int put_json(struct buf *buf, const struct directive *d, va_list *args, struct err *err)
{
    (void)d;
    const slice *json = va_arg(*args, const slice *);
    if (json != NULL && json->len == 0)
        return err_set(err, ERR_INPUT, "a JSON format was given an empty text for %%J");
    return json == NULL ? put_null(buf, err) : buf_add_slice(buf, *json, err);
}

static int put_signed(struct buf *buf, const struct directive *d, va_list *args, struct err *err)
{
    long long value = d->longs == 2   ? va_arg(*args, long long)
                      : d->longs == 1 ? va_arg(*args, long)
                                      : va_arg(*args, int);
    return json_put_int(buf, value, err);
}

static int put_unsigned(struct buf *buf, const struct directive *d, va_list *args, struct err *err)
{
    char text[sizeof "18446744073709551615"];
    unsigned long long value = d->longs == 2   ? va_arg(*args, unsigned long long)
                               : d->longs == 1 ? va_arg(*args, unsigned long)
                                               : va_arg(*args, unsigned);
    int len = snprintf(text, sizeof text, d->letter == 'x' ? "%llx" : "%llu", value);
    return buf_add(buf, text, (size_t)len, err);
}

static int print_double(char *to, size_t cap, const struct directive *d, double value)
{
    int precision = d->precision < 0 ? 6 : d->precision; /* as in C, negative means none */
    switch (d->letter) {
    case 'f': return snprintf(to, cap, "%.*f", precision, value);
    case 'e': return snprintf(to, cap, "%.*e", precision, value);
    default: return snprintf(to, cap, "%.*g", precision, value);
    }
}

static int put_double(struct buf *buf, const struct directive *d, va_list *args, struct err *err)
{
    char text[64];
    double value = va_arg(*args, double);
    if (!isfinite(value))
        return err_set(err, ERR_INPUT, "a number for %s is infinite or NaN", buf->what);
    int len = print_double(text, sizeof text, d, value);
    if (len < 0)
        return err_set(err, ERR_LIMIT, "a number for %s is too long", buf->what);
    if ((size_t)len < sizeof text)
        return buf_add(buf, text, (size_t)len, err);
    int rc = buf_reserve(buf, (size_t)len + 1, err); /* snprintf ends it with NUL */
    if (rc == 0)
        buf->len += (size_t)print_double(buf->ptr + buf->len, (size_t)len + 1, d, value);
    return rc;
}

static int put_bool(struct buf *buf, const struct directive *d, va_list *args, struct err *err)
{
    (void)d;
    return buf_add_text(buf, va_arg(*args, int) ? "true" : "false", err);
}

static int put_percent(struct buf *buf, const struct directive *d, va_list *args, struct err *err)
{
    (void)d;
    (void)args;
    return buf_add(buf, "%", 1, err);
}

/* NOLINTEND(clang-analyzer-valist.Uninitialized) */

static const struct {
    const char *letters;
    unsigned with;
    put_function *put;
} table[] = {
    { "Q", WITH_STAR, put_quoted },
    { "s", WITH_STAR, put_plain },
    { "S", 0, put_quoted_slice },
    { "J", 0, put_json },
    { "di", WITH_SIZE, put_signed },
    { "ux", WITH_SIZE, put_unsigned },
    { "gfe", WITH_PRECISION | WITH_STAR, put_double },
    { "B", 0, put_bool },
    { "%", 0, put_percent },
};

/* .precision or .*, which may be missing; returns what follows. */
static const char *parse_precision(const char *at, struct directive *d, va_list *args)
{
    if (at[0] != '.')
        return at;
    if (at[1] == '*') {
        d->with |= WITH_STAR;
        d->precision = va_arg(*args, int);
        return at + 2;
    }
    d->with |= WITH_PRECISION;
    d->precision = 0;
    for (at++; *at >= '0' && *at <= '9' && d->precision <= PRECISION_MAX; at++)
        d->precision = d->precision * 10 + (*at - '0');
    if (d->precision > PRECISION_MAX)
        d->with |= WITH_NONSENSE;
    return at;
}

/* Takes apart the directive at *at and moves behind it. */
static struct directive parse(const char **at, va_list *args)
{
    struct directive d = { .start = *at, .precision = -1 };
    const char *next = parse_precision(*at + 1, &d, args);
    if (*next == 'z' || *next == 'j') {
        d.longs = 1;
        next++;
    } else {
        for (; *next == 'l' && d.longs < 2; next++)
            d.longs++;
    }
    if (d.longs > 0)
        d.with |= WITH_SIZE;
    d.letter = *next;
    *at = d.letter == '\0' ? next : next + 1;
    return d;
}

static int put_directive(struct buf *buf, const char **at, va_list *args, struct err *err)
{
    struct directive d = parse(at, args);
    for (size_t i = 0; d.letter != '\0' && i < sizeof table / sizeof *table; i++)
        if (strchr(table[i].letters, d.letter) != NULL && (d.with & ~table[i].with) == 0)
            return table[i].put(buf, &d, args, err);
    return err_set(err, ERR_INPUT, "a JSON format has the unknown directive %.*s",
                   (int)(*at - d.start), d.start);
}

int json_format(struct buf *buf, const char *format, va_list args, struct err *err)
{
    va_list copy; /* a pointer to a parameter would not be a va_list * everywhere */
    size_t before = buf->len;
    int rc = 0;
    va_copy(copy, args);
    while (rc == 0 && *format != '\0') {
        size_t plain = strcspn(format, "%");
        rc = buf_add(buf, format, plain, err);
        format += plain;
        if (rc == 0 && *format == '%')
            rc = put_directive(buf, &format, &copy, err);
    }
    va_end(copy);
    if (rc != 0)
        buf_truncate(buf, before);
    return rc;
}

int json_add(struct buf *buf, struct err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = json_format(buf, format, args, err);
    va_end(args);
    return rc;
}
