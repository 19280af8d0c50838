"""A handler that does as the input tells: {"do": [[NAME, ARGUMENT...], ...]}, one act after the other."""
import json
import os
import signal
import subprocess
import sys
import time

OUT = sys.stdout.buffer


def say(message):
    raw(json.dumps(message) + "\n")


def raw(text, times=1):
    OUT.write(text.encode("utf-8", "surrogateescape") * times)
    OUT.flush()


def output(value):
    say({"output": value})


def descriptors():
    """Those this process was started with: one that it opened to look is gone by now."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
    return found


def about(what):
    """One fact about this process, as the output."""
    facts = {
        "pid": os.getpid,
        "env": lambda: dict(os.environ),
        "args": lambda: sys.argv,
        "fds": descriptors,
        "pgid": os.getpgrp,
        "status": lambda: open("/proc/self/status").read(),
    }
    output(facts[what]())


def start(how, name):
    """Start a helper that outlives us, and tell its number in a file."""
    session = how == "session"
    helper = subprocess.Popen(["/bin/sleep", "600"], start_new_session=session)
    with open(name, "w") as file:
        file.write(str(helper.pid))


def lost_child():
    """An orphan that ends a little later: somebody must reap it."""
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.2)
        os._exit(0)
    os.wait()


def on_term(act):
    def handler(number, frame):
        if act == "answer":  # past the buffer, which the signal may have interrupted
            os.write(1, b'\n{"output": "stopped in time"}\n')
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, signal.SIG_IGN if act == "ignore" else handler)


def touch(name):
    open(name, "w").close()


ACTS = {
    "about": about,
    "close": lambda fd: os.close(fd),
    "error": lambda text: print(text, file=sys.stderr, flush=True),
    "exit": lambda status: os._exit(status),
    "lost_child": lost_child,
    "on_term": on_term,
    "output": output,
    "raw": raw,
    "say": say,
    "signal": lambda number: os.kill(os.getpid(), number),
    "sleep": time.sleep,
    "start": start,
    "touch": touch,
}


def play(acts):
    try:
        for name, *arguments in acts:
            ACTS[name](*arguments)
    except KeyboardInterrupt:
        pass


def main():
    play(json.loads(os.environ.get("AT_START", "[]")))
    # Not `for line in sys.stdin`: nothing is read ahead.
    while line := sys.stdin.buffer.readline():
        if b"\n" in line[:-1]:
            output("a job of several lines")
        play(json.loads(line)["input"]["do"])


main()
