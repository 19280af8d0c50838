#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/limits.h"
#include "job/child_inside.h"

/* --- to the child ------------------------------------------------------------------------- */

void child_send(struct child *child, slice input, bool then_close)
{
    child->input = input;
    child->input_feed = true;
    child->input_close = then_close;
    child->dropped = NULL;
}

bool child_has_unsent(const struct child *child)
{
    return child->process.in >= 0 && (child->input.len > 0 || child->input_feed);
}

static void note_sent(struct child *child, size_t count)
{
    if (count > child->input.len)
        child->input_feed = false;
    else
        child->input = slice_skip(child->input, count);
    if (!child->input_feed)
        child->input = (slice){ 0 };
}

/* Writes as much as the pipe takes. A child that reads no more may still answer. */
static void send_some(struct child *child)
{
    while (child_has_unsent(child)) {
        struct iovec parts[2] = {
            { .iov_base = (void *)(uintptr_t)child->input.ptr, .iov_len = child->input.len },
            { .iov_base = (void *)(uintptr_t) "\n", .iov_len = 1 },
        };
        ssize_t count = writev(child->process.in, parts, 2);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return;
        if (count < 0)
            process_close(&child->process.in);
        else
            note_sent(child, (size_t)count);
    }
    if (child->input_close)
        process_close(&child->process.in);
}

void child_drop_sent(struct child *child)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    slice input = child->job->job->input;
    const char *sent = child_has_unsent(child) && child->input.ptr != NULL ? child->input.ptr
                                                                           : input.ptr + input.len;
    if (child->dropped == NULL)
        child->dropped = input.ptr;
    if (sent < child->dropped || (size_t)(sent - child->dropped) < LIMIT_CHILD_DROP_BYTES)
        return;
    if (sent > input.ptr + input.len)
        sent = input.ptr + input.len;
    uintptr_t from = ((uintptr_t)child->dropped + page - 1) & ~(page - 1);
    uintptr_t to = (uintptr_t)sent & ~(page - 1);
    /* From malloc, so private and anonymous: pages are gone until they are touched again. */
    if (from < to)
        madvise((void *)from, to - from, MADV_DONTNEED); // NOLINT(performance-no-int-to-ptr)
    child->dropped = sent;
}

/* --- from the child ----------------------------------------------------------------------- */

/*
 * One read. Returns the bytes, 0 where there are none now; at the end of the pipe *fd is closed.
 */
static int read_some(int *fd, struct lines *lines, struct err *err)
{
    size_t room;
    int rc = lines_room(lines, &room, err);
    if (rc != 0)
        return rc;
    ssize_t count;
    do {
        count = read(*fd, lines->buf.ptr + lines->buf.len, room);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN)
        return 0;
    if (count <= 0) {
        process_close(fd);
        return 0;
    }
    lines_filled(lines, (size_t)count);
    return (int)count;
}

/* Standard error cannot fail a job: a line that is too long is cut. */
static int read_errors(struct child *child)
{
    struct err err;
    int count = read_some(&child->process.err, &child->err, &err);
    child_log_errors(child, count < 0);
    return count > 0 ? count : 0;
}

/*
 * What a pipe holds at this moment: so much is drained, and one read more, which finds its end. A
 * child that never stops talking never leaves it empty.
 */
static int bytes_in(int fd)
{
    int count = 0;
    return fd >= 0 && ioctl(fd, FIONREAD, &count) == 0 ? count : 0;
}

int child_drain(struct child *child, struct err *err)
{
    int count = 1;
    for (int left = bytes_in(child->process.err); child->process.err >= 0 && left >= 0 && count > 0;
         left -= count)
        count = read_errors(child);
    count = 1;
    for (int left = bytes_in(child->process.out); child->process.out >= 0 && left >= 0 && count > 0;
         left -= count)
        count = read_some(&child->process.out, &child->out, err);
    return count < 0 ? count : 0;
}

/* --- both --------------------------------------------------------------------------------- */

enum { IN, OUT, ERR, END, WAKE, ENTRIES };

static int wait_ms(const struct child *child, deadline_ms deadline)
{
    int left_ms = clock_left_ms(deadline);
    return child->process.pidfd < 0 && left_ms > LIMIT_CHILD_LOOK_MS ? LIMIT_CHILD_LOOK_MS
                                                                     : left_ms;
}

/* The child is dead: nobody of its group goes on, and its pipes end here. */
static int note_end(struct child *child, struct err *err)
{
    process_signal(&child->process, SIGKILL);
    int rc = child_drain(child, err);
    child_log_errors(child, true);
    return rc < 0 ? rc : CHILD_ENDED;
}

int child_step(struct child *child, const struct wake *wake, deadline_ms deadline, struct err *err)
{
    struct process *process = &child->process;
    send_some(child);
    struct pollfd entries[ENTRIES] = {
        [IN] = { .fd = child_has_unsent(child) ? process->in : -1, .events = POLLOUT },
        [OUT] = { .fd = process->out, .events = POLLIN },
        [ERR] = { .fd = process->err, .events = POLLIN },
        [END] = { .fd = process->pidfd, .events = POLLIN },
        [WAKE] = { .fd = wake != NULL ? wake->fd : -1, .events = POLLIN },
    };
    int events = 0, rc = 0;
    int found = poll(entries, ENTRIES, wait_ms(child, deadline));
    if (found < 0)
        return 0;
    if (entries[WAKE].revents != 0)
        events |= CHILD_STOPPED;
    if (entries[ERR].revents != 0)
        read_errors(child);
    if (entries[OUT].revents != 0)
        rc = read_some(&process->out, &child->out, err);
    if (rc < 0)
        return rc;
    if (entries[END].revents != 0 || (process->pidfd < 0 && process_has_ended(process)))
        rc = note_end(child, err);
    else
        rc = process->out < 0 ? CHILD_SILENT : 0;
    if (rc < 0)
        return rc;
    if (clock_left_ms(deadline) == 0)
        events |= CHILD_LATE;
    return events | rc;
}
