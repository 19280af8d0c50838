"""Calls that go on beside the test."""

import threading

from witness import PATIENCE_S


class Later:
    """A call on a thread of its own; wait() gives what it returned."""

    def __init__(self, function, *args):
        self.value = self.error = None
        self.thread = threading.Thread(target=self._run, args=(function, *args), daemon=True)
        self.thread.start()

    def _run(self, function, *args):
        try:
            self.value = function(*args)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def wait(self):
        self.thread.join(2 * PATIENCE_S)
        if self.thread.is_alive():
            raise TimeoutError("no answer")
        if self.error:
            raise self.error
        return self.value
