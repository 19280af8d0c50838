/*
 * child/message.h - what a line of a child's standard output means. Does no input or output: one
 * pass checks the line, one walks its members, and nothing is copied.
 */
#ifndef CHILD_MESSAGE_H
#define CHILD_MESSAGE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"

enum child_message_kind {
    MESSAGE_TEXT,    /* not a message: for the log */
    MESSAGE_VALID,   /* an object with at least one member of the protocol */
    MESSAGE_INVALID, /* has such a member, but is not valid JSON: {'output': 1}, for example */
};

/* Raw JSON values inside the line; ptr NULL where absent. */
struct child_message {
    slice before; /* text in front of the object, for the log; meaningless for a text */
    slice rest;   /* behind it, where another object begins; empty otherwise: to be read next */
    slice id;     /* also of MESSAGE_INVALID, as far as it can be told */
    slice output;
    slice upload; /* a string, a file's path: instead of output */
    slice error;
    slice error_type; /* with error; strings */
    slice traceback;
    slice stream;
    slice progress;
    slice log;
    slice level; /* with log */
    slice ready; /* checked by child_message_is_true */
    slice refresh;
    slice concurrency; /* a number */
    slice streaming;   /* the output will be a stream: "parts" or "list" */
    slice unfit;       /* why the machine is not fit for jobs */
    slice check;       /* with unfit: the check's name */
};

/*
 * Reads a line. What a library has printed without a line feed (a progress bar, a byte order mark,
 * a terminal's control sequences) may stand before the object. For MESSAGE_INVALID *err says what
 * is wrong with it (ERR_INPUT, ERR_LIMIT); err may be NULL.
 */
enum child_message_kind child_message_read(slice line, struct child_message *message,
                                           struct err *err);

/* False if the message names another job: its id is neither absent, null nor the decoded job_id. */
bool child_message_matches_job(const struct child_message *message, slice job_id);

/* True if the message ends a job: with an output, a file for one, or an error. */
bool child_message_is_final(const struct child_message *message);

/* True if the member is there and is JSON's true. */
bool child_message_is_true(slice value);

#endif
