"""What the tests of Python handlers share: src/handlers/python in the place of the SDK."""

import shlex
import sys

from workerproc import ROOT

PACKAGE = ROOT / "src/handlers/python"
# No byte code is left in the repository.
HANDLERS_ENV = {"PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"}


def python(script, *arguments):
    """The command line of a handler, by this Python without its site packages."""
    return shlex.join([sys.executable, "-S", str(script), *arguments])
