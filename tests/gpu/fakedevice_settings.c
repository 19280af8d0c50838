/* The fake driver: what the test has told it by variables, and how each call begins. */
#include <fcntl.h>
#include <stdarg.h>
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

/* "CALL=R@N" in a list for this call: R, and *at is N. 0 where it is not there. */
static int told(const char *variable, const char *call, int *at)
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

/* A driver's stack is glibc's: it uses more of it than musl's threads have. */
static __attribute__((noinline)) void use_stack(void)
{
    volatile char stack[4 << 20];
    for (size_t i = 0; i < sizeof stack; i += 4096)
        stack[i] = 1;
}

int enter(const char *call, int needs)
{
    int at, result;
    trace("%s", call);
    int count = count_call(call);
    use_stack();
    if (told("FAKE_CUDA_HANG", call, &at))
        for (;;)
            pause();
    int slow_ms = told("FAKE_CUDA_SLOW", call, &at);
    if (slow_ms > 0)
        nanosleep(&(struct timespec){ slow_ms / 1000, slow_ms % 1000 * 1000000L }, NULL);
    if ((result = told("FAKE_CUDA_FAIL", call, &at)) != 0 && (at == 0 || at == count))
        return result;
    if ((result = told("FAKE_CUDA_STICKY", call, &at)) != 0 && count >= at)
        set_sticky(result);
    if (needs >= 1 && !fake_initialized)
        return NOT_INITIALIZED;
    if (needs < 2)
        return SUCCESS;
    if (fake_current == 0 || fake_retained[fake_current - 1] == 0)
        return INVALID_CONTEXT;
    return get_sticky();
}
