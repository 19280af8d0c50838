"""All at once: streams, progress, stops, failures and changing concurrency, on one worker. Also what ThreadSanitizer
watches (tests/sanitize.sh)."""

import re

from own_handlers import own, steps

JOBS = 300


def make_job(number):
    """A job of one of six kinds, and its result: None for one that is to be stopped."""
    value = {"n": number, "pad": "x" * (number * 13 % 500)}
    kinds = [
        ([{"return": value}], {"output": value}),
        ([{"yields": {"parts": 5, "bytes": number}}], {"output": []}),
        ([{"progresses": 20}, {"return": value}], {"output": value}),
        ([{"yield": 1}, {"progress": 2}, {"await_stop": 60_000}, {"yield": 3}], None),
        ([{"yield": number}, {"fail": "midway"}], {"error": "midway"}),
        ([{"progress": 1}, {"await_stop": number % 7}, {"yield": value}], {"output": []}),
    ]
    todo, result = kinds[number % len(kinds)]
    return {"id": f"load-{number}", "input": steps(*todo)}, result


def test_all_kinds_at_once(platform, worker, tmp_path):
    dial = tmp_path / "concurrency"
    dial.write_text("8\n")
    process = worker(
        platform,
        "--concurrency",
        "8",
        handler=own("steps"),
        env={"STEPS_CONCURRENCY": str(dial), "RUNPOD_PING_INTERVAL": "100"},
    )
    expected = {}
    for number in range(JOBS):
        job, result = make_job(number)
        expected[job["id"]] = result
        platform.give(job)
    to_stop = {job for job, result in expected.items() if result is None}
    stopped = set()
    while stopped != to_stop:
        waiting = platform.wait_for(lambda: waiting_jobs(process, to_stop) - stopped, "a job that waits to be stopped")
        platform.stop_jobs(*waiting, "nobody")
        stopped |= waiting
        dial.with_name("part").write_text(f"{1 + len(stopped) % 8}\n")
        dial.with_name("part").rename(dial)
    for job, result in expected.items():
        if result is None:
            continue
        told = platform.result(job)
        assert told == result or ("error" in result and result["error"] in told["error"]), job
    platform.wait_idle()
    assert not [job for job in to_stop if platform.finals(job)]
    process.terminate()
    assert process.wait() == 0


def waiting_jobs(process, names):
    """Those of the jobs that have come to their third step."""
    return {name for name in re.findall(r"\| (load-\d+) \| at step 3$", process.log, re.M) if name in names}
