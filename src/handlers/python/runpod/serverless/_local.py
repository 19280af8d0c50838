"""One local test without a worker: --test_input JSON, or test_input.json in the working folder."""

import asyncio
import json
import sys

from . import _work
from .modules import rp_handler
from .modules.rp_logger import RunPodLogger

FILE = "test_input.json"

_log = RunPodLogger()


def _fail(text):
    _log.error(text)
    sys.exit(1)


def _load(text):
    if text is None:
        try:
            with open(FILE, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            _fail(
                "There is no --test_input and no {} in this folder. To serve jobs, let the worker "
                "start this program: worker --handler 'python3 handler.py' --handler-ready "
                "line".format(FILE)
            )
    try:
        job = json.loads(text)
    except ValueError as problem:
        _fail("The test input is not JSON: {}".format(problem))
    if not isinstance(job, dict) or job.get("input") is None:
        _fail("The test input needs an \"input\" that is not null.")
    job.setdefault("id", "local_test")
    return job


async def _all(parts):
    return [part async for part in parts]


def _output(handler, job):
    if rp_handler.is_async_generator(handler):
        return asyncio.run(_all(handler(job)))
    value = handler(job)
    if rp_handler.is_generator(handler):
        return list(value)

    async def wait():
        return await value

    return asyncio.run(wait()) if rp_handler.is_awaitable(value) else value


def run(config, text, debugger):
    """Ends the process: 0, or 1 where the job failed."""
    job = _load(text)
    try:
        output = _output(config["handler"], job)
    except Exception as problem:
        _fail("Job {} failed:\n{}".format(job["id"], _work.traceback_of(problem)))
    if isinstance(output, dict) and output.get("error"):
        _fail("Job {} failed: {}".format(job["id"], output["error"]))
    if debugger and isinstance(output, dict):
        from .utils import rp_debugger

        output["rp_debugger"] = rp_debugger.get_debugger_output()
    _log.info("Job {} completed successfully.".format(job["id"]))
    shown = json.dumps({"output": output}, ensure_ascii=False, default=repr)
    _log.info("Job result: {}".format(shown))
    sys.exit(0)
