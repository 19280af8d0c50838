"""--result-dir: results that cannot be delivered are kept, and sent first at the next start."""

import json
import os

import pytest

from actions import answer
from gpulib import reachable
from own_handlers import own, steps
from workerproc import binary

STORED = '{"id": "forged", "is_stream": false, "result": {"output": 1}}'
QUICK = {"RP_RESULT_RETRY_S": "1"}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "kept"
    path.mkdir(0o755)
    return path


def files(folder):
    return sorted(folder.iterdir())


def lose(platform, worker, folder, **how):
    """A first worker, whose result nobody takes; it has ended."""
    platform.always("done", answer(503))
    process = worker(platform, "--result-dir", str(folder), env=QUICK, **how)
    job = platform.give(input=steps({"yield": 1}) if "steps" in how.get("handler", "") else "žluť")
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
    assert process.lines(f"{job}.*earlier worker")


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


def test_a_folder_that_is_gone(platform, worker, folder):
    """Then the result is lost, and the log does not say that it is kept."""
    platform.always("done", answer(503))
    process = worker(platform, "--result-dir", str(folder), env=QUICK)
    job = platform.give(input=1)
    platform.wait_final(job)
    folder.rmdir()
    process.wait_log(f"ERROR .*{job} .*could neither be delivered .*503.* nor kept: ")
    assert not process.lines("is kept in")


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


def keep_two(folder):
    for job in ("first", "second"):
        kept = {"id": job, "is_stream": False, "result": {"output": job}}
        (folder / f"{job}.result").write_text(json.dumps(kept))


def test_one_that_is_refused_does_not_hold_up_the_next(platform, worker, folder):
    keep_two(folder)
    platform.script("done", answer(404), answer(404))  # the result, and the error in its place
    worker(platform, "--result-dir", str(folder))
    assert platform.result("second") == {"output": "second"}
    platform.wait_request("take")
    assert [file.name for file in files(folder)] == ["first.refused"]


def test_those_behind_one_that_is_not_taken_wait_as_well(platform, worker, folder):
    """The platform takes none then."""
    keep_two(folder)
    platform.always("done", answer(503))
    worker(platform, "--result-dir", str(folder), env=QUICK)
    platform.wait_request("take")
    assert not platform.requests("done", "second")
    assert [file.name for file in files(folder)] == ["first.result", "second.result"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1, "is_stream": false, "result": {}}', '{"result": {}}'])
def test_a_file_that_is_no_result_is_set_aside(platform, worker, folder, text):
    (folder / "a.result").write_text(text)
    (folder / "b.part").write_text('{"half": ')
    process = worker(platform, "--result-dir", str(folder))
    assert platform.run(1) == {"output": 1}
    assert [file.name for file in files(folder)] == ["a.bad", "b.part"] and process.lines("ERROR.*a.result")
    assert len(platform.requests("done")) == 1


def put_fifo(path):
    os.mkfifo(path)


def put_link(path):
    target = path.parent.parent / "elsewhere"
    target.write_text(STORED)
    path.symlink_to(target)


def put_folder(path):
    path.mkdir(0o755)


def put_of_another_user(path):
    path.write_text(STORED)
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize("put", [put_fifo, put_link, put_folder, put_of_another_user])
@pytest.mark.parametrize("ending", ["result", "claim"])
def test_only_regular_files_of_its_own_are_sent(platform, worker, folder, put, ending):
    """Opening a FIFO would wait for ever; another user's text would be posted under the key."""
    if put is put_of_another_user and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path = folder / f"a.{ending}"
    put(path)
    if ending == "claim":
        os.utime(path, (0, 0), follow_symlinks=False)  # what counts is the change of its status, which is new
    process = worker(platform, "--result-dir", str(folder))
    assert platform.run(1) == {"output": 1}
    assert len(platform.requests("done")) == 1
    if ending == "result":
        assert process.lines("ERROR.*a.result")
        assert [file.name for file in files(folder)] == ["a.bad"]


def test_a_folder_that_is_not_there(worker, platform, tmp_path):
    process = worker(platform, "--result-dir", str(tmp_path / "absent"))
    assert process.wait() == 2
    assert process.lines("--result-dir.*absent: No such file")


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_folder_that_others_may_write(worker, platform, folder, mode):
    folder.chmod(mode)
    process = worker(platform, "--result-dir", str(folder))
    assert process.wait() == 2
    assert process.lines("--result-dir.*kept is writable by others")


def test_a_file_instead_of_a_folder(worker, platform, tmp_path):
    (tmp_path / "file").write_text("")
    process = worker(platform, env={"RP_RESULT_DIR": str(tmp_path / "file")})
    assert process.wait() == 2
    assert process.lines("RP_RESULT_DIR.*file is not a folder")


GROUP = 12345


def as_member(*groups):
    """A command in front of the worker: an ordinary user in these groups, the first of them its own."""
    first, *more = groups
    extra = f"--groups={','.join(map(str, more))}" if more else "--clear-groups"
    return ["setpriv", "--reuid=65534", f"--regid={first}", extra]


@pytest.mark.unlisted
@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: FOLDERS OF A GROUP WERE NOT TESTED")
@pytest.mark.parametrize(
    "mode, groups, good",
    [
        (0o2775, (65534, GROUP), True),
        (0o2770, (65534, GROUP), True),
        (0o1770, (65534, GROUP), True),
        (0o2775, (GROUP,), True),
        (0o775, (65534, GROUP), False),
        (0o2775, (65534,), False),
        (0o2777, (65534, GROUP), False),
    ],
    ids=str,
)
def test_a_folder_of_a_group(worker, platform, public_path, mode, groups, good):
    """Kubernetes gives a volume to the pod's fsGroup: root's, writable for the group, with the set-group-ID bit."""
    folder = public_path / "kept"
    folder.mkdir(0o755)
    os.chown(folder, 0, GROUP)
    folder.chmod(mode)
    command = as_member(*groups)
    if not good:
        process = worker(platform, "--result-dir", str(folder), prefix=command, cwd="/", handler=reachable_echo())
        assert process.wait() == 2
        assert process.lines("kept is writable by others.*chmod go-w")
        return
    how = {"prefix": command, "cwd": "/", "handler": reachable_echo()}
    job = lose(platform, worker, folder, **how)
    (file,) = files(folder)
    assert file.stat().st_uid == 65534
    (folder / "forged.result").write_text(STORED)
    worker(platform, "--result-dir", str(folder), **how)
    assert platform.result(job) == {"output": "žluť"}
    assert platform.run(1) == {"output": 1}
    assert not platform.finals("forged")


def reachable_echo():
    """Where an ordinary user gets to it."""
    return str(reachable(binary("echo")))
