"""Every worker of the tests confined, where WORKER_CONFINE=1 or =log asks for it: --confine by its variable."""

import functools
import os
import subprocess
from pathlib import Path

MODE = {"": "", "log": "log"}.get(os.environ.get("WORKER_CONFINE", ""), "on")
PATIENCE_S = 30
OWN_HANDLERS = "test-handlers"


@functools.lru_cache(maxsize=None)
def _has_it(path):
    """Whether that binary is linked with the part; without it, the variable is an error."""
    done = subprocess.run(
        [path, "--confine=off", "--version"], env={}, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE_S
    )
    return done.returncode == 0


def environment(binary, folder):
    """What a worker of the tests has in its environment. A handler of the tests' own opens files in the test's folder."""
    if not MODE or not _has_it(str(binary)):
        return {}
    own = {"RP_CONFINE_WRITE": str(folder)} if OWN_HANDLERS in Path(binary).parts and str(folder) != "/" else {}
    return {"RP_CONFINE": MODE, **own}
