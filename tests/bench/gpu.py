"""The figures of the GPU part, each beside glibc or Python: what it costs in bytes, loading the driver, --gpu-info, NVRTC, and
on a machine with a GPU the first kernel and launches.

The driver is RP_LIBCUDA's, this machine's own, or the distribution's that tests/driver.sh fetches; that one has no device. NVRTC is
that of tests/cuda-requirements.txt, which is fetched too and needs no device.
"""

import glob
import json
import os
import re
import subprocess
import sys
import time

from procs import BenchError
from table import Row

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FETCHED = os.path.join(ROOT, "build", "driver")
CUDA = os.path.join(ROOT, "build", "cuda-venv")
PROBES = {side: os.path.join(ROOT, "build", "gpu", name) for side, name in (("ours", "probe"), ("sdk", "probe-glibc"))}
CUDALIBS = {"ours": "cudalibs", "sdk": "cudalibs-glibc"}  # in the probes' folder
LOADS = 20  # in one round and of each side, taking turns; a load is one millisecond
RUNS = 5  # the same, of all else
NOBODY = 65534
ENVIRONMENT = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
NO_DRIVER = 3  # exit status of tests/driver.sh
PATIENCE_S = 60
AT_MOST_TIMES_1_2 = 1 / 1.2  # of the other side's time, as a least ratio
FAILURES = (BenchError, OSError, ValueError, KeyError, subprocess.TimeoutExpired)

# What a Python program does for the answers of --gpu-info: the same calls. The path of libcuda is its argument.
CTYPES = """
import ctypes, sys
cuda = ctypes.CDLL(sys.argv[1])
version, count = ctypes.c_int(), ctypes.c_int()
cuda.cuDriverGetVersion(ctypes.byref(version))
status = cuda.cuInit(0)
cuda.cuDeviceGetCount(ctypes.byref(count))
for index in range(count.value if status == 0 else 0):
    device, value, size = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name, uuid = ctypes.create_string_buffer(128), ctypes.create_string_buffer(16)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, 127, device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    for attribute in (75, 76, 16, 1, 115):
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    cuda.cuDeviceGetUuid(uuid, device)
    print(index, name.value.decode(), size.value)
print(version.value, status)
"""


class NoDriver(BenchError):
    """There is none here, and none can be had."""


class NoNvrtc(BenchError):
    """CUDA's compiler is not here, and cannot be had."""


class Driver:
    """A libcuda to measure with, and what it says of this machine."""

    def __init__(self, path, found):
        self.path = path
        self.status = 0 if found["devices"] else 4  # of --gpu-info
        self.device = found["devices"][0]["name"] if found["devices"] else None
        self.why_none = found["error"]
        version = found["driver"]["version"] or "of an unknown version"
        self.note = f"driver {version}, CUDA {found['driver']['cuda']}, {self.device or 'no device'}"


# ---- running ---------------------------------------------------------------------------------


def _user():
    """As an ordinary user: where no driver is in the kernel, root's cuInit makes device nodes all the same."""
    if os.geteuid() != 0 or os.path.exists("/proc/driver/nvidia"):
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def _run(command, good=(0,), **env):
    """What it printed."""
    done = subprocess.run(
        command,
        env={**ENVIRONMENT, **env},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        **_user(),
    )
    if done.returncode not in good:
        said = (done.stdout + done.stderr).strip()[-300:]
        raise BenchError(f"{os.path.basename(command[0])}: exit status {done.returncode}: {said}")
    return done.stdout


def _timed(command, good=(0,)):
    """ms from just before the process is made to after its end."""
    begun = time.perf_counter()
    _run(command, good)
    return (time.perf_counter() - begun) * 1000


def _until_line(command, pattern):
    """ms from just before the process is made to the line of its output that has the pattern."""
    begun, took, line = time.perf_counter(), None, ""
    with subprocess.Popen(
        command, env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **_user()
    ) as process:
        for line in process.stdout:
            if took is None and pattern in line:
                took = (time.perf_counter() - begun) * 1000
    if took is None or process.returncode != 0:
        raise BenchError(f"{os.path.basename(command[0])}: exit status {process.returncode}: {line.strip()[-300:]}")
    return took


def _take_turns(bench, rows, count, once):
    """once(side) gives a value for each of the rows; the first of each side is not counted."""
    done = {}
    for n in range(-1, count * bench.rounds):
        for side in bench.sides:
            if side in done:
                continue
            try:
                values = once(side)
            except FAILURES as e:
                done[side] = str(e)
                continue
            for row, value in zip(rows, values) if n >= 0 else ():
                row.add(side, value)
    for row in rows:
        row.errors.update(done)


# ---- the driver ------------------------------------------------------------------------------


def _info(bench, libcuda):
    flags = ["--libcuda", libcuda] if libcuda else []
    out = _run([bench.build("worker-gpu"), "--gpu-info", "--json", *flags], good=(0, 3, 4))
    return json.loads(out)


def _prepare(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-300:]
        raise NoDriver(said) if done.returncode == NO_DRIVER else BenchError(said)


def _find_driver(bench):
    bench.progress("the GPU's driver")
    libcuda = os.environ.get("RP_LIBCUDA")
    found = _info(bench, libcuda)
    if found["driver"]["file"] or libcuda:
        if not found["driver"]["cuda_version"]:
            raise BenchError(found["error"])
        return Driver(found["driver"]["file"], found)
    _prepare(os.path.join(ROOT, "tests", "driver.sh"), FETCHED, os.environ.get("OFFLINE", "0"))
    path = os.path.join(FETCHED, "lib", "libcuda.so.1")
    return Driver(path, _info(bench, path))


# ---- the rows --------------------------------------------------------------------------------


def _load(bench, driver, rows):
    """One process of tests/gpu/probe.c each, which tells of itself."""
    keys = ("load_ms", "ready_ms", "rss_loaded_kb", "rss_ready_kb")

    def once(side):
        seen = json.loads(_run([PROBES[side], "time", driver.path, "cuInit"]))
        return [seen[key] / 1024 if key.endswith("_kb") else seen[key] for key in keys]

    bench.progress("loading the GPU's driver")
    _prepare(os.path.join(ROOT, "tests", "gpulibs.sh"))
    _take_turns(bench, rows, LOADS, once)
    rows[0].note = driver.note


def _gpu_info(bench, driver, row):
    commands = {
        "ours": [bench.build("worker-gpu"), "--gpu-info", "--libcuda", driver.path],
        "sdk": [sys.executable, "-c", CTYPES, driver.path],
    }
    bench.progress("--gpu-info")
    _take_turns(bench, [row], RUNS, lambda side: [_timed(commands[side], good=(0, driver.status))])
    steps = _info(bench, driver.path)["ms"]
    row.note = f"whole processes; of ours load {steps['load']:.2f}, cuInit {steps['initialise']:.2f} ms"


def _handler(bench, driver, what):
    """A handler of the tests' on one job."""
    job = json.dumps({"input": {"do": what}})
    return [bench.build("test-handlers/gpu"), "--test_input", job, "--libcuda", driver.path]


def _kernels(bench, driver, rows):
    first, *launches = rows
    program = [bench.compile("gpu_launch"), driver.path]
    results = {
        "ours": (_handler(bench, driver, "poke"), 'Job result: {"output": 42}'),
        "sdk": (program, "42"),
    }

    def times(side):
        out = _run(_handler(bench, driver, "launches") if side == "ours" else program)
        last = next(line for line in reversed(out.splitlines()) if "[" in line and "]" in line)
        return json.loads(last[last.index("[") : last.rindex("]") + 1])

    bench.progress("kernels")
    _take_turns(bench, [first], RUNS, lambda side: [_until_line(*results[side])])
    _take_turns(bench, launches, RUNS, times)
    first.note = f"{driver.device}; the same calls and PTX, ours as a job of a whole worker"


def _find_nvrtc(bench):
    bench.progress("NVRTC")
    command = [os.path.join(ROOT, "tests", "venv.sh"), CUDA, os.path.join(ROOT, "tests", "cuda-requirements.txt")]
    command.append(os.environ.get("OFFLINE", "0"))
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    found = glob.glob(os.path.join(CUDA, "lib", "python3*", "site-packages", "nvidia", "*", "lib", "libnvrtc.so.1[0-9]"))
    if done.returncode != 0 or not found:
        raise NoNvrtc((done.stdout + done.stderr).strip()[-300:] or "it is not for this processor")
    return found[0]


def _nvrtc(bench, rows):
    """A process of tests/gpu/cudalibs.c each, on one thread: it compiles once to warm up, and then measures."""
    library = _find_nvrtc(bench)
    _prepare(os.path.join(ROOT, "tests", "gpulibs.sh"))
    source, folder = os.path.join(ROOT, "tests", "gpu", "kernel.cu"), os.path.dirname(PROBES["ours"])

    def once(side):
        command = [os.path.join(folder, CUDALIBS[side]), "nvrtc", library, source, "sm_90", "/dev/null", "1"]
        said = _run(command, LD_LIBRARY_PATH=os.path.dirname(library)).splitlines()[-1]
        return [float(re.search(rf"{word} ([0-9.]+) ms", said)[1]) for word in ("load", "compile")]

    _take_turns(bench, rows, RUNS, once)
    rows[0].note = f"{os.path.basename(library)}, tests/gpu/kernel.cu for sm_90"


def _size(bench, rows):
    """Of the stripped binaries."""
    handler, stock = rows
    for row, side, name in ((handler, "ours", "handlers/vector_add"), (stock, "ours", "worker-gpu"), (stock, "sdk", "worker")):
        if side in bench.sides:
            row.add(side, os.path.getsize(bench.build(name)) / 1000)


def _without(rows, what, why):
    for row in rows:
        row.absent = what
    rows[0].note = why


def _measure(rows, how, *arguments):
    """how(*arguments); what keeps it from being done stands in the rows."""
    try:
        how(*arguments)
    except NoDriver as e:
        _without(rows, "no driver", str(e))
    except NoNvrtc as e:
        _without(rows, "no NVRTC", str(e))
    except FAILURES as e:
        for row in rows:
            row.errors.update({side: str(e) for side in PROBES})


def _with_driver(bench, load, info, kernels):
    driver = _find_driver(bench)
    _measure(load, _load, bench, driver, load)
    _measure([info], _gpu_info, bench, driver, info)
    if driver.device:
        _measure(kernels, _kernels, bench, driver, kernels)
    else:
        _without(kernels, "no GPU here", driver.why_none)


def all_figures(bench):
    """All rows, whatever this machine has: those that want a driver or a device say where there is none."""
    size = [
        Row("handler with the GPU part (vector_add)", "KB", limit=640),
        Row("stock worker with the GPU part", "KB", against="one without"),
    ]
    load = [
        Row("libcuda: load", "ms", min_ratio=AT_MOST_TIMES_1_2, against="glibc"),
        Row("libcuda: load and cuInit", "ms", min_ratio=AT_MOST_TIMES_1_2, against="glibc"),
        Row("libcuda: resident after load", "MiB", against="glibc"),
        Row("libcuda: resident after cuInit", "MiB", against="glibc"),
    ]
    info = Row("--gpu-info", "ms", against="Python, ctypes")
    kernels = [
        Row("process start to first kernel's result", "ms", against="glibc"),
        Row("kernel launch", "us", against="glibc"),
        Row("kernel launch, waited for", "us", against="glibc"),
    ]
    nvrtc = [
        Row("NVRTC: load", "ms", against="glibc"),
        Row("NVRTC: a compilation", "ms", min_ratio=AT_MOST_TIMES_1_2, against="glibc"),
    ]
    rows = [*load, info, *kernels]
    _measure(size, _size, bench, size)
    _measure(rows, _with_driver, bench, load, info, kernels)
    _measure(nvrtc, _nvrtc, bench, nvrtc)
    return [*size, *rows, *nvrtc]
