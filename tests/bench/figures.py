"""How each figure is measured. A measurement is a function of the bench that returns its rows."""

import concurrent.futures
import itertools
import json
import os
import re
import sys
import sysconfig
import tarfile
import time

import api
import between
import confined
import gpu
import handshake
import kit
import noop
import parts
import python_sdk
import sentiment
import serve
import through_http
from jobs import LABELS, PATIENCE_S, memory_note, run_jobs, tree_bytes
from procs import BenchError, Platform, Relay, Worker, wait_for
from table import Row

MIB = 1024 * 1024
STARTS_PER_SDK_START = 10  # ours is started so often for each start of the SDK
SETTLE_S = 0.5  # from "all connections open" to looking at the memory
BIG_JOBS = 3  # in one round
STREAM_PARTS = {"ours": 20000, "sdk": 500}  # of the one job in a round
STOPS = {"ours": 20, "sdk": 3}  # in one round
BIG_INPUT = 10_000_000  # bytes of the string in the input
BIG_RESULT = 8_000_000  # bytes of the string in the result, see big.c
FAILING_S = 10  # how long a platform fails

START_LIMITS_MS = {"HTTP": 2, "TLS P-256": 5, "TLS RSA-2048": 4}  # what HTTP has, and a handshake's CPU (handshake.py)
FAR_MORE_MS = 10  # than 3.5 round trips: the start, the handshake's CPU, and relay.py's threads


# ---- start and idle memory -------------------------------------------------------------------


def _start_once(bench, platform, side, roots, with_memory):
    """One start. Returns: ms to the first job-take, the platform's report, the memory or None."""
    platform.reset()
    memory = None
    with bench.worker(side, "echo", platform.port, roots) as worker:
        take = wait_for(platform, worker, "first_take", PATIENCE_S)
        if with_memory:
            report = platform.report()
            if not all(report["requests"][r] for r in ("job-take", "job-stop", "ping")):
                wait_for(platform, worker, "all_open", PATIENCE_S)
            time.sleep(SETTLE_S)
            memory = worker.memory()
            worker.check()
        report = platform.report()
        return (take["ns"] - worker.start_ns) / 1e6, report, memory


def _start_round(bench, platform, side, roots, rows, seen):
    start, idle = rows
    count = STARTS_PER_SDK_START if side == "ours" else 1
    for i in range(count):
        last = i == count - 1
        ms, report, memory = _start_once(bench, platform, side, roots, with_memory=last)
        if roots is not None and report["full_handshakes_at_take"] < 1:
            raise BenchError("a job-take came without a full handshake")
        start.add(side, ms)
        if side == "ours":
            seen["resumed"] += report["take_resumed"]
        if last:
            idle.add(side, memory["rss"] / 1024)
            seen[side] = {**memory, "connections": report["open"]}


def _start_note(transport, start, seen):
    ours, sdk = start.samples["ours"], start.samples["sdk"]
    parts = []
    if ours:
        parts.append(f"ours {min(ours):.2f} to {max(ours):.2f} ms in {len(ours)} starts")
    if sdk:
        parts.append(f"the SDK's {min(sdk):,.0f} to {max(sdk):,.0f} ms in {len(sdk)}")
    if ours and transport != "HTTP":
        parts.append(
            f"leaf, intermediate and root; one full handshake at least comes first, and in "
            f"{seen['resumed']} starts of ours the job-take's own connection resumes its session"
        )
    return "; ".join(parts)


def start_and_idle(bench, transport):
    """From just before the process is made to the first job-take's head on the platform's socket;
    then the resident memory with job-take, job-stop and ping connected. The platform is up and has
    served one start of each side before."""
    http = transport == "HTTP"
    start = Row(f"start to first job-take, {transport}", "ms", limit=START_LIMITS_MS[transport])
    start.min_ratio = 500 if http else None
    idle = Row(f"idle memory, {transport}", "MiB", limit=1 if http else 1.5)
    seen = {"resumed": 0}
    roots, options = bench.tls(transport)
    with Platform(bench.platform, *options) as platform:
        for n in range(-1, bench.rounds):
            bench.progress(f"start and idle, {transport}: round {n + 1} of {bench.rounds}")
            for side in bench.sides:
                if side in start.errors:
                    continue
                try:
                    if n < 0:
                        _start_once(bench, platform, side, roots, with_memory=False)
                    else:
                        _start_round(bench, platform, side, roots, (start, idle), seen)
                except BenchError as e:
                    start.errors[side] = idle.errors[side] = str(e)
    start.note, idle.note = _start_note(transport, start, seen), memory_note(seen)
    return [start, idle]


# ---- a platform that is far away -------------------------------------------------------------


def _far_start(bench, platform, port, side, roots):
    """ms from just before the process is made to the first job-take's head on the platform's socket."""
    platform.reset()
    with bench.worker(side, "echo", port, roots) as worker:
        take = wait_for(platform, worker, "first_take", PATIENCE_S)
        return (take["ns"] - worker.start_ns) / 1e6


def far_start(bench, round_trip_ms):
    """Start to first job-take over TLS through relay.py: connecting, a full handshake and the request's way
    take 3.5 round trips; the rest is CPU. That holds every time, so the slowest start of ours is judged, too."""
    limit = 3.5 * round_trip_ms + FAR_MORE_MS
    row = Row(f"start to first job-take, {round_trip_ms} ms away", "ms", limit)
    slowest = Row("the same, the slowest start", "ms", limit)
    roots, options = bench.tls("TLS P-256")
    with Platform(bench.platform, *options) as platform, Relay(platform.port, round_trip_ms) as relay:
        for n, side in itertools.product(range(bench.rounds), bench.sides):
            if side in row.errors:
                continue
            bench.progress(f"{round_trip_ms} ms away: round {n + 1} of {bench.rounds}")
            try:
                for _ in range(STARTS_PER_SDK_START if side == "ours" else 1):
                    row.add(side, _far_start(bench, platform, relay.port, side, roots))
            except BenchError as e:
                row.errors[side] = slowest.errors[side] = str(e)
    for side, samples in row.samples.items():
        if samples:
            slowest.add(side, max(samples))
    ours = row.samples["ours"]
    if ours:
        row.note = f"TLS P-256; ours {min(ours):.1f} to {max(ours):.1f} ms in {len(ours)} starts"
    return [row, slowest]


# ---- along the way ---------------------------------------------------------------------------


def _stream_once(bench, side):
    parts = STREAM_PARTS[side]
    with open(bench.file("stream.json"), "w", encoding="ascii") as f:
        json.dump({"parts": parts}, f)
    with Platform(bench.platform, "--input", bench.file("stream.json")) as platform:
        platform.reset(1)
        with bench.worker(side, "stream", platform.port) as worker:
            wait_for(platform, worker, "jobs_done", PATIENCE_S)
            report = platform.report()
    if report["requests"]["job-stream"] != parts:
        raise BenchError(f"{report['requests']['job-stream']} parts of {parts} came")
    return (parts - 1) * 1e9 / (report["last_stream_ns"] - report["first_ns"]["job-stream"])


def stream(bench):
    """One job that yields small parts as fast as it can, from the first part to the last."""
    rate = Row("stream parts", "/s", 1000, more_is_better=True)
    for n, side in itertools.product(range(bench.rounds), bench.sides):
        if side in rate.errors:
            continue
        bench.progress(f"stream parts: round {n + 1} of {bench.rounds}")
        try:
            rate.add(side, _stream_once(bench, side))
        except BenchError as e:
            rate.errors[side] = str(e)
    return [rate]


def _wait_lines(worker, pattern, count):
    """The count-th match in the worker's log."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with open(worker.log, "rb") as f:
            found = re.findall(pattern, f.read())
        if len(found) >= count:
            return found[count - 1]
        worker.check()
        if time.monotonic() > deadline:
            raise BenchError(f"no {pattern!r} in the log; its end: {worker.log_tail()}")
        time.sleep(0.001)


def _stop_once(platform, worker, number):
    """Stops the job that waits. From the platform's answer to the handler that knows, in ms."""
    _wait_lines(worker, rb"waiting", number)
    event = None
    while event is None or event["event"] == "no_stop":
        if event is not None:
            time.sleep(0.01)  # the stop channel is between two requests
        platform.command("stop")
        event = platform.next(10)
    told_ns = int(_wait_lines(worker, rb"told (\d+)", number))
    return (told_ns - event["ns"]) / 1e6


def stop(bench):
    """A job that waits to be stopped: from the first byte of the stop channel's answer to the moment
    at which its handler knows."""
    told = Row("stop signal to handler told", "ms", 5)
    for n, side in itertools.product(range(bench.rounds), bench.sides):
        if side in told.errors:
            continue
        bench.progress(f"stop signals: round {n + 1} of {bench.rounds}")
        try:
            with Platform(bench.platform) as platform:
                platform.reset(1)
                with bench.worker(side, "stop", platform.port) as worker:
                    wait_for(platform, worker, "all_open", PATIENCE_S)
                    for number in range(1, STOPS[side] + 1):
                        told.add(side, _stop_once(platform, worker, number))
                        platform.command("more 1")
        except BenchError as e:
            told.errors[side] = str(e)
    ours = told.samples["ours"]
    if ours:
        told.note = f"ours {min(ours):.3f} to {max(ours):.3f} ms in {len(ours)} stops"
    told.note += "; the SDK's handler is asynchronous: a blocking one is never told"
    return [told]


# ---- large payloads --------------------------------------------------------------------------


def _handler_times(job):
    found = re.search(r'"begin_ns": ?(\d+), ?"end_ns": ?(\d+)', job["result"])
    if not found:
        raise BenchError(f"the result is not the large handler's: {job['result']}")
    return int(found[1]), int(found[2])


def _big_round(bench, platform, side, rows, seen):
    taken, given, total, peak = rows
    report, memory = run_jobs(bench, platform, side, "big", BIG_JOBS)
    result_bytes = report["result_bytes"] / BIG_JOBS
    if result_bytes < BIG_RESULT:
        raise BenchError(f"results of {result_bytes:.0f} bytes")
    for job in report["jobs"]:
        begin_ns, end_ns = _handler_times(job)
        taken.add(side, (begin_ns - job["handout_ns"]) / 1e6)
        given.add(side, (job["result_ns"] - end_ns) / 1e6)
        total.add(side, (job["result_ns"] - job["handout_ns"]) / 1e6)
    peak.add(side, memory["vm_hwm"] / 1024)
    seen[side] = memory
    seen["payload"] = (report["job_bytes"] + result_bytes) / MIB


def big(bench):
    """A string of 10 MB in, 8 MB of it out; three jobs by a fresh worker each round. The peak is
    VmHWM, which the kernel keeps from page counts that lag by a batch of pages on each core: it
    can be some 0.25 MiB low."""
    taken = Row("10 MB job: hand-out to handler", "ms", 40)
    given = Row("8 MB result: handler to platform", "ms", 40)
    total = Row("both: hand-out to result", "ms")
    payload = (BIG_INPUT + BIG_RESULT) / MIB
    peak = Row("both: peak memory", "MiB", payload + 4)
    seen = {}
    rows = (taken, given, total, peak)
    with Platform(bench.platform, "--input", bench.big_input()) as platform:
        for n in range(bench.rounds):
            bench.progress(f"large payloads: round {n + 1} of {bench.rounds}")
            for side in bench.sides:
                if side in peak.errors:
                    continue
                try:
                    _big_round(bench, platform, side, rows, seen)
                except BenchError as e:
                    for row in rows:
                        row.errors[side] = str(e)
    peak.note = (
        f"VmHWM, which can be 0.25 MiB low; payload {payload:.2f} MiB, its larger half "
        f"{BIG_INPUT / MIB:.2f} MiB"
    )
    if peak.median("ours"):
        ours = peak.median("ours")
        peak.note += (
            f"; ours {ours - payload:+.2f} MiB over the payload, {ours - BIG_INPUT / MIB:+.2f} MiB "
            f"over the larger half"
        )
    if "sdk" in seen:
        peak.note += f"; the SDK's is the sum of {seen['sdk']['processes']} processes"
    return [taken, given, total, peak]


def big_child(bench):
    """The same string into a program and out of it again; the peak is that of the worker alone, not of
    the program, which holds a job of its own. One job's output is posted while the next is taken."""
    peak = Row("10 MB through a program: peak of the worker", "MiB", 2 * BIG_INPUT / MIB + 4)
    if "ours" not in bench.sides:
        return []
    with Platform(bench.platform, "--input", bench.big_input()) as platform:
        for n in range(bench.rounds):
            bench.progress(f"10 MB through a program: round {n + 1} of {bench.rounds}")
            try:
                _, memory = run_jobs(bench, platform, "ours", "child", BIG_JOBS)
                peak.add("ours", memory["worker_hwm"] / 1024)
            except BenchError as e:
                peak.errors["ours"] = str(e)
                break
    peak.note = f"in and out again, {BIG_INPUT / MIB:.2f} MiB each; over one of them"
    if peak.median("ours"):
        peak.note += f" {peak.median('ours') - BIG_INPUT / MIB:+.2f} MiB"
    return [peak]


# ---- a failing platform ----------------------------------------------------------------------


def _watch_failure(worker, requests):
    """Requests and CPU from the first request on for FAILING_S. `requests` counts them so far."""
    deadline = time.monotonic() + PATIENCE_S
    while requests() == 0:
        worker.check()
        if time.monotonic() > deadline:
            raise BenchError("the worker asked for nothing")
        time.sleep(0.01)
    cpu_before = worker.cpu_s()
    end = time.monotonic() + FAILING_S
    time.sleep(max(0, end - time.monotonic()))
    count, cpu_s = requests(), worker.cpu_s()
    worker.check()
    return {
        "requests": count,
        "cpu": 100 * (cpu_s - cpu_before) / FAILING_S,
        "cpu_with_start": 100 * cpu_s / FAILING_S,
        "log_bytes": os.path.getsize(worker.log),
    }


def _refused_once(bench, side):
    with bench.worker(side, "echo", 9, netns=True) as worker:  # there, nobody listens
        return _watch_failure(worker, worker.connects)


def _status_once(bench, side):
    with Platform(bench.platform, "--status", "500") as platform:
        with bench.worker(side, "echo", platform.port) as worker:
            return _watch_failure(worker, lambda: sum(platform.report()["requests"].values()))


def failing(bench, name, once):
    """Both sides at a time, each with a platform of its own: ours sleeps nearly all the time, so
    the SDK has the machine for itself."""
    asked = Row(f"{name} for {FAILING_S} s: requests in all", "requests", 20)
    cpu = Row(f"{name} for {FAILING_S} s: of a core", "%", 1)
    log_bytes = {}
    for n in range(bench.rounds):
        bench.progress(f"{name}: round {n + 1} of {bench.rounds}, {FAILING_S} s each")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = {
                side: pool.submit(once, bench, side)
                for side in bench.sides
                if side not in asked.errors
            }
        for side, future in waiting.items():
            try:
                result = future.result()
            except BenchError as e:
                asked.errors[side] = cpu.errors[side] = str(e)
                continue
            asked.add(side, result["requests"])
            cpu.add(side, result["cpu_with_start" if side == "ours" else "cpu"])
            log_bytes[side] = result["log_bytes"]
    cpu.note = "ours with its start, the SDK's from its first request on"
    asked.note = "log written: " + ", ".join(
        f"{LABELS[side]} {size / 1000:,.1f} KB" for side, size in log_bytes.items()
    )
    return [asked, cpu]


# ---- sizes -----------------------------------------------------------------------------------


def _sdk_bytes():
    """The SDK's packages, the interpreter and its library; no libc, shell or distribution."""
    packages = tree_bytes(sysconfig.get_path("purelib"), skip=("pip", "setuptools"))
    if sysconfig.get_path("platlib") != sysconfig.get_path("purelib"):
        packages += tree_bytes(sysconfig.get_path("platlib"))
    library = tree_bytes(
        sysconfig.get_path("stdlib"), skip=("site-packages", "dist-packages", "test")
    )
    return packages + library + os.path.getsize(os.path.realpath(sys.executable))


def _image_bytes(path):
    """Of an image archive: its layers plus its configuration, the largest file in a layer (the
    binary), and the archive itself."""
    content = binary = 0
    with tarfile.open(path) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        content += archive.getmember(manifest["Config"]).size
        for layer in manifest["Layers"]:
            content += archive.getmember(layer).size
            with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                binary = max([binary] + [member.size for member in files])
    return content, binary, os.path.getsize(path)


def sizes(bench):
    """The stripped binary, and what the image adds to it."""
    binary = Row("binary with TLS and roots", "KB", 300)
    image = Row("image over its binary", "KB", 4)
    if "sdk" in bench.sides:
        binary.add("sdk", _sdk_bytes() / 1000)
        binary.note = "the SDK's: its packages, the interpreter and its library, nothing below"
    if "ours" in bench.sides:
        try:
            binary.add("ours", os.path.getsize(bench.build("worker")) / 1000)
        except (BenchError, OSError) as e:
            binary.errors["ours"] = str(e)
        try:
            content, inside, archive = _image_bytes(bench.build("image.tar"))
            image.add("ours", (content - inside) / 1000)
            image.note = (
                f"layers and configuration {content:,} bytes, binary {inside:,}; "
                f"the archive for `docker load` {archive:,}"
            )
        except (BenchError, OSError, KeyError, ValueError, tarfile.TarError) as e:
            image.errors["ours"] = f"image.tar: {e}"
    return [binary, image]


# In the order of the table; the names are what --only takes.
MEASUREMENTS = {
    "start": lambda bench: [row for t in START_LIMITS_MS for row in start_and_idle(bench, t)],
    "far": lambda bench: [row for away in (0, 30, 100) for row in far_start(bench, away)],
    "handshake": handshake.all_figures,
    "noop": noop.one_slot,
    "between": between.all_figures,
    "confine": confined.all_figures,
    "parallel": noop.parallel,
    "stream": stream,
    "stop": stop,
    "big": lambda bench: big(bench) + big_child(bench),
    "refused": lambda bench: failing(bench, "connections refused", _refused_once),
    "status": lambda bench: failing(bench, "every answer 500", _status_once),
    "python": python_sdk.all_figures,
    "http": through_http.all_figures,
    "api": api.all_figures,
    "size": sizes,
    "parts": parts.all_figures,
    "kit": kit.all_figures,
    "gpu": gpu.all_figures,
    "sentiment": sentiment.all_figures,
    "serve": serve.all_figures,
}
