"""The sides of the sentiment figures: our handler as a server, another implementation in a process of its own, and the files of both."""

import http.client
import json
import os
import re
import socket
import subprocess
import time

from procs import BenchError

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
ROOT = os.path.dirname(TESTS)
KIT = os.path.join(TESTS, "blackbox")  # modelkit.py
KIT_VENV = os.path.join(ROOT, "build", "model", "venv")
VENV = os.path.join(ROOT, "build", "model-bench", "venv")
FOLDER = os.path.join(ROOT, "build", "model-bench")
THREADS = min(2, len(os.sched_getaffinity(0)))
LENGTHS = (16, 64, 128, 512)
TURNS = {16: 20, 64: 12, 128: 8, 512: 3}  # of each side in a round
IN_FLIGHT = 32
WORD = "word "  # one token
REST_S = 0.02  # until threads that wait for work busily, as the other side's do after a pass, sleep
PROMPT = "The quick brown fox jumps"


def run_all(commands):
    for command in commands:
        done = subprocess.run(command, env={**os.environ, "PIP_NO_DEPS": "1"}, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise BenchError((done.stdout + done.stderr).strip()[-300:])


def venv(folder, requirements):
    """The command that makes a folder of Python packages, unless it is there."""
    return [os.path.join(TESTS, "venv.sh"), folder, os.path.join(HERE, requirements), os.environ.get("OFFLINE", "0")]


def make(what, out):
    """The command that makes files of the measurements' own, if `out` is not there."""
    if os.path.exists(os.path.join(FOLDER, out)):
        return []
    return [[os.path.join(VENV, "bin/python"), os.path.join(HERE, "sentiment_other.py"), what, FOLDER, KIT]]


def prepare():
    os.makedirs(FOLDER, exist_ok=True)
    run_all([[os.path.join(TESTS, "model.sh"), os.path.dirname(KIT_VENV), os.environ.get("OFFLINE", "0")],
             venv(VENV, "model-requirements.txt"), *make("make", "model.onnx")])


def first_answer(command, env):
    """ms from the start of a process to the line with its answer, and the MiB that it had in memory at most, mapped files included."""
    begun = time.perf_counter()
    process = subprocess.Popen([*command, "--test_input", json.dumps({"input": {"prompt": PROMPT}})], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    took = next((time.perf_counter() - begun for line in process.stdout if "Job result" in line), None)
    process.stdout.read()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if took is None:
        raise BenchError(f"{' '.join(command[:2])} did not answer")
    return took * 1000, used.ru_maxrss / 1024


def into_page_cache(path):
    with open(path, "rb") as f:
        while f.read(1 << 24):
            pass


def out_of_page_cache(path):
    """False where the kernel keeps the file in memory all the same."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    done = subprocess.run(["fincore", "-nb", "-o", "RES", path], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "0"


class Ours:
    """The handler as a realtime server."""

    def __init__(self, binary, device="cpu", model="model"):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [binary, "--model", os.path.join(FOLDER, model), "--threads", str(THREADS), "--device", device]
        env = {"RUNPOD_REALTIME_PORT": str(self.port), "RUNPOD_REALTIME_CONCURRENCY": str(IN_FLIGHT), "RUNPOD_ENDPOINT_ID": "bench"}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise BenchError("the sentiment handler does not listen") from None
                time.sleep(0.01)

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.connect()
        return connection

    def output(self, connection, job_input):
        connection.request("POST", "/bench/realtime", json.dumps({"input": job_input}), {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        if "sentiment" not in answer.get("output", {}):
            raise BenchError(f"the sentiment handler answered {answer}")
        return answer["output"]

    def ask(self, connection, tokens):
        """ms of one request."""
        prompt = WORD * (tokens - 2)
        begun = time.perf_counter()
        self.output(connection, {"prompt": prompt})
        return (time.perf_counter() - begun) * 1000

    def private_mib(self):
        with open(f"/proc/{self.process.pid}/smaps", encoding="ascii") as f:
            mappings = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", f.read(), flags=re.M)
        kib = sum(int(n) for mapping in mappings if "model.safetensors" not in mapping.partition("\n")[0]
                  for n in re.findall(r"^Private_\w+: +(\d+) kB", mapping, re.M))
        return kib / 1024

    def close(self):
        self.process.kill()
        self.process.wait()


class Other:
    """Another implementation in a process of its own, which answers each line with the ms that a pass took."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        env=env)

    def ask(self, what):
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        took = self.process.stdout.readline()
        if not took:
            raise BenchError(f"{' '.join(self.process.args[:2])} has ended")
        time.sleep(REST_S)
        return float(took)

    def close(self):
        self.process.kill()
        self.process.wait()


def onnxruntime():
    return Other([os.path.join(VENV, "bin/python"), os.path.join(HERE, "sentiment_other.py"), "serve", FOLDER, str(THREADS)])
