/*
 * A library built for glibc that relies on glibc's contracts. Each function checks one and returns
 * NULL, or what was wrong. On glibc all of them must return NULL, which tests the checks.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fnmatch.h>
#include <ftw.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#define CHECK(name) __attribute__((visibility("default"))) const char *name(void)
#define NEED(condition)        \
    do {                       \
        if (!(condition))      \
            return #condition; \
    } while (0)

/* --- mutexes -------------------------------------------------------------------------------- */

static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t tried = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_mutex_t timed = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_mutex_t adaptive = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;

CHECK(static_mutexes)
{
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    NEED(pthread_mutex_lock(&recursive) == 0);
    NEED(pthread_mutex_trylock(&recursive) == 0); /* hangs or fails if the kind is ignored */
    NEED(pthread_mutex_unlock(&recursive) == 0 && pthread_mutex_unlock(&recursive) == 0);
    NEED(pthread_mutex_unlock(&recursive) == EPERM);
    NEED(pthread_mutex_trylock(&tried) == 0 && pthread_mutex_lock(&tried) == 0);
    NEED(pthread_mutex_unlock(&tried) == 0 && pthread_mutex_unlock(&tried) == 0);
    NEED(pthread_mutex_timedlock(&timed, &soon) == 0);
    NEED(pthread_mutex_lock(&timed) == EDEADLK);
    NEED(pthread_mutex_unlock(&timed) == 0 && pthread_mutex_unlock(&timed) == EPERM);
    NEED(pthread_mutex_lock(&adaptive) == 0 && pthread_mutex_trylock(&adaptive) == EBUSY);
    NEED(pthread_mutex_unlock(&adaptive) == 0);
    return NULL;
}

CHECK(adaptive_attribute)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t mutex;
    NEED(pthread_mutexattr_init(&attr) == 0);
    NEED(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP) == 0);
    NEED(pthread_mutex_init(&mutex, &attr) == 0);
    NEED(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_trylock(&mutex) == EBUSY);
    NEED(pthread_mutex_unlock(&mutex) == 0 && pthread_mutex_destroy(&mutex) == 0);
    return NULL;
}

CHECK(waits_by_clock)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER, monotonic;
    pthread_condattr_t attr;
    pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    struct timespec now;
    sem_t sem;
    clock_gettime(CLOCK_MONOTONIC, &now);
    NEED(pthread_condattr_init(&attr) == 0 &&
         pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(&monotonic, &attr) == 0 && sem_init(&sem, 0, 0) == 0);
    NEED(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &now) == 0);
    NEED(pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &now) == ETIMEDOUT);
    NEED(pthread_cond_clockwait(&monotonic, &mutex, CLOCK_MONOTONIC, &now) == ETIMEDOUT);
    NEED(pthread_cond_clockwait(&cond, &mutex, CLOCK_PROCESS_CPUTIME_ID, &now) == EINVAL);
    NEED(pthread_rwlock_clockwrlock(&lock, CLOCK_MONOTONIC, &now) == 0);
    NEED(sem_clockwait(&sem, CLOCK_MONOTONIC, &now) == -1 && errno == ETIMEDOUT);
    return NULL;
}

/* --- threads -------------------------------------------------------------------------------- */

static void *use_stack(void *argument)
{
    volatile char space[4 << 20];
    for (size_t i = 0; i < sizeof space; i += 4096)
        space[i] = 1;
    return argument;
}

CHECK(stack_by_default)
{
    pthread_t thread;
    void *result;
    int token;
    NEED(pthread_create(&thread, NULL, use_stack, &token) == 0);
    NEED(pthread_join(thread, &result) == 0 && result == &token);
    return NULL;
}

CHECK(stack_of_an_attribute)
{
    pthread_attr_t attr;
    pthread_t thread;
    size_t size = 0;
    NEED(pthread_attr_init(&attr) == 0 && pthread_attr_getstacksize(&attr, &size) == 0);
    NEED(size >= (8 << 20));
    NEED(pthread_create(&thread, &attr, use_stack, NULL) == 0 && pthread_join(thread, NULL) == 0);
    return NULL;
}

static char cleaned[8];

static void clean(void *letter)
{
    strcat(cleaned, letter);
}

/* Two things to clean up, the second one first; a third has been done by then. */
static void *end_with_cleanup(void *result)
{
    pthread_cleanup_push(clean, "a");
    pthread_cleanup_push(clean, "b");
    pthread_cleanup_push(clean, "c");
    pthread_cleanup_pop(1);
    if (result != NULL)
        pthread_exit(result);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return NULL;
}

CHECK(cleanup_at_a_threads_end)
{
    pthread_t thread;
    void *result;
    int token;
    cleaned[0] = '\0';
    NEED(pthread_create(&thread, NULL, end_with_cleanup, &token) == 0);
    NEED(pthread_join(thread, &result) == 0 && result == &token);
    NEED(strcmp(cleaned, "cba") == 0);
    cleaned[0] = '\0';
    NEED(pthread_create(&thread, NULL, end_with_cleanup, NULL) == 0);
    NEED(pthread_cancel(thread) == 0);
    NEED(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    NEED(strcmp(cleaned, "cba") == 0);
    return NULL;
}

CHECK(names_by_pattern)
{
    NEED(fnmatch("lib*.so.[0-9]", "libcuda.so.1", 0) == 0);
    NEED(fnmatch("*", "a/b", FNM_PATHNAME) == FNM_NOMATCH);
    return NULL;
}

CHECK(scheduler)
{
    struct sched_param param = { .sched_priority = 7 };
    NEED(sched_getscheduler(0) == SCHED_OTHER);
    NEED(sched_getparam(0, &param) == 0 && param.sched_priority == 0);
    NEED(sched_setparam(0, &param) == 0 && sched_setscheduler(0, SCHED_BATCH, &param) == 0);
    NEED(sched_getscheduler(0) == SCHED_BATCH);
    return NULL;
}

static int forked;
static void before_fork(void)
{
    forked++;
}

CHECK(fork_handlers)
{
    int status = -1;
    NEED(pthread_atfork(before_fork, NULL, NULL) == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(forked);
    NEED(child > 0 && waitpid(child, &status, 0) == child && forked == 1);
    NEED(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    return NULL;
}

static void *call_it(void *function)
{
    void (*call)(int);
    memcpy(&call, &function, sizeof call);
    call(42);
    return NULL;
}

__attribute__((visibility("default"))) void call_back_from_a_thread(void (*call)(int));
void call_back_from_a_thread(void (*call)(int))
{
    pthread_t thread;
    void *function;
    memcpy(&function, &call, sizeof function);
    if (pthread_create(&thread, NULL, call_it, function) == 0)
        pthread_join(thread, NULL);
}

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle __attribute__((visibility("hidden")));
static void mark(void *flag)
{
    *(int *)flag += 1;
}

static void *leave_objects(void *flag)
{
    __cxa_thread_atexit_impl(mark, flag, &__dso_handle);
    __cxa_thread_atexit_impl(mark, flag, &__dso_handle);
    return NULL;
}

CHECK(thread_destructors)
{
    pthread_t thread;
    int marked = 0;
    NEED(pthread_create(&thread, NULL, leave_objects, &marked) == 0);
    NEED(pthread_join(thread, NULL) == 0 && marked == 2);
    return NULL;
}

/* --- texts, files, memory ------------------------------------------------------------------- */

CHECK(strerror_r_returns_text)
{
    char room[128] = "", small[4] = "";
    const char *text = strerror_r(ENOENT, room, sizeof room);
    NEED(text != NULL && strcmp(text, "No such file or directory") == 0);
    NEED(strerror_r(ENOENT, small, sizeof small) != NULL && small[3] == '\0');
    return NULL;
}

static int seen[16];
static int visit(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)path;
    (void)info;
    (void)where;
    if (type >= 0 && type < 16)
        seen[type]++;
    return 0;
}

CHECK(kinds_of_files)
{
    char folder[] = "/tmp/contracts-XXXXXX", file[64];
    NEED(mkdtemp(folder) != NULL);
    snprintf(file, sizeof file, "%s/file", folder);
    FILE *made = fopen(file, "w");
    NEED(made != NULL && fclose(made) == 0);
    memset(seen, 0, sizeof seen);
    int rc = nftw(folder, visit, 8, FTW_PHYS | FTW_DEPTH);
    unlink(file);
    rmdir(folder);
    NEED(rc == 0 && seen[FTW_F] == 1 && seen[FTW_DP] == 1);
    return NULL;
}

CHECK(realloc_to_nothing)
{
    void *block = malloc(100);
    NEED(malloc_usable_size(block) >= 100 && malloc_usable_size(NULL) == 0);
    NEED(block != NULL);
    size_t (*volatile hide)(void) = NULL;
    volatile size_t none = hide == NULL ? 0 : 1;
    NEED(realloc(block, none) == NULL);
    return NULL;
}

/* What the C library allocates and what the library does, each resized and freed by the other. */
CHECK(memory_of_both)
{
    char *made = NULL, *line = malloc(2), *copy = strdup("copied");
    size_t room = 2;
    FILE *file = tmpfile();
    NEED(file != NULL && line != NULL && copy != NULL);
    NEED(fputs("one\ntwo\n", file) >= 0 && fseek(file, 0, SEEK_SET) == 0);
    NEED(getline(&line, &room, file) == 4 && strcmp(line, "one\n") == 0);
    NEED(getline(&line, &room, file) == 4 && strcmp(line, "two\n") == 0);
    NEED((line = realloc(line, 10000)) != NULL && strcmp(line, "two\n") == 0);
    NEED((copy = realloc(copy, 10000)) != NULL && strcmp(copy, "copied") == 0);
    free(line);
    free(copy);
    NEED(asprintf(&made, "%d", 42) == 2 && strcmp(made, "42") == 0);
    free(made);
    NEED((made = realpath("/", NULL)) != NULL && strcmp(made, "/") == 0);
    free(made);
    return fclose(file) == 0 ? NULL : "fclose";
}

static volatile int allocating;

/* The compiler leaves out a block that nobody sees. */
static void allocate_one(void)
{
    void *volatile block = malloc(100);
    free(block);
}

static void *allocate(void *argument)
{
    while (allocating)
        allocate_one();
    return argument;
}

/* A child gets the heap as no other thread is at work on it. */
CHECK(memory_after_fork)
{
    pthread_t thread;
    allocating = 1;
    NEED(pthread_create(&thread, NULL, allocate, NULL) == 0);
    for (int i = 0; i < 50; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            alarm(10);
            allocate_one();
            _exit(0);
        }
        NEED(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    allocating = 0;
    NEED(pthread_join(thread, NULL) == 0);
    return NULL;
}

/* Bound to memcpy of 2.2.5, as old callers are. */
#ifdef __x86_64__
extern void *old_memcpy(void *, const void *, size_t);
__asm__(".symver old_memcpy, memcpy@GLIBC_2.2.5");
#else
#define old_memcpy memmove /* no callers are that old */
#endif

CHECK(memcpy_of_old)
{
    char text[300];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    old_memcpy(text + 1, text, 250);
    for (size_t i = 1; i <= 250; i++)
        NEED(text[i] == (char)(i - 1));
    return NULL;
}

CHECK(locales)
{
    locale_t locale = newlocale(LC_ALL_MASK, "C", NULL);
    NEED(locale != NULL);
    NEED(isalpha_l('x', locale) && !isalpha_l('1', locale) && toupper_l('x', locale) == 'X');
    /* what libstdc++ does */
    NEED((locale->__ctype_b['x'] & (unsigned short)_ISalpha) != 0);
    NEED(locale->__ctype_toupper['x'] == 'X' && locale->__ctype_tolower['X'] == 'x');
    NEED(strcmp(locale->__names[0], "C") == 0);
    NEED(strtod_l("1.5", NULL, locale) == 1.5 && strcoll_l("a", "b", locale) < 0);
    locale_t before = uselocale(locale);
    NEED(before == LC_GLOBAL_LOCALE && uselocale(NULL) == locale);
    NEED(uselocale(before) == locale);
    NEED(newlocale(LC_ALL_MASK, "xx_XX.NONE", NULL) == NULL && errno == ENOENT);
    locale_t copy = duplocale(locale);
    NEED(copy != NULL);
    freelocale(copy);
    return NULL;
}

CHECK(names_that_musl_lacks)
{
    void *frames[4];
    char text[] = "a b", *rest = NULL;
    cpu_set_t *set = CPU_ALLOC(4096);
    NEED(set != NULL);
    CPU_ZERO_S(CPU_ALLOC_SIZE(4096), set);
    NEED(sched_getaffinity(0, CPU_ALLOC_SIZE(4096), set) == 0);
    NEED(CPU_COUNT_S(CPU_ALLOC_SIZE(4096), set) > 0);
    CPU_FREE(set);
    NEED(gnu_get_libc_version()[0] == '2');
    NEED(backtrace(frames, 4) >= 0);
    NEED(mallinfo().arena >= 0);
    NEED(strcmp(__strtok_r(text, " ", &rest), "a") == 0);
    NEED(rawmemchr("abc", 'c') != NULL);
    NEED(gettid() > 0);
    return NULL;
}

/* --- the dynamic linker's ------------------------------------------------------------------- */

#ifdef __x86_64__
#define MALLOC_VERSION "GLIBC_2.2.5"
#else
#define MALLOC_VERSION "GLIBC_2.17"
#endif

__attribute__((visibility("default"))) _Thread_local int contracts_number = 5;

/* By name, the variable of the thread that asks. */
CHECK(thread_local_by_name)
{
    Dl_info info;
    NEED(dladdr((void *)&recursive, &info) != 0);
    void *self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    NEED(self != NULL && dlsym(self, "contracts_number") == &contracts_number);
    NEED(contracts_number == 5);
    return NULL;
}

CHECK(symbols_by_name)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY);
    NEED(libc != NULL && dlsym(libc, "pipe2") != NULL && dlsym(libc, "eventfd") != NULL);
    NEED(dlsym(RTLD_DEFAULT, "sched_getcpu") != NULL);
    NEED(dlvsym(libc, "malloc", MALLOC_VERSION) != NULL);
    while (dlerror() != NULL)
        continue;
    NEED(dlsym(libc, "no_such_function_at_all") == NULL);
    const char *why = dlerror();
    NEED(why != NULL && strstr(why, "no_such_function_at_all") != NULL && dlerror() == NULL);
    NEED(dlmopen(LM_ID_BASE, "libc.so.6", RTLD_LAZY) == libc);
    NEED(dlopen("libno-such-library.so.1", RTLD_NOW) == NULL && dlerror() != NULL);
    NEED(dlclose(libc) == 0);
    return NULL;
}

static int found_self;
static int look(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            ElfW(Addr) from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            if ((ElfW(Addr))data >= from && (ElfW(Addr))data < from + info->dlpi_phdr[i].p_memsz)
                found_self++;
        }
    return 0;
}

CHECK(where_it_lies)
{
    Dl_info info;
    void *address = NULL;
    const char *(*self)(void) = where_it_lies;
    memcpy(&address, &self, sizeof address);
    NEED(dladdr(address, &info) != 0);
    NEED(strstr(info.dli_fname, "libcontracts.so") != NULL);
    NEED(strcmp(info.dli_sname, "where_it_lies") == 0 && info.dli_saddr == address);
    found_self = 0;
    NEED(dl_iterate_phdr(look, address) == 0 && found_self == 1);
    return NULL;
}

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *count)
{
    (void)context;
    ++*(int *)count;
    return _URC_NO_REASON;
}

/* The compiler's unwinder, linked into the library, finds the library's own tables. */
CHECK(unwinds)
{
    int frames = 0;
    _Unwind_Backtrace(count_frame, &frames);
    NEED(frames >= 1);
    return NULL;
}

CHECK(sibling)
{
    int (*number)(void);
    Dl_info info;
    char path[4096];
    void *self = dlsym(RTLD_DEFAULT, "malloc");
    NEED(self != NULL && dladdr((void *)seen, &info) != 0);
    snprintf(path, sizeof path, "%s", info.dli_fname);
    strcpy(strrchr(path, '/') + 1, "libsibling.so");
    void *handle = dlopen(path, RTLD_NOW);
    NEED(handle != NULL);
    void *address = dlsym(handle, "sibling_number");
    NEED(address != NULL);
    memcpy(&number, &address, sizeof number);
    NEED(number() == 7);
    NEED(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == handle);
    NEED(dlsym(RTLD_DEFAULT, "sibling_number") == NULL);
    NEED(dlopen(path, RTLD_NOW | RTLD_GLOBAL) == handle);
    NEED(dlsym(RTLD_DEFAULT, "sibling_number") == address);
    return NULL;
}
