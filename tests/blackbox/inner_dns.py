"""A network with DNS servers of its own, to look names up in.

    unshare -n -m python inner_dns.py BINARY SCENARIO

Runs one of SCENARIOS below: the handler resolve (handlers/resolve.c) looks the name up, and so does glibc, each on
servers that have not been asked before. Prints {"worker", "glibc", "asked"} as JSON.
"""

import ctypes
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

from dnsserver import A, AAAA, CLOSE, FORMERR, NOTIMP, NXDOMAIN, REFUSED, SERVFAIL, DnsServer

HOST = "api.test"
ONE = "nameserver 127.0.0.1\n"
TWO = ONE + "nameserver 127.0.0.2\n"
PLENTY = [f"10.9.{number // 100}.{number % 100 + 1}" for number in range(200)]
RCODES = {"formerr": FORMERR, "servfail": SERVFAIL, "nxdomain": NXDOMAIN, "notimp": NOTIMP, "refused": REFUSED}


class Scenario:
    """servers: {address: answer function}; expected: the addresses, or None where there is nothing to be found.

    own: the host's own name, where that counts.
    glibc: "skip" where it gives up, or its releases differ; by names it does not know, or patience that was cut.
    """

    def __init__(self, servers, expected, conf=ONE, hosts="", host=HOST, own=None, glibc="same", tcp=True, **input):
        self.servers = servers if isinstance(servers, dict) else {"127.0.0.1": servers}
        self.expected, self.conf, self.hosts, self.host, self.tcp = expected, conf, hosts, host, tcp
        self.own, self.glibc = own, glibc
        self.input = {"host": host, **input}


def both(query):
    return query.reply("10.9.0.1", "fd00::9")


def only(*addresses):
    return lambda query: query.reply(*addresses)


def silent(_):
    return None


def fails(rcode):
    return lambda query: query.refuse(rcode)


def by_type(for_a, for_aaaa):
    return lambda query: (for_a if query.type == A else for_aaaa)(query)


def by_name(names, other=fails(NXDOMAIN)):
    return lambda query: names.get(query.name, other)(query)


def truncated(*addresses, first=()):
    """Over UDP the first ones with TC, over TCP all."""
    return lambda query: query.reply(*addresses) if query.transport == "tcp" else query.reply(*first, flags=0x8380)


def after_one_lost(query):
    return query.reply("10.9.0.1") if query.again else None


class Slow:
    """Answers well, but not before another server was asked the same and has answered."""

    def __init__(self, other_answer):
        self.other_answer, self.answered = other_answer, {A: threading.Event(), AAAA: threading.Event()}

    def good(self, query):
        self.answered[query.type].wait(0.5)
        return query.reply("10.9.0.1")

    def other(self, query):
        answer = self.other_answer(query)
        threading.Timer(0.05, self.answered[query.type].set).start()
        return answer


def behind(answer):
    """127.0.0.1 answers slowly and well, 127.0.0.2 quickly and otherwise."""
    slow = Slow(answer)
    return {"127.0.0.1": slow.good, "127.0.0.2": slow.other}


def spoofed(query):
    """Before the answer come some that are none: another id, another name, another question, a query, noise."""
    other = bytes([query.raw[0] ^ 1, query.raw[1]])
    named = query.question.replace(b"test", b"tesu")
    return [
        query.reply("6.6.6.1", number=other),
        query.reply("6.6.6.2", question=named),
        query.reply("6.6.6.3", question=b""),
        query.reply("6.6.6.4", flags=0x0100),
        query.reply(rcode=NXDOMAIN, number=other),
        b"\0" * 3,
        query.reply("10.9.0.1"),
    ]


def shouted(query):
    return query.reply("10.9.0.1", question=query.question.replace(b"api", b"API"))


def to_another(query):
    """An answer to a query with another id."""
    return query.reply("6.6.6.1", number=bytes([query.raw[0] ^ 1, query.raw[1]]))


def fails_once(query):
    return both(query) if query.again else query.refuse(SERVFAIL)


def flood(query):
    """Answers to somebody else's queries without an end."""
    return itertools.repeat(query.reply("6.6.6.6", question=query.question.replace(b"test", b"tesu")))


def bare_formerr(query):
    return query.reply(rcode=FORMERR, question=b"")


def search(options="", *suffixes):
    return ONE + f"search {' '.join(suffixes)}\n{options}\n"


A_ONLY = ["10.9.0.1"]
BOTH = ["10.9.0.1", "fd00::9"]
LOOPBACK = ["127.0.0.1", "::1"]

SCENARIOS = {
    "both": Scenario(both, BOTH),
    "nothing": Scenario(fails(NXDOMAIN), None),
    "no_address": Scenario(only(), None),
    "one_lost": Scenario(after_one_lost, A_ONLY),
    "aaaa_silent": Scenario(by_type(only("10.9.0.1"), silent), A_ONLY),
    "a_silent": Scenario(by_type(silent, only("fd00::9")), ["fd00::9"], glibc="skip"),
    "a_nxdomain": Scenario(by_type(fails(NXDOMAIN), only("fd00::9")), ["fd00::9"]),
    "truncated": Scenario(truncated("10.9.0.1"), A_ONLY),
    "truncated_many": Scenario(truncated(*PLENTY, first=PLENTY[:9]), PLENTY),
    "truncated_without_tcp": Scenario(truncated("10.9.0.1", first=["10.9.0.1"]), A_ONLY, tcp=False, glibc="skip"),
    "many_at_once": Scenario(only(*PLENTY), PLENTY),
    "tcp_only": Scenario(lambda query: query.reply("10.9.0.1") if query.transport == "tcp" else None, A_ONLY,
                         conf=ONE + "options use-vc\n"),
    "tcp_closed": Scenario(lambda query: CLOSE, None, conf=ONE + "options use-vc\n", glibc="skip"),
    "tcp_foreign": Scenario(to_another, None, conf=ONE + "options use-vc\n", glibc="skip"),
    "nobody_there": Scenario({}, None),
    "odd_code": Scenario(fails(9), None),
    "chain": Scenario(lambda query: query.reply("10.9.0.1", chain=["www.test", "cdn.example"]), A_ONLY),
    "chain_to_nothing": Scenario(lambda query: query.reply(chain=["www.test"]), None),
    "spoofed": Scenario(spoofed, A_ONLY, glibc="skip"),
    "shouted": Scenario(shouted, A_ONLY),
    "long_label": Scenario(both, None, host=f"{'a' * 64}.test"),
    "long_name": Scenario(both, None, host=f"{'a.' * 125}test"),
    "longest": Scenario(both, BOTH, host=f"{'a' * 63}.{'b.' * 92}test"),
    "empty_label": Scenario(both, None, host="api..test"),
    "underscores": Scenario(only("10.9.0.1"), A_ONLY, host="my_service_1.test", glibc="skip"),
    # Several servers.
    "second_no_name": Scenario(behind(fails(NXDOMAIN)), A_ONLY, conf=TWO),
    "second_no_data": Scenario(behind(only()), A_ONLY, conf=TWO),
    "second_servfail": Scenario(behind(fails(SERVFAIL)), A_ONLY, conf=TWO),
    "first_silent": Scenario({"127.0.0.1": silent, "127.0.0.2": both}, BOTH, conf=TWO),
    "first_not_there": Scenario({"127.0.0.2": both}, BOTH, conf=TWO),
    "second_of_three": Scenario({"127.0.0.2": both}, BOTH, conf=TWO + "nameserver 127.0.0.3\n"),
    "first_noise": Scenario({"127.0.0.1": lambda query: b"\xff" * 40, "127.0.0.2": both}, BOTH, conf=TWO),
    "first_bare_formerr": Scenario({"127.0.0.1": bare_formerr, "127.0.0.2": both}, BOTH, conf=TWO, glibc="skip"),
    "first_lame": Scenario({"127.0.0.1": lambda query: query.reply(flags=0x8100), "127.0.0.2": both}, BOTH, conf=TWO),
    "two_silent_of_three": Scenario({"127.0.0.1": silent, "127.0.0.2": silent, "127.0.0.3": both}, BOTH,
                                    conf=TWO + "nameserver 127.0.0.3\n"),
    "first_silent_no_name": Scenario({"127.0.0.1": silent, "127.0.0.2": fails(NXDOMAIN)}, None,
                                     conf=TWO + "options timeout:1 attempts:1\n"),
    "all_fail": Scenario({"127.0.0.1": fails(SERVFAIL), "127.0.0.2": fails(REFUSED)}, None, conf=TWO),
    "rotate": Scenario({"127.0.0.1": both, "127.0.0.2": both}, BOTH, conf=TWO + "options rotate\n"),
    "over_ipv6": Scenario({"fd00::53": both}, BOTH, conf="nameserver fd00::53\n"),
    "with_a_zone": Scenario({"::1": both}, BOTH, conf="nameserver ::1%lo\n", glibc="skip"),
    "no_server_named": Scenario(both, BOTH, conf="# nothing here\n"),
    "useless_lines": Scenario(both, BOTH, conf="nameserver nonsense\nnameserver 127.0.0.1\noptions edns0 trust-ad x\n"),
    # Search lists.
    "suffix": Scenario(by_name({"api.a.test": both}), BOTH, conf=search("", "a.test"), host="api"),
    "suffix_servfail": Scenario(by_name({"api.a.test": fails(SERVFAIL), "api.b.test": both}), BOTH,
                                conf=search("", "a.test", "b.test"), host="api"),
    "suffix_silent": Scenario(by_name({"api.test.a.test": silent, "api.test": both}), BOTH,
                              conf=search("options ndots:2", "a.test")),
    "suffix_no_data": Scenario(by_name({"api.a.test": only(), "api.b.test": both}), BOTH,
                               conf=search("", "a.test", "b.test"), host="api"),
    "suffix_exists": Scenario(by_name({"api.test.a.test": only()}), None, conf=search("options ndots:2", "a.test")),
    "suffix_settled": Scenario(by_name({"api": fails_once}), BOTH, conf=search("", "a.test"), host="api", glibc="skip"),
    "own_domain": Scenario(by_name({"api.a.test": both}), BOTH, host="api", own="box.a.test"),
    "no_own_domain": Scenario(by_name({"api.a.test": only("6.6.6.6"), "api.b.test": both}), BOTH,
                              conf=search("", "b.test"), host="api", own="box.a.test"),
    "itself_first": Scenario(by_name({"api.test.a.test": only("6.6.6.6"), "api.test": both}), BOTH,
                             conf=search("", "a.test")),
    "ndots": Scenario(by_name({"api.test.a.test": both, "api.test": only("6.6.6.6")}), BOTH,
                      conf=search("options ndots:2", "a.test")),
    "end_dot": Scenario(by_name({"api.test": both}, only("6.6.6.6")), BOTH,
                        conf=search("options ndots:5", "a.test"), host="api.test."),
    "suffix_behind_silent_server": Scenario({"127.0.0.1": silent, "127.0.0.2": by_name({"api.b.test": both})}, BOTH,
                                            conf=TWO + "search a.test b.test\n", host="api"),
    "suffixes_aaaa_silent": Scenario(by_type(by_name({"api.test": only("10.9.0.1")}), silent), A_ONLY,
                                     conf=search("options ndots:5", "a.test", "b.test", "c.test"), glibc="skip"),
    # Without a server.
    "hosts": Scenario(silent, ["10.9.9.9", "fd00::9"], hosts="10.9.9.9 x API.test # y\nfd00::9 api.test\n"),
    "hosts_odd": Scenario(silent, ["10.9.9.9"], hosts="x api.test\n10.9.9.8%1 api.test\n10.9.9.9 api.test\n", glibc="skip"),
    "localhost": Scenario(silent, LOOPBACK, host="localhost", glibc="skip"),
    "below_localhost": Scenario(silent, LOOPBACK, host="api.LOCALHOST.", glibc="skip"),
    "number": Scenario(silent, ["127.0.0.1"], host="127.1"),
    "zone": Scenario(silent, ["fe80::1"], host="fe80::1%lo", glibc="skip"),
    # Time.
    "deadline": Scenario(silent, None, conf=ONE + "options timeout:30 attempts:5\n", glibc="skip", timeout_ms=300),
}
SCENARIOS["flooded"] = Scenario(flood, None, glibc="skip", timeout_ms=300)
for word, number in RCODES.items():
    SCENARIOS[f"aaaa_{word}"] = Scenario(by_type(only("10.9.0.1"), fails(number)), A_ONLY)
    if word != "nxdomain":
        SCENARIOS[f"a_{word}"] = Scenario(by_type(fails(number), only("fd00::9")), ["fd00::9"])
        servers = {"127.0.0.1": fails(number), "127.0.0.2": both}
        SCENARIOS[f"first_{word}"] = Scenario(servers, BOTH, conf=TWO, glibc="skip" if word == "formerr" else "same")

GLIBC = "import json, socket, sys; print(json.dumps(sorted({a[4][0] for a in socket.getaddrinfo(sys.argv[1], 80)})))"


def mount(text, path):
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    subprocess.run(["mount", "--bind", file.name, path], check=True)


def ask_glibc(host):
    """Its patience is cut, or the silent servers would take minutes."""
    done = subprocess.run(
        [sys.executable, "-c", GLIBC, host],
        env={"RES_OPTIONS": "timeout:1", "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def ask_worker(binary, scenario):
    done = subprocess.run(
        [binary, "--test_input", json.dumps({"input": scenario.input})],
        env={},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = re.search(r"Job result: (\{.*\})", done.stdout)
    assert found, done.stdout
    return json.loads(found[1])["output"]


def rename_host(name):
    """In a UTS namespace of this process's own."""
    if ctypes.CDLL(None).unshare(0x04000000) != 0:
        raise OSError("no UTS namespace")
    socket.sethostname(name)


def set_up(conf, hosts=""):
    network = "ip link set lo up; ip addr add fd00::53/128 dev lo nodad; ip route add 10.9.0.0/16 dev lo"
    subprocess.run(network, shell=True, check=True)
    mount(conf, "/etc/resolv.conf")
    mount(hosts, "/etc/hosts")
    if os.path.exists("/etc/nsswitch.conf"):
        mount("hosts: files dns\n", "/etc/nsswitch.conf")


def main():
    scenario = SCENARIOS[sys.argv[2]]
    set_up(scenario.conf, scenario.hosts)
    if scenario.own:
        rename_host(scenario.own)
    servers = [DnsServer(answer, host, scenario.tcp) for host, answer in scenario.servers.items()]
    worker = ask_worker(sys.argv[1], scenario)
    # By its bytes, which are the same where a query was sent once more since its answer took too long.
    queries = {(query.raw, query.transport, server.host): query for server in servers for query in server.queries}
    asked = [[query.name, query.type, transport, host] for (_, transport, host), query in queries.items()]
    glibc = "skip"
    if scenario.glibc != "skip":
        for server in servers:
            server.queries.clear()
        glibc = ask_glibc(scenario.host)
    print(json.dumps({"worker": worker, "glibc": glibc, "asked": asked}))


if __name__ == "__main__":
    main()
