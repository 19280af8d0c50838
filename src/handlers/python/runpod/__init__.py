"""Stands in for the worker side of RunPod's Python SDK in a program that slim-worker starts.

Only what handlers use is here (the README beside this package has the table), and nothing of the
SDK's clients: a name that is missing raises an error that says so.
"""

from . import _missing

# The release whose worker side this package follows, marked as something else (PEP 440).
__version__ = "1.12.0+slim.worker"

from . import serverless  # noqa: E402
from .serverless.modules.rp_logger import RunPodLogger  # noqa: E402

__all__ = ["RunPodLogger", "__version__", "serverless"]

# Handlers set these, and nothing here reads them.
api_key = None
profile = "default"

_missing.watch()
__getattr__ = _missing.getter(
    __name__,
    "AsyncioEndpoint AsyncioJob Endpoint SSH_KEY_PATH check_credentials"
    " create_container_registry_auth create_endpoint create_pod create_template"
    " delete_container_registry_auth endpoint_url_base get_credentials get_endpoints get_gpu"
    " get_gpus get_pod get_pods get_user resume_pod set_credentials stop_pod terminate_pod"
    " update_container_registry_auth update_endpoint_template update_user_settings",
)
