/*
 * base/date.h - dates in UTC. Not by gmtime, timegm and strftime, which bring libc's time zones
 * with them: 9 KB of a program.
 */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stdint.h>

struct date {
    int year;
    unsigned month, day; /* from 1 */
    unsigned hour, minute, second;
    unsigned weekday; /* 0: Sunday */
};

/* The date and time of a Unix time, of the years 0 to 9999 (proleptic Gregorian calendar). Pure. */
struct date date_of(int64_t unix_s);

/*
 * The other way round, without regard to weekday. A day that the month does not have is one of the
 * next month. Pure.
 */
int64_t date_unix_s(const struct date *date);

#endif
