/*
 * base/limits.h - every limit of the worker that is not part of a format, in one table: name,
 * unit, reason. Limits of a format stand beside its parser (codec/json.h, codec/http1.h).
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define LIMIT_MIB (1024u * 1024u)

/* What the platform sends. */
#define LIMIT_TAKE_BYTES (64u * LIMIT_MIB) /* a batch of jobs; single payloads end at 20 MB there */
#define LIMIT_STOP_BYTES (1u * LIMIT_MIB)  /* an answer of the stop channel: a list of ids */
#define LIMIT_REPLY_BYTES (64u * 1024u)    /* an answer to a post; only its start is ever shown */
#define LIMIT_JOB_ID_BYTES 512             /* the platform's ids have about 40 */
#define LIMIT_JOBS_TAKEN 1000              /* jobs in one answer; more are answered as errors */
#define LIMIT_REDIRECTS 3                  /* hops within the same host */

/* What a handler makes. */
#define LIMIT_RESULT_MB 20      /* default of RP_MAX_RESULT_MB: the platform's for /runsync */
#define LIMIT_RESULT_WARN_MB 10 /* the platform's limit for /run */
#define LIMIT_ERROR_BYTES 4096  /* the text of a failure */
#define LIMIT_ARENA_BYTES (512u * LIMIT_MIB) /* tokens (20 bytes a value) and rp_alloc, per job */
#define LIMIT_PROGRESS_BYTES (1u * LIMIT_MIB)

/* Time, in ms unless named otherwise. */
#define LIMIT_CONNECT_MS 10000        /* all addresses and the TLS handshake together */
#define LIMIT_CONNECT_STAGGER_MS 250  /* before the next address is tried too (RFC 8305) */
#define LIMIT_POLL_MS 90000           /* an open job-take or job-stop; the SDK's value */
#define LIMIT_BODY_IDLE_MS 30000      /* without one byte in the middle of a message */
#define LIMIT_BODY_MS 300000          /* a whole message: 20 MB at half a megabit a second */
#define LIMIT_REPLY_MS 60000          /* from the end of a post to the start of its answer */
#define LIMIT_PROGRESS_MS 10000       /* a progress post in all: handlers wait for it */
#define LIMIT_TOO_MANY_MS 5000        /* pause after a 429 without Retry-After; the SDK's value */
#define LIMIT_RETRY_AFTER_MS 120000   /* longest Retry-After that is believed */
#define LIMIT_RETRY_AFTER_MIN_MS 1000 /* shortest: "0" must not make a hot loop */
#define LIMIT_RETRY_FIRST_MS 500      /* pauses after failures: this, doubling, with jitter, */
#define LIMIT_RETRY_LONGEST_MS 30000  /* up to this */
#define LIMIT_EMPTY_MS 1000           /* an empty answer sooner than this was no long poll */
#define LIMIT_RESULT_RETRY_S 300      /* default of RP_RESULT_RETRY_S */
#define LIMIT_SHUTDOWN_GRACE_S 30     /* default of RP_SHUTDOWN_GRACE_S */
#define LIMIT_PING_MS 10000           /* default of RUNPOD_PING_INTERVAL */

/* Child processes, in ms unless named otherwise. */
#define LIMIT_CHILD_GRACE_MS 5000        /* default: from SIGTERM to SIGKILL */
#define LIMIT_CHILD_DEATHS 5             /* default: in a row, before the worker ends */
#define LIMIT_CHILD_RESTART_MS 250       /* pause before a second restart in a row, doubling, */
#define LIMIT_CHILD_RESTART_MAX_MS 10000 /* up to this */
#define LIMIT_CHILD_EXIT_MS 2000         /* from the end of its output to its exit */
#define LIMIT_CHILD_KILL_MS 5000    /* from SIGKILL to its end; longer only stuck in a driver */
#define LIMIT_CHILD_LOOK_MS 100     /* between looks at one where the kernel has no pidfd */
#define LIMIT_CHILD_LOOKS 100       /* at /proc for what has left its group */
#define LIMIT_CHILD_TAIL_BYTES 1536 /* of its last words that an error shows */
#define LIMIT_CHILD_TEXT_BYTES (64u * 1024u) /* a line of its standard error; longer ones are cut */
#define LIMIT_CHILD_ENVELOPE_BYTES (64u * 1024u) /* of a line, over the largest result */
#define LIMIT_CHILD_DROP_BYTES (256u * 1024u)    /* input that is given back once it was sent */
#define LIMIT_CHILD_WORDS 256                    /* of a command line */

/* Memory kept between jobs, in bytes: what is larger goes back to the system. */
#define LIMIT_KEEP_BYTES (64u * 1024u)

/* Stacks, in bytes of address space; only what is touched costs memory. */
#define LIMIT_STACK_SERVICE_BYTES (256u * 1024u) /* taker, heartbeat, stop channel: TLS, resolver */
#define LIMIT_STACK_WATCH_BYTES (128u * 1024u)   /* of the thread that watches idle children */
#define LIMIT_STACK_HANDLER_BYTES (8u * LIMIT_MIB) /* a handler's: what glibc would give it */

#endif
