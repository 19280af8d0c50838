"""Two thousand jobs while a tenth of all requests fails in every way, and a restart in the middle: nothing is lost.
The same with programs as handlers, which are killed at random, at work and idle.

$CHAOS_SEED chooses another bad day (the default is always the same one), $CHAOS_JOBS how long it is.
"""

import os
import random
import signal

import pytest

from chaos import WAYS, ChaosPlatform
from children import children_of, do, failure, program
from notes import note
from own_handlers import own, steps

SEED = int(os.environ.get("CHAOS_SEED", "1"))
JOBS = int(os.environ.get("CHAOS_JOBS", "2000"))
PATIENCE_S = 240  # for each half; it takes a fifth of that

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.timeout(900)]


def for_steps(parts, updates, output):
    """The input of a job for handlers/steps.c."""
    if parts:
        return steps(*({"yield": part} for part in parts))
    return steps(*[{"progresses": updates}] * (updates > 0), {"return": output})


def for_actor(parts, updates, output):
    """The same for programs/actor.py, which takes a moment: long enough to be killed in it."""
    said = [("say", {"stream": part}) for part in parts] + [("say", {"progress": n}) for n in range(updates)]
    return do(*said, ("sleep", 0.01), ("output", output))


def make_jobs(count, write):
    """Most of them plain; some stream, some tell their progress. Returns jobs, their results and their parts."""
    jobs, results, parts = [], {}, {}
    for number in range(count):
        job = f"chaos-{number}"
        output = {"n": number, "pad": "x" * (number * 31 % 700)}
        if number % 10 == 3:
            parts[job] = [{"part": n, "of": number} for n in range(3)]
            output = None
        results[job] = {"output": [] if job in parts else output}
        jobs.append({"id": job, "input": write(parts.get(job, []), 2 if number % 10 == 7 else 0, output)})
    return jobs, results, parts


def wait_for_results(platform, goal):
    """A job that was handed out and has no result after all that time is lost, not late: so it is named as that."""
    try:
        platform.wait_for(lambda: len(platform.done) >= goal, f"{goal} results", PATIENCE_S)
    except AssertionError:
        if platform.waiting:
            raise
        pytest.fail(f"handed out, and no result came in {PATIENCE_S} s: {sorted(platform.handed)}")


def run_day(platform, start, jobs, disturb=None, every=100):
    """Two workers one after the other do all the jobs. `disturb(process, done)`, where there is one, is called after
    every so many results, to do harm: to kill children, for example."""
    total = len(jobs)
    platform.load(jobs)
    told = 0
    process = start()
    for goal in (*range(every, total, every), total):
        wait_for_results(platform, goal)
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


def check_day(platform, results):
    """Every job has exactly one accepted result, or is still the platform's; returns the results."""
    lost = [job for job in results if not platform.done[job] and job not in {str(j["id"]) for j in platform.waiting}]
    assert not lost, f"neither done nor waiting: {lost}"
    assert not platform.waiting and not platform.handed
    twice = {job: done for job, done in platform.done.items() if len(done) > 1}
    assert not twice, f"more than one accepted result: {twice}"
    assert set(platform.failures) == set(WAYS), "this day did not know every way to fail"
    return {job: done for job, (done,) in platform.done.items()}


def test_every_job_has_exactly_one_result(witness, worker):
    platform = ChaosPlatform(witness, seed=SEED)
    jobs, results, parts = make_jobs(JOBS, for_steps)
    told = run_day(
        platform,
        lambda: worker(platform, "--concurrency", "8", handler=own("steps"), env={"RUNPOD_PING_INTERVAL": "1000"}),
        jobs,
    )
    note("chaos", f"seed {SEED}, {JOBS} jobs, restart after {told} results: {platform.counts()}")
    assert check_day(platform, results) == results
    assert {job: platform.parts[job] for job in parts} == parts, "parts lost, repeated or out of order"


class Killer:
    """Ends children of a worker, any of them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.kills = 0

    def kill_one(self, process, done):
        children = sorted(children_of(process.pid))
        if children:
            self._kill(self.random.choice(children), process)

    def _kill(self, pid, process):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        if pid in children_of(process.pid):  # the number is still that of the child
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            self.kills += 1
        os.close(fd)


def test_children_killed_at_random_cost_one_job_each(witness, worker):
    """A job whose program was killed says so, in its one result; all others are as if nothing had happened."""
    platform = ChaosPlatform(witness, seed=SEED)
    jobs, results, parts = make_jobs(JOBS, for_actor)
    killer = Killer(SEED)
    flags = ["--concurrency", "8", "--handler", program("actor.py"), "--handler-deaths", "100"]
    started = []

    def start():
        started.append(worker(platform, *flags, handler="worker", env={"RUNPOD_PING_INTERVAL": "1000"}))
        return started[-1]

    def disturb(process, done):
        killer.kill_one(process, done)
        if done == len(jobs):  # nobody has a job
            process.wait_log("SIGKILL.*while it had no job")

    told = run_day(platform, start, jobs, disturb, every=20)
    done = check_day(platform, results)
    killed = {job: failure(done[job])["error_message"] for job in results if "error" in done[job]}
    idle = sum(len(process.lines("SIGKILL.*while it had no job")) for process in started)
    note(
        "chaos",
        f"seed {SEED}, {JOBS} jobs by programs, {killer.kills} of them killed: {len(killed)} at work, {idle} idle; "
        f"restart after {told} results: {platform.counts()}",
    )
    assert all("killed by signal 9 (SIGKILL" in message for message in killed.values()), killed
    assert {job: result for job, result in done.items() if job not in killed} == {
        job: result for job, result in results.items() if job not in killed
    }
    for job, all_parts in parts.items():
        seen = platform.parts[job]
        assert seen == (all_parts[: len(seen)] if job in killed else all_parts), "parts lost, repeated or out of order"
    assert killed and idle and len(killed) + idle <= killer.kills
