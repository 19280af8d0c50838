/*
 * child/shared_private.h - what child/shared.c (the slots) and child/shared_program.c (the
 * program's thread) share.
 */
#ifndef CHILD_SHARED_PRIVATE_H
#define CHILD_SHARED_PRIVATE_H

#include <pthread.h>

#include "base/err.h"
#include "base/flag.h"
#include "child/edition.h"
#include "child/life.h"
#include "child/report.h"
#include "job/job.h"

enum shared_state {
    SHARED_STARTING, /* until its program is ready */
    SHARED_READY,
    SHARED_LOST, /* for good: jobs are failed */
};

enum seat_phase {
    SEAT_IDLE,    /* no job */
    SEAT_QUEUED,  /* its job is to be sent */
    SEAT_SENDING, /* some of it is in the pipe: the bytes are in use */
    SEAT_SENT,
};

/* A slot's place in a program. */
struct seat {
    struct shared_child *shared;
    struct child view; /* no process: the slot's job, its lines, and a wake for both */
    bool gives_up;     /* the slot's own: the program has not ended its job in time */

    /* Under the lock. */
    struct seat *next;
    const struct job *task; /* the program's job; NULL for none */
    slice text;             /* its line */
    const char *folder;     /* its folder; NULL for none */
    enum seat_phase phase;
    uint64_t number;          /* of the job, in the order of hand-overs */
    bool stop_wanted;         /* the program is to be told to stop it */
    bool given_up;            /* the program still has the job `id`, and nobody waits for it */
    struct buf id;            /* of that */
    struct buf inbox;         /* whole lines for the job, not collected yet */
    bool program_ended;       /* and with it the job */
    bool lost_before;         /* ... of which the program has seen nothing, as it is lost */
    char end[ERR_TEXT_BYTES]; /* how */
    char tail[LIMIT_CHILD_TAIL_BYTES]; /* the end of its log */
    size_t tail_len;
    bool leaving;                 /* the slot wants no more messages, only its job's bytes back */
    void (*unready)(void *owner); /* as in job/handler.h; NULL: not set */
    void *unready_owner;
};

/* A program, its thread, and the slots that share it. */
struct shared_child {
    const struct child_setting *setting;
    struct child child; /* of the program's thread; `lost` is read by slots once it is LOST */
    struct buf control; /* of that thread: the stop that is being sent */
    struct wake work;   /* signalled: there is something for that thread to do */
    bool was_ready;     /* of that thread */
    struct child_edition_listener listener;

    pthread_mutex_t lock;   /* over what follows, and the seats */
    pthread_cond_t changed; /* state, phases, room in an inbox */
    enum shared_state state;
    struct seat *seats;
    unsigned seat_count; /* that ever joined */
    uint64_t last_number;
    struct seat *sending;  /* whose job is in child->input; NULL: none */
    struct seat *receiver; /* of a message that waits for room; NULL: none */
    bool kill;             /* the program does not read what a slot wants back */
    bool ending;           /* the last slot has left */
    bool gone;             /* the thread uses this struct no more */
};

/* The program's thread, to the end of the program. */
void *shared_program_main(void *shared);

/* Under the lock: ends the job of a seat, whose slot is woken. */
void shared_fail_seat(struct seat *seat, const char *how);

#endif
