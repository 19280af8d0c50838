"""runpod.serverless: start(), which serves a handler to the worker that started this program."""

from .. import _missing
from .modules.rp_fitness import register_fitness_check
from .modules.rp_logger import RunPodLogger
from .modules.rp_progress import progress_update

__all__ = ["progress_update", "register_fitness_check", "runpod_version", "start"]

log = RunPodLogger()

__getattr__ = _missing.getter(__name__, "VolumeCache", modules="modules utils")


def start(config):
    """Serves the jobs that the worker sends until there are no more; then it returns.

    config: "handler", and if wanted "return_aggregate_stream", "concurrency_modifier" and
    "refresh_worker". Without the worker it runs one local test, as the SDK does: --test_input, or
    test_input.json.
    """
    from . import _start

    _start.start(config)


from .. import __version__ as runpod_version  # noqa: E402
