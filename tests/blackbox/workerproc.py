"""The worker as a process: started with a clean environment, its log read as it comes, nothing left behind."""

import contextlib
import fcntl
import os
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import termios
import threading
from pathlib import Path

import pytest

import confining
import tracing
from witness import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("WORKER_BUILD", ROOT / "build")).resolve()
RUNNER = shlex.split(os.environ.get("WORKER_RUNNER", ""))  # qemu-aarch64-static, for a cross-built worker
SANITIZED = BUILD.name.endswith("-worker")  # asan-worker, tsan-worker (tests/sanitize.mk)


def _bytes_in(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


def binary(name):
    """The worker of that name: worker, worker-gpu, echo, mock, or the path of another one."""
    path = Path(name) if "/" in name else BUILD / (name if name in ("worker", "worker-gpu") else f"handlers/{name}")
    assert path.exists(), f"{path} is not there; run ./build.sh first (or set WORKER_BUILD)"
    return path


class Worker:
    """One running worker."""

    def __init__(self, witness, name, args=(), env=None, cwd="/", prefix=()):
        self.witness = witness
        self.env = {**(tracing.environment() if tracing.ENABLED else {}), **confining.environment(binary(name), cwd), **(env or {})}
        self.killed = False
        self.crash_expected = False
        self.trace = tracing.Trace(prefix, binary(name), args, self.env, cwd) if tracing.ENABLED else None
        self.command = [*prefix, *(self.trace.prefix if self.trace else RUNNER), str(binary(name)), *args]
        self._output = bytearray()
        self.process = subprocess.Popen(
            self.command,
            env=self.env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self.ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        witness.workers.append(self)

    def _read(self):
        pipe = self.process.stdout.fileno()
        readable = select.poll()  # not select(): that ends with an exception at descriptor 1024
        readable.register(pipe, select.POLLIN)
        chunk = True
        while chunk:
            readable.poll()
            with self.witness.changed:  # read and noted in one step, see output()
                chunk = os.read(pipe, 1 << 16)
                self._output += chunk
                self.witness.changed.notify_all()
        self.process.wait()

        def note():
            self.ended = True

        self.witness.tell(note)

    # ---- what it says ----

    @property
    def output(self):
        """All that it has printed up to now, what is still in the pipe included."""
        with self.witness.changed:
            while self._reader.is_alive() and not self.process.stdout.closed and _bytes_in(self.process.stdout):
                self.witness.changed.wait(1)
            return bytes(self._output)

    @property
    def log(self):
        return self.output.decode("utf-8", "backslashreplace")

    def lines(self, pattern=""):
        return [line for line in self.log.splitlines() if re.search(pattern, line)]

    def would_be_refused(self):
        """What a worker says that the tests have made try --confine; nothing of others."""
        asked = confining.MODE == "log" and not any(word.startswith("--confine") for word in self.command)
        return self.lines("--confine: would refuse ") if asked else []

    def wait_log(self, pattern, count=1, timeout_s=PATIENCE_S):
        """The count-th line of the log that matches the regular expression."""

        def found():
            lines = self.lines(pattern)
            return lines[count - 1] if len(lines) >= count else None

        return self.witness.wait_for(found, f"line {count} with {pattern!r} in the log", timeout_s)

    # ---- what happens to it ----

    def signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        self.signal(signal.SIGTERM)

    def interrupt(self):
        self.signal(signal.SIGINT)

    def wait(self, timeout_s=PATIENCE_S):
        """Its exit status (negative: the signal that ended it)."""
        self.witness.wait_for(lambda: self.ended, "the worker's end", timeout_s)
        return self.process.returncode

    def cpu_s(self):
        """Processor time it has used so far, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_kib(self):
        """Its highest resident memory so far, in KiB; 0 under a sanitizer, whose own memory hides the worker's."""
        if SANITIZED:
            return 0
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])

    def resident_kib(self):
        """Its resident memory now, in KiB; 0 under a sanitizer."""
        if SANITIZED:
            return 0
        smaps = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s+(\d+) kB", smaps, re.M)[1])

    def command_line(self):
        return Path(f"/proc/{self.pid}/cmdline").read_bytes()

    def end(self):
        """Kill it and whatever it started; the test's very last step."""
        if SANITIZED:
            self._end_by_itself()
        if not self.ended:
            self.killed = True
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._reader.join(PATIENCE_S)
        self.process.stdout.close()

    def _end_by_itself(self):
        """Leaks are looked for at an orderly end alone: a second signal asks for one at once."""
        for patience_s in (0.5, 5):
            if not self.ended:
                with contextlib.suppress(ProcessLookupError):  # it ended, and `ended` comes a moment later
                    self.signal(signal.SIGTERM)
                self._reader.join(patience_s)

    def unlisted(self):
        """What it did that its --audit does not list, where that is looked at; after end()."""
        return self.trace.unlisted(self.process.returncode) if self.trace else []

    def leftovers(self):
        """Processes of its session that are still there. After a kill, the kernel is given the time it takes to end
        them; a worker that ends by itself has to have done so before."""
        for entry in self._session() if self.killed else ():
            try:
                ended = os.pidfd_open(int(entry.split()[0]))
            except ProcessLookupError:
                continue
            select.select([ended], [], [], PATIENCE_S)
            os.close(ended)
        return self._session()

    def _session(self):
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.pid and fields[0] != "Z":
                    found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
            except (OSError, IndexError):
                continue
        return found

    def story(self):
        state = f"exit status {self.process.returncode}" if self.ended else "running"
        log = self.log
        if len(log) > 12000:
            log = log[:6000] + "\n[... cut by the test ...]\n" + log[-6000:]
        return f"=== worker {' '.join(self.command)[:300]}: {state}\n{log}"


def run_local(name, *args, env=None, cwd, timeout_s=PATIENCE_S):
    """Run a binary to its end, without a platform; returns a CompletedProcess with text in stdout."""
    env = {**(tracing.environment() if tracing.ENABLED else {}), **confining.environment(binary(name), cwd), **(env or {})}
    trace = tracing.Trace((), binary(name), args, env, cwd) if tracing.ENABLED else None
    done = subprocess.run(
        [*(trace.prefix if trace else RUNNER), str(binary(name)), *args],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )
    unlisted = trace.unlisted(done.returncode) if trace else []
    assert not unlisted, "not in --audit:\n" + "\n".join(unlisted)
    return done


def mount_prefix(*arguments):
    """A command prefix that calls mount(8) with these arguments before the worker, who alone sees what that does."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip(f"needs root and unshare(1) to give one process a {arguments[-1]} of its own")
    return [shutil.which("unshare"), "-m", "/bin/sh", "-c", f'/bin/mount {shlex.join(arguments)} && exec "$@"', "sh"]


def hosts_prefix(tmp_path, text):
    """The same with an /etc/hosts of this text."""
    file = tmp_path / "hosts"
    file.write_text(text)
    return mount_prefix("--bind", str(file), "/etc/hosts")
