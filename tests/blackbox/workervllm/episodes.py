#!/usr/bin/env python3
"""What a worker does in three episodes that are not one job after another: python3 episodes.py OUT.json [NAME=VALUE ...] -- COMMAND ...

    cancel   a job is stopped in the middle of a stream: is the server's connection closed, is there a result, does the next job work?
    thirty   30 jobs at once, which wait for each other: how many are at the server at the same time, are all outputs the same?
    dies     the server goes away in the middle of a stream: what comes of this job, of the next one, and of the worker?
"""
import json
import os
import queue
import subprocess
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from urllib.parse import urlsplit

import fakevllm
import record

CHAT = "/v1/chat/completions"
LIMIT_S = 20


class Model(fakevllm.Handler):
    """The stand-in, which counts the jobs that it has at a time, and notes when a client goes away."""

    def handle_any(self):
        server, jobs = self.server, self.command == "POST"
        with server.lock:
            server.now += jobs
            server.most = max(server.most, server.now)
            if server.now == 30:
                server.full.set()
        try:
            super().handle_any()
        finally:
            with server.lock:
                server.now -= jobs

    do_GET = do_POST = handle_any

    def send_stream(self, stream):
        try:
            super().send_stream(stream)
        except OSError:
            self.server.left.set()
            raise

    def answer(self, path, raw):
        if b"stream-slow" in raw:
            return fakevllm.Stream([fakevllm.delta("x") for _ in range(400)])
        if b"x_case" in raw:
            self.server.full.wait(10)
            return {"id": "waited"}
        return super().answer(path, raw)

    def setup(self):
        super().setup()
        self.server.links.append(self.connection)


def serve_model():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.daemon_threads, server.request_queue_size = True, 128
    server.lock, server.seen, server.now, server.most = threading.Lock(), [], 0, 0
    server.left, server.full, server.links = threading.Event(), threading.Event(), []
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def end_model(server):
    server.shutdown()
    server.server_close()
    for link in server.links:
        try:
            link.shutdown(2)
        except OSError:
            pass


class Platform(record.Platform):
    def do_GET(self):
        if "/job-stop/" not in urlsplit(self.path).path:
            return super().do_GET()
        try:
            stop = self.server.run.stops.get(timeout=2)
        except queue.Empty:
            return self.reply(204)
        return self.reply(200, json.dumps({"jobsToStop": [stop]}).encode())


class Episode:
    """A platform, a server and a worker."""

    def __init__(self, settings, command):
        self.run, self.model = record.Run(), serve_model()
        self.run.stops = queue.Queue()
        self.platform = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
        self.platform.daemon_threads, self.platform.run = True, self.run
        threading.Thread(target=self.platform.serve_forever, daemon=True).start()
        environment = record.environment(self.platform.server_port, self.model.server_port)
        environment.update(setting.split("=", 1) for setting in settings)
        self.worker = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       start_new_session=True)

    def give(self, name, **more):
        body = {"model": "m0", "messages": [{"role": "user", "content": "hi"}], **more}
        self.run.jobs.put({"id": name, "input": {"openai_route": CHAT, "openai_input": body}})

    def posts(self, name, kind):
        with self.run.lock:
            return [event["body"] for event in self.run.events if event["job"] == name and event["ev"] == kind]

    def wait(self, condition):
        end = time.monotonic() + LIMIT_S
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        return bool(condition())

    def outcome(self, name):
        if not self.wait(lambda: self.posts(name, "done")):
            return "no result"
        return "failed" if "error" in self.posts(name, "done")[0] else "completed"

    def end(self):
        record.end_group(self.worker)
        end_model(self.model)
        self.platform.shutdown()


def cancel(episode):
    episode.give("stopped", stream=True, x_case="stream-slow")
    episode.wait(lambda: episode.posts("stopped", "stream"))
    episode.run.stops.put("stopped")
    left = episode.wait(episode.model.left.is_set)
    episode.give("next")
    return {"connection closed": left, "the next job": episode.outcome("next"), "results": len(episode.posts("stopped", "done"))}


def thirty(episode):
    names = [f"j{number}" for number in range(30)]
    for name in names:
        episode.give(name, x_case="wait")
    outcomes = [episode.outcome(name) for name in names]
    outputs = {json.dumps(episode.posts(name, "done")[0]) for name in names if episode.posts(name, "done")}
    return {"at once": episode.model.most, "outcomes": sorted(set(outcomes)), "different outputs": len(outputs)}


def dies(episode):
    episode.give("running", stream=True, x_case="stream-slow")
    episode.wait(lambda: episode.posts("running", "stream"))
    end_model(episode.model)
    found = {"the running job": episode.outcome("running"), "parts": bool(episode.posts("running", "stream"))}
    episode.give("next")
    found["the next job"] = episode.outcome("next")
    try:
        found["the worker"] = f"ended with {episode.worker.wait(5)}"
    except subprocess.TimeoutExpired:
        found["the worker"] = "takes more jobs"
    return found


def main():
    at = sys.argv.index("--")
    found = {}
    for scene in (cancel, thirty, dies):
        episode = Episode(sys.argv[2:at], sys.argv[at + 1:])
        try:
            found[scene.__name__] = scene(episode)
        finally:
            episode.end()
    with open(sys.argv[1], "w") as file:
        json.dump(found, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
