#!/usr/bin/env python3
"""src/handlers/mock.c as a program: does what its input tells it to; --generator makes a stream of mock_return."""
import json
import os
import sys
import time


def say(**message):
    print(json.dumps(message), flush=True)


def side_effects(job):
    """True where the job has ended by them."""
    time.sleep(job.get("mock_delay", 0))
    if job.get("mock_crash"):
        os._exit(1)
    if job.get("mock_error"):
        say(error="Mock error")
    return bool(job.get("mock_error"))


def mock(job):
    output = job.get("mock_return", "Hello World!")
    say(output={"refresh_worker": True, "mock_return": output} if job.get("mock_refresh") else output)


def generate(job):
    for part in job.get("mock_return", ["Hello World!"]):
        say(stream=part)
    say(output=None)


handle = generate if "--generator" in sys.argv else mock
for line in sys.stdin:
    given = json.loads(line)["input"]
    if not side_effects(given):
        handle(given)
