"""tests/CONTRACT.md, "Results", progress: in order, coalesced where the platform is slow, never after the result."""

import pytest

from actions import answer, hold
from own_handlers import Gate, own, steps
from testplatform import FAST_PING, is_progress

WAITING = 16  # updates that wait; after that the newest replaces the last


@pytest.fixture
def start(worker):
    return lambda platform, *flags, **how: worker(platform, *flags, handler=own("steps"), **how)


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / "gate")


def updates(platform, job_id):
    """The outputs of a job's progress posts, in order."""
    return [post.json()["output"] for post in platform.requests("done", job_id) if is_progress(post.body)]


@pytest.fixture
def say(platform, gate):
    """say(step..., last=update) -> a job that has returned "end" once this update of its was posted: a result waits a
    second for those behind the one under way, which a slow platform may need for a few of them."""

    def run(*todo, last):
        job = platform.give(input=steps(*todo, gate.step, {"return": "end"}))
        platform.wait_for(lambda: updates(platform, job)[-1:] == [last], "the last update")
        gate.open()
        assert platform.result(job) == {"output": "end"}
        return job

    return run


def test_request(platform, start, say):
    start(platform)
    job = say({"progress": {"percent": 7}}, last={"percent": 7})
    post = platform.requests("done", job)[0]
    assert post.json() == {"status": "IN_PROGRESS", "output": {"percent": 7}}
    assert post.target == f"/v2/ep0test/job-done/pod-7x2/{job}?gpu=NVIDIA+L4&isStream=false"
    assert post.header("X-Request-ID") == job and post.header("charset") == "utf-8"
    assert post.header("Content-Type") == "application/x-www-form-urlencoded"


def test_in_order_and_before_the_result(platform, start, say):
    """Faster than the platform takes them: some may be left out, the last one is not."""
    start(platform)
    job = say({"progresses": 200}, last={"job": "job-1", "n": 200})
    platform.wait_idle()
    numbers = [update["n"] for update in updates(platform, job)]
    assert numbers == sorted(set(numbers)) and numbers[0] == 1 and numbers[-1] == 200
    assert platform.requests("done", job)[-1].json() == {"output": "end"}


def test_sent_while_the_handler_works(platform, start, gate):
    start(platform)
    job = platform.give(input=steps({"progress": "half"}, gate.step, {"return": "end"}))
    platform.wait_for(lambda: updates(platform, job) == ["half"], "the update")
    gate.open()
    assert platform.result(job) == {"output": "end"}


def test_slow_platform_gets_the_newest(platform, start, gate):
    """One is under way and 16 wait: the oldest 15 of them and the newest. The handler never waits."""
    held = hold()
    platform.script("done", held)
    process = start(platform)
    job = platform.give(input=steps({"progress": {"n": 0}}, gate.step, {"progresses": 100}, {"await_stop": 0}, gate.step))
    platform.wait_for(held.reached.is_set, "the first update")
    gate.open()
    process.wait_log("stopped=0")
    held.release(answer(200))
    platform.wait_for(lambda: len(updates(platform, job)) == 1 + WAITING, "what waited")
    gate.open()
    platform.wait_final(job)
    platform.wait_idle()
    assert [update["n"] for update in updates(platform, job)] == [0, *range(1, WAITING), 100]


def test_result_waits_for_the_update_under_way_and_drops_the_rest(platform, start):
    """The platform holds an update for longer than a result waits for those behind it."""
    held = hold()
    platform.script("done", held)
    process = start(platform, env=FAST_PING)
    job = platform.give(input=steps({"progresses": 30}, {"return": "end"}))
    process.wait_log("steps end")
    platform.wait_for(held.reached.is_set, "the first update")
    platform.wait_more("ping", 3)
    assert not platform.finals(job)
    held.release(answer(200))
    assert platform.result(job) == {"output": "end"}
    platform.wait_idle()
    assert len(platform.requests("done", job)) == 2


def test_update_that_fails_is_not_repeated(platform, start, say):
    """What is old by then is of no use; the others keep their order."""
    start(platform)
    platform.script("done", answer(200), answer(503))
    job = say({"progresses": 5}, last={"job": "job-1", "n": 5})
    assert [update["n"] for update in updates(platform, job)] == [1, 2, 3, 4, 5]


def test_update_that_is_taken_is_not_logged(platform, start, say):
    process = start(platform)
    job = say({"progress": 1}, {"progress": 2}, last=2)
    assert updates(platform, job) == [1, 2]
    assert not process.lines("WARN|ERROR|Progress")


@pytest.mark.parametrize("status", [400, 500])
def test_update_that_fails_is_one_warning(platform, start, say, status):
    process = start(platform)
    platform.script("done", answer(status))
    job = say({"progress": 1}, {"progress": 2}, last=2)
    (warning,) = process.lines("WARN|ERROR")
    assert f"Progress was not sent: the platform answered {status}" in warning and job in warning


def test_update_that_is_no_json_does_no_harm(platform, start, say):
    process = start(platform)
    job = say({"bad_progress": 0}, {"progress": "good"}, last="good")
    assert updates(platform, job) == ["good"]
    assert process.lines("bad progress: RP_WRONG") and process.lines("WARN.*Progress was not sent")


def test_each_job_under_its_own_name(platform, start, tmp_path):
    """Eight at once, all with updates: no body and no X-Request-ID under another job's URL."""
    start(platform, "--concurrency", "8")
    gates = {f"p{n}": Gate(tmp_path / f"gate-{n}") for n in range(40)}
    jobs = [
        platform.give({"id": job, "input": steps({"progresses": 12}, gate.step, {"return": f"end of {job}"})})
        for job, gate in gates.items()
    ]
    for job in jobs:
        last = {"job": job, "n": 12}
        platform.wait_for(lambda job=job, last=last: updates(platform, job)[-1:] == [last], f"the last update of {job}")
        gates[job].open()
    for job in jobs:
        assert platform.result(job) == {"output": f"end of {job}"}
    platform.wait_idle()
    for job in jobs:
        posts = platform.requests("done", job)
        assert {post.header("X-Request-ID") for post in posts} == {job}
        assert {update["job"] for update in updates(platform, job)} == {job}
        numbers = [update["n"] for update in updates(platform, job)]
        assert numbers == sorted(set(numbers)) and numbers[-1] == 12
        assert not is_progress(posts[-1].body)


def test_beside_a_stream(platform, start, gate):
    """Parts and updates of one job keep the order in which they were said."""
    start(platform, "--stream")
    job = platform.give(input=steps(*[{kind: n} for n in range(6) for kind in ("yield", "progress")], gate.step))
    platform.wait_for(lambda: updates(platform, job)[-1:] == [5], "the last update")
    gate.open()
    assert platform.result(job) == {"output": []}
    said = [post for post in platform.record if post.job_id == job]
    assert [(post.route, post.json()["output"]) for post in said[:-1]] == [
        (route, n) for n in range(6) for route in ("stream", "done")
    ]
    assert said[-1].param("isStream") == "true"


def test_stopped_job_says_no_more(platform, start):
    process = start(platform)
    platform.give({"id": "stopped", "input": steps({"progress": 1}, {"await_stop": 120_000}, {"progress": 2})})
    platform.wait_for(lambda: updates(platform, "stopped") == [1], "the first update")
    platform.stop_jobs("stopped")
    process.wait_log("stopped=1")
    assert platform.run(steps({"return": "next"})) == {"output": "next"}
    assert updates(platform, "stopped") == [1] and not platform.finals("stopped")


def test_local_run_shows_it(local):
    done = local("--test_input", '{"input": {"steps": [{"progress": "half-way"}, {"return": 1}]}}', handler=own("steps"))
    assert done.returncode == 0 and "half-way" in done.stdout
