"""Says clearly what of the SDK is not in this package."""

import sys

REASON = (
    "{} is not in slim-worker's stand-in for the runpod package, which has the worker side alone: "
    "install the runpod package and run the handler with it, or do without"
)
# Modules of the SDK that handlers might import, below runpod.
MODULES = frozenset(
    "runpod." + name
    for name in "agent api cli endpoint error http_client user_agent version serverless.worker"
    " serverless.modules.rp_fastapi serverless.modules.rp_gpu_fitness serverless.modules.rp_http"
    " serverless.modules.rp_job serverless.modules.rp_local serverless.modules.rp_ping"
    " serverless.modules.rp_scale serverless.modules.rp_system_fitness serverless.modules.rp_tips"
    " serverless.modules.worker_state serverless.utils.rp_model_cache serverless.utils.rp_ssrf"
    " serverless.utils.rp_volume_cache".split()
)


class _Finder:
    """Asked by the import system once nobody else has found a module."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(REASON.format(name), name=name)


def watch():
    """From now on the import of a module that only the SDK has says what is the matter."""
    sys.meta_path.append(_Finder)


def getter(module, missing, modules=""):
    """A module's __getattr__.

    `missing`: names that only the SDK has. They raise an ImportError, since `from x import y` hides
    the text of any AttributeError. `modules`: its own, imported when they are used.
    """
    missing, modules = frozenset(missing.split()), frozenset(modules.split())

    def get(name):
        if name in modules:
            import importlib

            return importlib.import_module(module + "." + name)
        if name in missing or module + "." + name in MODULES:
            raise ImportError(REASON.format(module + "." + name), name=module)
        raise AttributeError("module {!r} has no attribute {!r}".format(module, name))

    return get
