"""How far a job is, for its client."""

from .. import _channel
from .rp_logger import RunPodLogger

_log = RunPodLogger()


def progress_update(job, progress):
    """Sends the update, before the job's result and in the order of the calls; from any thread."""
    _log.debug("Progress: {}".format(progress), job["id"])
    channel = _channel.current
    if channel is None:
        return
    try:
        channel.send(id=job["id"], progress=progress)
    except (TypeError, ValueError) as problem:
        _log.error("A progress update was not sent: {}".format(problem), job["id"])
