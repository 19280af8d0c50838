"""Handlers for RunPod's SDK and for the package that stands in for it: sdk_handlers.py GROUP.

A group is one handler given to start(); the job's input says which of the group's cases it is.
"""
import asyncio
import functools
import subprocess
import sys

import runpod
from runpod import RunPodLogger
from runpod.serverless.utils import rp_cuda, rp_debugger, upload_in_memory_object
from runpod.serverless.utils.rp_cleanup import clean
from runpod.serverless.utils.rp_validator import validate

SCHEMA = {
    "prompt": {"type": str, "required": True},
    "steps": {"type": int, "required": False, "default": 20, "constraints": lambda n: 0 < n <= 50},
    "scale": {"type": float, "required": False, "default": 7.5},
    "seed": {"type": int, "required": False, "default": None},
}
log = RunPodLogger()


class OutOfMemory(RuntimeError):
    """An exception of the handler's own, as frameworks have them."""


def raise_deep(levels):
    if levels == 0:
        raise OutOfMemory("tried to allocate 2.00 GiB")
    raise_deep(levels - 1)


def chained():
    try:
        {}["model"]
    except KeyError as problem:
        raise RuntimeError("the model is not loaded") from problem


def raising(problem):
    raise problem


def progress(job):
    runpod.serverless.progress_update(job, {"step": 1, "of": 1})
    return "done"


def timed(job):
    with rp_debugger.LineTimer("inference"):
        return {"timed": True}


def noisy(job):
    print("printed by the handler")
    print('{"output": "printed, not returned"}')
    sys.stderr.write("written to standard error\n")
    log.info("logged under the job's id", job["id"])
    log.debug("logged")
    subprocess.run(["/bin/sh", "-c", "echo printed by a program; cat"], check=True)
    return "noisy"


async def later(value):
    await asyncio.sleep(0.01)
    return value


def cleaned(job):
    clean(["left_behind"])
    return None


FUNCTIONS = {
    "echo": lambda job: job["input"],
    "greeting": lambda job: f"Hello, {job['input']['name']}!",
    "members": lambda job: sorted(set(job) - {"scratch"}),  # the worker adds a folder of the job
    "none": lambda job: None,
    "number": lambda job: 1.5,
    "true": lambda job: True,
    "false": lambda job: False,
    "list": lambda job: [1, "two", None],
    "tuple": lambda job: (1, 2),
    "int_names": lambda job: {1: "one"},
    "empty": lambda job: {},
    "text": lambda job: "é 漢字 😀 \" \\ \n\u2028",
    "error": lambda job: {"error": "no such model"},
    "error_beside_output": lambda job: {"error": "cut short", "partial": [1]},
    "error_empty": lambda job: {"error": "", "x": 1},
    "error_empty_alone": lambda job: {"error": None},
    "error_object": lambda job: {"error": {"code": 3}},
    "error_inside": lambda job: {"inner": {"error": "only data"}},
    "refresh_false": lambda job: {"refresh_worker": False, "x": 1},
    "raises": lambda job: raising(ValueError("the prompt is too long")),
    "raises_text": lambda job: raising(RuntimeError('quoted "é" \n and more')),
    "raises_key": lambda job: job["input"]["absent"],
    "raises_nothing": lambda job: raising(ValueError()),
    "raises_own": lambda job: raise_deep(3),
    "raises_chained": lambda job: chained(),
    "valid": lambda job: validate({"prompt": "a", "scale": 2}, SCHEMA),
    "invalid": lambda job: validate({"steps": "ten", "what": 1}, SCHEMA),
    "constrained": lambda job: validate({"prompt": "a", "steps": 0}, {**SCHEMA, "steps": {
        "type": int, "required": True, "constraints": lambda n: n > 0}}),
    "no_schema": lambda job: validate({"a": 1}, {"a": "not JSON", "b": {"type": int}}),
    "progress": progress,
    "timed": timed,
    "timed_again": timed,
    "noisy": noisy,
    "awaitable": lambda job: later("awaited"),
    "uploaded": lambda job: upload_in_memory_object("image.png", b"png"),
    "cuda": lambda job: rp_cuda.is_available(),
    "cleaned": cleaned,
    "refresh": lambda job: {"refresh_worker": True, "x": 1},  # the last: a worker takes no more jobs
}


async def async_raises():
    await asyncio.sleep(0)
    raise OutOfMemory("in a coroutine")


async def gathered():
    return sum(await asyncio.gather(*(later(n) for n in range(10))))


COROUTINES = {
    "later": lambda job: later(job["input"]),
    "raises": lambda job: async_raises(),
    "error": lambda job: later({"error": "no such model"}),
    "gathered": lambda job: gathered(),
    "progress": lambda job: later(progress(job)),
    "refresh_alone": lambda job: later({"refresh_worker": True}),
}


def yields_then_raises():
    yield "one"
    raise ValueError("after one part")


PARTS = {
    "words": lambda job: iter(["Hello", ", ", "world", "!"]),
    "objects": lambda job: iter([{"token": 1}, {"error": "", "token": 2}, None, [], 0, ""]),
    "no_parts": lambda job: iter([]),
    "error": lambda job: iter(["one", {"error": "stop here"}, "never"]),
    "error_first": lambda job: iter([{"error": {"code": 3}}]),
    "raises": lambda job: yields_then_raises(),
    "raises_first": lambda job: raising(ValueError("before any part")),
}


def function(job):
    return FUNCTIONS[job["input"]["case"]](job)


async def coroutine(job):
    return await COROUTINES[job["input"]["case"]](job)


def generator(job):
    for part in PARTS[job["input"]["case"]](job):
        yield part


async def async_generator(job):
    for part in PARTS[job["input"]["case"]](job):
        await asyncio.sleep(0)
        yield part


GROUPS = {
    "function": ({"handler": function}, FUNCTIONS),
    "coroutine": ({"handler": coroutine}, COROUTINES),
    "generator": ({"handler": generator}, PARTS),
    "async_generator": ({"handler": async_generator, "return_aggregate_stream": True}, PARTS),
    "aggregate": ({"handler": functools.partial(generator), "return_aggregate_stream": True}, PARTS),
    "refresh": ({"handler": function, "refresh_worker": True}, ["raises"]),
}

if __name__ == "__main__":
    config, cases = GROUPS[sys.argv.pop(1)]
    config["concurrency_modifier"] = lambda current: len(cases)
    runpod.serverless.start(config)
