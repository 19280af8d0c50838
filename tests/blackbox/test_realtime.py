"""tests/CONTRACT.md, "Local runs", Realtime: POST /<endpoint id>/realtime is answered with the result object."""

import http.client
import json
import re
import select
import socket
import threading
import time
from pathlib import Path

import pytest

from badserver import plain
from children import descriptors, sh
from front import Events
from httphandler import server  # noqa: F401 (fixtures)
from later import Later
from own_handlers import Gate, own, steps
from servers import free_port
from test_metrics import port_of, scrape
from witness import PATIENCE_S

PATH = "/ep-1/realtime"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: a\r\n"
WAITING_MAX = 100  # requests that wait for a slot
SPARE = 32  # connections beyond those that run or wait
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class Service:
    """A worker in realtime mode, and its clients."""

    def __init__(self, process, port):
        self.process, self.port = process, port
        self.open = []

    def client(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        self.open.append(connection)
        return connection

    def post(self, body, connection=None, headers=None, path=PATH):
        """Status and JSON of the answer."""
        connection = connection or self.client()
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        connection.request("POST", path, data, headers or {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.last = answer
        return answer.status, json.loads(answer.read())

    def get(self, path):
        connection = self.client()
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")

    def later(self, body):
        """The same on a thread of its own; wait() on what comes back gives the answer."""
        return Later(self.post, body)

    def dial(self, data=b""):
        """A bare connection that has said this."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        self.open.append(connection)
        connection.sendall(data.encode() if isinstance(data, str) else data)
        return connection

    def threads(self):
        return int(re.search(r"Threads:\s*(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def wait_threads(self, count):
        """Until so many connections are there (each has a thread): nobody announces that."""
        deadline = time.monotonic() + PATIENCE_S
        while self.threads() != count:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self.threads()} threads, not {count}")
            time.sleep(0.01)

    def wait_queued(self, count):
        """Until so many requests wait for a slot, with --metrics-port: a connection alone has asked for nothing yet."""
        port = port_of(self.process)
        deadline = time.monotonic() + PATIENCE_S
        while (queued := scrape(port)["worker_jobs_queued", None]) != count:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{queued} jobs wait, not {count}")
            time.sleep(0.01)


def hear(connection):
    """All that comes until the other end closes; b"" stands for that, a reset included."""
    data = b""
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


def hear_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(1)
        assert chunk, data
        data += chunk
    return data.decode()


@pytest.fixture
def realtime(worker):
    """realtime(*flags, handler="mock", env={...}) -> Service, ready for requests."""
    services = []

    def start(*args, handler="mock", env=None, concurrency=None):
        port = free_port()
        variables = {"RUNPOD_REALTIME_PORT": str(port), "RUNPOD_ENDPOINT_ID": "ep-1", **(env or {})}
        if concurrency is not None:
            variables["RUNPOD_REALTIME_CONCURRENCY"] = str(concurrency)
        process = worker(None, *args, handler=handler, env=variables)
        process.wait_log("Serving POST")
        services.append(Service(process, port))
        return services[-1]

    yield start
    for service in services:
        for connection in service.open:
            connection.close()


# ---- the answers ----


@pytest.mark.parametrize(
    "value", [{"a": [1, {"b": None}]}, [], "text ž 🦊", 0, -1.5, True, False, {}], ids=lambda value: json.dumps(value)
)
def test_input_comes_back(realtime, value):
    """{} is left out of a result as an empty object is everywhere."""
    service = realtime(handler="echo")
    wanted = {} if value == {} else {"output": value}
    assert service.post({"id": "a", "input": value}) == (200, wanted)
    assert service.last.headers["Content-Type"] == "application/json"


def test_failure_is_a_result(realtime):
    """Status 200, as with the SDK: the request itself was served."""
    status, result = realtime().post({"id": "a", "input": {"mock_error": True}})
    assert status == 200 and set(result) == {"error"}
    assert json.loads(result["error"])["error_message"] == "Mock error"


def test_refresh_is_told_and_the_worker_serves_on(realtime):
    service = realtime()
    assert service.post({"id": "a", "input": {"mock_refresh": True, "mock_return": 1}}) == (
        200,
        {"output": {"mock_return": 1}, "stopPod": True},
    )
    assert service.post({"id": "b", "input": {"mock_return": 2}}) == (200, {"output": 2})


def test_worker_that_is_to_be_refreshed_ends_after_its_answer(realtime):
    service = realtime("--refresh-worker")
    assert service.post({"id": "a", "input": {"mock_return": 1}}) == (200, {"output": 1, "stopPod": True})
    assert service.process.wait() == 0


def test_parts_of_a_stream_are_collected(realtime):
    """What a generator gives in the SDK's realtime mode, too."""
    assert realtime("--stream").post({"id": "a", "input": {"mock_return": 7}}) == (200, {"output": [7]})


def test_progress_goes_nowhere(realtime):
    service = realtime()
    body = {"id": "a", "input": {"mock_progress": {"updates": 3}, "mock_return": 1}}
    assert service.post(body) == (200, {"output": 1})


def test_id_names_the_job(realtime):
    service = realtime()
    for job_id, named in [("mine", "mine"), (17, "17"), ("same", "same"), ("same", "same")]:
        service.post({"id": job_id, "input": {}})
        assert service.process.wait_log(rf'"{named}".*Finished')


def test_job_without_an_id_gets_one(realtime):
    service = realtime(handler="echo")
    assert service.post({"input": [1]}) == (200, {"output": [1]})
    assert service.post('  {"webhook": "x",\n "input": [2]}  ') == (200, {"output": [2]})
    assert service.process.wait_log(rf'"{UUID}".*Finished', 2)


def test_same_id_twice_at_a_time(realtime):
    """Clients choose their ids; each gets its own result."""
    service = realtime(concurrency=2)
    first = service.later({"id": "x", "input": {"mock_delay": 0.5, "mock_return": 1}})
    service.process.wait_log(r"Started\.")
    second = service.later({"id": "x", "input": {"mock_delay": 0.1, "mock_return": 2}})
    assert first.wait() == (200, {"output": 1}) and second.wait() == (200, {"output": 2})


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"x", b'{"id": "a"', b'{"id": "a", "input": 1} x', b"[]", b'"a"', b"null", b"1", b"{}",
     b'{"id": "a"}', b'{"id": "a", "input": null}', b'{"id": {}, "input": 1}', b'{"id": "", "input": 1}',
     b'{"id": null, "input": 1}', b'[{"id": "a", "input": 1}]', b'{"id": "\xff", "input": 1}',
     b'{"id": "' + b"x" * 513 + b'", "input": 1}'],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_unusable_jobs_are_refused(realtime, body):
    """And the connection stays: the request was well-formed HTTP."""
    service = realtime(handler="echo")
    client = service.client()
    status, answer = service.post(body, client)
    assert status == 400 and set(answer) == {"error"} and answer["error"]
    assert service.post({"id": "b", "input": 1}, client) == (200, {"output": 1})
    assert len(service.process.lines("Started")) == 1


def test_large_bodies_both_ways(realtime):
    service = realtime(handler="echo")
    client = service.client()
    text = "0123456789abcdef" * 640_000  # 10 MB
    assert service.post({"id": "a", "input": text}, client) == (200, {"output": text})
    assert service.post({"id": "a", "input": text[:9_000_000]}, client)[0] == 200
    assert service.process.peak_kib() < 50_000


def test_body_over_the_limit(realtime):
    service = realtime(handler="echo")
    peer = service.dial(HEAD + f"Content-Length: {64 * 2**20 + 1}\r\n\r\n" + '{"id"')
    assert hear(peer).startswith(b"HTTP/1.1 413 ")


def test_result_over_the_limit_is_a_failure(realtime):
    service = realtime(handler="echo", env={"RP_MAX_RESULT_MB": "1"})
    status, result = service.post({"id": "a", "input": "x" * 1_100_000})
    assert status == 200 and set(result) == {"error"}


# ---- events ----


def test_parts_as_events(realtime):
    """Where the request accepts them; else they are a list, as above."""
    service = realtime("--stream", handler="mock")
    told = Events(service.dial, PATH, {"id": "a", "input": {"mock_return": 7, "mock_progress": {"updates": 1}}})
    assert "\r\nContent-Type: text/event-stream\r\n" in told.head()
    events = told.all()
    assert [name for name, _ in events] == ["progress", None, "end"]
    assert events[1:] == [(None, 7), ("end", {"id": "a", "status": "COMPLETED"})]


# ---- the job API beside it ----


@pytest.mark.parametrize("prefix", ["", "/ep-1", "/v2/ep-1"], ids=["bare", "id", "platform"])
def test_job_api_on_the_same_port(realtime, prefix):
    service = realtime("--stream", handler="mock")
    status, queued = service.post({"input": {"mock_return": [1]}}, path=f"{prefix}/run")
    assert status == 200 and queued["status"] == "IN_QUEUE"
    ended = service.post("", path=f"{prefix}/status-sync/{queued['id']}")[1]
    assert ended["status"] == "COMPLETED" and ended["output"] == [[1]]
    assert service.get(f"{prefix}/status/{queued['id']}")[1]["output"] == [[1]]
    assert service.get(f"{prefix}/stream/{queued['id']}")[1]["stream"] == [{"output": [1]}]
    status, ended = service.post({"input": {"mock_error": True}}, path=f"{prefix}/runsync")
    assert status == 200 and ended["status"] == "FAILED" and "Mock error" in ended["error"]
    assert service.get(f"{prefix}/health")[1]["jobs"] == {
        "completed": 1, "failed": 1, "inProgress": 0, "inQueue": 0, "retried": 0
    }  # fmt: skip
    assert service.get(f"{prefix}/ping") == (200, {})
    assert service.post({"id": "a", "input": {"mock_return": 2}}) == (200, {"output": [2]})


def test_job_api_cancels_and_shares_the_slots(realtime):
    """One job at a time, whichever route it has come by; webhooks are not called for whoever reaches this port."""
    service = realtime()
    hook = socket.create_server(("127.0.0.1", 0))
    body = '{"id": "r", "input": {"mock_delay": 600}}'
    peer = service.dial(HEAD + f"Content-Length: {len(body)}\r\n\r\n" + body)
    service.process.wait_log(r'"r".*Started')
    webhook = f"http://127.0.0.1:{hook.getsockname()[1]}/"
    waiting = service.post({"input": {}, "webhook": webhook}, path="/run")[1]["id"]
    assert service.get(f"/status/{waiting}")[1]["status"] == "IN_QUEUE"
    assert service.get("/health")[1]["jobs"]["inQueue"] == 1
    peer.close()
    assert service.post("", path=f"/status-sync/{waiting}")[1]["status"] == "COMPLETED"
    slow = service.post({"input": {"mock_delay": 600}}, path="/run")[1]["id"]
    service.process.wait_log(rf'"{slow}".*Started')
    assert service.get(f"/cancel/{slow}")[1] == {"id": slow, "status": "CANCELLED"}
    assert service.post({"id": "b", "input": {"mock_return": 1}}) == (200, {"output": 1})
    service.process.terminate()
    assert service.process.wait() == 0
    with hook, pytest.raises(BlockingIOError):
        hook.setblocking(False)
        hook.accept()


def test_progress_of_a_job_of_the_api(realtime, tmp_path):
    gate = Gate(tmp_path / "gate")
    service = realtime(handler=own("steps"))
    job = service.post({"input": steps({"progress": {"n": 1}}, gate.step, {"return": 2})}, path="/run")[1]["id"]
    deadline = time.monotonic() + PATIENCE_S
    while "output" not in (status := service.get(f"/status/{job}")[1]):  # it is sent beside the handler
        assert time.monotonic() < deadline, status
    assert status["status"] == "IN_PROGRESS" and status["output"] == {"n": 1}
    gate.open()
    assert service.post("", path=f"/status-sync/{job}")[1]["output"] == 2


def test_first_come_first_served_on_all_routes(realtime, tmp_path):
    """A job in the queue is not overtaken by requests that came after it; one of low priority is."""
    gate = Gate(tmp_path / "gate")
    service = realtime("--metrics-port=0", handler=own("steps"))
    first = service.later({"id": "first", "input": steps(gate.step)})
    service.process.wait_log("at step 1")
    low = service.post({"input": steps({"return": 1}), "policy": {"lowPriority": True}}, path="/run")[1]["id"]
    queued = [service.post({"input": steps()}, path="/run")[1]["id"] for _ in range(3)]
    later = [service.later({"id": f"later-{n}", "input": steps()}) for n in range(3)]
    service.wait_queued(1 + 3 + 3)
    gate.open()
    assert [answer.wait()[0] for answer in (first, *later)] == [200] * 4
    assert service.post("", path=f"/status-sync/{low}")[1]["status"] == "COMPLETED"
    begun = [json.loads(line)["requestId"] for line in service.process.lines(r"Started\.")]
    assert begun[:4] == ["first", *queued]
    assert sorted(begun[4:7]) == ["later-0", "later-1", "later-2"] and begun[7:] == [low]


@pytest.mark.parametrize("path", [PATH, "/run", "/v2/ep-1/runsync"])
def test_pages_of_other_origins_drive_no_local_port(realtime, tmp_path, path):
    """A browser on this machine sends them without asking; with a token, no page elsewhere has that."""
    service = realtime("--realtime-host", "127.0.0.1")
    given = {"input": {"mock_return": 1}}
    simple = {"Content-Type": "text/plain"}
    for origin in ("http://evil.example", "null"):
        status, answer = service.post(given, headers={**simple, "Origin": origin}, path=path)
        assert status == 403 and "--realtime-token-file" in answer["error"]
    assert service.post(given, headers={**simple, "Sec-Fetch-Site": "cross-site"}, path=path)[0] == 403
    rebound = {"Host": f"evil.example:{service.port}", "Origin": f"http://evil.example:{service.port}"}
    assert service.post(given, headers={**simple, **rebound}, path=path)[0] == 421
    assert service.get("/health")[1]["jobs"]["completed"] == 0 and not service.process.lines("Started")
    own_page = {"Origin": f"http://127.0.0.1:{service.port}"}
    assert service.post(given, headers=own_page, path=path)[0] == 200
    with_token = realtime(env={"RP_REALTIME_TOKEN": TOKEN})
    assert with_token.post(given, headers={**bearer(TOKEN), "Origin": "http://app.example"}, path=path)[0] == 200


@pytest.mark.parametrize("path", [PATH, "/run"])
def test_pages_of_other_origins_are_refused_before_their_body(realtime, path):
    service = realtime("--realtime-host", "127.0.0.1")
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10000000\r\n"
    for field, status in (("Origin: http://evil.example\r\n", 403), ("", 100)):
        assert service.dial(f"{head}{field}\r\n").recv(65536).startswith(b"HTTP/1.1 %d " % status), field


def test_pages_are_clients_of_a_port_that_others_reach(realtime):
    """As before: the platform may pass on what they send."""
    service = realtime("--realtime-host", "0.0.0.0")
    headers = {"Origin": "http://app.example"}
    assert service.post({"input": {"mock_return": 1}}, headers=headers) == (200, {"output": 1})
    status, answer = service.post({"input": {}}, headers=headers, path="/run")
    assert status == 403 and "--realtime-token-file" in answer["error"], "the job API's own rule"
    with_token = realtime("--realtime-host", "0.0.0.0", env={"RP_REALTIME_TOKEN": TOKEN})
    assert with_token.post({"input": {}}, headers={**bearer(TOKEN), **headers}, path="/run")[0] == 200


def test_job_api_has_its_own_limits_of_a_body(realtime):
    """Those of the platform; the realtime route takes 64 MiB."""
    service = realtime(handler="echo")
    assert service.post({"input": "x" * (10 << 20)}, path="/run")[0] == 413
    assert service.post({"input": "x" * (20 << 20)}, path="/runsync")[0] == 413


def test_job_api_asks_for_the_token(realtime, tmp_path):
    service = realtime(env={"RP_REALTIME_TOKEN": "secret-enough"})
    assert service.post({"input": 1}, path="/run")[0] == 401 and service.get("/health")[0] == 401
    headers = {"Authorization": "Bearer secret-enough"}
    assert service.post({"input": {"mock_return": 3}}, path="/runsync", headers=headers)[1]["output"] == 3


def test_jobs_of_the_api_end_first(realtime, tmp_path):
    """And their clients may ask for them until then; those that wait are cancelled."""
    gate = Gate(tmp_path / "gate")
    service = realtime(handler=own("steps"))
    running = service.post({"input": steps(gate.step, {"return": 1})}, path="/run")[1]["id"]
    service.process.wait_log("at step 1")
    waiting = service.post({"input": steps()}, path="/run")[1]["id"]
    resting = service.threads()
    asked = f"POST /status-sync/{running} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    ended = service.dial(asked)
    service.wait_threads(resting + 1)
    service.process.terminate()
    assert service.post("", path=f"/status-sync/{waiting}")[1]["status"] == "CANCELLED"
    assert service.post({"id": "late", "input": 1})[0] == 503
    gate.open()
    assert json.loads(hear(ended).partition(b"\r\n\r\n")[2])["output"] == 1
    assert service.process.wait() == 0


# ---- concurrency ----


def test_one_at_a_time_is_the_default(realtime):
    service = realtime()
    answers = [service.later({"id": f"j{n}", "input": {"mock_delay": 0.1, "mock_return": n}}) for n in range(4)]
    assert sorted(answer.wait()[1]["output"] for answer in answers) == [0, 1, 2, 3]
    service.process.wait_log(r"Finished\.", 4)  # the answer may be here before the line is
    events = [("Started" in line) for line in service.process.lines(r"Started\.|Finished\.")]
    assert events == [True, False] * 4


@pytest.mark.parametrize("how", ["variable", "flag"])
def test_several_at_a_time(realtime, tmp_path, how):
    """Four jobs that end only when the last of them has begun would hang with less."""
    settings = {"concurrency": 4} if how == "variable" else {}
    service = realtime(*([] if settings else ["--concurrency", "4"]), handler=own("steps"), **settings)
    gates = [Gate(tmp_path / f"gate-{n}") for n in range(4)]
    answers = [service.later({"id": f"j{n}", "input": steps(gate.step)}) for n, gate in enumerate(gates)]
    service.process.wait_log("at step 1", 4)
    for gate in gates:
        gate.open()
    assert all(answer.wait()[0] == 200 for answer in answers)


def test_source_of_the_concurrency_is_said(realtime, server):  # noqa: F811
    service = realtime("--handler-http", server.url, handler="worker", concurrency=3)
    service.process.wait_log(r"Concurrency: 3 \(RUNPOD_REALTIME_CONCURRENCY\)\.")


def test_server_lowers_the_concurrency_while_the_worker_is_idle(realtime, server):  # noqa: F811
    go_on = threading.Event()
    server.pages["/"] = lambda talk: (go_on.wait(60), talk.reply(200, b"x"))
    server.pages["/wanted"] = plain(200, b"2")
    poll = ["--handler-concurrency-path", "/wanted", "--handler-concurrency-interval", "100"]
    service = realtime("--metrics-port=0", "--handler-http", server.url, *poll, handler="worker")
    service.process.wait_log(r"The concurrency is now 2\.")
    server.pages["/wanted"] = plain(200, b"1")
    service.process.wait_log(r"The concurrency is now 1\.")
    given = {"id": "a", "input": {"route": "/", "method": "GET"}}
    answers = [service.later(given) for _ in range(2)]
    server.wait("/", 1)
    service.wait_queued(1)
    server.wait("/wanted", len(server.of("/wanted")) + 2)  # time for the other one, if there were room for it
    assert len(server.of("/")) == 1
    go_on.set()
    assert all(answer.wait()[0] == 200 for answer in answers)


def test_requests_beyond_the_queue_are_refused(realtime):
    """One runs, a hundred wait, three are told to come again; the hundred leave with their clients."""
    service = realtime()
    body = '{"id": "q", "input": {"mock_delay": 600}}'
    request = HEAD + f"Content-Length: {len(body)}\r\n\r\n{body}"
    running = service.dial(request)
    service.process.wait_log(r"Started\.")
    waiting = [service.dial(request) for _ in range(WAITING_MAX + 3)]
    refused = []
    while len(refused) < 3:
        answered, _, _ = select.select(waiting, [], [], PATIENCE_S)
        assert answered, f"only {len(refused)} answers"
        for peer in answered:
            waiting.remove(peer)
            refused.append(hear_head(peer))
    assert len(refused) == 3
    assert all(head.startswith("HTTP/1.1 503 ") and "\r\nRetry-After: 1\r\n" in head for head in refused)
    for peer in waiting:
        peer.close()
    service.process.wait_log("The client has disconnected", WAITING_MAX)
    running.close()
    service.process.wait_log(r"Job stopped\.")
    assert service.post({"id": "after", "input": {"mock_return": 1}}) == (200, {"output": 1})
    assert len(service.process.lines(r"Started\.")) == 2


# ---- connections ----


def test_connection_is_kept(realtime):
    service = realtime(handler="echo")
    client = service.client()
    for number in range(50):
        assert service.post({"id": str(number), "input": number}, client) == (200, {"output": number})
        assert client.sock is not None, "closed"


def test_http_10(realtime):
    service = realtime(handler="echo")
    body = '{"id": "a", "input": 1}'
    head = f"POST {PATH} HTTP/1.0\r\nContent-Length: {len(body)}\r\n"
    answer = hear(service.dial(f"{head}\r\n{body}"))
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b'{"output": 1}')
    peer = service.dial(f"{head}Connection: keep-alive\r\n\r\n{body}")
    assert "\r\nConnection: keep-alive\r\n" in hear_head(peer)


def test_pipelined_requests(realtime):
    service = realtime(handler="echo")
    bodies = [f'{{"id": "{n}", "input": {n}}}' for n in range(5)]
    requests = "".join(f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}" for body in bodies)
    peer = service.dial(requests + HEAD + "Connection: close\r\n\r\n")
    assert re.findall(rb'\{"output": (\d)\}', hear(peer)) == [b"0", b"1", b"2", b"3", b"4"]


def test_chunked_request_in_single_bytes(realtime):
    service = realtime(handler="echo")
    peer = service.dial()
    chunks = '9\r\n{"id": 1,\r\nc;x=y\r\n "input": 5}\r\n0\r\nA: b\r\n\r\n'
    for byte in (HEAD + "Transfer-Encoding: chunked\r\n\r\n" + chunks).encode():
        peer.sendall(bytes([byte]))
    assert hear_head(peer).startswith("HTTP/1.1 200 ")


def test_expectation_of_a_continue(realtime):
    service = realtime(handler="echo")
    body = '{"id": "a", "input": 1}'
    peer = service.dial(HEAD + f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n")
    assert hear_head(peer) == "HTTP/1.1 100 Continue\r\n\r\n"
    peer.sendall(body.encode())
    assert hear_head(peer).startswith("HTTP/1.1 200 ")


def test_over_ipv6(realtime):
    service = realtime(handler="echo")
    try:
        client = http.client.HTTPConnection("::1", service.port, timeout=PATIENCE_S)
        client.connect()
    except OSError as error:
        pytest.skip(f"NO IPv6 ON THIS MACHINE, IT WAS NOT TESTED: {error}")
    service.open.append(client)
    assert service.post({"id": "a", "input": 1}, client) == (200, {"output": 1})


@pytest.mark.parametrize(
    "method, path, status, allow",
    [
        ("GET", PATH, 405, "POST"),
        ("HEAD", PATH, 405, "POST"),
        ("OPTIONS", PATH, 405, "POST"),
        ("PUT", PATH, 405, "POST"),
        ("post", PATH, 405, "POST"),
        ("BREW", PATH, 405, "POST"),
        ("POST", "/", 404, None),
        ("POST", "/ep-1/realtime/", 404, None),
        ("POST", "/other/realtime", 404, None),
        ("POST", "/ep-1/requests", 404, None),
        ("POST", "/ep-1/openapi.json", 404, None),
        ("GET", "/ep-1/run", 405, "POST"),
        ("GET", "/etc/passwd", 404, None),
        ("GET", "/../../etc/passwd", 404, None),
    ],
)
def test_other_methods_and_paths(realtime, method, path, status, allow):
    service = realtime(handler="echo")
    client = service.client()
    client.request(method, path)
    answer = client.getresponse()
    body = answer.read()
    assert answer.status == status and answer.headers["Allow"] == allow
    assert body == b"" if method == "HEAD" else "error" in json.loads(body)
    assert service.post({"id": "a", "input": 1}, client, path=PATH + "?x=y") == (200, {"output": 1})


# ---- hostile ones ----

BODY = '{"id": "a", "input": 1}'
LENGTH = f"Content-Length: {len(BODY)}\r\n"


@pytest.mark.parametrize(
    "data, status",
    [
        (f"{HEAD}{LENGTH}Transfer-Encoding: chunked\r\n\r\n{BODY}", 400),
        (f"{HEAD}{LENGTH}Content-Length: 5\r\n\r\n{BODY}", 400),
        (f"{HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (f"{HEAD}Content-Length: -1\r\n\r\n", 400),
        (f"{HEAD}{LENGTH}Host: b\r\n\r\n{BODY}", 400),
        (f"POST {PATH} HTTP/1.1\r\n{LENGTH}\r\n{BODY}", 400),
        (f"POST {PATH} HTTP/1.1\nHost: a\n\n", 400),
        (f"POST {PATH} HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        (f"{HEAD}A: b\r\n c: d\r\n\r\n", 400),
        (f"{HEAD}A\x00: b\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01", 400),
        (f"{HEAD}A: {'x' * 20000}\r\n\r\n", 431),
        (HEAD + "a: b\r\n" * 100 + "\r\n", 431),
        (f"POST /{'x' * 20000} HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (f"{HEAD}Content-Encoding: gzip\r\n{LENGTH}\r\n{BODY}", 415),
        (f"{HEAD}Content-Length: 99999999999\r\n\r\n", 413),
        (f"{HEAD}Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (f"{HEAD}Expect: a-miracle\r\n{LENGTH}\r\n{BODY}", 417),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ],
    ids=lambda value: repr(value[-40:]) if isinstance(value, str) else None,
)
def test_requests_that_are_refused(realtime, data, status):
    """With an answer, which arrives although more may have been sent; then the connection is closed."""
    service = realtime(handler="echo")
    answer = hear(service.dial(data))
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert answer.count(b"HTTP/1.1 ") == 1 and b"\r\nConnection: close\r\n" in answer
    assert not service.process.lines("Started")
    assert service.post({"id": "a", "input": 1}) == (200, {"output": 1})


def test_refusal_arrives_while_a_large_body_is_sent(realtime):
    """As RFC 9112, section 9.6, asks: the answer is not lost to a reset."""
    service = realtime(handler="echo")
    peer = service.dial("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + "x" * 500000)
    assert hear(peer).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    "data", ["", "P", HEAD, f"{HEAD}{LENGTH}\r\n", f"{HEAD}{LENGTH}\r\n{BODY[:-1]}",
             f"{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nab"]
)  # fmt: skip
@pytest.mark.parametrize("how", ["close", "reset"])
def test_clients_that_stop_midway(realtime, data, how):
    service = realtime(handler="echo")
    resting = service.threads()
    for _ in range(5):
        peer = service.dial(data)
        if how == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
    assert service.post({"id": "a", "input": 1}) == (200, {"output": 1})
    assert len(service.process.lines("Started")) == 1
    service.open.pop().close()  # that last one's
    service.wait_threads(resting)


def test_slow_head_is_given_up(realtime):
    """After ten seconds in all, however steadily its bytes come."""
    service = realtime(handler="echo")
    peer = service.dial(HEAD)
    peer.settimeout(0.2)
    answer = b""
    deadline = time.monotonic() + PATIENCE_S
    while not answer and time.monotonic() < deadline:
        peer.sendall(b"a")
        try:
            answer = peer.recv(65536)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_slow_body_is_given_up(realtime, chunked):
    """However steadily its bytes come: after 30 s it must have come at 16 KiB a second on average."""
    service = realtime(handler="echo")
    kind = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000000"
    peer = service.dial(HEAD + kind + "\r\n\r\n")
    peer.settimeout(0.5)
    answer = b""
    deadline = time.monotonic() + 120
    while not answer and time.monotonic() < deadline:
        peer.sendall(b"1\r\n \r\n" if chunked else b" ")
        try:
            answer = peer.recv(65536)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert service.post({"id": "a", "input": 1}) == (200, {"output": 1})


def test_client_that_does_not_read_its_answer_holds_up_nobody(realtime):
    service = realtime(handler="echo")
    body = '{"id": "slow", "input": "' + "x" * 15_000_000 + '"}'
    peer = service.dial(HEAD + f"Content-Length: {len(body)}\r\n\r\n" + body)
    service.process.wait_log('"slow".*Finished')
    assert service.post({"id": "a", "input": 1}) == (200, {"output": 1})
    assert hear_head(peer).startswith("HTTP/1.1 200 ")


def test_client_that_goes_stops_its_job(realtime):
    service = realtime()
    body = '{"id": "gone", "input": {"mock_delay": 600}}'
    peer = service.dial(HEAD + f"Content-Length: {len(body)}\r\n\r\n" + body)
    service.process.wait_log(r"Started\.")
    peer.close()
    service.process.wait_log(r"Job stopped\.")
    assert service.post({"id": "next", "input": {"mock_return": 1}}) == (200, {"output": 1})


def test_connections_beyond_the_limit_are_told_so(realtime):
    """Where every connection is at work: here, each has sent a part of a request."""
    service = realtime(handler="echo")
    resting = service.threads()
    ping = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"  # once it is answered, the rest has been read, too
    peers = [service.dial(ping + "P") for _ in range(1 + WAITING_MAX + SPARE)]
    assert all(hear_head(peer).startswith("HTTP/1.1 200 ") and peer.recv(2) == b"{}" for peer in peers)
    refused = hear(service.dial())
    assert refused.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 1\r\n" in refused
    peers[0].sendall(f"{HEAD}{LENGTH}\r\n{BODY}".encode()[1:])
    assert hear_head(peers[0]).startswith("HTTP/1.1 200 ")
    for peer in peers:
        peer.close()
    service.wait_threads(resting)
    assert service.post({"id": "a", "input": 1}) == (200, {"output": 1})


def test_idle_connections_lock_nobody_out(realtime):
    """The oldest of them is closed for the one that comes."""
    service = realtime(handler="echo")
    resting = service.threads()
    peers = [service.dial() for _ in range(1 + WAITING_MAX + SPARE)]
    service.wait_threads(resting + len(peers))
    for _ in range(3):
        assert service.post({"id": "a", "input": 1}) == (200, {"output": 1})
    assert [hear(peer) for peer in peers[:3]] == [b"", b"", b""]


def test_connection_that_says_nothing_is_closed(realtime):
    service = realtime(handler="echo")
    assert hear(service.dial()) == b""  # within PATIENCE_S: after 5 s, not 75


def test_bodies_share_a_memory(realtime):
    service = realtime(handler="echo", env={"RP_REALTIME_MEMORY_MB": "3"})
    half = HEAD + "Content-Length: 2000000\r\n\r\n" + "x" * 1_999_999
    first = service.dial(half)
    statuses = set()
    deadline = time.monotonic() + PATIENCE_S
    while 503 not in statuses and time.monotonic() < deadline:  # until the worker has read the first one
        statuses.add(service.post({"id": "b", "input": "y" * 1_500_000})[0])
    assert 503 in statuses
    first.close()
    while service.post({"id": "c", "input": "y" * 1_500_000})[0] != 200:
        assert time.monotonic() < deadline, "the memory was not given back"


def test_events_that_wait_for_their_reader_share_it(realtime):
    service = realtime("--stream", handler=own("steps"), concurrency=2, env={"RP_REALTIME_MEMORY_MB": "2"})
    told = Events(service.dial, PATH, {"id": "slow", "input": steps({"yields": {"parts": 400, "bytes": 100_000}})})
    padded = {"id": "a", "input": {**steps({"return": 1}), "pad": "y" * 100_000}}
    deadline = time.monotonic() + PATIENCE_S
    while service.post(padded)[0] != 503:
        assert time.monotonic() < deadline, "what waits is not counted"
    told.link.close()
    while service.post(padded)[0] != 200:
        assert time.monotonic() < deadline, "the memory was not given back"


# ---- who may ask ----


TOKEN = "s3cret-token-of-realtime"


def bearer(token):
    return {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("how", ["file", "variable"])
def test_token(realtime, tmp_path, how):
    (tmp_path / "token").write_text(TOKEN + "\n")
    if how == "file":
        service = realtime("--realtime-token-file", str(tmp_path / "token"), handler="echo")
    else:
        service = realtime(handler="echo", env={"RP_REALTIME_TOKEN": TOKEN})
    job = {"id": "a", "input": 1}
    for wrong in (None, bearer(""), bearer(TOKEN[:-1]), bearer(TOKEN + "x"), {"Authorization": f"Basic {TOKEN}"}):
        status, answer = service.post(job, headers=wrong)
        assert status == 401 and TOKEN not in str(answer)
        assert service.last.headers["WWW-Authenticate"] == "Bearer"
    assert service.post(job, path="/elsewhere")[0] == 401  # not even what there is
    assert service.post(job, headers=bearer(TOKEN)) == (200, {"output": 1})
    assert TOKEN not in service.process.log and "can run jobs" not in service.process.log


def test_id_of_the_endpoint_is_encoded_in_the_path(realtime):
    service = realtime(handler="echo", env={"RUNPOD_ENDPOINT_ID": "a b/ž"})
    given = {"id": "a", "input": 1}
    assert service.post(given, path="/a%20b%2F%C5%BE/realtime") == (200, {"output": 1})
    assert service.post(given)[0] == 404


def test_open_door_is_told(realtime):
    assert realtime(handler="echo").process.wait_log("Whoever reaches this port can run jobs.*WARN")


def test_host(realtime):
    service = realtime("--realtime-host", "127.0.0.1", handler="echo")
    assert service.post({"id": "a", "input": 1}) == (200, {"output": 1})
    with pytest.raises(OSError):
        socket.create_connection(("::1", service.port), timeout=PATIENCE_S)
    assert "can run jobs" not in service.process.log


def test_nothing_is_left_of_many_connections(realtime):
    """Descriptors and memory after hundreds of connections are those after a few."""
    service = realtime(handler="echo")

    def use():
        for _ in range(100):
            service.post({"id": "a", "input": 1})
            service.open.pop().close()

    use()
    before, peak = descriptors(service.process.pid), service.process.peak_kib()
    for _ in range(4):
        use()
    service.process.witness.wait_for(lambda: descriptors(service.process.pid) <= before + 1, "the last ones closed")
    assert service.process.peak_kib() <= peak + 1024


# ---- signals ----


def test_idle_worker_ends_at_once(realtime):
    service = realtime()
    client = service.client()
    service.post({"id": "a", "input": {}}, client)
    idle = service.dial()
    service.process.terminate()
    assert service.process.wait() == 0
    assert hear(idle) == b""


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_running_jobs_are_answered_first(realtime, tmp_path, accept):
    """Those that wait are told to go elsewhere, new ones find nobody."""
    gate = Gate(tmp_path / "gate")
    service = realtime("--metrics-port=0", handler=own("steps"))
    running = service.later({"id": "runs", "input": steps(gate.step, {"return": "done"})})
    service.process.wait_log("at step 1")
    waiting = service.dial(f"{HEAD}Accept: {accept}\r\n{LENGTH}\r\n{BODY}")
    service.wait_queued(1)
    service.process.terminate()
    refused = hear(waiting)
    assert refused.startswith(b"HTTP/1.1 503 ") and b'{"error": "The worker is shutting down."}' in refused
    try:
        assert hear(service.dial()) == b""
    except OSError:
        pass
    gate.open()
    assert running.wait() == (200, {"output": "done"})
    assert service.process.wait() == 0


def test_large_answer_is_sent_to_its_end_first(realtime):
    """The job has long finished when the client reads."""
    service = realtime(handler="echo")
    text = "x" * 15_000_000
    body = f'{{"id": "big", "input": "{text}"}}'
    peer = service.dial(HEAD + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n" + body)
    service.process.wait_log('"big".*Finished')
    service.process.terminate()
    service.process.wait_log("Shutting down")
    answer = hear(peer)
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"output": text}
    assert service.process.wait() == 0


def test_grace_is_bounded(realtime):
    """A handler that listens ends then, and its client is told why."""
    service = realtime(env={"RP_SHUTDOWN_GRACE_S": "1"})
    answer = service.later({"id": "endless", "input": {"mock_delay": 600}})
    service.process.wait_log(r"Started\.")
    service.process.terminate()
    assert service.process.wait() == 1
    status, result = answer.wait()
    assert status == 200 and "ShutdownError" in result["error"]


def test_execution_timeout(realtime):
    service = realtime("--execution-timeout", "1")
    status, result = service.post({"id": "long", "input": {"mock_delay": 600}})
    assert status == 200 and "TimeoutError" in result["error"]


def test_execution_timeout_of_events_that_are_read_too_slowly(realtime):
    """The handler waits for its client then; its slot is free again although nothing more was read."""
    service = realtime("--execution-timeout", "3", "--stream", handler=own("steps"))
    given = {"id": "slow", "input": steps({"yields": {"parts": 400, "bytes": 100_000}})}
    told = Events(service.dial, PATH, given)
    service.process.wait_log('"yielded 10"')
    assert service.post({"id": "next", "input": steps({"yield": 1})}) == (200, {"output": [1]})
    events = (told.head(), told.all())[1]
    (name, error), end = events[-2:]
    assert name == "error" and "TimeoutError" in error["error"]
    assert end == ("end", {"id": "slow", "status": "FAILED"}) and len(events) < 402


def test_half_a_request_does_not_hold_up_the_end(realtime):
    service = realtime()
    peer = service.dial(f"{HEAD}{LENGTH}\r\n{{")
    service.post({"id": "a", "input": {}})
    service.process.terminate()
    assert hear(peer).startswith(b"HTTP/1.1 503 ")
    assert service.process.wait() == 0


def test_a_lost_handler_is_a_failure_whatever_signal_comes_then(realtime, tmp_path):
    """The worker ends after its jobs; one of them is still at work when the signal comes."""
    gate = Gate(tmp_path / "gate")
    script = (f'while read -r job; do case $job in *die*) exit 3;; esac; read -r go <{gate.path}; '
              'echo "{\\"output\\": 1}"; done')
    service = realtime("--handler", sh(script), "--handler-deaths", "1", handler="worker", concurrency=2)
    waits = service.later({"input": "wait"})
    dies = service.later({"input": "die"})
    service.process.wait_log("No handler is left")
    service.process.terminate()
    service.process.wait_log("SIGTERM received")
    gate.open()
    assert waits.wait()[1] == {"output": 1}
    assert "exited with status 3" in json.dumps(dies.wait()[1])
    assert service.process.wait() == 1


# ---- beside it ----


def test_pings_but_no_polls(platform, realtime, tmp_path):
    """As with the SDK: the heartbeat names the jobs, nothing is taken or posted."""
    gate = Gate(tmp_path / "gate")
    service = realtime(handler=own("steps"), env=platform.env(RUNPOD_PING_INTERVAL="100"))
    answer = service.later({"id": "seen", "input": steps(gate.step, {"return": 1})})
    platform.wait_ping("seen")
    gate.open()
    assert answer.wait() == (200, {"output": 1})
    platform.wait_ping()
    assert not any(platform.requests(route) for route in ("take", "stop", "done"))


def test_host_that_is_not_ours(local):
    """192.0.2.0/24 is nobody's (RFC 5737)."""
    env = {"RUNPOD_REALTIME_PORT": str(free_port()), "RUNPOD_ENDPOINT_ID": "e"}
    done = local("--realtime-host", "192.0.2.1", env=env)
    assert done.returncode != 0 and re.search("--realtime-host, RP_REALTIME_HOST.*192.0.2.1", done.stdout), done.stdout


def test_port_that_is_taken(worker):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        process = worker(None, env={"RUNPOD_REALTIME_PORT": str(port), "RUNPOD_ENDPOINT_ID": "ep-1"})
        assert process.wait() == 1
        assert process.lines(rf"RUNPOD_REALTIME_PORT.*{port}.*in use")


@pytest.mark.parametrize(
    "env, name",
    [
        ({"RUNPOD_REALTIME_PORT": "70000", "RUNPOD_ENDPOINT_ID": "e"}, "RUNPOD_REALTIME_PORT"),
        ({"RUNPOD_REALTIME_PORT": "x", "RUNPOD_ENDPOINT_ID": "e"}, "RUNPOD_REALTIME_PORT"),
        ({"RUNPOD_REALTIME_PORT": "8000"}, "RUNPOD_ENDPOINT_ID"),
        (
            {"RUNPOD_REALTIME_PORT": "8000", "RUNPOD_ENDPOINT_ID": "e", "RP_REALTIME_TOKEN_FILE": "/nowhere"},
            "RP_REALTIME_TOKEN_FILE.*nowhere",
        ),
        (
            {"RUNPOD_REALTIME_PORT": "8000", "RUNPOD_ENDPOINT_ID": "e", "RP_REALTIME_TOKEN": "two words"},
            "RP_REALTIME_TOKEN",
        ),
        (
            {"RUNPOD_REALTIME_PORT": "8000", "RUNPOD_ENDPOINT_ID": "e", "RUNPOD_REALTIME_CONCURRENCY": "0"},
            "RUNPOD_REALTIME_CONCURRENCY",
        ),
    ],
)
def test_unusable_settings_are_named(local, env, name):
    done = local(env=env)
    assert done.returncode == 2 and re.search(name, done.stdout)


def test_port_zero_is_none(local, platform):
    done = local("--test_input", '{"input": 1}', env={"RUNPOD_REALTIME_PORT": "0"})
    assert done.returncode == 0


def test_local_test_wins(local):
    env = {"RUNPOD_REALTIME_PORT": str(free_port()), "RUNPOD_ENDPOINT_ID": "e"}
    done = local("--test_input", '{"input": 1}', env=env)
    assert done.returncode == 0 and "Serving" not in done.stdout


def test_setup_comes_before_listening(realtime):
    """The port is closed until the handler is ready, so that nobody sends what cannot be answered yet."""
    service = realtime(handler="echo")
    assert service.process.log.index("Starting Serverless Worker") < service.process.log.index("Serving POST")
