"""The processes of a benchmark: the platform, a worker under its launcher, and what they use."""

import json
import os
import select
import signal
import subprocess
import sys
import time


class BenchError(Exception):
    """A measurement that could not be made; the text says why."""


class BenchTimeout(BenchError):
    """What was waited for did not come in time."""


class Lines:
    """JSON lines from a pipe, waited for with a deadline."""

    def __init__(self, stream, who):
        self.fd = stream.fileno()
        self.who = who
        self.rest = b""

    def read(self, timeout_s):
        """The next object, or None at the stream's end."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise BenchTimeout(f"{self.who}: nothing came for {timeout_s:.1f} s")
            chunk = os.read(self.fd, 65536)
            if not chunk:
                return None
            self.rest += chunk
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def until(self, event, timeout_s):
        """The next object with this event; others are dropped."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.read(max(0.001, deadline - time.monotonic()))
            if found is None:
                raise BenchError(f"{self.who}: ended before '{event}'")
            if found["event"] == event:
                return found


class Platform:
    """One platform process. It listens from the start and goes on for many workers."""

    def __init__(self, binary, *options):
        self.process = subprocess.Popen(
            [binary, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.lines = Lines(self.process.stdout, "platform")
        try:
            self.port = self.lines.until("listening", 10)["port"]
        except BenchError:
            self.close()
            raise

    def command(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def reset(self, jobs=0):
        self.command(f"reset {jobs}")
        self.report()  # what came before the reset is dropped with it

    def until(self, event, timeout_s):
        return self.lines.until(event, timeout_s)

    def next(self, timeout_s):
        """The next event, whatever it is."""
        found = self.lines.read(timeout_s)
        if found is None:
            raise BenchError("platform: ended")
        return found

    def report(self):
        self.command("report")
        return self.lines.until("report", 10)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Relay:
    """relay.py in front of a port, as a server that is `round_trip_ms` away."""

    def __init__(self, port, round_trip_ms):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "relay.py")
        command = [sys.executable, script, str(port), str(round_trip_ms)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def _status_kib(pid, field):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    raise BenchError(f"process {pid} tells no {field}")


def _smaps_kib(pid):
    """Sums of the process's mappings in KiB: exact, where VmRSS can lag behind. Without the right
    to read them (our worker forbids it to all but root), VmRSS alone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            rows = [line.split() for line in f]
    except PermissionError:
        return {"rss": _status_kib(pid, "VmRSS")}
    sizes = {row[0][:-1]: int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}
    return {
        "rss": sizes["Rss"],
        "pss": sizes["Pss"],
        "private": sizes["Private_Clean"] + sizes["Private_Dirty"],
        "shared": sizes["Shared_Clean"] + sizes["Shared_Dirty"],
        "anonymous": sizes["Anonymous"],
    }


def _cpu_s(pid):
    """CPU time of a whole process, its ended threads included, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)  # the kernel's clock id of another process


class Worker:
    """A worker under its launcher. Leaving the `with` kills all of it."""

    def __init__(self, launcher, command, env, log, netns=False):
        self.log = log
        options = ["--netns"] if netns else []
        self.process = subprocess.Popen(
            [launcher, *options, log, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
        )
        self.lines = Lines(self.process.stdout, "launcher")
        try:
            started = self.lines.until("started", 10)
        except BenchError as e:
            self.process.stdin.close()
            said = self.process.stderr.read().decode().strip()
            self.close()
            raise BenchError(said or str(e)) from e
        self.pid = started["pid"]
        self.start_ns = started["start_ns"]

    def check(self):
        """Raises when the worker itself has ended, which no benchmark asks it to."""
        try:
            ended = self.lines.until("exited", 0)
        except BenchTimeout:
            return
        how = f"signal {ended['signal']}" if ended["signal"] else f"status {ended['code']}"
        raise BenchError(f"the worker ended with {how}; its log's end: {self.log_tail()}")

    def pids(self):
        """The worker's processes: those of its process group."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat") as f:
                    fields = f.read().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == self.pid and fields[0] not in "ZX":
                found.append(int(name))
        if not found:
            raise BenchError(f"the worker is gone; its log's end: {self.log_tail()}")
        return sorted(found)

    def tree(self):
        """The worker and all that it has started, programs in groups of their own included."""
        parents = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as f:
                    parents[int(name)] = int(f.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
        found = [self.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def memory(self, pids=None):
        """KiB, summed over the worker's processes; `processes` and `threads` beside them."""
        pids = pids or self.pids()
        total = {"processes": len(pids), "threads": 0, "vm_rss": 0, "vm_hwm": 0}
        for pid in pids:
            for key, value in _smaps_kib(pid).items():
                total[key] = total.get(key, 0) + value
            total["vm_rss"] += _status_kib(pid, "VmRSS")
            total["vm_hwm"] += _status_kib(pid, "VmHWM")
            total["threads"] += len(os.listdir(f"/proc/{pid}/task"))
        return total

    def peak(self):
        """KiB that the worker's first process has had at most."""
        return _status_kib(self.pid, "VmHWM")

    def cpu_s(self):
        return sum(_cpu_s(pid) for pid in self.pids())

    def connects(self):
        """Connection attempts so far of a worker in a network namespace."""
        with open(f"/proc/{self.process.pid}/net/snmp") as f:
            names, values = (line.split() for line in f if line.startswith("Tcp:"))
        return int(values[names.index("ActiveOpens")])

    def log_tail(self, size=400):
        try:
            with open(self.log, "rb") as f:
                f.seek(max(0, os.path.getsize(self.log) - size))
                return f.read().decode(errors="replace").strip()
        except OSError:
            return "no log"

    def close(self):
        """Kills the worker's processes and waits until the last is gone."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def wait_for(platform, worker, event, timeout_s):
    """The platform's next such event, unless the worker ends or the time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        left = deadline - time.monotonic()
        try:
            return platform.until(event, max(0.001, min(left, 0.5)))
        except BenchTimeout:
            worker.check()
            if left <= 0.5:
                raise BenchTimeout(
                    f"no '{event}' within {timeout_s} s; the log's end: {worker.log_tail()}"
                ) from None
