"""--result-dir: results that cannot be delivered are kept, and sent first at the next start."""

import json

import pytest

from actions import answer
from own_handlers import own, steps

QUICK = {"RP_RESULT_RETRY_S": "1"}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "kept"
    path.mkdir()
    return path


def files(folder):
    return sorted(folder.iterdir())


def lose(platform, worker, folder, **how):
    """A first worker, whose result nobody takes; it has ended."""
    platform.always("done", answer(503))
    process = worker(platform, "--result-dir", str(folder), env=QUICK, **how)
    job = platform.give(input="žluť" if not how else steps({"yield": 1}))
    process.wait_log(f"ERROR.*{job}.*kept in {folder}")
    process.terminate()
    assert process.wait() == 0
    platform.always("done", None)
    return job


def test_kept_whole_and_sent_before_the_first_job(platform, worker, folder):
    job = lose(platform, worker, folder)
    (file,) = files(folder)
    assert json.loads(file.read_text()) == {"id": job, "is_stream": False, "result": {"output": "žluť"}}
    assert file.stat().st_mode & 0o077 == 0
    before = len(platform.record)
    process = worker(platform, env={"RP_RESULT_DIR": str(folder)})
    platform.give({"id": "new", "input": 2})
    assert platform.result("new") == {"output": 2}
    posts = [request for request in platform.record[before:] if request.route in ("done", "take")]
    assert posts[0].job_id == job and posts[0].json() == {"output": "žluť"} and posts[0].settled
    assert posts[0].param("isStream") == "false" and posts[0].header("X-Request-ID") == job
    assert not files(folder)
    assert process.lines(f"{job}.*earlier run")


def test_the_end_of_a_stream(platform, worker, folder):
    job = lose(platform, worker, folder, handler=own("steps"))
    worker(platform, "--result-dir", str(folder))
    assert platform.result(job) == {"output": []}
    assert [post for post in platform.finals(job) if post.settled][0].param("isStream") == "true"


def test_kept_at_a_shutdown_while_it_is_retried(platform, worker, folder):
    """The grace ends before the platform has taken it: kept, named in the log, and not a clean end."""
    platform.always("done", answer(503))
    process = worker(platform, "--result-dir", str(folder), env={"RP_SHUTDOWN_GRACE_S": "1"})
    job = platform.give(input=7)
    platform.wait_final(job)
    process.terminate()
    assert process.wait() == 1
    assert process.lines(f"ERROR.*{job}")
    (file,) = files(folder)
    assert json.loads(file.read_text())["result"] == {"output": 7}


def test_one_that_is_still_not_taken_stays(platform, worker, folder):
    job = lose(platform, worker, folder)
    platform.always("done", answer(503))
    process = worker(platform, "--result-dir", str(folder), env=QUICK)
    process.wait_log(f"ERROR.*{job}.*Still not delivered")
    platform.wait_idle()
    assert [file.suffix for file in files(folder)] == [".result"]


def test_one_that_is_refused_is_set_aside(platform, worker, folder):
    job = lose(platform, worker, folder)
    platform.always("done", answer(404))
    process = worker(platform, "--result-dir", str(folder))
    process.wait_log(f"ERROR.*{job}.*Still not delivered")
    platform.wait_idle()
    assert [file.suffix for file in files(folder)] == [".refused"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1, "is_stream": false, "result": {}}', '{"result": {}}'])
def test_a_file_that_is_no_result_is_set_aside(platform, worker, folder, text):
    (folder / "a.result").write_text(text)
    (folder / "b.part").write_text('{"half": ')
    process = worker(platform, "--result-dir", str(folder))
    assert platform.run(1) == {"output": 1}
    assert [file.name for file in files(folder)] == ["a.bad", "b.part"] and process.lines("ERROR.*a.result")
    assert len(platform.requests("done")) == 1


def test_a_folder_that_is_not_there(platform, worker, tmp_path):
    """The job goes on; the loss is told with both reasons."""
    platform.always("done", answer(503))
    process = worker(platform, "--result-dir", str(tmp_path / "absent"), env=QUICK)
    process.wait_log("ERROR.*--result-dir: .*absent")
    job = platform.give(input=1)
    process.wait_log(f"ERROR.*{job}.*503.*nor kept.*absent")
