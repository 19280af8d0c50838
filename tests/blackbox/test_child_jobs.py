"""Handlers that are programs with several jobs at a time: --handler-jobs, and {"concurrency": N}."""

import os
import shlex
import signal
import sys

import pytest

from children import failure, is_alive, program, sh, wait_gone
from endpoint import Endpoint

N = 4


@pytest.fixture
def several(worker, platform):
    def start(*flags, name="several.py", **options):
        return worker(platform, "--handler", program(name), "--handler-ready", "line", "--handler-jobs", str(N), *flags,
                      handler="worker", **options)

    return start


def test_one_program_answers_several_jobs_in_any_order(several, platform):
    several()
    for _ in range(3):
        jobs = [platform.give(input={"hold": N}) for _ in range(N)]
        outputs = [platform.result(job)["output"] for job in jobs]
        assert [name for _, name in outputs] == jobs, "each got its own answer"
        assert len({pid for pid, _ in outputs}) == 1


def test_two_programs_share_the_jobs_of_a_higher_concurrency(several, platform):
    process = several("--concurrency", str(2 * N))
    jobs = [platform.give(input={"hold": 2 * N, "on_stop": "answer"}) for _ in range(2 * N)]
    process.wait_log(rf"\b{N} held", count=2)  # none of them ends before each program has its share
    platform.stop_jobs(*jobs)
    process.wait_log("asked to stop", count=2 * N)


def test_parts_and_progress_go_to_their_own_job(several, platform):
    several("--stream")
    jobs = {platform.give(input={"hold": 2, "say": [{"stream": n}, {"progress": n}, {"stream": 10 * n}]}): n for n in (1, 2)}
    for job, n in jobs.items():
        platform.result(job)
        parts = [post.json()["output"] for post in platform.requests("stream", job)]
        assert parts[:2] == [n, 10 * n] and len(parts) == 3


def test_a_job_that_is_stopped_leaves_the_others_alone(several, platform):
    process = several()
    first = platform.give(input={"hold": 3, "on_stop": "answer"})
    process.wait_log("1 held")
    second = platform.give(input={"hold": 3})
    process.wait_log("2 held")
    platform.stop_jobs(first)
    process.wait_log(f"asked to stop {first}")
    rest = [platform.give(input={"hold": 3}) for _ in range(2)]
    pids = {platform.result(job)["output"][0] for job in [second, *rest]}
    assert len(pids) == 1 and not platform.finals(first)


def test_the_folder_of_a_job_that_was_given_up_serves_no_other(several, platform, tmp_path):
    """The program has not let go of it, and may write into it at any time."""
    process = several("--kill-grace", "0.2", env={"RP_SCRATCH_DIR": str(tmp_path / "scratch")})
    first = platform.give(input={"hold": 100, "keep": True})
    process.wait_log("1 held")
    (folder,) = tmp_path.glob("scratch/*/job-*")
    second = platform.give(input={"hold": 100})
    process.wait_log("2 held")
    platform.stop_jobs(first)
    platform.wait_for(lambda: not folder.exists() or None, "the end of the first job's folder")
    third = platform.give(input={"hold": 2, "late": True})
    assert platform.result(third)["output"][1] == third and platform.result(second)
    process.wait_log(r"its folder: \[\]")


def test_a_program_with_nothing_but_jobs_that_were_given_up_is_replaced(several, platform):
    process = several("--execution-timeout", "3", "--kill-grace", "0.2")
    before = platform.run({})["output"]
    error = failure(platform.run({"hold": 100}))
    assert error["error_type"] == "TimeoutError"
    process.wait_log("asked to stop")
    assert platform.run({})["output"] != before
    wait_gone(platform, before)


SAME = """
import json, sys
held = None
for line in sys.stdin:
    job = json.loads(line)
    if job.get("stop"):
        print(json.dumps({"log": "asked to stop"}), flush=True)
    elif job["input"].get("release"):
        print(json.dumps({"id": held, "output": "first"}), flush=True)
        print(json.dumps({"id": job["id"], "output": held}), flush=True)
        held = "released"
    elif held is None:
        held = job["id"]
        print(json.dumps({"log": "held"}), flush=True)
    else:
        print(json.dumps({"id": job["id"], "output": "second" if held == "released" else "both"}), flush=True)
"""


def test_a_program_gets_one_job_of_an_id_at_a_time(worker):
    """A job that is cancelled and run again: the program's first answer is not taken for the second."""
    line = shlex.join([sys.executable, "-S", "-E", "-c", SAME])
    flags = ["--rp_serve_api", "--rp_api_port=0", "--handler-jobs", "3", "--kill-grace", "60"]
    api = Endpoint(worker(None, "--handler", line, *flags, handler="worker"))
    job = api.run({})
    api.process.wait_log(r"\bheld$")
    api.post(f"/cancel/{job}")
    api.process.wait_log("asked to stop")
    api.post(f"/retry/{job}")
    assert api.ended(api.run({"release": True}))["output"] == job
    assert api.ended(job)["output"] == "second"


def test_a_death_costs_the_jobs_that_the_program_had(several, platform):
    process = several()
    held = [platform.give(input={"hold": 100}) for _ in range(2)]
    process.wait_log("2 held")
    dead = platform.give(input={"exit": 3})
    for job in [*held, dead]:
        error = failure(platform.result(job))
        assert error["error_type"] == "HandlerCrashed" and "exited with status 3" in error["error_message"]
    assert platform.run({})["output"]


def test_after_five_deaths_in_a_row_the_worker_ends(several, platform):
    process = several("--handler-deaths", "2", "--concurrency", "1")
    for _ in range(2):
        failure(platform.run({"exit": 3}))
    assert process.wait() == 1
    process.wait_log("2 times in a row")


def test_an_idle_death_costs_nothing(several, platform):
    process = several()
    pid = platform.run({})["output"]
    os.kill(pid, signal.SIGKILL)
    process.wait_log("SIGKILL.* while it had no job")
    assert platform.run({})["output"] != pid and not is_alive(pid)


def test_a_malformed_answer_fails_its_own_job(several, platform):
    process = several()
    other = platform.give(input={"hold": 2})
    process.wait_log("1 held")
    assert "not valid JSON" in failure(platform.run({"raw": '{"id": "ID", "output": NaN}\n'}))["error_message"]
    last = platform.give(input={"hold": 2})
    assert platform.result(other)["output"][0] == platform.result(last)["output"][0]


def test_a_program_that_never_starts(several, platform):
    process = several("--handler-ready-timeout", "0.2", name="deaf.py")
    assert process.wait() == 1
    assert process.lines("exited with status|not ready within 0.2 s")


def test_large_jobs_and_outputs(several, platform):
    several(name="async_echo.py")
    jobs = {platform.give(input={"seconds": 0, "text": str(n) * 3_000_000}): str(n) * 3_000_000 for n in range(N)}
    for job, text in jobs.items():
        assert platform.result(job)["output"]["text"] == text


def test_the_worker_s_end_lets_jobs_finish(several, platform):
    process = several()
    job = platform.give(input={"hold": 2})
    process.wait_log("1 held")
    last = platform.give(input={"hold": 2})
    platform.result(last)
    process.terminate()
    assert platform.result(job) and process.wait() == 0


def test_flags_that_do_not_go_together(local):
    for flags in (["--handler-once", "/bin/cat"], ["--handler-http", "http://127.0.0.1:9"]):
        ended = local(*flags, "--handler-jobs", "2", "--test_input", '{"input": 1}', handler="worker")
        assert ended.returncode == 2 and "--handler-jobs" in ended.stdout


# ---- concurrency ----


def test_a_program_sets_the_concurrency(worker, platform):
    """One process at first; more of them once it has asked for that, in its answer."""
    script = ('read -r job; echo \'{"concurrency": 3, "output": 1}\'; '
              'while read -r job; do echo \'{"log": "got it"}\'; sleep 600; done')
    script = 'if [ -e gate ]; then read -r job; echo \'{"log": "got it"}\'; sleep 600; else : >gate; ' + script + "; fi"
    process = worker(platform, "--handler", sh(script), handler="worker", env={"RP_SHUTDOWN_GRACE_S": "0"})
    assert platform.run({}) == {"output": 1}
    for _ in range(3):
        platform.give(input={})
    process.wait_log("got it", 3)
    process.terminate()
    process.wait()


def test_a_concurrency_that_is_none_is_ignored_with_a_warning(several, platform):
    process = several()
    assert platform.run({"say": [{"concurrency": 0}, {"concurrency": "x"}]})["output"]
    process.wait_log("WARN .*must be a whole number from 1 to", 2)


def test_a_lower_concurrency_takes_fewer_jobs(several, platform):
    """Once a job-take has asked for one job alone; the one before may still bring as many as there were places."""
    process = several()
    assert platform.run({"say": [{"concurrency": 1}]})["output"]
    assert platform.run({})["output"]
    jobs = [platform.give(input={"hold": 2}) for _ in range(2)]
    process.wait_log("1 held")
    platform.wait_more("ping", 2)
    assert not process.lines("2 held")
    platform.stop_jobs(jobs[0])
    process.wait_log("asked to stop")
