"""More handlers on runpod: sdk_more.py NAME. The job's input is what to do."""
import asyncio
import os
import signal
import sys
import time

import runpod
from runpod.serverless.modules.rp_logger import RunPodLogger

log = RunPodLogger()
log.debug("before start")


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def plain(job):
    """Answers with the process's number; waits for ever, or for a file, where it is told to."""
    what = job["input"]
    if what.get("log"):
        log.warn("a warning of the handler's")
        log.info("about another job", "another")
        print("printed, Grüße")
    if what.get("wait"):
        print("waiting")
        while True:
            time.sleep(0.01)
    if what.get("exit"):
        os._exit(3)
    if what.get("raise"):
        recurse(what["raise"])
    if what.get("output"):
        return {"set": {1, 2}, "nan": float("nan")}[what["output"]]
    return {"pid": os.getpid(), "env": os.environ.get("RUNPOD_AI_API_KEY")}


def recurse(levels):
    if levels:
        recurse_more(levels - 1)
    raise ValueError("at the bottom")


def recurse_more(levels):
    recurse(levels)


async def coroutine(job):
    if job["input"].get("wait"):
        print("waiting")
        await asyncio.sleep(600)
    if job["input"].get("name"):
        print("came", flush=True)
        while sum(map(os.path.exists, job["input"]["all"])) < len(job["input"]["all"]):
            open(job["input"]["name"], "w").close()
            await asyncio.sleep(0.01)
    return {"pid": os.getpid()}


class StopAtImport:
    def find_spec(self, name, path=None, target=None):
        if name == "runpod.serverless._async":
            os.kill(os.getpid(), signal.SIGTERM)


def late(job):
    """Is stopped while the loop for what it returns is loaded."""
    sys.meta_path.insert(0, StopAtImport())
    return coroutine({"input": {"wait": True}})


async def parts(job):
    yield "first"
    await asyncio.sleep(600)


def fading():
    """Fit at the first start alone."""

    @runpod.serverless.register_fitness_check
    def check_scratch():
        with open("started", "x"):
            pass

    return plain


def unfit():
    @runpod.serverless.register_fitness_check
    def passes():
        print("the first check ran")

    @runpod.serverless.register_fitness_check
    async def check_model():
        raise RuntimeError("the model is damaged")

    return plain


HANDLERS = {"plain": plain, "late": late, "coroutine": coroutine, "parts": parts}

if __name__ == "__main__":
    name = sys.argv.pop(1)
    handler = {"unfit": unfit, "fading": fading}[name]() if name not in HANDLERS else HANDLERS[name]
    config = {"handler": handler}
    if name == "coroutine":
        config["concurrency_modifier"] = lambda current: 3
    runpod.serverless.start(config)
