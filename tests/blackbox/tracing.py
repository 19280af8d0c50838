"""What a worker asks of the kernel, by strace, held against what its --audit lists.

Its own calls count, not those of the programs that it starts: of its threads, of its children until they are another program, and
of those that are its own binary again (--isolate). What it only looks at (stat, access, readlink) is not held against the list.
"""

import contextlib
import ipaddress
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

PATIENCE_S = 30
WRONG_SETTINGS = 2  # the exit status
ENABLED = bool(os.environ.get("WORKER_AUDIT"))
ANY = "*"
LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))$")
UNFINISHED = re.compile(r"^(.*?)\s*<unfinished \.\.\.>$")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
DESCRIPTOR = re.compile(r'\d+<([^"]*)>(?:, |$)')
FOLDER = re.compile(r'(?:AT_FDCWD|\d+)<([^"]*)>, $')
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
ADDRESS = re.compile(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')
UNIX = re.compile(r'sun_path="([^"]*)"')
CAP_SYS_PTRACE = 19
ENDS_AT_ONCE = ("--help", "-h", "--version", "--sbom", "--gpu-info", "--audit")  # a worker that only prints
TASKS = ("clone", "clone3", "fork", "vfork")
OPENS = ("open", "openat", "openat2", "creat")
CHANGES = ("mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "chmod", "fchmodat", "chown",
           "fchownat", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "truncate", "utimensat")


# ---- reading a trace ----


class Call:
    """One system call: its name, its arguments as strace writes them, and its result."""

    def __init__(self, name, arguments, result):
        self.name, self.arguments, self.result = name, arguments, result

    def __str__(self):
        return f"{self.name}({self.arguments[:300]}) = {self.result}"

    def paths(self, cwd):
        """Its paths, absolute: what a folder's descriptor stands for is in front of them. None of a call whose memory the
        tracer could not read: it shows addresses."""
        if '"' not in self.arguments and (descriptor := DESCRIPTOR.match(self.arguments)):
            yield descriptor[1]  # utimensat(3</a/b>, NULL, ...)
        for match in STRING.finditer(self.arguments):
            folder = FOLDER.search(self.arguments, 0, match.start())
            text = re.sub(r"\\(.)", r"\1", match[1])
            yield os.path.normpath(os.path.join(cwd, folder[1] if folder else "", text))


def _split(rest):
    """'arguments) = result' in two."""
    arguments, _, result = rest.rpartition(" = ")
    return arguments.rstrip().removesuffix(")"), result.split(" ")[0]


def _calls(lines):
    """(task, Call) in the order in which the calls ended."""
    begun = {}
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        task, resumed, tail, name, rest = match.groups()
        if resumed:
            yield task, Call(resumed, *_split(begun.pop(task, "") + tail))
        elif unfinished := UNFINISHED.match(rest):
            begun[task] = unfinished[1]
        elif " = " in rest:
            yield task, Call(name, *_split(rest))


def worker_calls(text, binary):
    """The worker's own calls. The first one, which makes it the worker, is not among them."""
    calls = list(_calls(text.splitlines()))
    parents = {call.result: task for task, call in calls if call.name in TASKS and call.result.isdecimal()}
    own = {str(binary), "/proc/self/exe"}
    left = set()  # tasks that are another program now

    def has_left(task):
        while task is not None and task not in left:
            task = parents.get(task)
        return task is not None

    found = []
    for task, call in calls:
        if has_left(task):
            continue
        found.append(call)
        if call.name == "execve" and call.result == "0":
            path = STRING.search(call.arguments)
            if path is None or path[1] not in own:
                left.add(task)
    return found[1:]


# ---- what is listed ----


class Listed:
    """What --audit=json says."""

    def __init__(self, audit, cwd):
        self.all = audit
        self.cwd = cwd
        self.calls = {name for role in self.all["system_calls"] for name in role["calls"]}
        self.has_driver = any(role["role"] == "gpu" for role in self.all["system_calls"])  # which calls whatever it needs

    def _absolute(self, path):
        return os.path.normpath(os.path.join(self.cwd, path))

    def _holds(self, kind, path):
        for entry in self.all[kind]:
            listed = self._absolute(entry["path"])
            real = os.path.realpath(listed)
            if path in (listed, real) or entry["below"] and path.startswith((listed.rstrip("/") + "/", real.rstrip("/") + "/")):
                return True
        return False

    def _leads_to(self, path):
        """A folder on the way to one that is written to: it is made where it is missing."""
        return any(self._absolute(entry["path"]).startswith(path.rstrip("/") + "/") for entry in self.all["writes"])

    def may_open(self, call):
        writes = re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", call.arguments)
        paths = list(call.paths(self.cwd))
        return bool(paths) and all(self._holds("writes" if writes else "reads", path) or not writes and self._may_pass(path)
                                   for path in paths)

    def _may_pass(self, path):
        """A folder that is written to may be opened to find the way in it, and one that leads there."""
        return self._holds("writes", path) or self._leads_to(path)

    def may_change(self, call):
        paths = list(call.paths(self.cwd))
        return bool(paths) and all(self._holds("writes", path) or call.name.startswith("mkdir") and self._leads_to(path)
                                   for path in paths)

    def may_start(self, call):
        path = next(call.paths(self.cwd), None)
        return path in {self._absolute(entry["path"]) for entry in self.all["starts"]}

    def _may_use(self, kind, address):
        """The address as strace writes it."""
        if unix := UNIX.search(address):
            return any(entry.get("path") == unix[1] for entry in self.all[kind])
        port, address = PORT.search(address), ADDRESS.search(address)
        if not port or not address:
            return False
        return any(entry["port"] in (ANY, int(port[1])) and _is_host(entry["host"], address[1])
                   for entry in self.all[kind] if "port" in entry)

    def may_connect(self, call):
        return self._may_use("connects", call.arguments)

    def may_send(self, call):
        """Without an address it goes where its socket was connected to."""
        if call.name == "sendmsg":
            name, _, _ = call.arguments.partition("msg_iov=")
            return "{msg_name=NULL, " in name or self._may_use("connects", name)
        if call.arguments.endswith(", NULL, 0"):
            return True
        at = call.arguments.rfind("{sa_family=")
        return at >= 0 and self._may_use("connects", call.arguments[at:])

    def may_bind(self, call):
        return self._may_use("listens", call.arguments)

    def may(self, call):
        if call.name not in self.calls and not self.has_driver:
            return False
        judges = {"connect": self.may_connect, "sendto": self.may_send, "sendmsg": self.may_send, "bind": self.may_bind,
                  "execve": self.may_start}
        if not self.has_driver:
            judges.update(dict.fromkeys(OPENS, self.may_open), **dict.fromkeys(CHANGES, self.may_change))
        return judges.get(call.name, lambda _: True)(call)


def _is_host(host, address):
    """A name that this machine does not know may be one of the test's own server of names, so it may be any address."""
    address = ipaddress.ip_address(address)
    try:
        return ipaddress.ip_address(host) == address
    except ValueError:
        pass
    try:
        known = {ipaddress.ip_address(info[4][0].partition("%")[0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        known = {address}
    return host == ANY or " " in host or address in known


# ---- a worker under strace ----


def environment():
    """What a traced worker has in its environment: the memory of one that has a key is closed to a tracer without that right."""
    status = Path("/proc/self/status").read_text("ascii")
    may_trace = int(re.search(r"^CapEff:\s*(\w+)$", status, re.M)[1], 16) >> CAP_SYS_PTRACE & 1
    return {} if may_trace else {"RP_ALLOW_DEBUGGER": "1"}


class Trace:
    """Of one worker: give `prefix` to the start, then ask for `unlisted` once it has ended."""

    def __init__(self, before, binary, args, env, cwd):
        self.binary, self.cwd = binary, str(cwd)
        self._prints = any(word.partition("=")[0] in ENDS_AT_ONCE for word in args)
        self.text = b""
        self._folder = tempfile.mkdtemp(prefix="trace-")
        os.chmod(self._folder, 0o711)
        self._pipe = Path(self._folder, "pipe")
        os.mkfifo(self._pipe)
        os.chmod(self._pipe, 0o666)  # a worker may be another user's
        self._audit = self._ask(before, args, env)
        if self._audit.returncode == 0 and not self._audit.stdout:  # what is before it has closed that
            self._audit = self._ask((), args, env)
        # The worker is the process that is started; its tracer is no relative of it (-DDD), and closes the pipe at its end.
        self.prefix = [shutil.which("strace"), "-DDD", "-f", "-qq", "-y", "-s", "4096", "-o", str(self._pipe)]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _ask(self, before, args, env):
        return subprocess.run(
            [*before, str(self.binary), "--audit=json", *args], env=env, cwd=self.cwd, stdin=subprocess.DEVNULL, capture_output=True,
            check=False, timeout=PATIENCE_S,
        )

    def _read(self):
        self.text = self._pipe.read_bytes()

    def calls(self):
        """The worker's own calls; it has ended, and its tracer ends with it. One that was killed before it began was never traced:
        nobody else opens the pipe then."""
        with contextlib.suppress(OSError):
            os.close(os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK))
        self._reader.join(PATIENCE_S)
        if self._reader.is_alive():
            raise TimeoutError("the tracer has not ended")
        shutil.rmtree(self._folder, ignore_errors=True)
        return worker_calls(self.text.decode("utf-8", "replace"), self.binary)

    def _listed(self):
        """What it printed; a program may print more when its rp_start has returned. None: something else."""
        try:
            audit, _ = json.JSONDecoder().raw_decode(self._audit.stdout.decode())
        except ValueError:
            return None
        return audit if isinstance(audit, dict) and "system_calls" in audit else None

    def unlisted(self, status):
        """What the worker, which ended with that status, did that its --audit does not say. [] also where there is nothing to
        audit: the settings are wrong, and the start fails as well; it only prints; or it is a handler without that part."""
        calls = self.calls()
        if self._audit.returncode == WRONG_SETTINGS and b'built without its part "audit"' in self._audit.stderr:
            return []
        if self._audit.returncode == status == WRONG_SETTINGS:
            return []
        audit = self._listed()
        if audit is None and self._prints:
            return []
        assert audit is not None, f"--audit ended with {self._audit.returncode}: {self._audit.stdout + self._audit.stderr}"
        listed = Listed(audit, self.cwd)
        return sorted({str(call) for call in calls if not listed.may(call)})
