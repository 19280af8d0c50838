/* The fake driver: what its variables set, and how each call begins. */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakedevice.h"

pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
size_t fake_used[DEVICES_MAX];
int fake_retained[DEVICES_MAX];
int fake_initialized;
__thread int fake_current;
static int sticky;

long long number(const char *name, long long otherwise)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? strtoll(value, NULL, 10) : otherwise;
}

int device_count(void)
{
    return (int)number("FAKE_CUDA_DEVICES", 1);
}

int capability(void)
{
    return (int)number("FAKE_CUDA_CAPABILITY", 90);
}

int shared_bytes_optin(void)
{
    static const struct {
        int capability, kib;
    } most[] = { { 90, 227 }, { 89, 99 }, { 87, 163 }, { 86, 99 }, { 80, 163 }, { 75, 64 } };
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++)
        if (capability() >= most[i].capability)
            return most[i].kib << 10;
    return 96 << 10;
}

void trace(const char *format, ...)
{
    char line[256];
    const char *path = getenv("FAKE_CUDA_TRACE");
    if (path == NULL)
        return;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    line[len++] = '\n';
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd >= 0 && write(fd, line, (size_t)len) != len)
        abort();
    close(fd);
}

/* The setting "CALL=R@N" of a call in a list: returns R and sets *at to N. 0 if it is not there. */
static int setting(const char *variable, const char *call, int *at)
{
    const char *list = getenv(variable);
    size_t len = strlen(call);
    for (; list != NULL && *list != '\0'; list = strchr(list, ',')) {
        list += *list == ',';
        if (strncmp(list, call, len) == 0 && (list[len] == '=' || list[len] == '\0')) {
            char *end = (char *)list + len;
            int result = *end == '=' ? (int)strtol(end + 1, &end, 10) : 1;
            *at = *end == '@' ? (int)strtol(end + 1, NULL, 10) : 1;
            return result;
        }
    }
    return 0;
}

static struct counter {
    const char *call;
    int count;
} counters[64];

static int count_call(const char *call)
{
    int count = 0;
    pthread_mutex_lock(&fake_lock);
    for (size_t i = 0; count == 0; i++) {
        if (counters[i].call == NULL)
            counters[i].call = call;
        if (strcmp(counters[i].call, call) == 0)
            count = ++counters[i].count;
    }
    pthread_mutex_unlock(&fake_lock);
    return count;
}

void set_sticky(int result)
{
    pthread_mutex_lock(&fake_lock);
    if (sticky == 0)
        sticky = result;
    pthread_mutex_unlock(&fake_lock);
}

int get_sticky(void)
{
    pthread_mutex_lock(&fake_lock);
    int result = sticky;
    pthread_mutex_unlock(&fake_lock);
    return result;
}

/* A driver relies on glibc's stacks and uses more than musl gives a thread. */
static __attribute__((noinline)) void use_stack(void)
{
    volatile char stack[4 << 20];
    for (size_t i = 0; i < sizeof stack; i += 4096)
        stack[i] = 1;
}

void sleep_ms(long long ms)
{
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

/* A driver has something of each thread, which goes when the thread ends. */
static pthread_key_t thread_key;

static void end_thread(void *ms)
{
    trace("thread ends");
    sleep_ms((long)(uintptr_t)ms);
    trace("thread ended");
}

static void make_thread_key(void)
{
    pthread_key_create(&thread_key, end_thread);
}

static void begin_thread(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    long long ms = number("FAKE_CUDA_THREAD_MS", 0);
    pthread_once(&once, make_thread_key);
    if (ms > 0)
        pthread_setspecific(thread_key, (void *)(uintptr_t)ms);
}

int enter(const char *call, int needs)
{
    int at, result;
    trace("%s", call);
    begin_thread();
    int count = count_call(call);
    use_stack();
    if (setting("FAKE_CUDA_HANG", call, &at))
        for (;;)
            sleep(1000);
    if (setting("FAKE_CUDA_CRASH", call, &at))
        abort();
    int slow_ms = setting("FAKE_CUDA_SLOW", call, &at);
    if (slow_ms > 0)
        sleep_ms(slow_ms);
    if ((result = setting("FAKE_CUDA_FAIL", call, &at)) != 0 && (at == 0 || at == count))
        return result;
    if ((result = setting("FAKE_CUDA_STICKY", call, &at)) != 0 && count >= at)
        set_sticky(result);
    if (needs >= 1 && !fake_initialized)
        return NOT_INITIALIZED;
    if (needs < 2)
        return SUCCESS;
    if (fake_current == 0 || fake_retained[fake_current - 1] == 0)
        return INVALID_CONTEXT;
    return get_sticky();
}
