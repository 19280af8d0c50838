"""--audit: what it prints, and that a worker does nothing else, by strace (tracing.py)."""

import http.server
import json
import shutil
import socket
import threading

import pytest

import tracing
from actions import answer
from children import program, sh
from endpoint import Endpoint
from fakes3 import SECRET
from fileserver import FileServer, body
from httphandler import own_server
from own_handlers import own
from s3kit import fake  # noqa: F401 (fixture)
from servers import free_port
from testplatform import API_KEY
from tracing import Listed
from workerproc import binary

SECRETS = {
    "RUNPOD_AI_API_KEY": API_KEY,
    "RUNPOD_API_KEY": "key-of-clients",
    "RP_REALTIME_TOKEN": "token-of-clients",
    "BUCKET_ENDPOINT_URL": "https://s3.example.org/mine",
    "BUCKET_SECRET_ACCESS_KEY": SECRET,
    "HTTPS_PROXY": "http://user:proxy-word@proxy.example.org:3128",
    "RUNPOD_WEBHOOK_GET_JOB": "https://take.example.org/v2/e/job-take/$ID?token=in-the-query",
    "RUNPOD_WEBHOOK_POST_OUTPUT": "http://done.example.org:8443/v2/e/job-done/$ID",
    "RUNPOD_POD_ID": "pod",
}
PLATFORM = {name: SECRETS[name] for name in ("RUNPOD_WEBHOOK_GET_JOB", "RUNPOD_WEBHOOK_POST_OUTPUT")}


@pytest.fixture
def audit(local):
    """audit(*flags, handler=..., env={...}) -> what --audit=json says."""

    def run(*args, handler="worker", env=None):
        done = local("--audit=json", *args, handler=handler, env=env)
        assert done.returncode == 0, done.stdout
        return json.loads(done.stdout)

    return run


@pytest.fixture
def traced(monkeypatch):
    """Each worker of the test runs under strace; conftest.py and run_local then fail what is not listed."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: what workers do was NOT held against --audit")
    monkeypatch.setattr(tracing, "ENABLED", True)


def hosts(listed):
    return {(entry["host"], entry["port"]) for entry in listed["connects"]}


def paths(listed, kind):
    return {entry["path"] for entry in listed[kind]}


# ---- what it prints ----


def test_for_people(local):
    done = local("--audit", "--handler", "/bin/sh -c secret-argument", handler="worker", env=SECRETS)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100 and len(lines) <= 60
    for title in ("Connects to:", "Listens on:", "Writes:", "System calls:"):
        assert title in lines
    for subject in ("proxy.example.org:3128", "done.example.org:8443", "/etc/hosts", "/tmp/...", "/bin/sh"):
        assert any(line.startswith(f"  {subject} ") for line in lines), subject


@pytest.mark.parametrize("flag", [None, "--handler", "--handler-once"])
def test_a_linked_handlers_code_is_not_listed(local, flag):
    """Unless a program takes its place."""
    done = local("--audit", *([flag, "/bin/true"] if flag else []), handler="echo")
    assert ("the handler's own code" in done.stdout) == (flag is None)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("mode", [(), ("--rp_serve_api",), ("--handler", "/bin/sh -c secret-argument")])
def test_no_secret_is_printed(local, form, mode):
    done = local(f"--audit={form}", *mode, env={**SECRETS, "NO_PROXY": "none.example.org"})
    assert done.returncode == 0
    for secret in (API_KEY, SECRET, "key-of-clients", "token-of-clients", "proxy-word", "user:", "in-the-query", "secret-arg"):
        assert secret not in done.stdout


def test_it_starts_nothing(local, tmp_path):
    env = {**PLATFORM, "RP_SCRATCH_DIR": str(tmp_path / "scratch"), "RP_HANDLER": sh(f"touch {tmp_path}/ran")}
    assert local("--audit", handler="worker", env=env).returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_form_that_it_does_not_have(local):
    done = local("--audit=yaml")
    assert done.returncode == 2 and "must be text or json" in done.stdout


@pytest.mark.parametrize("wrong", [["json"], ["--handlr-http", "http://127.0.0.1:9"]], ids=["word", "flag"])
def test_a_mistyped_argument_is_not_audited_around(local, wrong):
    done = local("--audit", *wrong, handler="worker")
    assert done.returncode == 2 and f"unknown argument {wrong[0]}" in done.stdout


def test_hosts_of_the_platform(audit):
    listed = audit("--handler-http", "http://127.0.0.1:8000/v1", env=PLATFORM)
    assert (listed["jobs"], listed["handler"]) == ("platform", "server")
    names = {("take.example.org", 443), ("done.example.org", 8443), ("done.example.org", 443), ("127.0.0.1", 8000)}
    assert hosts(listed) == names | {("the nameservers of /etc/resolv.conf", 53)}
    assert not listed["listens"] and not listed["starts"]
    assert [entry["path"] for entry in listed["writes"]] == ["/dev/null"]


def test_a_proxy_takes_the_place_of_hosts(audit):
    listed = audit("--handler-http", "http://127.0.0.1:8000", env={**PLATFORM, "HTTPS_PROXY": "http://10.0.0.1:3128"})
    assert hosts(listed) >= {("10.0.0.1", 3128), ("done.example.org", 8443)}
    assert "take.example.org" not in str(hosts(listed)) and ("done.example.org", 443) not in hosts(listed)


def test_names_to_listen_on_are_looked_up(audit):
    nameservers = ("the nameservers of /etc/resolv.conf", 53)
    for host, asks in (("worker.example.org", True), ("localhost", False), ("::1", False), ("0.0.0.0", False)):
        env = {"RUNPOD_REALTIME_PORT": "83", "RUNPOD_ENDPOINT_ID": "e", "RP_REALTIME_HOST": host}
        listed = audit("--handler-http", "http://127.0.0.1:8000", env=env)
        assert (nameservers in hosts(listed)) == ("/etc/resolv.conf" in paths(listed, "reads")) == asks, host


def test_ports(audit):
    def ports(*args, **env):
        return {(entry["host"], entry["port"]) for entry in audit(*args, handler="echo", env=env)["listens"]}

    assert ports("--rp_serve_api", "--rp_api_host", "::1", "--metrics-port", "0") == {("::1", 8000), ("localhost", 0)}
    assert ports("--serve", PORT="81", PORT_HEALTH="82") == {("*", 81), ("*", 82)}
    assert ports(RUNPOD_REALTIME_PORT="83", RUNPOD_ENDPOINT_ID="e", RP_REALTIME_HOST="127.0.0.1") == {("127.0.0.1", 83)}
    assert ports("--metrics-port", "84", "--metrics-host", "0.0.0.0", **PLATFORM) == {("0.0.0.0", 84)}
    assert ports("--test_input", '{"input": 1}', "--metrics-port", "84") == set()


def test_files_and_programs(audit, tmp_path):
    env = {**PLATFORM, "PATH": "/usr/bin:/bin", "TMPDIR": "/var/tmp", "SSL_CERT_FILE": "/my/roots.pem", "RP_CACHE": "/a:/b"}
    flags = ["--handler", "sh -c :", "--fitness", "/not/there/yet --now", "--result-dir", str(tmp_path)]
    listed = audit(*flags, env=env)
    assert paths(listed, "starts") == {"/usr/bin/sh", "/not/there/yet"}
    assert paths(listed, "writes") >= {str(tmp_path), "/var/tmp", "/a", "/b", "/runpod-volume"}
    assert paths(listed, "reads") >= {str(tmp_path), "/my/roots.pem", "/etc/resolv.conf", "/proc/meminfo", "/a"}


def test_programs_that_are_not_here(audit):
    """By their first word, as a shell reads it, and without what may be a secret."""

    def starts(line):
        return paths(audit(env={**PLATFORM, "RP_HANDLER": line}), "starts")

    assert starts("'/my programs/run' it") == {"/my programs/run"}
    assert starts("TOKEN=secret-word run") == {"TOKEN"}
    assert starts("'/not closed") == {"--handler"}


def test_control_bytes_stay_off_a_terminal(local, tmp_path):
    done = local("--audit", "--result-dir", f"{tmp_path}/a\x1b[2Jb\x7f\n/etc/shadow", env=PLATFORM)
    assert done.returncode == 0 and f"{tmp_path}/a?[2Jb??/etc/shadow/..." in done.stdout


def test_calls_are_those_of_what_is_used(audit):
    def roles(*args, **more):
        return {role["role"] for role in audit("--confine=off", *args, **more)["system_calls"]}

    assert roles("--handler-http", "http://127.0.0.1:1", env=PLATFORM) == {"core", "client"}
    assert roles("--handler", "/bin/sh", env=PLATFORM) == {"core", "client", "files", "programs"}
    assert roles("--serve", handler="echo") == {"core", "client", "server", "files"}
    assert "execve" not in str(audit(handler="echo", env=PLATFORM)["system_calls"])


# ---- and nothing else ----


def test_what_is_not_listed_is_found(traced, platform, worker, audit):
    """The trace of a worker, held against what another one may do."""
    process = worker(platform, "--handler", program("echo.sh"), handler="worker")
    assert "output" in platform.run(1)
    process.terminate()
    assert process.wait() == 0
    other = Listed(audit("--test_input", "{}", env={"RP_SCRATCH_DIR": "/elsewhere"}), "/")
    unlisted = {call.name for call in process.trace.calls() if not other.may(call)}
    assert {"connect", "socket", "execve", "waitid", "open", "mkdirat"} <= unlisted


def test_platform_over_tls(traced, tls_platform, worker):
    checks = {"RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "false", "RUNPOD_MIN_MEMORY_GB": "0", "RUNPOD_MIN_DISK_PERCENT": "0",
              "RUNPOD_NETWORK_CHECK_TIMEOUT": "60"}  # fmt: skip
    process = worker(tls_platform, "--stream", "--rp_debugger", "--metrics-port", "0", env={**checks, "RUNPOD_PING_INTERVAL": "100"})
    tls_platform.wait_request("ping", 2)
    assert "output" in tls_platform.run({"a": 1})
    process.terminate()
    assert process.wait() == 0


def test_closed_streams(traced, platform, worker):
    """Opened on nothing before all else."""
    process = worker(platform, prefix=["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    assert platform.run(1) == {"output": 1}
    process.terminate()
    assert process.wait() == 0
    assert any("/dev/null" in call.arguments for call in process.trace.calls())


@pytest.mark.parametrize("flag", ["--handler", "--handler-once"])
def test_programs(traced, platform, worker, tmp_path, flag):
    script = "read job; echo '{\"output\": 7}'" if flag == "--handler" else "cat >/dev/null; echo 7"
    env = {"RP_FITNESS": sh("exit 0"), "RP_SCRATCH_DIR": str(tmp_path / "scratch")}
    process = worker(platform, flag, sh(script), handler="worker", env=env)
    assert platform.run(1) == {"output": 7}
    process.terminate()
    process.wait()


def test_a_program_behind_a_server(traced, platform, worker):
    port = free_port()
    flags = ["--handler", own_server(port), "--handler-http", f"http://localhost:{port}"]
    process = worker(platform, *flags, handler="worker")
    assert platform.run({"route": "/echo", "body": 3})["output"]["body"] == 3
    process.terminate()
    assert process.wait() == 0


def test_a_model_that_a_server_needs(traced, platform, worker, tmp_path):
    """Nothing else looks into the cache then."""
    port = free_port()
    hub = tmp_path / "hub"
    snapshot = hub / "models--org--small" / "snapshots" / "0a1b"
    snapshot.mkdir(parents=True)
    (snapshot / "weights").write_text("1")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0a1b\n")
    flags = ["--fitness-model", "org/small", "--handler-http", f"http://127.0.0.1:{port}"]
    process = worker(platform, *flags, handler="worker", env={"HF_HUB_CACHE": str(hub)})
    process.wait_log("Fitness check passed: model_check")
    process.terminate()
    process.wait()


def test_an_isolated_handler(traced, platform, worker):
    process = worker(platform, "--isolate")
    assert platform.run({"b": 2}) == {"output": {"b": 2}}
    process.terminate()
    assert process.wait() == 0


def content_of(port, request):
    """The JSON in a server's answer, which is a success."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(request)
        head, _, content = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    return json.loads(content)


def test_realtime(traced, worker, tmp_path):
    port = free_port()
    token = tmp_path / "token"
    token.write_text("word\n")
    env = {"RUNPOD_REALTIME_PORT": str(port), "RUNPOD_ENDPOINT_ID": "e", "RP_REALTIME_TOKEN_FILE": str(token)}
    process = worker(None, env=env)
    process.wait_log("Serving POST")
    request = b'POST /e/realtime HTTP/1.0\r\nAuthorization: Bearer word\r\nContent-Length: 12\r\n\r\n{"input": 5}'
    assert content_of(port, request) == {"output": 5}
    process.terminate()
    assert process.wait() == 0


def test_the_job_api_and_its_webhooks(traced, worker):
    called = threading.Event()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            called.set()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        endpoint = Endpoint(worker(None, "--rp_serve_api", "--rp_api_port=0"))
        endpoint.run(1, webhook=f"http://localhost:{receiver.server_port}/")
        if not called.wait(tracing.PATIENCE_S):
            raise TimeoutError("the webhook was not called")
        receiver.shutdown()
        thread.join()
    endpoint.process.terminate()
    assert endpoint.process.wait() == 0


def test_a_load_balancing_endpoint(traced, worker):
    process = worker(None, "--serve", "--serve-host", "127.0.0.1", env={"PORT": "0"})
    port = int(process.wait_log("Serving requests on port").split("port ")[1].split(";")[0])
    process.wait_log("Ready for requests")
    assert content_of(port, b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\n5") == 5
    process.terminate()
    assert process.wait() == 0


def test_a_local_run_with_files(traced, local, fake, tmp_path):  # noqa: F811
    """A download, whose content is uploaded from there."""
    server = FileServer()
    server.pages["/x"] = body(b"content")
    try:
        given = {"input": {"action": "move", "url": f"{server.base}/x"}}
        env = {**fake.env(), "RP_SCRATCH_DIR": str(tmp_path / "scratch"), "RP_ALLOW_PRIVATE_DOWNLOADS": "1"}
        done = local("--test_input", json.dumps(given), "--test_result", "result.json", handler=own("files"), env=env)
    finally:
        server.stop()
    assert done.returncode == 0, done.stdout
    assert "output" in json.loads((tmp_path / "result.json").read_text())


def test_a_cache_on_a_volume(traced, platform, worker, tmp_path):
    (tmp_path / "volume").mkdir()
    kept = tmp_path / "container" / "kept"
    kept.mkdir(parents=True)
    (kept / "small").write_text("1")
    (kept / "large").write_bytes(b"2" * 300_000)
    flags = ["--cache", str(kept), "--cache-name", "n", "--cache-volume", str(tmp_path / "volume")]
    process = worker(platform, *flags)
    process.wait_log("Cache: saved 2 files")
    process.terminate()
    assert process.wait() == 0
    shutil.rmtree(kept.parent)
    process = worker(platform, *flags)
    process.wait_log("Cache: restored 2 files")
    assert (kept / "small").read_text() == "1"
    process.terminate()
    assert process.wait() == 0


def test_results_that_are_kept(traced, platform, worker, tmp_path):
    flags = ["--result-dir", str(tmp_path)]
    platform.always("done", answer(503))
    process = worker(platform, *flags, env={"RP_RESULT_RETRY_S": "0"})
    job = platform.give(input=1)
    process.wait_log(f"{job}.*kept in {tmp_path}")
    process.terminate()
    process.wait()
    platform.always("done", None)
    process = worker(platform, *flags)
    assert platform.wait_final(job, 2).json() == {"output": 1}
    process.terminate()
    assert process.wait() == 0


def test_every_binary_has_it(audit):
    for name in ("worker", "worker-gpu", "echo"):
        assert audit(handler=str(binary(name)), env=PLATFORM)["worker"].startswith("slim-worker/")
