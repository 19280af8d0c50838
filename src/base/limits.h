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
#define LIMIT_REASON_BYTES 257 /* why a machine is not fit, NUL included; the platform takes 256 */
#define LIMIT_CONCURRENCY 1000 /* slots; each is a thread and a connection */
#define LIMIT_REDIRECTS 3      /* hops within the same host */
#define LIMIT_ANY_REDIRECTS 5  /* hops of a download, to any host; the SDK's value */

/* What a handler makes. */
#define LIMIT_RESULT_MB 20      /* default of RP_MAX_RESULT_MB: the platform's for /runsync */
#define LIMIT_RESULT_WARN_MB 10 /* the platform's limit for /run */
#define LIMIT_ERROR_BYTES 4096  /* the text of a failure */
#define LIMIT_ARENA_BYTES (512u * LIMIT_MIB) /* tokens (20 bytes a value) and rp_alloc, per job */
#define LIMIT_PROGRESS_BYTES (1u * LIMIT_MIB)
#define LIMIT_PROGRESS_WAITING 16 /* updates that wait; after that the newest replaces the last */
#define LIMIT_STREAM_BYTES \
    (1u * LIMIT_MIB) /* parts that wait, of one job; then the handler waits */

/* Files a handler has the worker fetch and store. */
#define LIMIT_DOWNLOAD_BYTES (5ull << 30)    /* default of RUNPOD_MAX_DOWNLOAD_BYTES; the SDK's */
#define LIMIT_DOWNLOAD_S 600                 /* default of a download's timeout_s */
#define LIMIT_DOWNLOAD_TRIES 3               /* the SDK's */
#define LIMIT_UPLOAD_S 3600                  /* default of an upload's timeout_s */
#define LIMIT_UPLOAD_TRIES 5                 /* of each request of it */
#define LIMIT_PART_BYTES (16ull * LIMIT_MIB) /* larger files go in parts of so much */
#define LIMIT_PARTS 10000                    /* S3's; parts grow where there would be more */
#define LIMIT_LINK_S 604800                  /* seven days: the most S3 allows, the SDK's default */
#define LIMIT_ABORT_S 30                     /* for taking back an upload that failed */

/* Time, in ms unless named otherwise. */
#define LIMIT_WATCH_MS 100            /* how late an execution timeout may be noticed */
#define LIMIT_CONNECT_MS 10000        /* all addresses and the TLS handshake together */
#define LIMIT_CONNECT_STAGGER_MS 250  /* before the next address is tried too (RFC 8305) */
#define LIMIT_POLL_MS 90000           /* an open job-take or job-stop; the SDK's value */
#define LIMIT_BODY_IDLE_MS 30000      /* without one byte in the middle of a message */
#define LIMIT_BODY_MS 300000          /* a whole message: 20 MB at half a megabit a second */
#define LIMIT_REPLY_MS 60000          /* from the end of a post to the start of its answer */
#define LIMIT_PROGRESS_MS 10000       /* a progress post in all */
#define LIMIT_PROGRESS_LAST_MS 1000   /* a result waits so long for updates before it */
#define LIMIT_TOO_MANY_MS 5000        /* pause after a 429 without Retry-After; the SDK's value */
#define LIMIT_RETRY_AFTER_MS 120000   /* longest Retry-After that is believed */
#define LIMIT_RETRY_AFTER_MIN_MS 1000 /* shortest: "0" must not make a hot loop */
#define LIMIT_RETRY_FIRST_MS 500      /* pauses after failures: this, doubling, with jitter, */
#define LIMIT_RETRY_LONGEST_MS 30000  /* up to this */
#define LIMIT_EMPTY_MS 1000           /* an empty answer sooner than this was no long poll */
#define LIMIT_TRANSFER_MS 86400000 /* of one try at a file; its caller has a deadline of its own */
#define LIMIT_RESULT_RETRY_S 300   /* default of RP_RESULT_RETRY_S */
#define LIMIT_ASK_MS 1000          /* modify_concurrency while all slots are busy; the SDK's */
#define LIMIT_SHUTDOWN_GRACE_S 30  /* default of RP_SHUTDOWN_GRACE_S */
#define LIMIT_REPORT_MS 2000       /* the report of a failed check, in all; then exit */
#define LIMIT_ABANDON_MS 2000      /* after the grace: for keeping results and naming jobs */
#define LIMIT_CLAIM_S 900          /* a kept result claimed longer ago belongs to nobody */
#define LIMIT_TAKER_MS 200         /* a taker that is told to stop, and has no answer to read */
#define LIMIT_PARTING_MS 150 /* ... and asks for one that is on its way; under LIMIT_TAKER_MS */
#define LIMIT_ANSWER_MS 5000 /* an answer half read at a shutdown: then it is dropped */
#define LIMIT_PING_MS 10000  /* default of RUNPOD_PING_INTERVAL */

/* The server: realtime mode. Sums over all connections are these times their number. */
#define LIMIT_REQUEST_BYTES (64u * LIMIT_MIB) /* a body: as large as what the platform hands out */
#define LIMIT_REALTIME_WAITING 100 /* requests that wait for a slot; more are answered 503 */
#define LIMIT_SERVER_SPARE 32      /* connections beyond those that run or wait: idle ones */
#define LIMIT_SERVER_REFUSALS 16   /* connections over the number that are told so, at a time */
#define LIMIT_SERVER_HEAD_MS 10000 /* from a request's first byte to the end of its head */
#define LIMIT_SERVER_IDLE_MS 75000 /* a kept-alive connection; proxies before us keep it for 60 s */
#define LIMIT_SERVER_LINGER_MS 1000                /* for the peer to read why it was refused */
#define LIMIT_SERVER_LINGER_BYTES (1u * LIMIT_MIB) /* of a refused request that are still read */
#define LIMIT_SERVER_PAUSE_MS 100 /* before accepting again when the system is out of descriptors */
#define LIMIT_SERVER_BACKLOG 128  /* connections the kernel holds for us */

/* Child processes, in ms unless named otherwise. */
#define LIMIT_FITNESS_S 60         /* default: a check that is a program, from start to exit */
#define LIMIT_CHILD_READY_S 600    /* default: from its start to "ready" */
#define LIMIT_CHILD_GRACE_S 5      /* default: from SIGTERM to SIGKILL */
#define LIMIT_CHILD_DEATHS 5       /* default: in a row, before the worker ends */
#define LIMIT_CHILD_RESTART_MS 250 /* pause before a second restart in a row, doubling, */
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

/* HTTP servers as handlers, in ms unless named otherwise. */
#define LIMIT_READY_ASK_MS 5000       /* one look at the health route */
#define LIMIT_MODEL_LOOK_MS 20        /* between looks whether another job has found the model */
#define LIMIT_READY_FIRST_MS 10       /* pauses between looks: this, doubling, */
#define LIMIT_READY_LONGEST_MS 1000   /* up to this */
#define LIMIT_HEALTH_MS 10000         /* between looks at one that is ready; at most, */
#define LIMIT_HEALTH_SOON_MS 250      /* and at least, where a job gives reason to look */
#define LIMIT_SERVER_END_MS 1000      /* from a broken connection to the end that was behind it, */
#define LIMIT_SERVER_CLOSED_MS 20     /* from one that may have been closed on purpose */
#define LIMIT_SERVER_CONNECT_S 10     /* default of --handler-connect-timeout */
#define LIMIT_SERVER_FIRST_BYTE_S 300 /* default of --handler-first-byte-timeout: long prompts */
#define LIMIT_SERVER_PAUSE_S 60       /* default of --handler-idle-timeout */
#define LIMIT_SERVER_UNHEALTHY_S 60   /* default of --handler-unhealthy-timeout */
#define LIMIT_STREAM_INTERVAL_MS 50   /* default of --stream-interval: 20 posts a second */
#define LIMIT_GATHER_BYTES (256u * 1024u)      /* of a stream, in one part */
#define LIMIT_SERVER_ERROR_BYTES (16u * 1024u) /* of the body of an error that are looked at */

/* Memory kept between jobs, in bytes: what is larger goes back to the system. */
#define LIMIT_KEEP_BYTES (64u * 1024u)

/* Stacks, in bytes of address space; only what is touched costs memory. */
#define LIMIT_STACK_SERVICE_BYTES (256u * 1024u) /* taker, heartbeat, stop channel: TLS, resolver */
#define LIMIT_STACK_WATCH_BYTES (128u * 1024u)   /* of the thread that watches idle children */
#define LIMIT_STACK_HANDLER_BYTES (8u * LIMIT_MIB) /* a handler's: what glibc would give it */

#endif
