"""--confine beside the same worker without it: the start, and jobs that cost nothing. One start, or one run of jobs, of each in
turn, so that whatever else the machine does falls on both."""

from jobs import PATIENCE_S, run_jobs
from procs import BenchError, Platform, wait_for
from table import Row

NAME = "the same unconfined"
STARTS = 60  # in a round, of each
JOBS = {"echo": 5000, "child": 3000}  # in a round, of each
WORDS = {"echo": "a C handler", "child": "a program"}
START_MORE_MS = 0.2
JOBS_RATIO = 0.98
SIDES = {"ours": "on", "sdk": "off"}  # of a row that is against another one


def _start_ms(bench, platform, handler, mode):
    platform.reset()
    with bench.worker("ours", handler, platform.port, variables={"RP_CONFINE": mode}) as worker:
        take = wait_for(platform, worker, "first_take", PATIENCE_S)
        return (take["ns"] - worker.start_ns) / 1e6


def _jobs_per_s(bench, platform, handler, mode):
    report, _ = run_jobs(bench, platform, "ours", handler, JOBS[handler], variables={"RP_CONFINE": mode})
    return report["jobs_per_s"]


def _pairs(bench, row, count, once):
    """Fills the row; the first of each is not counted."""
    try:
        for n in range(count + 1):
            for side, mode in SIDES.items():
                value = once(mode)
                if n > 0:
                    row.add(side, value)
    except BenchError as e:
        row.errors["ours"] = str(e)


def _figures(bench, platform, handler):
    start = Row(
        f"start to first job-take, confined, {WORDS[handler]}", "ms", against=NAME, more_than_other=START_MORE_MS
    )
    jobs = Row(f"no-op jobs confined, {WORDS[handler]}", "/s", min_ratio=JOBS_RATIO, more_is_better=True, against=NAME)
    bench.progress(f"confined, {WORDS[handler]}: starts")
    _pairs(bench, start, STARTS * bench.rounds, lambda mode: _start_ms(bench, platform, handler, mode))
    bench.progress(f"confined, {WORDS[handler]}: jobs")
    _pairs(bench, jobs, 2 * bench.rounds, lambda mode: _jobs_per_s(bench, platform, handler, mode))
    if start.ratio() is not None:
        start.note = f"{start.median('ours') - start.median('sdk'):+.3f} ms; {STARTS * bench.rounds} starts of each in turn"
    return [start, jobs]


def all_figures(bench):
    if "ours" not in bench.sides:
        return []
    with Platform(bench.platform) as platform:
        return [row for handler in WORDS for row in _figures(bench, platform, handler)]
