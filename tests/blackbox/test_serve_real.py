"""A load-balancing endpoint in front of real servers: llama.cpp's, the websockets library's, uvicorn's; and their clients."""

import json
import subprocess
from pathlib import Path

import pytest

from front import front  # noqa: F401 (fixture)
from later import Later
from servers import free_port
from workerproc import BUILD, ROOT

HERE = Path(__file__).parent
CLIENTS = ROOT / "build/venv-clients/bin/python"
LLAMA = BUILD / "llama"
LLAMA_PYTHON, MODEL = LLAMA / "venv/bin/python", LLAMA / "tiny.gguf"

needs_clients = pytest.mark.skipif(
    not CLIENTS.exists(), reason="build/venv-clients is not there: WEBSOCKETS WERE NOT TESTED WITH A REAL PEER"
)
needs_llama = pytest.mark.skipif(
    not (LLAMA_PYTHON.exists() and MODEL.exists()),
    reason="build/llama is not there (tests/realserver.sh): --serve was NOT tested with a real inference server",
)


def run_client(*command, succeeds=True):
    done = subprocess.run([CLIENTS, *map(str, command)], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_clients
def test_websockets(front):  # noqa: F811
    port = free_port()
    program = f"{CLIENTS} {HERE / 'websocketpeer.py'} server {port}"
    # On the platform: the client gives the Origin of a page, which is not passed on elsewhere.
    one = front("--handler", program, "--handler-http", f"http://127.0.0.1:{port}", env={"RUNPOD_POD_ID": "pod"})
    assert "came to their end" in run_client(HERE / "websocketpeer.py", "client", one.port)


@needs_clients
def test_websockets_of_pages_elsewhere(front):  # noqa: F811
    """No page of another origin opens one on this machine."""
    port = free_port()
    program = f"{CLIENTS} {HERE / 'websocketpeer.py'} server {port}"
    one = front("--handler", program, "--handler-http", f"http://127.0.0.1:{port}")
    said = run_client(HERE / "websocketpeer.py", "client", one.port, succeeds=False)
    assert "server rejected WebSocket connection: HTTP 403" in said


@pytest.fixture
def llama(front):  # noqa: F811
    port = free_port()
    program = f"{LLAMA_PYTHON} {HERE / 'llamaserver.py'} {MODEL} {port}"
    return front("--handler", program, "--handler-http", f"http://127.0.0.1:{port}")


def chat(tokens, **more):
    return {"messages": [{"role": "user", "content": "Say something"}], "max_tokens": tokens, "temperature": 0, **more}


@needs_llama
def test_llama_cpp(llama):
    """Answers and streams, several at a time, over its own HTTP server."""
    assert llama.get("/ping").status == 200
    assert llama.get("/v1/models").json()["data"][0]["id"] == "tiny-model"
    asked = [Later(llama.post, "/v1/chat/completions", chat(3 + n)) for n in range(6)]
    for n, one in enumerate(asked):
        answer = one.wait()
        assert answer.status == 200 and answer.json()["usage"]["completion_tokens"] == 3 + n
    stream = llama.post("/v1/chat/completions", chat(5, stream=True))
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in stream.body.decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]" and len([json.loads(event) for event in events[:-1]]) >= 5
    # The server closes a connection when it likes: a POST that meets that may not be sent again (RFC 9110, 9.2.2).
    broken = [llama.post("/v1/chat/completions", b"{").status for _ in range(3)]
    assert set(broken) <= {400, 500, 502} and broken != [502] * 3


OPENAI = """
import sys
from openai import OpenAI
client = OpenAI(base_url=f"http://127.0.0.1:{sys.argv[1]}/v1", api_key="any")
ask = dict(model="tiny-model", messages=[{"role": "user", "content": "Hi"}], max_tokens=6, temperature=0)
whole = client.chat.completions.create(**ask).choices[0].message.content
parts = [part.choices[0].delta.content or "" for part in client.chat.completions.create(**ask, stream=True) if part.choices]
assert len(parts) > 2 and "".join(parts) == whole, (parts, whole)
print("ok")
"""


@needs_llama
@needs_clients
def test_openai_client(llama):
    assert run_client("-c", OPENAI, llama.port) == "ok\n"


UVICORN = """
import asyncio, sys, uvicorn
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse

app = FastAPI()

@app.get("/health")
def health():
    return {}

@app.post("/upper")
async def upper(request: Request):
    body = await request.body()
    async def pieces():
        for at in range(0, len(body), 50000):
            yield body[at : at + 50000].upper()
    return StreamingResponse(pieces(), media_type="text/plain")

@app.websocket("/ws")
async def ws(socket: WebSocket):
    await socket.accept()
    await socket.send_text("you are " + socket.headers["x-forwarded-for"])
    await socket.close()

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


@needs_clients
def test_uvicorn(front, tmp_path):  # noqa: F811
    """As most images for load-balancing endpoints have it."""
    script = tmp_path / "app.py"
    script.write_text(UVICORN)
    port = free_port()
    one = front("--handler", f"{CLIENTS} {script} {port}", "--handler-http", f"http://127.0.0.1:{port}")
    body = b"some text " * 300_000
    answer = one.post("/upper", body)
    assert answer.status == 200 and answer.body == body.upper()
    pieces = [b"one ", b"two ", b"three"]
    answer = one.ask("POST", "/upper", iter(pieces), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    assert answer.body == b"ONE TWO THREE"
    code = (
        "import sys; from websockets.sync.client import connect\n"
        f"with connect('ws://127.0.0.1:{one.port}/ws') as socket: print(socket.recv())"
    )
    assert run_client("-c", code) == "you are 127.0.0.1\n"
