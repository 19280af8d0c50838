"""The SDK's side of the benchmarks: the same handlers as ours, on runpod.

Usage: sdk_handler.py echo|big|stream|stop|http|http_stream CONCURRENCY
The last two pass jobs on to the server at BENCH_SERVER, with aiohttp, as the platform's own workers do.
"""

import asyncio
import os
import sys
import time

import aiohttp
import runpod

RESULT_BYTES = 8_000_000  # as in big.c


def echo(job):
    return job["input"]


def big(job):
    """See big.c: the first bytes of the input, and when the handler began and ended."""
    data = job["input"]["data"]
    begin_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    part = data[:RESULT_BYTES]
    end_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return {"begin_ns": begin_ns, "end_ns": end_ns, "data": part}


def stream(job):
    """See stream.c."""
    for i in range(job["input"]["parts"]):
        yield {"token": i}


async def stop(job):
    """See stop.c. The SDK stops a job by cancelling its task."""
    print("waiting", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("told", time.clock_gettime_ns(time.CLOCK_MONOTONIC), flush=True)


class Server:
    """One session for all jobs, made when the loop runs."""

    session = None

    @classmethod
    def ask(cls, job):
        if cls.session is None:
            connector = aiohttp.TCPConnector(limit=0)
            cls.session = aiohttp.ClientSession(os.environ["BENCH_SERVER"], connector=connector)
        return cls.session.post(job["input"]["route"], json=job["input"]["body"])


async def http(job):
    async with Server.ask(job) as answer:
        return await answer.json()


async def http_stream(job):
    """Each line of the answer that is none of the empty ones, with its end: one event."""
    async with Server.ask(job) as answer:
        async for line in answer.content:
            if line.strip():
                yield line.decode() + "\n"


HANDLERS = {
    "echo": echo,
    "big": big,
    "stream": stream,
    "stop": stop,
    "http": http,
    "http_stream": http_stream,
}

if __name__ == "__main__":
    config = {"handler": HANDLERS[sys.argv.pop(1)]}
    concurrency = int(sys.argv.pop(1))
    if concurrency > 1:
        config["concurrency_modifier"] = lambda current: concurrency
    runpod.serverless.start(config)
