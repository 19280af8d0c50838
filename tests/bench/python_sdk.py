"""A Python handler, unchanged: on the SDK, and behind this worker on src/handlers/python (python_handler.py)."""

import itertools
import time

from jobs import PATIENCE_S, memory_note, run_jobs
from procs import BenchError, Platform, wait_for
from table import Row

HANDLER = "python"
STARTS_PER_SDK_START = 5
SETTLE_S = 0.5  # from the first result to looking at the memory
# In one round, by the jobs at a time; as in noop.py.
JOBS = {
    1: {"ours": 2000, "sdk": 6},
    4: {"ours": 4000, "sdk": 16},
    50: {"ours": 10000, "sdk": 500},
}


def _each(bench, rows):
    """The sides that have not failed, round by round."""
    for n, side in itertools.product(range(bench.rounds), bench.sides):
        if side not in rows[0].errors:
            yield n, side


def _fail(rows, side, problem):
    for row in rows:
        row.errors[side] = str(problem)


def _start_once(bench, platform, side):
    """ms from just before the process is made to its first job-take and to its first result; then its memory."""
    platform.reset(1)
    with bench.worker(side, HANDLER, platform.port) as worker:
        take = wait_for(platform, worker, "first_take", PATIENCE_S)
        wait_for(platform, worker, "jobs_done", PATIENCE_S)
        time.sleep(SETTLE_S)
        memory, report = worker.memory(worker.tree()), platform.report()
    result_ns = report["jobs"][0]["result_ns"]
    return (take["ns"] - worker.start_ns) / 1e6, (result_ns - worker.start_ns) / 1e6, {
        **memory,
        "connections": report["open"],
    }


def start(bench):
    """From the start of the process to its first job-take and result, and its memory after that one job."""
    rows = (
        Row("Python handler: start to first job-take", "ms", min_ratio=10),
        Row("Python handler: start to first result", "ms", min_ratio=10),
        Row("Python handler: memory after one job", "MiB", 25),
    )
    seen = {}
    with Platform(bench.platform) as platform:
        for n, side in _each(bench, rows):
            bench.progress(f"Python handler, start: round {n + 1} of {bench.rounds}")
            try:
                for _ in range(STARTS_PER_SDK_START if side == "ours" else 1):
                    take, result, seen[side] = _start_once(bench, platform, side)
                    rows[0].add(side, take)
                    rows[1].add(side, result)
                rows[2].add(side, seen[side]["rss"] / 1024)
            except BenchError as e:
                _fail(rows, side, e)
    rows[2].note = memory_note(seen)
    return list(rows)


def rate(bench, slots):
    """No-op jobs with so many at a time: one process of either side."""
    row = Row(
        f"Python handler: no-op jobs, concurrency {slots}",
        "/s",
        min_ratio=100 if slots == 1 else None,
        more_is_better=True,
    )
    for n, side in _each(bench, (row,)):
        bench.progress(f"Python handler, {slots} at a time: round {n + 1} of {bench.rounds}")
        try:
            with Platform(bench.platform) as platform:
                report, _ = run_jobs(bench, platform, side, HANDLER, JOBS[slots][side], slots)
            row.add(side, report["jobs_per_s"])
        except BenchError as e:
            _fail((row,), side, e)
    return row


def all_figures(bench):
    return start(bench) + [rate(bench, slots) for slots in JOBS]
