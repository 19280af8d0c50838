#include "base/crash.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/signal_line.h"

static const struct crash_signal {
    const char *name;
    int number;
    bool has_address;
} crash_signals[] = {
    { "SIGSEGV", SIGSEGV, true }, { "SIGBUS", SIGBUS, true },    { "SIGILL", SIGILL, true },
    { "SIGFPE", SIGFPE, true },   { "SIGABRT", SIGABRT, false },
};
#define CRASH_SIGNAL_COUNT (sizeof crash_signals / sizeof crash_signals[0])

#define STACK_BYTES (32u * 1024u) /* for the handler alone; a frame of AMX state fits */
#define CRASH_LEVEL "ERROR"

static bool installed;
static _Thread_local slice current_job;

/* --- in the handler: async-signal-safe functions only ---------------------------------------- */

static void put_crash(struct signal_line *line, int number, const siginfo_t *info)
{
    const struct crash_signal *crash = crash_signals;
    while (crash->number != number)
        crash++;
    signal_line_begin(line, CRASH_LEVEL, current_job);
    signal_line_add(line, "The worker's process crashed: ");
    signal_line_add(line, crash->name);
    if (crash->has_address && info->si_code > 0) { /* else somebody has sent it */
        signal_line_add(line, " at address 0x");
        signal_line_add_number(line, (uintptr_t)info->si_addr, 16);
    }
    signal_line_add(line, current_job.len > 0 ? ", while it ran this job." : ", outside a job.");
}

static void report(int number, siginfo_t *info, void *context)
{
    int errnum = errno;
    struct signal_line line;
    (void)context;
    put_crash(&line, number, info);
    signal_line_write(&line, CRASH_LEVEL);
    /* The action is the default one again: a fault repeats itself at its place, others are sent. */
    if (info->si_code <= 0)
        syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), number);
    errno = errnum;
}

/* --- called by everybody --------------------------------------------------------------------- */

void crash_install(bool json_lines)
{
    struct sigaction action = { .sa_sigaction = report }, now;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    signal_line_set_form(json_lines);
    for (size_t i = 0; i < CRASH_SIGNAL_COUNT; i++)
        if (sigaction(crash_signals[i].number, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            sigaction(crash_signals[i].number, &action, NULL);
    installed = true;
}

void crash_prepare_thread(void)
{
    static _Thread_local bool prepared; /* it is called before every job */
    stack_t now, own = { .ss_size = STACK_BYTES };
    if (!installed || prepared)
        return;
    prepared = true;
    if (sigaltstack(NULL, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0)
        return;
    own.ss_sp = malloc(own.ss_size);
    if (own.ss_sp != NULL && sigaltstack(&own, NULL) != 0)
        free(own.ss_sp);
}

void crash_set_job(slice id)
{
    current_job = id;
}

slice crash_job(void)
{
    return current_job;
}
