/*
 * What a libstdc++.a and libgcc_eh.a built for glibc ask for and musl does not have, or has in
 * another form. All names are weak: a libc that has one wins. Only C++ programs that use them
 * contain them.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <locale.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define GLIBC __attribute__((weak, visibility("default")))

/* Whether reference counts may be counted without atomic instructions: never, there are threads. */
extern char __libc_single_threaded;
GLIBC char __libc_single_threaded = 0;

/* --- the C locale --------------------------------------------------------------------------- */

/*
 * libstdc++ reads the tables of characters out of glibc's locale_t. This object is one for both:
 * musl reads the first words, which are those of its own C locale, libstdc++ the tables. A
 * static program has no other locale: other names fail, and std::locale throws. The linker lets
 * libstdc++ call these instead of musl's (--wrap, in worker.specs).
 */
struct glibc_locale {
    void *categories[13];
    const unsigned short *classes;
    const int *lower, *upper;
    const char *names[13];
};

static struct glibc_locale c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

const unsigned short **__ctype_b_loc(void);
const int **__ctype_tolower_loc(void);
const int **__ctype_toupper_loc(void);

static void fill_c_locale(void)
{
    c_locale.classes = *__ctype_b_loc();
    c_locale.lower = *__ctype_tolower_loc();
    c_locale.upper = *__ctype_toupper_loc();
    for (unsigned i = 0; i < sizeof c_locale.names / sizeof *c_locale.names; i++)
        c_locale.names[i] = "C";
}

locale_t __wrap___newlocale(int mask, const char *name, locale_t base);
GLIBC locale_t __wrap___newlocale(int mask, const char *name, locale_t base)
{
    static const char *const names[] = { "", "C", "POSIX", "C.UTF-8", "C.utf8" };
    (void)mask;
    (void)base;
    pthread_once(&c_locale_once, fill_c_locale);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return (locale_t)&c_locale;
    }
    errno = ENOENT;
    return NULL;
}

locale_t __wrap___duplocale(locale_t locale);
GLIBC locale_t __wrap___duplocale(locale_t locale)
{
    return locale;
}

void __wrap___freelocale(locale_t locale);
GLIBC void __wrap___freelocale(locale_t locale)
{
    (void)locale;
}

/* --- destructors of thread-local objects ---------------------------------------------------- */

struct pending {
    struct pending *next;
    void (*run)(void *);
    void *object;
};

static _Thread_local struct pending *pending;
static pthread_key_t thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void run_pending(void *unused)
{
    (void)unused;
    while (pending != NULL) {
        struct pending *now = pending;
        pending = now->next;
        now->run(now->object);
        free(now);
    }
}

/* At exit, those of the thread that calls it: the main thread has no end of its own. */
static void run_at_exit(void)
{
    run_pending(NULL);
}

static void prepare(void)
{
    if (pthread_key_create(&thread_end, run_pending) != 0 || atexit(run_at_exit) != 0)
        abort();
}

int __cxa_thread_atexit_impl(void (*run)(void *), void *object, void *library);
GLIBC int __cxa_thread_atexit_impl(void (*run)(void *), void *object, void *library)
{
    struct pending *one = malloc(sizeof *one);
    (void)library;
    if (one == NULL)
        return -1;
    pthread_once(&once, prepare);
    *one = (struct pending){ pending, run, object };
    pending = one;
    return pthread_setspecific(thread_end, one);
}

/* --- exceptions ----------------------------------------------------------------------------- */

/* glibc's struct dl_find_object, as far as libgcc reads it. */
struct found_object {
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *link_map;
    void *eh_frame; /* PT_GNU_EH_FRAME's */
    unsigned long long reserved[7];
};

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

/* A static program is the only object: the unwinder's tables are where its headers say. */
int _dl_find_object(void *address, struct found_object *found);
GLIBC int _dl_find_object(void *address, struct found_object *found)
{
    const ElfW(Ehdr) *head = (const void *)__ehdr_start;
    const ElfW(Phdr) *part = (const void *)(__ehdr_start + head->e_phoff);
    uintptr_t base = head->e_type == ET_DYN ? (uintptr_t)__ehdr_start : 0;
    uintptr_t first = UINTPTR_MAX, end = 0;

    found->eh_frame = NULL;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        uintptr_t from = base + part[i].p_vaddr;
        if (part[i].p_type == PT_LOAD) {
            first = from < first ? from : first;
            end = from + part[i].p_memsz > end ? from + part[i].p_memsz : end;
        } else if (part[i].p_type == PT_GNU_EH_FRAME) {
            found->eh_frame = (void *)from;
        }
    }
    found->flags = 0;
    found->map_start = (void *)first;
    found->map_end = (void *)end;
    found->link_map = NULL;
    uintptr_t at = (uintptr_t)address;
    return found->eh_frame != NULL && at >= first && at < end ? 0 : -1;
}

/* --- std::random_device --------------------------------------------------------------------- */

uint32_t arc4random(void);
GLIBC uint32_t arc4random(void)
{
    uint32_t value;
    while (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) {
        if (errno != EINTR)
            abort();
    }
    return value;
}
