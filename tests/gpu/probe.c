/*
 * Loads shared libraries and calls into them, for the tests. Built twice, static on musl with the
 * loader of src/loader and on glibc with dlopen (-DON_GLIBC), so that their output can be compared.
 *
 *   probe driver LIBCUDA [THREADS]            calls of the Driver API that need no device
 *   probe nvml LIBNVIDIA-ML                   the management library's start
 *   probe ptx LIBPTXJIT FILE.ptx sm_NN OUT [THREADS]   compiles PTX to a cubin on each thread
 *   probe check LIBRARY NAME...               calls "const char *NAME(void)": NULL is good
 *   probe early LIBRARY NAME...               check, on a thread older than the library
 *   probe back LIBRARY                        has a thread of the library call back
 *   probe each LIBRARY...                     opens each in a process of its own
 *   probe time LIBRARY [NAME]                 loads, calls "int NAME(unsigned)" with 0, and
 *                                             prints times and memory
 * Exit status 0; 1 with the reason on standard output; 2 for wrong arguments.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "opener.h"

#define THREADS_MAX 64
#define STACK_BYTES (8u << 20)

/* Runs the same work on several threads, each with the stack that drivers expect. */
static void on_threads(int count, void *(*run)(void *), void *argument)
{
    pthread_t threads[THREADS_MAX];
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], &attr, run, argument) != 0)
            die("no thread");
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static int thread_count(const char *text)
{
    int count = text == NULL ? 0 : atoi(text);
    return count < 0 || count > THREADS_MAX ? THREADS_MAX : count;
}

/* --- driver --------------------------------------------------------------------------------- */

static struct driver {
    int (*init)(unsigned);
    int (*version)(int *);
    int (*count)(int *);
    int (*device)(int *, int);
    int (*entry)(const char *, void **, int, unsigned long long);
    int (*error_name)(int, const char **);
    int (*current)(void **);
    int (*alloc)(unsigned long long *, size_t);
    int (*destroy)(void *);
} cuda;

static void *call_driver(void *quiet)
{
    int version = -1, count = -1, device = -1, rc[9];
    const char *name = "?";
    void *address = NULL, *context = NULL;
    unsigned long long memory = 0;
    enter();
    rc[0] = cuda.init(0);
    rc[1] = cuda.version(&version);
    rc[2] = cuda.count(&count);
    rc[3] = cuda.device(&device, 0);
    rc[4] = cuda.entry("cuMemAlloc", &address, 11040, 0);
    rc[5] = cuda.error_name(rc[0], &name);
    rc[6] = cuda.current(&context);
    rc[7] = cuda.alloc(&memory, 4096);
    rc[8] = cuda.destroy(NULL);
    char line[512];
    snprintf(line, sizeof line,
             "init %d version %d %d count %d device %d entry %d %s name %d %s "
             "context %d alloc %d destroy %d",
             rc[0], rc[1], version, rc[2], rc[3], rc[4], address != NULL ? "found" : "none", rc[5],
             name, rc[6], rc[7], rc[8]);
    if (quiet == NULL || strcmp(quiet, line) != 0)
        printf("%s\n", line);
    return quiet == NULL ? strdup(line) : NULL;
}

static int driver(const char *path, int threads)
{
    library *lib = open_library(path);
    WANT(lib, "cuInit", cuda.init);
    WANT(lib, "cuDriverGetVersion", cuda.version);
    WANT(lib, "cuDeviceGetCount", cuda.count);
    WANT(lib, "cuDeviceGet", cuda.device);
    WANT(lib, "cuGetProcAddress", cuda.entry);
    WANT(lib, "cuGetErrorName", cuda.error_name);
    WANT(lib, "cuCtxGetCurrent", cuda.current);
    WANT(lib, "cuMemAlloc_v2", cuda.alloc);
    WANT(lib, "cuCtxDestroy_v2", cuda.destroy);
    char *first = call_driver(NULL);
    on_threads(threads, call_driver, first); /* a thread whose results differ prints them */
    free(first);
    return 0;
}

static int nvml(const char *path)
{
    int (*init)(void);
    const char *(*text)(int);
    library *lib = open_library(path);
    WANT(lib, "nvmlInit_v2", init);
    WANT(lib, "nvmlErrorString", text);
    int rc = init();
    printf("init %d %s\n", rc, text(rc));
    return 0;
}

/* --- PTX ------------------------------------------------------------------------------------ */

static struct compiler {
    int (*create)(void **, size_t, const char *);
    int (*compile)(void *, int, const char *const *);
    int (*size)(void *, size_t *);
    int (*program)(void *, void *);
    int (*error_size)(void *, size_t *);
    int (*error_log)(void *, char *);
    int (*destroy)(void **);
    const char *option, *out;
    char *ptx;
    size_t ptx_bytes;
    pthread_mutex_t lock;
    int written, failed;
    char *first;
    size_t first_bytes;
} ptx = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void say_why(void *compiler)
{
    size_t size = 0;
    ptx.error_size(compiler, &size);
    char *log = calloc(1, size + 1);
    if (log != NULL && size > 0)
        ptx.error_log(compiler, log);
    printf("%s\n", log == NULL ? "" : log);
    free(log);
}

static void keep(char *program, size_t size)
{
    pthread_mutex_lock(&ptx.lock);
    if (ptx.first == NULL) {
        FILE *file = fopen(ptx.out, "wb");
        if (file == NULL || fwrite(program, 1, size, file) != size || fclose(file) != 0)
            die("cannot write the cubin");
        ptx.first = program;
        ptx.first_bytes = size;
    } else {
        if (size != ptx.first_bytes || memcmp(program, ptx.first, size) != 0) {
            printf("threads differ\n");
            ptx.failed = 1;
        }
        free(program);
    }
    ptx.written++;
    pthread_mutex_unlock(&ptx.lock);
}

static void *compile(void *unused)
{
    void *compiler = NULL;
    size_t size = 0;
    const char *options[] = { ptx.option };
    enter();
    int rc = ptx.create(&compiler, ptx.ptx_bytes, ptx.ptx);
    if (rc == 0 && (rc = ptx.compile(compiler, 1, options)) != 0)
        say_why(compiler);
    if (rc == 0)
        rc = ptx.size(compiler, &size);
    char *program = rc == 0 ? malloc(size) : NULL;
    if (rc == 0 && program != NULL)
        rc = ptx.program(compiler, program);
    if (rc != 0) {
        printf("compiler: error %d\n", rc);
        ptx.failed = 1;
    } else {
        keep(program, size);
    }
    ptx.destroy(&compiler);
    return unused;
}

static void read_ptx(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die("cannot read the PTX");
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    ptx.ptx = calloc(1, (size_t)size + 1);
    if (ptx.ptx == NULL || fread(ptx.ptx, 1, (size_t)size, file) != (size_t)size)
        die("cannot read the PTX");
    ptx.ptx_bytes = (size_t)size;
    fclose(file);
}

static int ptx_check(const char *path, const char *source, const char *target, const char *out,
                     int threads)
{
    char option[64];
    library *lib = open_library(path);
    WANT(lib, "nvPTXCompilerCreate", ptx.create);
    WANT(lib, "nvPTXCompilerCompile", ptx.compile);
    WANT(lib, "nvPTXCompilerGetCompiledProgramSize", ptx.size);
    WANT(lib, "nvPTXCompilerGetCompiledProgram", ptx.program);
    WANT(lib, "nvPTXCompilerGetErrorLogSize", ptx.error_size);
    WANT(lib, "nvPTXCompilerGetErrorLog", ptx.error_log);
    WANT(lib, "nvPTXCompilerDestroy", ptx.destroy);
    snprintf(option, sizeof option, "--gpu-name=%s", target);
    ptx.option = option;
    ptx.out = out;
    read_ptx(source);
    on_threads(threads > 0 ? threads : 1, compile, NULL);
    printf("compiled %d, %zu bytes\n", ptx.written, ptx.first_bytes);
    return ptx.failed;
}

/* --- libraries of the tests' own ------------------------------------------------------------ */

static int check(library *lib, char **names)
{
    int failed = 0;
    for (; *names != NULL; names++) {
        const char *(*function)(void);
        void *at = symbol(lib, *names);
        if (at == NULL)
            die(*names);
        memcpy(&function, &at, sizeof at);
        const char *why = function();
        printf("%s: %s\n", *names, why == NULL ? "good" : why);
        failed |= why != NULL;
    }
    return failed;
}

static struct early {
    pthread_barrier_t started, opened;
    library *lib;
    char **names;
    int failed;
} early;

static void *check_early(void *unused)
{
    pthread_barrier_wait(&early.started);
    pthread_barrier_wait(&early.opened);
    enter();
    early.failed = check(early.lib, early.names);
    return unused;
}

static int check_on_early_thread(const char *path, char **names)
{
    pthread_t thread;
    early.names = names;
    pthread_barrier_init(&early.started, NULL, 2);
    pthread_barrier_init(&early.opened, NULL, 2);
    if (pthread_create(&thread, NULL, check_early, NULL) != 0)
        die("no thread");
    pthread_barrier_wait(&early.started);
    early.lib = open_library(path);
    pthread_barrier_wait(&early.opened);
    pthread_join(thread, NULL);
    return early.failed;
}

/* Code of this program on a thread of the library: formats, allocates and uses the stack. */
static void called_back(int number)
{
    volatile char space[1 << 20];
    char *text = malloc(64);
    for (size_t i = 0; i < sizeof space; i += 4096)
        space[i] = 1;
    if (text == NULL)
        die("no memory");
    snprintf(text, 64, "called back with %d", number + space[4096] - 1);
    printf("%s\n", text);
    free(text);
}

static int back(library *lib)
{
    void (*call)(void (*)(int));
    WANT(lib, "call_back_from_a_thread", call);
    call(called_back);
    return 0;
}

static int each(char **paths)
{
    for (; *paths != NULL; paths++) {
        int status;
        printf("%s: ", *paths);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            if (try_open(*paths) != NULL)
                printf("loaded\n");
            fflush(stdout);
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child)
            die("no process");
        if (status != 0)
            printf("CRASHED, status %#x\n", (unsigned)status);
    }
    return 0;
}

/* --- figures -------------------------------------------------------------------------------- */

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static long resident_kb(void)
{
    long pages = 0, unused;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%ld %ld", &unused, &pages) != 2)
            pages = 0;
        fclose(file);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int measure(const char *path, const char *name)
{
    int rc = 0;
    long before = resident_kb();
    double start = now_ms();
    library *lib = open_library(path);
    double loaded = now_ms();
    long after_load = resident_kb();
    double ready = loaded;
    if (name != NULL) {
        int (*init)(unsigned);
        void *at = symbol(lib, name);
        if (at == NULL)
            die(name);
        memcpy(&init, &at, sizeof at);
        double from = now_ms();
        rc = init(0);
        ready = loaded + now_ms() - from;
    }
    printf("{\"load_ms\": %.3f, \"ready_ms\": %.3f, \"result\": %d, "
           "\"rss_before_kb\": %ld, \"rss_loaded_kb\": %ld, "
           "\"rss_ready_kb\": %ld}\n",
           loaded - start, ready - start, rc, before, after_load, resident_kb());
    return 0;
}

static int run(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";
    if (strcmp(verb, "driver") == 0)
        return driver(argv[2], thread_count(argv[3]));
    if (strcmp(verb, "nvml") == 0)
        return nvml(argv[2]);
    if (strcmp(verb, "ptx") == 0 && argc >= 6)
        return ptx_check(argv[2], argv[3], argv[4], argv[5], thread_count(argv[6]));
    if (strcmp(verb, "check") == 0)
        return check(open_library(argv[2]), argv + 3);
    if (strcmp(verb, "early") == 0)
        return check_on_early_thread(argv[2], argv + 3);
    if (strcmp(verb, "back") == 0)
        return back(open_library(argv[2]));
    if (strcmp(verb, "each") == 0)
        return each(argv + 2);
    if (strcmp(verb, "time") == 0)
        return measure(argv[2], argv[3]);
    return 2;
}

int main(int argc, char **argv)
{
#ifndef ON_GLIBC
    log_init(getenv("PROBE_DEBUG") != NULL ? LOG_DEBUG : LOG_WARN, false);
#endif
    return run(argc, argv);
}
