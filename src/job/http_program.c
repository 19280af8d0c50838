#include <signal.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "job/http_server_inside.h"

/* http_server.end says how that life has ended: for the jobs that it costs. Under the lock. */
static void note_end(const struct child *child)
{
    slice words = child_last_words(child);
    http_server.end_life = http_server.life;
    memcpy(http_server.last_words, words.ptr, words.len);
    http_server.last_words_len = words.len;
    log_write(LOG_WARN, NULL, "The handler's server %s.", http_server.end);
}

/*
 * It has been unhealthy for too long. False where that is over: it got well, or it is another one.
 * From now on it is as good as dead, whatever it says while it goes.
 */
static bool give_up(const struct child *child)
{
    wake_lower(&http_server.give_up);
    pthread_mutex_lock(&http_server.lock);
    bool ill = http_server.state == SERVER_UNHEALTHY && http_server.illness[0] != '\0';
    if (ill) {
        snprintf(http_server.end, sizeof http_server.end, "was ended: it stayed unhealthy (%s)",
                 http_server.illness);
        note_end(child);
        http_server_set_state(SERVER_DOWN);
    }
    pthread_mutex_unlock(&http_server.lock);
    if (ill)
        process_signal(&child->process, SIGTERM);
    return ill;
}

/* Passes on what the server says, until it has ended. True where it was given up before. */
static bool attend(struct child *child)
{
    while (child_attend(child, &http_server.give_up, DEADLINE_NEVER) == CHILD_STOPPED) {
        if (!give_up(child))
            continue;
        child_attend(child, NULL, clock_deadline(child->setting->kill_grace_ms));
        return true;
    }
    return false;
}

/* The end of its process; under the lock. False where there is no use in another one. */
static bool end(struct child *child, bool given_up)
{
    child_end(child, false); /* leaves the last words where they are */
    if (!given_up) {
        process_describe(child->status, http_server.end, sizeof http_server.end);
        note_end(child);
    }
    if (http_server.state != SERVER_LOST && !child_keeps_dying(child)) {
        http_server_set_state(SERVER_DOWN);
        return true;
    }
    http_server_lose("The handler's server keeps dying: the last one ", http_server.end,
                     " (--handler-deaths)");
    return false;
}

/* One life of the server. False where it was the last one. */
static bool run_once(struct child *child)
{
    struct err err = { 0 };
    int rc = child_start(child, &err);
    pthread_mutex_lock(&http_server.lock);
    if (rc == 0)
        http_server_begin();
    else if (rc != ERR_CANCELLED)
        http_server_lose("", err.text, "");
    pthread_mutex_unlock(&http_server.lock);
    if (rc != 0)
        return false;
    bool given_up = attend(child);
    if (process_all_are_ending())
        return false;
    pthread_mutex_lock(&http_server.lock);
    bool goes_on = end(child, given_up);
    pthread_mutex_unlock(&http_server.lock);
    return goes_on;
}

static void *program_main(void *argument)
{
    struct child *child = argument;
    while (run_once(child))
        clock_sleep(child->start_after);
    return NULL;
}

int http_program_start(struct err *err)
{
    struct child *child = &http_server.child;
    child_init(child, &http_server.setting->child, LIMIT_CHILD_TEXT_BYTES,
               "a line of the handler's server");
    http_server.state = SERVER_DOWN;
    int rc = wake_init(&http_server.give_up, err);
    if (rc == 0)
        rc = child_watch_init(err);
    return rc == 0 ? thread_start(program_main, child, LIMIT_STACK_SERVICE_BYTES, err) : rc;
}
