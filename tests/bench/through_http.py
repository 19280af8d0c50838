"""A server behind the worker: what passing a job on costs, and how late the parts of a stream are.

Our side is build/worker --handler-http, the other the SDK with aiohttp (sdk_handler.py), both in front of
eventserver.c and on the same platform. An event carries the time at which it was made; the platform compares it
with the time at which the part that begins with it had come.
"""

import contextlib
import itertools
import json
import os
import subprocess
import time

from procs import BenchError, Lines, Platform, Worker, wait_for
from table import Row

PATIENCE_S = 60
INTERVAL_MS = 50  # --stream-interval, its default
JSON_JOBS = {1: {"ours": 3000, "sdk": 6}, 64: {"ours": 20000, "sdk": 256}}  # in one round, by the slots
EVENTS = {"ours": 5000, "sdk": 1000}  # of the one stream in a round, 1,000 a second
STREAMS = 64
STREAM_EVENTS, STREAM_RATE = 500, 100  # of each of the 64


@contextlib.contextmanager
def event_server(bench):
    """The server's port."""
    binary = bench.compile("eventserver")
    process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Lines(process.stdout, "event server").until("listening", 10)["port"]
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def direct(bench, port, slots):
    """p50 and p99 of requests without a worker in between, in ms."""
    requests = JSON_JOBS[slots]["ours"]
    command = [bench.file("eventserver"), str(port), str(requests), str(slots)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode != 0:
        raise BenchError(f"the direct requests failed: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    return found["p50"] / 1e6, found["p99"] / 1e6


def start(bench, side, handler, platform, port, slots):
    env = bench.environment(platform.port, None)
    url = f"http://127.0.0.1:{port}"
    if side == "sdk":
        command = bench.command("sdk", handler, slots)
        env["BENCH_SERVER"] = url
    else:
        command = [bench.build("worker"), "--handler-http", url, "--concurrency", str(slots)]
        command += ["--stream-interval", str(INTERVAL_MS)]
    return Worker(bench.launcher, command, env, os.path.join(bench.folder, f"{side}.log"))


def platform_for(bench, route, body):
    path = bench.file("http.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump({"route": route, "body": body}, f)
    return Platform(bench.platform, "--input", path)


def _good(report, jobs):
    if report["results_ok"] != jobs:
        raise BenchError(f"{report['results_ok']} of {jobs} results are good: {report['jobs'][:1]}")
    return report


def _json_round(bench, side, slots, rows):
    jobs = JSON_JOBS[slots][side]
    with event_server(bench) as port, platform_for(bench, "/json", {"a": 1}) as platform:
        p50, p99 = direct(bench, port, slots)
        platform.reset(jobs)
        with start(bench, side, "http", platform, port, slots) as worker:
            wait_for(platform, worker, "jobs_done", PATIENCE_S)
            report = _good(platform.report(), jobs)
    if "ok" not in json.loads(report["jobs"][0]["result"]).get("output", {}):
        raise BenchError(f"the result is not the server's answer: {report['jobs'][0]['result']}")
    latency = report["latency_ns"]
    rows[0].add(side, latency["p50"] / 1e6 - p50)
    rows[1].add(side, latency["p99"] / 1e6 - p99)
    return f"a direct request takes {p50:.3f} ms, p99 {p99:.3f} ms"


def overhead(bench, slots):
    """Hand-out to result of a small JSON answer, less what the same request takes without a worker."""
    what = "one job" if slots == 1 else f"{slots} in flight"
    rows = [Row(f"over a direct request, {what}, {p}", "ms") for p in ("median", "p99")]
    for n, side in itertools.product(range(bench.rounds), bench.sides):
        if side in rows[0].errors:
            continue
        bench.progress(f"HTTP handler, {what}: round {n + 1} of {bench.rounds}")
        try:
            rows[0].note = _json_round(bench, side, slots, rows)
        except BenchError as e:
            for row in rows:
                row.errors[side] = str(e)
    return rows


def _stream_once(bench, side, rows):
    events = EVENTS[side]
    rate, late, first, posts = rows
    route = f"/events?events={events}&rate=1000"
    with event_server(bench) as port, platform_for(bench, route, {"stream": True}) as platform:
        platform.reset(1)
        with start(bench, side, "http_stream", platform, port, 1) as worker:
            wait_for(platform, worker, "jobs_done", PATIENCE_S)
            report = _good(platform.report(), 1)
    if not report["timed_parts"]:
        raise BenchError("no part begins with an event")
    rate.add(side, events * 1e9 / (report["last_stream_ns"] - report["first_event_ns"]))
    late.add(side, report["oldest_part_ns"] / 1e6)
    first.add(side, report["oldest_first_ns"] / 1e6)
    posts.add(side, report["requests"]["job-stream"] * 1000 / events)


def stream(bench):
    """One stream of 1,000 events a second, from the first event to the last part."""
    rows = [
        Row("tokens through a stream of 1,000/s", "/s", 950, more_is_better=True),
        Row("oldest event of a part, at most", "ms", INTERVAL_MS),
        Row("first event to first part", "ms", INTERVAL_MS + 5),
        Row("posts for 1,000 events", "requests"),
    ]
    for n, side in itertools.product(range(bench.rounds), bench.sides):
        if side in rows[0].errors:
            continue
        bench.progress(f"stream through HTTP: round {n + 1} of {bench.rounds}")
        try:
            _stream_once(bench, side, rows)
        except BenchError as e:
            for row in rows:
                row.errors[side] = str(e)
    return rows


def _wait_parts(platform, worker, count):
    deadline = time.monotonic() + PATIENCE_S
    while platform.report()["requests"]["job-stream"] < count:
        worker.check()
        if time.monotonic() > deadline:
            raise BenchError(f"fewer than {count} parts came; the log's end: {worker.log_tail()}")
        time.sleep(0.05)


def _memory_once(bench, side, row):
    route = f"/events?events={STREAM_EVENTS}&rate={STREAM_RATE}"
    with event_server(bench) as port, platform_for(bench, route, {"stream": True}) as platform:
        platform.reset(STREAMS)
        with start(bench, side, "http_stream", platform, port, STREAMS) as worker:
            _wait_parts(platform, worker, STREAMS * 10)
            memory = worker.memory()
            wait_for(platform, worker, "jobs_done", PATIENCE_S)
            _good(platform.report(), STREAMS)
    row.add(side, memory["rss"] / 1024)
    return f"{memory['threads']} threads"


def memory(bench):
    """Resident memory in the middle of 64 streams."""
    row = Row(f"memory at {STREAMS} streams", "MiB", 8)
    notes = {}
    for n, side in itertools.product(range(bench.rounds), bench.sides):
        if side in row.errors:
            continue
        bench.progress(f"memory at {STREAMS} streams: round {n + 1} of {bench.rounds}")
        try:
            notes[side] = _memory_once(bench, side, row)
        except BenchError as e:
            row.errors[side] = str(e)
    row.note = ", ".join(f"{side}: {note}" for side, note in notes.items())
    return [row]


def all_figures(bench):
    return [*overhead(bench, 1), *overhead(bench, 64), *stream(bench), *memory(bench)]
