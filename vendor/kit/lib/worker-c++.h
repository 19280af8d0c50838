/*
 * What worker-c++ includes first, so that the headers of a libstdc++ built for glibc (Debian's,
 * Ubuntu's) read as musl's: its configuration names glibc's release, types and bits, and functions
 * that musl does not have. The library's side is vendor/kit/cxx.c.
 */
#if defined __cplusplus && !defined WORKER_CXX_H
#define WORKER_CXX_H

#include <features.h>

/* libstdc++.a was compiled for the newest that its headers ask for. */
#define __GLIBC_PREREQ(major, minor) 1
#define __locale_t locale_t

/* glibc's bits of a character's class, which musl's __ctype_b_loc has as well. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define _ISupper 0x100
#define _ISlower 0x200
#define _ISalpha 0x400
#define _ISdigit 0x800
#define _ISxdigit 0x1000
#define _ISspace 0x2000
#define _ISprint 0x4000
#define _ISgraph 0x8000
#define _ISblank 0x1
#define _IScntrl 0x2
#define _ISpunct 0x4
#define _ISalnum 0x8
#endif

#include <bits/c++config.h>

#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK
#undef _GLIBCXX_USE_UCHAR_C8RTOMB_MBRTOC8_CXX20
#undef _GLIBCXX_USE_UCHAR_C8RTOMB_MBRTOC8_FCHAR8_T

#endif
