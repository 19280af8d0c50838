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

    size_t stack_bytes;  /* of the handlers' threads; 0 for 8 MiB, the least with a GPU */
    bool refresh_worker; /* end the worker after one job and have it replaced by a fresh one */

    /*
     * &rp_gpu_part for a program that uses a GPU, see rp_gpu.h; it is linked with the driver's
     * loader then. gpu_required: a machine without a GPU is not fit for its jobs.
     */
    const struct rp_gpu_part *gpu;
    bool gpu_required;
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
 * more part, unless it is null. A part that is an object with an "error" ends the stream with that error. RP_OK, or
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

/*
 * Writes a line to the worker's log under the job's id; without one where job is NULL, as in setup.
 * Blocks as long as standard output does.
 */
void rp_log(const rp_job *job, enum rp_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- checking the input by a table ---------------------------------------------------------- */

/*
 * A whole input checked, defaulted and read into a struct, by one table and one call:
 *
 *     struct input {
 *         rp_str prompt;
 *         int64_t steps;
 *         double guidance;
 *         const char *size;
 *     };
 *
 *     static const rp_field fields[] = {
 *         { RP_FIELD(struct input, prompt), .required = true, .max_length = 2000 },
 *         { RP_FIELD(struct input, steps), RP_RANGE(1, 150), .fallback.integer = 20 },
 *         { RP_FIELD(struct input, guidance), RP_RANGE(0, 30), .fallback.number = 7.5 },
 *         { RP_FIELD(struct input, size), RP_ALLOW("512x512", "1024x1024"),
 *           .fallback.string = "512x512" },
 *     };
 *
 *     static int paint(rp_job *job, void *user)
 *     {
 *         struct input in;
 *         if (rp_validate(job, rp_input(job), fields, &in, 0) != RP_OK)
 *             return RP_FAILED;
 *         ...
 *
 * An input that does not fit fails the job with everything that is wrong with it in one message:
 * "Invalid input: prompt is required; steps must be from 1 to 150, not 500; colour is unknown".
 */

/* What a member of the struct is; RP_FIELD finds it out by itself. */
enum rp_kind {
    RP_KIND_INT = 1, /* int: as int64_t, and it must fit */
    RP_KIND_INT64,   /* int64_t: exact; 5.0 is an integer, 5.5 is not */
    RP_KIND_FLOAT,   /* float */
    RP_KIND_DOUBLE,  /* double: any number */
    RP_KIND_BOOL,    /* bool */
    RP_KIND_STR,     /* rp_str */
    RP_KIND_TEXT,    /* const char *: the same with NUL at its end; may hold none itself */
    RP_KIND_VALUE,   /* rp_value: any value, or one of the type that .type names */
    RP_KIND_STRUCT,  /* a struct of its own, for an object; .fields and .field_count describe it */
};

typedef struct rp_field rp_field;

/* All but name, kind and offset may be left out. */
struct rp_field {
    const char *name; /* of the object's member; an error names it */
    enum rp_kind kind;
    size_t offset; /* of the struct's member */

    bool required; /* missing and null are errors; else the fallback is taken */
    union {        /* the one of the kind; zero, "" or RP_NONE where there is none */
        int64_t integer;
        double number;
        bool boolean;
        const char *string;
    } fallback; /* not checked against the rules below */

    bool has_range;  /* numbers: min <= value <= max; -INFINITY and INFINITY for an open end. */
    double min, max; /* RP_RANGE sets the three */

    size_t min_length, max_length; /* of strings in characters, of arrays in elements; max 0: any */

    /* Values that are allowed, with a NULL at the end; numbers and bools as JSON. RP_ALLOW sets it. */
    const char *const *allowed;

    enum rp_type type; /* for RP_KIND_VALUE; RP_NONE: any */

    const rp_field *fields; /* for RP_KIND_STRUCT; a missing object is one with no members */
    size_t field_count;

    /* A rule of your own, asked last: NULL, or what the value must be ("a multiple of 8"). */
    const char *(*check)(rp_value value);
};

/* The first three members for a member of a struct, the last two under another name in the input. */
#define RP_FIELD(type, member) RP_FIELD_AS(#member, type, member)
#define RP_FIELD_AS(text, type, member) \
    .name = (text), .kind = RP_KIND_OF(((type *)0)->member), .offset = offsetof(type, member)
#define RP_KIND_OF(member) \
    _Generic((member),                                                                             \
        int: RP_KIND_INT,                                                                          \
        int64_t: RP_KIND_INT64,                                                                    \
        float: RP_KIND_FLOAT,                                                                      \
        double: RP_KIND_DOUBLE,                                                                    \
        bool: RP_KIND_BOOL,                                                                        \
        rp_str: RP_KIND_STR,                                                                       \
        const char *: RP_KIND_TEXT,                                                                \
        rp_value: RP_KIND_VALUE,                                                                   \
        default: RP_KIND_STRUCT)
#define RP_RANGE(least, most) .has_range = true, .min = (least), .max = (most)
#define RP_ALLOW(...)                \
    .allowed = (const char *const[]) \
    {                                \
        __VA_ARGS__, NULL            \
    }
#define RP_FIELDS(table) .fields = (table), .field_count = sizeof(table) / sizeof *(table)

enum {
    RP_IGNORE_UNKNOWN = 1, /* members that the table does not name are no errors */
};

/*
 * Checks object against the table and fills in the struct at *out, all of whose members in the
 * table are set. What it holds lives as long as the job. An object that is missing or null counts
 * as one without members. options: 0, or RP_IGNORE_UNKNOWN. RP_OK; or RP_FAILED with the job's
 * error set and *out of no use.
 */
#define rp_validate(job, object, table, out, options) \
    rp_validate_fields((job), (object), (table), sizeof(table) / sizeof *(table), (out), (options))
int rp_validate_fields(rp_job *job, rp_value object, const rp_field *fields, size_t count,
                       void *out, unsigned options);

/* --- files ---------------------------------------------------------------------------------- */

/*
 * The job's own folder, made when first asked for and removed with all that is in it after the
 * job, however that ends. Its absolute path, without a slash at the end; NULL with the job failed
 * where none can be made. Folders are made in RP_SCRATCH_DIR (which is made too, if need be), or
 * TMPDIR, or /tmp: a read-only image needs a volume there. What a worker that was killed has left
 * is removed when the next one makes its first folder. Blocks on the file system.
 */
const char *rp_scratch(rp_job *job);

/* A file of the job. */
typedef struct rp_file {
    const char *path; /* absolute */
    const char *name; /* the last part of path */
    const char *type; /* Content-Type as the server gave it; "" where it gave none */
    uint64_t bytes;
} rp_file;

/* All may be left out; NULL for options as a whole does that. */
typedef struct rp_download_options {
    const char *name;          /* of the file; NULL: what the server calls it, or the URL */
    uint64_t max_bytes;        /* 0: RUNPOD_MAX_DOWNLOAD_BYTES, or 5 GiB */
    uint32_t timeout_s;        /* for all of it, tries and redirects included; 0: 600 */
    const char *authorization; /* that field's value, for the URL's own host and no other */
    bool allow_private;        /* addresses inside the network too; see below */
    rp_str *reason;            /* not NULL: a failure is told here and the job goes on (RP_WRONG) */
} rp_download_options;

/*
 * Fetches an http or https URL into a file in the job's scratch folder, a piece at a time: memory
 * does not grow with it. The file has a name of one safe part (from Content-Disposition, else the
 * URL, else "download"; a number is put before the extension where the job has one of that name),
 * and exists only when it is whole. At most 5 redirects are followed, to any host, but not from
 * https to http. Passing trouble (no connection, cut off, 408, 429, 5xx) is met with three tries.
 *
 * Since the URL comes from a stranger, only public addresses are connected to: private, loopback,
 * link-local (cloud metadata among them), shared and reserved ones are refused, after the name has
 * been resolved and on every redirect, and so are requests that a proxy would resolve.
 * allow_private, RP_ALLOW_PRIVATE_DOWNLOADS=1 or the SDK's RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS=true
 * lift that. A status other than 2xx is a failure, and so is a file of more than max_bytes. The API
 * key goes nowhere. Gives up when the job is stopped.
 *
 * Blocks. RP_OK with *file set, valid as long as the job; RP_FAILED with the job's error set, which
 * names the URL without its query; RP_WRONG, see reason.
 */
int rp_download(rp_job *job, rp_str url, const rp_download_options *options, rp_file *file);

/*
 * All may be left out; NULL for options as a whole does that. Strings are linked for the call. What
 * is NULL here is taken from the environment, by the SDK's names: BUCKET_ENDPOINT_URL (https, or
 * http), BUCKET_ACCESS_KEY_ID, BUCKET_SECRET_ACCESS_KEY.
 */
typedef struct rp_upload_options {
    const char *name;   /* of the object; NULL: that of the file */
    const char *prefix; /* the folder it goes to, "" for none; NULL: the job's id */
    const char *bucket; /* NULL: the month as "11-26", the SDK's default */
    const char *endpoint;
    const char *access_key_id;
    const char *secret_access_key;
    const char *region;       /* NULL: as the endpoint's host has it, AWS_REGION or us-east-1 */
    const char *content_type; /* NULL: by the name's extension */
    bool virtual_host;        /* https://BUCKET.HOST/... instead of https://HOST/BUCKET/... */
    uint32_t expires_s;       /* of the link; 0: 604800, seven days, which is the most there is */
    uint32_t timeout_s;       /* for all of it; 0: 3600 */
    rp_str *reason;           /* not NULL: a failure is told here and the job goes on (RP_WRONG) */
} rp_upload_options;

/*
 * Puts a file into S3-compatible storage and sets *url to a link that anybody can read it by until
 * it expires (a presigned GET, AWS Signature Version 4). Read from disk a piece at a time: memory
 * does not grow with it; over 16 MiB it goes in parts, so that a fault costs one part, and an
 * upload that fails leaves none behind. Every body is signed by its hash. Passing trouble is met with
 * several tries. Neither key nor link is ever logged. Gives up when the job is stopped.
 *
 * Blocks. RP_OK with *url in the job's memory; RP_FAILED with the job's error set; RP_WRONG, see
 * reason.
 */
int rp_upload(rp_job *job, const char *path, const rp_upload_options *options, rp_str *url);

/* The same for bytes in memory; options->name must be there. */
int rp_upload_bytes(rp_job *job, rp_str bytes, const rp_upload_options *options, rp_str *url);

#endif
