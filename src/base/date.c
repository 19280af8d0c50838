#include "base/date.h"

#define DAY_S 86400
#define ERA_DAYS 146097      /* 400 years: the calendar repeats */
#define ERA_FIRST_DAY 719468 /* days from 0000-03-01 to 1970-01-01 */

struct date date_of(int64_t unix_s)
{
    int64_t days = unix_s / DAY_S - (unix_s % DAY_S < 0);
    unsigned second = (unsigned)(unix_s - days * DAY_S);
    int64_t shifted = days + ERA_FIRST_DAY; /* years begin in March: a leap day is their last */
    int64_t era = shifted / ERA_DAYS - (shifted % ERA_DAYS < 0);
    unsigned day = (unsigned)(shifted - era * ERA_DAYS); /* of the era */
    unsigned year = (day - day / 1460 + day / 36524 - day / (ERA_DAYS - 1)) / 365;
    day -= 365 * year + year / 4 - year / 100; /* of the year */
    unsigned month = (5 * day + 2) / 153;      /* from March; five months have 153 days */
    return (struct date){ .year = (int)(era * 400) + (int)year + (month >= 10),
                          .month = month < 10 ? month + 3 : month - 9,
                          .day = day - (153 * month + 2) / 5 + 1,
                          .hour = second / 3600,
                          .minute = second / 60 % 60,
                          .second = second % 60,
                          .weekday = (unsigned)((days % 7 + 11) % 7) };
}

int64_t date_unix_s(const struct date *date)
{
    /* A month before March is one of the year before, its eleventh or twelfth. */
    const int64_t late = date->month <= 2, year = date->year - late;
    const int64_t month = (int64_t)date->month + 12 * late - 3;
    const int64_t era = year / 400 - (year % 400 < 0), year_of_era = year - era * 400;
    const int64_t days = era * ERA_DAYS + 365 * year_of_era + year_of_era / 4 - year_of_era / 100 +
                         (153 * month + 2) / 5 + date->day - 1 - ERA_FIRST_DAY;
    return days * DAY_S + date->hour * 3600 + date->minute * 60 + date->second;
}
