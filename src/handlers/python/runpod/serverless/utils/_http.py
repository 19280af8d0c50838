"""HTTP for downloads and uploads: one request, on one connection, with http.client."""

import http.client
import ssl
import time
import urllib.parse

TRIES = 3
FIRST_PAUSE_S = 0.5
AGENT = "slim-worker-python"


class TransferError(OSError):
    """A transfer that failed; `again`: another try may succeed."""

    def __init__(self, text, again=False):
        super().__init__(text)
        self.again = again


def connect(url, address=None, timeout_s=30):
    """A connection to the URL's host, or to this address of it, and the request's target."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port or 443, timeout=timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout_s)
    if address is not None:
        connection._create_connection = _to(address, connection._create_connection)
    target = parts.path or "/"
    return connection, target + ("?" + parts.query if parts.query else "")


def _to(address, create):
    """The same function, but it connects there, whatever the name resolves to by now. TLS still
    checks the name."""
    return lambda place, *more, **named: create((address, place[1]), *more, **named)


def tries(transfer):
    """Calls transfer() up to TRIES times, while what fails may succeed the next time."""
    for number in range(TRIES):
        try:
            return transfer()
        except (OSError, http.client.HTTPException) as problem:
            last = number == TRIES - 1
            if last or not getattr(problem, "again", True):
                raise
            time.sleep(FIRST_PAUSE_S * 2**number)
    return None
