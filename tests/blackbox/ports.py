"""Ports for servers, which nobody else takes while they are closed.

The kernel gives a port out of its own range to every client and to every server that asks for any: one of those that
is found free, or was closed to be opened again, may be somebody's a moment later. So these are from below that range,
and a name in the space of abstract sockets, which the kernel keeps for each network, holds one against the other
processes of a test run. Standard library only, see container_platform.py.
"""

import collections
import errno
import functools
import os
import socket
from pathlib import Path

LOWEST, FEWEST = 10000, 1000
HELD = 128  # so many are held at a time by one process, the newest ones; more than a test has

_next = os.getpid() * 97
_held = collections.deque()


@functools.lru_cache(maxsize=None)
def _range():
    kernels = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    return range(LOWEST, max(kernels, LOWEST + FEWEST))


def _hold(port):
    """The name's socket, None where another process has it."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0slim-worker-test-port-{port}")
        return name
    except OSError:
        name.close()
        return None


def _is_free(host, port):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise  # this machine has no such address
            return False
    return True


def free_port(host="127.0.0.1"):
    """A port of that address on which nobody listens, and nobody else of the tests will."""
    global _next
    ports = _range()
    for _ in ports:
        port = ports[_next % len(ports)]
        _next += 1
        if (name := _hold(port)) is None:
            continue
        _held.append(name)
        if len(_held) > HELD:
            _held.popleft().close()
        if _is_free(host, port):
            return port
    raise OSError(errno.EADDRINUSE, f"no port of {ports} is free on {host}")
