#include "base/log_output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/thread.h"

#define FLUSH_STEP_MS 2 /* between two looks at whether the queue is empty */
#define NOTE_BYTES 256
#define NO_WAIT 8 /* RWF_NOWAIT of pwritev2(2), of this call alone; not in musl's headers */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    bool is_started;  /* log_output_start has been called */
    bool has_thread;  /* from the first line on that has to wait */
    bool is_file;     /* has no reader that could stand still */
    bool cannot_look; /* the system cannot tell whether a write would block */
    log_output_note *note;
    char ring[LIMIT_LOG_QUEUE_BYTES];
    size_t first;       /* of the bytes in the ring, the oldest */
    atomic_size_t used; /* changed under the lock; falls when bytes have been written */
    size_t dropped;     /* lines, since the last note */
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER };

/* Blocks until the system has taken all of it. A log that nobody reads does not end the worker. */
static void write_out(slice bytes)
{
    while (bytes.len > 0) {
        ssize_t count = write(STDOUT_FILENO, bytes.ptr, bytes.len);
        if (count > 0) {
            bytes = slice_skip(bytes, (size_t)count);
        } else if (count < 0 && errno == EAGAIN) { /* somebody else has made it non-blocking */
            struct pollfd entry = { .fd = STDOUT_FILENO, .events = POLLOUT };
            poll(&entry, 1, -1);
        } else if (count == 0 || errno != EINTR) {
            return;
        }
    }
}

/* --- the queue, under the lock ---------------------------------------------------------------- */

/* The line must fit. An empty queue starts again at the front: few pages are ever touched. */
static void append(slice line)
{
    size_t used = atomic_load(&queue.used);
    if (used == 0)
        queue.first = 0;
    size_t end = (queue.first + used) % sizeof queue.ring;
    size_t first_part = sizeof queue.ring - end < line.len ? sizeof queue.ring - end : line.len;
    memcpy(queue.ring + end, line.ptr, first_part);
    memcpy(queue.ring, line.ptr + first_part, line.len - first_part);
    atomic_store(&queue.used, used + line.len);
    pthread_cond_signal(&queue.filled);
}

static bool has_room(size_t bytes)
{
    return bytes <= sizeof queue.ring - atomic_load(&queue.used);
}

/* Behind the lines that were kept; until then later ones are dropped too, so that order holds. */
static void note_dropped(void)
{
    char text[NOTE_BYTES];
    if (queue.dropped == 0 || !has_room(sizeof queue.ring / 2))
        return;
    size_t len = queue.note(text, sizeof text, queue.dropped);
    append((slice){ text, len });
    queue.dropped = 0;
}

/*
 * The next bytes to write: whole lines as far as a pipe takes them at once, so that they are not
 * mixed with those of other processes.
 */
static slice next_piece(void)
{
    slice piece = { queue.ring + queue.first, atomic_load(&queue.used) };
    if (piece.len > sizeof queue.ring - queue.first)
        piece.len = sizeof queue.ring - queue.first;
    if (piece.len <= PIPE_BUF)
        return piece;
    const char *feed = memrchr(piece.ptr, '\n', PIPE_BUF);
    piece.len = feed != NULL ? (size_t)(feed - piece.ptr) + 1 : PIPE_BUF;
    return piece;
}

static void *writer_main(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&queue.lock);
    for (;;) {
        while (atomic_load(&queue.used) == 0)
            pthread_cond_wait(&queue.filled, &queue.lock);
        slice piece = next_piece();
        pthread_mutex_unlock(&queue.lock);
        write_out(piece);
        pthread_mutex_lock(&queue.lock);
        queue.first = (queue.first + piece.len) % sizeof queue.ring;
        atomic_fetch_sub(&queue.used, piece.len);
        note_dropped();
    }
    return NULL;
}

/*
 * Writes as much as can be written without blocking, and returns the rest. An error other than that
 * it would block loses the line, as it does in the thread.
 */
static slice write_now(slice line)
{
    const struct iovec part = { (void *)(uintptr_t)line.ptr, line.len };
    if (queue.cannot_look)
        return line;
    long count = syscall(SYS_pwritev2, STDOUT_FILENO, &part, 1L, -1L, -1L, NO_WAIT);
    if (count >= 0)
        return slice_skip(line, (size_t)count);
    if (errno == EAGAIN || errno == EINTR)
        return line;
    queue.cannot_look = errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL;
    return queue.cannot_look ? line : (slice){ 0 };
}

/*
 * Begins the thread with the first line that has to wait: few readers ever stand still. Where no
 * thread can be had, the line is written here, which may block.
 */
static void queue_line(slice line)
{
    if (!queue.has_thread)
        queue.has_thread = thread_start(writer_main, NULL, LIMIT_STACK_LOG_BYTES, NULL) == 0;
    if (queue.has_thread)
        append(line);
    else
        write_out(line);
}

/* --- called by everybody --------------------------------------------------------------------- */

void log_output_start(log_output_note *note)
{
    struct stat status;
    pthread_mutex_lock(&queue.lock);
    queue.is_file = fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode);
    queue.note = note;
    queue.is_started = true;
    pthread_mutex_unlock(&queue.lock);
}

void log_output_put(slice line)
{
    pthread_mutex_lock(&queue.lock);
    if (!queue.is_started || queue.is_file)
        write_out(line);
    else if (queue.dropped > 0 || !has_room(line.len))
        queue.dropped++;
    else if (atomic_load(&queue.used) > 0 || (line = write_now(line)).len > 0)
        queue_line(line);
    pthread_mutex_unlock(&queue.lock);
}

bool log_output_flush(deadline_ms deadline)
{
    while (atomic_load(&queue.used) > 0) {
        if (clock_left_ms(deadline) == 0)
            return false;
        clock_sleep(clock_deadline(FLUSH_STEP_MS));
    }
    return true;
}
