"""A worker that has done a hundred thousand jobs is as large as one that has done a thousand.

The platform is that of the benchmarks (tests/bench/platform.c): the one of the other tests would need an hour.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from notes import note
from workerproc import ROOT, RUNNER

BENCH = ROOT / "tests" / "bench"
SOURCES = ["platform.c", "desk.c", "conn.c", "self_bench.c"]
JOBS = int(os.environ.get("MEMORY_JOBS", "100000"))
WARM_JOBS = 2000  # each slot has been at work, every buffer has its size
GROWTH_KIB = 256
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


def do_jobs(platform, count):
    """Have the platform hand out so many jobs, to the worker that is there, and wait for all results."""
    platform.command(f"more {count}")
    platform.until("jobs_done", PATIENCE_S)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_memory_is_flat(fast_platform, worker, concurrency):
    fast_platform.reset(WARM_JOBS)
    process = worker(None, "--concurrency", str(concurrency), env=environment(fast_platform.port))
    fast_platform.until("jobs_done", PATIENCE_S)
    begin = resident_kib(process)
    do_jobs(fast_platform, JOBS)
    end = resident_kib(process)
    report = fast_platform.report()
    note(
        "memory",
        f"concurrency {concurrency}: {begin} KiB after {WARM_JOBS:,} jobs, {end} KiB after {JOBS:,} more "
        f"({end - begin:+d}), {report['jobs_per_s']:,.0f} jobs/s",
    )
    assert report["results_ok"] == WARM_JOBS + JOBS and not report["results_repeated"]
    assert end - begin <= GROWTH_KIB
    assert process.peak_kib() <= begin + 2 * GROWTH_KIB
    process.terminate()
    assert process.wait() == 0
