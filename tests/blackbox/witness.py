"""One place where everything that happens in a test is announced, so that tests wait for events and never sleep."""

import threading
import time

PATIENCE_S = 30.0  # how long a test waits for an event before it fails; far above what any of them takes
AFTERLIFE_S = 1.5  # how long after the last worker's end its last bytes may still be on their way


class Witness:
    """A condition variable shared by the platforms and the workers of one test."""

    def __init__(self):
        self.changed = threading.Condition()
        self.workers = []
        self.platforms = []

    def tell(self, change=None):
        """Make a change to the record (any thread) and wake whoever waits for it."""
        with self.changed:
            if change is not None:
                change()
            self.changed.notify_all()

    def wait_for(self, predicate, what, timeout_s=PATIENCE_S):
        """Return predicate()'s first true value; fail with the whole story if it never comes.

        When every worker of the test has ended there is nothing left to wait for: fail soon then.
        """
        deadline = time.monotonic() + timeout_s
        afterlife = None
        with self.changed:
            while True:
                value = predicate()
                if value:
                    return value
                now = time.monotonic()
                if self.workers and all(worker.ended for worker in self.workers):
                    afterlife = afterlife or now + AFTERLIFE_S
                left = min(deadline, afterlife or deadline) - now
                if left <= 0:
                    raise AssertionError(f"waited in vain for: {what}\n{self.story()}")
                self.changed.wait(min(left, 0.25) if self.workers else left)

    def story(self):
        """Everything a person needs to see why a test failed."""
        parts = [platform.story() for platform in self.platforms] + [worker.story() for worker in self.workers]
        return "\n".join(parts)
