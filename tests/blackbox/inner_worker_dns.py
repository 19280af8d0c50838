"""A network with a DNS server of its own, and a worker in it that takes its jobs from a host name.

    unshare -n -m python inner_worker_dns.py BINARY CASE [RESOLVER]

Prints {"ok", "log"} as JSON.
"""

import json
import signal
import subprocess
import sys

from dnsserver import A, DnsServer
from inner_dns import ONE, ask_worker, mount, set_up
from testplatform import Platform
from witness import Witness
from workerproc import Worker

HOST = "api.test"


def start(witness, platform, **env):
    return Worker(witness, sys.argv[1], (), platform.env(**env))


def takes_a_job(answer, hosts=("127.0.0.1",), **env):
    """The server answers so, and the platform is at these addresses."""
    DnsServer(answer)
    witness = Witness()
    platform = Platform(witness, hosts=hosts, name=HOST)
    worker = start(witness, platform, **env)
    job = platform.give(input=1)
    try:
        return platform.result(job) == {"output": 1}, worker
    finally:
        worker.end()


def stop():
    """Nobody answers; the worker has ten seconds for a connection and half a minute for a name."""
    mount(ONE + "options timeout:30 attempts:5\n", "/etc/resolv.conf")
    server = DnsServer(lambda query: None)
    witness = Witness()
    worker = start(witness, Platform(witness, name=HOST), RP_SHUTDOWN_GRACE_S="60")
    asked = server.wait_queries(1)
    worker.process.send_signal(signal.SIGTERM)
    try:
        status = worker.process.wait(20)
    except subprocess.TimeoutExpired:
        status = "still looking the name up"
    worker.end()
    return asked and status == 0, worker


def fitness():
    """The server does not hear the first three queries of each kind; the network check has five seconds."""
    checks = {"RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": None, "RUNPOD_MIN_MEMORY_GB": "0", "RUNPOD_MIN_DISK_PERCENT": "0"}
    return takes_a_job(lambda query: query.reply("127.0.0.1") if query.again >= 3 else None, **checks)


def many_addresses():
    """Only the last of thirty has a server."""
    addresses = [f"127.0.0.{number}" for number in range(101, 131)]
    return takes_a_job(lambda query: query.reply(*addresses), hosts=(addresses[-1],))


def silent_start():
    """AAAA is never answered."""
    return takes_a_job(lambda query: query.reply("127.0.0.1") if query.type == A else None)


def turns():
    """Addresses of both families, most of them of this machine."""
    routed = [f"fd00::{number}" for number in range(1, 6)] + [f"127.0.0.{number}" for number in range(1, 4)]
    for address in routed[:5]:
        subprocess.run(["ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad"], check=True)
    DnsServer(lambda query: query.reply(*routed, "10.8.0.1", "10.8.0.2"))

    class Asked:
        input = {"host": HOST}

    return ask_worker(sys.argv[3], Asked)


def main():
    set_up(ONE)
    result = CASES[sys.argv[2]]()
    if isinstance(result, tuple):
        ok, worker = result
        result = {"ok": ok, "log": worker.output.decode(errors="replace")}
    print(json.dumps(result))


CASES = {
    "stop": stop,
    "fitness": fitness,
    "many_addresses": many_addresses,
    "silent_start": silent_start,
    "turns": turns,
}

if __name__ == "__main__":
    main()
