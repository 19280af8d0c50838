/*
 * job/child_message.h - what a line of a child's standard output means; private to job/child*.c.
 * Pure. One pass checks the line, one walks its members; nothing is copied.
 */
#ifndef JOB_CHILD_MESSAGE_H
#define JOB_CHILD_MESSAGE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"

enum message_kind {
    MESSAGE_TEXT,   /* no message: for the log */
    MESSAGE_VALID,  /* at least one member is ours */
    MESSAGE_BROKEN, /* starts as an output or an error, but is not JSON */
};

/* Raw JSON values inside the line; ptr NULL where absent. */
struct message {
    slice id;
    slice output;
    slice error;
    slice error_type; /* beside error: strings */
    slice traceback;
    slice stream;
    slice progress;
    slice log;
    slice level; /* beside log */
    slice ready; /* checked by message_is_true */
    slice refresh;
};

/* Reads a line. For MESSAGE_BROKEN *err says what is wrong with it (ERR_INPUT, ERR_LIMIT). */
enum message_kind message_read(slice line, struct message *message, struct err *err);

/* True where the message is about the job of that (decoded) id: where it names it, or none. */
bool message_is_for(const struct message *message, slice job_id);

bool message_is_true(slice value);

#endif
