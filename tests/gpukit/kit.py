"""The steps of the GPU kit; run.sh says what it is. kit.py OUT"""

import datetime
import glob
import http.server
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import distilbert
from elf import Library

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 350  # of the whole run
NOBODY = 65534
FOLDERS = ["/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/nvidia/current", "/usr/local/nvidia/lib64"]
FOLDERS += ["/usr/local/nvidia/lib", "/usr/lib/wsl/lib", "/run/opengl-driver/lib", "/usr/lib", "/lib64", "/lib"]
DRIVER_LIBS = ["cuda", "nvidia-ptxjitcompiler", "nvidia-nvvm", "nvidia-nvvm70", "nvidia-gpucomp", "nvidia-ml", "nvidia-tileiras"]


class Left(Exception):
    """A step that cannot be done here; the text says why."""


class Failed(Exception):
    """A step whose result is wrong."""


def must(holds, text):
    if not holds:
        raise Failed(text)


class Kit:
    def __init__(self, out):
        self.out, self.began, self.steps = out, time.monotonic(), []
        self.log = open(os.path.join(out, "log"), "w", encoding="utf-8", errors="replace")
        self.driver = self._find_driver()
        self.device = None  # what --gpu-info says of the first one
        self.cuda = {}  # CUDA's own libraries of this machine's Python: {stem: path}

    def _find_driver(self):
        named = os.environ.get("RP_LIBCUDA", "")
        if named and os.path.isdir(named):
            named = os.path.join(named, "libcuda.so.1")
        folders = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder] + FOLDERS
        found = [named] if named else [os.path.join(folder, "libcuda.so.1") for folder in folders]
        return next((path for path in found if os.path.exists(path)), None)

    def path(self, name):
        path = os.path.join(HERE, name)
        if not os.path.exists(path):
            raise Left(f"{name} is not in the kit")
        return path

    def left_s(self):
        return LIMIT_S - (time.monotonic() - self.began)

    def run(self, *command, timeout=60, env=None, good=(0,), user=None):
        """Standard output and error of a program; its status has to be one of `good`."""
        options = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
        try:
            done = subprocess.run(
                [str(part) for part in command], env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", timeout=max(1, min(timeout, self.left_s())), check=False, **options,
            )  # fmt: skip
        except subprocess.TimeoutExpired as expired:
            raise Failed(f"{os.path.basename(command[0])} had not ended after {expired.timeout:.0f} s") from None
        self.log.write(f"$ {' '.join(str(part)[:300] for part in command)}\n{done.stdout[-20000:]}\n[status {done.returncode}]\n")
        self.log.flush()
        if done.returncode not in good:
            words = done.stdout.strip().splitlines()[-1:] or ["(no output)"]
            raise Failed(f"{os.path.basename(command[0])} ended with {done.returncode}: {words[0][:300]}")
        return done.stdout

    def glibc(self, name, *args, **options):
        """The same program on glibc; where that does not start, there is nothing to compare with."""
        path = self.path(name)
        if subprocess.run([path], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode != 2:
            raise Left("the program to compare with does not start on this machine's C library")
        return self.run(path, *args, **options)

    def need_driver(self):
        if self.driver is None:
            raise Left("no libcuda.so.1")
        return self.driver

    def need_device(self):
        self.need_driver()
        if self.device is None:
            raise Left("no device")
        return self.device

    def beside(self, name):
        """A library of the driver, in its folder."""
        path = os.path.join(os.path.dirname(self.need_driver()), name)
        if not os.path.exists(path):
            raise Left(f"no {name} beside libcuda")
        return path

    def step(self, name, action):
        """Runs one, prints its line and remembers it."""
        begun, details = time.monotonic(), {}
        try:
            if self.left_s() < 5:
                raise Left("no time is left")
            status, figure = "ok", action(self, details)
        except Left as why:
            status, figure = "left", str(why)
        except Failed as why:
            status, figure = "failed", str(why)
        except Exception as why:  # pylint: disable=broad-except
            status, figure = "failed", f"{type(why).__name__}: {why}"
        took = time.monotonic() - begun
        self.steps.append({"name": name, "status": status, "figure": figure, "seconds": round(took, 2), **details})
        print(f"{status:6} {name}: {figure} ({took:.1f} s)", flush=True)
        self.log.write(f"=== {status} {name}: {figure}\n")

    def report(self):
        counts = {status: sum(step["status"] == status for step in self.steps) for status in ("ok", "failed", "left")}
        report = {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "kernel": platform.release(),
            "driver": self.driver and os.path.realpath(self.driver),
            "device": self.device,
            "seconds": round(time.monotonic() - self.began, 1),
            "counts": counts,
            "steps": self.steps,
        }
        with open(os.path.join(self.out, "report.json"), "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
        print(f"{counts['ok']} ok, {counts['failed']} failed, {counts['left']} left; {report['seconds']} s; {self.out}/report.json")
        return 1 if counts["failed"] else 0


def first_line(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return None


def ratio(ours, theirs):
    return f"{ours / theirs:.2f} of glibc's" if theirs else "?"


# ---- the machine and its driver ----


def machine(kit, details):
    details.update(
        nodes=sorted(glob.glob("/dev/nvidia*") + glob.glob("/dev/dxg")),
        kernel_driver=first_line("/proc/driver/nvidia/version"),
        user=os.getuid(),
        libc=" ".join(platform.libc_ver()),
        cpus=[os.cpu_count(), len(os.sched_getaffinity(0))],
    )
    try:
        details["smi"] = kit.run("nvidia-smi", "-L", timeout=20, good=range(256)).strip()
    except FileNotFoundError:
        details["smi"] = None
    return f"Linux {platform.release()}, {details['kernel_driver'] or 'no NVIDIA driver in the kernel'}, {len(details['nodes'])} device nodes"


def information(kit, details):
    said = kit.run(kit.path("build/worker-gpu"), "--gpu-info", "--json", good=(0, 3, 4))
    found = json.loads(said.splitlines()[-1])
    details["info"] = found
    if not found["devices"]:
        raise Left(found["error"])
    kit.device = found["devices"][0]
    return f"{len(found['devices'])} x {kit.device['name']}, CUDA {found['driver']['cuda']}, load {found['ms']['load']} ms, init {found['ms']['initialise']} ms"


def installed(kit):
    """The driver's libraries that are here."""
    folder = os.path.dirname(kit.need_driver())
    found = {}
    for stem in DRIVER_LIBS:
        for path in sorted(glob.glob(os.path.join(folder, f"lib{stem}.so.*"))):
            found.setdefault(os.path.realpath(path), path)
    found.setdefault(os.path.realpath(kit.driver), kit.driver)
    return sorted(found.values())


def libraries(kit, details):
    with open(kit.path("table.txt"), encoding="ascii") as file:
        table = set(file.read().split())
    details["libraries"], missing = {}, {}
    for path in installed(kit) + sorted(set(kit.cuda.values())):
        library = Library(path)
        lacks = [name for name in library.imports if name not in table]
        if not any("cuda" in need or "cublas" in need or "stdc++" in need or "gcc_s" in need for need in library.needed):
            missing.update({name: os.path.basename(path) for name in lacks})
        details["libraries"][path] = {"tls": library.tls, "relocations": library.relocations, "needed": library.needed, "lacks": lacks}
    must(not missing, f"the libc table lacks {' '.join(sorted(missing))}")
    return f"{len(details['libraries'])} libraries, the table has all that they import"


def load(kit, details):
    """The best of five each: load and cuInit."""
    times = {}
    for side, run in (("ours", lambda *a: kit.run(kit.path("bin/probe"), *a)), ("glibc", lambda *a: kit.glibc("bin/probe-glibc", *a))):
        times[side] = min(json.loads(run("time", kit.need_driver(), "cuInit").splitlines()[-1])["ready_ms"] for _ in range(5))
    details.update(times)
    return f"{times['ours']:.2f} ms, {ratio(times['ours'], times['glibc'])}"


def same(kit, *args):
    """What a probe prints, the same from both sides; lines of our log apart."""
    ours = [line for line in kit.run(kit.path("bin/probe"), *args).splitlines() if not line.startswith("DEBUG")]
    theirs = kit.glibc("bin/probe-glibc", *args).splitlines()
    must(ours == theirs, f"ours says {ours}, glibc's {theirs}")
    return ours[-1]


def is_fake(kit):
    return kit.device is not None and "Fake" in kit.device["name"]


def no_fake(kit):
    if is_fake(kit):
        raise Left("the fake driver lacks these calls")


def calls(kit, _):
    no_fake(kit)
    return same(kit, "driver", kit.need_driver(), "8")


def nvml(kit, _):
    return same(kit, "nvml", kit.beside("libnvidia-ml.so.1"))


def compiler(kit, _):
    cubins = []
    library, source = kit.beside("libnvidia-ptxjitcompiler.so.1"), kit.path("matmul.ptx")
    with tempfile.TemporaryDirectory() as folder:
        for run in (lambda *a: kit.run(kit.path("bin/probe"), *a), lambda *a: kit.glibc("bin/probe-glibc", *a)):
            run("ptx", library, source, "sm_80", os.path.join(folder, "cubin"), "3")
            with open(os.path.join(folder, "cubin"), "rb") as file:
                cubins.append(file.read())
    must(cubins[0] == cubins[1], "the cubins differ")
    return f"the same {len(cubins[0])} bytes as under glibc"


# ---- jobs ----


def jobs(kit, details):
    """tests/gpu.sh: both handlers against the CPU, 1,000 jobs, out of memory, an illegal address, a lost device."""
    said = kit.run("bash", kit.path("tests/gpu.sh"), kit.path("build"), timeout=240, good=(0, 1, 77))
    details["lines"] = [line for line in said.splitlines() if re.match(r"(ok|FAIL) |\s+\"ms\"|NO GPU", line)]
    counts = re.findall(r"^(\d+) passed, (\d+) failed", said, re.M)[-1]
    must(counts[1] == "0", "; ".join(line for line in details["lines"] if line.startswith("FAIL")) or said[-300:])
    return f"{counts[0]} checks passed{', without a device' if kit.device is None else ''}"


class Served:
    """A worker that serves realtime requests on a port of its own."""

    def __init__(self, kit, binary, *args, **env):
        self.port = 20000 + os.getpid() % 10000 + len(kit.steps)
        env = {"RUNPOD_REALTIME_PORT": str(self.port), "RUNPOD_ENDPOINT_ID": "e", "RUNPOD_LOG_LEVEL": "ERROR", **env}
        self.process = subprocess.Popen([kit.path(binary), *args], env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=kit.log, stderr=kit.log)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                must(self.process.poll() is None, f"{binary} ended with {self.process.returncode}")
                time.sleep(0.1)
        self.process.kill()
        raise Failed(f"{binary} does not serve")

    def post(self, name, job, timeout=60):
        body = json.dumps({"id": name, "input": job}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/e/realtime", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.read().decode()
        except OSError as why:
            return repr(why)

    def end(self, *signals):
        """The exit status after these signals, 0.5 s apart."""
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.5)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failed("the worker had not ended 20 s after it was told to") from None


def eight(kit, _):
    kit.need_device()
    server, bad = Served(kit, "build/test-handlers/matmul_served", RUNPOD_REALTIME_CONCURRENCY="8"), []
    size = 60 if is_fake(kit) else 200  # the fake one interprets

    def work(number):
        for i in range(25):
            answer = server.post(f"{number}-{i}", {"n": size, "seed": number * 100 + i})
            if '"max_error"' not in answer:
                bad.append(answer[:300])

    begun = time.monotonic()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    status = server.end(signal.SIGTERM)
    must(not bad and status == 0, f"{len(bad)} of 200 jobs are wrong, status {status}: {bad[:1]}")
    return f"200 jobs in {took:.2f} s, all right"


def exit_while_busy(kit, details):
    kit.need_device()
    server = Served(kit, "build/test-handlers/gpu")
    threading.Thread(target=server.post, args=("s", {"do": "spin", "ms": 20000}), daemon=True).start()
    time.sleep(1.5)
    begun = time.monotonic()
    status = server.end(signal.SIGTERM, signal.SIGTERM)
    took = time.monotonic() - begun
    details["exit_status"] = status
    must(status == 1, f"it ended with {status}")
    must(took < 15, f"it took {took:.1f} s, as long as the kernel")
    return f"{took:.2f} s after the first signal, status 1"


# ---- fitness ----


class Platform(http.server.BaseHTTPRequestHandler):
    """The least of one: never a job, everything else is well."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(204 if "job-take" in self.path else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_):
        pass


def fit(kit, details, user=None):
    kit.need_device()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/v2/x"
    env = {f"RUNPOD_WEBHOOK_{name}": f"{base}/{path}/$ID" for name, path in (("GET_JOB", "job-take"), ("POST_OUTPUT", "job-done"), ("PING", "ping"))}
    env.update(RUNPOD_AI_API_KEY="k12345678", RUNPOD_POD_ID="p", RUNPOD_ENDPOINT_ID="x", RUNPOD_LOG_LEVEL="DEBUG", RUNPOD_MIN_MEMORY_GB="0.1")
    options = {"user": user, "group": user, "extra_groups": []} if user is not None else {}
    process = subprocess.Popen(
        [kit.path("build/worker-gpu"), "--handler", "cat"], env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", **options,
    )  # fmt: skip
    watch = threading.Timer(40, process.kill)
    watch.start()
    verdict = None
    for line in process.stdout:
        kit.log.write(line)
        verdict = re.search(r"Fitness check (passed: \d+ GPU[^\"]*|failed: .*)", line)
        if verdict:
            break
    if verdict and process.poll() is None:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            details["rss_kb"] = int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])
    process.terminate()
    process.stdout.read()
    process.wait()
    watch.cancel()
    server.shutdown()
    must(verdict and verdict[1].startswith("passed"), verdict[1] if verdict else "it said nothing of its fitness")
    return f"{verdict[1]}; the worker then has {details.get('rss_kb', 0) // 1024} MiB"


def fit_as_nobody(kit, details):
    if os.getuid() != 0:
        raise Left("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in ("build/worker-gpu",):
            os.makedirs(os.path.join(folder, os.path.dirname(name)), exist_ok=True)
            shutil.copy(kit.path(name), os.path.join(folder, name))
        moved = object.__new__(Kit)
        moved.__dict__.update(kit.__dict__)
        moved.path = lambda name: os.path.join(folder, name)
        return fit(moved, details, NOBODY)


# ---- nothing but the binary and the driver ----


def empty_root(kit, _):
    kit.need_driver()
    if os.getuid() != 0:
        raise Left("chroot needs root")
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        for name in ("proc", "sys", "dev", "usr/lib64"):
            os.makedirs(os.path.join(root, name))
        for path in installed(kit):
            shutil.copy(os.path.realpath(path), os.path.join(root, "usr/lib64", os.path.basename(path)))
        shutil.copy(kit.path("build/worker-gpu"), root)
        shutil.copy(kit.path("build/handlers/vector_add"), root)
        mounted = []
        try:
            for name in ("proc", "sys", "dev"):
                kit.run("mount", "--rbind", f"/{name}", os.path.join(root, name))
                mounted.append(os.path.join(root, name))
        except (Failed, FileNotFoundError):
            if kit.device is not None:
                raise Left("this machine allows no mounts") from None
        try:
            return in_root(kit, root)
        finally:
            for path in reversed(mounted):
                subprocess.run(["umount", "-l", path], check=False)


def in_root(kit, root):
    for user in (0, NOBODY) if kit.device is not None else (NOBODY,):
        enter = ["chroot", f"--userspec={user}:{user}", root]
        env = {"RP_LIBCUDA": "", "LD_LIBRARY_PATH": ""}
        kit.run(*enter, "/worker-gpu", "--gpu-info", env=env, good=(0,) if kit.device is not None else (4,))
        said = kit.run(*enter, "/vector_add", "--test_input", '{"input": {"a": [1, 2], "b": [10, 20]}}', env=env)
        must('"sum": [11, 22]' in said, said[-300:])
        must(kit.device is None or '"device": "CPU"' not in said, "the handler did not see the device")
    return "the driver starts, as root and as another user" if kit.device is not None else "the driver loads and finds no device"


# ---- CUDA's own libraries, and times beside glibc ----


def find_cuda(kit, details):
    found = {}
    folders = [os.environ.get("KIT_CUDA", ""), *(os.path.join(path, "nvidia") for path in sys.path if path)]
    try:
        said = subprocess.run(["python3", "-c", "import nvidia; print(*nvidia.__path__)"], capture_output=True, text=True, check=False)
        folders += said.stdout.split()
    except OSError:
        pass
    folders += glob.glob("/usr/local/cuda*")
    for folder in (folder for folder in folders if folder and os.path.isdir(folder)):
        for stem in ("nvrtc", "cudart", "cublas", "cublasLt"):
            for path in sorted(glob.glob(os.path.join(folder, "**", f"lib{stem}.so.1[23]"), recursive=True)):
                found.setdefault(stem, path)
    kit.cuda = found
    details["cuda"] = found
    if not found:
        raise Left("no NVRTC, cudart or cuBLAS in this machine's Python or /usr/local/cuda")
    return ", ".join(f"{stem} {path}" for stem, path in found.items())


def cuda_env(kit):
    """Where a program finds CUDA's own libraries and what they need."""
    folders = {os.path.dirname(path) for path in kit.cuda.values()} | {os.path.dirname(kit.driver or "/")}
    gcc = [folder for folder in FOLDERS if os.path.exists(os.path.join(folder, "libgcc_s.so.1"))]
    return {"LD_LIBRARY_PATH": ":".join([*sorted(folders), *gcc, os.environ.get("LD_LIBRARY_PATH", "")])}


def both(kit, *args, good=(0,)):
    """The last line that cudalibs prints, from both sides."""
    env = cuda_env(kit)
    ours = kit.run(kit.path("bin/cudalibs"), *args, env=env, timeout=90, good=good).splitlines()[-1]
    theirs = kit.glibc("bin/cudalibs-glibc", *args, env=env, timeout=90, good=good).splitlines()[-1]
    return ours, theirs


def timed_calls(kit, details):
    kit.need_device()
    ours, theirs = (json.loads(line) for line in both(kit, "calls", kit.driver, "256" if "Fake" not in kit.device["name"] else "8"))
    details.update(ours=ours, glibc=theirs)
    return ", ".join(f"{name} {ours[name]} / {theirs[name]}" for name in ours) + " (ours / glibc)"


def need_cuda(kit, stem):
    if stem not in kit.cuda:
        raise Left(f"no lib{stem} on this machine")
    return kit.cuda[stem]


def milliseconds(line, word):
    return float(re.search(rf"{word} ([\d.]+) ms", line)[1])


def nvrtc(kit, details):
    library, cubins, lines = need_cuda(kit, "nvrtc"), [], []
    arch = f"sm_{kit.device['compute_capability'].replace('.', '')}" if kit.device else "sm_90"
    out = os.path.join(kit.out, "cubin")
    folder = os.path.dirname(library)
    for run in (lambda *a: kit.run(kit.path("bin/cudalibs"), *a, env={"LD_LIBRARY_PATH": folder}),
                lambda *a: kit.glibc("bin/cudalibs-glibc", *a, env={"LD_LIBRARY_PATH": folder})):  # fmt: skip
        lines.append(min((run("nvrtc", library, kit.path("kernel.cu"), arch, out, "3").splitlines()[-1] for _ in range(3)), key=lambda line: milliseconds(line, "compile")))
        with open(out, "rb") as file:
            cubins.append(file.read())
    os.unlink(out)
    details.update(ours=lines[0], glibc=lines[1])
    must(cubins[0] == cubins[1], "the cubins differ")
    times = [milliseconds(line, "compile") for line in lines]
    return f"the same cubin as under glibc; compile {times[0]} ms, {ratio(*times)}"


def cudart(kit, details):
    no_fake(kit)
    ours, theirs = both(kit, "cudart", need_cuda(kit, "cudart"), good=(0, 4))
    details.update(ours=ours, glibc=theirs)
    must(ours == theirs, f"ours says {ours}, glibc's {theirs}")
    return ours


def cublas(kit, details):
    kit.need_device()
    ours, theirs = both(kit, "gemm", kit.driver, need_cuda(kit, "cublas"), "4096")
    details.update(ours=ours, glibc=theirs)
    times = [milliseconds(line, "load") + milliseconds(line, "create and first sgemm") for line in (ours, theirs)]
    return f"load and first sgemm {times[0]:.0f} ms, {ratio(*times)}; {ours}"


# ---- the handlers that use CUDA's own libraries ----

SOURCE = """extern "C" __global__ void scale(float *x, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] = 3.0f * x[i] + 0.5f;
}
"""


def one_job(kit, handler, job, env):
    """The output of a local run of one job."""
    said = kit.run(kit.path(f"build/handlers/{handler}"), "--test_input", json.dumps({"input": job}), env=env, timeout=90, good=(0, 1))
    result = re.search(r"Job result: (.*)", said)
    must(result, said.strip().splitlines()[-1][-300:] if said.strip() else "it said nothing")
    return json.loads(result[1])["output"]


def nvrtc_handler(kit, details):
    """A job's source, compiled by NVRTC; with a device, its kernel runs."""
    env = {**cuda_env(kit), "NVRTC_NAME": need_cuda(kit, "nvrtc")}
    data = [i / 2 for i in range(200)]  # what a local run prints of an output has an end
    output = one_job(kit, "nvrtc", {"source": SOURCE, "kernel": "scale", "data": data}, env)
    details["compile_ms"] = output["compile_ms"]
    if kit.device is None:
        must(output["ptx_bytes"] > 100, f"the code has {output['ptx_bytes']} bytes")
        return f"compiled in {output['compile_ms']} ms; there is no device to run it"
    wrong = [i for i, (value, result) in enumerate(zip(data, output["data"], strict=True)) if 3 * value + 0.5 != result]
    must(not wrong, f"{len(wrong)} of {len(data)} results are wrong, from number {wrong[:1]} on")
    return f"compiled in {output['compile_ms']} ms, {len(data)} results right on {output['device']}"


def gemm_handler(kit, details):
    """A product by cuBLAS, which the handler compares with the CPU's."""
    kit.need_device()
    env = {**cuda_env(kit), "CUBLAS_NAME": need_cuda(kit, "cublas")}
    output = one_job(kit, "gemm", {"n": 20 if is_fake(kit) else 1024}, env)
    details.update(output)
    must(output["max_error"] == 0, f"its error is {output['max_error']}")
    return f"n {output['n']}: first {output['first_ms']} ms, then {output['ms']} ms, {output['gflops']} GFLOP/s, no error"


# ---- the sentiment handler ----

HALF_ERROR = 0.03  # of a logit; rounding does less


def classified(kit, model, device, prompts):
    """The outputs with their debug objects."""
    server = Served(kit, "build/handlers/sentiment", "--model", model, "--device", device, RUNPOD_REALTIME_CONCURRENCY="8")
    answers = [server.post(str(i), {"prompt": prompt, "debug": True}) for i, prompt in enumerate(prompts)]
    status = server.end(signal.SIGTERM)
    must(status == 0 and all('"logits"' in answer for answer in answers), f"on {device}: {answers[-1][:300]}, status {status}")
    return [json.loads(answer)["output"] for answer in answers]


def sentiment(kit, details):
    """The device's answers beside the CPU's, of the model that MODEL_DIR names, else of a small one with odd widths."""
    kit.need_device()
    prompts = ["", "good", "bad, bad. " * 7, "word " * 47, "a good word, " * 40, "word " * 600]
    with tempfile.TemporaryDirectory() as folder:
        if "MODEL_DIR" not in os.environ:
            distilbert.make(folder, 70, 5, 2, 130, 500)
        model = os.environ.get("MODEL_DIR", folder)
        ours, theirs = classified(kit, model, "cuda", prompts), classified(kit, model, "cpu", prompts)
    must(all(output["debug"]["device"] == "cuda" for output in ours), "the handler did not use the device")
    far = [max(abs(a - b) for a, b in zip(*(output["debug"]["logits"] for output in pair))) for pair in zip(ours, theirs)]
    precision = ours[0]["debug"]["precision"]
    details.update(far=far, precision=precision)
    must(max(far) <= (HALF_ERROR if precision == "half" else 1e-4), f"its logits are {max(far):.2g} from the CPU's: {far}")
    return f"{len(prompts)} texts, {precision} precision, logits at most {max(far):.1e} from the CPU's"


def sentiment_speed(kit, details):
    """The published size, weights from a seed: milliseconds at the client, and requests a second."""
    kit.need_device()
    if is_fake(kit):
        raise Left("the fake device is an interpreter")
    with tempfile.TemporaryDirectory() as folder:
        distilbert.make(folder, 768, 12, 6, 3072, 30522)
        args = ("--model", folder, "--device", "cuda")
        begun = time.monotonic()
        kit.run(kit.path("build/handlers/sentiment"), *args, "--test_input", '{"input": {"prompt": "good"}}')
        details["start_to_end_ms"] = (time.monotonic() - begun) * 1000
        server = Served(kit, "build/handlers/sentiment", *args, RUNPOD_REALTIME_CONCURRENCY="32")
        for tokens in (16, 64, 128, 512):
            times = []
            for i in range(25):
                answer = json.loads(server.post(f"{tokens}-{i}", {"prompt": "word " * (tokens - 2), "debug": True}))
                times.append(answer["output"]["debug"]["ms"])
            details[f"ms_{tokens}"] = statistics.median(times[5:])
        for tokens in (16, 128):
            details[f"per_second_{tokens}"] = at_once(server, tokens)
        must(server.end(signal.SIGTERM) == 0, "the worker did not end well")
    return ", ".join(f"{name} {value:.3g}" for name, value in details.items())


def at_once(server, tokens, clients=32, share=20):
    """Requests a second of so many clients."""
    answers = []

    def client(number):
        for i in range(share):
            answers.append(server.post(f"{number}-{i}", {"prompt": "word " * (tokens - 2)}))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    good = sum('"confidence"' in answer for answer in answers)
    must(good == clients * share, f"{good} of {clients * share} requests were answered: {answers[:1]}")
    return good / took


STEPS = [
    ("machine", machine),
    ("information", information),
    ("cuda", find_cuda),
    ("libraries", libraries),
    ("load", load),
    ("calls", calls),
    ("nvml", nvml),
    ("compiler", compiler),
    ("timed", timed_calls),
    ("jobs", jobs),
    ("eight", eight),
    ("fitness", fit),
    ("fitness-nobody", fit_as_nobody),
    ("empty-root", empty_root),
    ("nvrtc", nvrtc),
    ("cudart", cudart),
    ("cublas", cublas),
    ("nvrtc-handler", nvrtc_handler),
    ("gemm-handler", gemm_handler),
    ("exit", exit_while_busy),
    ("sentiment", sentiment),
    ("sentiment-speed", sentiment_speed),
]


def main():
    kit = Kit(sys.argv[1])
    wanted = os.environ.get("KIT_STEPS", "").split()
    for name, action in STEPS:
        if not wanted or name in wanted or name in ("information", "cuda"):
            kit.step(name, action)
    return kit.report()


if __name__ == "__main__":
    sys.exit(main())
