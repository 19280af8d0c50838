"""The logger of handlers: lines for the worker's log, under the id of their job."""

import os

from .. import _channel

MAX_MESSAGE_LENGTH = 4096
LOG_LEVELS = ["NOTSET", "TRACE", "DEBUG", "INFO", "WARN", "ERROR"]


def _level(value):
    """The name of a level that is given by name, in any case, or by number."""
    if isinstance(value, str) and value.upper() in LOG_LEVELS:
        return value.upper()
    if isinstance(value, int) and 0 <= value < len(LOG_LEVELS):
        return LOG_LEVELS[value]
    raise ValueError("Invalid debug level: {}".format(value))


def _shortened(text):
    """Without its middle where it is too long; what the worker writes it shortens itself."""
    over = len(text) - MAX_MESSAGE_LENGTH
    if over <= 0:
        return text
    half = MAX_MESSAGE_LENGTH // 2
    return "{}\n...TRUNCATED {} CHARACTERS...\n{}".format(text[:half], over, text[-half:])


def _print(text, level, job_id):
    """Before start(); or without the worker: as the worker would write it."""
    text = _shortened(text)
    if _channel.is_early():
        import json

        print(json.dumps({"log": text, "level": level}), flush=True)
    elif os.environ.get("RUNPOD_ENDPOINT_ID"):
        import json

        print(json.dumps({"requestId": job_id, "message": text, "level": level}), flush=True)
    elif job_id:
        print("{:7}| {} | {}".format(level, job_id, text), flush=True)
    else:
        print("{:7}| {}".format(level, text), flush=True)


class RunPodLogger:
    """The one logger of the process: every call returns the same object."""

    _only = None
    level = _level(
        os.environ.get("RUNPOD_LOG_LEVEL", os.environ.get("RUNPOD_DEBUG_LEVEL", "DEBUG"))
    )

    def __new__(cls):
        if RunPodLogger._only is None:
            RunPodLogger._only = object.__new__(cls)
        return RunPodLogger._only

    def set_level(self, new_level):
        """Drops all below this level, a name or a number, from now on."""
        self.level = _level(new_level)
        self.info("Log level set to {}".format(self.level))

    def log(self, message, message_level="INFO", job_id=None):
        least = LOG_LEVELS.index(self.level)
        if least == 0 or (message_level != "TIP" and least > LOG_LEVELS.index(message_level)):
            return
        channel = _channel.current
        if channel is None:
            _print(str(message), message_level, job_id)
        else:
            channel.log(str(message), message_level, job_id)

    def secret(self, secret_name, secret):
        """Logs the name and the secret's first and last character, the others as stars."""
        text = str(secret)
        shown = text[0] + "*" * (len(text) - 2) + text[-1] if len(text) > 2 else "*" * len(text)
        self.info("{}: {}".format(secret_name, shown))

    def trace(self, message, request_id=None):
        self.log(message, "TRACE", request_id)

    def debug(self, message, request_id=None):
        self.log(message, "DEBUG", request_id)

    def info(self, message, request_id=None):
        self.log(message, "INFO", request_id)

    def warn(self, message, request_id=None):
        self.log(message, "WARN", request_id)

    def error(self, message, request_id=None):
        self.log(message, "ERROR", request_id)

    def tip(self, message):
        self.log(message, "TIP")
