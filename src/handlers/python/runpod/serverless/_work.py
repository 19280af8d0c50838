"""Runs the handler on jobs and says what comes of them, in lines for the worker."""

import json
import os
import sys

from .modules import rp_handler
from .modules.rp_logger import RunPodLogger

STOPPED = "The job was stopped."
NO_SIGNALS = "start() was not called in the main thread: a job that is stopped ends this process"

_log = RunPodLogger()
_HERE = os.path.dirname(os.path.abspath(__file__))


class JobStopped(BaseException):
    """Raised in a handler whose job is stopped or takes too long."""


def traceback_of(problem):
    """Its text, without the frames of this package that stand before the handler's."""
    import traceback  # takes longer to import than most handlers' first job takes

    frame = problem.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_HERE + os.sep):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(problem), problem, frame))


def _id_of(line):
    """The id of a job that json cannot read, by the tokens of its outermost object; or None."""
    import re

    text = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
    depth = 0
    for token in re.finditer(rb"(%s)(?:\s*:\s*(%s|[-0-9]+)?)?|[][{}]" % (text, text), line):
        name, value = token.groups()
        if name is None:
            depth += 1 if token.group() in b"[{" else -1
        elif depth == 1 and value is not None and json.loads(name) == "id":
            return json.loads(value)
    return None


class Outcomes:
    """Turns what a handler has returned, yielded or raised into messages."""

    def __init__(self, encode, config, debugger):
        self.encode = encode
        self.handler = config["handler"]
        self._refresh = ', "refresh_worker": true' if config.get("refresh_worker") else ""
        self._aggregate = bool(config.get("return_aggregate_stream"))
        self._debugger = debugger

    def final(self, job_id, members):
        """The job's last line; `members` is JSON text."""
        return '{{"id": {}, {}{}}}\n'.format(self.encode(job_id), members, self._refresh)

    def returned(self, job_id, value):
        try:
            if self._debugger and isinstance(value, dict):
                from .utils import rp_debugger

                value["rp_debugger"] = rp_debugger.get_debugger_output()
            return self.final(job_id, '"output": ' + self.encode(value))
        except (TypeError, ValueError, RecursionError) as problem:
            text = "The handler's output is not JSON: {}".format(problem)
            return self.failed(job_id, problem, text)

    def failed(self, job_id, problem, message=None):
        """An error object, by the worker: of the exception's type, message and traceback."""
        where = traceback_of(problem)
        _log.error(where, job_id)
        text = self.encode(str(problem) if message is None else message)
        kind, where = self.encode(str(type(problem))), self.encode(where)
        members = '"error": {}, "error_type": {}, "traceback": {}'.format(text, kind, where)
        return self.final(job_id, members)

    def unreadable(self, line, problem):
        """The last line of a job that json refuses: for an int of over 4300 digits or its depth."""
        return self.failed(_id_of(line), problem, "The job cannot be read: {}".format(problem))

    def failed_plainly(self, job_id, text):
        """The text alone as the error."""
        return self.final(job_id, '"error": {}, "error_type": null'.format(self.encode(text)))

    # ---- streams ----

    def stream_begins(self, job_id):
        how = "list" if self._aggregate else "parts"
        return '{{"id": {}, "streaming": "{}"}}\n'.format(self.encode(job_id), how)

    def part(self, job_id, value):
        """A line, and whether it ends the job: a part with an error does."""
        if isinstance(value, dict) and value.get("error"):
            return self.failed_plainly(job_id, str(value["error"])), True
        return '{{"id": {}, "stream": {}}}\n'.format(self.encode(job_id), self.encode(value)), False

    def stream_failed(self, job_id, problem):
        _log.error(problem, job_id)
        return self.failed_plainly(
            job_id, "handler: {} \ntraceback: {}".format(problem, traceback_of(problem))
        )

    def stream_ended(self, job_id):
        return self.final(job_id, '"output": null')


def after_job():
    """Names of checkpoints may be used again in the next job."""
    used = sys.modules.get(__package__ + ".utils.rp_debugger")
    if used is not None:
        used.clear_debugger_output()


# ---- one job after the other, by a function that is not async ------------------------------------


class Plain:
    """The handler runs in this thread, with nothing else beside it."""

    def __init__(self, channel, outcomes, scale):
        self.channel = channel
        self.outcomes = outcomes
        self.scale = scale
        self.lines = os.fdopen(channel.jobs, "rb", 1 << 16, closefd=False)
        self.streams = rp_handler.is_generator(outcomes.handler)
        self.stoppable = False  # the handler is at work
        self.has_job = False  # from reading the job to its answer
        self.stop_comes = False  # the job was stopped before the handler began

    def serve(self):
        """Until there are no more jobs: None. Or until the handler returns what has to be awaited:
        (job id, that)."""
        while True:
            line = self.lines.readline()
            if not line:
                return None
            self.has_job = True
            job_id, message = self.answer(line)
            if not isinstance(message, str):
                return job_id, message
            self.channel.at_work = set()
            self.channel.write(message)
            self.has_job = self.stop_comes = False
            after_job()
            self.scale.ask()

    def answer(self, line):
        """The job's id and its last line, or what the handler wants to be waited for."""
        try:
            job = json.loads(line)
        except (ValueError, RecursionError) as problem:
            return None, self.outcomes.unreadable(line, problem)
        job_id = job.get("id")
        self.channel.at_work = {job_id}
        return job_id, self.run(job, job_id)

    def run(self, job, job_id):
        """The job's last line, or what the handler wants to be waited for."""
        try:
            self.stoppable = True
            if self.stop_comes:
                raise JobStopped
            run = self.run_stream if self.streams else self.run_function
            message = run(job, job_id)
            self.stoppable = False
        except JobStopped:
            message = self.outcomes.failed_plainly(job_id, STOPPED)
        return message

    def run_function(self, job, job_id):
        try:
            value = self.outcomes.handler(job)
        except Exception as problem:
            return self.outcomes.failed(job_id, problem)
        return value if rp_handler.is_awaitable(value) else self.outcomes.returned(job_id, value)

    def run_stream(self, job, job_id):
        self.channel.write(self.outcomes.stream_begins(job_id))
        try:
            for value in self.outcomes.handler(job):
                line, ends = self.outcomes.part(job_id, value)
                if ends:
                    return line
                self.channel.write(line)
        except Exception as problem:
            return self.outcomes.stream_failed(job_id, problem)
        return self.outcomes.stream_ended(job_id)

    def terminate(self, number=None, frame=None):
        """SIGTERM: the job is to end. Without one, the program is."""
        if self.channel.defer(self.terminate):
            return
        if self.stoppable:
            self.stoppable = False
            raise JobStopped
        if not (self.has_job or self.channel.has_job()):
            sys.exit(0)
        self.stop_comes = True


def catch_signals(plain):
    import signal

    try:
        signal.signal(signal.SIGTERM, plain.terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for the worker
    except ValueError:
        _log.warn(NO_SIGNALS)
