"""Jobs on an event loop: async handlers, and several jobs at a time (--handler-jobs)."""

import asyncio
import contextvars
import json
import os
import signal

from . import _work
from .modules import rp_handler
from .modules.rp_logger import RunPodLogger

READ_BYTES = 1 << 16  # what a pipe holds

_log = RunPodLogger()
_job_id = contextvars.ContextVar("job_id", default=None)


class Jobs:
    """The jobs at work, each in a task of its own, by their ids."""

    def __init__(self, channel, outcomes, scale):
        self.channel = channel
        self.outcomes = outcomes
        self.scale = scale
        self.tasks = {}
        self.ended = asyncio.Event()  # there are no more jobs
        self.pieces = []  # of a line that is not complete
        self.streams = rp_handler.is_generator(outcomes.handler)
        self.streams_async = rp_handler.is_async_generator(outcomes.handler)

    # ---- what the worker sends ----

    def readable(self):
        data = os.read(self.channel.jobs, READ_BYTES)
        if not data:
            self.ended.set()
            asyncio.get_running_loop().remove_reader(self.channel.jobs)
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = b"".join(self.pieces) + line
            self.pieces.clear()
            self.read(whole)
        if rest:
            self.pieces.append(rest)

    def read(self, line):
        try:
            job = json.loads(line)
        except (ValueError, RecursionError) as problem:
            self.channel.write(self.outcomes.unreadable(line, problem))
            return
        self.take(job)

    def take(self, job):
        job_id = job.get("id")
        if "input" not in job and job.get("stop"):
            if job_id in self.tasks:
                self.tasks[job_id].cancel()
            return
        self.begin(job_id, self.work(job, job_id))

    def begin(self, job_id, work):
        self.channel.at_work.add(job_id)
        self.tasks[job_id] = asyncio.get_running_loop().create_task(work)
        self.tasks[job_id].add_done_callback(lambda task: self.settle(job_id, task))

    def terminate(self):
        """SIGTERM: the jobs are to end. Without one, the program is."""
        if not self.tasks and self.channel.has_job():
            self.readable()
        if not self.tasks:
            self.ended.set()
        for task in self.tasks.values():
            task.cancel()

    # ---- a job ----

    def settle(self, job_id, task):
        """Its task is done, or was cancelled, maybe before it began."""
        if task.cancelled():
            message = self.outcomes.failed_plainly(job_id, _work.STOPPED)
        elif task.exception() is not None:
            message = self.outcomes.failed(job_id, task.exception())
        else:
            message = task.result()
        self.tasks.pop(job_id, None)
        self.channel.at_work.discard(job_id)
        self.channel.write(message)
        self.scale.ask()

    async def work(self, job, job_id):
        """The job's last line."""
        _job_id.set(job_id)
        try:
            if self.streams:
                return await self.run_stream(job, job_id)
            return await self.run_function(job, job_id)
        finally:
            _work.after_job()

    async def run_function(self, job, job_id):
        try:
            value = self.outcomes.handler(job)
        except Exception as problem:
            return self.outcomes.failed(job_id, problem)
        return await self.wait_for(job_id, value)

    async def wait_for(self, job_id, value):
        try:
            if rp_handler.is_awaitable(value):
                value = await value
        except Exception as problem:
            return self.outcomes.failed(job_id, problem)
        return self.outcomes.returned(job_id, value)

    async def run_stream(self, job, job_id):
        self.channel.write(self.outcomes.stream_begins(job_id))
        try:
            parts = self.outcomes.handler(job)
            if not self.streams_async:
                parts = _as_async(parts)
            async for value in parts:
                line, ends = self.outcomes.part(job_id, value)
                if ends:
                    await parts.aclose()
                    return line
                self.channel.write(line)
        except Exception as problem:
            return self.outcomes.stream_failed(job_id, problem)
        return self.outcomes.stream_ended(job_id)


async def _as_async(parts):
    """A generator's parts. Between them other jobs go on."""
    for part in parts:
        yield part
        await asyncio.sleep(0)


async def _serve(channel, outcomes, scale, first, stop_comes):
    loop = asyncio.get_running_loop()
    jobs = Jobs(channel, outcomes, scale)
    channel.job_id = _job_id.get
    try:
        loop.add_signal_handler(signal.SIGTERM, jobs.terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for the worker
    except (RuntimeError, ValueError):
        _log.warn(_work.NO_SIGNALS)
    if first is not None:
        jobs.begin(first[0], jobs.wait_for(*first))
        if stop_comes():
            jobs.terminate()
    loop.add_reader(channel.jobs, jobs.readable)
    await jobs.ended.wait()
    while jobs.tasks:
        await asyncio.wait(list(jobs.tasks.values()))


def serve(channel, outcomes, scale, first, stop_comes):
    """Until there are no more jobs. `first`: (id, awaitable) of one that has begun, or None;
    stop_comes(): it was stopped before the loop could hear of it."""
    asyncio.run(_serve(channel, outcomes, scale, first, stop_comes))
