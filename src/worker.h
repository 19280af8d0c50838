/*
 * worker.h - write a RunPod Serverless worker in C.
 *
 * A program with one handler is a complete worker:
 *
 *     static int greet(rp_job *job, void *user)
 *     {
 *         rp_str name;
 *         (void)user;
 *         if (rp_get_str(rp_input(job), "name", &name) != 0)
 *             return rp_fail(job, "input.name must be a string");
 *         return rp_return(job, "{\"greeting\": %S}", &name);
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         return rp_start(argc, argv, &(rp_config){ .handler = greet });
 *     }
 *
 * `./build.sh handler FILE.c` makes one static binary of it.
 *
 * The contract of all functions here:
 *  - Nothing takes ownership of what it is given, unless it says so. What a job gives out (texts,
 *    values, memory of rp_alloc) is valid until the handler returns.
 *  - A job belongs to the thread its handler was called on. rp_job_stopped, rp_job_wait and rp_log
 *    may be called from any thread while the handler runs; nothing else.
 *  - Nothing blocks, unless it says so.
 *  - Pointers may not be NULL, unless it says so. Text is UTF-8.
 *  - Functions that return int return RP_OK (0), a positive RP_MISSING where that is named, or a
 *    negative RP_... code.
 */
#ifndef RP_WORKER_H
#define RP_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text or bytes owned by somebody else. Not NUL-terminated: print it with "%.*s". */
typedef struct rp_str {
    const char *ptr;
    size_t len; /* bytes */
} rp_str;

enum {
    RP_OK = 0,
    RP_MISSING = 1, /* there is no such member, or it is null; the output is left as it was */
    RP_WRONG = -1,  /* it is there and of another type, or a number out of range */
    RP_FAILED = -2, /* the job has failed; its error says why */
};

/* --- starting ----------------------------------------------------------------------------- */

typedef struct rp_job rp_job;

/*
 * Called once for every job, on a thread with a large stack (8 MiB). Ends the job by what it
 * returns: RP_OK after rp_return (or rp_write) for a result, anything else for a failure. To
 * return RP_OK without a result is a failure too. May block as long as it likes: heartbeats and
 * the stop channel go on.
 */
typedef int rp_handler(rp_job *job, void *user);

/*
 * A fitness check: is this machine fit for work? Run once before the first job is taken. Returns
 * 0, or anything else after writing why (at most `size` bytes with the NUL). May block; then the
 * worker just starts later. A worker that is not fit tells the platform and ends with status 1.
 */
typedef struct rp_check {
    const char *name;
    int (*run)(char *reason, size_t size, void *user);
} rp_check;

typedef struct rp_config {
    rp_handler *handler; /* required */
    void *user;          /* passed to handler and setup; may be NULL */

    /*
     * Called once before the first job is taken, on the handlers' thread: load models here. May
     * block. Anything but 0 ends the worker with exit status 1. May be NULL.
     */
    int (*setup)(void *user);

    const rp_check *checks; /* run after setup, before the worker's own; may be NULL */
    size_t check_count;

    /*
     * Jobs that run at the same time, each on a thread of its own; 0 for 1. The handler must bear
     * that. The flag --concurrency wins. `modify_concurrency`, where not NULL, is asked before each
     * job-take, and once a second while all slots are busy, with the number of now, for the number
     * from now on (1 to 1000); nothing that runs is waited for. It is called on the taker's thread
     * and should not block.
     */
    int concurrency;
    int (*modify_concurrency)(int concurrency, void *user);

    bool stream;           /* the handler calls rp_yield; also --stream */
    bool aggregate_stream; /* its parts are also the job's output; also --aggregate-stream */

    size_t stack_bytes;  /* of the handlers' threads; 0 for 8 MiB */
    bool refresh_worker; /* end the worker after one job and have it replaced by a fresh one */
} rp_config;

/*
 * Runs the worker until it is told to end; blocks all that time. Reads the command line (unknown
 * flags are left to the program) and the environment. config and what it points to are linked,
 * not copied. Call it once, from main, before other threads are started. Returns the process's
 * exit status: 0; 1 for a failed local test, a failed setup, or results that could not be
 * delivered before a shutdown; 2 for a flag or variable that cannot be used.
 */
int rp_start(int argc, char **argv, const rp_config *config);

/* --- the job ------------------------------------------------------------------------------ */

/* The job's id as the platform gave it. */
rp_str rp_job_id(const rp_job *job);

/* The whole job object and its input as JSON text, in place: no parsing, no copy. */
rp_str rp_job_json(const rp_job *job);
rp_str rp_input_json(const rp_job *job);

/*
 * True once the job is to end early: the platform has asked for it (cancelled or timed out there;
 * its result will not be sent), or it has run longer than --execution-timeout (its client gets an
 * error that says so, once the handler returns). A long handler should look now and then, and
 * return.
 */
bool rp_job_stopped(const rp_job *job);

/* Sleeps until the job is stopped or timeout_ms have passed. Blocks. True where it is stopped. */
bool rp_job_wait(rp_job *job, uint32_t timeout_ms);

/* `size` bytes, aligned for any type, not zeroed. NULL where the job's memory (512 MiB) is used up. */
void *rp_alloc(rp_job *job, size_t size);

/* --- reading the input -------------------------------------------------------------------- */

enum rp_type { RP_NONE, RP_NULL, RP_BOOL, RP_NUMBER, RP_STRING, RP_ARRAY, RP_OBJECT };

/*
 * One JSON value of the job. Small, to be passed by value. A value that does not exist has type
 * RP_NONE, and every function takes it and answers "missing", so look-ups can be chained.
 */
typedef struct rp_value {
    rp_job *job;
    uint32_t index;
} rp_value;

/*
 * The job's input; the whole job object (webhook and whatever else came with it). The first call
 * of either makes an index of the job, 20 bytes a value. RP_NONE where memory is used up or the
 * job is nested more than 128 deep, which the log tells; rp_input_json has no such limit.
 */
rp_value rp_input(rp_job *job);
rp_value rp_job_object(rp_job *job);

enum rp_type rp_type_of(rp_value value);

/* Members of an object, elements of an array; 0 for anything else. */
size_t rp_count(rp_value value);

/* The member of that name (the last, where it comes twice), the element at that position. */
rp_value rp_get(rp_value object, const char *name);
rp_value rp_at(rp_value array, size_t position);

/* The value's text as it stands in the job, quotes and escapes included; "" for RP_NONE. */
rp_str rp_json(rp_value value);

/*
 * The value itself. RP_OK, RP_MISSING for RP_NONE and null, RP_WRONG for another type. Integers
 * are exact over all of int64_t, RP_WRONG outside and for fractions. A string without escapes
 * stays in place, one with escapes is decoded into the job's memory.
 */
int rp_to_str(rp_value value, rp_str *out);
int rp_to_int(rp_value value, int64_t *out);
int rp_to_double(rp_value value, double *out);
int rp_to_bool(rp_value value, bool *out);

/*
 * The same for a member of an object. An optional member with a default reads as:
 *     int64_t steps = 20;
 *     if (rp_get_int(input, "steps", &steps) < 0)
 *         return rp_fail(job, "input.steps must be an integer");
 * and a required one as: if (rp_get_str(input, "prompt", &prompt) != RP_OK) ...
 */
int rp_get_str(rp_value object, const char *name, rp_str *out);
int rp_get_int(rp_value object, const char *name, int64_t *out);
int rp_get_double(rp_value object, const char *name, double *out);
int rp_get_bool(rp_value object, const char *name, bool *out);

/*
 * Walks an object or array in order, each step in constant time:
 *     for (rp_iter it = rp_each(value); rp_next(&it);)
 *         use(it.name, it.value);
 */
typedef struct rp_iter {
    rp_str name; /* of a member, decoded; "" for elements */
    rp_value value;
    rp_value container;
    uint32_t next;
} rp_iter;
rp_iter rp_each(rp_value container);
bool rp_next(rp_iter *iter);

/* --- ending the job ----------------------------------------------------------------------- */

/*
 * Sets the job's output, replacing what was set or written before. The format makes JSON:
 *     %Q    const char * as a string with quotes and escapes; %.*Q takes an int and a pointer
 *     %S    const rp_str * as a string with quotes and escapes
 *     %J    const rp_str * of JSON, as it is
 *     %s    const char * of JSON, as it is; %.*s takes an int and a pointer
 *     %d %u %x (l, ll, z, j), %g %f %e (.precision, .*) numbers; %B an int as true or false
 *     %%    a percent sign; everything else stands for itself
 * An output object's members "error" and "refresh_worker" are the SDK's: they end up beside the
 * output (a non-empty error makes the job FAILED). RP_OK, or RP_FAILED with the job's error set:
 * text that is not UTF-8, a number that is none, a result over the limit, no memory. That the
 * whole is valid JSON is checked when the handler has returned; if not, the job fails.
 */
int rp_return(rp_job *job, const char *format, ...);

/* Sets the output to a value of the job itself, or to JSON text in the job's memory, uncopied. */
int rp_return_value(rp_job *job, rp_value value);
int rp_return_json(rp_job *job, rp_str json);

/* Appends to the output, for results made piece by piece; end with `return RP_OK`. As rp_return. */
int rp_write(rp_job *job, const char *format, ...);

/*
 * Fails the job. The client sees an error with the message, where it happened, and the worker's
 * name. At most 4096 bytes. Returns RP_FAILED, so that a handler can `return rp_fail(...)`.
 */
#define rp_fail(job, ...) rp_fail_at((job), __FILE__, __LINE__, __func__, __VA_ARGS__)
int rp_fail_at(rp_job *job, const char *file, int line, const char *function, const char *format,
               ...) __attribute__((format(printf, 5, 6)));

/* Has the worker replaced after this job: its result is sent, no more jobs are taken. */
void rp_refresh_worker(rp_job *job);

/* --- along the way ------------------------------------------------------------------------ */

/*
 * Sends a part of the output now; the format is that of rp_return. Parts arrive in order, and none
 * is dropped: blocks while 1 MiB of them wait for a slow platform. The job's output is then the
 * list of its parts with rp_config.aggregate_stream, else an empty list; what rp_return sets is one
 * more part. A part that is an object with an "error" ends the stream with that error. RP_OK, or
 * RP_FAILED with the job's error set (not valid JSON, an earlier part could not be delivered, the
 * job was stopped): return then.
 */
int rp_yield(rp_job *job, const char *format, ...);

/*
 * Tells the client how far the job is; the format is that of rp_return. Sent in order beside the
 * work; where the platform is slow, the newest update replaces the last of 16 that wait. RP_OK;
 * RP_WRONG where it is not valid JSON, which is logged and does no harm to the job.
 */
int rp_progress(rp_job *job, const char *format, ...);

/*
 * Times a part of the handler for --rp_debugger: the client finds name, start, stop and duration
 * in the output's member "rp_debugger" (outputs that are objects). At most 64 names a job.
 */
void rp_checkpoint_start(rp_job *job, const char *name);
void rp_checkpoint_stop(rp_job *job, const char *name);

enum rp_level { RP_TRACE = 1, RP_DEBUG, RP_INFO, RP_WARN, RP_ERROR };

/* Writes a line to the worker's log under the job's id. Blocks as long as standard output does. */
void rp_log(const rp_job *job, enum rp_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
