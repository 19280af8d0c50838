"""Whether there is a GPU, without torch."""

import subprocess


def is_available():
    """True if nvidia-smi runs and finds a driver."""
    try:
        said = subprocess.run(
            ["nvidia-smi"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return b"NVIDIA-SMI" in said
