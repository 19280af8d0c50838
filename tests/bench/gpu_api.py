"""The figures of the GPU part: what it costs in bytes, how long --gpu-info takes beside a Python program
that asks the same through ctypes, and, on a machine with a GPU, how soon a first kernel has run and
what a launch costs.

    python3 tests/bench/gpu_api.py [BUILD]     prints them; run.py can call measure(build) for rows
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time

ROUNDS = 15
HERE = os.path.dirname(os.path.abspath(__file__))

# What a Python program does for the same answers. The path of libcuda is its argument.
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
    cuda.cuDeviceGetUuid(uuid, device)
    for attribute in (75, 76, 16, 1):
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
    print(index, name.value.decode(), size.value)
print(version.value, status)
"""


def median_ms(command, env=None, good=(0,)):
    """Of ROUNDS runs of the command, process start and end included; the first one warms up."""
    times = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        times.append((time.perf_counter() - begun) * 1000)
        if done.returncode not in good:
            raise RuntimeError(f"{command[0]}: exit status {done.returncode}: {done.stderr[-300:]!r}")
    return statistics.median(times[1:])


def sizes(build):
    """Bytes of the stripped binaries without and with the GPU part."""
    names = ("worker", "worker-gpu", "handlers/echo", "handlers/vector_add")
    return {name: os.path.getsize(os.path.join(build, name)) for name in names}


def info(build):
    """What --gpu-info --json says, and its exit status."""
    done = subprocess.run(
        [os.path.join(build, "worker-gpu"), "--gpu-info", "--json"], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout), done.returncode


def measure(build):
    """A list of (name, ours, theirs or None, unit, note)."""
    size = sizes(build)
    rows = [
        ("binary without the GPU part", size["worker"] / 1000, None, "KB", ""),
        ("binary with it", size["worker-gpu"] / 1000, None, "KB", f"+{size['worker-gpu'] - size['worker']:,} bytes"),
    ]
    found, status = info(build)
    path = found["driver"]["file"]
    if not path:
        rows.append(("--gpu-info", None, None, "ms", "not measured: " + found["error"]))
        return rows
    worker = os.path.join(build, "worker-gpu")
    ours = median_ms([worker, "--gpu-info", "--libcuda", path], good=(status,))
    try:
        theirs = median_ms([sys.executable, "-c", CTYPES, path])
        note = f"of it load {found['ms']['load']:.2f}, cuInit {found['ms']['initialise']:.2f} ms"
    except RuntimeError as error:
        theirs, note = None, str(error)
    rows.append(("--gpu-info, against Python and ctypes", ours, theirs, "ms", note))
    if status != 0:
        rows.append(("first kernel, launch", None, None, "ms", "not measured: " + found["error"]))
        return rows
    job = json.dumps({"input": {"a": [1, 2, 3], "b": [4, 5, 6]}})
    first = median_ms([os.path.join(build, "handlers", "vector_add"), "--test_input", job, "--libcuda", path])
    rows.append(("process start to first kernel's result and exit", first, None, "ms", found["devices"][0]["name"]))
    rows += launches(build, path)
    return rows


def launches(build, path):
    """The same launches by the worker's loader (a handler of the tests') and by a glibc program."""
    handler = os.path.join(build, "test-handlers", "gpu")
    program = os.path.join(build, "bench", "gpu_launch")
    os.makedirs(os.path.dirname(program), exist_ok=True)
    compiled = subprocess.run(
        ["gcc", "-O2", "-o", program, os.path.join(HERE, "gpu_launch.c"), "-ldl"], capture_output=True, check=False
    )
    if compiled.returncode != 0 or not os.path.exists(handler):
        return [("launch", None, None, "us", f"not measured: no compiler, or {handler} is not built")]
    job = json.dumps({"input": {"do": "launches"}})
    ours, theirs = [], []
    for _ in range(5):
        done = subprocess.run([handler, "--test_input", job, "--libcuda", path], capture_output=True, text=True, check=True)
        ours.append(json.loads(re.search('Job result: {"output": (.*)}', done.stdout)[1]))
        theirs.append(json.loads(subprocess.run([program, path], capture_output=True, check=True).stdout))
    return [
        (f"{name}, against a glibc program", *(statistics.median(pair[way] for pair in side) for side in (ours, theirs)), "us", "")
        for way, name in enumerate(("a launch", "a launch that is waited for"))
    ]


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "..", "build"))
    for name, ours, theirs, unit, note in measure(build):
        columns = [f"{value:,.2f} {unit}" if value is not None else "-" for value in (ours, theirs)]
        ratio = f"{theirs / ours:.1f}x" if ours and theirs else ""
        print(f"{name:48} {columns[0]:>14} {columns[1]:>14} {ratio:>6}  {note}")


if __name__ == "__main__":
    main()
