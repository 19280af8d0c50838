"""Times of named parts of a handler; with --rp_debugger they become a member of the output."""

import datetime
import platform
import time


def _now_text():
    return datetime.datetime.now(datetime.timezone.utc).isoformat() + "Z"  # as the SDK writes it


class Checkpoints:
    """The one list of the process: every call returns the same object."""

    _only = None

    def __new__(cls):
        if Checkpoints._only is None:
            Checkpoints._only = object.__new__(cls)
            Checkpoints._only.clear()
        return Checkpoints._only

    def clear(self):
        self.checkpoints = []
        self.name_lookup = {}

    def _find(self, name):
        if name not in self.name_lookup:
            raise KeyError("Checkpoint name '{}' does not exist.".format(name))
        return self.checkpoints[self.name_lookup[name]]

    def add(self, name):
        """KeyError if the job has one of that name."""
        if name in self.name_lookup:
            raise KeyError('Checkpoint name "{}" already exists.'.format(name))
        self.name_lookup[name] = len(self.checkpoints)
        self.checkpoints.append({"name": name})

    def start(self, name):
        self._find(name).update(start=time.perf_counter(), start_utc=_now_text())

    def stop(self, name):
        checkpoint = self._find(name)
        if "start" not in checkpoint:
            raise KeyError("Checkpoint has not been started.")
        checkpoint.update(end=time.perf_counter(), stop_utc=_now_text())

    def get_checkpoints(self):
        """Those that were started and stopped, each with its duration_ms."""
        done = [each for each in self.checkpoints if "start" in each and "end" in each]
        for each in done:
            each["duration_ms"] = (each.pop("end") - each.pop("start")) * 1000
        return done


class LineTimer:
    """with LineTimer("name"): ..."""

    def __init__(self, name):
        self.name = name
        self.checkpoints = Checkpoints()
        self.checkpoints.add(name)

    def __enter__(self):
        self.checkpoints.start(self.name)

    def __exit__(self, *_):
        self.checkpoints.stop(self.name)


class FunctionTimer:
    """A decorator: the time of a call, under the function's name."""

    def __init__(self, function):
        self.function = function
        self.checkpoints = Checkpoints()

    def __call__(self, *args, **kwargs):
        name = self.function.__name__
        self.checkpoints.add(name)
        self.checkpoints.start(name)
        try:
            return self.function(*args, **kwargs)
        finally:
            if name in self.checkpoints.name_lookup:
                self.checkpoints.stop(name)


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    return lines[0].split(":", 1)[1].strip() if lines else "Unable to get processor info."


def get_debugger_output():
    """The machine and the checkpoints so far, which are forgotten."""
    from .... import __version__

    checkpoints = Checkpoints()
    times = checkpoints.get_checkpoints()
    checkpoints.clear()
    system = {
        "os": "{} {}".format(platform.system(), platform.release()),
        "processor": _processor(),
        "python_version": platform.python_version(),
        "runpod": __version__,
    }
    return {"system_info": system, "timestamps": times}


def clear_debugger_output():
    Checkpoints().clear()
