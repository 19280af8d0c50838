"""What TLS costs a start beside plain HTTP: the processor's time of a handshake, and of a file of many certificates to trust.

Each figure is a difference of two starts of ours, made in turn, so that whatever else the machine does falls on both. A busy
machine lengthens this time, too: its caches are cold.
"""

import time

import certs
from jobs import PATIENCE_S
from procs import BenchError, Platform, wait_for
from table import Row

PAIRS = 20  # in one round
CPU_LIMITS_MS = {"TLS P-256": 3, "TLS RSA-2048": 2}
CERTIFICATES = 144
CERTIFICATES_MORE_MS = 5
SETTLE_S = 0.02  # from "all connections open" until the worker sleeps


def _cpu_ms(bench, platform, roots):
    """The processor's time of a worker until its three connections are open and their requests sent."""
    platform.reset()
    with bench.worker("ours", "echo", platform.port, roots) as worker:
        wait_for(platform, worker, "all_open", PATIENCE_S)
        full = platform.report()["full_handshakes_at_take"]
        time.sleep(SETTLE_S)
        spent = worker.cpu_s() * 1000
        worker.check()
    if roots is not None and full != 1:
        raise BenchError(f"{full} full handshakes came before the job-take")
    return spent


def _differences(bench, row, more, less):
    """Fills the row with more() - less(); the first pair is not counted."""
    try:
        for n in range(PAIRS * bench.rounds + 1):
            found = more() - less()
            if n > 0:
                row.add("ours", found)
        row.note += f"; the least {min(row.samples['ours']):.2f} ms"
    except BenchError as e:
        row.errors["ours"] = str(e)
    return row


def cpu(bench, transport):
    """A start over TLS less one over HTTP: a full handshake, two resumed ones, and three requests in records."""
    row = Row(f"{transport}: CPU of the handshakes of a start", "ms", CPU_LIMITS_MS[transport])
    row.note = f"a full one, asked alone for {CPU_LIMITS_MS[transport]} ms, and two resumed ones; a chain of three; less a start over HTTP"
    roots, options = bench.tls(transport)
    bench.progress(f"handshakes, {transport}")
    with Platform(bench.platform) as plain, Platform(bench.platform, *options) as tls:
        return _differences(bench, row, lambda: _cpu_ms(bench, tls, roots), lambda: _cpu_ms(bench, plain, None))


def certificates(bench):
    """A start with a file of many roots, the one that is needed the last, less one with that alone."""
    row = Row(f"{CERTIFICATES} certificates in SSL_CERT_FILE: CPU of a start more than with one", "ms", CERTIFICATES_MORE_MS)
    root, options = bench.tls("TLS P-256")
    many = certs.many_roots(root, CERTIFICATES, bench.file("many-roots.pem"))
    bench.progress(f"{CERTIFICATES} certificates")
    row.note = "RSA-4096 and P-384, each of another name"
    with Platform(bench.platform, *options) as platform:
        return _differences(bench, row, lambda: _cpu_ms(bench, platform, many), lambda: _cpu_ms(bench, platform, root))


def all_figures(bench):
    if "ours" not in bench.sides:
        return []
    return [*(cpu(bench, transport) for transport in CPU_LIMITS_MS), certificates(bench)]
