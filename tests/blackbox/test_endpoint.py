"""tests/CONTRACT.md, "The public job API": the routes of --rp_serve_api, as its clients find them."""

import contextlib
import http.client
import http.server
import json
import os
import re
import resource
import socket
import subprocess
import threading

import pytest

from endpoint import Endpoint
from own_handlers import Gate, own, steps
from servers import free_port
from witness import PATIENCE_S
from workerproc import ROOT

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture
def endpoint(worker):
    """endpoint(*flags, handler="mock", env={...}) -> Endpoint, ready for requests."""

    def start(*args, handler="mock", env=None):
        return Endpoint(worker(None, "--rp_serve_api", "--rp_api_port=0", *args, handler=handler, env=env))

    return start


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / "gate")


@pytest.fixture
def receiver(witness):
    """A server that notes webhooks: (path, body); answers with the statuses it is given, then 200."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = server.statuses.pop(0) if server.statuses else 200
            witness.tell(lambda: server.calls.append((self.headers["Content-Type"], json.loads(body))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.calls, server.statuses = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/hook"
    server.wait = lambda count: witness.wait_for(lambda: len(server.calls) >= count, f"{count} webhooks")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


# ---- run, status, runsync ----


@pytest.mark.parametrize("prefix", ["", "/ep-1", "/v2/ep-1"])
def test_run_and_status(endpoint, prefix):
    api = endpoint()
    answer = api.post(f"{prefix}/run", {"input": {"mock_return": {"n": 7}}})
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    begun = answer.json()
    assert set(begun) == {"id", "status"} and begun["status"] == "IN_QUEUE" and re.fullmatch(UUID, begun["id"])
    ended = api.post(f"{prefix}/status-sync/{begun['id']}").json()
    assert ended["status"] == "COMPLETED" and ended["output"] == {"n": 7} and ended["id"] == begun["id"]
    assert api.get(f"{prefix}/status/{begun['id']}").json() == ended
    assert api.post(f"{prefix}/status/{begun['id']}", "").json() == ended
    for name in ("delayTime", "executionTime", "retries"):
        assert isinstance(ended[name], int), ended
    assert ended["workerId"] and "error" not in ended


def test_runsync_waits_for_the_result(endpoint):
    done = endpoint().post("/runsync", {"input": {"mock_delay": 0.05, "mock_return": [1, None]}}).json()
    assert done["status"] == "COMPLETED" and done["output"] == [1, None]
    assert re.fullmatch("sync-" + UUID, done["id"])
    assert done["executionTime"] >= 50


def test_runsync_answers_after_its_wait(endpoint, gate):
    api = endpoint(handler=own("steps"))
    api.ended(api.run(steps()))  # the handler is ready
    begun = api.post("/v2/x/runsync?wait=1000", {"input": steps(gate.step, {"return": 1})}).json()
    assert begun["status"] == "IN_PROGRESS" and "output" not in begun
    gate.open()
    assert api.ended(begun["id"])["output"] == 1


def test_request_that_cannot_wait_is_hung_up(endpoint):
    """Without a descriptor to be woken by: its client asks again, as after any connection that broke, and is not told a
    status before its time."""
    api = endpoint()
    job = api.run({"mock_delay": 600})
    api.process.wait_log("Started")
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE_S)
    connection.request("GET", f"/status/{job}")
    assert json.load(connection.getresponse())["id"] == job
    usual = resource.prlimit(api.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(api.process.pid, resource.RLIMIT_NOFILE, (3, usual[1]))
    connection.request("GET", f"/status-sync/{job}?wait=1000")
    with pytest.raises(ConnectionError):
        connection.getresponse()
    resource.prlimit(api.process.pid, resource.RLIMIT_NOFILE, usual)
    assert api.get(f"/status-sync/{job}?wait=1000").json()["status"] == "IN_PROGRESS"
    assert api.post(f"/cancel/{job}").json()["status"] == "CANCELLED"


def test_error_is_a_string(endpoint):
    api = endpoint()
    failed = api.post("/runsync", {"input": {"mock_error": True}}).json()
    assert failed["status"] == "FAILED" and "Mock error" in failed["error"]
    assert "Mock error" in json.loads(failed["error"])["error_message"]


def test_id_of_the_client_does_not_count(endpoint):
    api = endpoint(handler="echo")
    done = api.post("/runsync", {"id": "mine", "input": {"a": "\u00e4"}}).json()
    assert done["id"] != "mine" and done["output"] == {"a": "\u00e4"}


def test_progress_is_the_output_of_a_job_that_runs(endpoint, gate):
    api = endpoint(handler=own("steps"))
    job = api.run(steps({"progress": {"step": 1}}, gate.step, {"return": "done"}))
    api.process.wait_log("at step 2")
    for name, data in api.events(f"/events/{job}"):
        if name == "progress":  # it is sent beside the handler
            break
    status = api.status(job)
    assert status["status"] == "IN_PROGRESS" and status["output"] == data == {"step": 1}
    gate.open()
    assert api.ended(job)["output"] == "done"


@pytest.mark.parametrize(
    "body, text",
    [
        ("", "JSON object"),
        ("{}", "no input"),
        ("[]", "JSON object"),
        ('{"input": null}', "no input"),
        ('{"input": 1', "JSON object"),
        ('{"input": {"a": }}', "JSON|byte|expected"),
        ('{"input": 1}}', "JSON|byte|expected"),
        ('{"input": 1, "policy": []}', "policy"),
        ('{"input": 1, "policy": {"ttl": "soon"}}', "policy.ttl"),
        ('{"input": 1, "policy": {"ttl": 604800001}}', "policy.ttl.*from 1 to 604800000"),
        ('{"input": 1, "policy": {"lowPriority": 1}}', "policy.lowPriority"),
        ('{"input": 1, "policy": {"executionTimeout": 0}}', "executionTimeout"),
        ('{"input": 1, "webhook": "ftp://x/"}', "webhook"),
        ('{"input": 1, "webhook": 5}', "webhook"),
    ],
)
def test_refused_bodies(endpoint, body, text):
    api = endpoint()
    for route in ("/run", "/runsync"):
        answer = api.post(route, body)
        assert answer.status == 400, (answer.status, answer.body)
        assert re.search(text, answer.json()["error"]), answer.body
        assert "Retry-After" not in answer.headers
    assert api.get("/health").json()["jobs"]["inQueue"] == 0


@pytest.mark.parametrize(
    "more",
    [
        {"policy": None, "webhook": None},
        {"policy": {}, "webhook": ""},
        {"policy": {"ttl": None, "executionTimeout": None, "lowPriority": None}},
        {"policy": {"ttl": 604_800_000, "executionTimeout": 604_800_000, "lowPriority": False}},
    ],
)
def test_policies_that_say_nothing(endpoint, more):
    done = endpoint(handler="echo").post("/runsync", {"input": 1, **more}).json()
    assert done["status"] == "COMPLETED" and done["output"] == 1


def test_shortest_policies(endpoint):
    api = endpoint()
    for name in ("ttl", "executionTimeout"):
        assert api.post("/run", {"input": {}, "policy": {name: 1}}).status == 200


def test_paths_and_methods(endpoint):
    api = endpoint()
    assert api.get("/nothing").status == 404
    assert api.get("/v2/ep/nothing/x").status == 404
    assert api.get("/status/unknown").status == 404 and "error" in api.get("/status/unknown").json()
    wrong = api.get("/v2/ep/run")
    assert wrong.status == 405 and wrong.headers["Allow"] == "POST"
    for path in ("/health", "/"):
        assert api.ask("HEAD", path).status == 200 and api.ask("HEAD", path).body == b""
    headers = api.get("/v2/ep/health").headers
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    for method, path, allowed in (
        ("PUT", "/run", "POST"), ("OPTIONS", "/v2/ep/run", "POST"), ("DELETE", "/", "GET, HEAD"),
        ("PATCH", "/status/x", "GET, HEAD, POST"), ("BREW", "/stream/x", "GET, POST"),
    ):  # fmt: skip
        answer = api.ask(method, path)
        assert answer.status == 405 and answer.headers["Allow"] == allowed, (method, path)
    assert api.ask("DELETE", "/nothing").status == 404
    for path in ("/run/x", "/status", "/status/", "/status/a/b", "/v2/ep/status", "/v2/ep/run/x", "/v2", "/v2/ep"):
        answer = api.post(path, {"input": 1})
        assert answer.status == 404 and "see /openapi.json" in answer.json()["error"], path


def test_payload_limits(endpoint):
    api = endpoint(handler="echo")
    largest = "x" * ((10 << 20) - len('{"input": ""}'))
    assert api.post("/run", json.dumps({"input": largest})).status == 200
    assert api.post("/run", json.dumps({"input": largest + "x"})).status == 413
    large = api.post("/runsync", json.dumps({"input": "x" * (11 << 20)})).json()
    assert large["status"] == "COMPLETED" and len(large["output"]) == 11 << 20
    assert api.post("/runsync", json.dumps({"input": "x" * (20 << 20)})).status == 413


# ---- streams ----


def test_stream_holds_until_there_is_a_part(endpoint, gate):
    api = endpoint(handler=own("steps"))
    job = api.run(steps(gate.step, {"yield": 1}, {"yield": {"b": 2}}, gate.step, {"return": 3}))
    first = api.later(api.get, f"/v2/ep/stream/{job}")
    gate.open()
    parts = first.wait().json()
    assert parts["status"] == "IN_PROGRESS" and parts["stream"], parts
    gate.open()
    api.ended(job)
    rest = api.post(f"/stream/{job}").json()
    assert rest["status"] == "COMPLETED"
    assert [part["output"] for part in parts["stream"] + rest["stream"]] == [1, {"b": 2}, 3]
    assert rest["id"] == job and rest["retries"] == 0 and isinstance(rest["executionTime"], int)
    last = api.get(f"/stream/{job}").json()
    assert last["status"] == "COMPLETED" and last["stream"] == []
    assert api.status(job)["output"] == [1, {"b": 2}, 3]


def test_stream_of_a_job_that_fails(endpoint):
    api = endpoint(handler=own("steps"))
    job = api.run(steps({"yield": 1}, {"fail": "broken"}))
    api.ended(job)
    last = api.get(f"/stream/{job}").json()
    assert last["status"] == "FAILED" and [part["output"] for part in last["stream"]] == [1]
    assert "broken" in last["error"] and last["error"] == api.status(job)["error"]


def test_events_of_a_job(endpoint, gate):
    api = endpoint(handler=own("steps"))
    job = api.run(steps({"yield": "a\nb"}, gate.step, {"return": "c"}))
    events = []
    for name, data in api.events(f"/events/{job}"):
        events.append((name, data))
        if name == "part" and data == "a\nb":
            gate.open()
    assert [data for name, data in events if name == "part"] == ["a\nb", "c"]
    log = [data for name, data in events if name == "log"]
    assert "INFO   | at step 1" in log and log[-1] == "INFO   | Finished."
    assert events[-1] == ("status", api.status(job))
    again = api.get(f"/events/{job}").body.decode()
    assert all(line.startswith(("event: ", "data: ")) for line in again.splitlines() if line), "no signs of life between"
    assert again.count("event: part\n") == 2


def test_each_event_of_a_job_comes_by_itself(endpoint, tmp_path):
    """At once, whatever it is: the job waits at a gate behind it."""
    gates = [Gate(tmp_path / f"gate-{n}") for n in range(3)]
    said = ['{"log": "one"}', '{"progress": 50}', '{"stream": 2}']
    script = tmp_path / "handler.sh"
    lines = "".join(f"echo '{line}'\nread x < {gate.path}\n" for line, gate in zip(said, gates))
    script.write_text(f"while read job; do\n{lines}echo '{{\"output\": null}}'\ndone\n")
    api = endpoint("--handler", f"/bin/sh {script}", handler="worker")
    job = api.run(1)
    events = api.events(f"/events/{job}")
    for wanted, gate in zip((("log", "INFO   | one"), ("progress", 50), ("part", 2)), gates):
        assert next((event for event in events if event == wanted), None), wanted
        gate.open()
    assert list(events)[-1] == ("status", api.status(job))


def test_log_of_a_job_in_events(endpoint, tmp_path):
    """Line by line, and of a long one the start, without half a character."""
    script = tmp_path / "handler.sh"
    said = [json.dumps({"log": text}) for text in ("one\n\ntwo", "a" + "ž" * 3000)]
    script.write_text("while read job; do\n" + "".join(f"echo '{line}'\n" for line in said).replace("\\", "\\\\")
                      + "echo '{\"output\": 1}'\ndone\n")
    api = endpoint("--handler", f"/bin/sh {script}", handler="worker")
    log = [data for name, data in api.events(f"/events/{api.run(1)}") if name == "log"]
    assert log[-4:] == ["INFO   | one", "two", "INFO   | a" + "ž" * 2042, "INFO   | Finished."]


def test_stopped_job_has_not_finished(endpoint):
    api = endpoint()
    job = api.run({"mock_delay": 1000})
    api.process.wait_log("Started")
    api.post(f"/cancel/{job}")
    assert api.post("/runsync", {"input": {}}).json()["status"] == "COMPLETED"  # the slot has done with the first
    assert not any(job in line for line in api.process.lines("Finished"))
    assert api.get("/events/unknown").status == 404


def test_events_of_all_jobs(endpoint):
    api = endpoint()
    events = api.events("/events")
    assert next(events)[1]["requests"] == []
    job = api.run({})
    for name, data in events:
        assert name == "jobs"
        if data["requests"] and data["requests"][0]["status"] == "COMPLETED":
            break
    assert data["requests"][0]["id"] == job and data["health"]["jobs"]["completed"] == 1
    events.close()


# ---- cancel, retry, purge, policies ----


def test_cancel_stops_the_job(endpoint):
    api = endpoint()
    job = api.run({"mock_delay": 1000})
    api.process.wait_log("Started")
    assert api.post(f"/v2/ep/cancel/{job}", "null").json() == {"id": job, "status": "CANCELLED"}
    assert api.status(job)["status"] == "CANCELLED"
    assert api.post("/runsync", {"input": {}}).json()["status"] == "COMPLETED"  # its slot is free
    assert api.get(f"/stream/{job}").json()["stream"] == []


def test_cancel_of_a_job_that_waits(endpoint, gate):
    api = endpoint(handler=own("steps"))
    api.run(steps(gate.step, {"return": 1}))
    api.process.wait_log("at step 1")
    waiting = api.run(steps({"return": 2}))
    other = api.run(steps({"return": 3}))
    assert api.status(waiting) == {"id": waiting, "status": "IN_QUEUE"}
    assert api.post(f"/cancel/{waiting}").json()["status"] == "CANCELLED"
    assert api.post(f"/cancel/{waiting}").json()["status"] == "CANCELLED"
    gate.open()
    assert api.ended(other)["output"] == 3
    assert len(api.process.lines("Started")) == 2


def test_retry(endpoint):
    api = endpoint()
    job = api.run({"mock_error": True})
    assert api.ended(job)["status"] == "FAILED"
    assert api.post(f"/v2/ep/retry/{job}").json() == {"id": job, "status": "IN_QUEUE"}
    ended = api.ended(job)
    assert ended["status"] == "FAILED" and ended["retries"] == 1
    assert api.get("/health").json()["jobs"]["retried"] == 1
    done = api.run({})
    api.ended(done)
    assert api.post(f"/retry/{done}").status == 409


def test_retry_while_the_cancelled_one_still_runs(endpoint, gate):
    api = endpoint("--rp_api_concurrency", "2", handler=own("steps"))
    job = api.run(steps(gate.step, {"return": 1}))
    api.process.wait_log("at step 1")
    api.post(f"/cancel/{job}")
    api.post(f"/retry/{job}")
    api.process.wait_log("at step 1", 2)
    ended = api.later(api.ended, job)
    while ended.thread.is_alive():  # one opening lets through only whoever has come to the gate by then
        with contextlib.suppress(OSError):
            os.close(os.open(gate.path, os.O_WRONLY | os.O_NONBLOCK))
        ended.thread.join(0.01)
    assert ended.wait()["status"] == "COMPLETED"


def test_purge(endpoint, gate):
    api = endpoint(handler=own("steps"))
    running = api.run(steps(gate.step, {"return": 1}))
    api.process.wait_log("at step 1")
    jobs = [api.run(steps({"return": 2})) for _ in range(3)]
    assert api.get("/health").json()["jobs"] == {
        "completed": 0, "failed": 0, "inProgress": 1, "inQueue": 3, "retried": 0
    }
    assert api.post("/v2/ep/purge-queue", "").json() == {"removed": 3, "status": "completed"}
    assert {api.status(job)["status"] for job in jobs} == {"CANCELLED"}
    gate.open()
    assert api.ended(running)["output"] == 1


def test_execution_timeout_and_ttl(endpoint):
    api = endpoint()
    before = api.run({"mock_delay": 1000})
    api.process.wait_log("Started")
    stale = api.run({}, policy={"ttl": 50})
    assert api.ended(stale)["status"] == "TIMED_OUT"
    api.post(f"/cancel/{before}")
    slow = api.run({"mock_delay": 1000}, policy={"executionTimeout": 100})
    assert api.ended(slow)["status"] == "TIMED_OUT" and "executionTimeout" in api.status(slow)["error"]
    assert api.post("/runsync", {"input": {}}).json()["status"] == "COMPLETED"


def test_low_priority_goes_last(endpoint, gate):
    api = endpoint(handler=own("steps"))
    api.run(steps(gate.step, {"return": 1}))
    api.process.wait_log("at step 1")
    low = api.run(steps({"return": "low"}), policy={"lowPriority": True})
    high = api.run(steps({"return": "high"}))
    gate.open()
    api.ended(low), api.ended(high)
    order = api.process.lines("Started")
    assert [low in line for line in order[1:]] == [False, True] and high in order[1]


def test_jobs_at_the_same_time(endpoint, gate, tmp_path):
    api = endpoint("--rp_api_concurrency", "2", handler=own("steps"))
    second = Gate(tmp_path / "second")
    one = api.run(steps(gate.step, {"return": 1}))
    two = api.run(steps(second.step, {"return": 2}))
    api.process.wait_log("at step 1", 2)
    second.open()
    assert api.ended(two)["output"] == 2 and api.status(one)["status"] == "IN_PROGRESS"
    gate.open()
    api.ended(one)


def test_full_queue(endpoint, gate):
    api = endpoint(handler=own("steps"))
    failed = api.run(steps({"fail": "no"}))
    api.ended(failed)
    api.run(steps(gate.step, {"return": 1}))
    api.process.wait_log(r"at step 1", 2)
    for _ in range(1000):
        api.run(1)
    for path in ("/run", f"/retry/{failed}"):
        full = api.post(path, {"input": 1})
        assert full.status == 429 and full.headers["Retry-After"] == "1", path
        assert full.json()["error"] == "1000 jobs are waiting already: try again later"
    assert api.post("/purge-queue").json()["removed"] == 1000
    gate.open()


# ---- webhooks ----


def test_webhook(endpoint, receiver):
    api = endpoint()
    job = api.run({"mock_return": 5}, webhook=receiver.url)
    receiver.wait(1)
    kind, body = receiver.calls[0]
    assert kind == "application/json" and body["id"] == job and body["status"] == "COMPLETED" and body["output"] == 5
    assert body == api.status(job)


def test_webhooks_of_jobs_that_come_to_no_end(endpoint, receiver):
    """Whoever ends them, and once."""
    api = endpoint()
    running = api.run({"mock_delay": 1000}, webhook=receiver.url)
    api.process.wait_log("Started")
    stale = api.run({}, webhook=receiver.url, policy={"ttl": 50})
    receiver.wait(1)
    for _ in range(2):
        api.post(f"/cancel/{running}")
    receiver.wait(2)
    slow = api.run({"mock_delay": 1000}, webhook=receiver.url, policy={"executionTimeout": 100})
    receiver.wait(3)
    api.process.terminate()
    assert api.process.wait() == 0
    assert [(body["id"], body["status"]) for _, body in receiver.calls] == [
        (stale, "TIMED_OUT"), (running, "CANCELLED"), (slow, "TIMED_OUT"),
    ]  # fmt: skip


def test_webhook_is_tried_again(endpoint, receiver):
    receiver.statuses = [202]
    api = endpoint()
    job = api.run({"mock_error": True}, webhook=receiver.url)
    api.process.wait_log(r"Webhook: it answered 202, not 200; trying again in 10 s")
    other = api.run({}, webhook=receiver.url)
    receiver.wait(2)  # which waits for no second try of another
    api.process.terminate()  # what waits for its second try is dropped then: nobody waits 10 s
    assert api.process.wait() == 0
    assert [body["id"] for _, body in receiver.calls] == [job, other]


def test_webhooks_are_called_before_the_worker_ends(endpoint, receiver, gate):
    api = endpoint(handler=own("steps"))
    api.run(steps(gate.step, {"return": 1}), webhook=receiver.url)
    api.process.wait_log("at step 1")
    api.process.terminate()
    api.process.wait_log("SIGTERM")
    gate.open()
    assert api.process.wait() == 0
    assert receiver.calls[0][1]["output"] == 1


# ---- health, metrics, ping ----


def test_health_and_ping(endpoint, gate):
    api = endpoint(handler=own("steps"))
    api.post("/runsync", {"input": steps({"return": 1})})
    assert api.get("/ping").status == 200
    health = api.get("/v2/ep/health").json()
    assert health["jobs"] == {"completed": 1, "failed": 0, "inProgress": 0, "inQueue": 0, "retried": 0}
    assert health["workers"] == {
        "idle": 1, "initializing": 0, "ready": 1, "running": 0, "throttled": 0, "unhealthy": 0
    }
    assert api.get("/v2/ep/metrics").json() == {"readyWorkers": 1}


def test_ping_while_starting(endpoint, tmp_path):
    """The server answers before the handler is ready, and jobs wait until it is."""
    script = tmp_path / "slow.sh"
    gate = Gate(tmp_path / "ready")
    script.write_text(f'#!/bin/sh\nread x < {gate.path}\necho \'{{"ready": true}}\'\n'
                      'while read line; do echo \'{"output": 1}\'; done\n')
    script.chmod(0o755)
    api = endpoint("--handler", f"/bin/sh {script}", "--handler-ready", "line", handler="worker")
    assert api.get("/ping").status == 204
    job = api.run({})
    assert api.get("/health").json()["workers"]["initializing"] == 1
    gate.open()
    assert api.ended(job)["output"] == 1
    assert api.get("/ping").status == 200


def test_prometheus(endpoint):
    api = endpoint()
    api.post("/runsync", {"input": {}})
    api.post("/runsync", {"input": {"mock_error": True}})
    answer = api.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    values = dict(line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if not line.startswith("#"))
    assert values['worker_jobs_finished_total{state="COMPLETED"}'] == "1"
    assert values['worker_jobs_finished_total{state="FAILED"}'] == "1"
    assert values["worker_job_execution_seconds_count"] == "2"
    assert values['worker_job_queue_seconds_bucket{le="+Inf"}'] == "2"
    assert int(values["process_resident_memory_bytes"]) > 100000
    for line in answer.body.decode().splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \w+ .+|\w+(\{\w+=\"[^\"]*\"\})? [0-9.e+-]+", line), line


def test_requests_lists_the_newest_first(endpoint):
    api = endpoint()
    jobs = [api.run({"mock_return": n}) for n in range(3)]
    for job in jobs:
        api.ended(job)
    listed = api.get("/v2/ep/requests").json()["requests"]
    assert [job["id"] for job in listed] == jobs[::-1] and {job["status"] for job in listed} == {"COMPLETED"}


# ---- keys, Host, Origin ----


def test_key(endpoint):
    key = "a-key-for-tests-123"
    api = endpoint(env={"RUNPOD_API_KEY": key})
    for path in ("/health", "/ping", "/metrics", "/nothing", "/openapi.json", "/events"):
        refused = api.get(path)
        assert refused.status == 401 and refused.headers["WWW-Authenticate"] == "Bearer", path
    for wrong in ("Bearer ", f"Bearer {key}x", f"Bearer {key[:-1]}", key.upper(), "Bearer", ""):
        assert api.get("/health", headers={"Authorization": wrong}).status == 401, wrong
    for right in (f"Bearer {key}", key, f"bearer {key}"):
        assert api.get("/health", headers={"Authorization": right}).status == 200, right
    named = {"Authorization": key, "Host": "pod-8000.proxy.example"}
    assert api.get("/health", headers=named).status == 200
    assert api.get("/").status == 200  # the page asks for the key
    assert key not in api.process.log


def test_key_file(endpoint, tmp_path):
    file = tmp_path / "key"
    file.write_text("from-a-file\n")
    api = endpoint("--api-key-file", str(file))
    assert api.get("/health", headers={"Authorization": "Bearer from-a-file"}).status == 200
    assert api.get("/health").status == 401


@pytest.mark.parametrize("flags, text", [
    (["--rp_api_host", "0.0.0.0"], "RUNPOD_API_KEY.*--rp_api_open"),
    (["--api-key-file", "/nowhere/key"], "--api-key-file.*/nowhere/key"),
    (["--rp_api_port", "70000"], "0 to 65535"),
])  # fmt: skip
def test_refused_at_the_start(local, flags, text):
    done = local("--rp_serve_api", *flags, handler="echo")
    assert done.returncode == 2 and re.search(text, done.stdout), done.stdout


def test_port_in_use(local):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = local("--rp_serve_api", "--rp_api_host=127.0.0.1", f"--rp_api_port={port}", handler="echo")
    assert done.returncode == 1 and str(port) in done.stdout and "--rp_api_port" in done.stdout


def test_open_beyond_this_machine(endpoint):
    api = endpoint("--rp_api_host=0.0.0.0", "--rp_api_open")
    assert api.get("/health").status == 200


@pytest.mark.parametrize("host, status", [
    ("localhost", 200), ("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("worker", 200), ("a.localhost:1", 200),
    ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("evil.example:8000", 421),
])  # fmt: skip
def test_host(endpoint, host, status):
    assert endpoint().get("/health", headers={"Host": host}).status == status


def test_origin(endpoint):
    api = endpoint()
    own_origin = f"http://127.0.0.1:{api.port}"
    for origin, status in ((own_origin, 200), ("http://evil.example", 403), ("null", 403), ("http://127.0.0.1", 403)):
        answer = api.post("/purge-queue", headers={"Origin": origin})
        assert answer.status == status and "Access-Control-Allow-Origin" not in answer.headers, origin
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert api.get("/purge-queue", headers={"Sec-Fetch-Site": site}).status == status, site
    assert api.ask("OPTIONS", "/run", headers={"Origin": "http://evil.example"}).status == 403


def test_cors(endpoint):
    api = endpoint("--rp_api_cors", "https://app.example")
    asked = api.ask("OPTIONS", "/run", headers={"Origin": "https://app.example",
                                                "Access-Control-Request-Method": "POST"})  # fmt: skip
    assert asked.status == 204 and asked.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert asked.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert asked.headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert asked.headers["Access-Control-Max-Age"] == "600" and asked.headers["Vary"] == "Origin"
    allowed = api.post("/run", {"input": {}}, headers={"Origin": "https://app.example"})
    assert allowed.status == 200 and allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert api.post("/run", {"input": {}}, headers={"Origin": "https://other.example"}).status == 403
    assert api.get("/health").status == 200  # no browser


def test_cors_for_every_page(endpoint):
    """A browser asks first, and without the key; what it asks for needs that."""
    api = endpoint("--rp_api_cors", "*", env={"RUNPOD_API_KEY": "a-key-for-tests"})
    page = {"Origin": "https://any.example"}
    for answer, status in (
        (api.ask("OPTIONS", "/run", headers=page), 204),
        (api.get("/health", headers=page), 401),
        (api.get("/health", headers={**page, "Authorization": "a-key-for-tests"}), 200),
    ):
        assert answer.status == status and answer.headers["Access-Control-Allow-Origin"] == "*"


# ---- programs, ends ----


def test_program_as_the_handler(endpoint):
    program = "/usr/bin/python3 -c 'import sys,json\nfor l in sys.stdin:\n print(json.dumps({\"output\": json.loads(l)[\"id\"]}), flush=True)'"
    api = endpoint("--handler", program, handler="worker")
    done = api.post("/runsync", {"input": {}, "id": "mine"}).json()
    assert done["output"] == done["id"]


def test_drain(endpoint, gate):
    api = endpoint(handler=own("steps"))
    running = api.later(api.post, "/runsync", {"input": steps(gate.step, {"return": 1})})
    api.process.wait_log("at step 1")
    waiting = api.later(api.post, "/runsync", {"input": steps({"return": 2})})
    while api.get("/health").json()["jobs"]["inQueue"] != 1:
        pass
    api.process.terminate()
    cancelled = waiting.wait().json()
    assert cancelled["status"] == "CANCELLED"
    for path in ("/run", f"/retry/{cancelled['id']}"):
        refused = api.post(path, {"input": 1})
        assert refused.status == 503 and refused.headers["Retry-After"] == "1"
        assert refused.json()["error"] == "The worker is shutting down."
    gate.open()
    assert running.wait().json()["output"] == 1
    assert api.process.wait() == 0


def test_drain_ends_event_streams(endpoint):
    api = endpoint()
    events = api.events("/events")
    next(events)
    api.process.terminate()
    assert list(events) is not None and api.process.wait() == 0


def test_flags_of_the_sdk_as_runpodctl_gives_them(worker):
    port = free_port()
    process = worker(None, "--rp_serve_api", "--rp_api_host=0.0.0.0", f"--rp_api_port={port}",
                     "--rp_api_concurrency=1", "--rp_log_level", "INFO",
                     env={"RUNPOD_API_KEY": "k" * 20})  # fmt: skip
    api = Endpoint(process)
    assert api.port == port and api.get("/health", headers={"Authorization": "k" * 20}).status == 200


def test_many_clients_at_once(endpoint):
    api = endpoint("--rp_api_concurrency=4", handler="echo")
    calls = [api.later(api.post, "/runsync", {"input": n}) for n in range(100)]
    assert [call.wait().json()["output"] for call in calls] == list(range(100))


# ---- openapi.json ----


def test_made_up_requests_get_described_answers(endpoint, tmp_path):
    """schemathesis: no 5xx, and answers as openapi.json says."""
    schemathesis = ROOT / "build/venv-clients/bin/st"
    if not schemathesis.exists():
        pytest.skip("build/venv-clients is not there: SCHEMATHESIS WAS NOT RUN")
    api = endpoint(handler="echo")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [schemathesis, "run", f"{api.url}/openapi.json", "--exclude-path-regex", "^/events", "--checks", checks]
    command += ["--max-examples", "8", "--phases", "coverage,fuzzing", "--seed", "1", "--no-color"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "*"}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert api.get("/ping").status == 200


def test_description(endpoint):
    """Every route is described, and every description is true of a first request."""
    api = endpoint()
    described = api.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    names = set(re.findall(r'^ *\{ "([a-z.-]+)", "', (ROOT / "src/source/endpoint_route.c").read_text(), re.M))
    assert {path.split("/")[1] for path in described["paths"]} - {""} == names
    job = api.post("/runsync", {"input": {"mock_error": True}}).json()["id"]
    for path, operations in described["paths"].items():
        if path.startswith("/events"):
            continue  # no end
        for method, operation in operations.items():
            body = {"input": {}} if "content" in operation.get("requestBody", {}) else None
            answer = api.ask(method.upper(), path.format(id=job, route="v1/models"), body)
            said = operation["responses"][str(answer.status)]
            if answer.status != 204:
                assert answer.headers["Content-Type"].split(";")[0] in said["content"], (method, path)
