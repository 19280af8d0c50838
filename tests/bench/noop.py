"""Jobs that cost nothing: what is left is the worker. By the echo handler, and by a program that echoes
(child.c), both against the SDK's Python function."""

import contextlib
import itertools
import os
import statistics

from jobs import PATIENCE_S, memory_note, run_jobs
from procs import BenchError, Platform
from table import Row

# In one round, by the number of slots; the SDK does one a second in each, all slots at a time, so that few jobs
# would flatter it: those of the first burst take no time.
JOBS = {
    1: {"echo": 5000, "child": 5000, "sdk": 6},
    4: {"echo": 20000, "child": 10000, "sdk": 16},
    50: {"echo": 50000, "child": 20000, "sdk": 500},
}
MIN_RATIO = {"echo": 1000, "child": 300}
NAMES = {"echo": "no-op jobs", "child": "no-op jobs by a program"}


class Rates:
    """Jobs a second with so many slots, by the linked handler and by the program."""

    def __init__(self, slots):
        self.slots = slots
        self.rows = {
            handler: Row(
                f"{name}, concurrency {slots}", "/s", min_ratio=MIN_RATIO[handler], more_is_better=True
            )
            for handler, name in NAMES.items()
        }
        self.rows["echo"].limit = 3000 if slots == 1 else None

    def run(self, bench, side, handler):
        """One round of one side: the report and the memory, or None where it failed."""
        rows = list(self.rows.values()) if side == "sdk" else [self.rows[handler]]
        if side in rows[0].errors:
            return None
        jobs = JOBS[self.slots]["sdk" if side == "sdk" else handler]
        try:
            with Platform(bench.platform) as platform:
                done = run_jobs(bench, platform, side, handler, jobs, self.slots)
        except BenchError as e:
            for row in rows:
                row.errors[side] = str(e)
            return None
        for row in rows:
            row.add(side, done[0]["jobs_per_s"])
        return done


def runs(bench):
    """The sides with the handlers of each: the SDK has the one."""
    found = [("ours", handler) for handler in NAMES] if "ours" in bench.sides else []
    return found + [("sdk", "echo")] * ("sdk" in bench.sides)


def _self_bench(bench):
    with Platform(bench.platform, "--self-bench", "5000") as platform:
        return platform.until("report", PATIENCE_S)["jobs_per_s"]


@contextlib.contextmanager
def _one_core():
    """All processes started meanwhile share one core: no core has to be woken for a message."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _shared_core(bench, shared):
    with contextlib.suppress(BenchError), _one_core(), Platform(bench.platform) as platform:
        report, _ = run_jobs(bench, platform, "ours", "echo", JOBS[1]["echo"])
        shared.append(report["jobs_per_s"])


def _note(rate, ceiling, shared):
    top = statistics.median(ceiling["spread"])
    note = f"a client inside the platform that only takes and posts gets {top:,.0f}/s"
    if rate.median("ours") and rate.median("ours") > 0.8 * top:
        note += ", so here the platform limits"
    note += f" ({statistics.median(ceiling['shared']):,.0f}/s sharing its core"
    if shared:
        note += f", where ours does {statistics.median(shared):,.0f}/s"
    return note + ")"


def one_slot(bench):
    """One job after the other. The ceiling is what a client inside the platform gets; it is taken with
    everything on one core, too, where no core's waking is in the figure."""
    rates = Rates(1)
    p99 = Row("hand-out to result, p99", "ms", 1)
    p50 = Row("hand-out to result, median", "ms")
    added = Row("a program's part of that, median", "us", 100)
    ceiling, shared = {"spread": [], "shared": []}, []
    for n in range(bench.rounds):
        bench.progress(f"no-op jobs: round {n + 1} of {bench.rounds}")
        ceiling["spread"].append(_self_bench(bench))
        with _one_core():
            ceiling["shared"].append(_self_bench(bench))
        medians = {}
        for side, handler in runs(bench):
            done = rates.run(bench, side, handler)
            if done is None:
                continue
            latency = done[0]["latency_ns"]
            medians[side, handler] = latency["p50"]
            if handler == "echo":
                p99.add(side, latency["p99"] / 1e6)
                p50.add(side, latency["p50"] / 1e6)
        if len([key for key in medians if key[0] == "ours"]) == 2:
            added.add("ours", (medians["ours", "child"] - medians["ours", "echo"]) / 1e3)
        if "ours" in bench.sides:
            _shared_core(bench, shared)
    for row in (p99, p50):
        row.errors = rates.rows["echo"].errors
    added.errors = rates.rows["child"].errors
    rates.rows["echo"].note = _note(rates.rows["echo"], ceiling, shared)
    p99.note = "of {echo} jobs a round; the SDK's is the slowest of {sdk}".format(**JOBS[1])
    added.note = "over the linked handler in the same round"
    return [*rates.rows.values(), p99, p50, added]


def parallel(bench):
    """With several slots. The memory is that of the worker after its jobs."""
    all_rates = [Rates(slots) for slots in JOBS if slots > 1]
    memory = Row("memory at concurrency 50", "MiB", 4)
    seen = {}
    for n, rates, (side, handler) in itertools.product(range(bench.rounds), all_rates, runs(bench)):
        bench.progress(f"no-op jobs, {rates.slots} slots: round {n + 1} of {bench.rounds}")
        done = rates.run(bench, side, handler)
        if done is not None and rates.slots == 50 and handler == "echo":
            report, used = done
            memory.add(side, used["rss"] / 1024)
            seen[side] = {**used, "connections": report["open"]}
    memory.errors = dict(all_rates[-1].rows["echo"].errors)
    memory.note = memory_note(seen)
    return [row for rates in all_rates for row in rates.rows.values()] + [memory]
