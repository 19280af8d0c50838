"""A worker that has done a hundred thousand jobs is as large as one that has done a thousand, and holds no more.

The platform is that of the benchmarks (tests/bench/platform.c): the one of the other tests would need an hour.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from children import children_of, descriptors, sh
from notes import note
from workerproc import ROOT, RUNNER

BENCH = ROOT / "tests" / "bench"
SOURCES = ["platform.c", "mock_platform.c", "conn.c", "self_bench.c"]
JOBS = int(os.environ.get("MEMORY_JOBS", "100000"))
WARM_JOBS = 1000  # every buffer has its size
OWN_DESCRIPTORS = 9  # of a worker whose slots have not posted anything yet
RESULTS_MAX = 64  # on their way beside those of the slots (LIMIT_UNDELIVERED), each with its connection
PARTS = 4  # of the jobs
GROWTH_KIB = 256
BURST_KIB = 4096  # for RESULTS_MAX, where the platform is slow for a moment: they keep their connections
PATIENCE_S = 300

pytestmark = [pytest.mark.xdist_group("memory"), pytest.mark.timeout(900)]


def load_procs():
    spec = importlib.util.spec_from_file_location("bench_procs", BENCH / "procs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fast_platform(tmp_path_factory):
    """The benchmarks' platform, running."""
    if RUNNER:
        pytest.skip("an emulator's memory is not the worker's")
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not Path("/usr/include/openssl/ssl.h").exists():
        pytest.skip("the fast platform needs gcc and libssl-dev: MEMORY OVER 100,000 JOBS WAS NOT TESTED")
    out = tmp_path_factory.mktemp("bench") / "platform"
    command = [compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-o", str(out), *[str(BENCH / name) for name in SOURCES]]
    done = subprocess.run([*command, "-lssl", "-lcrypto"], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with load_procs().Platform(str(out)) as platform:
        yield platform


def resident_kib(process):
    """VmRSS, and what of it is the process's own."""
    smaps = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", smaps, re.M))
    return int(fields["Rss"])


def environment(port):
    base = f"http://127.0.0.1:{port}/v2/bench"
    return {
        "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=none",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=none",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID",
        "RUNPOD_PING_INTERVAL": "1000",
        "RUNPOD_AI_API_KEY": "rpa_TESTKEY0123456789SECRET",
        "RUNPOD_POD_ID": "pod-7x2",
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_LOG_LEVEL": "ERROR",
    }


class Use:
    """What a process holds: memory, descriptors, ended children that nobody has waited for."""

    def __init__(self, process):
        self.kib = resident_kib(process)
        self.descriptors = descriptors(process.pid)
        self.zombies = list(children_of(process.pid).values()).count("Z")

    def __str__(self):
        return f"{self.kib} KiB, {self.descriptors} descriptors, {self.zombies} zombies"


def do_jobs(platform, count):
    """Have the platform hand out so many jobs, to the worker that is there, and wait for all results."""
    platform.command(f"more {count}")
    platform.until("jobs_done", PATIENCE_S)


def warm_up(platform, process, slots):
    """The first jobs, until each slot has had one and has its connection: jobs that take no time seldom need
    all slots. How many jobs that took."""
    platform.until("jobs_done", PATIENCE_S)
    done = WARM_JOBS
    while slots and descriptors(process.pid) < OWN_DESCRIPTORS + slots and done < 50 * WARM_JOBS:
        do_jobs(platform, WARM_JOBS)
        done += WARM_JOBS
    return done


def check_use(name, platform, process, jobs, children=0, slots=0):
    """What the worker holds after its first jobs, it holds after so many more. How many of them all failed."""

    def use():
        """Once every slot has its child again."""
        process.witness.wait_for(lambda: len(children_of(process.pid)) == children, f"{children} children")
        return Use(process)

    warm = warm_up(platform, process, slots)
    uses = [use()]
    for _ in range(PARTS):
        do_jobs(platform, jobs // PARTS)
        uses.append(use())
    begin, end = uses[0], uses[-1]
    report = platform.report()
    note(
        "memory",
        f"{name}: {begin} after {warm:,} jobs, {end} after {jobs:,} more "
        f"({end.kib - begin.kib:+d} KiB), {report['jobs_per_s']:,.0f} jobs/s",
    )
    assert report["results"] == warm + jobs and not report["results_repeated"] and not report["results_unknown"]
    # A leak grows with every part; on a busy machine more results than before may be on their way for once.
    growth = [after.kib - before.kib for before, after in zip(uses, uses[1:])]
    assert min(growth) <= GROWTH_KIB / PARTS and end.kib - begin.kib <= BURST_KIB, growth
    assert process.peak_kib() <= begin.kib + BURST_KIB + GROWTH_KIB
    assert end.descriptors <= max(begin.descriptors, OWN_DESCRIPTORS + slots) + RESULTS_MAX and not end.zombies
    process.terminate()
    assert process.wait() == 0
    return warm + jobs - report["results_ok"]


@pytest.mark.parametrize("concurrency", [1, 50])
def test_memory_is_flat(fast_platform, worker, concurrency):
    fast_platform.reset(WARM_JOBS)
    process = worker(None, "--concurrency", str(concurrency), env=environment(fast_platform.port))
    assert not check_use(f"concurrency {concurrency}", fast_platform, process, JOBS, slots=concurrency)


@pytest.mark.parametrize(
    "name, flag, script, children, share",
    [
        ("one child for all", "--handler", "while read -r job; do echo '{\"output\": 1}'; done", 4, 5),
        ("a child that dies of each tenth job", "--handler",
         "for n in 1 2 3 4 5 6 7 8 9; do read -r job || exit 0; echo '{\"output\": 1}'; done; read -r job; exit 3", 4, 25),
        ("a child a job", "--handler-once", "read -r job; echo 1", 0, 50),
    ],
    ids=["lines", "deaths", "once"],
)
def test_memory_is_flat_with_children(fast_platform, worker, name, flag, script, children, share):
    fast_platform.reset(WARM_JOBS)
    process = worker(None, flag, sh(script), "--concurrency", "4", handler="worker", env=environment(fast_platform.port))
    failed = check_use(name, fast_platform, process, JOBS // share, children)
    assert (failed > 0) is ("dies" in name)
