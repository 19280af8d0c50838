#include "config/options.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/version.h"
#include "codec/byte_class.h"

#define AT(member) offsetof(struct config, member)

/* clang-format off */
#define IN(member) .offset = AT(member)
#define RANGE(least, most) .min = (least), .max = (most)

#define TEXTS(flag, variable, value_name, help) \
    flag "\0" variable "\0" value_name "\0" help

/* Seconds are kept in ms: their unit is 1000. */
const struct option options[] = {
    { TEXTS("--test_input", "", "JSON",
            "run this one job, log its result, exit; default: ./test_input.json"),
      TOPIC_LOCAL, OPTION_SLICE, IN(test_input), .common = true },
    { TEXTS("--test_output", "", "JSON",
            "exit with status 1 unless the result of the test equals this"),
      TOPIC_LOCAL, OPTION_SLICE, IN(test_output), .common = true },
    { TEXTS("--test_result", "", "FILE",
            "write only the result to this file; -: standard output"),
      TOPIC_LOCAL, OPTION_TEXT, IN(test_result), .common = true },
    { TEXTS("--rp_log_level", "RUNPOD_LOG_LEVEL", "LEVEL",
            "NOTSET, TRACE, DEBUG, INFO, WARN, ERROR, or 0 to 5"),
      TOPIC_LOCAL, OPTION_LEVEL, IN(log_level), .common = true },
    { TEXTS("", "RUNPOD_DEBUG_LEVEL", "",
            "the older name of RUNPOD_LOG_LEVEL"),
      TOPIC_LOCAL, .kind = OPTION_USED_LATER },
    { TEXTS("--sbom", "", "",
            "print what this binary is made of (CycloneDX 1.6, JSON), exit"),
      TOPIC_LOCAL, OPTION_SWITCH, IN(sbom), .parts = PART_SBOM, .common = true },
    { TEXTS("--rp_debugger", "", "",
            "add checkpoints and system information to results that are objects"),
      TOPIC_LOCAL, OPTION_SWITCH, IN(debugger) },

    { TEXTS("--rp_serve_api", "", "",
            "serve the job API and a console; jobs come from there"),
      TOPIC_API, OPTION_SWITCH, IN(api.serve), .parts = PART_JOB_API, .common = true },
    { TEXTS("--rp_api_port", "", "PORT",
            "the port; 0: a free one, which the log names"),
      TOPIC_API, OPTION_NUMBER, IN(api.port), .parts = PART_JOB_API, RANGE(0, 65535), .unit = 1,
      .fallback = LIMIT_ENDPOINT_PORT },
    { TEXTS("--rp_api_host", "", "HOST",
            "the address to listen on; default: localhost"),
      TOPIC_API, OPTION_SLICE, IN(api.host), .parts = PART_JOB_API },
    { TEXTS("--rp_api_concurrency", "", "N",
            "jobs at the same time there; default: --concurrency"),
      TOPIC_API, OPTION_NUMBER, IN(api.concurrency), .parts = PART_JOB_API,
      RANGE(1, LIMIT_CONCURRENCY), .unit = 1 },
    { TEXTS("", "RUNPOD_API_KEY", "",
            "the key that clients send as Authorization, bare or after Bearer"),
      TOPIC_API, OPTION_SLICE, IN(api.key), .parts = PART_JOB_API },
    { TEXTS("--api-key-file", "", "FILE",
            "a file that holds the key instead"),
      TOPIC_API, OPTION_TEXT, IN(api.key_file), .parts = PART_JOB_API },
    { TEXTS("--rp_api_open", "", "",
            "listen beyond this machine even without a key"),
      TOPIC_API, OPTION_SWITCH, IN(api.open), .parts = PART_JOB_API },
    { TEXTS("--rp_api_cors", "", "ORIGIN",
            "let web pages of this origin use the API; *: any origin"),
      TOPIC_API, OPTION_SLICE, IN(api.cors), .parts = PART_JOB_API },

    { TEXTS("--watch", "", "",
            "restart the handler between jobs when its file changes"),
      TOPIC_API, OPTION_SWITCH, IN(watch), .parts = PART_JOB_API, .common = true },

    { TEXTS("--serve", "RP_SERVE", "",
            "answer HTTP requests on PORT; no jobs are taken from the queue"),
      TOPIC_SERVE, OPTION_SWITCH, IN(serve.on), .parts = PART_REALTIME, .common = true },
    { TEXTS("--serve-host", "RP_SERVE_HOST", "HOST",
            "the address to listen on; default: every address"),
      TOPIC_SERVE, OPTION_SLICE, IN(serve.host), .parts = PART_REALTIME },
    { TEXTS("--serve-open", "RP_SERVE_OPEN", "",
            "outside the platform: also answer foreign web pages, and any Host"),
      TOPIC_SERVE, OPTION_SWITCH, IN(serve.open), .parts = PART_REALTIME },
    { TEXTS("", "PORT", "",
            "the port for requests; 0: a free one; default 80"),
      TOPIC_SERVE, OPTION_TEXT, IN(serve.port_text), .parts = PART_REALTIME, .common = true },
    { TEXTS("", "PORT_HEALTH", "",
            "another port for health checks; default: only PORT"),
      TOPIC_SERVE, OPTION_TEXT, IN(serve.health_text), .parts = PART_REALTIME },
    { TEXTS("", "HEALTH_CHECK_PATH", "",
            "204: starting, 200: ready, 503: neither; default /ping"),
      TOPIC_SERVE, OPTION_TEXT, IN(serve.health_path), .parts = PART_REALTIME },

    { TEXTS("--handler", "RP_HANDLER", "PROGRAM",
            "keep this program running and give it jobs, one JSON line each"),
      TOPIC_HANDLERS, OPTION_TEXT, IN(handler.program), .parts = PART_PROGRAMS | PART_SERVERS,
      .common = true },
    { TEXTS("--handler-once", "RP_HANDLER_ONCE", "PROGRAM",
            "start this program once for each job"),
      TOPIC_HANDLERS, OPTION_TEXT, IN(handler.once), .parts = PART_PROGRAMS, .common = true },
    { TEXTS("--handler-jobs", "RP_HANDLER_JOBS", "N",
            "give the program up to N jobs at a time, which it answers by id"),
      TOPIC_HANDLERS, OPTION_NUMBER, IN(handler.jobs), .parts = PART_PROGRAMS,
      RANGE(1, LIMIT_CONCURRENCY), .unit = 1, .fallback = 1 },
    { TEXTS("--handler-ready", "RP_HANDLER_READY", "HOW",
            "when it is ready. line: {\"ready\": true}; /PATH: 2xx; tcp: open"),
      TOPIC_HANDLERS, OPTION_TEXT, IN(handler.ready), .parts = PART_PROGRAMS | PART_SERVERS,
      .common = true },
    { TEXTS("--handler-ready-timeout", "RP_HANDLER_READY_TIMEOUT", "S",
            "from the first start of the program until it is ready"),
      TOPIC_HANDLERS, OPTION_DECIMAL, IN(handler.ready_timeout_ms),
      .parts = PART_PROGRAMS | PART_SERVERS, RANGE(0, 86400), .unit = 1000,
      .fallback = LIMIT_CHILD_READY_S },
    { TEXTS("", "RUNPOD_INIT_TIMEOUT", "S",
            "until setup, program or server is ready; overrides the flag"),
      TOPIC_HANDLERS, OPTION_DECIMAL, IN(handler.init_timeout_ms), RANGE(0, 86400),
      .unit = 1000 },
    { TEXTS("--handler-deaths", "RP_HANDLER_DEATHS", "N",
            "exit when the program has died this many times in a row"),
      TOPIC_HANDLERS, OPTION_NUMBER, IN(handler.deaths), .parts = PART_PROGRAMS | PART_SERVERS,
      RANGE(1, 1000), .unit = 1, .fallback = LIMIT_CHILD_DEATHS },
    { TEXTS("--kill-grace", "RP_KILL_GRACE", "S",
            "from SIGTERM to SIGKILL when stopping the program"),
      TOPIC_HANDLERS, OPTION_DECIMAL, IN(handler.kill_grace_ms),
      .parts = PART_PROGRAMS | PART_SERVERS, RANGE(0, 3600), .unit = 1000,
      .fallback = LIMIT_CHILD_GRACE_S },
    { TEXTS("--pass-api-key", "RP_PASS_API_KEY", "",
            "leave RUNPOD_AI_API_KEY in the program's environment"),
      TOPIC_HANDLERS, OPTION_SWITCH, IN(handler.pass_api_key),
      .parts = PART_PROGRAMS | PART_SERVERS },
    { TEXTS("--isolate", "RP_ISOLATE", "",
            "run a linked C handler in a child process"),
      TOPIC_HANDLERS, OPTION_SWITCH, IN(handler.isolate), .parts = PART_PROGRAMS },
    { TEXTS("--concurrency", "RP_CONCURRENCY", "N",
            "jobs that run at the same time; 1 unless the program sets it"),
      TOPIC_HANDLERS, OPTION_NUMBER, IN(concurrency), RANGE(1, LIMIT_CONCURRENCY), .unit = 1,
      .common = true },
    { TEXTS("--stream", "RP_STREAM", "",
            "the handler streams: its output comes in parts"),
      TOPIC_HANDLERS, OPTION_SWITCH, IN(stream), .common = true },
    { TEXTS("--aggregate-stream", "RP_AGGREGATE_STREAM", "",
            "return the list of a stream's parts as the job's output too"),
      TOPIC_HANDLERS, OPTION_SWITCH, IN(aggregate_stream) },
    { TEXTS("--execution-timeout", "RP_EXECUTION_TIMEOUT", "S",
            "stop a job that runs longer and fail it; 0: no limit"),
      TOPIC_HANDLERS, OPTION_DECIMAL, IN(execution_timeout_ms), RANGE(0, 86400), .unit = 1000,
      .common = true },
    { TEXTS("--refresh-worker", "RP_REFRESH_WORKER", "",
            "exit after one job, so that a fresh worker takes the next"),
      TOPIC_HANDLERS, OPTION_SWITCH, IN(refresh_worker) },

    { TEXTS("--handler-http", "RP_HANDLER_HTTP", "URL",
            "forward jobs to this server; --handler, if given, starts it"),
      TOPIC_SERVERS, OPTION_TEXT, IN(handler.http), .parts = PART_SERVERS, .common = true },
    { TEXTS("--served-model", "RP_SERVED_MODEL", "NAME",
            "the model for requests without one; default: from /v1/models"),
      TOPIC_SERVERS, OPTION_TEXT, IN(handler.served_model), .parts = PART_SERVERS,
      .common = true },
    { TEXTS("--stream-interval", "RP_STREAM_INTERVAL", "MS",
            "collect the events of a stream for this long before they are posted"),
      TOPIC_SERVERS, OPTION_NUMBER, IN(handler.stream_interval_ms), .parts = PART_SERVERS,
      RANGE(0, 60000), .unit = 1, .fallback = LIMIT_STREAM_INTERVAL_MS },
    { TEXTS("--handler-binary", "RP_HANDLER_BINARY", "",
            "return a response that is not text as base64"),
      TOPIC_SERVERS, OPTION_SWITCH, IN(handler.binary), .parts = PART_SERVERS },
    { TEXTS("--handler-connect-timeout", "RP_HANDLER_CONNECT_TIMEOUT", "S",
            "how long connecting may take"),
      TOPIC_SERVERS, OPTION_DECIMAL, IN(handler.connect_ms), .parts = PART_SERVERS,
      RANGE(1, 86400), .unit = 1000, .fallback = LIMIT_SERVER_CONNECT_S },
    { TEXTS("--handler-first-byte-timeout", "RP_HANDLER_FIRST_BYTE_TIMEOUT", "S",
            "until the first byte of the response; 0: no limit"),
      TOPIC_SERVERS, OPTION_DECIMAL, IN(handler.first_byte_ms), .parts = PART_SERVERS,
      RANGE(0, 86400), .unit = 1000 },
    { TEXTS("--handler-idle-timeout", "RP_HANDLER_IDLE_TIMEOUT", "S",
            "the longest pause within a response; 0: no limit"),
      TOPIC_SERVERS, OPTION_DECIMAL, IN(handler.idle_ms), .parts = PART_SERVERS, RANGE(0, 86400),
      .unit = 1000 },
    { TEXTS("--handler-unhealthy-timeout", "RP_HANDLER_UNHEALTHY_TIMEOUT", "S",
            "replace a server that has been unhealthy for this long"),
      TOPIC_SERVERS, OPTION_DECIMAL, IN(handler.unhealthy_ms), .parts = PART_SERVERS,
      RANGE(1, 86400), .unit = 1000, .fallback = LIMIT_SERVER_UNHEALTHY_S },
    { TEXTS("--handler-concurrency-path", "RP_HANDLER_CONCURRENCY_PATH", "PATH",
            "poll this path for how many jobs the server wants at a time"),
      TOPIC_SERVERS, OPTION_TEXT, IN(handler.concurrency_path), .parts = PART_SERVERS },
    { TEXTS("--handler-concurrency-interval", "RP_HANDLER_CONCURRENCY_INTERVAL", "MS",
            "the pause between two polls"),
      TOPIC_SERVERS, OPTION_NUMBER, IN(handler.concurrency_interval_ms), .parts = PART_SERVERS,
      RANGE(100, 3600000), .unit = 1, .fallback = LIMIT_CONCURRENCY_INTERVAL_MS },
    { TEXTS("--handler-failures", "RP_HANDLER_FAILURES", "N",
            "replace a server that has failed this many jobs in a row; 0: never"),
      TOPIC_SERVERS, OPTION_NUMBER, IN(handler.failures), .parts = PART_SERVERS, RANGE(0, 100000),
      .unit = 1, .fallback = LIMIT_SERVER_FAILURES },
    { TEXTS("--handler-routes", "RP_HANDLER_ROUTES", "LIST",
            "the only routes that jobs may call: GET /v1/models, /v1/*, ..."),
      TOPIC_SERVERS, OPTION_TEXT, IN(handler.routes), .parts = PART_SERVERS, .common = true },
    { TEXTS("--route", "RP_ROUTE", "MEMBERS=/PATH",
            "where to send inputs of no known form: query,docs=/rerank"),
      TOPIC_SERVERS, OPTION_LIST, IN(handler.route_map), .parts = PART_SERVERS, .common = true },
    { TEXTS("--answer-shape", "RP_ANSWER_SHAPE", "SHAPE",
            "plain, or list: a list of one part; default: by the input"),
      TOPIC_SERVERS, OPTION_TEXT, IN(handler.answer_shape), .parts = PART_SERVERS },
    { TEXTS("", "RUNPOD_MAX_CONCURRENCY", "",
            "the same as MAX_CONCURRENCY, which wins"),
      TOPIC_SERVERS, OPTION_TEXT, IN(handler.max_concurrency), .parts = PART_SERVERS },
    { TEXTS("", "MAX_CONCURRENCY", "",
            "the same as --concurrency, if that is not set"),
      TOPIC_SERVERS, OPTION_TEXT, IN(handler.max_concurrency), .parts = PART_SERVERS },

    { TEXTS("", "RUNPOD_WEBHOOK_GET_JOB", "",
            "URL to take jobs from ($ID: worker id); not set: a local test"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(take_url), .common = true },
    { TEXTS("", "RUNPOD_WEBHOOK_POST_OUTPUT", "",
            "URL for results ($RUNPOD_POD_ID: worker id, $ID: job id)"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(output_url) },
    { TEXTS("", "RUNPOD_WEBHOOK_POST_STREAM", "",
            "URL for the parts of a stream"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(stream_url) },
    { TEXTS("", "RUNPOD_WEBHOOK_PING", "",
            "URL for heartbeats"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(ping_url) },
    { TEXTS("", "RUNPOD_PING_INTERVAL", "MS",
            "between heartbeats"),
      TOPIC_PLATFORM, OPTION_NUMBER, IN(ping_ms), RANGE(100, 3600000), .unit = 1,
      .fallback = LIMIT_PING_MS },
    { TEXTS("", "RUNPOD_AI_API_KEY", "",
            "sent as Authorization, only to the platform's host"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(api_key), .common = true },
    { TEXTS("", "RUNPOD_POD_ID", "",
            "the worker's id; without one there are no heartbeats"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(worker_id) },
    { TEXTS("", "RUNPOD_POD_HOSTNAME", "",
            "named in error objects"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(pod_hostname) },
    { TEXTS("", "RUNPOD_ENDPOINT_ID", "",
            "if it is set, log lines are JSON objects"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(endpoint_id) },
    { TEXTS("", "RP_CONTRACT_VERSION", "VERSION",
            "runpod_version in heartbeats and errors; default " CONTRACT_VERSION),
      TOPIC_PLATFORM, OPTION_SLICE, IN(contract_version) },
    { TEXTS("", "RUNPOD_LOG_CAPTURE", "WHICH",
            "add the handler's output to errors: auto (failed starts), all, off"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(log_capture_name) },
    { TEXTS("", "RUNPOD_REALTIME_PORT", "PORT",
            "serve POST /<endpoint id>/realtime instead of taking jobs"),
      TOPIC_PLATFORM, OPTION_NUMBER, IN(realtime_port), .parts = PART_REALTIME, RANGE(0, 65535),
      .unit = 1 },
    { TEXTS("", "RUNPOD_REALTIME_CONCURRENCY", "N",
            "jobs at the same time there; default: --concurrency"),
      TOPIC_PLATFORM, OPTION_NUMBER, IN(realtime_concurrency), .parts = PART_REALTIME,
      RANGE(1, LIMIT_CONCURRENCY), .unit = 1 },
    { TEXTS("--realtime-host", "RP_REALTIME_HOST", "HOST",
            "the address for realtime requests; default: every address"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(realtime_host), .parts = PART_REALTIME },
    { TEXTS("--realtime-token-file", "RP_REALTIME_TOKEN_FILE", "PATH",
            "serve only requests with the Bearer token in this file"),
      TOPIC_PLATFORM, OPTION_TEXT, IN(realtime_token_file), .parts = PART_REALTIME },
    { TEXTS("", "RP_REALTIME_TOKEN", "",
            "the token itself; the file wins"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(realtime_token), .parts = PART_REALTIME },
    { TEXTS("", "RP_REALTIME_MEMORY_MB", "MB",
            "memory for the bodies of all realtime requests"),
      TOPIC_PLATFORM, OPTION_NUMBER, IN(realtime_memory_bytes), .parts = PART_REALTIME,
      RANGE(1, 1000000), .unit = 1000000, .fallback = LIMIT_REALTIME_MEMORY_MB },
    { TEXTS("--result-dir", "RP_RESULT_DIR", "DIR",
            "keep results that cannot be delivered, send them at the next start"),
      TOPIC_PLATFORM, OPTION_TEXT, IN(result_dir), .common = true },
    { TEXTS("", "RP_MAX_RESULT_MB", "MB",
            "the largest result that is posted"),
      TOPIC_PLATFORM, OPTION_NUMBER, IN(result_max_bytes), RANGE(1, 1000), .unit = 1000000,
      .fallback = LIMIT_RESULT_MB },
    { TEXTS("", "RP_RESULT_RETRY_S", "S",
            "retry a result for this long"),
      TOPIC_PLATFORM, OPTION_NUMBER, IN(result_retry_ms), RANGE(0, 86400), .unit = 1000,
      .fallback = LIMIT_RESULT_RETRY_S },
    { TEXTS("", "RP_SHUTDOWN_GRACE_S", "S",
            "jobs may finish for this long after SIGTERM; default: no limit"),
      TOPIC_PLATFORM, OPTION_NUMBER, IN(shutdown_grace_ms), RANGE(0, 86400), .unit = 1000,
      .fallback = OPTION_NO_FALLBACK },
    { TEXTS("--fitness", "RP_FITNESS", "PROGRAM",
            "take no jobs unless this program exits with status 0"),
      TOPIC_PLATFORM, OPTION_TEXT, IN(fitness.program), .parts = PART_PROGRAMS, .common = true },
    { TEXTS("--fitness-model", "RP_FITNESS_MODEL", "ORG/NAME",
            "take no jobs unless this model is cached"),
      TOPIC_PLATFORM, OPTION_LIST, IN(fitness.models), .parts = PART_PROGRAMS },
    { TEXTS("--fitness-timeout", "RP_FITNESS_TIMEOUT", "S",
            "how long the program may run; 0: no limit"),
      TOPIC_PLATFORM, OPTION_DECIMAL, IN(fitness.program_timeout_ms), .parts = PART_PROGRAMS,
      RANGE(0, 86400), .unit = 1000, .fallback = LIMIT_FITNESS_S },
    { TEXTS("", "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "",
            "skip the checks of memory, disk, network and GPU"),
      TOPIC_PLATFORM, OPTION_SWITCH, IN(fitness.skip) },
    { TEXTS("", "RUNPOD_MIN_MEMORY_GB", "GIB",
            "memory that must be available"),
      TOPIC_PLATFORM, OPTION_DECIMAL, IN(fitness.min_memory_milli_gib), RANGE(0, 1000000),
      .unit = 1000, .fallback = 4 },
    { TEXTS("", "RUNPOD_MIN_DISK_PERCENT", "PERCENT",
            "share of the disk that must be free"),
      TOPIC_PLATFORM, OPTION_DECIMAL, IN(fitness.min_disk_milli_percent), RANGE(0, 100),
      .unit = 1000, .fallback = 10 },
    { TEXTS("", "RUNPOD_NETWORK_CHECK_TIMEOUT", "S",
            "time limit for reaching the platform's host"),
      TOPIC_PLATFORM, OPTION_NUMBER, IN(fitness.network_timeout_ms), RANGE(1, 3600), .unit = 1000,
      .fallback = 5 },
    { TEXTS("--metrics-port", "RP_METRICS_PORT", "PORT",
            "serve GET /metrics for Prometheus there; 0: a free port"),
      TOPIC_PLATFORM, OPTION_NUMBER, IN(metrics.port), .parts = PART_REALTIME, RANGE(0, 65535),
      .unit = 1, .fallback = OPTION_NO_FALLBACK },
    { TEXTS("--metrics-host", "RP_METRICS_HOST", "HOST",
            "the address for metrics; default: localhost"),
      TOPIC_PLATFORM, OPTION_SLICE, IN(metrics.host), .parts = PART_REALTIME },
    { TEXTS("--upload-above", "RP_UPLOAD_ABOVE", "MB",
            "upload larger outputs and return links to them; 0: none"),
      TOPIC_FILES, OPTION_DECIMAL, IN(upload_above_kb), .parts = PART_STORAGE, RANGE(0, 1000),
      .unit = 1000, .common = true },
    { TEXTS("--deny-downloads", "RP_DENY_DOWNLOADS", "RANGES",
            "never download from these: 10.0.0.0/8,fd00::/8, ..."),
      TOPIC_FILES, OPTION_TEXT, IN(denied_downloads) },
    { TEXTS("", "RP_ALLOW_DEBUGGER", "",
            "allow core dumps and debuggers, which can read the API key"),
      TOPIC_PLATFORM, OPTION_SWITCH, IN(allow_debugger) },
    { TEXTS("--audit", "", "",
            "print what the worker may do with these flags, exit; =json: as JSON"),
      TOPIC_PLATFORM, OPTION_CHOICE, IN(audit), .parts = PART_AUDIT, .common = true },
    { TEXTS("--confine", "RP_CONFINE", "",
            "hold the worker to what --audit prints; =log: only log breaches"),
      TOPIC_PLATFORM, OPTION_CHOICE, IN(confine.mode), .parts = PART_AUDIT },
    { TEXTS("--confine-read", "RP_CONFINE_READ", "PATHS",
            "files and folders that a linked handler may read (--confine)"),
      TOPIC_FILES, OPTION_LIST, IN(confine.read), .parts = PART_AUDIT },
    { TEXTS("--confine-write", "RP_CONFINE_WRITE", "PATHS",
            "the same, to read and write; a:b names two"),
      TOPIC_FILES, OPTION_LIST, IN(confine.write), .parts = PART_AUDIT },
    { TEXTS("", "SSL_CERT_FILE", "",
            "PEM file of authorities, instead of the built-in ones"),
      TOPIC_PLATFORM, OPTION_TEXT, IN(ca_file) },
    { TEXTS("", "HTTPS_PROXY", "",
            "proxy for https URLs; all three are also read in lower case"),
      TOPIC_PLATFORM, OPTION_TEXT, IN(proxy.https_proxy) },
    { TEXTS("", "https_proxy", "",
            ""),
      TOPIC_PLATFORM, OPTION_TEXT, IN(proxy.https_proxy) },
    { TEXTS("", "HTTP_PROXY", "",
            "proxy for http URLs"),
      TOPIC_PLATFORM, OPTION_TEXT, IN(proxy.http_proxy) },
    { TEXTS("", "http_proxy", "",
            ""),
      TOPIC_PLATFORM, OPTION_TEXT, IN(proxy.http_proxy) },
    { TEXTS("", "NO_PROXY", "",
            "hosts to reach without a proxy"),
      TOPIC_PLATFORM, OPTION_TEXT, IN(proxy.no_proxy) },
    { TEXTS("", "no_proxy", "",
            ""),
      TOPIC_PLATFORM, OPTION_TEXT, IN(proxy.no_proxy) },

    { TEXTS("", "RP_SCRATCH_DIR", "",
            "where the folders of jobs are created; default: TMPDIR, then /tmp"),
      TOPIC_FILES, .kind = OPTION_USED_LATER },
    { TEXTS("", "RUNPOD_MAX_DOWNLOAD_BYTES", "",
            "the largest file that is downloaded; default 5 GiB"),
      TOPIC_FILES, .kind = OPTION_USED_LATER },
    { TEXTS("", "RP_ALLOW_PRIVATE_DOWNLOADS", "",
            "1: download from private addresses too"),
      TOPIC_FILES, .kind = OPTION_USED_LATER },
    { TEXTS("", "RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS", "",
            "true: the same, by the SDK's name"),
      TOPIC_FILES, .kind = OPTION_USED_LATER },
    { TEXTS("--cache", "RP_CACHE", "DIR",
            "keep this folder on the network volume: restored at the start"),
      TOPIC_FILES, OPTION_LIST, IN(cache.folders), .parts = PART_STORAGE, .common = true },
    { TEXTS("--cache-name", "RP_CACHE_NAME", "NAME",
            "the name of the cache there; default: RUNPOD_ENDPOINT_ID"),
      TOPIC_FILES, OPTION_SLICE, IN(cache.name), .parts = PART_STORAGE },
    { TEXTS("--cache-volume", "RP_CACHE_VOLUME", "DIR",
            "where the volume is mounted; default: /runpod-volume"),
      TOPIC_FILES, OPTION_TEXT, IN(cache.volume), .parts = PART_STORAGE },
    { TEXTS("", "HF_HUB_CACHE", "",
            "where to look for cached models; default: HF_HOME/hub"),
      TOPIC_FILES, .kind = OPTION_USED_LATER },
    { TEXTS("", "HF_HOME", "",
            "its hub comes before /runpod-volume/huggingface-cache/hub"),
      TOPIC_FILES, .kind = OPTION_USED_LATER },
    { TEXTS("", "BUCKET_ENDPOINT_URL", "",
            "S3-compatible storage for uploads of jobs without s3Config"),
      TOPIC_FILES, .kind = OPTION_USED_LATER, .common = true },
    { TEXTS("", "BUCKET_ACCESS_KEY_ID", "",
            "its access key"),
      TOPIC_FILES, .kind = OPTION_USED_LATER },
    { TEXTS("", "BUCKET_SECRET_ACCESS_KEY", "",
            "its secret access key"),
      TOPIC_FILES, .kind = OPTION_USED_LATER },
    { TEXTS("", "AWS_REGION", "",
            "its region, unless its host name has it; also AWS_DEFAULT_REGION"),
      TOPIC_FILES, .kind = OPTION_USED_LATER },

    { TEXTS("--gpu-info", "", "",
            "print the GPU driver and devices, exit: 0; 3 no driver; 4 no device"),
      TOPIC_GPU, OPTION_SWITCH, IN(gpu.info), .parts = PART_GPU, .common = true },
    { TEXTS("--json", "", "",
            "with --gpu-info: print JSON"),
      TOPIC_GPU, OPTION_SWITCH, IN(gpu.info_json), .parts = PART_GPU },
    { TEXTS("--libcuda", "RP_LIBCUDA", "PATH",
            "the driver's libcuda.so.1, or the folder it is in"),
      TOPIC_GPU, OPTION_TEXT, IN(gpu.libcuda), .parts = PART_GPU },
    { TEXTS("", "RUNPOD_SKIP_GPU_CHECK", "",
            "skip the checks of the GPU"),
      TOPIC_GPU, OPTION_SWITCH, IN(gpu.skip_check), .parts = PART_GPU },
    { TEXTS("", "RUNPOD_MIN_CUDA_VERSION", "",
            "the CUDA version that the driver must support"),
      TOPIC_GPU, OPTION_VERSION, IN(gpu.min_cuda_version), .parts = PART_GPU, RANGE(0, 1000),
      .unit = 1, .fallback = 11080 },
    { TEXTS("", "RUNPOD_GPU_TEST_TIMEOUT", "S",
            "time limit for all checks of the GPU"),
      TOPIC_GPU, OPTION_NUMBER, IN(gpu.test_ms), .parts = PART_GPU, RANGE(1, 3600), .unit = 1000,
      .fallback = 30 },
    { TEXTS("", "RUNPOD_GPU_BENCHMARK_TIMEOUT", "S",
            "time limit for the small computation on each device"),
      TOPIC_GPU, OPTION_NUMBER, IN(gpu.benchmark_ms), .parts = PART_GPU, RANGE(1, 3600),
      .unit = 1000, .fallback = 2 },
};
/* clang-format on */
const size_t option_count = sizeof options / sizeof options[0];

const struct option *option_find(const char *flag)
{
    const struct option *option = options;
    while (strcmp(option_text(option, OPTION_FLAG), flag) != 0)
        option++;
    return option;
}

bool option_is_there(const struct option *option, const struct config *config)
{
    return option->parts == 0 || (option->parts & ~config->absent_parts) != 0;
}

int option_refuse(const char *name, unsigned parts, struct err *err)
{
    static const char names[][10] = {
        [__builtin_ctz(PART_PROGRAMS)] = "programs", [__builtin_ctz(PART_SERVERS)] = "servers",
        [__builtin_ctz(PART_REALTIME)] = "realtime", [__builtin_ctz(PART_JOB_API)] = "job_api",
        [__builtin_ctz(PART_STORAGE)] = "storage",   [__builtin_ctz(PART_GPU)] = "gpu",
        [__builtin_ctz(PART_AUDIT)] = "audit",
    };
    size_t part = (size_t)__builtin_ctz(parts);
    if (parts == PART_SBOM)
        return err_set(err, ERR_CONFIG,
                       "%s: this program is linked without its bill of materials; the kit's "
                       "sbom.cdx.json is that of the worker in it",
                       name);
    return err_set(
        err, ERR_CONFIG,
        "%s: this program is built without its part \"%s\": set .%s = &rp_%s_part in its "
        "rp_config, or use build/worker%s",
        name, names[part], names[part], names[part], parts == PART_GPU ? "-gpu" : "");
}

static void *field(struct config *config, const struct option *option)
{
    return (char *)config + option->offset;
}

static int set_number(int64_t *out, const struct option *option, const char *name,
                      const char *value, struct err *err)
{
    int64_t number = *value == '\0' ? option->max + 1LL : 0;
    for (const char *at = value; *at != '\0' && number <= option->max; at++)
        number = *at >= '0' && *at <= '9' ? number * 10 + (*at - '0') : option->max + 1LL;
    if (number < option->min || number > option->max)
        return err_set(err, ERR_CONFIG,
                       "%s is \"%.64s\"; it must be a whole number from %lld to %lld", name, value,
                       (long long)option->min, (long long)option->max);
    *out = number * option->unit;
    return 0;
}

/* Takes the digits that the text begins with: at least one. False for a number above max. */
static bool take_digits(const char **text, uint64_t max, uint64_t *number)
{
    slice digits = { *text, strspn(*text, "0123456789") };
    *text += digits.len;
    return byte_class_decimal(digits, max, number);
}

/* Reads a dot and up to three decimals, then zeros, as thousandths. -1 for anything else. */
static int64_t read_thousandths(const char *at)
{
    int64_t value = 0, unit = 1000;
    for (at++; *at >= '0' && *at <= '9' && unit > 1; at++)
        value += (*at - '0') * (unit /= 10);
    return at[strspn(at, "0")] == '\0' ? value : -1;
}

/* Reads "4", "4.0" or "0.125" in thousandths, exactly. */
static int set_decimal(int64_t *out, const struct option *option, const char *name,
                       const char *value, struct err *err)
{
    const char *rest = value;
    uint64_t whole;
    bool valid = take_digits(&rest, 999999999, &whole);
    int64_t thousandths = *rest == '.' ? read_thousandths(rest) : *rest == '\0' ? 0 : -1;
    int64_t number = valid && thousandths >= 0 ? (int64_t)whole * 1000 + thousandths : -1;
    if (number < option->min * 1000LL || number > option->max * 1000LL)
        return err_set(err, ERR_CONFIG, "%s is \"%.64s\"; it must be a number from %lld to %lld",
                       name, value, (long long)option->min, (long long)option->max);
    *out = number;
    return 0;
}

/* MAJOR or MAJOR.MINOR. Not a decimal fraction: 12.10 is later than 12.9. */
static int set_version(int64_t *out, const struct option *option, const char *name,
                       const char *value, struct err *err)
{
    const char *rest = value;
    uint64_t major, minor = 0;
    bool valid = take_digits(&rest, (uint64_t)option->max, &major);
    if (valid && *rest == '.') {
        rest++;
        valid = take_digits(&rest, 99, &minor);
    }
    if (!valid || *rest != '\0')
        return err_set(err, ERR_CONFIG, "%s is \"%.64s\"; it must be a version such as 11.8", name,
                       value);
    *out = (int64_t)(major * 1000 + minor * 10);
    return 0;
}

static int set_switch(bool *out, const char *name, const char *value, struct err *err)
{
    static const char *const words[] = { "0", "1", "false", "true", "no", "yes", "off", "on" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *out = i % 2 == 1;
            return 0;
        }
    }
    return err_set(err, ERR_CONFIG, "%s is \"%.32s\"; it must be 1 or 0 (or true, yes, on, ...)",
                   name, value);
}

/* Values of the variable are replaced by those of flags, which are added up. */
static int set_list(struct config_list *list, const char *name, const char *value, struct err *err)
{
    bool is_flag = name[0] == '-';
    if (is_flag && !list->from_flags)
        list->count = 0;
    list->from_flags = is_flag;
    if (list->count == CONFIG_LIST_MAX)
        return err_set(err, ERR_CONFIG, "%s is given more than %d times", name, CONFIG_LIST_MAX);
    list->texts[list->count++] = value;
    return 0;
}

static int set_level(enum log_level *out, const char *name, const char *value, struct err *err)
{
    if (log_parse_level(slice_from(value), out))
        return 0;
    return err_set(err, ERR_CONFIG,
                   "%s is \"%.32s\"; it must be NOTSET, TRACE, DEBUG, INFO, WARN, ERROR or 0 to 5",
                   name, value);
}

int option_set(struct config *config, const struct option *option, const char *name,
               const char *value, struct err *err)
{
    void *out = field(config, option);
    if (!option_is_there(option, config))
        return option_refuse(name, option->parts, err);
    switch ((enum option_kind)option->kind) {
    case OPTION_SLICE: *(slice *)out = slice_from(value); return 0;
    case OPTION_TEXT:
    case OPTION_CHOICE: *(const char **)out = value; return 0;
    case OPTION_LIST: return set_list(out, name, value, err);
    case OPTION_NUMBER: return set_number(out, option, name, value, err);
    case OPTION_DECIMAL: return set_decimal(out, option, name, value, err);
    case OPTION_VERSION: return set_version(out, option, name, value, err);
    case OPTION_SWITCH: return set_switch(out, name, value, err);
    case OPTION_LEVEL: return set_level(out, name, value, err);
    case OPTION_USED_LATER: return 0;
    }
    return 0;
}

static void set_defaults(struct config *config)
{
    *config = (struct config){ .absent_parts = config->absent_parts,
                               .log_level = OPTION_LEVEL_DEFAULT };
    for (size_t i = 0; i < option_count; i++)
        if (options[i].kind == OPTION_NUMBER || options[i].kind == OPTION_DECIMAL ||
            options[i].kind == OPTION_VERSION)
            *(int64_t *)field(config, &options[i]) = (int64_t)options[i].fallback * options[i].unit;
}

/*
 * A set-user-ID program takes no programs, files, folders and hosts from whoever starts it, nor
 * leave to be debugged.
 */
static const char *read_variable(const struct option *option)
{
    bool trusts = option->kind == OPTION_TEXT || option->kind == OPTION_LIST ||
                  option->offset == AT(allow_debugger);
    const char *name = option_text(option, OPTION_VARIABLE);
    return trusts ? secure_getenv(name) : getenv(name);
}

/* Whether a variable asks for the part that its option needs: others are set for everybody. */
static bool asks_for_part(const struct option *option)
{
    bool is_own = strncmp(option_text(option, OPTION_VARIABLE), "RP_", 3) == 0;
    return (is_own && option->parts != PART_GPU) || option->offset == AT(realtime_port);
}

int options_from_environment(struct config *config, struct err *err)
{
    set_defaults(config);
    for (size_t i = 0; i < option_count; i++) {
        const char *name = option_text(&options[i], OPTION_VARIABLE);
        const char *value = name[0] != '\0' ? read_variable(&options[i]) : NULL;
        if (value == NULL || value[0] == '\0')
            continue;
        if (!option_is_there(&options[i], config) && !asks_for_part(&options[i]))
            continue;
        int rc = option_set(config, &options[i], name, value, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}
