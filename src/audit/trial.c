/*
 * The thread that answers for the kernel, while the thread that calls waits. Whatever lock that one
 * has is not to be waited for here: the lines are written as those of a signal handler are.
 */
#include "audit/trial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "audit/filter.h"
#include "audit/landlock.h"
#include "audit/listed.h"
#include "audit/refused_call.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/thread.h"
#include "codec/byte_class.h"

#define LEVEL "WARN"
#define PAGE_BYTES 4096u
#define LINES_OF_A_FOLDER 5 /* of files of the same folder; the others are like them */

/* linux/seccomp.h: not among musl's headers. */
struct trial_question {
    uint64_t id;
    uint32_t thread, flags;
    int32_t number;
    uint32_t processor;
    uint64_t address, arguments[6];
};
struct trial_answer {
    uint64_t id;
    int64_t value;
    int32_t errnum;
    uint32_t flags;
};
#define NEXT_QUESTION _IOWR('!', 0, struct trial_question)
#define GIVE_ANSWER _IOWR('!', 1, struct trial_answer)
#define STILL_WAITS _IOW('!', 2, uint64_t)
#define STILL_WAITS_BEFORE_5_9 _IOR('!', 2, uint64_t)
#define GO_ON 1u /* the call is made as if there were no filter */

static sem_t is_installed;
static int questions = -1;
static const struct filter_rules *rules;

/* --- what the call is about ------------------------------------------------------------------- */

/* Of the thread that waits, which may be one of another process. */
static ssize_t read_memory(const struct trial_question *question, uintptr_t address, void *to,
                           size_t size)
{
    const struct iovec here = { to, size }, there = { (void *)address, size };
    return process_vm_readv((pid_t)question->thread, &here, 1, &there, 1, 0);
}

/* False: it is not there, or longer than any path. */
static bool read_path(const struct trial_question *question, uintptr_t address, char path[PATH_MAX])
{
    for (size_t len = 0; len < PATH_MAX;) {
        size_t part = PAGE_BYTES - (address + len) % PAGE_BYTES;
        if (part > PATH_MAX - len)
            part = PATH_MAX - len;
        ssize_t got = read_memory(question, address + len, path + len, part);
        if (got <= 0)
            return false;
        if (memchr(path + len, '\0', (size_t)got) != NULL)
            return true;
        len += (size_t)got;
    }
    return false;
}

/* Negative: none. Of Unix sockets, only modes are asked. */
static int read_port(const struct trial_question *question)
{
    struct sockaddr_in address; /* that of IPv6 has the port at the same place */
    size_t least = offsetof(struct sockaddr_in, sin_addr);
    if (read_memory(question, question->arguments[1], &address, least) != (ssize_t)least)
        return -1;
    bool has_port = address.sin_family == AF_INET || address.sin_family == AF_INET6;
    return has_port ? ntohs(address.sin_port) : -1;
}

/* So that it can be opened by this thread: from the folder of the descriptor. */
static bool complete_path(int folder, const char *path, char full[PATH_MAX])
{
    int len = path[0] == '/' || folder == AT_FDCWD
                  ? snprintf(full, PATH_MAX, "%s", path)
                  : snprintf(full, PATH_MAX, "/proc/self/fd/%d/%s", folder, path);
    return len > 0 && len < PATH_MAX;
}

/* --- what the list would say ------------------------------------------------------------------ */

static bool may_change_folder(const char *path)
{
    unsigned access;
    return listed_folder_access(path, &access) != 0 || (access & LANDLOCK_WRITES) != 0;
}

/* A link that leads to nothing, which the flags do not follow. */
static bool is_refused_link(const char *path, int flags)
{
    struct stat status;
    return (flags & (O_NOFOLLOW | O_EXCL)) != 0 && lstat(path, &status) == 0;
}

/* What is there already is not made anew (EEXIST), and a folder is not written (EISDIR). */
static bool fails_by_itself(const struct stat *status, int flags)
{
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return true;
    return S_ISDIR(status->st_mode) && (flags & O_TMPFILE) != O_TMPFILE &&
           ((flags & O_CREAT) != 0 || (flags & REFUSED_CALL_ACCMODE) != O_RDONLY);
}

/* What its mode does not allow is not the list's affair. */
static const char *hint_of_open(const char *path, int flags)
{
    int mode = refused_call_open_mode(flags);
    unsigned needs = ((mode & R_OK) != 0 ? LANDLOCK_READS : 0u) |
                     ((mode & W_OK) != 0 ? LANDLOCK_WRITES : 0u);
    unsigned access_listed;
    struct stat status;
    if ((flags & O_PATH) || (flags & REFUSED_CALL_ACCMODE) == REFUSED_CALL_ACCMODE)
        return NULL;
    if (stat(path, &status) != 0)
        return (flags & O_CREAT) == 0 || errno != ENOENT || is_refused_link(path, flags) ||
                       may_change_folder(path)
                   ? NULL
                   : REFUSED_CALL_HINT_CHANGE;
    if (fails_by_itself(&status, flags) || access(path, mode) != 0 ||
        listed_access(path, &access_listed) != 0)
        return NULL;
    if (S_ISDIR(status.st_mode) && access_listed != 0 && (flags & O_TMPFILE) != O_TMPFILE)
        needs = 0; /* a folder that may be changed may be listed */
    return (access_listed & needs) == needs ? NULL : REFUSED_CALL_HINT_FILE;
}

/* Where a file is moved to. */
static bool may_change_target(const struct trial_question *question,
                              const struct refused_call *call)
{
    static char path[PATH_MAX], full[PATH_MAX];
    bool at = call->number == SYS_renameat;
#ifdef SYS_rename
    if (!at && call->number != SYS_rename)
        return true;
#else
    if (!at)
        return true;
#endif
    int folder = at ? (int)call->arguments[2] : AT_FDCWD;
    return !read_path(question, (uintptr_t)call->arguments[at ? 3 : 1], path) ||
           !complete_path(folder, path, full) || may_change_folder(full);
}

/* Something that is not there is not changed; nor is made what is there. */
static const char *hint_of_change(const struct trial_question *question,
                                  const struct refused_call *call, const char *path)
{
    struct stat status;
    bool makes = call->number == SYS_mkdirat;
#ifdef SYS_mkdir
    makes |= call->number == SYS_mkdir;
#endif
    if ((lstat(path, &status) == 0) == makes ||
        (may_change_folder(path) && may_change_target(question, call)))
        return NULL;
    return REFUSED_CALL_HINT_CHANGE;
}

static bool is_watched(const struct refused_call *call)
{
    return !call->is_foreign && call->number >= 0 && call->number < FILTER_CALLS &&
           rules->verdicts[call->number] == FILTER_WATCHED;
}

/* NULL: it would not be refused. */
static const char *hint_of(const struct trial_question *question, const struct refused_call *call,
                           const char *path, int port)
{
    static char full[PATH_MAX];
    if (!is_watched(call))
        return REFUSED_CALL_HINT;
    if (call->kind == NULL || call->kind->form == FORM_ADDRESS)
        return port < 0 || listed_port((uint16_t)port) ? NULL : REFUSED_CALL_HINT;
    if (path == NULL || !complete_path(refused_call_folder(call), path, full))
        return NULL; /* nor can the kernel read it */
    return refused_call_is_open(call) ? hint_of_open(full, refused_call_open_flags(call))
                                      : hint_of_change(question, call, full);
}

/* --- the line --------------------------------------------------------------------------------- */

/* The lines that were written: about that call, with that file or port, of that folder. */
static struct told {
    uint32_t subject, folder;
} told[LIMIT_REFUSAL_LINES];
static size_t told_count;

static struct told kind_of(const struct refused_call *call, const char *path, int port)
{
    uint32_t seed = (uint32_t)call->number ^ (uint32_t)(port + 1) << 10;
    const char *end = path != NULL ? strrchr(path, '/') : NULL;
    if (path == NULL)
        path = "";
    size_t folder_len = end != NULL ? (size_t)(end - path) + 1 : 0;
    return (struct told){ hash_bytes(slice_from(path), seed),
                          hash_bytes((slice){ path, folder_len }, seed) };
}

/* Remembers it. False: such a line was written before, or enough of them. */
static bool is_news(const struct refused_call *call, const char *path, int port)
{
    struct told kind = kind_of(call, path, port);
    size_t of_folder = 0;
    for (size_t i = 0; i < told_count; i++) {
        if (told[i].subject == kind.subject)
            return false;
        of_folder += told[i].folder == kind.folder;
    }
    if (told_count == LIMIT_REFUSAL_LINES || of_folder >= LINES_OF_A_FOLDER)
        return false;
    told[told_count++] = kind;
    return true;
}

static void write_line(const struct refused_call *call, const char *path, int port,
                       const char *hint)
{
    struct signal_line line;
    signal_line_begin(&line, LEVEL, (slice){ 0 });
    signal_line_add(&line, "--confine: would refuse ");
    refused_call_put(&line, call, path, port);
    signal_line_add(&line, hint);
    if (told_count == LIMIT_REFUSAL_LINES)
        signal_line_add(&line, ". This is the last such line");
    signal_line_write(&line, LEVEL);
}

/* --- questions -------------------------------------------------------------------------------- */

/* ioctl(2), whose C function takes these requests as int or as unsigned long. */
static bool request(unsigned long number, void *argument)
{
    return syscall(SYS_ioctl, questions, number, argument) == 0;
}

static bool next_question(struct trial_question *question)
{
    do {
        *question = (struct trial_question){ 0 };
        if (request(NEXT_QUESTION, question))
            return true;
    } while (errno == EINTR || errno == ENOENT); /* whoever asked is gone */
    return false;
}

static void let_through(const struct trial_question *question)
{
    struct trial_answer answer = { .id = question->id, .flags = GO_ON };
    request(GIVE_ANSWER, &answer);
}

static bool still_waits(const struct trial_question *question)
{
    uint64_t id = question->id;
    return request(STILL_WAITS, &id) || (errno == EINVAL && request(STILL_WAITS_BEFORE_5_9, &id));
}

static bool is_ours(const struct trial_question *question)
{
    return syscall(SYS_tgkill, getpid(), (pid_t)question->thread, 0) == 0;
}

static bool starts_process(int number)
{
#ifdef SYS_fork
    if (number == SYS_fork || number == SYS_vfork)
        return true;
#endif
    return number == SYS_clone;
}

/* Of processes that our threads start, the first program that they become; the rest is theirs. */
static bool is_looked_at(const struct trial_question *question)
{
    static unsigned started;
    bool ours = is_ours(question);
    bool is_program = !ours && question->number == SYS_execve && started > 0;
    started += ours && starts_process(question->number);
    started -= is_program;
    return ours || is_program;
}

/* Lets it through as well. */
static void tell(const struct trial_question *question)
{
    static char path[PATH_MAX];
    struct refused_call call = { .number = question->number,
                                 .is_foreign = question->processor != FILTER_PROCESSOR };
    refused_call_name(&call);
    memcpy(call.arguments, question->arguments, sizeof call.arguments);
    bool has_path = refused_call_has_path(&call) &&
                    read_path(question, refused_call_path(&call), path);
    bool has_port = call.kind != NULL && call.kind->form == FORM_ADDRESS;
    int port = has_port ? read_port(question) : -1;
    const char *hint = hint_of(question, &call, has_path ? path : NULL, port);
    bool is_told = hint != NULL && still_waits(question) &&
                   is_news(&call, has_path ? path : NULL, port);
    /* Before the call, which may be the process's last; but the log's reader may be slow. */
    struct pollfd log = { .fd = STDOUT_FILENO, .events = POLLOUT };
    bool is_first = is_told && poll(&log, 1, 0) > 0;
    if (!is_first)
        let_through(question);
    if (is_told)
        write_line(&call, has_path ? path : NULL, port, hint);
    if (is_first)
        let_through(question);
}

static void *answer_all(void *argument)
{
    struct trial_question question;
    while (sem_wait(&is_installed) != 0)
        continue; /* interrupted */
    while (questions >= 0 && next_question(&question)) {
        if (is_looked_at(&question))
            tell(&question);
        else
            let_through(&question);
    }
    if (questions >= 0)
        close(questions); /* so that nobody waits for an answer */
    return argument;
}

/* --- --confine=log ---------------------------------------------------------------------------- */

/* From then on a call can be let through. */
static bool is_new_enough(void)
{
    struct utsname name;
    slice rest, word;
    uint64_t numbers[2] = { 0 };
    rest = uname(&name) == 0 ? slice_from(name.release) : (slice){ 0 };
    for (int i = 0; i < 2; i++)
        if (!byte_class_next_word(&rest, ".-+", &word) ||
            !byte_class_decimal(word, UINT32_MAX, &numbers[i]))
            return false;
    return numbers[0] > 5 || (numbers[0] == 5 && numbers[1] >= 5);
}

/* Else it would wait for an answer for ever once the worker has ended. */
static void forget_in_child(void)
{
    if (questions >= 0)
        close(questions);
}

/* A container's own filter may keep it from reading what a call is about. */
static int check_reading(void)
{
    char from = 1, to = 0;
    const struct iovec here = { &to, 1 }, there = { &from, 1 };
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1 ? 0 : errno;
}

int trial_begin(struct err *err)
{
    sem_init(&is_installed, 0, 0);
    if (pthread_atfork(NULL, NULL, forget_in_child) != 0)
        return err_set(err, ERR_MEMORY, "no memory for --confine=log");
    return thread_start(answer_all, NULL, LIMIT_STACK_TRIAL_BYTES, err);
}

int trial_install(const struct filter *filter, const struct filter_rules *filter_rules)
{
    int errnum = is_new_enough() ? check_reading() : ENOSYS;
    rules = filter_rules;
    if (errnum == 0 && (questions = filter_install_asking(filter)) < 0)
        errnum = errno;
    sem_post(&is_installed);
    return errnum;
}
