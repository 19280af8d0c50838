"""A small server that the worker starts itself:  ownserver.py PORT [option...]

    ready=FILE     /health is 503 until FILE is there
    sick=FILE      /health is 503 as long as FILE is there, which it reports on standard error once
    dies=STATUS    prints its last words and ends with STATUS at once, without listening
    starts=FILE    adds a line to FILE at each start
    lasts=SECONDS  goes on for so long after SIGTERM, then says good-bye

POST /echo gives back the body and the process id; POST /exit {"status": N} ends the process in the middle of its answer; POST /fail answers
500; GET /stream sends events for ever.
"""

import http.server
import json
import os
import signal
import sys
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/health":
            waits = "ready" in options and not os.path.exists(options["ready"])
            sick = "sick" in options and os.path.exists(options["sick"])
            if sick and not said:
                said.append(True)
                print("the GPU has fallen off the bus", file=sys.stderr, flush=True)
            return self.answer(503 if waits or sick else 200, {})
        if self.path == "/environment":
            return self.answer(200, dict(os.environ))
        if self.path != "/stream":
            return self.answer(404, {"detail": "no such page"})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(b"data: tick\n\n")
            time.sleep(0.01)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
        if self.path == "/exit":
            print("these are my last words", flush=True)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            os._exit(body["status"])
        if self.path == "/fail":
            return self.answer(500, {"error": "the engine is dead"})
        self.answer(200, {"body": body, "pid": os.getpid()})

    def log_message(self, *_):
        pass


def leave():
    time.sleep(float(options["lasts"]))
    print("own server: good-bye", flush=True)
    os._exit(0)


if __name__ == "__main__":
    said = []
    options = dict(word.partition("=")[::2] for word in sys.argv[2:])
    if "starts" in options:
        with open(options["starts"], "a", encoding="ascii") as f:
            f.write(f"{os.getpid()}\n")
    print("own server: starting", flush=True)
    if "dies" in options:
        print("cannot allocate memory for the model", file=sys.stderr, flush=True)
        sys.exit(int(options["dies"]))
    if "lasts" in options:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=leave).start())
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
