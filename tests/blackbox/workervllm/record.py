#!/usr/bin/env python3
"""Gives a worker the jobs of a file, one after another, in front of fakevllm.py, and writes down all that it does.

    python3 record.py JOBS.json OUT.jsonl [NAME=VALUE ...] -- COMMAND ...

The platform here answers every post with 200 and hands out the next job once the last has its result. One line an event:
    take   the request that got the job               {"path", "q", "got"}
    asked  a request that the model's server has seen  {"method", "target", "content_type", "body"}; no body, no member
    stream, done   a post                              {"q", "fields", "body"}; a done after parts that are strings
                   also {"parts_joined": {"sha256", "bytes"}}, of the parts put together
Empty takes, pings and looks at /health between jobs are left out.
"""
import hashlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import fakevllm

LARGE_BYTES = 2048
JOB_LIMIT_S = 15


def strict(text):
    """JSON as RFC 8259 has it: Python's own reader takes NaN and Infinity too."""
    def no_constant(name):
        raise ValueError(name)
    return json.loads(text, parse_constant=no_constant)


def canonical(value):
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(text):
    raw = text.encode("utf-8", "surrogatepass")
    return {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}


def reduce_value(value):
    """Large values as hash and size: of a string its text, of the rest its canonical JSON."""
    if len(canonical(value).encode("utf-8", "surrogatepass")) <= LARGE_BYTES:
        return value
    if isinstance(value, str):
        return {**digest(value), "of": "string"}
    if isinstance(value, list) and all(isinstance(part, str) for part in value) and len(value) > 1:
        return {**digest(canonical(value)), "of": "list", "joined": digest("".join(value))}
    if isinstance(value, list) and len(value) == 1:
        return [reduce_value(value[0])]
    return {**digest(canonical(value)), "of": type(value).__name__}


def reduce_body(body):
    return {name: reduce_value(value) for name, value in body.items()} if isinstance(body, dict) else reduce_value(body)


class Platform(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b""):
        try:
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def do_GET(self):
        url, run = urlsplit(self.path), self.server.run
        if "/job-take" in url.path:
            batch = "/job-take-batch/" in url.path
            try:
                job = run.jobs.get(timeout=2)
            except queue.Empty:
                return self.reply(204)
            run.note(job["id"], "take", path="job-take-batch" if batch else "job-take", q=parse_qs(url.query),
                     got=[job["id"]])
            return self.reply(200, json.dumps([job] if batch else job).encode())
        if "/job-stop/" in url.path:
            time.sleep(2)
            return self.reply(204)
        return self.reply(200, b"{}")

    def do_POST(self):
        url, run = urlsplit(self.path), self.server.run
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = strict(raw)
        except ValueError:
            body = {"no JSON": raw.decode("utf-8", "replace")}
        event = "done" if "/job-done/" in url.path else "stream"
        job = url.path.rsplit("/", 1)[-1]
        run.note(job, event, q=parse_qs(url.query),
                 fields={name: self.headers.get(name) for name in ("Content-Type", "X-Request-ID")}, body=body)
        self.reply(200, b"{}")
        if event == "done":
            run.finished.put(job)


class Run:
    def __init__(self):
        self.jobs, self.finished = queue.Queue(), queue.Queue()
        self.lock, self.events = threading.Lock(), []

    def note(self, job, event, **more):
        with self.lock:
            self.events.append({"job": job, "ev": event, **more})


def told(value, server_port):
    """What differs from run to run and machine to machine: the port, and a Python traceback's lines."""
    if isinstance(value, str):
        value = value.replace("127.0.0.1:%d" % server_port, "SERVER")
        return re.sub(r"(traceback: )Traceback \(most recent.*", r"\1<PYTHON TRACEBACK>", value, flags=re.S)
    if isinstance(value, list):
        return [told(part, server_port) for part in value]
    if isinstance(value, dict):
        return {name: told(part, server_port) for name, part in value.items()}
    return value


def asked_of(server):
    with server.lock:
        seen, server.seen = server.seen, []
    for request in seen:
        body = request.pop("body")
        if body is not None:  # a request without one has no such member here; JSON's null is None
            try:
                request["body"] = strict(body)
            except ValueError:
                request["body"] = {"no JSON": body}
    return seen


def add_joined(events):
    """To each result, what its job's parts are when put together: where they were cut differs from run to run."""
    for event in events:
        parts = [e["body"].get("output") for e in events if e["job"] == event["job"] and e["ev"] == "stream"]
        if event["ev"] in ("done", "nothing") and parts and all(isinstance(part, str) for part in parts):
            event["parts_joined"] = digest("".join(parts))


def is_look(request, job):
    """A worker's own look at the server's health, not the job's request."""
    route = job["input"].get("route") if isinstance(job["input"], dict) else None
    return request["target"] == "/health" != route


def environment(platform_port, port):
    """The worker's, as the platform sets it, and with the model's server for either worker."""
    base = "http://127.0.0.1:%d/v2/ep/" % platform_port
    return {
        "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "RUNPOD_POD_ID": "pod1",
        "RUNPOD_ENDPOINT_ID": "ep", "RUNPOD_AI_API_KEY": "k", "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_SKIP_GPU_CHECK": "true", "RUNPOD_WEBHOOK_GET_JOB": base + "job-take/$ID?gpu=x",
        "RUNPOD_WEBHOOK_POST_OUTPUT": base + "job-done/$RUNPOD_POD_ID/$ID?gpu=x",
        "RUNPOD_WEBHOOK_POST_STREAM": base + "job-stream/$RUNPOD_POD_ID/$ID?gpu=x",
        "RUNPOD_WEBHOOK_PING": base + "ping/$RUNPOD_POD_ID?gpu=x",
        "VLLM_BASE_URL": "http://127.0.0.1:%d" % port, "RP_HANDLER_HTTP": "http://127.0.0.1:%d" % port}


def end_group(worker):
    """The SDK's heartbeat is a process of its own, which outlives the worker."""
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    worker.wait()


def main():
    at = sys.argv.index("--")
    jobs_file, out_file, settings, command = sys.argv[1], sys.argv[2], sys.argv[3:at], sys.argv[at + 1:]
    with open(jobs_file) as file:
        jobs = json.load(file)
    run, model = Run(), fakevllm.serve()
    platform = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    platform.daemon_threads, platform.run = True, run
    threading.Thread(target=platform.serve_forever, daemon=True).start()
    port = model.server_port
    variables = environment(platform.server_port, port)
    variables.update(setting.split("=", 1) for setting in settings)
    with open(out_file + ".log", "wb") as log:
        worker = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        for job in jobs:
            run.jobs.put(job)
            try:
                while run.finished.get(timeout=JOB_LIMIT_S if job is not jobs[0] else 60) != job["id"]:
                    pass
            except queue.Empty:
                run.note(job["id"], "nothing", body="no result in %d s" % JOB_LIMIT_S)
            with run.lock:
                first_post = next((i for i, e in enumerate(run.events)
                                   if e["job"] == job["id"] and e["ev"] in ("stream", "done", "nothing")),
                                  len(run.events))
                run.events[first_post:first_post] = [{"job": job["id"], "ev": "asked", **request}
                                                     for request in asked_of(model) if not is_look(request, job)]
            if worker.poll() is not None:
                run.note(job["id"], "ended", body="the worker ended with %d" % worker.returncode)
                break
        time.sleep(0.3)
    finally:
        worker.terminate()
        try:
            worker.wait(10)
        except subprocess.TimeoutExpired:
            pass
        end_group(worker)
    add_joined(run.events)
    with open(out_file, "w") as file:
        for event in told(run.events, port):
            if "body" in event:
                event["body"] = reduce_body(event["body"])
            file.write(json.dumps(event, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
