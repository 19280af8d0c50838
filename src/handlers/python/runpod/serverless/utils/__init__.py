"""runpod.serverless.utils: each module is imported when it is first used."""

from ... import _missing

__all__ = ["download_files_from_urls", "upload_file_to_bucket", "upload_in_memory_object"]

_FUNCTIONS = {
    "download_files_from_urls": "rp_download",
    "upload_file_to_bucket": "rp_upload",
    "upload_in_memory_object": "rp_upload",
}
_module = _missing.getter(
    __name__,
    "VolumeCache",
    modules="rp_cleanup rp_cuda rp_debugger rp_download rp_upload rp_validator",
)


def __getattr__(name):
    if name in _FUNCTIONS:
        return getattr(_module(_FUNCTIONS[name]), name)
    return _module(name)
