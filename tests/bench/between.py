"""Between two jobs at concurrency 1, on a platform that is far away: what a slot loses from one result to the next job."""

import itertools

from jobs import run_jobs
from procs import BenchError, Platform, Relay
from table import Row

ROUND_TRIPS_MS = (0, 30, 100)
JOBS = {"ours": {0: 2000, 30: 100, 100: 30}, "sdk": {0: 6, 30: 6, 100: 6}}  # in one round


def _gap_ms(bench, side, round_trip_ms):
    """A job that costs nothing, over and over: all of its time is that from one job to the next."""
    jobs = JOBS[side][round_trip_ms]
    with Platform(bench.platform) as platform, Relay(platform.port, round_trip_ms) as relay:
        report, _ = run_jobs(bench, platform, side, "echo", jobs, port=relay.port)
    return 1000 / report["jobs_per_s"]


def all_figures(bench):
    rows = {
        away: Row(f"between two jobs, concurrency 1, {away} ms away", "ms", limit=away + 2 if away else None)
        for away in ROUND_TRIPS_MS
    }
    for n, (away, row), side in itertools.product(range(bench.rounds), rows.items(), bench.sides):
        if side in row.errors:
            continue
        bench.progress(f"between two jobs, {away} ms away: round {n + 1} of {bench.rounds}")
        try:
            row.add(side, _gap_ms(bench, side, away))
        except BenchError as e:
            row.errors[side] = str(e)
    for row in rows.values():
        row.note = "through relay.py; a job's result is posted while the next one is taken"
    return list(rows.values())
