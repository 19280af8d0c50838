#include "base/signals.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int waiting_threads[_NSIG]; /* that of each signal */

/* On a thread that does not block the signal. */
static void pass_on(int signal_number)
{
    int errnum = errno;
    syscall(SYS_tgkill, getpid(), atomic_load(&waiting_threads[signal_number]), signal_number);
    errno = errnum;
}

void signals_wait_here(const sigset_t *signals)
{
    const struct sigaction handler = { .sa_handler = pass_on, .sa_flags = SA_ONSTACK | SA_RESTART };
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    for (int number = 1; number < _NSIG; number++) {
        if (sigismember(signals, number) != 1)
            continue;
        atomic_store(&waiting_threads[number], (int)syscall(SYS_gettid));
        sigaction(number, &handler, NULL);
    }
}
