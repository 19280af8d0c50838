"""The SDK's side of the benchmarks: the same two handlers as ours, on runpod.

Usage: sdk_handler.py echo|big
"""

import sys
import time

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


HANDLERS = {"echo": echo, "big": big}

if __name__ == "__main__":
    runpod.serverless.start({"handler": HANDLERS[sys.argv.pop(1)]})
