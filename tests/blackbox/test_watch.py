"""--watch: a handler whose file has changed is restarted between jobs, and no job is lost over it."""

import os
import shlex
import shutil
import sys

import pytest

from children import children_of
from endpoint import Endpoint
from own_handlers import Gate, own, steps
from servers import free_port
from witness import PATIENCE_S
from workerproc import binary

# Answers with its version; {"gate": PATH} waits there first.
PROGRAM = """
import json, sys
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    job = json.loads(line)
    if "gate" in job["input"]:
        print(json.dumps({"id": job["id"], "log": "at the gate"}), flush=True)
        open(job["input"]["gate"], "rb").read()
    print(json.dumps({"id": job["id"], "output": VERSION}), flush=True)
"""
# Works on several jobs: answers them once it has been given {"go": true}.
SHARED = """
import json, sys
held = []
for line in sys.stdin:
    job = json.loads(line)
    held.append(job["id"])
    print(json.dumps({"log": f"{len(held)} held"}), flush=True)
    if job["input"].get("go"):
        for name in held:
            print(json.dumps({"id": name, "output": VERSION}), flush=True)
        held.clear()
"""
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = b'{"version": VERSION}'
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/wait"):
            print("at the gate", flush=True)
            open(GATE, "rb").read()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
BROKEN = "import sys; print('cannot start', file=sys.stderr); sys.exit(3)\n"


class Source:
    """The handler's file, in a folder of its own."""

    def __init__(self, folder, text, path=None):
        self.path = path or folder / "handler.py"
        self.text = text
        self.number = 0
        self.replace(1)

    def content(self, version):
        return self.text.replace("VERSION", str(version))

    def write(self, version):
        """In place: a program that starts meanwhile may read half of it."""
        self.path.write_text(self.content(version))

    def replace(self, version):
        """As editors do it: a new file takes the name of the old one."""
        new = self.path.with_suffix(".new")
        new.write_text(self.content(version))
        os.replace(new, self.path)

    def relink(self, version):
        """A symbolic link that comes to point elsewhere."""
        target = self.path.with_name(f"version-{version}")
        target.write_text(self.content(version))
        link = self.path.with_suffix(".link")
        os.symlink(target, link)
        os.replace(link, self.path)

    def command(self, *arguments):
        return shlex.join([sys.executable, "-S", "-E", str(self.path), *map(str, arguments)])


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return Source(folder, PROGRAM)


@pytest.fixture
def watching(worker):
    """watching(*flags, handler=...) -> Endpoint of a worker with --watch."""

    def start(*flags, handler="worker", env=None):
        return Endpoint(worker(None, "--rp_serve_api", "--rp_api_port=0", "--watch", *flags, handler=handler, env=env))

    return start


def output(api, given=None):
    answer = api.post("/runsync", {"input": given or {}}).json()
    assert answer["status"] == "COMPLETED", answer
    return answer["output"]


def changed(api, count=1):
    api.process.wait_log(r"has changed: the handler is restarted", count)


@pytest.mark.parametrize("how", ["write", "replace", "relink"])
def test_program(watching, source, how):
    api = watching("--handler", source.command())
    assert output(api) == 1
    for version in (2, 3):
        getattr(source, how)(version)
        changed(api, version - 1)
        assert output(api) == version
    assert str(source.path) in api.process.lines("has changed")[0]
    assert not api.process.lines("WARN|ERROR"), "a restart is no death"
    assert "worker_handler_deaths_total 0" in api.get("/metrics").body.decode()


def test_idle_program_is_restarted_at_once(watching, source, witness):
    """A model is loaded again while nobody waits for it."""
    api = watching("--handler", source.command())
    output(api)
    before = set(children_of(api.process.pid))
    source.replace(2)
    witness.wait_for(lambda: before.isdisjoint(children_of(api.process.pid)) or None, "the old process's end")
    witness.wait_for(lambda: children_of(api.process.pid), "a new process")


def test_job_that_runs_keeps_its_program(watching, source, tmp_path):
    gate = Gate(tmp_path / "gate")
    api = watching("--handler", source.command())
    running = api.run(gate.step)
    api.process.wait_log("at the gate")
    waiting = [api.run({}) for _ in range(3)]
    source.replace(2)
    changed(api)
    gate.open()
    assert api.ended(running)["output"] == 1
    assert [api.ended(job)["output"] for job in waiting] == [2, 2, 2]


def test_broken_program_keeps_the_queue_until_it_is_mended(watching, source):
    api = watching("--handler", source.command(), "--handler-ready=line", "--handler-deaths=2")
    assert output(api) == 1
    source.path.write_text(BROKEN)
    changed(api)
    job = api.run({})
    api.process.wait_log("started again when its file changes")
    assert api.status(job)["status"] in ("IN_QUEUE", "IN_PROGRESS")
    source.replace(3)
    assert api.ended(job)["output"] == 3
    assert not api.process.ended


def test_program_that_is_broken_from_the_start(watching, source):
    source.path.write_text(BROKEN)
    api = watching("--handler", source.command(), "--handler-ready=line", "--handler-deaths=2")
    api.process.wait_log("started again when its file changes")
    assert api.get("/ping").status == 204
    job = api.run({})
    source.replace(2)
    assert api.ended(job)["output"] == 2
    assert api.get("/ping").status == 200


def test_deleted_file_is_waited_for(watching, source):
    api = watching("--handler", source.command())
    assert output(api) == 1
    source.path.unlink()
    assert output(api) == 1
    source.replace(2)
    changed(api)
    assert output(api) == 2


def test_several_jobs_a_program(watching, source, tmp_path):
    """What the old program has is answered by it; the next one gets what came later."""
    source.text = SHARED
    source.replace(1)
    api = watching("--handler", source.command(), "--handler-jobs=3")
    first = [api.run({}), api.run({"go": False})]
    api.process.wait_log("2 held")
    go = api.run({"go": True})
    assert {api.ended(job)["output"] for job in (*first, go)} == {1}
    source.replace(2)
    changed(api)
    assert api.ended(api.run({"go": True}))["output"] == 2


def test_several_jobs_wait_for_the_new_program(watching, source, tmp_path):
    source.text = PROGRAM
    gate = Gate(tmp_path / "gate")
    api = watching("--handler", source.command(), "--handler-jobs=2")
    running = api.run(gate.step)
    api.process.wait_log("at the gate")
    source.replace(2)
    changed(api)
    later = api.run({})
    gate.open()
    assert api.ended(running)["output"] == 1
    assert api.ended(later)["output"] == 2


def test_server(watching, source, tmp_path):
    gate = Gate(tmp_path / "gate")
    port = free_port()
    source.text = SERVER.replace("GATE", repr(gate.path))
    source.replace(1)
    api = watching(
        "--handler", source.command(port), "--handler-http", f"http://127.0.0.1:{port}", "--handler-ready=tcp"
    )
    running = api.run({"route": "/wait", "body": {}})
    api.process.wait_log("at the gate")
    source.replace(2)
    changed(api)
    later = api.run({"route": "/", "body": {}})
    gate.open()
    assert api.ended(running)["output"] == {"version": 1}
    assert api.ended(later)["output"] == {"version": 2}


def test_c_handler(watching, tmp_path):
    """A rebuilt binary takes over, and the queue is kept: only the handler's process is another one."""
    gate = Gate(tmp_path / "gate")
    mine = tmp_path / "handler"
    shutil.copy(own("steps"), mine)
    api = watching(handler=str(mine))
    running = api.run(steps(gate.step, {"return": "old"}))
    api.process.wait_log("at step 1")
    waiting = [api.run({"n": n}) for n in range(3)]
    shutil.copy(binary("echo"), tmp_path / "new")
    os.replace(tmp_path / "new", mine)
    changed(api)
    gate.open()
    assert api.ended(running)["output"] == "old"
    assert [api.ended(job)["output"] for job in waiting] == [{"n": n} for n in range(3)]


def test_binary_that_is_not_executable_yet(watching, tmp_path):
    mine = tmp_path / "handler"
    shutil.copy(binary("mock"), mine)
    api = watching(handler=str(mine))
    assert output(api, {"mock_return": 1}) == 1
    shutil.copyfile(binary("echo"), tmp_path / "new")
    os.replace(tmp_path / "new", mine)
    changed(api)
    mine.chmod(0o755)
    changed(api, 2)
    assert output(api, {"echo": 1}) == {"echo": 1}


@pytest.mark.parametrize(
    "flags, text",
    [
        (["--test_input", '{"input": 1}'], "--rp_serve_api"),
        ([], "--rp_serve_api"),
        (["--rp_serve_api", "--handler-http", "http://127.0.0.1:1"], "--handler PROGRAM"),
    ],
)
def test_refused(local, flags, text):
    done = local("--watch", *flags, handler="worker")
    assert done.returncode == 2 and "--watch" in done.stdout and text in done.stdout


def test_terminates_while_it_waits_for_a_change(watching, source):
    source.path.write_text(BROKEN)
    flags = ["--handler-ready=line", "--handler-deaths=1"]
    api = watching("--handler", source.command(), *flags, env={"RP_SHUTDOWN_GRACE_S": "1"})
    api.process.wait_log("started again when its file changes")
    api.process.terminate()
    api.process.wait(PATIENCE_S)
