/*
 * libstdc++ keeps a locale_t and reads the members of glibc's struct: tables of character classes,
 * and names. musl's struct is different. Functions that take a locale ("..._l") are bound to musl's
 * functions that take none, so one struct of glibc's layout suffices, that of the C locale.
 */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "loader/libc_private.h"

enum { CATEGORIES = 13 };

/* The layout of glibc's <bits/types/__locale_t.h>, whose offsets are in libstdc++'s code. */
struct libc_locale {
    void *data[CATEGORIES];
    const unsigned short *classes;
    const int32_t *lower, *upper;
    const char *names[CATEGORIES];
};

#ifndef __GLIBC__
/* Tables in glibc's format, which musl keeps for programs built for glibc. */
const unsigned short **__ctype_b_loc(void);
const int32_t **__ctype_tolower_loc(void);
const int32_t **__ctype_toupper_loc(void);
#endif

#define GLOBAL_LOCALE ((struct libc_locale *)-1) /* LC_GLOBAL_LOCALE */

static struct libc_locale c_locale;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct libc_locale *current;

static void fill(void)
{
    c_locale.classes = *__ctype_b_loc();
    c_locale.lower = *__ctype_tolower_loc();
    c_locale.upper = *__ctype_toupper_loc();
    for (int i = 0; i < CATEGORIES; i++)
        c_locale.names[i] = "C";
}

/* "" means the environment's locale; an empty image only has C. */
struct libc_locale *libc_newlocale(int mask, const char *name, struct libc_locale *base)
{
    (void)mask;
    (void)base;
    pthread_once(&once, fill);
    if (name == NULL || (*name != '\0' && strcmp(name, "C") != 0 && strcmp(name, "POSIX") != 0)) {
        errno = name == NULL ? EINVAL : ENOENT;
        return NULL;
    }
    return &c_locale;
}

struct libc_locale *libc_uselocale(struct libc_locale *locale)
{
    struct libc_locale *before = current == NULL ? GLOBAL_LOCALE : current;
    if (locale != NULL)
        current = locale;
    return before;
}

struct libc_locale *libc_duplocale(struct libc_locale *locale)
{
    (void)locale;
    pthread_once(&once, fill);
    return &c_locale;
}

void libc_freelocale(struct libc_locale *locale)
{
    (void)locale;
}
