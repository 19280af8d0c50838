#include "job/sender.h"

#include <stdlib.h>

#include "base/flag.h"
#include "base/limits.h"
#include "base/thread.h"

struct outgoing {
    struct outgoing *next;
    bool is_progress;
    bool is_text; /* a string, which continues the one before */
    size_t len;
    char json[];
};

static slice json_of(const struct outgoing *message)
{
    return (slice){ message->json, message->len };
}

void sender_init(struct sender *sender, struct reply_channel *reply_channel)
{
    *sender = (struct sender){ .reply_channel = reply_channel };
    sender->end = &sender->first;
    pthread_mutex_init(&sender->lock, NULL);
    flag_cond_init(&sender->changed);
}

/* --- the queue, under the lock -------------------------------------------------------------- */

static void account(struct sender *sender, const struct outgoing *message, bool comes)
{
    size_t *count = message->is_progress ? &sender->waiting_updates : &sender->waiting_bytes;
    size_t amount = message->is_progress ? 1 : message->len;
    *count = comes ? *count + amount : *count - amount;
}

static void append(struct sender *sender, struct outgoing *message)
{
    *sender->end = message;
    sender->end = &message->next;
    account(sender, message, true);
    pthread_cond_broadcast(&sender->changed);
}

/* Joins a piece of text with the last of the queue, if that is one: "ab" and "cd" to "abcd". */
static bool join(struct sender *sender, const struct outgoing *piece)
{
    struct outgoing **link = &sender->first;
    while (*link != NULL && (*link)->next != NULL)
        link = &(*link)->next;
    if (!piece->is_text || *link == NULL || !(*link)->is_text ||
        (*link)->len + piece->len > LIMIT_GATHER_BYTES)
        return false;
    size_t len = (*link)->len + piece->len - 2;
    struct outgoing *joined = realloc(*link, sizeof *joined + len);
    if (joined == NULL)
        return false;
    *link = joined;
    sender->end = &joined->next;
    account(sender, joined, false);
    memcpy(joined->json + joined->len - 1, piece->json + 1, piece->len - 1);
    joined->len = len;
    account(sender, joined, true);
    return true;
}

static struct outgoing *remove_at(struct sender *sender, struct outgoing **link)
{
    struct outgoing *message = *link;
    *link = message->next;
    if (message->next == NULL)
        sender->end = link;
    account(sender, message, false);
    return message;
}

/* Drops the newest queued update, or all of them. */
static void drop_updates(struct sender *sender, bool all)
{
    struct outgoing **newest = NULL;
    for (struct outgoing **link = &sender->first; *link != NULL;) {
        if ((*link)->is_progress && all) {
            free(remove_at(sender, link));
            continue;
        }
        if ((*link)->is_progress)
            newest = link;
        link = &(*link)->next;
    }
    if (newest != NULL)
        free(remove_at(sender, newest));
}

/* Without a part that could not be delivered, the rest of the stream is of no use. */
static void drop_all(struct sender *sender)
{
    while (sender->first != NULL)
        free(remove_at(sender, &sender->first));
}

/* --- the thread that sends ------------------------------------------------------------------ */

static int send_message(struct sender *sender, struct job *job, const struct outgoing *message,
                        struct err *err)
{
    const struct source_ops *ops = sender->reply_channel->source->ops;
    if (!message->is_progress) {
        int64_t begun_ms = clock_now_ms();
        int rc = ops->stream(sender->reply_channel, job, json_of(message), err);
        atomic_store(&sender->way_ms, clock_now_ms() - begun_ms);
        return rc;
    }
    const struct log_tag tag = job_tag(job);
    if (ops->progress(sender->reply_channel, job, json_of(message), err) != 0)
        log_write(LOG_WARN, &tag, "Progress was not sent: %s", err->text);
    return 0; /* a lost update does no harm */
}

/* Under the lock, which is released while the function runs. */
static void call_then(struct sender *sender)
{
    const struct err failure = sender->failure;
    sender_next *then = sender->then;
    sender->failure = (struct err){ 0 };
    sender->then = NULL;
    sender->job = NULL;
    pthread_mutex_unlock(&sender->lock);
    then(sender->owner, &failure);
    pthread_mutex_lock(&sender->lock);
}

static void send_first(struct sender *sender)
{
    struct err err = { 0 };
    if (sender->then != NULL && sender->waiting_updates > 0 &&
        clock_left_ms(sender->patience) == 0) {
        drop_updates(sender, true);
        return;
    }
    struct outgoing *message = remove_at(sender, &sender->first);
    struct job *job = sender->job;
    if (job_is_stopped(job)) {
        free(message);
        drop_all(sender);
        pthread_cond_broadcast(&sender->changed);
        return;
    }
    sender->sending = true;
    pthread_cond_broadcast(&sender->changed); /* there is room for one more */
    pthread_mutex_unlock(&sender->lock);
    int rc = send_message(sender, job, message, &err);
    free(message);
    pthread_mutex_lock(&sender->lock);
    sender->sending = false;
    if (rc != 0) {
        sender->failure = err;
        drop_all(sender);
    }
    pthread_cond_broadcast(&sender->changed);
}

static void *sender_main(void *argument)
{
    struct sender *sender = argument;
    pthread_mutex_lock(&sender->lock);
    while (!sender->closing) {
        if (sender->first != NULL)
            send_first(sender);
        else if (sender->then != NULL)
            call_then(sender);
        else
            pthread_cond_wait(&sender->changed, &sender->lock);
    }
    sender->started = false;
    pthread_cond_broadcast(&sender->changed);
    pthread_mutex_unlock(&sender->lock);
    return NULL;
}

void sender_close(struct sender *sender)
{
    pthread_mutex_lock(&sender->lock);
    sender->closing = true;
    pthread_cond_broadcast(&sender->changed);
    while (sender->started)
        pthread_cond_wait(&sender->changed, &sender->lock);
    pthread_mutex_unlock(&sender->lock);
}

/* --- called by the slot's thread -------------------------------------------------------------- */

static struct outgoing *make_message(slice json, struct err *err)
{
    struct outgoing *message = malloc(sizeof *message + json.len);
    if (message == NULL) {
        err_set(err, ERR_MEMORY, "out of memory for a message of %zu bytes", json.len);
        return NULL;
    }
    *message = (struct outgoing){ .len = json.len };
    memcpy(message->json, json.ptr, json.len);
    return message;
}

static int ensure_started(struct sender *sender, struct err *err)
{
    if (sender->started)
        return 0;
    int rc = thread_start(sender_main, sender, LIMIT_STACK_SERVICE_BYTES, err);
    sender->started = rc == 0;
    return rc;
}

int sender_stream(struct sender *sender, struct job *job, slice json, bool is_text, struct err *err)
{
    struct outgoing *message = make_message(json, err);
    if (message == NULL)
        return ERR_MEMORY;
    message->is_text = is_text;
    pthread_mutex_lock(&sender->lock);
    int rc = ensure_started(sender, err);
    while (rc == 0 && sender->failure.code == 0 && sender->waiting_bytes > 0 &&
           sender->waiting_bytes + json.len > LIMIT_STREAM_BYTES)
        pthread_cond_wait(&sender->changed, &sender->lock);
    if (rc == 0 && job_is_stopped(job))
        rc = err_set(err, ERR_CANCELLED, "the job was stopped");
    if (rc == 0 && sender->failure.code != 0) {
        *err = sender->failure;
        rc = err->code;
    }
    bool joined = rc == 0 && join(sender, message);
    if (rc == 0 && !joined) {
        sender->job = job;
        append(sender, message);
    }
    pthread_mutex_unlock(&sender->lock);
    if (rc != 0 || joined)
        free(message);
    return rc;
}

int sender_progress(struct sender *sender, struct job *job, slice json, struct err *err)
{
    struct outgoing *message = make_message(json, err);
    if (message == NULL)
        return ERR_MEMORY;
    message->is_progress = true;
    pthread_mutex_lock(&sender->lock);
    int rc = ensure_started(sender, err);
    if (rc == 0) {
        if (sender->waiting_updates == LIMIT_PROGRESS_WAITING)
            drop_updates(sender, false);
        sender->job = job;
        append(sender, message);
    }
    pthread_mutex_unlock(&sender->lock);
    if (rc != 0)
        free(message);
    return rc;
}

int sender_finish(struct sender *sender, struct err *err)
{
    pthread_mutex_lock(&sender->lock);
    deadline_ms patience = clock_deadline(LIMIT_PROGRESS_LAST_MS);
    while (sender->first != NULL || sender->sending) {
        if (sender->waiting_updates > 0 && clock_left_ms(patience) == 0)
            drop_updates(sender, true);
        else
            flag_cond_wait(&sender->changed, &sender->lock,
                           sender->waiting_updates > 0 ? patience : DEADLINE_NEVER);
    }
    *err = sender->failure;
    sender->failure = (struct err){ 0 };
    sender->job = NULL;
    pthread_mutex_unlock(&sender->lock);
    return err->code;
}

int sender_then(struct sender *sender, sender_next *then, void *owner, struct err *err)
{
    pthread_mutex_lock(&sender->lock);
    int rc = ensure_started(sender, err);
    if (rc == 0) {
        sender->then = then;
        sender->owner = owner;
        sender->patience = clock_deadline(LIMIT_PROGRESS_LAST_MS);
    }
    pthread_mutex_unlock(&sender->lock);
    if (rc == 0)
        pthread_cond_broadcast(&sender->changed); /* unlocked: the woken thread needs the lock */
    return rc;
}

bool sender_is_idle(struct sender *sender)
{
    pthread_mutex_lock(&sender->lock);
    bool idle = sender->first == NULL && !sender->sending;
    pthread_mutex_unlock(&sender->lock);
    return idle;
}
