/*
 * base/limits.h - every limit of the worker that is not part of a format, in one table: name,
 * unit, reason. Limits of a format stand beside its parser (json/json.h, codec/http1.h).
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define LIMIT_MIB (1024u * 1024u)

/* What the platform sends. */
#define LIMIT_TAKE_BYTES (64u * LIMIT_MIB) /* a batch of jobs; one has up to 20 MB */
#define LIMIT_STOP_BYTES (1u * LIMIT_MIB)  /* a response of the stop channel: a list of ids */
#define LIMIT_REPLY_BYTES (64u * 1024u)    /* a response to a post; only its start is ever logged */
#define LIMIT_PACKED_BYTES (1u * LIMIT_MIB) /* a text of the program itself, unpacked */
#define LIMIT_JOBS_AN_ANSWER 1000 /* jobs taken of one answer: a job for each slot at most */
#define LIMIT_SKIPS_LOGGED 5      /* unusable jobs of an answer that get a line each */
#define LIMIT_JOB_ID_BYTES 512    /* the platform's ids have about 40 */
#define LIMIT_REASON_BYTES 257    /* why a machine is unfit, NUL included; the platform takes 256 */
#define LIMIT_VERSION_BYTES 64    /* of RP_CONTRACT_VERSION, which is in every heartbeat's URL */
#define LIMIT_CONCURRENCY 1000    /* slots; each is a thread and a connection */
#define LIMIT_INTERIM_RESPONSES 100 /* 1xx before one response: more is a flood */
#define LIMIT_REDIRECTS 3           /* hops within the same host */
#define LIMIT_ANY_REDIRECTS 5       /* hops of a download, to any host; the SDK's value */

/* What a handler produces. */
#define LIMIT_RESULT_MB 20           /* default of RP_MAX_RESULT_MB: the platform's for /runsync */
#define LIMIT_RESULT_UPLOADED_MB 200 /* the same with --upload-above, which posts links */
#define LIMIT_RESULT_WARN_MB 10      /* the platform's limit for /run */
#define LIMIT_ERROR_BYTES 4096       /* the text of a failure */
#define LIMIT_CAPTURE_BYTES (16u * 1024u) /* of a handler's output, "logs" in errors; the SDK's */
#define LIMIT_SECRET_BYTES 512 /* of a key or password that errors are searched for, at the most */
#define LIMIT_ARENA_BYTES (512u * LIMIT_MIB) /* tokens (20 bytes a value) and rp_alloc, per job */
#define LIMIT_PROGRESS_BYTES (1u * LIMIT_MIB)
#define LIMIT_PROGRESS_WAITING 16 /* queued updates; then a new one replaces the newest of them */
#define LIMIT_STREAM_BYTES (1u * LIMIT_MIB) /* queued parts of one job; then the handler waits */
/* Results that are delivered beside the next jobs; then a slot waits (app/outbox.h). */
#define LIMIT_UNDELIVERED 64  /* one a second for a minute; each is a thread and a connection */
#define LIMIT_PARCELS_SPARE 2 /* beside one a slot, before another one is waited for, */
#define LIMIT_PARCEL_MS 20    /* this long, rather than made */
#define LIMIT_UNDELIVERED_BYTES (64u * LIMIT_MIB) /* of them and their jobs: three of the largest */

/* Downloads and uploads of a handler. */
#define LIMIT_DOWNLOAD_BYTES (5ull << 30)    /* default of RUNPOD_MAX_DOWNLOAD_BYTES; the SDK's */
#define LIMIT_DOWNLOAD_S 600                 /* default of a download's timeout_s */
#define LIMIT_DOWNLOADS 8                    /* side by side, by default; the SDK's is similar */
#define LIMIT_DOWNLOADS_MAX 64               /* at_once at the most: each is a thread */
#define LIMIT_CACHE_COPIES 8                 /* files between a volume and folders, side by side */
#define LIMIT_CACHE_EXIT_S 30                /* for a save to end at the exit; the SDK's value */
#define LIMIT_CACHE_CLEAN_MS 2000            /* then, to remove files that are half written */
#define LIMIT_UNZIP_FILES 10000              /* default of max_files, folders included */
#define LIMIT_UNZIP_RATIO 200                /* default of max_ratio; text has 3 to 20 */
#define LIMIT_DOWNLOAD_TRIES 3               /* the SDK's value */
#define LIMIT_UPLOAD_S 3600                  /* default of an upload's timeout_s */
#define LIMIT_UPLOAD_TRIES 5                 /* of each request of an upload */
#define LIMIT_UPLOADS_AN_OUTPUT 1000         /* files that one output names */
#define LIMIT_PART_BYTES (16ull * LIMIT_MIB) /* larger files are sent in parts of this size */
#define LIMIT_PARTS 10000                    /* S3's limit; a larger file has larger parts */
#define LIMIT_LINK_S 604800                  /* seven days: the most S3 allows, the SDK's default */
#define LIMIT_SCRATCH_SETTLE_MS 100          /* several ticks of a file system's clock */
#define LIMIT_SCRATCH_EXIT_MS 10000          /* for folders that are being removed at the end */
#define LIMIT_ABORT_S 30                     /* for removing the parts of a failed upload */

/* Time, in ms unless the name says otherwise. */
#define LIMIT_GO_FIRST_MS 1000       /* twice: what else connects waits for the first job-take */
#define LIMIT_STILL_WAITING_MS 10000 /* between lines that say what the worker waits for */
#define LIMIT_WATCH_MS 100           /* between checks for execution timeouts */
#define LIMIT_CONNECT_MS 10000       /* all addresses and the TLS handshake together */
#define LIMIT_CONNECT_STAGGER_MS 250 /* until the next address is tried in parallel (RFC 8305) */
#define LIMIT_DNS_STEP_MS 250 /* until a query goes to the next nameserver, or again; and how */
                              /* long one family waits once the other's addresses are there */
#define LIMIT_DNS_IMPATIENT_MS 900    /* for one of several names, until the next is asked for */
#define LIMIT_POLL_MS 90000           /* an open job-take or job-stop; the SDK's value */
#define LIMIT_BODY_IDLE_MS 30000      /* without a byte in the middle of a message */
#define LIMIT_BODY_MS 300000          /* a whole message: 20 MB at half a megabit a second */
#define LIMIT_EARLY_MS 1000           /* for a peer that has responded to take more of a request */
#define LIMIT_EARLY_LOOK_MS 50        /* for the rest of what it began to say meanwhile */
#define LIMIT_SKIP_MS 1000            /* to read the body of a redirect, or close the connection */
#define LIMIT_REPLY_MS 60000          /* from the end of a post to the first byte of its response */
#define LIMIT_PROGRESS_MS 10000       /* a progress post, in all */
#define LIMIT_PROGRESS_LAST_MS 1000   /* how long a result waits for queued updates */
#define LIMIT_TOO_MANY_MS 5000        /* pause after a 429 without Retry-After; the SDK's value */
#define LIMIT_RETRY_AFTER_MS 120000   /* the longest Retry-After that is obeyed */
#define LIMIT_RETRY_AFTER_MIN_MS 1000 /* the shortest: "0" must not make a busy loop */
#define LIMIT_RETRY_FIRST_MS 500      /* pauses after failures: this, doubling, with jitter, */
#define LIMIT_RETRY_LONGEST_MS 30000  /* up to this */
#define LIMIT_EMPTY_MS 1000           /* an empty response sooner than this was not a long poll */
#define LIMIT_HELD_MS 3000            /* a long poll that ends later was cut by a gateway */
#define LIMIT_CUT_PAUSE_MS 500        /* the longest pause after that */
#define LIMIT_TRANSFER_MS 86400000    /* one try at a file; the transfer has its own deadline */
#define LIMIT_RESULT_RETRY_S 300      /* default of RP_RESULT_RETRY_S */
#define LIMIT_ASK_MS 1000             /* modify_concurrency while all slots are busy; the SDK's */
#define LIMIT_REPORT_MS 2000          /* the report of a failed check or start, in all */
#define LIMIT_LAST_TAKE_MS 10000      /* for a job that can be told why the start has failed */
#define LIMIT_ABANDON_MS 2000   /* after the grace: to store results and name unfinished jobs */
#define LIMIT_GPU_LEAVE_MS 1000 /* at the end, for the driver to clean up behind a thread */
#define LIMIT_CLAIM_S 900       /* an older claim on a stored result has lost its worker */
#define LIMIT_TAKER_MS 200      /* for the taker to stop, unless it is reading a response */
#define LIMIT_HALF_CLOSE_MS 150 /* ... and to read one that is on its way; under LIMIT_TAKER_MS */
#define LIMIT_ANSWER_MS 5000    /* to finish reading a response at a shutdown; then it is dropped */
#define LIMIT_PING_MS 10000     /* default of RUNPOD_PING_INTERVAL */

/* The HTTP server of realtime mode. Sizes and times are per connection. */
#define LIMIT_REQUEST_BYTES (64u * LIMIT_MIB) /* a body: as large as a batch of jobs */
#define LIMIT_REALTIME_WAITING 100 /* requests waiting for a slot; further ones are answered 503 */
#define LIMIT_SERVER_SPARE 32      /* idle connections, beside those that run or wait */
#define LIMIT_SERVER_REFUSALS 16   /* connections over the limit that get a 503, at a time */
#define LIMIT_REALTIME_MEMORY_MB 256 /* default of RP_REALTIME_MEMORY_MB: bodies of all requests */
#define LIMIT_TOKEN_BYTES 4096       /* of --realtime-token-file */
#define LIMIT_SERVER_FIRST_BYTE_MS 5000 /* from a connection's start to its first request */
#define LIMIT_SERVER_HEAD_MS 10000      /* from a request's first byte to the end of its head */
#define LIMIT_SERVER_IDLE_MS 75000      /* a kept-alive connection; proxies keep theirs for 60 s */
#define LIMIT_SERVER_SLOW_MS 30000 /* a body's start; then it must have come at least at this */
#define LIMIT_SERVER_BYTES_S \
    16384u /* rate on average: a byte a second holds a connection briefly */
#define LIMIT_SERVER_LINGER_MS 1000                /* for the peer to read a refusal */
#define LIMIT_SERVER_LINGER_BYTES (1u * LIMIT_MIB) /* of a refused request, read and discarded */
#define LIMIT_SERVER_QUICK_MS 20  /* the next request or response comes this soon where many do */
#define LIMIT_SERVER_PAUSE_MS 100 /* until the next accept when the system is out of descriptors */
#define LIMIT_SERVER_BACKLOG 128  /* connections that the kernel queues */
#define LIMIT_METRICS_CONNECTIONS 16 /* to --metrics-port: some monitors, and a person */

/* Load-balancing endpoints (--serve). */
#define LIMIT_SERVE_PORT 80         /* default of PORT; the platform's */
#define LIMIT_SERVE_CONCURRENCY 128 /* default with --handler-http: requests passed on at a time */
#define LIMIT_SERVE_CONNECTIONS 512 /* beside those at work; each is a thread */
#define LIMIT_SERVE_DRAIN_MS 1000   /* after SIGTERM, for an open connection's last request */
#define LIMIT_SERVE_LOOPS 4         /* threads that share busy connections; one a processor */
#define LIMIT_SERVE_LOOP_MS 1000    /* a response that takes longer gets a thread of its own */
#define LIMIT_RELAY_OPEN_MS 50      /* for such a thread to connect to the server */
#define LIMIT_RELAY_IDLE_MS 1500 /* a connection to the server is used again until then; servers */
                                 /* close idle ones after 2 s and more */

/* The job API that the worker serves (--rp_serve_api). */
#define LIMIT_ENDPOINT_PORT 8000                       /* default of --rp_api_port; the SDK's */
#define LIMIT_ENDPOINT_RUN_BYTES (10u * LIMIT_MIB)     /* a request of /run; the platform's */
#define LIMIT_ENDPOINT_RUNSYNC_BYTES (20u * LIMIT_MIB) /* of /runsync; the platform's */
#define LIMIT_ENDPOINT_QUEUED 1000 /* jobs that wait; a further one is answered 429 */
#define LIMIT_ENDPOINT_ENDED 10000 /* jobs kept after their end; then the oldest are forgotten */
#define LIMIT_ENDPOINT_BYTES (256u * LIMIT_MIB)      /* of all jobs; then 503 */
#define LIMIT_ENDPOINT_CONNECTIONS 512               /* each is a thread */
#define LIMIT_ENDPOINT_LOG_BYTES (64u * 1024u)       /* of one job's log, kept for the console */
#define LIMIT_ENDPOINT_PARTS_BYTES (32u * LIMIT_MIB) /* of one job's stream, kept for its clients */
#define LIMIT_ENDPOINT_LIST 200                      /* jobs in an answer of /requests */
#define LIMIT_ENDPOINT_KEEP_RUN_MS 1800000   /* how long a job of /run is kept; the platform's */
#define LIMIT_ENDPOINT_KEEP_RUNSYNC_MS 60000 /* ... and of /runsync */
#define LIMIT_ENDPOINT_WAIT_MS 90000         /* default of ?wait=; the platform's */
#define LIMIT_ENDPOINT_WAIT_MIN_MS 1000      /* the range of ?wait= */
#define LIMIT_ENDPOINT_WAIT_MAX_MS 300000
#define LIMIT_ENDPOINT_STREAM_MS 5000  /* /stream waits for a part; clients give up after 10 s */
#define LIMIT_ENDPOINT_EVENT_MS 100    /* between two updates of the console's list */
#define LIMIT_ENDPOINT_ALIVE_MS 15000  /* between comments on an idle event stream */
#define LIMIT_ENDPOINT_TTL_MS 86400000 /* default of policy.ttl; the platform's */
#define LIMIT_ENDPOINT_EXECUTION_MS 600000    /* default of policy.executionTimeout */
#define LIMIT_ENDPOINT_POLICY_MS 604800000    /* the most for either */
#define LIMIT_ENDPOINT_WEBHOOKS 1000          /* calls that wait */
#define LIMIT_ENDPOINT_WEBHOOK_TRIES 3        /* of one call, the platform's, */
#define LIMIT_ENDPOINT_WEBHOOK_PAUSE_MS 10000 /* this far apart */
#define LIMIT_ENDPOINT_WEBHOOK_MS 10000       /* one try, in all */

/* Child processes, in ms unless the name says otherwise. */
#define LIMIT_FITNESS_S 60         /* default of --fitness-timeout: from start to exit */
#define LIMIT_CHILD_READY_S 420    /* default of --handler-ready-timeout, as the platform's limit */
#define LIMIT_CHILD_GRACE_S 5      /* default of --kill-grace: from SIGTERM to SIGKILL */
#define LIMIT_CHILD_DEATHS 5       /* default of --handler-deaths: in a row, then the worker ends */
#define LIMIT_CHILD_RESTART_MS 250 /* pause before the second restart in a row, doubling */
#define LIMIT_CHILD_RESTART_MAX_MS 10000 /* up to this */
#define LIMIT_SETTLE_MS 100       /* --watch: without a change, until a file counts as written */
#define LIMIT_LOOK_MS 2000        /* --watch: between looks where inotify reports nothing */
#define LIMIT_CHILD_HINT_MS 10000 /* without an answer, until the log says what one is */
#define LIMIT_CHILD_EXIT_MS 2000  /* from the end of its output to its exit */
#define LIMIT_CHILD_KILL_MS 5000  /* from SIGKILL to its end; longer only when stuck in a driver */
#define LIMIT_CHILD_LOOK_MS 100   /* between checks of its state on a kernel without pidfd */
#define LIMIT_CHILD_LOOKS 100     /* scans of /proc for processes that have left its group */
#define LIMIT_CHILD_TAIL_BYTES 1536 /* of the end of its standard error, quoted in errors */
#define LIMIT_CHILD_TEXT_BYTES (64u * 1024u)     /* a line of its standard error; cut at this */
#define LIMIT_CHILD_ENVELOPE_BYTES (64u * 1024u) /* of a line, beyond the largest result */
#define LIMIT_CHILD_HEAD_BYTES (64u * 1024u)     /* id and folder, before the job as it came */
#define LIMIT_CHILD_DROP_BYTES (256u * 1024u)    /* larger input is freed once it is sent */
#define LIMIT_CHILD_WORDS 256                    /* of a command line */

/* HTTP servers as handlers, in ms unless the name says otherwise. */
#define LIMIT_READY_ASK_MS 5000     /* one request to the health route */
#define LIMIT_MODEL_LOOK_MS 20      /* between checks if another job has found the model */
#define LIMIT_READY_FIRST_MS 10     /* pause between requests until it is ready: this, doubling, */
#define LIMIT_READY_LONGEST_MS 1000 /* up to this */
#define LIMIT_HEALTH_MS 10000       /* the longest pause between requests once it is ready, */
#define LIMIT_HEALTH_SOON_MS 250    /* and the shortest, after a failed job */
#define LIMIT_SERVER_END_MS 1000  /* from a broken connection to the end of the program behind it */
#define LIMIT_SERVER_CLOSED_MS 20 /* the same for a connection that was closed in good order */
#define LIMIT_SERVER_CONNECT_S 10 /* default of --handler-connect-timeout */
#define LIMIT_SERVER_UNHEALTHY_S 60            /* default of --handler-unhealthy-timeout */
#define LIMIT_SERVER_CONCURRENCY 8             /* default if the server speaks the OpenAI API */
#define LIMIT_CONCURRENCY_INTERVAL_MS 5000     /* default of --handler-concurrency-interval */
#define LIMIT_CONCURRENCY_BYTES 1024u          /* an answer of --handler-concurrency-path */
#define LIMIT_SERVER_FAILURES 10               /* default of --handler-failures */
#define LIMIT_STREAM_INTERVAL_MS 50            /* default of --stream-interval: 20 posts a second */
#define LIMIT_GATHER_BYTES (256u * 1024u)      /* of a stream, collected into one part */
#define LIMIT_SERVER_ERROR_BYTES (16u * 1024u) /* of an error's body, searched for text */

/* The resolver's files. */
#define LIMIT_RESOLV_CONF_BYTES (64u * 1024u)
#define LIMIT_HOSTS_BYTES (8u * LIMIT_MIB) /* lists of blocked hosts have some 100,000 lines */

/* Models. */
#define LIMIT_TENSOR_HEADER_BYTES (100u * 1000u * 1000u) /* what the format's library accepts */
#define LIMIT_POOL_THREADS 64 /* beyond this a pass is shorter than the threads' meetings */

/* Buffers kept between jobs, in bytes: larger ones are freed. */
#define LIMIT_KEEP_BYTES (64u * 1024u)

/* Lines that wait for the reader of the log; a message has at most 4,096 characters. */
#define LIMIT_LOG_QUEUE_BYTES (1u * LIMIT_MIB)
#define LIMIT_LOG_FLUSH_MS 1000 /* for them to be written when the worker ends */
#define LIMIT_REFUSAL_LINES 100 /* of what --confine refuses; a handler may try again and again */

/* Stacks, in bytes of address space; only the pages in use cost memory. */
#define LIMIT_STACK_SERVICE_BYTES (256u * 1024u) /* taker, heartbeat, stop channel: TLS, resolver */
#define LIMIT_STACK_WATCH_BYTES (128u * 1024u)   /* the thread that watches idle children */
#define LIMIT_STACK_LOG_BYTES (64u * 1024u)      /* the thread that writes the log */
#define LIMIT_STACK_STARTER_BYTES (128u * 1024u) /* programs are started on it, and /proc read */
#define LIMIT_STACK_TRIAL_BYTES (128u * 1024u)   /* the thread of --confine=log: paths */
#define LIMIT_STACK_LEAST_BYTES LIMIT_STACK_SERVICE_BYTES /* of a handler: it may download */
#define LIMIT_STACK_HANDLER_BYTES (8u * LIMIT_MIB)        /* a handler's: glibc's default */

#endif
