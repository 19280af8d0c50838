"""--confine=log: nothing is refused, and a line says once what --confine=on would refuse (test_confine.py)."""

import os
import re
import socket

import pytest

from children import sh
from own_handlers import own
from test_confine import PLATFORM, thread_statuses

LINE = "--confine: would refuse "
CALL = "; --audit prints what is allowed"
FILE = "; --confine-read and --confine-write allow more files"
CHANGE = "; --confine-write allows more files, if their folder's mode does"


@pytest.fixture
def trial(platform, worker, tmp_path):
    """trial(*flags) -> a worker with the handler "outside", whose scratch folder alone is listed."""

    def start(*flags, **options):
        options = {"handler": own("outside"), "env": {"RP_SCRATCH_DIR": str(tmp_path / "scratch")}, **options}
        return worker(platform, "--confine=log", *flags, **options)

    return start


def told(process, count):
    """The lines, as many or more, once it has ended. Where its log is slow, what is told of goes on before its line."""
    if count:
        process.wait_log(LINE, count)
    process.terminate()
    assert process.wait() == 0
    lines = process.lines(LINE)
    assert all(line.startswith("WARN   | ") for line in lines)
    return [line.partition(LINE)[2] for line in lines]


def test_each_kind_is_told_once(trial, platform, tmp_path):
    secret, made, folder = tmp_path / "secret", tmp_path / "made", tmp_path / "folder"
    secret.write_text("1")
    process = trial()

    def act(action, **given):
        return platform.run({"action": action, **given})["output"]

    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(2):
            assert act("read", path=str(secret)) is None
            assert act("blocked", path=str(secret)) is None
            assert act("write", path=str(made)) is None and made.exists()
            assert act("make", path=str(folder)) is None and folder.is_dir()
            assert act("unlink", path=str(made)) is None and not made.exists()
            assert act("connect", number=server.getsockname()[1]) is None
            server.accept()[0].close()
            assert act("start", path="/bin/true") is None
            assert act("fork") is None
            assert act("exec", path="/no/program") == "another"
            folder.rmdir()
    assert told(process, 9) == [
        f"open of '{secret}'{FILE}",
        f"open of '{made}'{CHANGE}",
        f"mkdir of '{folder}'{CHANGE}",
        f"unlink of '{made}'{CHANGE}",
        f"socket{CALL}",
        f"clone{CALL}",
        f"execve of '/bin/true'{CALL}",
        f"fork{CALL}",
        f"execve of '/no/program'{CALL}",
    ]


def test_the_last_call_is_told_too(trial, platform):
    """There is no worker afterwards: it has become another program, whose calls nobody answers for."""
    process = trial()
    platform.give(input={"action": "exec", "path": "/bin/true"})
    process.wait()
    assert [line.partition(LINE)[2] for line in process.lines(LINE)] == [f"execve of '/bin/true'{CALL}"]


def test_what_is_listed_is_not_told(trial, platform, tmp_path):
    """Nor is what would fail anyway: a file that is not there, a folder that is there already."""
    models, work = tmp_path / "models", tmp_path / "work"
    for folder in (models / "deep", work):
        folder.mkdir(parents=True)
    (models / "deep/model").write_text("1")
    (tmp_path / "link").symlink_to(models / "deep/model")
    process = trial("--confine-read", str(models), "--confine-write", str(work))
    for action, path in [
        ("read", models / "deep/model"),
        ("read", tmp_path / "link"),
        ("read", models),
        ("read", tmp_path / "none"),
        ("write", work / "new"),
        ("unlink", work / "new"),
        ("make", work / "folder"),
        ("make", tmp_path / "work"),
        ("unlink", tmp_path / "none"),
    ]:
        fails = path in (tmp_path / "none", tmp_path / "work")
        assert platform.run({"action": action, "path": str(path)}) == {"output": "another" if fails else None}
    assert told(process, 0) == []
    (models / "deep/model").write_text("2")
    process = trial("--confine-read", str(models), "--confine-write", str(work))
    assert platform.run({"action": "write", "path": str(models / "deep/model")}) == {"output": None}
    assert platform.run({"action": "give", "path": str(models / "deep/model"), "to": str(work / "model")}) == {"output": None}
    assert platform.run({"action": "give", "path": str(work / "model"), "to": str(tmp_path / "model")}) == {"output": None}
    assert told(process, 3) == [
        f"open of '{models}/deep/model'{FILE}",
        f"rename of '{models}/deep/model'{CHANGE}",
        f"rename of '{work}/model'{CHANGE}",
    ]


def test_paths_that_are_relative(trial, platform, tmp_path):
    """To the worker's folder, or to a descriptor."""
    (tmp_path / "in").mkdir()
    for name in ("in/model", "secret"):
        (tmp_path / name).write_text("1")
    process = trial("--confine-read", "in", cwd=str(tmp_path))
    for given in ({"action": "read", "path": "in/model"}, {"action": "read", "path": "in/../secret"}):
        assert platform.run(given) == {"output": None}
    for name in ("model", "../secret"):
        assert platform.run({"action": "at", "path": str(tmp_path / "in"), "to": name}) == {"output": None}
    assert told(process, 2) == [f"open of 'in/../secret'{FILE}", f"open{'at' if os.uname().machine == 'x86_64' else ''} of '../secret'{FILE}"]


def test_files_of_a_folder_are_told_a_few_times(trial, platform, tmp_path):
    for number in range(7):
        (tmp_path / str(number)).write_text("1")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("1")
    process = trial()
    for name in [*map(str, range(7)), "other/file"]:
        assert platform.run({"action": "read", "path": str(tmp_path / name)}) == {"output": None}
    assert [re.search(r"'.*/(.*)'", line)[1] for line in told(process, 6)] == ["0", "1", "2", "3", "4", "file"]


def test_system_calls(trial, platform):
    """A number that no kernel has, that of x32, and arguments that point nowhere; each does what it does."""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    process = trial()
    for number, output in [(9999, "another"), (0x40000000, "another"), (165, "another"), (49, "another")]:
        assert platform.run({"action": "number", "number": number}) == {"output": output}
    names = ["system call 9999", "system call 1073741824", "system call 165", "bind"]
    assert told(process, 4) == [f"{name}{CALL}" for name in names]


def test_a_program_of_the_handler_does_what_it_wants(trial, platform, tmp_path):
    """It is under the same filter, and only its start is told."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n/bin/ls / >/dev/null && (/bin/cat /etc/passwd | /usr/bin/head -n 1) >$0.out\n")
    script.chmod(0o755)
    process = trial()
    assert platform.run({"action": "start", "path": str(script)}) == {"output": None}
    assert (tmp_path / "script.out").read_text().startswith("root:")
    assert told(process, 2) == [f"clone{CALL}", f"execve of '{script}'{CALL}"]


def test_an_isolated_handler(trial, platform, tmp_path):
    (tmp_path / "secret").write_text("1")
    process = trial("--isolate")
    assert platform.run({"action": "read", "path": str(tmp_path / "secret")}) == {"output": None}
    assert platform.run({"action": "start", "path": "/bin/true"}) == {"output": None}
    assert told(process, 3) == [f"open of '{tmp_path}/secret'{FILE}", f"clone{CALL}", f"execve of '/bin/true'{CALL}"]


def test_programs_as_handlers(platform, worker, tmp_path):
    """They get no filter; the worker itself does nothing that would be refused."""
    handler = sh("n=$(grep -c '^Seccomp:.0$' /proc/self/status); read job; echo \"{\\\"output\\\": $n}\"; cat")
    process = worker(platform, "--confine=log", "--handler", handler, handler="worker")
    assert platform.run(1) == {"output": 1}
    held = ["\nSeccomp:\t2\n" in status for status in thread_statuses(process)]
    assert held.count(False) == 2 and held.count(True) > 1
    assert told(process, 0) == []


@pytest.mark.parametrize(
    "name, flags, why",
    [
        ("early_thread", [], "had [23] threads before rp_start"),
        ("gpu", [], "--isolate keeps it out"),
        ("outside", ["--confine-write", "/no/folder"], "/no/folder does not exist"),
    ],
)
def test_what_would_be_an_error_is_a_warning(local, name, flags, why):
    done = local("--confine=log", *flags, "--test_input", '{"input": {"action": "none"}}', handler=own(name))
    assert done.returncode != 2, done.stdout
    assert re.search(f"WARN .*nothing is checked, and --confine=on would be an error: .*{why}", done.stdout)
