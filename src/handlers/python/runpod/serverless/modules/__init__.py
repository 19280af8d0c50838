"""runpod.serverless.modules, as far as handlers use it."""

from ... import _missing

__getattr__ = _missing.getter(__name__, "", modules="rp_fitness rp_handler rp_logger rp_progress")
