"""The figures: this worker side by side with the Python SDK, on the same platform.

Run by ./build.sh bench, with a Python that has the SDK (requirements.txt). Prints a table with the
ratios first and writes build/bench.json with every sample. A missed target is marked, never fatal:
the exit status is 0 whenever the figures could be taken, 2 when nothing could.
"""

import argparse
import base64
import contextlib
import datetime
import functools
import importlib.metadata
import json
import os
import platform as machine
import random
import shlex
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import certs  # noqa: E402
import figures  # noqa: E402
import table  # noqa: E402
from procs import BenchError, Worker  # noqa: E402

WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wformat=2", "-Werror")
PROGRAMS = {
    "platform": (("platform.c", "mock_platform.c", "conn.c", "self_bench.c"), ("-lssl", "-lcrypto")),
    "launch": (("launch.c",), ("-Wl,-z,now",)),
    "eventserver": (("eventserver.c",), ("-pthread",)),
    "child": (("child.c",), ()),
    "gpu_launch": (("gpu_launch.c",), ("-ldl",)),
}
# What a measurement wants besides an ordinary build, and how ./build.sh makes it.
MORE_BUILDS = {
    "big": ("handlers/big", "handler", "tests/bench/big.c"),
    "stream": ("handlers/stream", "handler", "tests/bench/stream.c"),
    "stop": ("handlers/stop", "handler", "tests/bench/stop.c"),
    "size": ("image.tar", "image"),
    "gpu": ("test-handlers/gpu", "handler", "tests/blackbox/handlers/gpu.c", "-o", "build/test-handlers/gpu"),
}


class Bench:
    """Where things are, how often to measure, and how to start a worker of either side."""

    def __init__(self, options):
        self.options = options
        self.folder = os.path.join(options.build, "bench")
        self.rounds = 1 if options.quick else 5
        self.sides = ["ours", "sdk"] if options.side == "both" else [options.side]
        self.transports = {"HTTP": (None, ())}
        self.failed_builds = {}
        self.home = os.path.join(self.folder, "home")
        os.makedirs(self.home, exist_ok=True)

    @functools.cached_property
    def platform(self):
        return self.compile("platform")

    @functools.cached_property
    def launcher(self):
        return self.compile("launch")

    @functools.cached_property
    def child(self):
        return self.compile("child")

    def build(self, name):
        """The path of something built."""
        path = os.path.join(self.options.build, name)
        if path in self.failed_builds:
            raise BenchError(self.failed_builds[path])
        return path

    def progress(self, text):
        if sys.stderr.isatty():
            print(f"[{time.monotonic() - self.options.began:5.0f} s] {text}", file=sys.stderr)

    def compile(self, name):
        sources, libraries = PROGRAMS[name]
        out = os.path.join(self.folder, name)
        paths = [os.path.join(HERE, source) for source in sources]
        compiler = os.environ.get("CC", "gcc")
        command = [compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O2", *WARNINGS, "-o", out, *paths]
        done = subprocess.run([*command, *libraries], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"cannot compile {name} (it wants libssl-dev):\n{done.stderr}")
        return out

    def tls(self, transport):
        """The roots' file for a worker (None over HTTP) and the platform's options."""
        if transport not in self.transports:
            kind = transport.removeprefix("TLS ")
            roots, chain, key = certs.make(kind, self.folder)
            self.transports[transport] = (roots, ("--tls", chain, key))
        return self.transports[transport]

    def file(self, name):
        """A path for a file of the measurements' own."""
        return os.path.join(self.folder, name)

    def big_input(self):
        """A file with the input of the large job: a string of base64, as images are sent."""
        path = os.path.join(self.folder, "big.json")
        raw = random.Random(2).randbytes(figures.BIG_INPUT * 3 // 4)
        text = base64.b64encode(raw).decode()[: figures.BIG_INPUT]
        with open(path, "w", encoding="ascii") as f:
            f.write('{"data":"' + text.ljust(figures.BIG_INPUT, "A") + '"}')
        return path

    def python_command(self, side, concurrency):
        """A handler on runpod, whichever that is; ours is found by PYTHONPATH."""
        words = [sys.executable, os.path.join(HERE, "python_handler.py"), str(concurrency)]
        if side == "sdk":
            return words
        program = ["--handler", shlex.join(words), "--handler-ready", "line"]
        return [self.build("worker"), *program, "--handler-jobs", str(concurrency)]

    def command(self, side, handler, concurrency):
        if handler == "python":
            return self.python_command(side, concurrency)
        if side == "sdk":
            script = os.path.join(HERE, "sdk_handler.py")
            return [sys.executable, script, handler, str(concurrency)]
        if handler == "child":
            path = self.build("worker")
            more = ["--handler", self.child]
        else:
            path, more = self.build(f"handlers/{handler}"), []
        if not os.access(path, os.X_OK):
            raise BenchError(f"{path} is not built")
        if concurrency > 1:
            more += ["--concurrency", str(concurrency)]
        return [path, *more]

    def environment(self, port, roots):
        """What the platform gives a worker. The fitness checks are skipped on both sides: they
        would ask a name server on the Internet, and cost only the SDK's start anything."""
        base = f"{'http' if roots is None else 'https'}://127.0.0.1:{port}/v2/bench"
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": self.home,
            "LANG": "C.UTF-8",
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID",
            "RUNPOD_PING_INTERVAL": "10000",
            "RUNPOD_AI_API_KEY": "bench-key",
            "RUNPOD_POD_ID": "bench-pod",
            "RUNPOD_POD_HOSTNAME": "bench-host",
            "RUNPOD_ENDPOINT_ID": "bench",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }
        if roots is not None:
            env.update(SSL_CERT_FILE=roots, REQUESTS_CA_BUNDLE=roots)
        return env

    def worker(self, side, handler, port, roots=None, netns=False, concurrency=1, variables=None):
        env = {**self.environment(port, roots), **(variables or {})}
        if handler == "python" and side == "ours":
            env["PYTHONPATH"] = os.path.join(ROOT, "src/handlers/python")
            env["PYTHONPYCACHEPREFIX"] = os.path.join(self.folder, "pycache")
        log = os.path.join(self.folder, f"{side}.log")
        return Worker(self.launcher, self.command(side, handler, concurrency), env, log, netns)


def build_more(bench, product, *arguments):
    """Has ./build.sh make what no ordinary build makes, unless it is there and newer than that
    build. A failure is kept for those who ask for the product."""
    out = bench.build(product)
    with contextlib.suppress(OSError):
        if os.path.getmtime(out) >= os.path.getmtime(bench.build("handlers/echo")):
            return
    bench.progress(f"building {product}")
    command = [os.path.join(ROOT, "build.sh"), *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-400:]
        bench.failed_builds[out] = f"'./build.sh {' '.join(arguments)}' failed: {said}"


def facts(options):
    model = "unknown"
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as f:
        model = next((line.split(":")[1].strip() for line in f if "model name" in line), model)
    runpod = "none"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        runpod = importlib.metadata.version("runpod")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": machine.release(),
        "python": machine.python_version(),
        "runpod": runpod,
        "load_before": os.getloadavg()[0],
        "quick": options.quick,
    }


def parse(argv):
    parser = argparse.ArgumentParser(prog="./build.sh bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round instead of five")
    parser.add_argument(
        "--only",
        action="append",
        choices=list(figures.MEASUREMENTS),
        help="this measurement alone (may be repeated); start includes idle memory",
    )
    parser.add_argument(
        "--torch",
        action="store_true",
        help="the sentiment figures, beside torch and transformers too (2 GB to fetch)",
    )
    parser.add_argument("--side", choices=("both", "ours", "sdk"), default="both")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="the build folder")
    parser.add_argument("--out", help="the JSON file (default: bench.json in the build folder)")
    options = parser.parse_args(argv)
    if options.torch and "sentiment" not in (options.only or []):
        options.only = [*(options.only or []), "sentiment"]
    options.build = os.path.abspath(options.build)
    options.out = options.out or os.path.join(options.build, "bench.json")
    options.began = time.monotonic()
    return options


def measure(bench, names):
    rows = []
    for name in names:
        if name in MORE_BUILDS and "ours" in bench.sides:
            build_more(bench, *MORE_BUILDS[name])
        rows += figures.MEASUREMENTS[name](bench)
    return rows


def write_json(options, machine_facts, rows):
    content = {"machine": machine_facts, "figures": [row.as_json() for row in rows]}
    with open(options.out, "w", encoding="utf-8") as f:
        json.dump(content, f, indent=1, ensure_ascii=False)
        f.write("\n")


def main(argv):
    options = parse(argv)
    try:
        found = facts(options)
        bench = Bench(options)
        rows = measure(bench, options.only or list(figures.MEASUREMENTS))
    except (BenchError, OSError) as e:
        print(f"bench: {e}", file=sys.stderr)
        return 2
    found["seconds"] = round(time.monotonic() - options.began, 1)
    write_json(options, found, rows)
    colour = sys.stdout.isatty()
    print(f"{found['cpu']}, {found['cores']} cores, Linux {found['kernel']}; SDK: runpod "
          f"{found['runpod']} on Python {found['python']}; medians of {bench.rounds} rounds")
    if found["load_before"] > 0.5:
        print(f"The machine was busy when this began (load {found['load_before']:.1f}): "
              "these numbers are noisy.")
    print(table.render(rows, (lambda t: f"\033[1;31m{t}\033[0m") if colour else (lambda t: t)))
    missed = [row.name for row in rows if row.verdict() == "MISS"]
    open_rows = [row for row in rows if row.absent or row.verdict() == table.NOT_MEASURED]
    print(f"\n{len(missed)} missed" + (": " + "; ".join(missed) if missed else "")
          + f". Every sample: {os.path.relpath(options.out)}")
    if open_rows:
        why = dict.fromkeys(row.absent or row.name for row in open_rows)
        print(f"{len(open_rows)} NOT MEASURED: {', '.join(why)}")
    shutil.rmtree(bench.home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
