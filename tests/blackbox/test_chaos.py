"""Two thousand jobs while a tenth of all requests fails in every way, and a restart in the middle: nothing is lost.

$CHAOS_SEED chooses another bad day (the default is always the same one), $CHAOS_JOBS how long it is.
"""

import os

import pytest

from chaos import WAYS, ChaosPlatform
from notes import note
from own_handlers import own, steps

SEED = int(os.environ.get("CHAOS_SEED", "1"))
JOBS = int(os.environ.get("CHAOS_JOBS", "2000"))
PATIENCE_S = 240  # for each half; it takes a fifth of that

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.timeout(900)]


def make_jobs(count):
    """Most of them plain; some stream, some tell their progress. Returns jobs, their results and their parts."""
    jobs, results, parts = [], {}, {}
    for number in range(count):
        job = f"chaos-{number}"
        if number % 10 == 3:
            parts[job] = [{"part": n, "of": number} for n in range(3)]
            todo = [{"yield": part} for part in parts[job]]
            results[job] = {"output": []}
        else:
            todo = [{"progresses": 2}] if number % 10 == 7 else []
            todo.append({"return": {"n": number, "pad": "x" * (number * 31 % 700)}})
            results[job] = {"output": todo[-1]["return"]}
        jobs.append({"id": job, "input": steps(*todo)})
    return jobs, results, parts


def run_day(platform, start, jobs, disturb=None):
    """Two workers one after the other do all the jobs. `disturb(process, done)`, where there is one, is called after
    every hundredth result, to do harm: to kill children, for example."""
    total = len(jobs)
    platform.load(jobs)
    told = 0
    process = start()
    for goal in (*range(100, total, 100), total):
        platform.wait_for(lambda goal=goal: len(platform.done) >= goal, f"{goal} results", PATIENCE_S)
        if disturb is not None:
            disturb(process, goal)
        if told == 0 and goal >= total // 2:
            process.terminate()
            told = process.wait(PATIENCE_S)
            assert told == 0, "the first worker left something undone"
            told = len(platform.done)
            process = start()
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    return told


def test_every_job_has_exactly_one_result(witness, worker):
    platform = ChaosPlatform(witness, seed=SEED)
    jobs, results, parts = make_jobs(JOBS)
    told = run_day(
        platform,
        lambda: worker(platform, "--concurrency", "8", handler=own("steps"), env={"RUNPOD_PING_INTERVAL": "1000"}),
        jobs,
    )
    counts = platform.counts()
    note("chaos", f"seed {SEED}, {JOBS} jobs, restart after {told} results: {counts}")
    lost = [job for job in results if not platform.done[job] and job not in {str(j["id"]) for j in platform.waiting}]
    assert not lost, f"neither done nor waiting: {lost}"
    assert not platform.waiting and not platform.handed
    twice = {job: done for job, done in platform.done.items() if len(done) > 1}
    assert not twice, f"more than one accepted result: {twice}"
    wrong = {job: done for job, done in platform.done.items() if done != [results[job]]}
    assert not wrong
    assert {job: platform.parts[job] for job in parts} == parts, "parts lost, repeated or out of order"
    assert set(platform.failures) == set(WAYS), "this day did not know every way to fail"
