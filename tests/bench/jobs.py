"""What several measurements share: a fresh worker that does its jobs, words about its memory, the size of a folder."""

import os

from procs import BenchError, wait_for

PATIENCE_S = 60  # for anything that a worker is waited for
LABELS = {"ours": "ours", "sdk": "the SDK's"}


def run_jobs(bench, platform, side, handler, jobs, concurrency=1, port=None, variables=None):
    """A fresh worker does `jobs` jobs. Returns the platform's report and the memory afterwards: of all its
    processes, and as "worker_hwm" the peak of the first alone, in KiB. `port`: of a relay before the platform;
    `variables`: more of its environment."""
    platform.reset(jobs)
    with bench.worker(side, handler, port or platform.port, concurrency=concurrency, variables=variables) as worker:
        wait_for(platform, worker, "jobs_done", PATIENCE_S)
        memory = {**worker.memory(), "worker_hwm": worker.peak()}
        report = platform.report()
    if report["results_ok"] != jobs or report["results_repeated"] or report["results_unknown"]:
        raise BenchError(f"{report['results_ok']} of {jobs} results are good: {report['jobs'][:1]}")
    return report, memory


def memory_note(seen):
    parts = []
    for side, label in LABELS.items():
        m = seen.get(side)
        if m:
            shares = ""
            if "pss" in m:
                shares = f"Pss {m['pss'] / 1024:.2f}, private {m['private'] / 1024:.2f} MiB; "
            parts.append(
                f"{label}: {shares}{m['processes']} process(es), {m['threads']} threads, "
                f"{m['connections']} connections"
            )
    return "; ".join(parts)


def tree_bytes(folder, skip=()):
    total = 0
    for root, folders, files in os.walk(folder):
        folders[:] = [d for d in folders if d not in skip]
        total += sum(os.lstat(os.path.join(root, f)).st_size for f in files)
    return total
