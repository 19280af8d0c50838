/* Numbers of any length, read exactly as integers or as the nearest double. */
#include <math.h>
#include <stdlib.h>

#include "base/text.h"
#include "json/json.h"
#include "json/scan.h"

/*
 * Digits that can decide which double is nearest: a decimal halfway between two doubles has at most
 * 767 significant digits, so beyond these it only matters whether anything but zeros follows.
 */
#define DIGITS_MAX 768

#define EXPONENT_MAX (INT64_C(1) << 40) /* larger than any count of digits, so sums stay exact */

/* A number taken apart: (-)DIGITS times ten to the exponent, no zeros at either end of DIGITS. */
struct decimal {
    bool negative;
    const char *digits; /* the first of them; a point may stand between them */
    size_t count;       /* 0 where the number is zero */
    int64_t exponent;
};

static const char *skip_sign(const char *at, bool *negative)
{
    *negative = *at == '-';
    return *at == '-' || *at == '+' ? at + 1 : at;
}

static int64_t take_exponent(const char *at, const char *end)
{
    bool negative;
    int64_t value = 0;
    for (at = skip_sign(at, &negative); at < end; at++)
        if (value < EXPONENT_MAX)
            value = value * 10 + (*at - '0');
    return negative ? -value : value;
}

/* Takes apart what json_skip_number has accepted. */
static struct decimal take_apart(slice number)
{
    const char *end = number.ptr + number.len;
    struct decimal d = { 0 };
    size_t pending = 0; /* zeros that count only if another digit follows */
    bool fraction = false;
    const char *at = skip_sign(number.ptr, &d.negative);
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        d.exponent -= fraction;
        if (*at == '0') {
            pending++;
            continue;
        }
        if (d.count == 0)
            d.digits = at;
        d.count += d.count == 0 ? 1 : pending + 1;
        pending = 0;
    }
    d.exponent += (int64_t)pending;
    if (at < end)
        d.exponent += take_exponent(at + 1, end);
    return d;
}

/* The parts of a value that must be one number, white space around it allowed. */
static int parse(slice value, struct decimal *d, struct err *err)
{
    slice number = json_trim(value);
    const char *at = number.ptr;
    if (number.len == 0 || !json_skip_number(&at, number.ptr + number.len) ||
        at != number.ptr + number.len)
        return err_set(err, ERR_INPUT, "the JSON value is not a number");
    *d = take_apart(number);
    return 0;
}

int json_int(slice number, int64_t *value, struct err *err)
{
    struct decimal d = { 0 };
    int rc = parse(number, &d, err);
    if (rc != 0)
        return rc;
    if (d.count == 0) {
        *value = 0;
        return 0;
    }
    if (d.exponent < 0)
        return err_set(err, ERR_INPUT, "the JSON number is not an integer");
    uint64_t magnitude = 0, limit = (uint64_t)INT64_MAX + d.negative;
    bool fits = (int64_t)d.count + d.exponent <= 19; /* below 10^19, so below 2^64 */
    for (const char *at = d.digits; fits && d.count > 0; at++) {
        if (*at != '.') {
            magnitude = magnitude * 10 + (uint64_t)(*at - '0');
            d.count--;
        }
    }
    for (; fits && d.exponent > 0; d.exponent--)
        magnitude *= 10;
    if (!fits || magnitude > limit)
        return err_set(err, ERR_INPUT, "the JSON number does not fit in 64 bits");
    *value = d.negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return 0;
}

/* The same number in at most DIGITS_MAX digits: the nearest double is the same. */
static double nearest(const struct decimal *d)
{
    char text[1 + DIGITS_MAX + 1 + sizeof "e-9223372036854775808"];
    size_t len = 0, kept = d->count < DIGITS_MAX ? d->count : DIGITS_MAX;
    if (d->negative)
        text[len++] = '-';
    size_t digits_end = len + kept;
    for (const char *at = d->digits; len < digits_end; at++)
        if (*at != '.')
            text[len++] = *at;
    int64_t exponent = d->exponent + (int64_t)(d->count - kept);
    if (kept < d->count) {
        text[len++] = '1'; /* stands for what was dropped, which is not zero */
        exponent--;
    }
    struct text whole = { .at = text, .size = sizeof text, .len = len };
    text_add(&whole, "e%lld", (long long)exponent);
    return strtod(text, NULL);
}

int json_double(slice number, double *value, struct err *err)
{
    struct decimal d = { 0 };
    int rc = parse(number, &d, err);
    if (rc != 0)
        return rc;
    int64_t magnitude = (int64_t)d.count + d.exponent; /* the number is below 10^magnitude */
    double result = d.negative ? -0.0 : 0.0;
    if (d.count != 0 && magnitude > 310)
        result = HUGE_VAL;
    else if (d.count != 0 && magnitude > -330)
        result = nearest(&d);
    if (isinf(result))
        return err_set(err, ERR_INPUT, "the JSON number is too large for a double");
    *value = result;
    return 0;
}
