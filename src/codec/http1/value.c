/* Values of single fields: media types, Retry-After. */
#include <string.h>

#include "codec/byte_class.h"
#include "codec/http1.h"

#define RETRY_AFTER_MAX_S (24 * 3600) /* a longer pause is treated as a day */
#define DAY_S INT64_C(86400)

static bool find(const struct http1_field *fields, size_t count, const char *name, slice *value)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_is_nocase(fields[i].name, name)) {
            *value = fields[i].value;
            return true;
        }
    }
    return false;
}

bool http1_field(const struct http1_response *response, const char *name, slice *value)
{
    return find(response->fields, response->field_count, name, value);
}

bool http1_request_field(const struct http1_request *request, const char *name, slice *value)
{
    return find(request->fields, request->field_count, name, value);
}

bool http1_request_bearer(const struct http1_request *request, slice *token)
{
    const slice scheme = SLICE_LITERAL("Bearer ");
    slice value;
    if (!http1_request_field(request, "Authorization", &value) ||
        !slice_starts_nocase(value, scheme))
        return false;
    *token = byte_class_trim(slice_skip(value, scheme.len));
    return true;
}

bool http1_is_media_type(slice content_type, const char *media_type)
{
    slice type;
    return byte_class_next(&content_type, ';', &type) && slice_is_nocase(type, media_type);
}

/* The index of the name at text in `names`, a run of three-letter names; -1 for none. */
static int name_index(const char *names, const char *text)
{
    for (int i = 0; names[3 * i] != '\0'; i++)
        if (memcmp(names + 3 * i, text, 3) == 0)
            return i;
    return -1;
}

static int two_digits(const char *text)
{
    return (text[0] - '0') * 10 + text[1] - '0';
}

static bool is_leap_year(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, year 0 or later, month from 0. */
static int64_t days_since_1970(int year, int month, int day)
{
    static const int before_month[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    const int64_t epoch = 719528; /* days from the first of year 0 to 1970-01-01 */
    int leap_days = (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400; /* of years before */
    int extra = month > 1 && is_leap_year(year) ? 1 : 0;
    return INT64_C(365) * year + leap_days + before_month[month] + extra + day - 1 - epoch;
}

/* IMF-fixdate (RFC 9110, section 5.6.7), read without strptime: that one follows the locale. */
static bool parse_date(slice text, int64_t *unix_s)
{
    static const char shape[] = "aaa, 00 aaa 0000 00:00:00 GMT"; /* a: letter, 0: digit */
    static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (text.len != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned set = shape[i] == 'a' ? BYTE_CLASS_ALPHA : shape[i] == '0' ? BYTE_CLASS_DIGIT : 0;
        if (set != 0 ? !byte_class_in(text.ptr[i], set) : text.ptr[i] != shape[i])
            return false;
    }
    const char *at = text.ptr;
    int month = name_index("JanFebMarAprMayJunJulAugSepOctNovDec", at + 8);
    int day = two_digits(at + 5), year = two_digits(at + 12) * 100 + two_digits(at + 14);
    int hour = two_digits(at + 17), minute = two_digits(at + 20), second = two_digits(at + 23);
    bool leap_day = month == 1 && day == 29;
    if (name_index("MonTueWedThuFriSatSun", at) < 0 || month < 0 || day < 1 ||
        day > month_days[month] || (leap_day && !is_leap_year(year)) || hour > 23 || minute > 59 ||
        second > 60) /* 60 is a leap second */
        return false;
    *unix_s = days_since_1970(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
    return true;
}

bool http1_is_transient(int status)
{
    return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501);
}

bool http1_retry_after(slice value, int64_t now_unix_s, uint32_t *pause_ms)
{
    uint64_t pause_s = 0;
    int64_t then;
    value = byte_class_trim(value);
    if (parse_date(value, &then))
        pause_s = then > now_unix_s ? (uint64_t)then - (uint64_t)now_unix_s : 0;
    else if (!byte_class_all(value, BYTE_CLASS_DIGIT))
        return false;
    else if (!byte_class_decimal(value, RETRY_AFTER_MAX_S, &pause_s))
        pause_s = RETRY_AFTER_MAX_S;
    *pause_ms = (uint32_t)(pause_s < RETRY_AFTER_MAX_S ? pause_s : RETRY_AFTER_MAX_S) * 1000;
    return true;
}
