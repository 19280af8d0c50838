"""--confine: what is not in --audit is refused, and a line says what it was; all that is listed works.

WORKER_CONFINE=1 runs every other black-box test on confined workers (confining.py).
"""

import contextlib
import json
import os
import re
import socket
from pathlib import Path

import pytest

from children import sh
from own_handlers import own

PLATFORM = {"RUNPOD_WEBHOOK_GET_JOB": "http://127.0.0.1:1/take/$ID", "RUNPOD_WEBHOOK_POST_OUTPUT": "http://127.0.0.1:1/done/$ID"}
LINE = "--confine: refused "


@pytest.fixture
def outside(platform, worker, tmp_path):
    """outside(*flags, **input) -> what the handler's try came to, and the log's lines on it."""

    def run(*flags, **given):
        env = {"RP_SCRATCH_DIR": str(tmp_path / "scratch")}  # else all of /tmp is listed
        process = worker(platform, "--confine", *flags, handler=own("outside"), env=env)
        job = platform.give(input=given)
        output = platform.wait_final(job).json()["output"]
        process.terminate()
        assert process.wait() == 0
        lines = process.lines(LINE)
        assert all(job in line for line in lines) or "--isolate" in flags, lines
        return output, [line.partition(LINE)[2] for line in lines]

    return run


# ---- a handler that goes beyond ----


def test_a_file_outside(outside, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("1")
    output, lines = outside(action="read", path=str(secret))
    assert output == "EACCES"
    assert lines == [f"open of '{secret}'; --confine-read and --confine-write allow more files"]


def test_a_thread_that_blocks_all_signals(outside, tmp_path):
    """What is refused raises a signal, whatever the thread has blocked."""
    (tmp_path / "file").write_text("1")
    assert outside("--confine-read", str(tmp_path), action="blocked", path=str(tmp_path / "file")) == (None, [])
    assert outside(action="blocked", path=str(tmp_path / "file"))[0] == "EACCES"


def test_a_file_that_is_not_there_is_no_matter_of_the_list(outside, tmp_path):
    assert outside(action="read", path=str(tmp_path / "none")) == ("another", [])


@pytest.mark.parametrize("action, call", [("write", "open"), ("make", "mkdir"), ("unlink", "unlink")])
def test_what_is_changed_outside(outside, tmp_path, action, call):
    place = tmp_path / "place"
    if action == "unlink":
        place.write_text("1")
    output, lines = outside(action=action, path=str(place))
    assert output == "EACCES" and len(lines) == 1 and lines[0].startswith(f"{call} of '{place}'; ")
    assert place.exists() == (action == "unlink")


def test_files_that_a_flag_allows(outside, tmp_path):
    (tmp_path / "model").write_text("1")
    allow = ["--confine-read", str(tmp_path)]
    assert outside(*allow, action="read", path=str(tmp_path / "model")) == (None, [])
    assert outside(*allow, action="write", path=str(tmp_path / "model"))[0] == "EACCES"
    assert outside("--confine-write", str(tmp_path), action="write", path=str(tmp_path / "new")) == (None, [])
    assert (tmp_path / "new").exists()


def test_a_relative_folder_allows_nothing_beside_it(platform, worker, tmp_path):
    worker(platform, "--confine", handler=own("outside"), env={"RP_SCRATCH_DIR": "work"})
    assert platform.run({"action": "write", "path": str(tmp_path / "new")}) == {"output": "EACCES"}
    assert platform.run({"action": "write", "path": str(tmp_path / "work/new")}) == {"output": None}


def test_signals_that_were_blocked_before(platform, worker, tmp_path):
    """A blocked SIGSYS would end the process."""
    worker(platform, "--confine", handler=own("outside"), prefix=("env", "--block-signal=SYS"))
    assert platform.run({"action": "number", "number": 9999}) == {"output": "EPERM"}


@pytest.mark.parametrize("action, call", [("start", "clone"), ("fork", "fork"), ("exec", "execve of '/bin/true'")])
def test_a_program(outside, action, call):
    output, lines = outside(action=action, path="/bin/true")
    assert output == "EPERM" and len(lines) == 1 and lines[0].startswith(call), lines
    assert lines[0].endswith("; --audit prints what is allowed")


def test_a_connection_of_its_own(outside):
    with socket.create_server(("127.0.0.1", 0)) as server:
        output, lines = outside(action="connect", number=server.getsockname()[1])
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert output == "EPERM" and lines == ["socket; --audit prints what is allowed"]


@pytest.mark.parametrize("number, name", [(101, "ptrace"), (49, "bind"), (165, "system call 165"), (0x40000000, "system call 1073741824"), (9999, "system call 9999")])
def test_system_calls(outside, number, name):
    """ptrace, bind without an address, mount, read by the numbers of x32, and one that no kernel has."""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    output, lines = outside(action="number", number=number)
    assert output == "EPERM" and lines[0].startswith(name)


def test_an_isolated_handler(outside, tmp_path):
    """Its own process is held to the same list."""
    (tmp_path / "secret").write_text("1")
    output, lines = outside("--isolate", action="read", path=str(tmp_path / "secret"))
    assert output == "EACCES" and len(lines) == 1
    assert outside("--isolate", action="start", path="/bin/true")[0] == "EPERM"


def test_off(platform, worker, tmp_path):
    (tmp_path / "secret").write_text("1")
    process = worker(platform, "--confine=off", handler=own("outside"))
    assert platform.run({"action": "read", "path": str(tmp_path / "secret")}) == {"output": None}
    assert not process.lines("[Cc]onfine")


# ---- what the kernel holds ----


def thread_statuses(process):
    """What the kernel says of each of its threads. One that ends meanwhile is not there any more."""
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield (task / "status").read_text()


def test_it_is_the_kernel_that_holds_every_thread(platform, worker):
    process = worker(platform, "--confine")
    assert platform.run(1) == {"output": 1}
    for status in thread_statuses(process):
        assert "\nSeccomp:\t2\n" in status and "\nNoNewPrivs:\t1\n" in status


def _wide_threads(process):
    return [status for status in thread_statuses(process) if "\nSeccomp:\t0\n" in status]


def test_after_the_check_of_a_program_every_thread_is_held(platform, worker):
    """What has started it is not needed for a linked handler."""
    process = worker(platform, "--confine", "--fitness", sh("grep -q '^Seccomp:.0$' /proc/self/status"))
    assert platform.run(1) == {"output": 1}
    # It has been told to end before jobs are taken, and is gone as soon as it has had a processor.
    platform.wait_for(lambda: not _wide_threads(process), "the end of the thread that has started the check")
    process.terminate()
    assert process.wait() == 0 and not process.lines(LINE)


def test_programs_are_not_held(platform, worker, tmp_path):
    """Only the thread that starts them is not, either; one that looks for what they leave comes later."""
    (tmp_path / "any").write_text("any\n")
    handler = sh(f"n=$(cat {tmp_path}/any >&2; grep -c '^Seccomp:.0$' /proc/self/status); read job; echo \"{{\\\"output\\\": $n}}\"; cat")
    process = worker(platform, "--confine", "--handler", handler, handler="worker")
    assert platform.run(1) == {"output": 1}
    process.wait_log("any")
    assert len(_wide_threads(process)) == 1
    process.terminate()
    assert process.wait() == 0


def test_what_programs_leave_is_found(platform, worker, tmp_path):
    """The worker's own threads may not look at the environment of processes that are not held."""
    pid_file = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ >{pid_file}; exec sleep 1000' & while ! [ -s {pid_file} ]; do sleep 0.01; done; cat >/dev/null; echo 7"
    process = worker(platform, "--confine", "--handler-once", sh(script), handler="worker")
    assert platform.run(1) == {"output": 7}
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()
    process.terminate()
    assert process.wait() == 0


def test_a_program_that_is_not_there_any_more(platform, worker, tmp_path):
    """The error of a start comes from the thread that starts."""
    handler = tmp_path / "handler"
    handler.write_text("#!/bin/sh\ncat >/dev/null\necho 7\n")
    handler.chmod(0o755)
    process = worker(platform, "--confine", "--handler-once", str(handler), handler="worker")
    assert platform.run(1) == {"output": 7}
    handler.unlink()
    assert "cannot run" in platform.run(1)["error"]
    process.terminate()
    process.wait()


def test_the_zone_of_an_address(worker):
    """The number of an interface is asked for by a socket, too."""
    process = worker(None, "--confine", "--rp_serve_api", "--rp_api_port", "0", "--rp_api_host", "::1%lo", "--rp_api_open")
    process.wait_log("Serving the job API .*://::1%lo:")
    assert not process.lines(LINE)


# ---- flags ----


def test_threads_from_before(local):
    """What is there already cannot be held: it is said, not passed over."""
    done = local("--confine", handler=own("early_thread"), env=PLATFORM)
    assert done.returncode == 2 and re.search("this program had [23] threads before rp_start", done.stdout)
    assert local("--test_input", '{"input": 1}', handler=own("early_thread"), env={"RP_CONFINE": "off"}).returncode == 0


def test_a_path_to_write_that_is_not_there(local, tmp_path):
    done = local("--confine", "--confine-write", str(tmp_path / "none/deep"), handler=own("outside"), env=PLATFORM)
    assert done.returncode == 2 and "none/deep does not exist; create it, or name its folder" in done.stdout
    assert not (tmp_path / "none").exists()


def test_a_word_that_it_does_not_have(local):
    done = local("--confine=maybe", env=PLATFORM)
    assert done.returncode == 2 and "it must be on, log or off" in done.stdout


def test_the_variable(local):
    done = local("--test_input", '{"input": 1}', env={"RP_CONFINE": "on"})
    assert done.returncode == 0 and "Confined to " in done.stdout


def test_a_driver_in_the_process_cannot_be_confined(local):
    done = local("--confine", handler=own("gpu"), env=PLATFORM)
    assert done.returncode == 2 and "--isolate" in done.stdout


def test_audit_says_what_a_linked_handler_may_call_then(local):
    def roles(*flags):
        return {role["role"] for role in json.loads(local("--audit=json", *flags, env=PLATFORM).stdout)["system_calls"]}

    assert roles("--confine") - roles("--confine=off") == {"confine", "handler"}
