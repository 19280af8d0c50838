"""The same Python handler for both sides: on the SDK, and on src/handlers/python behind the worker.

Usage: python_handler.py CONCURRENCY
"""

import sys

import runpod


def echo(job):
    return job["input"]


if __name__ == "__main__":
    concurrency = int(sys.argv.pop(1))
    config = {"handler": echo}
    if concurrency > 1:
        config["concurrency_modifier"] = lambda current: concurrency
    runpod.serverless.start(config)
