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
 * `./build.sh handler FILE.c` builds it into one static binary, and so does `worker-cc FILE.c` of
 * the kit (vendor/kit/README.md). C++ uses all of it in the same way; if a macro differs, its
 * comment says so. No exception may leave a handler or any other function that the worker calls.
 *
 * Unless a function's comment says otherwise:
 *  - No function takes ownership of its arguments. Whatever comes from a job (texts, values, memory
 *    from rp_alloc) is valid until the handler returns.
 *  - A job belongs to the thread that its handler was called on. Only rp_job_stopped, rp_job_wait
 *    and rp_log may be called from other threads, while the handler runs.
 *  - Functions do not block.
 *  - Pointers must not be NULL. Texts are UTF-8.
 *  - Functions that return int return RP_OK (0) or one of the other codes below.
 */
#ifndef RP_WORKER_H
#define RP_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A view of text or bytes that something else owns. Not NUL-terminated: print it with "%.*s". */
typedef struct rp_str {
    const char *ptr;
    size_t len; /* bytes */
} rp_str;

enum {
    RP_OK = 0,
    RP_MISSING = 1, /* the value does not exist or is null; the output is unchanged */
    RP_WRONG = -1,  /* the value has another type, or is out of range */
    RP_FAILED = -2, /* the job has failed; its error says why */
};

/* --- starting ----------------------------------------------------------------------------- */

typedef struct rp_job rp_job;

/*
 * A handler, called once for each job, on a thread with a large stack (8 MiB). `user` is that of
 * rp_config. Returns RP_OK after rp_return or rp_write has set the output; anything else fails the
 * job, and so does RP_OK without an output. It may block for as long as it needs to: heartbeats go
 * on. With a concurrency above 1 it is called on several threads at the same time.
 */
typedef int rp_handler(rp_job *job, void *user);

/*
 * A fitness check: whether this machine is fit for work. Called once, before the first job is taken
 * from the platform (not in other modes), on a thread with a stack of 256 KiB. It may block, which
 * delays the start. Returns 0 if the machine is fit; otherwise writes the reason into
 * reason[0..size), NUL-terminated, and returns any other value. A worker on an unfit machine
 * reports that to the platform and exits with status 1.
 */
typedef struct rp_check {
    const char *name;
    int (*run)(char *reason, size_t size, void *user);
} rp_check;

typedef struct rp_config {
    rp_handler *handler; /* required, unless --handler and the like name another */
    void *user;          /* passed to all functions below and to the handler; may be NULL */

    /*
     * May be NULL. Called once, after the worker's checks of memory, disk, network and GPU and
     * before the first job is taken, on a handler's thread: load models here. May block, for up to
     * RUNPOD_INIT_TIMEOUT seconds (420 unless it is set). If the result is not 0, or the time is
     * up, the worker exits with status 1: a ping tells the platform, and an error with what setup
     * has logged tells the client of one waiting job (src/handlers/README.md). A process that has
     * to exit while setup runs does so at once, without calling functions given to atexit.
     */
    int (*setup)(void *user);

    const rp_check *checks; /* called in order after setup; may be NULL */
    size_t check_count;

    /*
     * How many jobs may run at the same time, each on its own thread: 1 to 1000; 0 means 1. The
     * handler must be thread-safe for more than 1. --concurrency overrides it. modify_concurrency,
     * if not NULL, is called before each job-take, and once a second while all slots are busy, with
     * the current concurrency; it returns the new one, which is brought into the range 1 to 1000.
     * Running jobs are not interrupted. It is called on the taker's thread and should not block.
     */
    int concurrency;
    int (*modify_concurrency)(int concurrency, void *user);

    bool stream;           /* the handler calls rp_yield; also --stream */
    bool aggregate_stream; /* its parts are the job's output too; also --aggregate-stream */

    /* Of each handler thread; 0: 8 MiB. Less than 256 KiB, or 8 MiB with a GPU, is raised. */
    size_t stack_bytes;
    bool refresh_worker; /* exit after one job, so that a fresh worker takes the next */

    /*
     * The worker's parts, NULL for those that the program does not need: only parts named here are
     * linked. Without any part, a handler runs jobs from the platform and local tests. The flag of
     * a missing part is an error that names the part; --help lists the flags of the program's own
     * parts. RP_ALL_PARTS names all except the GPU's:
     *     &(rp_config){ .handler = greet, RP_ALL_PARTS }
     */
    const struct rp_programs_part *programs; /* --handler, --handler-once, --isolate, --fitness */
    const struct rp_servers_part *servers;   /* --handler-http and what belongs to it */
    const struct rp_realtime_part *realtime; /* realtime mode, --serve, --metrics-port */
    const struct rp_job_api_part *job_api;   /* --rp_serve_api, /run and so on in realtime mode */
    const struct rp_storage_part *storage;   /* --upload-above, --cache */
    const struct rp_audit_part *audit;       /* --audit, --confine */

    /*
     * &rp_gpu_part if the program uses a GPU (rp_gpu.h), which links the driver's loader into it.
     * gpu_required: a machine without a GPU is unfit.
     */
    const struct rp_gpu_part *gpu;
    bool gpu_required;
} rp_config;

/* The values for the members of the same names in rp_config. */
extern const struct rp_programs_part rp_programs_part;
extern const struct rp_servers_part rp_servers_part;
extern const struct rp_realtime_part rp_realtime_part;
extern const struct rp_job_api_part rp_job_api_part;
extern const struct rp_storage_part rp_storage_part;
extern const struct rp_audit_part rp_audit_part;

#define RP_ALL_PARTS                                                                           \
    .programs = &rp_programs_part, .servers = &rp_servers_part, .realtime = &rp_realtime_part, \
    .job_api = &rp_job_api_part, .storage = &rp_storage_part, .audit = &rp_audit_part

/*
 * Runs the worker until it has to exit. Blocks. Reads the command line, where unknown arguments are
 * left to the program, and the environment. config is copied, but not what it points to, which must
 * stay valid until the process exits. Call it once, from main, before starting other threads, and
 * return its result from main at once: threads of the worker may still be running.
 *
 * Returns the exit status of the process: 0; 1 after a failed local test, a failed setup or fitness
 * check, or results that were not delivered before a shutdown; 2 for a flag or variable that cannot
 * be used.
 */
int rp_start(int argc, char **argv, const rp_config *config);

/* --- the job ------------------------------------------------------------------------------ */

/* The job's id: the platform's, or the client's in realtime mode; "local_test" in a local test. */
rp_str rp_job_id(const rp_job *job);

/* The whole job object, and its input, as JSON text as received: neither parsed nor copied. */
rp_str rp_job_json(const rp_job *job);
rp_str rp_input_json(const rp_job *job);

/*
 * True once the job should end early: the platform has stopped it (cancelled or timed out there;
 * the result is not sent), it has exceeded --execution-timeout (its client gets an error that says
 * so when the handler returns), or the worker is shutting down. A long handler should check this
 * regularly, and return. May be called from any thread while the handler runs.
 */
bool rp_job_stopped(const rp_job *job);

/* Blocks until the job should end early (true) or timeout_ms have passed (false). Any thread. */
bool rp_job_wait(rp_job *job, uint32_t timeout_ms);

/*
 * Allocates `size` bytes of the job's memory, aligned for any type, not zeroed; freed with the job.
 * NULL if more than 512 MiB would be in use, or out of memory.
 */
void *rp_alloc(rp_job *job, size_t size);

/* --- reading the input -------------------------------------------------------------------- */

enum rp_type { RP_NONE, RP_NULL, RP_BOOL, RP_NUMBER, RP_STRING, RP_ARRAY, RP_OBJECT };

/*
 * One JSON value of the job: a small handle, passed by value. A value that does not exist has type
 * RP_NONE; every function accepts it and reports it as missing, so look-ups can be chained.
 */
typedef struct rp_value {
    rp_job *job;
    uint32_t index;
} rp_value;

/*
 * The job's input, and the whole job object (with webhook and other members). The first call of
 * either builds an index of the job, of 20 bytes per value. RP_NONE, with the reason in the log, if
 * the job's memory is used up or the job is nested more than 128 levels deep; rp_input_json has no
 * such limits.
 */
rp_value rp_input(rp_job *job);
rp_value rp_job_object(rp_job *job);

/* The value's type; RP_NONE if it does not exist. */
enum rp_type rp_type_of(rp_value value);

/* The number of an object's members or an array's elements; 0 for anything else. */
size_t rp_count(rp_value value);

/*
 * An object's member of that name (the last if there are several), and an array's element at that
 * position, from 0. RP_NONE if there is none, or the value is of another type.
 */
rp_value rp_get(rp_value object, const char *name);
rp_value rp_at(rp_value array, size_t position);

/* The value's JSON text as received, with quotes and escapes; "" for RP_NONE. */
rp_str rp_json(rp_value value);

/*
 * Convert a value. RP_OK with *out set; RP_MISSING for RP_NONE and null; RP_WRONG for another type.
 * rp_to_str: a string without escapes is not copied, one with escapes is decoded into the job's
 * memory (RP_WRONG if that is used up). rp_to_int: exact; RP_WRONG for fractions and numbers that
 * exceed int64_t; 5.0 and 1e3 are integers. rp_to_double: RP_WRONG if the number overflows to
 * infinity.
 */
int rp_to_str(rp_value value, rp_str *out);
int rp_to_int(rp_value value, int64_t *out);
int rp_to_double(rp_value value, double *out);
int rp_to_bool(rp_value value, bool *out);

/*
 * The same for an object's member. To read an optional member with a default:
 *     int64_t steps = 20;
 *     if (rp_get_int(input, "steps", &steps) < 0)
 *         return rp_fail(job, "input.steps must be an integer");
 * and a required one: if (rp_get_str(input, "prompt", &prompt) != RP_OK) ...
 */
int rp_get_str(rp_value object, const char *name, rp_str *out);
int rp_get_int(rp_value object, const char *name, int64_t *out);
int rp_get_double(rp_value object, const char *name, double *out);
int rp_get_bool(rp_value object, const char *name, bool *out);

/*
 * Iterates over an object or array in order, each step in constant time:
 *     for (rp_iter it = rp_each(value); rp_next(&it);)
 *         use(it.name, it.value);
 * Any other type has no elements. rp_next returns false at the end.
 */
typedef struct rp_iter {
    rp_str name; /* of an object's member, decoded; "" in an array */
    rp_value value;
    rp_value container; /* internal, as is next */
    uint32_t next;
} rp_iter;
rp_iter rp_each(rp_value container);
bool rp_next(rp_iter *iter);

/* --- ending the job ----------------------------------------------------------------------- */

/*
 * Sets the job's output, replacing what was set or written before. The format produces JSON:
 *     %Q    const char * as a string with quotes and escapes; %.*Q takes an int and a pointer;
 *           NULL is null
 *     %S    const rp_str * as a string with quotes and escapes
 *     %J    const rp_str * of JSON text, inserted as it is
 *     %s    const char * of JSON text, inserted as it is; %.*s takes an int and a pointer
 *     %d %u %x (l, ll, z, j), %g %f %e (.precision, .*) numbers; %B an int as true or false
 *     %%    a percent sign; everything else is copied
 * An output object's members "error" and "refresh_worker" have the SDK's meaning: they are moved
 * beside the output, and an error that is not empty makes the job FAILED.
 *
 * RP_OK, or RP_FAILED with the job's error set: a text that is not UTF-8, a number that is infinite
 * or NaN, an unknown directive, an output over RP_MAX_RESULT_MB, out of memory. Whether the output
 * as a whole is valid JSON is checked after the handler has returned; if it is not, the job fails.
 */
int rp_return(rp_job *job, const char *format, ...);

/*
 * Set the output, without a copy, to a value of the job (RP_NONE: null), or to JSON text in the
 * job's memory, which must not be changed after that. RP_OK; rp_return_json: RP_FAILED with the
 * job's error set if json.ptr is NULL.
 */
int rp_return_value(rp_job *job, rp_value value);
int rp_return_json(rp_job *job, rp_str json);

/* As rp_return, but appends to the output, for results built piece by piece. */
int rp_write(rp_job *job, const char *format, ...);

/*
 * Fails the job, unless it has failed already. The client gets an error with the message (printf's
 * format; cut at 4096 bytes), the place in the source, and the worker's name. Returns RP_FAILED, so
 * that a handler can `return rp_fail(...)`.
 */
#define rp_fail(job, ...) rp_fail_at((job), __FILE__, __LINE__, __func__, __VA_ARGS__)
int rp_fail_at(rp_job *job, const char *file, int line, const char *function, const char *format,
               ...) __attribute__((format(printf, 5, 6)));

/* Has the worker replaced after this job: the result is sent, and no more jobs are taken. */
void rp_refresh_worker(rp_job *job);

/* --- along the way ------------------------------------------------------------------------ */

/*
 * Sends a part of a stream; the format is that of rp_return. Parts arrive in order, and none is
 * dropped: blocks while 1 MiB of parts wait for a slow platform. The output of a streaming job is
 * the list of its parts with rp_config.aggregate_stream, else an empty list; an output set by
 * rp_return is sent as the last part, unless it is null. A part that is an object with an "error"
 * is not sent: it ends the stream and fails the job with that error.
 *
 * RP_OK, or RP_FAILED with the job's error set, upon which the handler should return: the part is
 * not valid JSON or too large, an earlier part could not be delivered, the job was stopped, or out
 * of memory.
 */
int rp_yield(rp_job *job, const char *format, ...);

/*
 * Sends a progress update to the client; the format is that of rp_return, at most 1 MiB. Does not
 * wait for the platform: updates are sent in order while the handler works on, and with 16 queued a
 * new one replaces the newest of them. RP_OK; RP_WRONG, which is logged and does not fail the job,
 * if the update is not valid JSON, too large, or out of memory.
 */
int rp_progress(rp_job *job, const char *format, ...);

/*
 * Time a section of the handler for --rp_debugger: an output that is an object gets a member
 * "rp_debugger" with name, start, stop and duration. At most 64 names per job, of at most 63 bytes;
 * further ones are ignored, longer ones cut. Without the flag they do nothing.
 */
void rp_checkpoint_start(rp_job *job, const char *name);
void rp_checkpoint_stop(rp_job *job, const char *name);

enum rp_level { RP_TRACE = 1, RP_DEBUG, RP_INFO, RP_WARN, RP_ERROR };

/*
 * Writes a message to the worker's log, with the job's id; job may be NULL, as in setup. The format
 * is printf's. Does not wait for the reader of the log: lines that find no room are dropped, and
 * the log says how many. If the log is a file, or in a local test, or with --isolate, it blocks
 * until the line is written. May be called from any thread while the handler runs; with NULL, at
 * any time.
 */
void rp_log(const rp_job *job, enum rp_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- checking the input by a table ---------------------------------------------------------- */

/*
 * Checks a whole input, fills in defaults and reads it into a struct, with one table and one call:
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
 * An invalid input fails the job, with all of its errors in one message:
 * "Invalid input: prompt is required; steps must be from 1 to 150, not 500; colour is unknown".
 */

/* The type of a struct's member, which RP_FIELD derives. */
enum rp_kind {
    RP_KIND_INT = 1, /* int: an integer of that size */
    RP_KIND_INT64,   /* int64_t: an integer, exact; 5.0 is one, 5.5 is not */
    RP_KIND_FLOAT,   /* float: any number in its range */
    RP_KIND_DOUBLE,  /* double: any number */
    RP_KIND_BOOL,    /* bool */
    RP_KIND_STR,     /* rp_str */
    RP_KIND_TEXT,    /* const char *: a string without NUL characters, NUL-terminated */
    RP_KIND_VALUE,   /* rp_value: any value, or one of type .type */
    RP_KIND_STRUCT,  /* a nested struct, for an object; see .fields and .field_count */
};

typedef struct rp_field rp_field;

/* One field of the table. All but name, kind and offset are optional. */
struct rp_field {
    const char *name; /* of the object's member */
    enum rp_kind kind;
    size_t offset; /* of the struct's member */

    bool required; /* a missing or null member is an error; else the fallback is used */
    union {        /* by kind; without one it is zero, "" or RP_NONE */
        int64_t integer;
        double number;
        bool boolean;
        const char *string;
    } fallback; /* not checked against the rules below */

    bool has_range;  /* of a number: min <= value <= max, */
    double min, max; /* which may be infinite; RP_RANGE sets all three */

    /* Of strings, in characters; of arrays, in elements. max_length 0: no limit. */
    size_t min_length, max_length;

    /* NULL, or the allowed values, ending with NULL; numbers and bools as JSON. See RP_ALLOW. */
    const char *const *allowed;

    enum rp_type type; /* of RP_KIND_VALUE; RP_NONE: any */

    const rp_field *fields; /* of RP_KIND_STRUCT; a missing object counts as an empty one */
    size_t field_count;

    /* NULL, or a check of your own, called last: returns NULL, or what the value must be, such as
     * "a multiple of 8". */
    const char *(*check)(rp_value value);
};

/*
 * Set name, kind and offset for a struct's member; RP_FIELD_AS if its name in the input differs.
 * In C++ (C++20, for the names of members) a fallback is written `.fallback = { .integer = 20 }`,
 * and members must be in the order of rp_field.
 */
#define RP_FIELD(type, member) RP_FIELD_AS(#member, type, member)
#define RP_FIELD_AS(text, type, member) \
    .name = (text), .kind = RP_KIND_OF(((type *)0)->member), .offset = offsetof(type, member)
#ifdef __cplusplus
extern "C++" {
template <typename type> struct rp_kind_of {
    static constexpr rp_kind value = RP_KIND_STRUCT;
};
#define RP_KIND_IS(type, kind)                 \
    template <> struct rp_kind_of<type> {      \
        static constexpr rp_kind value = kind; \
    };
RP_KIND_IS(int, RP_KIND_INT)
RP_KIND_IS(int64_t, RP_KIND_INT64)
RP_KIND_IS(float, RP_KIND_FLOAT)
RP_KIND_IS(double, RP_KIND_DOUBLE)
RP_KIND_IS(bool, RP_KIND_BOOL)
RP_KIND_IS(rp_str, RP_KIND_STR)
RP_KIND_IS(const char *, RP_KIND_TEXT)
RP_KIND_IS(rp_value, RP_KIND_VALUE)
#undef RP_KIND_IS
}
#define RP_KIND_OF(member) rp_kind_of<decltype(member)>::value
#define RP_ALLOW(...)                                              \
    .allowed = []() -> const char *const * {                       \
        static const char *const all[] = { __VA_ARGS__, nullptr }; \
        return all;                                                \
    }()
#else
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
#define RP_ALLOW(...)                \
    .allowed = (const char *const[]) \
    {                                \
        __VA_ARGS__, NULL            \
    }
#endif
#define RP_RANGE(least, most) .has_range = true, .min = (least), .max = (most)
#define RP_FIELDS(table) .fields = (table), .field_count = sizeof(table) / sizeof *(table)

enum {
    RP_IGNORE_UNKNOWN = 1, /* allow members that are not in the table */
};

/*
 * Checks object against the table and sets all members of the struct *out that are in the table.
 * Texts and values in it are valid until the handler returns. An object that is missing or null
 * counts as empty. Structs may be nested 8 levels deep. options: 0 or RP_IGNORE_UNKNOWN. RP_OK; or
 * RP_FAILED with the job's error set, and *out in an undefined state.
 */
#define rp_validate(job, object, table, out, options) \
    rp_validate_fields((job), (object), (table), sizeof(table) / sizeof *(table), (out), (options))
int rp_validate_fields(rp_job *job, rp_value object, const rp_field *fields, size_t count,
                       void *out, unsigned options);

/* --- files ---------------------------------------------------------------------------------- */

/*
 * The job's own folder, created by the first call and removed with its content after the job,
 * however it ends. Returns its absolute path, without a trailing slash, valid until the handler
 * returns; NULL, with the job failed, if it cannot be created. Folders are created in
 * RP_SCRATCH_DIR (itself created if missing), else TMPDIR, else /tmp: a read-only image needs a
 * volume there. Folders that a killed worker has left behind are removed by the next worker. Blocks
 * on the file system.
 */
const char *rp_scratch(rp_job *job);

/* A file of the job. */
typedef struct rp_file {
    const char *path; /* absolute */
    const char *name; /* the last part of path */
    const char *type; /* the server's Content-Type; "" if it sent none */
    uint64_t bytes;
} rp_file;

/* All members are optional; NULL instead of the struct means none. Not kept after the call. */
typedef struct rp_download_options {
    const char *name;          /* of the file; NULL: from the server or the URL */
    uint64_t max_bytes;        /* 0: RUNPOD_MAX_DOWNLOAD_BYTES, or 5 GiB */
    uint32_t timeout_s;        /* for everything, with retries and redirects; 0: 600 */
    const char *authorization; /* value of that header field, sent only to the URL's host */
    bool allow_private;        /* also connect to private addresses, see below */
    rp_str *reason;            /* not NULL: set to the error, which then does not fail the job */
    uint32_t at_once;          /* rp_download_list: files at the same time; 0: 8, at most 64 */
} rp_download_options;

/*
 * Downloads an http or https URL into a file in the job's scratch folder, with memory use that does
 * not depend on its size. The file's name is a single safe path segment: from Content-Disposition,
 * else the URL, else "download"; with a number before the extension if the job has a file of that
 * name. The file appears only once it is complete. At most 5 redirects are followed, to any host,
 * but not from https to http. Transient failures (no connection, cut off, 408, 425, 429, 5xx but
 * 501) are retried: 3 tries in all.
 *
 * Since the URL may come from anyone, only public addresses are connected to: private, loopback,
 * link-local (with the cloud's metadata), shared and reserved ones are refused, for every resolved
 * name and every redirect, and so are cloud services on addresses that look public (Azure's
 * 168.63.129.16) and requests through a proxy, which would resolve the name.
 * allow_private, RP_ALLOW_PRIVATE_DOWNLOADS=1 or the SDK's RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS=true
 * lift that; addresses in --deny-downloads are still refused. A status other than 200 or 203 is
 * an error, and so is a file over max_bytes. The API key is never sent. Gives up when the job is
 * stopped.
 *
 * Blocks. RP_OK with *file set, whose texts are valid until the handler returns. Else an error text
 * that names the URL without its query: RP_WRONG with *reason set if reason is given, or RP_FAILED
 * with the job failed.
 */
int rp_download(rp_job *job, rp_str url, const rp_download_options *options, rp_file *file);

/*
 * Downloads `count` URLs side by side, each as rp_download does: the options apply to each file,
 * and files[i] becomes the file of urls[i]. Numbers keep equal names apart. The first failure stops
 * the others and is the error; files is then undefined, and files that are already complete are
 * removed with the job's folder.
 *
 * Blocks. RP_OK, also for a count of 0; else as rp_download.
 */
int rp_download_list(rp_job *job, const rp_str *urls, size_t count,
                     const rp_download_options *options, rp_file *files);

/* All members are optional; NULL instead of the struct means none. Not kept after the call. */
typedef struct rp_unzip_options {
    uint64_t max_bytes; /* of all files together; 0: 5 GiB */
    uint32_t max_files; /* folders included; 0: 10,000 */
    uint32_t max_ratio; /* unpacked bytes per byte of the archive, over 16 MiB; 0: 200 */
    rp_str *reason;     /* not NULL: set to the error, which then does not fail the job */
} rp_unzip_options;

/*
 * Unpacks a ZIP archive (stored or deflated; ZIP64) into a folder of its own in the job's scratch
 * folder, and sets *folder to its absolute path, without a trailing slash, valid until the
 * handler returns. It has the archive's name without ".zip", with a number if that is taken.
 *
 * The archive may come from anyone. It is refused as a whole, and nothing of it is left, if it
 * exceeds a limit, is damaged or encrypted, or has a name that leads out of the folder, a link or a
 * device, two entries of one name, or entries that overlap. Every checksum is compared. Files are
 * readable and writable only for the worker's user. Gives up when the job is stopped.
 *
 * Blocks. RP_OK, or as rp_download: RP_WRONG with *reason set, or RP_FAILED with the job failed.
 */
int rp_unzip(rp_job *job, const char *path, const rp_unzip_options *options, const char **folder);

/*
 * Finds a model that the platform has cached on this machine, in the layout of Hugging Face's
 * libraries: "ORG/NAME" is the folder of its files, "ORG/NAME@REVISION" that of a branch, a tag or
 * a hash, "ORG/NAME/FILE" and "ORG/NAME@REVISION/FILE" one file. Case is ignored in names. The
 * model is looked for in HF_HUB_CACHE, HF_HOME/hub, and where the platform puts such models,
 * /runpod-volume/huggingface-cache/hub. For a program or server, "{model:ORG/NAME}" in the words of
 * --handler does the same.
 *
 * RP_OK with the absolute path in path[0..size), NUL-terminated. Else path holds the reason, as far
 * as it fits: RP_MISSING if the model is missing, RP_WRONG for a name of another form, or if the
 * path does not fit. Nothing leads out of the cache's folder. Blocks on the file system. May be
 * called from any thread, at any time: in setup, or in a fitness check, which reports a worker
 * without its model to the platform:
 *     static int model_is_there(char *reason, size_t size, void *user)
 *     {
 *         char path[4096];
 *         int missing = rp_model_path("ORG/NAME", path, sizeof path);
 *         snprintf(reason, size, "%s", path);
 *         return missing;
 *     }
 */
int rp_model_path(const char *model, char *path, size_t size);

/*
 * All members are optional; NULL instead of the struct means none. Not kept after the call. If
 * endpoint and both keys are NULL, the job's own "s3Config" is used if it has one: accessId,
 * accessSecret, endpointUrl, bucketName, objectPath (which comes before the prefix); to public
 * addresses only, as for rp_download. Otherwise the SDK's variables replace members that are NULL:
 * BUCKET_ENDPOINT_URL (https or http), BUCKET_ACCESS_KEY_ID, BUCKET_SECRET_ACCESS_KEY. Without any
 * of these a local test writes the content to local_upload/PREFIX/NAME, and *url is that path.
 */
typedef struct rp_upload_options {
    const char *name;   /* of the object; NULL: the name of the file */
    const char *prefix; /* of the object's key, before a slash; "": none; NULL: the job's id */
    const char *bucket; /* NULL: the month and year as "11-26", the SDK's default */
    const char *endpoint;
    const char *access_key_id;
    const char *secret_access_key;
    const char *region;       /* NULL: from the endpoint's host, AWS_REGION or us-east-1 */
    const char *content_type; /* NULL: from the name's extension */
    bool virtual_host;        /* https://BUCKET.HOST/... instead of https://HOST/BUCKET/... */
    uint32_t expires_s;       /* life of the link; 0: 604800, seven days, which is the maximum */
    uint32_t timeout_s;       /* for everything, with retries; 0: 3600 */
    rp_str *reason;           /* not NULL: set to the error, which then does not fail the job */
} rp_upload_options;

/*
 * Uploads a file to S3-compatible storage and sets *url to a link that lets anyone read it until
 * the link expires (a presigned GET, AWS Signature Version 4). Memory use does not depend on its
 * size. A file over 16 MiB is sent in parts, so that a failure costs one part; a failed upload
 * leaves no parts behind. Each body is signed by its hash. Transient failures are retried: 5 tries
 * of each request. Neither keys nor links are ever logged. Gives up when the job is stopped.
 *
 * Blocks. RP_OK with *url set, valid until the handler returns. Else an error: RP_WRONG with
 * *reason set if reason is given, or RP_FAILED with the job failed.
 */
int rp_upload(rp_job *job, const char *path, const rp_upload_options *options, rp_str *url);

/* The same for bytes in memory; options->name is required. */
int rp_upload_bytes(rp_job *job, rp_str bytes, const rp_upload_options *options, rp_str *url);

#ifdef __cplusplus
}
#endif

#endif
