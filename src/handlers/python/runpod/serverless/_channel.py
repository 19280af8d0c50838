"""The way to the worker and back: jobs come on what was standard input, messages go to what was
standard output.

Both are moved to descriptors of this process alone. What the handler prints, and whatever the
programs and libraries that it uses print, goes to standard error, which is the log; nobody else
reads a job.
"""

import _thread
import os
import sys

BY_WORKER = "RP_PROCESS"  # the worker marks its programs, and what they start, by this variable
TAKEN = "RP_PYTHON_STARTED"  # set for what is started once start() has taken the channel

current = None  # the Channel, once start() has opened it


class Channel:
    """Messages, one JSON object a line. Any thread may send."""

    def __init__(self):
        self.jobs = os.dup(0)
        self._answers = os.dup(1)
        self._lock = _thread.allocate_lock()
        self._writer = None  # the thread in write()
        self._deferred = None
        self._encode = None
        self.at_work = set()  # the ids of the jobs that the worker waits for
        self.job_id = _nobody  # tells whose context this is, with --handler-jobs

    def encode(self, value):
        """Its JSON text. TypeError or ValueError if it has none, as for NaN."""
        if self._encode is None:  # json takes longer to import than all of this package
            from json import JSONEncoder

            self._encode = JSONEncoder(ensure_ascii=False, allow_nan=False).encode
        return self._encode(value)

    def write(self, line):
        """Writes a whole line. `line` is text and ends with a line feed."""
        try:
            data = line.encode()
        except UnicodeEncodeError:  # half a surrogate pair: the worker is to judge the escape
            data = _escaped(line).encode()
        with self._lock:
            self._writer = _thread.get_ident()
            try:
                while data:
                    data = data[os.write(self._answers, data):]
            finally:
                self._writer = None
        if self._deferred is not None and _is_main():
            later, self._deferred = self._deferred, None
            later()

    def defer(self, function):
        """In a signal handler. True if this thread is in the middle of a line: the function then
        runs behind it."""
        if self._writer != _thread.get_ident():
            return False
        self._deferred = function
        return True

    def send(self, **members):
        self.write(self.encode(members) + "\n")

    def has_job(self):
        """True if the worker has sent something that was not read yet."""
        import select

        return bool(select.select([self.jobs], [], [], 0)[0])

    def log(self, text, level, job_id):
        members = {"log": text, "level": "INFO" if level == "TIP" else level}
        job_id = self.job_id() if job_id is None else job_id
        if job_id in self.at_work:
            members["id"] = job_id
        elif job_id is not None:
            members["log"] = "{} | {}".format(job_id, text)
        self.write(self.encode(members) + "\n")


def _nobody():
    return None


def _escaped(text):
    return "".join("\\u{:04x}".format(ord(c)) if 0xD800 <= ord(c) < 0xE000 else c for c in text)


def _is_main():
    threading = sys.modules.get("threading")
    return threading is None or threading.current_thread() is threading.main_thread()


def _forget():
    """A fork of the handler's logs to standard error, like any program it starts."""
    global current
    current = None


def is_early():
    """True before start(), while standard output still leads to the worker."""
    return current is None and BY_WORKER in os.environ and TAKEN not in os.environ


def open_channel():
    """Takes standard input and output away from everybody else, and returns the channel."""
    global current
    sys.stdout.flush()
    current = Channel()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    os.environ[TAKEN] = "1"
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)
    os.register_at_fork(after_in_child=_forget)
    return current
