#include "child/io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/limits.h"
#include "child/text.h"
#include "job/rp_job.h"
#include "json/json.h"

/* --- to the child ------------------------------------------------------------------------- */

/* The start of an object with what the text lacks; the rest of the text follows. */
static int make_head(struct child *child, const struct job *task, const char *folder, slice *text,
                     struct err *err)
{
    struct buf head;
    free(child->head);
    child->head = NULL;
    child->head_left = (slice){ 0 };
    bool adds = task->lacks_id || folder != NULL;
    if (!adds || text->len == 0 || text->ptr[0] != '{')
        return 0;
    if (folder != NULL && task->names_scratch)
        return err_set(err, ERR_INPUT,
                       "The job has a member \"scratch\", which is reserved for "
                       "the folder that the worker gives it.");
    buf_init(&head, LIMIT_CHILD_HEAD_BYTES, "the start of a job");
    int rc = buf_add_text(&head, "{", err);
    if (rc == 0 && task->lacks_id)
        rc = json_add(&head, err, "\"id\": %S, ", &task->id);
    if (rc == 0 && folder != NULL)
        rc = json_add(&head, err, "\"scratch\": %Q, ", folder);
    child->head = head.ptr;
    child->head_left = buf_slice(&head);
    *text = slice_skip(*text, 1);
    return rc;
}

int child_send_job(struct child *child, const struct job *task, const char *folder, slice text,
                   bool then_close, struct err *err)
{
    int rc = make_head(child, task, folder, &text, err);
    if (rc != 0)
        return rc;
    child->input = text;
    child->input_newline = true;
    child->input_close = then_close;
    child->input_sent = 0;
    child->input_refused = false;
    child->released = NULL;
    return 0;
}

bool child_has_unsent(const struct child *child)
{
    return child->process.in >= 0 && (child->input.len > 0 || child->input_newline);
}

static void note_sent(struct child *child, size_t count)
{
    child->input_sent += count;
    size_t of_head = count < child->head_left.len ? count : child->head_left.len;
    child->head_left = slice_skip(child->head_left, of_head);
    count -= of_head;
    if (count > child->input.len)
        child->input_newline = false;
    else
        child->input = slice_skip(child->input, count);
    if (!child->input_newline)
        child->input = (slice){ 0 };
}

/* The bytes that the pipe holds now. */
static int bytes_waiting(int fd)
{
    int count = 0;
    return fd >= 0 && ioctl(fd, FIONREAD, &count) == 0 ? count : 0;
}

/*
 * Nobody reads the pipe any more. A child that has read some of the input may still return a
 * result; one that has read none never will.
 */
static void note_input_closed(struct child *child)
{
    bool is_line = child->input_sent > 0 || child->input_newline;
    child->input_refused = is_line && (size_t)bytes_waiting(child->process.in) >= child->input_sent;
    process_close(&child->process.in);
}

static bool has_reader(int fd)
{
    struct pollfd entry = { .fd = fd, .events = POLLOUT };
    return poll(&entry, 1, 0) <= 0 || (entry.revents & (POLLERR | POLLNVAL)) == 0;
}

bool child_is_unusable(const struct child *child)
{
    const struct process *process = &child->process;
    return process->pid != 0 && (process->in < 0 || process->out < 0 || !has_reader(process->in));
}

/* Writes as much as the pipe takes. */
static void send_some(struct child *child)
{
    while (child_has_unsent(child)) {
        struct iovec pieces[3] = {
            { .iov_base = (void *)(uintptr_t)child->head_left.ptr,
              .iov_len = child->head_left.len },
            { .iov_base = (void *)(uintptr_t)child->input.ptr, .iov_len = child->input.len },
            { .iov_base = (void *)(uintptr_t) "\n", .iov_len = 1 },
        };
        ssize_t count = writev(child->process.in, pieces, 3);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return;
        if (count < 0)
            note_input_closed(child);
        else
            note_sent(child, (size_t)count);
    }
    if (child->input_close)
        process_close(&child->process.in);
}

void child_release_sent(struct child *child)
{
    const uintptr_t page = getauxval(AT_PAGESZ);
    slice input = child->job->task->input;
    const char *sent = child_has_unsent(child) && child->input.ptr != NULL ? child->input.ptr
                                                                           : input.ptr + input.len;
    if (child->released == NULL)
        child->released = input.ptr;
    if (sent < child->released || (size_t)(sent - child->released) < LIMIT_CHILD_DROP_BYTES)
        return;
    if (sent > input.ptr + input.len)
        sent = input.ptr + input.len;
    uintptr_t from = ((uintptr_t)child->released + page - 1) & ~(page - 1);
    uintptr_t to = (uintptr_t)sent & ~(page - 1);
    /* Memory of malloc is private and anonymous: its pages go, and read as zeros afterwards. */
    if (from < to)
        madvise((void *)from, to - from, MADV_DONTNEED); // NOLINT(performance-no-int-to-ptr)
    child->released = sent;
}

/* --- from the child ----------------------------------------------------------------------- */

/* One read. Returns its bytes; 0 if the pipe is empty now, or at its end: then *fd is closed. */
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

/* Standard error never fails a job: a line over the limit is cut in pieces. */
static int read_errors(struct child *child)
{
    struct err err;
    int count = read_some(&child->process.err, &child->err, &err);
    child_log_errors(child, count < 0);
    return count > 0 ? count : 0;
}

/*
 * Stops after the bytes that the pipes hold now and one more read, which finds the end: a child
 * that never stops writing never leaves its pipe empty.
 */
int child_drain(struct child *child, struct err *err)
{
    int count = 1;
    for (int left = bytes_waiting(child->process.err);
         child->process.err >= 0 && left >= 0 && count > 0; left -= count)
        count = read_errors(child);
    count = 1;
    for (int left = bytes_waiting(child->process.out);
         child->process.out >= 0 && left >= 0 && count > 0; left -= count)
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

/* The child is dead: the rest of its group is killed, and what the pipes hold is all there is. */
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
    bool sends = child_has_unsent(child);
    send_some(child);
    bool is_sent = sends && !child_has_unsent(child); /* the caller may have more: no wait */
    struct pollfd entries[ENTRIES] = {
        [IN] = { .fd = process->in, .events = child_has_unsent(child) ? POLLOUT : 0 },
        [OUT] = { .fd = process->out, .events = POLLIN },
        [ERR] = { .fd = process->err, .events = POLLIN },
        [END] = { .fd = process->pidfd, .events = POLLIN },
        [WAKE] = { .fd = wake != NULL ? wake->fd : -1, .events = POLLIN },
    };
    int events = 0, rc = 0;
    int found = poll(entries, ENTRIES, is_sent ? 0 : wait_ms(child, deadline));
    if (found < 0)
        return 0;
    if (entries[WAKE].revents != 0)
        events |= CHILD_WOKEN;
    if ((entries[IN].revents & POLLERR) != 0)
        note_input_closed(child);
    if (entries[ERR].revents != 0)
        read_errors(child);
    if (entries[OUT].revents != 0)
        rc = read_some(&process->out, &child->out, err);
    if (rc < 0)
        return rc;
    if (entries[END].revents != 0 || (process->pidfd < 0 && process_has_ended(process)))
        rc = note_end(child, err);
    else
        rc = process->out < 0 ? CHILD_OUTPUT_CLOSED : 0;
    if (rc < 0)
        return rc;
    if (clock_left_ms(deadline) == 0)
        events |= CHILD_DEADLINE;
    if (child->input_refused)
        events |= CHILD_INPUT_REFUSED;
    return events | rc;
}
