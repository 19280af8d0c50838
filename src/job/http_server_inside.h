/*
 * job/http_server_inside.h - the one server of job/http_server.h from the inside.
 *
 *   http_server.c    its state, and the slots that wait for it
 *   http_health.c    the thread that asks its health route
 *   http_program.c   the thread that runs its program
 */
#ifndef JOB_HTTP_SERVER_INSIDE_H
#define JOB_HTTP_SERVER_INSIDE_H

#include <pthread.h>

#include "job/child_inside.h"
#include "job/http_server.h"

enum server_state {
    SERVER_STARTING, /* it is asked whether it is ready */
    SERVER_READY,
    SERVER_UNHEALTHY, /* it was ready; it is asked until it is healthy again, or time is up */
    SERVER_DOWN,      /* it has ended, or is about to, and is to be started again */
    SERVER_LOST,      /* for good */
};

struct server {
    struct http_setting *setting;
    pthread_mutex_t lock; /* over all of it but the child's own talking */
    pthread_cond_t changed;
    enum server_state state;
    unsigned life;     /* one more with every end and start */
    int64_t begun_ms;  /* when it began to start, or was found unhealthy */
    deadline_ms until; /* it has to be ready, or healthy again, by then */
    struct http_waiter *waiters;
    struct err why; /* it is lost */

    unsigned asked;      /* jobs whose requests are under way */
    unsigned suspicions; /* HTTP_SUSPICIOUS since the last HTTP_WELL */
    bool look_due;       /* one has come since the last look at its health */

    /* Its program; child.setting NULL where somebody else runs it. */
    struct child child;
    struct wake give_up;                     /* tells the program's thread to end it: */
    char illness[ERR_TEXT_BYTES];            /* why; "" where it is not to */
    unsigned end_life;                       /* how the life of that number ended, */
    char end[ERR_TEXT_BYTES + 96];           /* "" where none has, */
    char last_words[LIMIT_CHILD_TAIL_BYTES]; /* and with what words */
    size_t last_words_len;
};

extern struct server http_server;

/* --- under the lock --- */

/* Tells all who wait. */
void http_server_set_state(enum server_state state);

/* It starts, or is to be asked for the first time. */
void http_server_begin(void);

/* There is no hope left: says so in the log and has the worker end. Of no effect once it is so. */
void http_server_lose(const char *what, const char *detail, const char *flag);

/* It was ready and is not well. `what` is what it answers. */
void http_server_fall_ill(const char *what);

/* --- the threads --- */

int http_health_start(struct err *err);
int http_program_start(struct err *err);

#endif
