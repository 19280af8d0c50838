"""tests/README.md, "Debugging": what a debugger sees of the shipped program, and who may look into its memory."""

import os
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from workerproc import BUILD, ROOT, RUNNER, binary

UNWIND = ROOT / "tests" / "debug" / "unwind.py"
FOLDER = BUILD / os.uname().machine / "debug"  # the programs before they were stripped
ALLOW = {"RP_ALLOW_DEBUGGER": "1"}

pytestmark = pytest.mark.skipif(
    bool(RUNNER) or not FOLDER.is_dir(), reason="these workers are not the ones that ship: they were not stripped"
)
on_x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="tests/debug/unwind.py READS x86-64 CODE ONLY")
with_gdb = pytest.mark.skipif(not shutil.which("gdb"), reason="NO GDB HERE")


def gdb(*args):
    """What gdb prints, run on a script of -ex commands."""
    done = subprocess.run(
        ["gdb", "-batch", "-nx", "-iex", "set pagination off", "-x", str(UNWIND), *map(str, args)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    if "ptrace: Operation not permitted" in done.stdout:
        pytest.skip("NO DEBUGGER MAY BE USED HERE (ptrace is forbidden)")
    return done.stdout


def stack(text):
    """Functions of a printed backtrace, innermost first."""
    return re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?([\w.?]+)", text, re.M)


@on_x86_64
@with_gdb
def test_backtrace_from_a_handler_reaches_main():
    """The handler's thread down to where it began, with lines of the source; the first thread down to main."""
    commands = ("break echo", "run", "backtrace", "echo ======\\n", "thread 1", "backtrace")
    said = gdb(
        *(word for command in commands for word in ("-ex", command)),
        *("--args", FOLDER / "echo", "--test_input", '{"input": {"a": 1}}'),
    )
    handler, first = said.split("======")
    line = next(n for n, text in enumerate((ROOT / "src/handlers/echo.c").open(), 1) if "rp_return" in text)
    assert f"src/handlers/echo.c:{line}" in handler, said
    functions = stack(handler)
    assert functions[0] == "echo" and "run_job" in functions and "slot_main" in functions, said
    functions = stack(first)
    assert functions[-1] == "main" and "rp_start" in first and "??" not in functions, said


@pytest.mark.unlisted
@pytest.mark.parametrize("allowed", [False, True])
def test_who_may_look(platform, worker, public_path, allowed):
    """With an API key nobody may, unless a variable says so, and then the log warns of it. The kernel gives the files of
    a process that may not be looked into to root: proc(5)."""
    prefix = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("as root, setpriv(1) is needed to run the worker as an ordinary user")
        prefix = [shutil.which("setpriv"), "--reuid=65534", "--clear-groups"]
    program = shutil.copy(binary("echo"), public_path / "echo")
    process = worker(platform, handler=str(program), env=ALLOW if allowed else {}, cwd=public_path, prefix=prefix)
    platform.wait_request("take")
    owner = Path(f"/proc/{process.pid}/environ").stat().st_uid
    assert owner == ((65534 if prefix else os.geteuid()) if allowed else 0)
    if allowed:
        process.wait_log(r"WARN.*RP_ALLOW_DEBUGGER")
    else:
        assert not process.lines(r"WARN.*RP_ALLOW_DEBUGGER")


def test_no_warning_without_a_key(local):
    assert "RP_ALLOW_DEBUGGER" not in local("--test_input", '{"input": 1}', env=ALLOW).stdout


@on_x86_64
@with_gdb
def test_core_dump(platform, worker, tmp_path):
    """A crash leaves a core file behind when it is allowed to, also where the soft limit is 0, and gdb reads it."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if not re.fullmatch(r"core(\.%p)?", pattern):
        pytest.skip(f"core files do not go to the working folder here: {pattern}")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("the hard limit forbids core files here")
    for allowed in (False, True):
        folder = tmp_path / str(allowed)
        folder.mkdir()
        process = worker(platform, env=ALLOW if allowed else {}, cwd=folder)
        platform.wait_request("take", 1 + allowed)
        process.crash_expected = True
        process.signal(signal.SIGABRT)
        assert process.wait() == -signal.SIGABRT
        cores = list(folder.glob("core*"))
        assert len(cores) == allowed
    assert stack(gdb("-ex", "thread 1", "-ex", "backtrace", FOLDER / "echo", cores[0]))[-1] == "main"
