"""A worker that serves the job API itself (--rp_serve_api), and what clients do with it."""

import contextlib
import http.client
import json

from later import Later
from witness import PATIENCE_S

FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT")


class Answer:
    def __init__(self, answer):
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    def json(self):
        assert self.headers["Content-Type"] == "application/json", self.headers.items()
        return json.loads(self.body)


class Endpoint:
    """A running worker and its port."""

    def __init__(self, process):
        self.process = process
        line = process.wait_log(r"Serving the job API .* on http://")
        self.port = int(line.rsplit(":", 1)[1].strip("/"))
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, headers=None):
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            connection.request(method, path, data, headers or {})
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body="", **more):
        return self.ask("POST", path, body, **more)

    def run(self, given, **more):
        """The id of a job that was submitted."""
        answer = self.post("/v2/ep/run", {"input": given, **more})
        assert answer.status == 200, answer.body
        assert answer.json()["status"] == "IN_QUEUE"
        return answer.json()["id"]

    def status(self, job):
        return self.get(f"/status/{job}").json()

    def ended(self, job):
        """The job's status, once it is a final one; it is the client who gives up first."""
        status = self.post(f"/status-sync/{job}?wait=300000").json()
        assert status["status"] in FINAL, status
        return status

    def events(self, path, timeout_s=PATIENCE_S, headers=None):
        """Server-sent events as they come: (event, data)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream"
        name = None
        while line := answer.readline().decode():
            if line.startswith("event: "):
                name = line[7:].strip()
            elif line.startswith("data: "):
                yield name, json.loads(line[6:])
        connection.close()

    def later(self, function, *args):
        return Later(function, *args)
