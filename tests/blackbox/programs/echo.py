#!/usr/bin/env python3
"""Answers every job with its input, and says so along the way."""
import json
import sys


def say(**message):
    print(json.dumps(message), flush=True)


say(ready=True)  # after whatever takes long: models are loaded here
for line in sys.stdin:
    job = json.loads(line)
    say(id=job["id"], log="echoing", level="DEBUG")
    try:
        if job["input"] is None:
            raise ValueError("there is nothing to echo")
        say(id=job["id"], output=job["input"])
    except Exception as problem:
        say(id=job["id"], error=str(problem), error_type=type(problem).__name__)
