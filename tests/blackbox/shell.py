"""Lines of shell, as a user types them."""

import os
import subprocess

from workerproc import ROOT

SHELL_S = 170
VERSION = subprocess.run([ROOT / "vendor/version.sh"], capture_output=True, text=True, check=True).stdout.strip()


def run_shell(command, folder, timeout_s=SHELL_S, **variables):
    """Runs it in that folder, with nothing to read and both outputs as one text: what subprocess.run returns."""
    return subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        env={**os.environ, **variables},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
        check=False,
    )


def sh(command, folder, check=True, **variables):
    """Its output. It must succeed, or fail where check is False."""
    done = run_shell(command, folder, **variables)
    assert (done.returncode == 0) == check, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout
