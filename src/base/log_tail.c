#include "base/log_tail.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/utf8.h"

/* More than is put: a secret that is cut here, and so not found, lies in front of that. */
#define KEPT_BYTES (LIMIT_CAPTURE_BYTES + LIMIT_SECRET_BYTES)

/* Twice what is kept, so that the bytes are moved once for as many that come. */
#define TAIL_BYTES (2u * KEPT_BYTES)

struct log_tail log_tail_of_handlers = { .lock = PTHREAD_MUTEX_INITIALIZER };
struct log_tail log_tail_of_errors = { .lock = PTHREAD_MUTEX_INITIALIZER };

void log_tail_init(struct log_tail *tail)
{
    *tail = (struct log_tail){ .bytes = NULL };
    pthread_mutex_init(&tail->lock, NULL);
}

void log_tail_free(struct log_tail *tail)
{
    free(tail->bytes);
    tail->bytes = NULL;
    tail->len = 0;
}

void log_tail_clear(struct log_tail *tail)
{
    pthread_mutex_lock(&tail->lock);
    tail->len = 0;
    pthread_mutex_unlock(&tail->lock);
}

/* Under the lock. */
static void add(struct log_tail *tail, slice line)
{
    if (tail->bytes == NULL)
        tail->bytes = malloc(TAIL_BYTES);
    if (tail->bytes == NULL)
        return;
    if (tail->len + line.len + 1 > TAIL_BYTES) {
        size_t kept = tail->len < KEPT_BYTES ? tail->len : KEPT_BYTES - 1;
        memmove(tail->bytes, tail->bytes + tail->len - kept, kept);
        tail->len = kept;
    }
    memcpy(tail->bytes + tail->len, line.ptr, line.len);
    tail->len += line.len;
    tail->bytes[tail->len++] = '\n';
}

void log_tail_add(struct log_tail *tail, slice line)
{
    line = utf8_tail(line, KEPT_BYTES);
    if (line.len == 0)
        return;
    pthread_mutex_lock(&tail->lock);
    add(tail, line);
    pthread_mutex_unlock(&tail->lock);
}

/* The newest whole lines that fit, or the end of the last one. */
static slice newest(slice text, size_t max_bytes)
{
    if (text.len <= max_bytes)
        return text;
    slice tail = slice_skip(text, text.len - max_bytes);
    const char *feed = text.ptr[text.len - max_bytes - 1] == '\n'
                           ? NULL
                           : memchr(tail.ptr, '\n', tail.len);
    if (feed != NULL)
        return slice_skip(tail, (size_t)(feed + 1 - tail.ptr));
    return utf8_tail(text, max_bytes);
}

void log_tail_put(struct log_tail *tail, size_t max_bytes, struct buf *out)
{
    pthread_mutex_lock(&tail->lock);
    /* Secrets are replaced before anything is cut: no part of one may stay. */
    if (tail->len > 0) {
        log_mask(tail->bytes, tail->len - 1);
        buf_add_slice(out, newest((slice){ tail->bytes, tail->len - 1 }, max_bytes), NULL);
    }
    pthread_mutex_unlock(&tail->lock);
}
