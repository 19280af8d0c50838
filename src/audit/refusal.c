#include "audit/refusal.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "audit/filter.h"
#include "audit/refused_call.h"
#include "base/crash.h"
#include "base/limits.h"
#include "base/own_call.h"
#include "base/signal_line.h"

#define LEVEL "ERROR"
#define CODE_OF_FILTER 1 /* si_code: SYS_SECCOMP */

static atomic_int line_count;

/* This thread is writing a line: what is refused meanwhile is refused without another. */
static _Thread_local volatile sig_atomic_t is_writing;

/* --- the processor's registers ---------------------------------------------------------------- */

#ifdef __x86_64__
static void read_registers(const ucontext_t *context, long arguments[6])
{
    static const int places[] = { REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9 };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        arguments[i] = context->uc_mcontext.gregs[places[i]];
}

static void set_result(ucontext_t *context, long result)
{
    context->uc_mcontext.gregs[REG_RAX] = result;
}
#else
static void read_registers(const ucontext_t *context, long arguments[6])
{
    for (size_t i = 0; i < 6; i++)
        arguments[i] = (long)context->uc_mcontext.regs[i];
}

static void set_result(ucontext_t *context, long result)
{
    context->uc_mcontext.regs[0] = (unsigned long)result;
}
#endif

/* --- the line --------------------------------------------------------------------------------- */

/* access(2), which asks for the file's mode alone; it also tells whether the path can be read. */
static long ask_access(const struct refused_call *call, int mode)
{
    const long arguments[6] = { refused_call_folder(call), (long)refused_call_path(call), mode };
    return own_call(SYS_faccessat, arguments);
}

static const char *path_of(const struct refused_call *call)
{
    bool has_path = refused_call_has_path(call) && ask_access(call, F_OK) != -EFAULT;
    return has_path ? (const char *)refused_call_path(call) : NULL;
}

/*
 * Of a watched call, whose address the kernel has read before it refused it; negative: none. Of
 * Unix sockets, only modes are asked.
 */
static int port_of(const struct refused_call *call)
{
    const struct sockaddr_in *address = (const struct sockaddr_in *)call->arguments[1];
    sa_family_t family;
    memcpy(&family, address, sizeof family);
    return family == AF_INET || family == AF_INET6 ? ntohs(address->sin_port) : -1;
}

static void write_line(const struct refused_call *call, int port, const char *hint)
{
    struct signal_line line;
    if (is_writing || atomic_load(&line_count) >= LIMIT_REFUSAL_LINES)
        return;
    int before = atomic_fetch_add(&line_count, 1);
    if (before >= LIMIT_REFUSAL_LINES)
        return;
    is_writing = true;
    signal_line_begin(&line, LEVEL, crash_job());
    signal_line_add(&line, "--confine: refused ");
    refused_call_put(&line, call, path_of(call), port);
    signal_line_add(&line, hint);
    if (before == LIMIT_REFUSAL_LINES - 1)
        signal_line_add(&line, ". This is the last such line");
    signal_line_write(&line, LEVEL);
    is_writing = false;
}

/* --- the signal ------------------------------------------------------------------------------- */

/*
 * What to say of a watched call that failed with EACCES; NULL: nothing. A file that its own mode
 * would not let us open is no matter of the list; of a folder to be changed, nobody asks.
 */
static const char *hint_of(const struct refused_call *call)
{
    if (call->kind->form == FORM_ADDRESS)
        return port_of(call) >= 0 ? REFUSED_CALL_HINT : NULL;
    if (!refused_call_is_open(call))
        return REFUSED_CALL_HINT_CHANGE;
    long access = ask_access(call, refused_call_open_mode(refused_call_open_flags(call)));
    return access == 0         ? REFUSED_CALL_HINT_FILE
           : access == -ENOENT ? REFUSED_CALL_HINT_CHANGE
                               : NULL;
}

static long decide(const struct refused_call *call, bool is_watched)
{
    if (!is_watched) {
        write_line(call, -1, REFUSED_CALL_HINT);
        return -EPERM;
    }
    long result = own_call(call->number, call->arguments);
    const char *hint = call->kind != NULL && result == -EACCES ? hint_of(call) : NULL;
    if (hint != NULL)
        write_line(call, call->kind->form == FORM_ADDRESS ? port_of(call) : -1, hint);
    return result;
}

/*
 * Threads that block all signals are common, and fork does so for a moment; but where SIGSYS is
 * blocked, the kernel kills the process instead. So a thread's signals are blocked here, all but
 * that: what the signal returns to is what the call would have set.
 */
static long change_mask(const struct refused_call *call, ucontext_t *context)
{
    const uint64_t mine = 1ull << (SIGSYS - 1);
    const uint64_t *set = (const uint64_t *)call->arguments[1];
    uint64_t *before = (uint64_t *)call->arguments[2], mask, given = 0;
    memcpy(&mask, &context->uc_sigmask, sizeof mask);
    if (set != NULL)
        memcpy(&given, set, sizeof given);
    if (before != NULL)
        memcpy(before, &mask, sizeof mask);
    if (set != NULL) {
        mask = call->arguments[0] == SIG_BLOCK     ? mask | given
               : call->arguments[0] == SIG_UNBLOCK ? mask & ~given
                                                   : given;
        mask &= ~mine;
        memcpy(&context->uc_sigmask, &mask, sizeof mask);
    }
    return 0;
}

/* The thread is in the middle of the call, and maybe holds any lock. */
static void handle(int number, siginfo_t *info, void *context)
{
    int errnum = errno;
    struct refused_call call = { .number = info->si_syscall,
                                 .is_foreign = info->si_arch != FILTER_PROCESSOR };
    (void)number;
    if (info->si_code != CODE_OF_FILTER)
        return; /* somebody has sent it */
    refused_call_name(&call);
    read_registers(context, call.arguments);
    bool is_watched = info->si_errno == FILTER_SAYS_WATCHED;
    set_result(context, is_watched && call.number == SYS_rt_sigprocmask
                            ? change_mask(&call, context)
                            : decide(&call, is_watched));
    errno = errnum;
}

void refusal_install(void)
{
    struct sigaction action = { .sa_sigaction = handle };
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGSYS);
    pthread_sigmask(SIG_UNBLOCK, &mine, NULL); /* whatever the program was started with */
}
