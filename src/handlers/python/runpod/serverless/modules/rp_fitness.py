"""Checks of the handler's own that run once, before the first job is taken from the platform."""

from .rp_handler import is_coroutine
from .rp_logger import RunPodLogger

_log = RunPodLogger()
_checks = []


def register_fitness_check(func):
    """A decorator. The function raises an exception if the machine is not fit; it may be async."""
    _checks.append(func)
    return func


def clear_fitness_checks():
    """Forgets all checks."""
    _checks.clear()


def _run_one(check):
    if not is_coroutine(check):
        check()
        return
    import asyncio

    asyncio.run(check())


def run_checks():
    """Runs them in their order. Returns None, or (name, reason) of the first that fails."""
    for check in _checks:
        name = check.__name__
        try:
            _run_one(check)
        except Exception as problem:
            from traceback import format_exc

            _log.debug(format_exc())
            return name, "{}: {}".format(type(problem).__name__, problem)
        _log.debug("Fitness check passed: {}".format(name))
    return None
