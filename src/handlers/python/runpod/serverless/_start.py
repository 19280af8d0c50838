"""What start() does: flags, checks, "ready", then jobs; or a local test where no worker is."""

import os
import sys

from . import _channel
from .modules import rp_fitness
from .modules.rp_logger import RunPodLogger

ON_PLATFORM = "RUNPOD_WEBHOOK_GET_JOB"
UNFIT_S = 5
JOBS = "RP_HANDLER_JOBS"  # how many jobs this process gets at a time

_log = RunPodLogger()
_FLAGS = {  # of the SDK's own; True: without a value
    "--rp_log_level": False,
    "--rp_debugger": True,
    "--rp_serve_api": True,
    "--rp_api_port": False,
    "--rp_api_concurrency": False,
    "--rp_api_host": False,
    "--test_input": False,
}


def take_flags(words):
    """The SDK's flags among the words, as {name: value}, and the words that are the handler's."""
    found, left, words = {}, [], list(words)
    while words:
        word = words.pop(0)
        name, has_value, value = word.partition("=")
        if name not in _FLAGS:
            left.append(word)
        elif _FLAGS[name]:
            found[name] = True
        elif has_value:
            found[name] = value
        elif words:
            found[name] = words.pop(0)
        else:
            sys.exit("{} needs a value".format(name))
    return found, left


def start(config):
    if not callable(config.get("handler")):
        sys.exit('runpod.serverless.start() needs {"handler": a function}')
    flags, left = take_flags(sys.argv[1:])
    sys.argv[1:] = left
    if "--rp_log_level" in flags:
        _log.set_level(flags["--rp_log_level"])
    if "--rp_serve_api" in flags:
        sys.exit("give --rp_serve_api to the worker that starts this program")
    if _channel.BY_WORKER in os.environ and "--test_input" not in flags:
        serve(config, "--rp_debugger" in flags)
        return
    from . import _local

    _local.run(config, flags.get("--test_input"), "--rp_debugger" in flags)


def serve(config, debugger):
    """Until the worker has no more jobs."""
    channel = _channel.open_channel()
    failed = rp_fitness.run_checks() if ON_PLATFORM in os.environ else None
    if failed is not None:
        end_unfit(channel, *failed)
    jobs = int(os.environ.get(JOBS) or 1)
    scale = Scale(channel, config.get("concurrency_modifier"), jobs)
    scale.ask()
    channel.write('{"ready": true}\n')
    serve_jobs(channel, config, scale, debugger, at_once=jobs)


def serve_jobs(channel, config, scale, debugger, at_once):
    """One after the other; on an event loop once a handler has to be awaited, or for several."""
    from . import _work  # what takes time to import is not needed before this
    from .modules import rp_handler

    outcomes = _work.Outcomes(channel.encode, config, debugger)
    handler, first = outcomes.handler, None
    plain = _work.Plain(channel, outcomes, scale)
    is_async = rp_handler.is_coroutine(handler) or rp_handler.is_async_generator(handler)
    if at_once == 1 and not is_async:
        _work.catch_signals(plain)
        first = plain.serve()
        if first is None:
            return
    from . import _async

    _async.serve(channel, outcomes, scale, first, lambda: plain.stop_comes)


def end_unfit(channel, check, reason):
    """The worker reports it to the platform and ends, and this process with it. One that was
    started again, or gets a job all the same, ends by itself."""
    import select

    channel.send(unfit=reason, check=check)
    select.select([channel.jobs], [], [], UNFIT_S)
    os._exit(1)


class Scale:
    """concurrency_modifier: asked at the start and after each job."""

    def __init__(self, channel, modifier, most):
        self._channel = channel
        self._modifier = modifier
        self._most = most
        self._wanted = 1
        self._told = None
        self._warned = False

    def ask(self):
        if self._modifier is None:
            return
        self._wanted = self._modifier(self._wanted)
        now = max(1, min(self._wanted, self._most))
        if self._wanted > self._most and not self._warned:
            self._warned = True
            _log.warn(
                "concurrency_modifier asks for {} jobs at a time, but this process gets {}: give "
                "the worker --handler-jobs {}".format(self._wanted, self._most, self._wanted)
            )
        if now != self._told and self._most > 1:
            self._told = now
            self._channel.send(concurrency=now)
