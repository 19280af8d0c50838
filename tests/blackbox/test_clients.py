"""tests/CONTRACT.md, "What its clients need": the official clients, as they are, against --rp_serve_api.

The Go and JS clients are not installed: what they send and insist on, as read in their sources, is written down here.
"""

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from endpoint import FINAL, Endpoint
from servers import free_port
from witness import PATIENCE_S
from workerproc import ROOT

CLIENTS = ROOT / "build/venv-clients/bin/python"
HERE = Path(__file__).parent
KEY = "a-key"
BEARER = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


@pytest.fixture
def endpoint(worker):
    def start(*args, handler="mock", env=None):
        variables = {"RUNPOD_API_KEY": KEY, **(env or {})}
        return Endpoint(worker(None, "--rp_serve_api", "--rp_api_port=0", *args, handler=handler, env=variables))

    return start


def call(name, api):
    """What the scenario of clients.py printed."""
    if not CLIENTS.exists():
        pytest.skip("build/venv-clients is not there: THE OFFICIAL CLIENTS WERE NOT TESTED")
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "NO_PROXY": "*"}
    done = subprocess.run(
        [CLIENTS, HERE / "clients.py", name, api.url], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_python_client(endpoint):
    said = call("sync", endpoint("--generator", "--return_aggregate_stream"))
    assert said["output"] == said["again"] == [1, {"b": 2}] and said["status"] == "COMPLETED"
    assert said["stream"] == ["x", {"y": 1}] and said["sync"] == ["s"]
    assert said["cancel"]["status"] == said["cancelled"] == "CANCELLED"
    assert said["health"]["workers"]["ready"] == 1 and said["purge"] == {"removed": 0, "status": "completed"}


def test_python_asyncio_client(endpoint):
    said = call("asyncio", endpoint("--generator", "--return_aggregate_stream"))
    assert said["output"] == ["a"] and said["status"] == "COMPLETED"
    assert said["stream"] == ["p", "q"]
    assert said["cancel"]["status"] == said["cancelled"] == "CANCELLED"


def test_flash_client(endpoint):
    """runpod-flash, whose endpoints by id are clients of the queue."""
    said = call("flash", endpoint())
    assert said["output"] == {"n": 1} and said["done"] is True and said["sync"] == ["s"]
    assert said["status"] == "FAILED" and isinstance(said["error"], str)
    assert said["cancelled"] == "CANCELLED" and said["again"] is True
    assert "400" in said["refused"]


def test_openai_client(endpoint):
    """The real llama.cpp server behind the worker."""
    folder = ROOT / "build/llama"
    if not (folder / "tiny.gguf").exists():
        pytest.skip("build/llama is not there: THE OPENAI CLIENT WAS NOT TESTED WITH A REAL SERVER")
    port = free_port()
    program = f"{folder}/venv/bin/python {HERE}/llamaserver.py {folder}/tiny.gguf {port}"
    api = endpoint("--handler", program, "--handler-http", f"http://127.0.0.1:{port}", handler="worker")
    said = call("openai", api)
    assert said["whole"] == "assistant" and said["chunks"] >= 2 and said["finish"] in ("length", "stop")
    assert said["models"] == ["tiny-model"]
    assert said["error"]


# ---- the Go and JS clients, from their sources ----


def test_requests_of_the_go_client(endpoint):
    """POST for everything but health; a status of exactly 200; integers; parts that are objects; error a string."""
    api = endpoint("--generator")

    def send(method, path, body=None):
        answer = api.ask(method, f"/v2/ep-1{path}", body, {"Authorization": KEY, "Content-Type": "application/json"})
        assert answer.status == 200, answer.body
        return answer.json()

    begun = send("POST", "/run", {"input": {"mock_return": [1, "b"]}})
    parts, status = [], ""
    while status not in FINAL or answer["stream"]:
        answer = send("POST", f"/stream/{begun['id']}")
        status = answer["status"]
        parts += answer["stream"]
    assert all(isinstance(part, dict) for part in parts) and [part["output"] for part in parts] == [1, "b"]
    ended = send("POST", f"/status-sync/{begun['id']}?wait=1000")
    assert all(isinstance(ended[name], int) for name in ("delayTime", "executionTime", "retries"))
    assert send("POST", f"/status/{begun['id']}")["status"] == "COMPLETED"
    failed = send("POST", "/runsync?wait=5000", {"input": {"mock_error": True}})
    assert failed["status"] == "FAILED" and isinstance(failed["error"], str)
    assert send("GET", "/health")["jobs"]["completed"] == 1
    assert send("POST", f"/cancel/{begun['id']}")["status"] == "COMPLETED"
    assert send("POST", "/purge-queue")["removed"] == 0


def test_requests_of_the_js_client(endpoint):
    """One kept-alive connection; Content-Type exactly application/json; the last parts with the final status."""
    api = endpoint("--generator")
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE_S)

    def send(method, path, body=None):
        connection.request(method, f"/v2/ep-1{path}", json.dumps(body) if body is not None else None, BEARER)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200 and answer.headers["Content-Type"] == "application/json", text
        return json.loads(text)

    begun = send("POST", "/run", {"input": {"mock_return": ["a"], "mock_delay": 0.05}})
    assert begun["status"] == "IN_QUEUE"
    seen = []
    while True:
        answer = send("GET", f"/stream/{begun['id']}")
        assert isinstance(answer["stream"], list)
        seen += answer["stream"]
        if answer["status"] in FINAL:
            break
    assert seen == [{"output": "a"}]
    assert send("GET", f"/stream/{begun['id']}")["stream"] == []
    assert send("GET", f"/status/{begun['id']}")["output"] == ["a"]
    assert send("POST", "/runsync", {"input": {"mock_return": [1]}})["output"] == [1]
    assert send("POST", "/purge-queue")["status"] == "completed"
    connection.close()


def test_requests_of_flash(endpoint):
    """cancel with JSON null; GET metrics; workerId."""
    api = endpoint()
    job = api.ask("POST", "/v2/ep-1/run", {"input": {}}, BEARER).json()["id"]
    ended = api.ask("GET", f"/v2/ep-1/status-sync/{job}", None, BEARER).json()
    assert ended["workerId"]
    assert api.ask("POST", f"/v2/ep-1/cancel/{job}", "null", BEARER).json()["status"] == "COMPLETED"
    assert api.ask("GET", "/v2/ep-1/metrics", None, BEARER).json()["readyWorkers"] == 1


# ---- OpenAI's routes, with handlers that are no server ----

STREAM = """
import sys, json, time
for line in sys.stdin:
    job = json.loads(line)["input"]
    body = job.get("openai_input") or {}
    if body.get("hang"):
        print(json.dumps({"log": "hanging"}), flush=True)
        time.sleep(1000)
    if body.get("part"):
        print(json.dumps({"stream": body["part"]}), flush=True)
    if body.get("fail"):
        print(json.dumps({"error": "the model is out of memory"}), flush=True)
    elif "output" in body:
        print(json.dumps({"output": body["output"]}), flush=True)
    elif body.get("stream"):
        for n in (1, 2):
            print(json.dumps({"stream": "data: " + json.dumps({"n": n}) + "\\n\\n"}), flush=True)
        print(json.dumps({"output": None}), flush=True)
    else:
        print(json.dumps({"output": [{"route": job["openai_route"], "input": job.get("openai_input")}]}), flush=True)
"""


@pytest.fixture
def openai_api(endpoint, tmp_path):
    program = tmp_path / "model.py"
    program.write_text(STREAM)
    return endpoint("--handler", f"{sys.executable} {program}", handler="worker")


def test_openai_route_answers_with_the_only_element(openai_api):
    answer = openai_api.ask("POST", "/v2/ep/openai/v1/embeddings?a=b", {"input": "x"}, BEARER)
    assert answer.status == 200 and answer.json() == {"route": "/v1/embeddings?a=b", "input": {"input": "x"}}
    assert openai_api.ask("GET", "/openai/v1/models", None, BEARER).json() == {"route": "/v1/models", "input": None}


def test_openai_route_streams(openai_api):
    answer = openai_api.ask("POST", "/v2/ep/openai/v1/chat/completions", {"stream": True}, BEARER)
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream"
    assert answer.body.decode() == 'data: {"n": 1}\n\ndata: {"n": 2}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("output, body", [([1, 2], "[1, 2]"), ([], "[]"), ({}, "{}"), ([[3]], "[3]"), ("x", '"x"')])
def test_openai_route_answers_with_the_output(openai_api, output, body):
    answer = openai_api.ask("POST", "/openai/v1/x", {"output": output}, BEARER)
    assert answer.status == 200 and answer.body.decode() == body


@pytest.mark.parametrize(
    "given, events",
    [
        ({"output": [{"n": 1}]}, ['{"n": 1}', "[DONE]"]),
        ({"output": "data: 1\n\n"}, ["1", "[DONE]"]),
        ({"output": "data: [DONE]\n\n"}, ["[DONE]"]),
        ({"part": {"n": 1}, "output": None}, ['{"n": 1}', "[DONE]"]),
        ({"part": "data: 1\n\ndata: [done] \n\n", "output": None}, ["1", "[done] "]),
        ({"part": "data: 1\n\n", "fail": 1}, ["1", None, "[DONE]"]),
    ],
)
def test_openai_events_of_any_handler(openai_api, given, events):
    """Those of a server as they are, anything else as one; the end is said once, after a failure too (None here)."""
    answer = openai_api.ask("POST", "/openai/v1/x", {"stream": True, **given}, BEARER)
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream"
    heard = answer.body.decode().split("\n\n")
    assert heard.pop() == "" and all(event.startswith("data: ") for event in heard)
    for event, wanted in zip(heard, events, strict=True):
        data = event[len("data: ") :]
        if wanted is None:
            assert json.loads(data)["error"]["message"] == "the model is out of memory"
        else:
            assert data == wanted


@pytest.mark.parametrize("stream", [False, True])
def test_openai_job_that_is_cancelled(openai_api, stream):
    asking = openai_api.later(openai_api.ask, "POST", "/openai/v1/x", {"hang": 1, "stream": stream}, BEARER)
    openai_api.process.wait_log("hanging")
    job = openai_api.ask("GET", "/requests", None, BEARER).json()["requests"][0]["id"]
    openai_api.ask("POST", f"/cancel/{job}", None, BEARER)
    answer = asking.wait()
    assert answer.status == 500 and answer.json()["error"]["message"] == "The job was cancelled."


@pytest.mark.parametrize(
    "error, message",
    [("boom", "boom"), ('{"error_message": 5}', '{"error_message": 5}'), ("[1]", "[1]"), ({"a": 1}, '{"a": 1}')],
)
def test_openai_error_of_any_form(openai_api, error, message):
    """A message is a string: of an error object its own, of anything else all of it."""
    answer = openai_api.ask("POST", "/openai/v1/x", {"output": {"error": error}}, BEARER)
    assert answer.status == 500
    assert answer.json() == {"error": {"message": message, "type": "server_error", "param": None, "code": None}}


def test_openai_errors(openai_api):
    for stream in (False, True):
        answer = openai_api.ask("POST", "/openai/v1/chat/completions", {"fail": 1, "stream": stream}, BEARER)
        assert answer.status == 500 and answer.json()["error"]["message"] == "the model is out of memory"
    for body in ('{"a": 1}, "x": {}', "{", ""):
        answer = openai_api.ask("POST", "/openai/v1/chat/completions", body, BEARER)
        assert answer.status == 400 and answer.json()["error"]["type"], body
    assert openai_api.ask("POST", "/openai/v1/../x", "{}", BEARER).status == 400
    assert openai_api.ask("POST", "/openai", "{}", BEARER).status == 404


@pytest.mark.parametrize("stream", [False, True])
def test_openai_client_that_goes_cancels_its_job(openai_api, stream):
    api = openai_api
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE_S)
    connection.request("POST", "/openai/v1/x", json.dumps({"hang": 1, "stream": stream}), BEARER)
    api.process.wait_log("hanging")
    job = api.ask("GET", "/requests", None, BEARER).json()["requests"][0]["id"]
    connection.close()
    assert api.ask("GET", f"/status-sync/{job}", None, BEARER).json()["status"] == "CANCELLED"
